#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/util.h"
#include "proxy/watch.h"

/* ---- the stuff that tunnels are made of */

#define RANDOM "01234567890123456789012345678901"
#define HELLO_UP                                                                                   \
    "\x16\x03\x01\x00\x41\x01\x00\x00\x3d\x03\x03" RANDOM "\x00\x00\x02\x13\x01\x01\x00"           \
    "\x00\x12\x00\x00\x00\x0e\x00\x0c\x00\x00\x09"                                                 \
    "a.example"
#define HELLO_12 "\x16\x03\x03\x00\x2a\x02\x00\x00\x26\x03\x03" RANDOM "\x00\xc0\x2f\x00"
#define HELLO_13                                                                                   \
    "\x16\x03\x03\x00\x32\x02\x00\x00\x2e\x03\x03" RANDOM "\x00\x13\x01\x00\x00\x06\x00\x2b\x00"   \
    "\x02\x03\x04"
#define RETRY_RANDOM                                                                               \
    "\xcf\x21\xad\x74\xe5\x9a\x61\x11\xbe\x1d\x8c\x02\x1e\x65\xb8\x91"                             \
    "\xc2\xa2\x11\x16\x7a\xbb\x8c\x5e\x07\x9e\x09\xe2\xc8\xa8\x33\x9c"
#define RETRY                                                                                      \
    "\x16\x03\x03\x00\x32\x02\x00\x00\x2e\x03\x03" RETRY_RANDOM "\x00\x13\x01\x00\x00\x06\x00\x2b" \
    "\x00\x02\x03\x04"
#define CIPHER_CHANGE "\x14\x03\x03\x00\x01\x01"
#define FINISHED "\x16\x03\x03\x00\x04zzzz"
#define DATA "\x17\x03\x03\x00\x05zzzzz"
#define DATA_19 "\x17\x03\x03\x00\x13zzzzzzzzzzzzzzzzzzz" /* an alert's size in TLS 1.3 */
#define DATA_CUT "\x17\x03\x03\x00\x05zz"
#define ALERT_CA "\x15\x03\x03\x00\x02\x02\x30"
#define ALERT_CLOSE "\x15\x03\x03\x00\x02\x01\x00"
#define ALERT_SECRET "\x15\x03\x03\x00\x1azzzzzzzzzzzzzzzzzzzzzzzzzz"

/* A conversation: in turns, the client's bytes and the target's. */
struct talk {
    const char *name;
    struct span said[8]; /* client, target, client, … */
    bool is_tls, hello_client, hello_target, through;
    enum stream_frame up, down;
    bool plain;
    uint8_t alert;
    const char *sni, *version, *cipher;
};

#define S(literal) SPAN_INIT(literal)
#define NOTHING SPAN_INIT("")
#define BOUNDARY STREAM_FRAME_BOUNDARY
#define V12 "TLSv1.2", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"
#define V13 "TLSv1.3", "TLS_AES_128_GCM_SHA256"

