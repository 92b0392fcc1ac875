/* Bytes over time: few points, whatever is added, and none that says something else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/util.h"
#include "capture/series.h"
#include "packets.h"

#define MIB (1024u * 1024)

static void keeps_few_points(void **state)
{
    struct series *s = NULL;
    uint64_t budget = MIB;

    for (unsigned i = 0; i < 10; i++)
        series_add(&s, &budget,
                   &(struct series_event){i * NS_PER_MS, i * 1000, i & 1, SERIES_DATA});
    assert_int_equal(s->len, 10);
    assert_int_equal(s->cap, 16);
    assert_int_equal(s->step_us, 0);
    assert_int_equal(s->points[9].at_us, 9000);
    assert_int_equal(s->points[9].bytes_kb * s->unit, 9000);
    assert_int_equal(s->points[9].dir, 1);
    series_free(&s, &budget);
    assert_int_equal(budget, MIB);
    assert_null(s);
}

static void thins_out(void **state)
{
    struct series *s = NULL;
    uint64_t budget = MIB;

    for (unsigned i = 0; i < 1000000; i++)
        series_add(&s, &budget,
                   &(struct series_event){i * 10 * NS_PER_US, i * 1460ull, 1,
                                          i == 4000 ? SERIES_RST : SERIES_DATA});
    assert_true(s->len > SERIES_POINTS_MAX / 4 && s->len <= SERIES_POINTS_MAX);
    assert_true(budget >= MIB - sizeof(struct series) - 512 * sizeof(struct series_point));
    unsigned resets = 0;
    for (uint32_t i = 0; i < s->len; i++) {
        resets += s->points[i].mark == SERIES_RST;
        if (i > 0)
            assert_true(s->points[i].at_us - s->points[i - 1].at_us >= s->step_us &&
                        s->points[i].bytes_kb > s->points[i - 1].bytes_kb);
    }
    assert_int_equal(resets, 1); /* the graver one stays */
    assert_int_equal((uint64_t)s->points[s->len - 1].bytes_kb * s->unit, 999999 * 1460ull);
    series_free(&s, NULL);
}

/* Both directions at once, at one moment, at the end of time, of huge sizes. */
static void takes_anything(void **state)
{
    struct series *s = NULL;
    uint64_t budget = MIB, state_64 = 1;

    for (unsigned i = 0; i < 100000; i++) {
        uint64_t r = state_64 = state_64 * 6364136223846793005ull + 1442695040888963407ull;

        series_add(&s, &budget,
                   &(struct series_event){i < 50000 ? (r >> 20) & 0xffff : r, r >> (r & 63), r & 1,
                                          (enum series_mark)(r >> 33) % (SERIES_RST + 1)});
        assert_true(s->len <= s->cap && s->cap <= SERIES_POINTS_MAX);
        assert_true(s->len < 2 || s->points[s->len - 1].at_us >= s->points[s->len - 2].at_us);
        assert_true((s->unit & (s->unit - 1)) == 0 && s->unit);
    }
    series_free(&s, &budget);
}

static void keeps_to_its_budget(void **state)
{
    struct series *s = NULL;
    uint64_t budget = 0;

    series_add(&s, &budget, &(struct series_event){0, 0, 0, SERIES_DATA});
    assert_null(s);
    budget = sizeof(struct series) + 8 * sizeof(struct series_point);
    for (unsigned i = 0; i < 1000; i++)
        series_add(&s, &budget, &(struct series_event){i * 5 * NS_PER_MS, i, i & 1, SERIES_DATA});
    assert_int_equal(s->cap, 8);
    assert_int_equal(budget, 0);
    series_free(&s, &budget);
}

static struct series *plot;

static void take_plot(void *owner, struct conn *c, enum conn_end how, uint64_t now_ns)
{
    plot = c->plot;
    c->plot = NULL;
}

/* What connections draw. */
static void connections_are_drawn(void **state)
{
    static const struct series_point want[] = {
        {3000, 100, UP, SERIES_DATA},          {4000, 50, DOWN, SERIES_DATA},
        {203000, 0, UP, SERIES_RETRANSMITTED}, {204000, 100, UP, SERIES_CLOSED},
        {205000, 100, UP, SERIES_OPENED},      {206000, 100, UP, SERIES_FIN},
        {207000, 50, DOWN, SERIES_RST},
    };
    struct packets packets = PACKETS_INIT;
    struct heard heard = {0};
    struct conn_events events = heard_events(&heard);
    struct conn_table *t;

    events.ended = take_plot;
    t = conn_table_new(&(struct conn_options){.series = true}, &events);
    packets_play(&packets,
                 PACKETS_HANDSHAKE "3 U PA 1 1 len=100\n4 D PA 1 1 len=50\n203 U PA 1 51 len=100\n"
                                   "204 D A 51 101 win=0\n205 D A 51 101\n206 U FA 101 51\n"
                                   "207 D R 51 0",
                 t);
    conn_table_finish(t, packets.begin_ns);
    assert_non_null(plot);
    assert_int_equal(plot->len, ARRAY_LEN(want));
    for (size_t i = 0; i < ARRAY_LEN(want); i++) {
        assert_int_equal(plot->points[i].at_us, want[i].at_us);
        assert_int_equal(plot->points[i].bytes_kb * plot->unit, want[i].bytes_kb);
        assert_int_equal(plot->points[i].dir, want[i].dir);
        assert_int_equal(plot->points[i].mark, want[i].mark);
    }
    series_free(&plot, NULL);
    conn_table_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_few_points),      cmocka_unit_test(thins_out),
        cmocka_unit_test(takes_anything),        cmocka_unit_test(keeps_to_its_budget),
        cmocka_unit_test(connections_are_drawn),
    };

    return cmocka_run_group_tests_name("capture/series", tests, NULL, NULL);
}
