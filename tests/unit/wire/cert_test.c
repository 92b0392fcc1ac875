/* The certificates are made here, with a key of this run. */
#include "wire/cert.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509v3.h>

#include "base/digest.h"
#include "base/util.h"

#define BEFORE 1700000000
#define AFTER 1800000000

static EVP_PKEY *own_key, *other_key;

/* What a certificate is made of; NULL: it has no such part. */
struct recipe {
    const char *cn, *o, *issuer_cn, *issuer_o, *names; /* names: as openssl-x509v3_config(5) says */
    bool by_other;                                     /* signed by another key */
    bool ca;
};

static unsigned char der[65536 + 64];

static void add_part(X509_NAME *name, const char *part, const char *text, int len)
{
    if (text)
        assert_int_equal(X509_NAME_add_entry_by_txt(name, part, MBSTRING_UTF8,
                                                    (const unsigned char *)text, len, -1, 0),
                         1);
}

static void add_extension(X509 *x, int nid, const char *value)
{
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, nid, value);

    assert_non_null(e);
    assert_int_equal(X509_add_ext(x, e, -1), 1);
    X509_EXTENSION_free(e);
}

static struct span finish(X509 *x, bool by_other)
{
    unsigned char *at = der;
    int len;

    assert_true(X509_sign(x, by_other ? other_key : own_key, EVP_sha256()) > 0);
    len = i2d_X509(x, NULL);
    assert_true(len > 0 && (size_t)len <= sizeof der);
    i2d_X509(x, &at);
    X509_free(x);
    return (struct span){(char *)der, (size_t)len};
}

static X509 *begin(const struct recipe *r)
{
    X509 *x = X509_new();

    assert_non_null(x);
    X509_set_version(x, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(x), 7);
    ASN1_TIME_set(X509_getm_notBefore(x), BEFORE);
    ASN1_TIME_set(X509_getm_notAfter(x), AFTER);
    X509_set_pubkey(x, own_key);
    add_part(X509_get_subject_name(x), "O", r->o, -1); /* O before CN, as most have it */
    add_part(X509_get_subject_name(x), "CN", r->cn, -1);
    add_part(X509_get_issuer_name(x), "CN", r->issuer_cn, -1);
    add_part(X509_get_issuer_name(x), "O", r->issuer_o, -1);
    if (r->names)
        add_extension(x, NID_subject_alt_name, r->names);
    if (r->ca)
        add_extension(x, NID_basic_constraints, "critical,CA:TRUE");
    return x;
}

static struct span make(const struct recipe *r)
{
    return finish(begin(r), r->by_other);
}

static void says_who_and_when(void **state)
{
    static const struct recipe r = {"a.test",
                                    "Example Ltd",
                                    "Example CA",
                                    "Example, Inc.",
                                    "DNS:a.test,DNS:*.a.test,IP:192.0.2.1,IP:2001:db8::1,"
                                    "email:x@a.test,URI:http://a.test/",
                                    .by_other = true};
    unsigned char hash[DIGEST_LEN_MAX];
    struct span bytes = make(&r);
    struct cert c;

    (void)state;
    assert_true(cert_read(bytes, "a.test", &c));
    assert_string_equal(c.subject, "CN=a.test, O=Example Ltd");
    assert_string_equal(c.issuer, "CN=Example CA, O=Example, Inc.");
    assert_string_equal(c.names, "a.test, *.a.test, 192.0.2.1, 2001:db8::1");
    assert_int_equal(c.names_len, 4);
    assert_int_equal(c.names_shown, 4);
    assert_int_equal(c.not_before, BEFORE);
    assert_int_equal(c.not_after, AFTER);
    assert_true(!c.self_signed && !c.ca && c.is_for_host);
    assert_true(cert_is_current(&c, BEFORE) && cert_is_current(&c, AFTER));
    assert_false(cert_is_current(&c, BEFORE - 1) || cert_is_current(&c, AFTER + 1));
    digest_of(DIGEST_SHA256, &bytes, 1, hash);
    assert_memory_equal(c.fingerprint, hash, 32);
}

