#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/util.h"
#include "wire/tlsrec.h"

typedef enum parse (*parse_fn)(struct span bytes, struct tls_hello *out);

/* Bytes under construction. */
struct bytes {
    uint8_t at[40000];
    size_t len;
};

static void add(struct bytes *b, struct span s)
{
    assert_true(b->len + s.len <= sizeof b->at);
    memcpy(b->at + b->len, s.ptr, s.len);
    b->len += s.len;
}

static void add_number(struct bytes *b, size_t n, unsigned bytes)
{
    for (unsigned i = bytes; i-- > 0;) {
        char c = (char)(n >> (8 * i));

        add(b, (struct span){&c, 1});
    }
}

static struct span inside(const struct bytes *b)
{
    return (struct span){(const char *)b->at, b->len};
}

/* Records of `size` bytes around a handshake message of this type. */
static void wrap(struct bytes *out, unsigned type, struct span body, size_t size)
{
    static struct bytes message;

    message.len = 0;
    add_number(&message, type, 1);
    add_number(&message, body.len, 3);
    add(&message, body);
    out->len = 0;
    for (size_t at = 0; at < message.len; at += size) {
        size_t n = message.len - at < size ? message.len - at : size;

        add(out, SPAN_LIT("\x16\x03\x01"));
        add_number(out, n, 2);
        add(out, (struct span){(const char *)message.at + at, n});
    }
}

#define SNI_A                                                                                      \
    "\x00\x00\x00\x0e\x00\x0c\x00\x00\x09"                                                         \
    "a.example"
#define ALPN_H2 "\x00\x10\x00\x0e\x00\x0c\x02h2\x08http/1.1"
#define VERSIONS_13 "\x00\x2b\x00\x07\x06\x7a\x7a\x03\x04\x03\x03"
#define GREASE "\x6a\x6a\x00\x01\x00"

static const struct span client_front = SPAN_INIT("\x03\x03"
                                                  "01234567890123456789012345678901"
                                                  "\x04sess"
                                                  "\x00\x04\x1a\x1a\x13\x01"
                                                  "\x01\x00");
static const char retry_random[] =
    "\xcf\x21\xad\x74\xe5\x9a\x61\x11\xbe\x1d\x8c\x02\x1e\x65\xb8\x91"
    "\xc2\xa2\x11\x16\x7a\xbb\x8c\x5e\x07\x9e\x09\xe2\xc8\xa8\x33\x9c";

static void client_hello(struct bytes *out, struct span extensions, size_t record_size)
{
    static struct bytes body;

    body.len = 0;
    add(&body, client_front);
    add_number(&body, extensions.len, 2);
    add(&body, extensions);
    wrap(out, 1, inside(&body), record_size);
}

static void server_hello(struct bytes *out, bool retry, struct span extensions, size_t record_size)
{
    static struct bytes body;

    body.len = 0;
    add(&body, SPAN_LIT("\x03\x03"));
    add(&body, (struct span){retry ? retry_random : "01234567890123456789012345678901", 32});
    add(&body, SPAN_LIT("\x00\xc0\x2f\x00"));
    add_number(&body, extensions.len, 2);
    add(&body, extensions);
    wrap(out, 2, inside(&body), record_size);
}

/* MORE for every shorter prefix, then `want`; each prefix in memory of just its size. */
static void assert_prefixes(parse_fn parse, struct span text, enum parse want,
                            struct tls_hello *hello)
{
    for (size_t n = 0; n < text.len; n++) {
        char *copy = malloc(n + 1);

        assert_non_null(copy);
        memcpy(copy + 1, text.ptr, n);
        enum parse got = parse((struct span){copy + 1, n}, hello);
        assert_true(got == PARSE_MORE || (want == PARSE_BAD && got == PARSE_BAD));
        free(copy);
    }
    assert_int_equal(parse(text, hello), want);
}