static const struct talk talks[] = {
    {"1.2, at work",
     {S(HELLO_UP), S(HELLO_12 FINISHED), S(FINISHED CIPHER_CHANGE FINISHED), S(DATA)},
     true,
     true,
     true,
     true,
     BOUNDARY,
     BOUNDARY,
     false,
     0,
     "a.example",
     V12},
    {"1.3, at work",
     {S(HELLO_UP), S(HELLO_13 CIPHER_CHANGE DATA), S(CIPHER_CHANGE DATA DATA), S(DATA)},
     true,
     true,
     true,
     true,
     BOUNDARY,
     BOUNDARY,
     false,
     0,
     "a.example",
     V13},
    {"the hellos alone",
     {S(HELLO_UP), S(HELLO_12)},
     true,
     true,
     true,
     false,
     BOUNDARY,
     BOUNDARY,
     false,
     0,
     "a.example",
     V12},
    {"no answer yet",
     {S(HELLO_UP)},
     true,
     true,
     false,
     false,
     BOUNDARY,
     BOUNDARY,
     false,
     0,
     "a.example",
     "TLSv1.2",
     NULL},
    {"the target asks for another hello",
     {S(HELLO_UP), S(RETRY CIPHER_CHANGE), S(CIPHER_CHANGE HELLO_UP), S(HELLO_13 DATA), S(DATA)},
     true,
     true,
     true,
     true,
     BOUNDARY,
     BOUNDARY,
     false,
     0,
     "a.example",
     V13},
    {"only the first of two target hellos",
     {S(HELLO_UP), S(RETRY), S(HELLO_UP)},
     true,
     true,
     false,
     false,
     BOUNDARY,
     BOUNDARY,
     false,
     0,
     "a.example",
     V13},
    {"the target refuses the hello",
     {S(HELLO_UP), S(ALERT_CA)},
     true,
     true,
     false,
     false,
     BOUNDARY,
     STREAM_FRAME_ALERT,
     true,
     48,
     "a.example",
     "TLSv1.2",
     NULL},
    {"1.2, the client refuses the certificate",
     {S(HELLO_UP), S(HELLO_12 FINISHED), S(ALERT_CA)},
     true,
     true,
     true,
     false,
     STREAM_FRAME_ALERT,
     BOUNDARY,
     true,
     48,
     "a.example",
     V12},
    {"1.3, the same, unreadable",
     {S(HELLO_UP), S(HELLO_13 DATA), S(CIPHER_CHANGE DATA_19)},
     true,
     true,
     true,
     false,
     STREAM_FRAME_ALERT,
     BOUNDARY,
     false,
     0,
     "a.example",
     V13},
    {"1.3, in good order",
     {S(HELLO_UP), S(HELLO_13 DATA), S(CIPHER_CHANGE DATA DATA DATA_19), S(DATA DATA_19)},
     true,
     true,
     true,
     true,
     STREAM_FRAME_CLOSED,
     STREAM_FRAME_CLOSED,
     false,
     0,
     "a.example",
     V13},
    {"1.2, in good order",
     {S(HELLO_UP), S(HELLO_12), S(FINISHED DATA ALERT_SECRET), S(DATA ALERT_SECRET)},
     true,
     true,
     true,
     true,
     STREAM_FRAME_CLOSED,
     STREAM_FRAME_CLOSED,
     false,
     0,
     "a.example",
     V12},
    {"1.2, in good order and readable",
     {S(HELLO_UP), S(HELLO_12), S(FINISHED ALERT_CLOSE)},
     true,
     true,
     true,
     true,
     STREAM_FRAME_CLOSED,
     BOUNDARY,
     false,
     0,
     "a.example",
     V12},
    {"inside a record",
     {S(HELLO_UP), S(HELLO_12), S(FINISHED DATA_CUT), S(DATA DATA_CUT)},
     true,
     true,
     true,
     true,
     STREAM_FRAME_INSIDE,
     STREAM_FRAME_INSIDE,
     false,
     0,
     "a.example",
     V12},
    {"a hello that never ends",
     {S("\x16\x03\x01\x00\x41\x01\x00\x00\x3d\x03\x03 0123")},
     true,
     false,
     false,
     false,
     STREAM_FRAME_INSIDE,
     BOUNDARY,
     false,
     0,
     NULL,
     NULL,
     NULL},
    {"SSH: the client first", {S("SSH-2.0-client\r\n"), S("SSH-2.0-target\r\n")}, .is_tls = false},
    {"SSH: the target first",
     {NOTHING, S("SSH-2.0-target\r\n"), S("SSH-2.0-client\r\n")},
     .is_tls = false},
    {"the target first, then TLS",
     {NOTHING, S("220 mail\r\n"), S(HELLO_UP), S(HELLO_12)},
     .is_tls = false},
    {"the target answers TLS with something else",
     {S(HELLO_UP), S("HTTP/1.1 400 Bad Request\r\n\r\n")},
     true,
     true,
     false,
     false,
     BOUNDARY,
     STREAM_FRAME_UNKNOWN,
     false,
     0,
     "a.example",
     "TLSv1.2",
     NULL},
};