static void knows_whom_it_is_for(void **state)
{
    static const struct {
        const char *cn, *names, *host;
        bool want;
    } cases[] = {
        {"a.test", "DNS:a.test", "a.test", true},
        {"a.test", "DNS:a.test", "A.Test", true},
        {"a.test", "DNS:a.test", "a.test.", true},
        {"a.test", "DNS:a.test", "b.test", false},
        {"a.test", "DNS:a.test", "", false},
        {"a.test", "DNS:a.test", ".", false},
        {"a.test", "DNS:a.test", NULL, false},
        {"a.test", "DNS:b.test", "a.test", false}, /* the common name is no longer asked */
        {"a.test", NULL, "a.test", true},
        {"x", "DNS:*.a.test", "www.a.test", true},
        {"x", "DNS:*.a.test", "a.test", false},
        {"x", "DNS:*.a.test", "w.w.a.test", false},
        {"x", "DNS:w*.a.test", "www.a.test", false},
        {"x", "IP:192.0.2.1", "192.0.2.1", true},
        {"x", "IP:192.0.2.1", "192.0.2.2", false},
        {"x", "DNS:192.0.2.1", "192.0.2.1", false},
        {"x", "IP:2001:db8::1", "2001:db8:0::1", true},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct recipe r = {.cn = cases[i].cn, .names = cases[i].names, .issuer_cn = "i"};
        struct cert c;

        assert_true(cert_read(make(&r), cases[i].host, &c));
        if (c.is_for_host != cases[i].want)
            fail_msg("%s, %s for %s", cases[i].cn, cases[i].names, cases[i].host);
    }
}

/* The same name on both sides is not enough: the signature has to fit. */
static void knows_its_own_signature(void **state)
{
    struct recipe r = {.cn = "me", .issuer_cn = "me", .ca = true};
    struct cert c;

    (void)state;
    assert_true(cert_read(make(&r), NULL, &c));
    assert_true(c.self_signed && c.ca);
    r.by_other = true;
    assert_true(cert_read(make(&r), NULL, &c));
    assert_false(c.self_signed);
}

static void hostile_names_are_bounded(void **state)
{
    struct recipe r = {.issuer_cn = "i"};
    char many[4096] = "DNS:first.test";
    struct cert c;
    X509 *x;

    (void)state;
    x = begin(&r); /* neither CN nor O, and a NUL where a name is cut by careless readers */
    add_part(X509_get_subject_name(x), "OU", "good.test\0.evil.test", 20);
    assert_true(cert_read(finish(x, true), "good.test", &c));
    assert_string_equal(c.subject, "OU=good.test?.evil.test");
    assert_false(c.is_for_host);

    for (size_t len = strlen(many); len < sizeof many - 64; len = strlen(many))
        snprintf(many + len, sizeof many - len, ",DNS:a-rather-long-name-%zu.test", len);
    r.names = many;
    assert_true(cert_read(make(&r), NULL, &c));
    assert_true(c.names_len > 100 && c.names_shown > 5 && c.names_shown < c.names_len);
    assert_true(strlen(c.names) < CERT_NAMES_MAX);
    assert_memory_equal(c.names, "first.test, a-rather", 20);
    assert_string_equal(c.names + strlen(c.names) - 5, ".test"); /* whole names only */

    x = begin(&r);
    for (int i = 0; i < 3; i++) { /* parts may be 64 characters: 4 bytes each here */
        char wide[64 * 4 + 1];

        for (int k = 0; k < 64; k++)
            memcpy(wide + 4 * k, "\xf0\x9f\x98\x80", 4);
        add_part(X509_get_subject_name(x), i == 0 ? "CN" : i == 1 ? "O" : "OU", wide, 64 * 4);
    }
    assert_true(cert_read(finish(x, true), NULL, &c));
    assert_true(strlen(c.subject) < CERT_TEXT_MAX && strlen(c.subject) > CERT_TEXT_MAX - 5);
    assert_string_equal(c.subject + strlen(c.subject) - 4, "\xf0\x9f\x98\x80");
}

static void what_is_no_certificate_is_refused(void **state)
{
    static const struct recipe r = {.cn = "a.test", .issuer_cn = "i"};
    struct span bytes = make(&r);
    struct cert c;

    (void)state;
    ERR_clear_error();
    for (size_t n = 0; n < bytes.len; n++) {
        assert_false(cert_read((struct span){bytes.ptr, n}, "a.test", &c));
        assert_string_equal(c.subject, "");
    }
    der[bytes.len] = 0;
    assert_false(cert_read((struct span){bytes.ptr, bytes.len + 1}, "a.test", &c));
    assert_false(cert_read((struct span){(char *)der, CERT_DER_MAX + 1}, "a.test", &c));
    assert_int_equal(ERR_peek_error(), 0); /* nobody else sees errors of this */
}

static int make_keys(void **state)
{
    (void)state;
    own_key = EVP_EC_gen("P-256");
    other_key = EVP_EC_gen("P-256");
    return own_key && other_key ? 0 : -1;
}

static int free_keys(void **state)
{
    (void)state;
    EVP_PKEY_free(own_key);
    EVP_PKEY_free(other_key);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(says_who_and_when),
        cmocka_unit_test(knows_whom_it_is_for),
        cmocka_unit_test(knows_its_own_signature),
        cmocka_unit_test(hostile_names_are_bounded),
        cmocka_unit_test(what_is_no_certificate_is_refused),
    };

    return cmocka_run_group_tests(tests, make_keys, free_keys);
}