static void client_hellos_in_any_records(void **state)
{
    static const struct {
        struct span extensions;
        const char *sni, *alpn;
        uint16_t version;
        bool ech;
    } cases[] = {
        {SPAN_INIT(""), "", "", 0x0303, false},
        {SPAN_INIT(GREASE SNI_A ALPN_H2 VERSIONS_13), "a.example", "h2", 0x0304, false},
        {SPAN_INIT(VERSIONS_13 SNI_A "\xfe\x0d\x00\x03"
                                     "ech"),
         "a.example", "", 0x0304, true},
        {SPAN_INIT("\x00\x2b\x00\x05\x04\x7f\x1c\x03\x03" SNI_A), "a.example", "", 0x0303, false},
        {SPAN_INIT("\x00\x00\x00\x12\x00\x10\x01\x00\x01x\x00\x00\x09"
                   "A.Example"),
         "A.Example", "", 0x0303, false},
    };
    static const size_t sizes[] = {1, 2, 3, 5, 7, 50, 64, 16384};
    static struct bytes text;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        for (size_t s = 0; s < ARRAY_LEN(sizes); s++) {
            struct tls_hello hello;

            client_hello(&text, cases[i].extensions, sizes[s]);
            assert_prefixes(tlsrec_parse_client_hello, inside(&text), PARSE_OK, &hello);
            assert_true(span_equal(hello.sni, span_of(cases[i].sni)));
            assert_true(span_equal(hello.alpn, span_of(cases[i].alpn)));
            assert_int_equal(hello.version, cases[i].version);
            assert_int_equal(hello.ech, cases[i].ech);
            assert_null(hello.bad_what);
        }
    }
}

static void bytes_behind_the_hello_do_not_matter(void **state)
{
    static struct bytes text;
    struct tls_hello hello;

    (void)state;
    client_hello(&text, SPAN_LIT(SNI_A), 16384);
    add(&text, SPAN_LIT("anything"));
    assert_int_equal(tlsrec_parse_client_hello(inside(&text), &hello), PARSE_OK);
    assert_true(span_equal(hello.sni, SPAN_LIT("a.example")));
}

static void hellos_before_extensions_existed(void **state)
{
    static struct bytes text;
    struct tls_hello hello;

    (void)state;
    wrap(&text, 1, client_front, 16384);
    assert_int_equal(tlsrec_parse_client_hello(inside(&text), &hello), PARSE_OK);
    assert_int_equal(hello.sni.len, 0);
}

static void server_hellos_in_any_records(void **state)
{
    static const struct {
        struct span extensions;
        bool retry;
        uint16_t version;
        const char *alpn;
    } cases[] = {
        {SPAN_INIT(""), false, 0x0303, ""},
        {SPAN_INIT("\x00\x2b\x00\x02\x03\x04"), false, 0x0304, ""},
        {SPAN_INIT("\x00\x2b\x00\x02\x03\x04"), true, 0x0304, ""},
        {SPAN_INIT("\x00\x00\x00\x00\x00\x10\x00\x05\x00\x03\x02h2"), false, 0x0303, "h2"},
    };
    static const size_t sizes[] = {1, 2, 3, 5, 7, 50, 64, 16384};
    static struct bytes text;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        for (size_t s = 0; s < ARRAY_LEN(sizes); s++) {
            struct tls_hello hello;

            server_hello(&text, cases[i].retry, cases[i].extensions, sizes[s]);
            assert_prefixes(tlsrec_parse_server_hello, inside(&text), PARSE_OK, &hello);
            assert_int_equal(hello.version, cases[i].version);
            assert_int_equal(hello.cipher, 0xc02f);
            assert_int_equal(hello.hello_retry, cases[i].retry);
            assert_true(span_equal(hello.alpn, span_of(cases[i].alpn)));
        }
    }
}

static void bad_extensions(void **state)
{
    static const struct {
        struct span extensions;
        const char *what;
    } cases[] = {
        {SPAN_INIT("\x00"), "bad extension"},
        {SPAN_INIT("\x00\x00\x00\x01"), "bad extension"},
        {SPAN_INIT("\x00\x00\x00\x02\x00\x00"), "bad extension"},             /* empty list */
        {SPAN_INIT("\x00\x00\x00\x05\x00\x03\x00\x00\x00"), "bad extension"}, /* empty name */
        {SPAN_INIT("\x00\x00\x00\x05\x00\x04\x00\x00\x01"
                   "a"),
         "bad extension"},
        {SPAN_INIT("\x00\x00\x00\x06\x00\x04\x00\x00\x02"
                   "a"),
         "bad extension"},
        {SPAN_INIT("\x00\x00\x00\x07\x00\x04\x00\x00\x01"
                   "ab"),
         "bad extension"},
        {SPAN_INIT("\x00\x00\x00\x08\x00\x06\x00\x00\x03"
                   "a\0b"),
         "bad extension"},
        {SPAN_INIT("\x00\x00\x00\x08\x00\x06\x00\x00\x03"
                   "a b"),
         "bad extension"},
        {SPAN_INIT("\x00\x00\x00\x08\x00\x06\x00\x00\x03"
                   "a\x80"
                   "b"),
         "bad extension"},
        {SPAN_INIT("\x00\x00\x00\x0a\x00\x08\x00\x00\x01"
                   "a\x00\x00\x01"
                   "b"),
         "bad extension"},
        {SPAN_INIT(SNI_A SNI_A), "extension given twice"},
        {SPAN_INIT(ALPN_H2 SNI_A ALPN_H2), "extension given twice"},
        {SPAN_INIT("\x00\x10\x00\x02\x00\x00"), "bad extension"},
        {SPAN_INIT("\x00\x10\x00\x03\x00\x01\x00"), "bad extension"},
        {SPAN_INIT("\x00\x2b\x00\x04\x03\x03\x03\x03"), "bad extension"},
        {SPAN_INIT("\x00\x2b\x00\x02\x03\x03"), "bad extension"},
    };
    static struct bytes text;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        for (size_t size = 1; size < 5000; size *= 7) {
            struct tls_hello hello;

            client_hello(&text, cases[i].extensions, size);
            assert_prefixes(tlsrec_parse_client_hello, inside(&text), PARSE_BAD, &hello);
            assert_string_equal(hello.bad_what, cases[i].what);
        }
    }
}

