#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/util.h"
#include "net/wheel.h"

#define TICK WHEEL_TICK_NS
#define REACH (1ull << (6 * WHEEL_LEVELS)) /* ticks that the levels span */

/* What the wheel promises of one timer: not early, late by a tick at most, when it is looked at as
 * often as it asks to be.  Returns how many looks that took. */
static unsigned follow(struct wheel *w, struct wheel_timer *t, uint64_t now)
{
    unsigned looks = 0;

    for (;;) {
        uint64_t next = wheel_next_ns(w);
        struct wheel_timer *due;

        assert_true(next < t->deadline_ns + TICK); /* not after the deadline's tick */
        assert_true(next > now || looks == 0);     /* never again for a moment that is over */
        now = next > now ? next : now;
        due = wheel_next_due(w, now);
        looks++;
        if (!due)
            continue;
        assert_ptr_equal(due, t);
        assert_true(now >= t->deadline_ns);
        assert_false(wheel_is_armed(t));
        assert_null(wheel_next_due(w, now));
        return looks;
    }
}

/* Distances around every border of every level, from starts around them too. */
static void every_distance_is_met(void **state)
{
    static const uint64_t starts[] = {0,    1,    62,        63,    64,
                                      4095, 4096, REACH - 1, REACH, 3 * REACH + 77};
    static const uint64_t distances[] = {
        0,        1,      2,      62,     63,        64,    65,        127,
        128,      4031,   4032,   4095,   4096,      4097,  8191,      8192,
        65536,    262143, 262144, 262145, REACH - 1, REACH, REACH + 1, 2 * REACH + 5,
        5 * REACH};
    static const uint64_t parts[] = {0, 1, TICK - 1}; /* of a tick */

    (void)state;
    for (unsigned s = 0; s < ARRAY_LEN(starts); s++)
        for (unsigned d = 0; d < ARRAY_LEN(distances); d++)
            for (unsigned p = 0; p < ARRAY_LEN(parts); p++) {
                uint64_t now = starts[s] * TICK + TICK / 2;
                struct wheel_timer t = {0};
                struct wheel w;

                wheel_init(&w, now);
                wheel_arm(&w, &t, (starts[s] + distances[d]) * TICK + parts[p]);
                assert_true(wheel_is_armed(&t));
                assert_in_range(follow(&w, &t, now), 1,
                                64); /* a look a level and turn, not a tick */
                assert_int_equal(wheel_next_ns(&w), UINT64_MAX);
            }
}

static void a_look_long_after_finds_all(void **state)
{
    struct wheel_timer timers[200] = {0};
    struct wheel w;
    unsigned fired = 0;

    (void)state;
    wheel_init(&w, 5 * TICK);
    for (unsigned i = 0; i < ARRAY_LEN(timers); i++)
        wheel_arm(&w, &timers[i], (uint64_t)i * i * i * TICK);
    while (wheel_next_due(&w, 10000000 * TICK))
        fired++;
    assert_int_equal(fired, ARRAY_LEN(timers));
    assert_int_equal(wheel_next_ns(&w), UINT64_MAX);
}

static void cancelled_ones_never_come(void **state)
{
    struct wheel_timer gone = {0}, kept = {0};
    struct wheel w;

    (void)state;
    wheel_init(&w, 0);
    wheel_cancel(&gone); /* never armed: harmless */
    wheel_arm(&w, &gone, 10 * TICK);
    wheel_arm(&w, &kept, 5000 * TICK);
    wheel_cancel(&gone);
    wheel_cancel(&gone);
    assert_false(wheel_is_armed(&gone));
    follow(&w, &kept, 0);
}

static void the_last_arming_counts(void **state)
{
    static const uint64_t moves[][2] = {{10, 5000}, {5000, 10}, {10, 11}, {300000, 2}, {7, 7}};

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(moves); i++) {
        struct wheel_timer t = {0};
        struct wheel w;

        wheel_init(&w, 0);
        wheel_arm(&w, &t, moves[i][0] * TICK);
        wheel_arm(&w, &t, moves[i][1] * TICK);
        assert_int_equal(t.deadline_ns, moves[i][1] * TICK);
        follow(&w, &t, 0);
    }
}

