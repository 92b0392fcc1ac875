#include "cli/flows_args.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/util.h"

#define NOW_US 1795410000000000ull /* 2026-11-23T05:00:00Z */

static int set_zone(void **state)
{
    (void)state;
    setenv("TZ", "EST5", 1); /* five hours behind */
    tzset();
    return 0;
}

static void moments_are_read(void **state)
{
    static const struct {
        const char *text;
        uint64_t want_us; /* UINT64_MAX: none */
    } cases[] = {
        {"0", NOW_US},
        {"90", NOW_US - 90000000},
        {"10m", NOW_US - 600000000},
        {"2h", NOW_US - 7200000000ull},
        {"7d", NOW_US - 7 * 86400000000ull},
        {"500ms", NOW_US - 500000},
        {"36500d", 0},
        {"2026-11-23", NOW_US},
        {"2026-11-23 00:30", NOW_US + 1800000000},
        {"2026-11-23T00:00:01", NOW_US + 1000000},
        {"2026-11-23T05:00:00Z", NOW_US},
        {"2026-11-23T06:00:00+01:00", NOW_US},
        {"", UINT64_MAX},
        {"10", NOW_US - 10000000},
        {"10x", UINT64_MAX},
        {"m", UINT64_MAX},
        {"-5m", UINT64_MAX},
        {"99999999999d", UINT64_MAX},
        {"2026-02-30", UINT64_MAX},
        {"2026-11-23 25:00", UINT64_MAX},
        {"2026-11-23 00:30 ", UINT64_MAX},
        {"1969-01-01", UINT64_MAX},
        {"today", UINT64_MAX},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        uint64_t us = UINT64_MAX;
        bool ok = flows_args_parse_since(cases[i].text, NOW_US * NS_PER_US, &us);

        if (ok != (cases[i].want_us != UINT64_MAX) || (ok && us != cases[i].want_us))
            fail_msg("\"%s\" became %llu", cases[i].text, (unsigned long long)us);
    }
}

static bool read_words(struct flows_args *a, char *text)
{
    char *argv[16] = {"viaduct flows"}, *rest = text;
    int argc = 1;

    while ((argv[argc] = strsep(&rest, " ")))
        argc++;
    return flows_args_read(a, argc, argv, NOW_US * NS_PER_US);
}

static void options_become_a_query(void **state)
{
    char text[] = "-c f.conf --failed --since 1s --client 10.0.0.01 --json";
    char more[] = "--client 2001:DB8::0:1 --target .example.com --verdict ok,stalled --follow";
    char id[] = "--json 5F2c";
    struct flows_args a;

    (void)state;
    assert_false(read_words(&a, text)); /* 01 is no octet */
    assert_true(read_words(&a, more));
    assert_string_equal(a.query.client, "2001:db8::1");
    assert_string_equal(a.query.target, ".example.com");
    assert_int_equal(a.query.verdicts_len, 2);
    assert_string_equal(a.query.verdicts[1], "stalled");
    assert_true(a.follow && !a.json && !a.query.failed && !a.id);
    assert_true(read_words(&a, id));
    assert_string_equal(a.id, "5F2c");
    assert_true(a.json && !a.follow);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(moments_are_read),
        cmocka_unit_test(options_become_a_query),
    };

    return cmocka_run_group_tests(tests, set_zone, NULL);
}
