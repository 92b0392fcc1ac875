/* wire/range: what comes of a whole, and whether two parts are of the same one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/util.h"
#include "wire/range.h"

#define ANY RANGE_UNKNOWN

static void ranges_are_read_or_refused(void **state)
{
    static const struct {
        const char *text;
        bool good, satisfied;
        uint64_t first, last, total;
    } cases[] = {
        {"bytes 7-19/20", true, true, 7, 19, 20},
        {"Bytes 0-0/1", true, true, 0, 0, 1},
        {"bytes 7-19/*", true, true, 7, 19, ANY},
        {"bytes */20", true, false, 0, 0, 20},
        {"bytes */*", false, false, 0, 0, 0},
        {"bytes 19-7/20", false, false, 0, 0, 0},
        {"bytes 7-20/20", false, false, 0, 0, 0},
        {"bytes 7-/20", false, false, 0, 0, 0},
        {"bytes -7/20", false, false, 0, 0, 0},
        {"bytes 7-19", false, false, 0, 0, 0},
        {"bytes=7-19/20", false, false, 0, 0, 0},
        {"lines 7-19/20", false, false, 0, 0, 0},
        {"bytes 7-19/20, bytes 30-40/50", false, false, 0, 0, 0},
        {"bytes 18446744073709551616-18446744073709551617/*", false, false, 0, 0, 0},
        {"", false, false, 0, 0, 0},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct range_content r;

        if (range_parse_content(span_of(cases[i].text), &r) != cases[i].good)
            fail_msg("%s", cases[i].text);
        if (!cases[i].good)
            continue;
        assert_int_equal(r.satisfied, cases[i].satisfied);
        assert_int_equal(r.total, cases[i].total);
        if (r.satisfied) {
            assert_int_equal(r.first, cases[i].first);
            assert_int_equal(r.last, cases[i].last);
        }
    }
}

static void strong_validators_are_found(void **state)
{
#define DAY "Sun, 06 Nov 1994 08:49:37 GMT"
#define NEXT_DAY "Mon, 07 Nov 1994 08:49:37 GMT"
    static const struct {
        const char *etag, *modified, *date, *want;
    } cases[] = {
        {"\"a b\"", "", "", ""},
        {"\"ab\"", DAY, NEXT_DAY, "\"ab\""},
        {"\"\"", "", "", "\"\""},
        {"W/\"ab\"", DAY, NEXT_DAY, ""}, /* a date must not stand in for a tag (RFC 9110 13.1.5) */
        {"\"a\r\nX: y\"", "", "", ""},
        {"", DAY, NEXT_DAY, DAY},
        {"", DAY, DAY, ""}, /* it may change again in this second */
        {"", DAY, "", ""},
        {"", "yesterday", NEXT_DAY, ""},
        {"", "Sun, 06 Nov 1994 08:49:37\r\nX", NEXT_DAY, ""},
        {"", "", NEXT_DAY, ""},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct span found = range_find_validator(span_of(cases[i].etag), span_of(cases[i].modified),
                                                 span_of(cases[i].date));

        if (!span_equal(found, span_of(cases[i].want)))
            fail_msg("case %zu: %.*s", i, (int)found.len, found.ptr);
        assert_true(found.len == 0 || range_is_validator(found));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranges_are_read_or_refused),
        cmocka_unit_test(strong_validators_are_found),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
