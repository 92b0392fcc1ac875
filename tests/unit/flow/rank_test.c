#include "flow/rank.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/util.h"

static void a_failure_has_a_rank_and_nothing_else_has(void **state)
{
    (void)state;
    for (unsigned v = 0; v < VERDICT_COUNT; v++)
        assert_int_equal(rank_of_verdict((enum verdict)v) == 0,
                         verdict_is_success((enum verdict)v));
}

static void an_answered_407_is_no_failure(void **state)
{
    struct flow f = {.verdict = VERDICT_AUTH_REQUIRED};

    (void)state;
    assert_true(rank_is_failure(&f));
    f.superseded_by = 2;
    assert_false(rank_is_failure(&f));
}

/* In the order in which they are to stand. */
static void the_worst_comes_first(void **state)
{
    static const struct flow order[] = {
        {.verdict = VERDICT_MTU_BLACKHOLE, .id = 9},
        {.verdict = VERDICT_STALLED, .certainty = CERTAINTY_SEEN, .id = 8},
        {.verdict = VERDICT_STALLED, .certainty = CERTAINTY_INFERRED, .id = 6},
        {.verdict = VERDICT_STALLED, .certainty = CERTAINTY_INFERRED, .id = 7},
        {.verdict = VERDICT_ACL_DENIED, .id = 2},
        {.verdict = VERDICT_TARGET_ERROR, .id = 1},
        {.verdict = VERDICT_OK, .warnings = 1, .id = 5},
        {.verdict = VERDICT_OK, .id = 3},
        {.verdict = VERDICT_OPEN, .id = 4},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(order); i++)
        for (size_t n = 0; n < ARRAY_LEN(order); n++) {
            int got = rank_compare(&order[i], &order[n]);

            assert_int_equal(got < 0 ? -1 : got > 0, i < n ? -1 : i > n);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_failure_has_a_rank_and_nothing_else_has),
        cmocka_unit_test(an_answered_407_is_no_failure),
        cmocka_unit_test(the_worst_comes_first),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
