#include "flow/phase.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/util.h"

static void phases_are_the_published_ones(void **state)
{
    static const char *const names[] = {"resolve", "connect",  "proxy-tls", "request", "answer",
                                        "tls",     "exchange", "transfer",  "close"};

    (void)state;
    assert_int_equal(ARRAY_LEN(names), PHASE_COUNT);
    for (unsigned p = 0; p < PHASE_COUNT; p++) {
        assert_string_equal(phase_name((enum phase)p), names[p]);
        assert_true(*phase_sentence((enum phase)p));
    }
}

static void steps_are_the_published_ones(void **state)
{
    static const char *const names[] = {"authenticate", "authorize", "resolve", "dial", "parent"};

    (void)state;
    assert_int_equal(ARRAY_LEN(names), STEP_KIND_COUNT);
    for (unsigned s = 0; s < STEP_KIND_COUNT; s++) {
        assert_string_equal(phase_step_name((enum step_kind)s), names[s]);
        assert_true(*phase_step_sentence((enum step_kind)s));
    }
}

static void outcomes_are_the_published_ones(void **state)
{
    static const char *const names[] = {"", "ok", "failed", "skipped", "unknown"};

    (void)state;
    assert_int_equal(ARRAY_LEN(names), OUTCOME_COUNT);
    for (unsigned o = 0; o < OUTCOME_COUNT; o++)
        assert_string_equal(phase_outcome_name((enum outcome)o), names[o]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(phases_are_the_published_ones),
        cmocka_unit_test(steps_are_the_published_ones),
        cmocka_unit_test(outcomes_are_the_published_ones),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
