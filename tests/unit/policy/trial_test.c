#include "policy/trial.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/util.h"

#define NOW (1000 * NS_PER_S)
#define SOON (NOW + 2 * NS_PER_S)
#define MINE 7
#define OTHERS 8

static void marks_tell_credentials_apart(void **state)
{
    struct span a[] = {SPAN_LIT("p:80"), SPAN_LIT("user"), SPAN_LIT("password")};
    struct span b[] = {SPAN_LIT("p:80"), SPAN_LIT("userp"), SPAN_LIT("assword")};
    struct span c[] = {SPAN_LIT("p:80"), SPAN_LIT("user"), SPAN_LIT("Password")};

    (void)state;
    assert_true(trial_mark(a, ARRAY_LEN(a)) == trial_mark(a, ARRAY_LEN(a)));
    assert_true(trial_mark(a, ARRAY_LEN(a)) != trial_mark(b, ARRAY_LEN(b)));
    assert_true(trial_mark(a, ARRAY_LEN(a)) != trial_mark(c, ARRAY_LEN(c)));
    assert_true(trial_mark(NULL, 0) != 0);
}

static void a_refusal_holds_for_its_credentials_and_its_time(void **state)
{
    struct trial t = {0};

    (void)state;
    assert_false(trial_is_held(&t, MINE, NOW));
    trial_refuse(&t, MINE, SOON);
    assert_true(trial_is_held(&t, MINE, NOW));
    assert_false(trial_is_held(&t, OTHERS, NOW));
    assert_false(trial_is_held(&t, MINE, SOON));
}

static void what_is_refused_is_no_longer_proved(void **state)
{
    struct trial t = {0};

    (void)state;
    assert_false(trial_is_proved(&t, MINE));
    trial_prove(&t, MINE);
    assert_true(trial_is_proved(&t, MINE));
    assert_false(trial_is_proved(&t, OTHERS));
    trial_refuse(&t, OTHERS, SOON); /* of settings that were replaced */
    assert_true(trial_is_proved(&t, MINE));
    trial_refuse(&t, MINE, SOON);
    assert_false(trial_is_proved(&t, MINE));
}

static void one_tries_until_it_is_through_or_takes_too_long(void **state)
{
    struct trial t = {0};

    (void)state;
    assert_true(trial_take(&t, NOW, SOON));
    assert_false(trial_take(&t, NOW + 1, SOON + 1));
    trial_give_back(&t, SOON);
    assert_true(trial_take(&t, NOW + 2, SOON + 2));
    assert_true(trial_take(&t, SOON + 2, SOON + NS_PER_S));
    trial_give_back(&t, SOON + 2); /* who was too slow does not end the next one's turn */
    assert_false(trial_take(&t, SOON + 3, SOON + 2 * NS_PER_S));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(marks_tell_credentials_apart),
        cmocka_unit_test(a_refusal_holds_for_its_credentials_and_its_time),
        cmocka_unit_test(what_is_refused_is_no_longer_proved),
        cmocka_unit_test(one_tries_until_it_is_through_or_takes_too_long),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