static void name_of_more_than_255_bytes_is_bad(void **state)
{
    static struct bytes text, extension;
    struct tls_hello hello;

    (void)state;
    for (size_t len = 255; len <= 256; len++) {
        extension.len = 0;
        add_number(&extension, 0, 2);
        add_number(&extension, len + 5, 2);
        add_number(&extension, len + 3, 2);
        add_number(&extension, 0, 1);
        add_number(&extension, len, 2);
        for (size_t i = 0; i < len; i++)
            add_number(&extension, 'a', 1);
        client_hello(&text, inside(&extension), 100);
        assert_int_equal(tlsrec_parse_client_hello(inside(&text), &hello),
                         len == 255 ? PARSE_OK : PARSE_BAD);
    }
}

static void streams_that_are_no_hello(void **state)
{
    static const struct {
        struct span text;
        const char *what;
    } cases[] = {
        {SPAN_INIT("S"), "not TLS"},
        {SPAN_INIT("GET / HTTP/1.1"), "not TLS"},
        {SPAN_INIT("\x80\x2e\x01\x03\x01"), "not TLS"}, /* SSL 2 */
        {SPAN_INIT("\x15\x03\x01\x00\x02\x02\x28"), "an alert instead of a hello"},
        {SPAN_INIT("\x16\x02"), "not a version of TLS"},
        {SPAN_INIT("\x16\x03\x01\x00\x00"), "bad record length"},
        {SPAN_INIT("\x16\x03\x01\x40\x01"), "bad record length"},
        {SPAN_INIT("\x16\x03\x01\x00\x05\x02"), "not the hello of this side"},
        {SPAN_INIT("\x16\x03\x01\x00\x01\x01\x17"), "not TLS"},
        {SPAN_INIT("\x16\x03\x01\x00\x05\x01\x01\x00\x00"), "hello too large"},
        {SPAN_INIT("\x16\x03\x01\x00\x04\x01\x00\x00\x00"), "bad length or version in a hello"},
        {SPAN_INIT("\x16\x03\x01\x00\x06\x01\x00\x00\x02\x02\x00"),
         "bad length or version in a hello"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct tls_hello hello;

        assert_prefixes(tlsrec_parse_client_hello, cases[i].text, PARSE_BAD, &hello);
        assert_string_equal(hello.bad_what, cases[i].what);
    }
}

/* A message that claims more than it has, cut at every place of a good one. */
static void truncated_messages_are_bad(void **state)
{
    static struct bytes body, text;
    struct tls_hello hello;

    (void)state;
    body.len = 0;
    add(&body, client_front);
    add_number(&body, sizeof SNI_A - 1, 2);
    add(&body, SPAN_LIT(SNI_A));
    for (size_t n = 0; n < body.len; n++) {
        if (n == client_front.len)
            continue; /* a hello without extensions */
        wrap(&text, 1, (struct span){(const char *)body.at, n}, 16384);
        assert_int_equal(tlsrec_parse_client_hello(inside(&text), &hello), PARSE_BAD);
    }
    add_number(&body, 0, 1);
    wrap(&text, 1, inside(&body), 16384);
    assert_int_equal(tlsrec_parse_client_hello(inside(&text), &hello), PARSE_BAD);
}

static void endless_hellos_are_bad(void **state)
{
    static struct bytes text;
    struct tls_hello hello;

    (void)state;
    text.len = 0;
    add(&text,
        SPAN_LIT("\x16\x03\x01\x00\x04\x01\x00\x3f\x00")); /* 16128 to come, a byte a record */
    while (text.len < TLSREC_HELLO_MAX - 6) {
        add(&text, SPAN_LIT("\x16\x03\x01\x00\x01"));
        add_number(&text, 0, 1);
    }
    assert_int_equal(tlsrec_parse_client_hello(inside(&text), &hello), PARSE_MORE);
    add(&text, SPAN_LIT("\x16\x03\x01\x00\x01\x00"));
    add(&text, SPAN_LIT("\x16\x03\x01\x00\x01\x00"));
    assert_int_equal(tlsrec_parse_client_hello(inside(&text), &hello), PARSE_BAD);
    assert_string_equal(hello.bad_what, "hello too large");
}

static void follower_counts_in_any_pieces(void **state)
{
    static const struct span stream = SPAN_INIT("\x16\x03\x01\x00\x03"
                                                "abc"
                                                "\x14\x03\x03\x00\x01\x01"
                                                "\x17\x03\x03\x00\x00"
                                                "\x17\x03\x03\x00\x13"
                                                "0123456789012345678"
                                                "\x15\x03\x03\x00\x02\x02\x30");

    (void)state;
    for (size_t step = 1; step <= stream.len; step++) {
        struct tlsrec t = {0};

        assert_true(tlsrec_is_boundary(&t));
        for (size_t at = 0; at < stream.len; at += step) {
            size_t n = stream.len - at < step ? stream.len - at : step;

            tlsrec_follow(&t, (struct span){stream.ptr + at, n});
        }
        assert_true(tlsrec_is_boundary(&t));
        assert_int_equal(t.records, 5);
        assert_int_equal(t.data_records, 2);
        assert_int_equal(t.last_type, 21);
        assert_int_equal(t.last_len, 2);
        assert_int_equal(t.alert_have, 2);
        assert_int_equal(t.alert[0], 2);
        assert_string_equal(tlsrec_alert_name(t.alert[1]), "unknown_ca");
    }
}

static void follower_knows_where_a_record_is_cut(void **state)
{
    static const struct span stream = SPAN_INIT("\x17\x03\x03\x00\x02"
                                                "ab");

    (void)state;
    for (size_t n = 0; n <= stream.len; n++) {
        struct tlsrec t = {0};

        tlsrec_follow(&t, (struct span){stream.ptr, n});
        assert_int_equal(tlsrec_is_boundary(&t), n == 0 || n == stream.len);
    }
}

static void follower_gives_up_on_what_is_no_tls(void **state)
{
    static const struct span cases[] = {
        SPAN_INIT("SSH-2.0"),
        SPAN_INIT("\x13\x03\x01\x00\x00"),
        SPAN_INIT("\x16\x02\x01\x00\x00"),
        SPAN_INIT("\x17\x03\x03\x48\x01"),
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct tlsrec t = {0};

        tlsrec_follow(&t, cases[i]);
        tlsrec_follow(&t, SPAN_LIT("\x17\x03\x03\x00\x00"));
        assert_true(t.lost);
        assert_int_equal(t.records, 0);
        assert_false(tlsrec_is_boundary(&t));
    }
}

static void encrypted_alerts_are_not_read(void **state)
{
    struct tlsrec t = {0};

    (void)state;
    tlsrec_follow(&t, SPAN_LIT("\x15\x03\x03\x00\x1a"
                               "abcdefghijklmnopqrstuvwxyz"));
    assert_int_equal(t.alert_have, 0);
    assert_int_equal(t.last_len, 26);
    assert_int_equal(t.records, 1);
}

static void names_are_known(void **state)
{
    (void)state;
    assert_string_equal(tlsrec_version_name(0x0304), "TLSv1.3");
    assert_string_equal(tlsrec_version_name(0x0305), "");
    assert_string_equal(tlsrec_cipher_name(0x1302), "TLS_AES_256_GCM_SHA384");
    assert_string_equal(tlsrec_cipher_name(0xffff), "");
    assert_string_equal(tlsrec_alert_name(0), "close_notify");
    assert_string_equal(tlsrec_alert_name(255), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(client_hellos_in_any_records),
        cmocka_unit_test(bytes_behind_the_hello_do_not_matter),
        cmocka_unit_test(hellos_before_extensions_existed),
        cmocka_unit_test(server_hellos_in_any_records),
        cmocka_unit_test(bad_extensions),
        cmocka_unit_test(name_of_more_than_255_bytes_is_bad),
        cmocka_unit_test(streams_that_are_no_hello),
        cmocka_unit_test(truncated_messages_are_bad),
        cmocka_unit_test(endless_hellos_are_bad),
        cmocka_unit_test(follower_counts_in_any_pieces),
        cmocka_unit_test(follower_knows_where_a_record_is_cut),
        cmocka_unit_test(follower_gives_up_on_what_is_no_tls),
        cmocka_unit_test(encrypted_alerts_are_not_read),
        cmocka_unit_test(names_are_known),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
