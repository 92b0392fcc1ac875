#include "policy/limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>

#include "base/endpoint.h"
#include "base/util.h"

static struct addr address(const char *text)
{
    struct addr a;

    assert_true(addr_parse(span_of(text), &a));
    return a;
}

static void a_rule_replaces_only_what_it_sets(void **state)
{
    struct flow_limits base = {1, 2, 3, 4, 5}, rule = {10, 20, 0, 40, 50};
    struct flow_limits some = limits_merge(&base, &rule, LIMIT_LIFETIME | LIMIT_DOWNLOAD);
    struct flow_limits all = limits_merge(&base, &rule, 31), none = limits_merge(&base, &rule, 0);

    (void)state;
    assert_memory_equal(&all, &rule, sizeof all);
    assert_memory_equal(&none, &base, sizeof none);
    assert_memory_equal(&some, (&(struct flow_limits){1, 20, 0, 4, 5}), sizeof some);
}

static void counts_up_to_the_limit(void **state)
{
    struct limits_clients *c = limits_clients_new(100);
    struct addr a = address("192.0.2.1"), b = address("192.0.2.2");

    (void)state;
    for (int i = 0; i < 3; i++)
        assert_true(limits_clients_enter(c, &a, 3));
    assert_false(limits_clients_enter(c, &a, 3));
    assert_true(limits_clients_enter(c, &b, 3));
    limits_clients_leave(c, &a);
    assert_true(limits_clients_enter(c, &a, 3));
    assert_false(limits_clients_enter(c, &a, 3));
    assert_false(limits_clients_enter(c, &b, 1));
    assert_false(limits_clients_enter(c, &b, 0));
    limits_clients_free(c);
}

static void a_64_counts_as_one(void **state)
{
    struct limits_clients *c = limits_clients_new(100);
    struct addr a = address("2001:db8::1"), b = address("2001:db8::ffff:1"),
                other = address("2001:db8:0:1::1");

    (void)state;
    assert_true(limits_clients_enter(c, &a, 1));
    assert_false(limits_clients_enter(c, &b, 1));
    assert_true(limits_clients_enter(c, &other, 1));
    limits_clients_leave(c, &b);
    assert_true(limits_clients_enter(c, &a, 1));
    limits_clients_free(c);
}

/* As many clients as were announced fit, again and again: places of those that left are used again.
 */
static void has_room_for_all(void **state)
{
    enum { CLIENTS = 20000 };
    struct limits_clients *c = limits_clients_new(CLIENTS);

    (void)state;
    for (uint32_t round = 0; round < 20; round++) {
        for (uint32_t i = 0; i < CLIENTS; i++) {
            uint32_t n = round * CLIENTS + i;
            struct addr a = {.family = AF_INET,
                             .bytes = {10, (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n}};

            assert_true(limits_clients_enter(c, &a, 1));
        }
        for (uint32_t i = 0; i < CLIENTS; i++) {
            uint32_t n = round * CLIENTS + i;
            struct addr a = {.family = AF_INET,
                             .bytes = {10, (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n}};

            limits_clients_leave(c, &a);
        }
    }
    limits_clients_free(c);
}

enum { THREADS = 4, TURNS = 20000, MAX = 3 };
static struct limits_clients *shared;
static _Atomic int inside[8], over, refused;

static void *come_and_go(void *arg)
{
    unsigned seed = (unsigned)(uintptr_t)arg;

    for (int i = 0; i < TURNS; i++) {
        unsigned who = (seed = seed * 1103515245u + 12345u) >> 16 & 7;
        struct addr a = {.family = AF_INET, .bytes = {192, 0, 2, (uint8_t)who}};

        if (!limits_clients_enter(shared, &a, MAX)) {
            atomic_fetch_add(&refused, 1);
            continue;
        }
        /* one more than MAX may slip in when a new client gets two slots at once; never two */
        if (atomic_fetch_add(&inside[who], 1) > MAX)
            atomic_fetch_add(&over, 1);
        atomic_fetch_sub(&inside[who], 1);
        limits_clients_leave(shared, &a);
    }
    return arg;
}

static void threads_agree(void **state)
{
    pthread_t threads[THREADS];

    (void)state;
    shared = limits_clients_new(16);
    for (uintptr_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, come_and_go, (void *)(i + 1)), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(atomic_load(&over), 0);
    for (int who = 0; who < 8; who++) { /* all left: each has its whole limit again */
        struct addr a = {.family = AF_INET, .bytes = {192, 0, 2, (uint8_t)who}};

        for (int i = 0; i < MAX; i++)
            assert_true(limits_clients_enter(shared, &a, MAX));
        assert_false(limits_clients_enter(shared, &a, MAX));
    }
    limits_clients_free(shared);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_rule_replaces_only_what_it_sets),
        cmocka_unit_test(counts_up_to_the_limit),
        cmocka_unit_test(a_64_counts_as_one),
        cmocka_unit_test(has_room_for_all),
        cmocka_unit_test(threads_agree),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