/* A near slot of a far level may lie before a far slot of a near one. */
static void the_earliest_of_all_levels_is_told(void **state)
{
    static const struct {
        uint64_t early, late; /* `late` is armed when `early` is only just in a higher level */
    } rows[] = {{64, 126}, {100, 126}, {4096, 8127}, {4100, 8190}, {262144, 520000}};

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        struct wheel_timer early = {0}, late = {0};
        struct wheel w;
        uint64_t now = (rows[i].early & ~63ull) * TICK - TICK;

        wheel_init(&w, 0);
        wheel_arm(&w, &early, rows[i].early * TICK);
        assert_null(wheel_next_due(&w, now));
        wheel_arm(&w, &late, rows[i].late * TICK);
        for (struct wheel_timer *due = NULL; !due; due = wheel_next_due(&w, now)) {
            now = wheel_next_ns(&w);
            assert_true(now < early.deadline_ns + TICK);
        }
        assert_false(wheel_is_armed(&early));
        assert_true(wheel_is_armed(&late));
    }
}

static void a_deadline_at_the_end_of_time_waits(void **state)
{
    struct wheel_timer t = {0};
    struct wheel w;

    (void)state;
    wheel_init(&w, 100 * TICK);
    wheel_arm(&w, &t, UINT64_MAX);
    assert_null(wheel_next_due(&w, 100 * TICK));
    assert_true(wheel_next_ns(&w) > 100 * TICK);
    assert_null(wheel_next_due(&w, 200 * TICK));
    assert_true(wheel_is_armed(&t));
}

/* ---- against a model: an array that is searched */

#define TIMERS 64

struct model {
    struct wheel wheel;
    struct wheel_timer timers[TIMERS];
    bool armed[TIMERS];
    uint64_t now, seed;
};

static uint64_t draw(struct model *m, uint64_t below)
{
    m->seed = m->seed * 6364136223846793005ull + 1442695040888963407ull;
    return (m->seed >> 20) % below;
}

static uint64_t earliest(const struct model *m)
{
    uint64_t at = UINT64_MAX;

    for (unsigned i = 0; i < TIMERS; i++)
        if (m->armed[i] && m->timers[i].deadline_ns < at)
            at = m->timers[i].deadline_ns;
    return at;
}

static void change_one(struct model *m)
{
    unsigned i = (unsigned)draw(m, TIMERS);
    uint64_t scale = 1ull << draw(m, 27);

    m->armed[i] = draw(m, 4) != 0;
    if (m->armed[i])
        wheel_arm(&m->wheel, &m->timers[i], m->now + draw(m, scale * TICK));
    else
        wheel_cancel(&m->timers[i]);
}

/* Takes what is due: each armed, not early; afterwards none is left whose tick is over. */
static void look(struct model *m)
{
    struct wheel_timer *t;

    while ((t = wheel_next_due(&m->wheel, m->now))) {
        unsigned i = (unsigned)(t - m->timers);

        assert_true(m->armed[i]);
        assert_true(t->deadline_ns <= m->now);
        m->armed[i] = false;
        if (draw(m, 8) == 0) { /* armed again from its own callback */
            m->armed[i] = true;
            wheel_arm(&m->wheel, t, m->now + 1 + draw(m, 1000 * TICK));
        }
    }
    assert_true(earliest(m) / TICK + 1 > m->now / TICK);
}

static void it_agrees_with_a_sorted_list(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 20; round++) {
        struct model m = {.seed = round, .now = round * 12345678901ull};

        wheel_init(&m.wheel, m.now);
        for (unsigned i = 0; i < 20000; i++) {
            uint64_t next;

            for (uint64_t n = draw(&m, 4); n > 0; n--)
                change_one(&m);
            next = wheel_next_ns(&m.wheel);
            if (earliest(&m) == UINT64_MAX)
                assert_true(next > 0); /* an early look for a cancelled one is allowed */
            else
                assert_true(next < earliest(&m) + TICK);
            if (draw(&m, 3) == 0) /* an event came before the timer */
                m.now += draw(&m, 50 * TICK);
            else if (next != UINT64_MAX && next > m.now)
                m.now = next;
            look(&m);
            assert_true(wheel_next_ns(&m.wheel) > m.now);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_distance_is_met),
        cmocka_unit_test(a_look_long_after_finds_all),
        cmocka_unit_test(cancelled_ones_never_come),
        cmocka_unit_test(the_last_arming_counts),
        cmocka_unit_test(the_earliest_of_all_levels_is_told),
        cmocka_unit_test(a_deadline_at_the_end_of_time_waits),
        cmocka_unit_test(it_agrees_with_a_sorted_list),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
