#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/span.h"
#include "base/util.h"
#include "net/dnsmsg.h"

/* Pieces of messages; a.test stands at offset 12. */
#define HEAD(flags, answers, authorities) "\x12\x34" flags "\0\1\0" answers "\0" authorities "\0\0"
#define QUESTION_A "\1a\4test\0\0\1\0\1"
#define ALIAS(ttl) "\xc0\x0c\0\5\0\1\0\0\0" ttl "\0\4\1b\xc0\x0e"
#define ADDRESS(ttl, last) "\1b\xc0\x0e\0\1\0\1\0\0\0" ttl "\0\4\xc0\0\2" last
#define SOA(ttl, minimum)                                                                          \
    "\xc0\x0e\0\6\0\1\0\0\0" ttl                                                                   \
    "\0\x18\xc0\x0c\xc0\x0c\0\0\0\1\0\0\0\2\0\0\0\3\0\0\0\4\0\0\0" minimum
#define SOA_CUT "\xc0\x0e\0\6\0\1\0\0\0\5\0\4\xc0\x0c\xc0\x0c"

static void test_messages(void **state)
{
    static const struct {
        struct span bytes;
        bool good;
        unsigned rcode, len;
        uint32_t ttl_s;
    } rows[] = {
        {SPAN_INIT(HEAD("\x81\x80", "\1", "\0") QUESTION_A ADDRESS("\x3c", "\1")), true, 0, 1, 60},
        {SPAN_INIT(HEAD("\x81\x80", "\2", "\0") QUESTION_A ALIAS("\5") ADDRESS("\x3c", "\1")), true,
         0, 1, 5},
        {SPAN_INIT(HEAD("\x81\x80", "\2", "\0") QUESTION_A ALIAS("\x3c") ADDRESS("\5", "\1")), true,
         0, 1, 5},
        {SPAN_INIT(HEAD("\x81\x80", "\2", "\0") QUESTION_A ADDRESS("\7", "\1") ADDRESS("\5", "\2")),
         true, 0, 2, 5},
        {SPAN_INIT(HEAD("\x81\x80", "\2", "\0") QUESTION_A ADDRESS("\7", "\1") ADDRESS("\7", "\1")),
         true, 0, 1, 7},
        {SPAN_INIT(HEAD("\x81\x80", "\1", "\0") QUESTION_A ALIAS("\5")), true, 0, 0, 10},
        {SPAN_INIT(HEAD("\x81\x83", "\0", "\0") QUESTION_A), true, 3, 0, 10},
        {SPAN_INIT(HEAD("\x81\x83", "\0", "\1") QUESTION_A SOA("\x3c", "\x1e")), true, 3, 0, 30},
        {SPAN_INIT(HEAD("\x81\x83", "\0", "\1") QUESTION_A SOA("\x1e", "\x3c")), true, 3, 0, 30},
        {SPAN_INIT(HEAD("\x81\x82", "\0", "\0") QUESTION_A), true, 2, 0, 10},
        /* a time to live with the top bit set counts as none (RFC 2181 8) */
        {SPAN_INIT(HEAD("\x81\x80", "\1", "\0") QUESTION_A
                   "\xc0\x0c\0\1\0\1\x80\0\0\1\0\4\xc0\0\2\1"),
         true, 0, 1, 0},
        /* another type, another class: not ours */
        {SPAN_INIT(HEAD("\x81\x80", "\1", "\0") QUESTION_A "\xc0\x0c\0\x10\0\1\0\0\0\1\0\2\1x"),
         true, 0, 0, 10},
        {SPAN_INIT(HEAD("\x81\x80", "\1", "\0") QUESTION_A
                   "\xc0\x0c\0\1\0\3\0\0\0\1\0\4\xc0\0\2\1"),
         true, 0, 0, 10},
        /* what is malformed */
        {SPAN_INIT(""), false, 0, 0, 0},
        {SPAN_INIT(HEAD("\x81\x80", "\1", "\0") QUESTION_A "\xc0\x0c\0\1\0\1\0\0\0\1\0\3\xc0\0\2"),
         false, 0, 0, 0},
        {SPAN_INIT(HEAD("\x81\x80", "\1", "\0") QUESTION_A
                   "\xc0\x0c\0\1\0\1\0\0\0\1\0\5\xc0\0\2\1\1"),
         false, 0, 0, 0},
        {SPAN_INIT(HEAD("\x81\x80", "\1", "\0") QUESTION_A "\x40\0\1\0\1\0\0\0\1\0\4\xc0\0\2\1"),
         false, 0, 0, 0},
        {SPAN_INIT(HEAD("\x81\x83", "\0", "\1") QUESTION_A SOA_CUT), false, 0, 0, 0},
        {SPAN_INIT(HEAD("\x81\x80", "\xff", "\xff") QUESTION_A), false, 0, 0, 0},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct dnsmsg m;

        assert_int_equal(
            dnsmsg_parse((const uint8_t *)rows[i].bytes.ptr, rows[i].bytes.len, DNSMSG_A, &m),
            rows[i].good);
        if (!rows[i].good)
            continue;
        assert_int_equal(m.rcode, rows[i].rcode);
        assert_int_equal(m.len, rows[i].len);
        assert_int_equal(m.ttl_s, rows[i].ttl_s);
    }
}

/* Each beginning of a message is bad and none is read past its end (the sanitizer looks on). */
static void test_cut_anywhere(void **state)
{
    static const char whole[] = HEAD("\x81\x80", "\2", "\1") QUESTION_A ALIAS("\5")
        ADDRESS("\x3c", "\1") SOA("\x3c", "\x1e");

    for (size_t len = 0; len < sizeof whole - 1; len++) {
        uint8_t *copy = malloc(len + 1);
        struct dnsmsg m;

        memcpy(copy, whole, len);
        copy = realloc(copy, len ? len : 1);
        assert_false(dnsmsg_parse(copy, len, DNSMSG_A, &m));
        free(copy);
    }
}

/* Bytes changed here and there: whatever comes out keeps to its bounds. */
static void test_changed_anywhere(void **state)
{
    static const char whole[] = HEAD("\x81\x80", "\2", "\1") QUESTION_A ALIAS("\5")
        ADDRESS("\x3c", "\1") SOA("\x3c", "\x1e");
    uint32_t seed = 1;

    for (int i = 0; i < 100000; i++) {
        uint8_t copy[sizeof whole - 1];
        struct dnsmsg m;

        memcpy(copy, whole, sizeof copy);
        for (int j = 0; j < 3; j++) {
            seed = seed * 1664525u + 1013904223u;
            copy[(seed >> 16) % sizeof copy] = (uint8_t)(seed >> 8);
        }
        dnsmsg_parse(copy, sizeof copy, i & 1 ? DNSMSG_A : DNSMSG_AAAA, &m);
        assert_true(m.len <= DNSMSG_ADDRS_MAX);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_messages),
        cmocka_unit_test(test_cut_anywhere),
        cmocka_unit_test(test_changed_anywhere),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
