#include "base/num.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/util.h"

struct number_case {
    const char *text;
    uint64_t max;
    bool ok;
    uint64_t want;
};

typedef bool (*parse_fn)(struct span text, uint64_t max, uint64_t *out);

static void run_cases(parse_fn parse, const struct number_case *cases, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint64_t got = 77;
        bool ok = parse(span_of(cases[i].text), cases[i].max, &got);

        if (ok != cases[i].ok || got != (cases[i].ok ? cases[i].want : 77))
            fail_msg("\"%s\": %d, %llu", cases[i].text, ok, (unsigned long long)got);
    }
}

static void parses_decimal(void **state)
{
    static const struct number_case cases[] = {
        {"0", 0, true, 0},
        {"65535", 65535, true, 65535},
        {"65536", 65535, false, 0},
        {"007", 7, true, 7},
        {"18446744073709551615", UINT64_MAX, true, UINT64_MAX},
        {"18446744073709551616", UINT64_MAX, false, 0},
        {"99999999999999999999999", UINT64_MAX, false, 0},
        {"", 9, false, 0},
        {"+1", 9, false, 0},
        {"-1", 9, false, 0},
        {" 1", 9, false, 0},
        {"1 ", 9, false, 0},
        {"0x1", 9, false, 0},
        {"\xb2", 9, false, 0},
    };

    (void)state;
    run_cases(num_parse_u64, cases, ARRAY_LEN(cases));
}

static void parses_hexadecimal(void **state)
{
    static const struct number_case cases[] = {
        {"0", 0, true, 0},
        {"fF", 255, true, 255},
        {"100", 255, false, 0},
        {"ffffffffffffffff", UINT64_MAX, true, UINT64_MAX},
        {"10000000000000000", UINT64_MAX, false, 0},
        {"", 9, false, 0},
        {"0x1", 99, false, 0},
        {"g", 99, false, 0},
        {"1;a", 99, false, 0},
    };

    (void)state;
    run_cases(num_parse_hex, cases, ARRAY_LEN(cases));
}

static void parses_sizes(void **state)
{
    static const struct number_case cases[] = {
        {"0", 0, true, 0},
        {"32k", UINT64_MAX, true, 32768},
        {"2G", UINT64_MAX, true, 2ull << 30},
        {"10m", 10u << 20, true, 10u << 20},
        {"11m", 10u << 20, false, 0},
        {"17179869183g", UINT64_MAX, true, 17179869183ull << 30},
        {"17179869184g", UINT64_MAX, false, 0},
        {"k", UINT64_MAX, false, 0},
        {"1kk", UINT64_MAX, false, 0},
        {"1t", UINT64_MAX, false, 0},
        {"", UINT64_MAX, false, 0},
    };

    (void)state;
    run_cases(num_parse_size, cases, ARRAY_LEN(cases));
}

static void parses_durations(void **state)
{
    static const struct number_case cases[] = {
        {"0", 0, true, 0},
        {"3", UINT64_MAX, true, 3 * NS_PER_S},
        {"250ms", UINT64_MAX, true, 250 * NS_PER_MS},
        {"10s", UINT64_MAX, true, 10 * NS_PER_S},
        {"5m", UINT64_MAX, true, 300 * NS_PER_S},
        {"1h", 3600 * NS_PER_S, true, 3600 * NS_PER_S},
        {"61m", 3600 * NS_PER_S, false, 0},
        {"30d", UINT64_MAX, true, 30 * 86400 * NS_PER_S},
        {"999999999999d", UINT64_MAX, false, 0},
        {"ms", UINT64_MAX, false, 0},
        {"1us", UINT64_MAX, false, 0},
        {"1.5s", UINT64_MAX, false, 0},
        {"", UINT64_MAX, false, 0},
    };

    (void)state;
    run_cases(num_parse_duration, cases, ARRAY_LEN(cases));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parses_decimal),
        cmocka_unit_test(parses_hexadecimal),
        cmocka_unit_test(parses_sizes),
        cmocka_unit_test(parses_durations),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
