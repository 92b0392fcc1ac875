#include "policy/attempts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <pthread.h>

#include "base/clock.h"
#include "base/util.h"

#define NOW (1000000 * NS_PER_S)

static struct addr address(const char *text)
{
    struct addr a;

    assert_true(addr_parse(span_of(text), &a));
    return a;
}

static void fail_often(struct attempts *a, const char *client, const char *user, unsigned times,
                       uint64_t now)
{
    struct addr at = address(client);

    while (times--)
        attempts_add(a, &at, span_of(user), now);
}

static unsigned wait_s(const struct attempts *a, const char *client, const char *user, uint64_t now)
{
    struct addr at = address(client);

    return attempts_wait_s(a, &at, span_of(user), now);
}

static void ten_failures_make_a_pair_wait(void **state)
{
    struct attempts *a = attempts_new();

    (void)state;
    fail_often(a, "192.0.2.1", "u", 9, NOW);
    assert_int_equal(wait_s(a, "192.0.2.1", "u", NOW), 0);
    fail_often(a, "192.0.2.1", "u", 1, NOW + 20 * NS_PER_S);
    assert_int_equal(wait_s(a, "192.0.2.1", "u", NOW + 20 * NS_PER_S), 40);
    assert_int_equal(wait_s(a, "192.0.2.1", "u", NOW + 59 * NS_PER_S), 1);
    assert_int_equal(wait_s(a, "192.0.2.1", "u", NOW + 60 * NS_PER_S), 0);
    assert_int_equal(wait_s(a, "192.0.2.1", "v", NOW + 20 * NS_PER_S), 0);
    assert_int_equal(wait_s(a, "192.0.2.2", "u", NOW + 20 * NS_PER_S), 0);
    fail_often(a, "192.0.2.1", "u", 1, NOW + 60 * NS_PER_S); /* counted anew */
    assert_int_equal(wait_s(a, "192.0.2.1", "u", NOW + 60 * NS_PER_S), 0);
    fail_often(a, "192.0.2.3", "w", 1000, NOW);
    assert_int_equal(wait_s(a, "192.0.2.3", "w", NOW), 60);
    attempts_free(a);
}

static void an_ipv6_client_is_its_network(void **state)
{
    struct attempts *a = attempts_new();

    (void)state;
    fail_often(a, "2001:db8::1", "u", 5, NOW);
    fail_often(a, "2001:db8::2", "u", 5, NOW);
    assert_true(wait_s(a, "2001:db8::3", "u", NOW) > 0);
    assert_int_equal(wait_s(a, "2001:db8:0:1::1", "u", NOW), 0);
    attempts_free(a);
}

/* Who fails under a million names stays locked out under the first. */
static void a_flood_does_not_wash_a_count_away(void **state)
{
    struct attempts *a = attempts_new();
    char name[16];

    (void)state;
    fail_often(a, "192.0.2.1", "u", 10, NOW);
    for (int i = 0; i < 1000000; i++) {
        snprintf(name, sizeof name, "%d", i);
        fail_often(a, "192.0.2.1", name, 1, NOW + NS_PER_S);
    }
    assert_int_equal(wait_s(a, "192.0.2.1", "u", NOW + NS_PER_S), 59);
    attempts_free(a);
}

/* Nor does a new name a try help. */
static void a_hundred_failures_make_a_client_wait(void **state)
{
    struct attempts *a = attempts_new();
    char name[16];

    (void)state;
    for (int i = 0; i < 100; i++) {
        assert_int_equal(wait_s(a, "192.0.2.1", "u", NOW), 0);
        snprintf(name, sizeof name, "%d", i);
        fail_often(a, "192.0.2.1", name, 1, NOW);
    }
    assert_int_equal(wait_s(a, "192.0.2.1", "u", NOW + NS_PER_S), 59);
    assert_int_equal(wait_s(a, "192.0.2.2", "u", NOW + NS_PER_S), 0);
    assert_int_equal(wait_s(a, "192.0.2.1", "u", NOW + 60 * NS_PER_S), 0);
    attempts_free(a);
}

static void *fail_once(void *a)
{
    fail_often(a, "192.0.2.1", "u", 2, NOW);
    return NULL;
}

/* Of two threads that meet a new pair at once each may give it a slot: no count is lost but so. */
static void threads_count_together(void **state)
{
    struct attempts *a = attempts_new();
    pthread_t threads[8];

    (void)state;
    fail_often(a, "192.0.2.1", "u", 1, NOW);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, fail_once, a), 0);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(wait_s(a, "192.0.2.1", "u", NOW), 60);
    attempts_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ten_failures_make_a_pair_wait),
        cmocka_unit_test(an_ipv6_client_is_its_network),
        cmocka_unit_test(a_flood_does_not_wash_a_count_away),
        cmocka_unit_test(a_hundred_failures_make_a_client_wait),
        cmocka_unit_test(threads_count_together),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
