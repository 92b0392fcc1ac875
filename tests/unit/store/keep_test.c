/* What is removed, and in which order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "flows.h"
#include "store/bits.h"

#define DAY_NS (86400 * NS_PER_S)

/* Flow `n` ends a second after the one before; every tenth fails. */
static void add_numbered(struct history *h, unsigned n)
{
    char target[64], evidence[64];

    snprintf(target, sizeof target, "host%u.example:443", n % 7);
    snprintf(evidence, sizeof evidence, "number%u x%u y%u", n, n * 7919, n * 104729);
    add_flow(h, &(struct made){.id = n + 1,
                               .verdict = n % 10 ? VERDICT_OK : VERDICT_STALLED,
                               .target = target,
                               .evidence = evidence,
                               .ended_ns = WALL_NS + n * NS_PER_S});
}

static uint64_t size_of(const char *tail)
{
    char name[128];
    struct stat st;

    snprintf(name, sizeof name, "%s%s", path, tail);
    return stat(name, &st) == 0 ? (uint64_t)st.st_size : 0;
}

static uint64_t count_tallied(void);

static void too_old_flows_go(void **state)
{
    static struct found_ids f;
    struct browse_query q = {0};
    struct history *h = open_history(3600 * NS_PER_S, 0);
    uint64_t wall_ns = 0;
    unsigned oldest;

    (void)state;
    for (unsigned n = 0; n < 10000; n++) {
        add_numbered(h, n);
        wall_ns = WALL_NS + n * NS_PER_S;
        if (n % 20 == 19)
            commit_flows(h, wall_ns);
    }
    find_ids(&f, &q);
    oldest = (unsigned)f.ids[f.len - 1] - 1;
    assert_true(oldest >= 10000 - 3600 - 120 && oldest <= 10000 - 3600); /* within two minutes */
    assert_int_equal(f.len, 10000 - oldest);
    /* an hour later, without a new flow, all are gone, those behind the last block too */
    commit_flows(h, wall_ns + 3700 * NS_PER_S);
    find_ids(&f, &q);
    assert_int_equal(f.len, 0);
    assert_int_equal(count_tallied(), 0);
    add_numbered(h, 20000);
    commit_flows(h, WALL_NS + 20000 * NS_PER_S);
    history_close(h);
    h = open_history(3600 * NS_PER_S, 0);
    add_numbered(h, 20001);
    commit_flows(h, WALL_NS + 20001 * NS_PER_S);
    find_ids(&f, &q);
    assert_int_equal(f.len, 2);
    history_close(h);
}

struct tallied {
    uint64_t flows;
};

static bool add_tally(void *arg, const struct tally_row *row)
{
    ((struct tallied *)arg)->flows += row->flows;
    return true;
}

static uint64_t count_tallied(void)
{
    struct browse_sums q = {TALLY_VERDICT, 0, INT64_MAX, false, false, 0};
    struct browse *b = open_browse();
    struct tallied t = {0};
    struct err err;

    assert_true(browse_sum(b, &q, add_tally, &t, &err));
    browse_close(b);
    return t.flows;
}

/* Flows come without end: the file stays below its limit at every commit, the failures reach back
 * further than the others, what is found is what is there, and the tallies have counted all. */
static void the_file_stays_below_its_limit(void **state)
{
    static struct found_ids f;
    static const uint64_t limits[] = {1 << 20, 3 << 20, 7 << 20};
    struct browse_query failures = {.failed = true},
                        fine = {.verdicts = (const char *[]){"ok"}, .verdicts_len = 1};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(limits); i++) {
        unsigned flows = 30000, oldest_fine;
        struct history *h = open_history(0, limits[i]);
        struct err err;

        for (unsigned n = 0; n < flows; n++) {
            add_numbered(h, n);
            if (n % 50 == 49 || history_is_full(h)) {
                commit_flows(h, WALL_NS + n * NS_PER_S);
                if (size_of("") + size_of("-wal") > limits[i])
                    fail_msg("%llu bytes of %llu after %u flows",
                             (unsigned long long)(size_of("") + size_of("-wal")),
                             (unsigned long long)limits[i], n);
            }
        }
        assert_int_equal(history_settle(h, WALL_NS + flows * NS_PER_S, &err), FAULT_NONE);
        find_ids(&f, &fine);
        if (f.len == 0 || f.len >= 27000)
            fail_msg("%u flows that are fine are left in %llu bytes", f.len,
                     (unsigned long long)limits[i]);
        oldest_fine = (unsigned)f.ids[f.len - 1] - 1;
        for (unsigned n = 1; n < f.len; n++) /* no hole */
            assert_in_range(f.ids[n - 1] - f.ids[n], 1, 2);
        find_ids(&f, &failures);
        assert_true(f.ids[f.len - 1] - 1 < oldest_fine);
        for (unsigned n = 1; n < f.len; n++)
            assert_int_equal(f.ids[n], f.ids[n - 1] - 10);
        if (limits[i] == limits[2]) {
            assert_int_equal(f.len, 3000); /* there is room for all of them */
            assert_int_equal(count_tallied(), flows);
        }
        history_close(h);
        remove_folder(state);
        make_folder(state);
    }
}

static void failures_are_found_after_the_others_went(void **state)
{
    static struct found_ids f;
    struct browse_query q = {.text = "number100"}, gone = {.text = "number101"};
    struct history *h = open_history(0, 6 << 20);

    (void)state;
    for (unsigned n = 0; n < 30000; n++) {
        add_numbered(h, n);
        if (n % 500 == 499)
            commit_flows(h, WALL_NS + n * NS_PER_S);
    }
    commit_flows(h, WALL_NS);
    find_ids(&f, &q);
    assert_int_equal(f.len, 1);
    assert_int_equal(f.ids[0], 101);
    find_ids(&f, &gone);
    assert_int_equal(f.len, 0);
    history_close(h);
}

/* A smaller limit after a reload: the file shrinks, a part of it with each commit. */
static void a_smaller_limit_makes_the_file_smaller(void **state)
{
    struct history *h = open_history(0, 0);

    (void)state;
    for (unsigned n = 0; n < 30000; n++)
        add_numbered(h, n);
    commit_flows(h, WALL_NS);
    assert_true(size_of("") + size_of("-wal") > 4 << 20);
    history_set_limits(h, &(struct history_limits){0, 2 << 20});
    for (unsigned i = 0; i < 100; i++)
        commit_flows(h, WALL_NS + i * NS_PER_S);
    history_close(h);
    assert_true(size_of("") < 2 << 20);
    assert_true(size_of("") > 1 << 20);
}

/* The clock may step: what was recorded later stays later. */
static void a_clock_that_steps_back_spoils_nothing(void **state)
{
    static struct found_ids f;
    struct browse_query q = {0};
    struct history *h = open_history(30 * DAY_NS, 0);

    (void)state;
    add_numbered(h, 100000);
    commit_flows(h, WALL_NS + 100000 * NS_PER_S);
    add_numbered(h, 5);
    commit_flows(h, WALL_NS + 5 * NS_PER_S);
    find_ids(&f, &q);
    assert_int_equal(f.len, 2);
    assert_int_equal(f.ids[0], 6);
    history_close(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(too_old_flows_go, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(the_file_stays_below_its_limit, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(failures_are_found_after_the_others_went, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(a_smaller_limit_makes_the_file_smaller, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(a_clock_that_steps_back_spoils_nothing, make_folder,
                                        remove_folder),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
