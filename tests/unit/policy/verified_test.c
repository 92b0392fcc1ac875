#include "policy/verified.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/util.h"

#define NOW (1000 * NS_PER_S)

static void only_the_same_three_are_found_and_for_five_minutes(void **state)
{
    static const char *const others[][3] = {
        {"$2y$x", "user", "passwort"},
        {"$2y$x", "use", "rpassword"},
        {"$2y$y", "user", "password"},
        {"$2y$x", "user", ""},
    };
    unsigned char mark[VERIFIED_MARK_LEN], other[VERIFIED_MARK_LEN];
    struct verified v, w;

    (void)state;
    verified_init(&v);
    verified_init(&w);
    verified_mark(&v, "$2y$x", SPAN_LIT("user"), SPAN_LIT("password"), mark);
    assert_false(verified_find(&v, mark, NOW));
    verified_add(&v, mark, NOW);
    assert_true(verified_find(&v, mark, NOW));
    assert_true(verified_find(&v, mark, NOW + 299 * NS_PER_S));
    assert_false(verified_find(&v, mark, NOW + 300 * NS_PER_S));
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        verified_mark(&v, others[i][0], span_of(others[i][1]), span_of(others[i][2]), other);
        assert_false(verified_find(&v, other, NOW));
    }
    verified_mark(&w, "$2y$x", SPAN_LIT("user"), SPAN_LIT("password"), other);
    assert_memory_not_equal(mark, other, sizeof mark); /* each table has a key of its own */
}

static void the_oldest_makes_room(void **state)
{
    unsigned char marks[VERIFIED_WAYS + 1][VERIFIED_MARK_LEN] = {{0}};
    struct verified v;

    (void)state;
    verified_init(&v);
    for (unsigned i = 0; i <= VERIFIED_WAYS; i++) { /* all of one set */
        marks[i][VERIFIED_MARK_LEN - 1] = (unsigned char)i;
        verified_add(&v, marks[i], NOW + i);
    }
    assert_false(verified_find(&v, marks[0], NOW));
    for (unsigned i = 1; i <= VERIFIED_WAYS; i++)
        assert_true(verified_find(&v, marks[i], NOW));
    verified_add(&v, marks[1], NOW + 100); /* in its own place */
    for (unsigned i = 1; i <= VERIFIED_WAYS; i++)
        assert_true(verified_find(&v, marks[i], NOW));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_the_same_three_are_found_and_for_five_minutes),
        cmocka_unit_test(the_oldest_makes_room),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