static void say(struct watch *w, struct flow *f, const struct talk *t, size_t piece)
{
    for (unsigned i = 0; i < ARRAY_LEN(t->said); i++) {
        struct span rest = t->said[i];

        while (rest.len > 0) {
            size_t n = rest.len < piece ? rest.len : piece;
            char *copy = malloc(n); /* just as large: what reads beyond is found out */

            memcpy(copy, rest.ptr, n);
            (i % 2 ? watch_see_down : watch_see_up)(w, (struct span){copy, n}, f);
            free(copy);
            rest.ptr += n;
            rest.len -= n;
        }
    }
}

static void assert_text(const char *is, const char *wanted)
{
    assert_string_equal(is ? is : "(none)", wanted ? wanted : "(none)");
}

static void check(const struct talk *t, size_t piece)
{
    struct watch *w = watch_new();
    struct symptoms y = {0};
    struct flow f = {0};

    say(w, &f, t, piece);
    watch_gather(w, &y);
    if (y.is_tls != t->is_tls || y.frame_up != t->up || y.frame_down != t->down ||
        w->through != t->through)
        fail_msg("%s, by %zu: is_tls %d, up %d, down %d, through %d", t->name, piece, y.is_tls,
                 y.frame_up, y.frame_down, w->through);
    assert_true(w->decided);
    assert_int_equal(y.hello_client, t->hello_client);
    assert_int_equal(y.hello_target, t->hello_target);
    assert_int_equal(y.alert_is_plain, t->plain);
    assert_int_equal(y.alert, t->alert);
    assert_text(f.tls ? f.tls->sni : NULL, t->sni);
    assert_text(f.tls ? f.tls->version : NULL, t->version);
    assert_text(f.tls && f.tls->cipher && *f.tls->cipher ? f.tls->cipher : NULL, t->cipher);
    assert_null(t->hello_client ? w->hello_up.ptr : NULL); /* what was kept went back */
    assert_null(t->hello_target ? w->hello_down.ptr : NULL);
    watch_free(w);
    flow_fini(&f);
}

static void talks_are_understood_in_any_pieces(void **state)
{
    static const size_t pieces[] = {100000, 1, 2, 3, 5, 6, 7, 11, 40, 64};

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(talks); i++)
        for (unsigned p = 0; p < ARRAY_LEN(pieces); p++)
            check(&talks[i], pieces[p]);
}

/* Once bytes passed unseen nothing is claimed of their direction. */
static void what_was_not_seen_is_not_known(void **state)
{
    struct watch *w = watch_new();
    struct symptoms y = {0};
    struct flow f = {0};

    (void)state;
    say(w, &f, &talks[0], 1000);
    w->down.lost = 1;
    watch_gather(w, &y);
    assert_true(y.is_tls && y.hello_target);
    assert_int_equal(y.frame_up, STREAM_FRAME_BOUNDARY);
    assert_int_equal(y.frame_down, STREAM_FRAME_UNKNOWN);
    watch_free(w);
    flow_fini(&f);
}

/* A hello may be 16 KiB and no more; however long it goes on, no more is kept. */
static void an_endless_hello_is_given_up(void **state)
{
    static const char front[] = "\x16\x03\x01\x40\x00\x01\x00\x3f\xfc\x03\x03";
    struct watch *w = watch_new();
    struct flow f = {0};
    char piece[1000] = "";

    (void)state;
    watch_see_up(w, (struct span){front, sizeof front - 1}, &f);
    assert_true(w->is_tls);
    for (int i = 0; i < 40; i++) {
        watch_see_up(w, (struct span){piece, sizeof piece}, &f);
        assert_true(w->hello_up.len <= TLSREC_HELLO_MAX);
    }
    assert_true(w->decided);
    assert_false(w->is_tls);
    watch_free(w);
    flow_fini(&f);
}

static void nothing_is_freed_as_nothing(void **state)
{
    (void)state;
    watch_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(talks_are_understood_in_any_pieces),
        cmocka_unit_test(what_was_not_seen_is_not_known),
        cmocka_unit_test(an_endless_hello_is_given_up),
        cmocka_unit_test(nothing_is_freed_as_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
