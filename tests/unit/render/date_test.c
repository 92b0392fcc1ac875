#include "render/date.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/util.h"

#define S 1000000000ull

static void moments_are_read(void **state)
{
    static const struct {
        const char *text;
        uint64_t want;
    } cases[] = {
        {"1970-01-01T00:00:00Z", 0},
        {"2026-11-23T05:00:00Z", 1795410000 * S},
        {"2026-11-23T05:00:00.123456Z", 1795410000 * S + 123456000},
        {"2026-11-23t05:00:00.1234567891z", 1795410000 * S + 123456789},
        {"2026-11-23 06:00:00+01:00", 1795410000 * S},
        {"2026-11-22T23:30:00-05:30", 1795410000 * S},
        {"2028-02-29T00:00:00Z", 1835395200 * S},
        {"2016-12-31T23:59:60Z", 1483228799 * S},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        uint64_t ns;

        assert_true(date_parse_rfc3339(span_of(cases[i].text), &ns));
        assert_int_equal(ns, cases[i].want);
    }
}

static void what_is_no_moment_is_refused(void **state)
{
    static const char *const cases[] = {
        "",
        "2026-11-23",
        "2026-11-23T05:00:00",
        "2026-11-23T05:00Z",
        "2026-11-23T05:00:00ZZ",
        "2026-11-23T05:00:00.Z",
        "2026-13-23T05:00:00Z",
        "2026-00-23T05:00:00Z",
        "2026-02-30T05:00:00Z",
        "2026-11-23T24:00:00Z",
        "2026-11-23T05:61:00Z",
        "2026-11-23T05:00:61Z",
        "1969-12-31T23:59:59Z",
        "1970-01-01T00:00:00+00:01",
        "2262-01-01T00:00:00Z",
        "9999-01-01T00:00:00Z",
        "2026-11-23T05:00:00+24:00",
        "2026-11-23T05:00:00+0100",
        "+026-11-23T05:00:00Z",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        uint64_t ns;

        if (date_parse_rfc3339(span_of(cases[i]), &ns))
            fail_msg("\"%s\" was read", cases[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(moments_are_read),
        cmocka_unit_test(what_is_no_moment_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
