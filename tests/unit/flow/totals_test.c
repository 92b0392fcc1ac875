#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/util.h"
#include "flow/totals.h"

/* A flow that began at second 100, and answered after `us`. */
static void count(struct totals_book *b, enum verdict v, const char *rule, uint64_t us,
                  const char *reported)
{
    struct flow f = {0};

    flow_begin(&f, SOURCE_SERVE, 1, 0, 100 * NS_PER_S);
    flow_phase(&f, PHASE_ANSWER, 0);
    flow_step(&f, STEP_KIND_DIAL, us * NS_PER_US);
    flow_set_text(&f.rule, rule);
    if (reported)
        flow_note(&f, NOTE_REPORTED, 0, "%s", reported);
    flow_warn(&f, WARNING_RETRANSMISSIONS, "3");
    f.bytes_up = 10;
    f.bytes_down = 100;
    flow_end(&f, v, SIDE_CLIENT, CERTAINTY_SEEN, us * NS_PER_US);
    totals_add(b, &f);
    flow_fini(&f);
}

static void flows_are_counted(void **state)
{
    struct totals_book b;
    struct totals t;

    (void)state;
    totals_init(&b);
    count(&b, VERDICT_OK, "updates", 1000, NULL);
    count(&b, VERDICT_OK, "updates", 1001, "trial");
    count(&b, VERDICT_ACL_DENIED, "social", 70000000, "trial");
    assert_true(totals_read(&b, &t));
    assert_int_equal(t.flows[VERDICT_OK], 2);
    assert_int_equal(t.flows[VERDICT_ACL_DENIED], 1);
    assert_int_equal(t.flows[VERDICT_STALLED], 0);
    assert_int_equal(t.bytes_up, 30);
    assert_int_equal(t.bytes_down, 300);
    assert_int_equal(t.warnings[WARNING_RETRANSMISSIONS], 3);
    assert_int_equal(t.warnings[WARNING_REDIRECT], 0);
    assert_int_equal(t.phases[PHASE_ANSWER].count, 3);
    assert_int_equal(t.phases[PHASE_ANSWER].sum_us, 70002001);
    assert_int_equal(t.phases[PHASE_ANSWER].buckets[1], 1); /* a bound belongs to its bucket */
    assert_int_equal(t.phases[PHASE_ANSWER].buckets[2], 1);
    assert_int_equal(t.phases[PHASE_ANSWER].buckets[TOTALS_BUCKETS - 1], 1);
    assert_int_equal(t.phases[PHASE_TLS].count, 0);
    assert_int_equal(t.steps[STEP_KIND_DIAL].count, 3);
    assert_int_equal(t.steps[STEP_KIND_RESOLVE].count, 0);
    assert_int_equal(t.rules_len, 3);
    assert_string_equal(t.rules[0].name, "updates");
    assert_int_equal(t.rules[0].hits, 2);
    assert_int_equal(t.rules[0].denied, 0);
    assert_string_equal(t.rules[1].name, "trial");
    assert_int_equal(t.rules[1].hits, 0);
    assert_int_equal(t.rules[1].reports, 2);
    assert_int_equal(t.rules[2].denied, 1);
    assert_int_equal(t.rules[2].last_ns, 170 * NS_PER_S);
    totals_free(&t);
    totals_fini(&b);
}

static void names_of_rules_are_bounded(void **state)
{
    struct totals_book b;
    struct totals t;
    uint64_t hits = 0;

    (void)state;
    totals_init(&b);
    for (unsigned i = 0; i < TOTALS_RULES_MAX + 50; i++) {
        char name[32];

        snprintf(name, sizeof name, "rule-%u", i);
        count(&b, VERDICT_OK, name, 1, NULL);
    }
    assert_true(totals_read(&b, &t));
    assert_int_equal(t.rules_len, TOTALS_RULES_MAX + 1);
    for (unsigned i = 0; i < t.rules_len; i++)
        hits += t.rules[i].hits;
    assert_int_equal(hits, TOTALS_RULES_MAX + 50);
    assert_string_equal(t.rules[TOTALS_RULES_MAX].name, "");
    assert_int_equal(t.rules[TOTALS_RULES_MAX].hits, 50);
    totals_free(&t);
    totals_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(flows_are_counted),
        cmocka_unit_test(names_of_rules_are_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
