/* The tallies of a database, and their reader. */
#include "store/tally.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "flows.h"

#define MINUTE ((int64_t)(WALL_NS / (60 * NS_PER_S)))

struct sums {
    unsigned len;
    struct {
        char name[64];
        int64_t minute;
        uint64_t flows, failures, up;
    } rows[200];
};

static bool keep_sum(void *arg, const struct tally_row *row)
{
    struct sums *s = arg;

    snprintf(s->rows[s->len].name, sizeof s->rows[0].name, "%.*s", (int)row->name.len,
             row->name.ptr);
    s->rows[s->len].minute = row->minute;
    s->rows[s->len].flows = row->flows;
    s->rows[s->len].failures = row->failures;
    s->rows[s->len++].up = row->bytes_up;
    return s->len < ARRAY_LEN(s->rows);
}

static void ask(struct sums *s, struct browse_sums q)
{
    struct browse *b = open_browse();
    struct err err;

    s->len = 0;
    assert_true(browse_sum(b, &q, keep_sum, s, &err));
    browse_close(b);
}

static void settle(struct history *h)
{
    struct err err;

    assert_int_equal(history_settle(h, WALL_NS, &err), FAULT_NONE);
    assert_true(history_is_settled(h));
}

static void flows_are_counted_by_minute(void **state)
{
    struct history *h = open_history(0, 0);
    struct sums s;

    (void)state;
    for (unsigned i = 0; i < 30; i++)
        add_flow(h, &(struct made){.id = i + 1,
                                   .verdict = i % 3 ? VERDICT_OK : VERDICT_STALLED,
                                   .client = "10.0.0.1",
                                   .target = i % 2 ? "a.example:443" : "b.example:443",
                                   .ended_ns = WALL_NS + i / 10 * 60 * NS_PER_S});
    add_flow(h, &(struct made){.id = 99,
                               .verdict = VERDICT_AUTH_REQUIRED,
                               .superseded_by = 100,
                               .ended_ns = WALL_NS});
    settle(h);
    ask(&s, (struct browse_sums){TALLY_VERDICT, MINUTE, MINUTE + 3, true, true, 0});
    assert_int_equal(s.len, 3); /* the 407 that was answered is no failure */
    for (unsigned i = 0; i < 3; i++) {
        assert_string_equal(s.rows[i].name, "stalled");
        assert_int_equal(s.rows[i].minute, MINUTE + i);
        assert_int_equal(s.rows[i].failures, i == 0 ? 4 : 3);
    }
    ask(&s, (struct browse_sums){TALLY_VERDICT, MINUTE, MINUTE + 3, false, false, 0});
    assert_int_equal(s.len, 3);
    assert_string_equal(s.rows[0].name, "ok");
    assert_int_equal(s.rows[0].flows, 20);
    assert_int_equal(s.rows[0].up, 20);
    ask(&s, (struct browse_sums){TALLY_TARGET, MINUTE, MINUTE + 1, false, false, 1});
    assert_int_equal(s.len, 1);
    assert_int_equal(s.rows[0].flows, 5);
    ask(&s, (struct browse_sums){TALLY_USER, MINUTE, MINUTE + 3, false, false, 0});
    assert_int_equal(s.len, 0);
    ask(&s, (struct browse_sums){TALLY_CLIENT, MINUTE - 60, MINUTE, false, false, 0});
    assert_int_equal(s.len, 0);
    history_close(h);
}

/* A hundred names at once, in each of two commits of one minute: 64 have rows, and the sum is
 * whole.
 */
static void names_of_a_minute_have_a_maximum(void **state)
{
    struct history *h = open_history(0, 0);
    uint64_t flows = 0;
    struct sums s;

    (void)state;
    for (unsigned round = 0; round < 2; round++) {
        for (unsigned i = 0; i < 300; i++) {
            char target[64];

            snprintf(target, sizeof target, "host%u.example:443",
                     i < 100 ? i + round * 1000 : i % 3);
            add_flow(h, &(struct made){.id = i + 1, .target = target, .ended_ns = WALL_NS});
        }
        settle(h);
    }
    ask(&s, (struct browse_sums){TALLY_TARGET, MINUTE, MINUTE + 1, false, false, 0});
    assert_int_equal(s.len, TALLY_NAMES + 1);
    for (unsigned i = 0; i < s.len; i++)
        flows += s.rows[i].flows;
    assert_int_equal(flows, 600);
    assert_string_equal(s.rows[1].name, "host1.example:443"); /* the busiest are among them */
    assert_int_equal(s.rows[1].flows, 135);
    history_close(h);
}

/* Tallies are written five seconds late; a crash before loses none. */
static void tallies_outlive_a_crash(void **state)
{
    struct history *h = open_history(0, 0);
    struct sums s;

    (void)state;
    commit_flows(h, WALL_NS);
    for (unsigned i = 0; i < 10; i++)
        add_flow(h, &(struct made){.id = i + 1, .ended_ns = WALL_NS});
    commit_flows(h, WALL_NS + NS_PER_S);
    assert_false(history_is_settled(h));
    ask(&s, (struct browse_sums){TALLY_VERDICT, MINUTE, MINUTE + 1, false, false, 0});
    assert_int_equal(s.len, 0);
    history_close(h);
    h = open_history(0, 0);
    settle(h);
    history_close(h);
    h = open_history(0, 0); /* and none is counted twice */
    settle(h);
    history_close(h);
    ask(&s, (struct browse_sums){TALLY_VERDICT, MINUTE, MINUTE + 1, false, false, 0});
    assert_int_equal(s.len, 1);
    assert_int_equal(s.rows[0].flows, 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(flows_are_counted_by_minute, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(names_of_a_minute_have_a_maximum, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(tallies_outlive_a_crash, make_folder, remove_folder),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
