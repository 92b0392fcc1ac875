/* capture/timeline: time never runs backwards, and steps of the clock are no silences. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/util.h"
#include "capture/timeline.h"

#define DAY 1700000000ull /* some time, in seconds */

/* Clock and line in milliseconds behind DAY; ends with a line of 0. */
struct moment {
    int64_t clock_ms, line_ms;
};

static void check(const char *name, const struct moment *moments, unsigned steps)
{
    struct timeline t = {0};

    for (const struct moment *m = moments; m->line_ms; m++) {
        uint64_t clock_ns = (uint64_t)((int64_t)DAY * 1000 + m->clock_ms) * NS_PER_MS;
        uint64_t got = timeline_place(&t, clock_ns) / NS_PER_MS - DAY * 1000;

        if ((int64_t)got != m->line_ms)
            fail_msg("%s: %lld became %lld, not %lld", name, (long long)m->clock_ms, (long long)got,
                     (long long)m->line_ms);
    }
    assert_int_equal(t.back_steps, steps);
}

static void the_line_follows_the_clock_but_never_back(void **state)
{
    static const struct moment even[] = {{100, 100}, {100, 100}, {5000, 5000}, {90000, 90000}, {0}};
    static const struct moment disorder[] = {
        {5000, 5000}, {4001, 5000}, {4999, 5000}, {5001, 5001}, {0}};
    static const struct moment set_back[] = {{9000000, 9000000}, {5000000, 9000000},
                                             {5000100, 9000100}, {5004100, 9004100},
                                             {5004000, 9004100}, {0}};
    static const struct moment twice[] = {{90000, 90000}, {50000, 90000}, {51000, 91000},
                                          {20000, 91000}, {21000, 92000}, {0}};
    static const struct moment late_packet[] = {
        {90000, 90000}, {80000, 90000}, {90001, 90001}, {90002, 90002}, {0}};
    static const struct moment two_clocks[] = {{90000, 90000}, {87000, 90000}, {90010, 90010},
                                               {87020, 90010}, {90030, 90030}, {0}};
    static const struct moment silence_after[] = {
        {90000, 90000}, {50000, 90000}, {50100, 90100}, {60100, 100100}, {0}};

    (void)state;
    check("even", even, 0);
    check("disorder", disorder, 0);
    check("set back", set_back, 1);
    check("set back twice", twice, 2);
    check("a late packet", late_packet, 1);
    check("two clocks", two_clocks, 2);
    check("a silence after", silence_after, 1);
}

static void a_capture_may_begin_at_nought(void **state)
{
    struct timeline t = {0};

    (void)state;
    assert_int_equal(timeline_place(&t, 0), NS_PER_S);
    assert_int_equal(timeline_place(&t, 5), NS_PER_S + 5);
}

static void a_bridge_stays_once_it_is_old(void **state)
{
    struct timeline t = {0};

    (void)state;
    timeline_place(&t, 100 * NS_PER_S);
    timeline_place(&t, 90 * NS_PER_S);
    for (unsigned i = 0; i < 200; i++)
        timeline_place(&t, 90 * NS_PER_S + i);
    assert_int_equal(timeline_place(&t, 120 * NS_PER_S), 130 * NS_PER_S);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_line_follows_the_clock_but_never_back),
        cmocka_unit_test(a_capture_may_begin_at_nought),
        cmocka_unit_test(a_bridge_stays_once_it_is_old),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
