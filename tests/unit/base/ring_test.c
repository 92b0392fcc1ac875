#include "base/ring.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define ITEMS 200000

static void is_bounded_and_in_order(void **state)
{
    struct ring r;
    int items[5];

    (void)state;
    assert_true(ring_init(&r, 4));
    assert_true(ring_is_empty(&r));
    for (int i = 0; i < 4; i++)
        assert_true(ring_push(&r, &items[i]));
    assert_false(ring_push(&r, &items[4]));
    assert_ptr_equal(ring_pop(&r), &items[0]);
    assert_true(ring_push(&r, &items[4]));
    for (int i = 1; i < 5; i++)
        assert_ptr_equal(ring_pop(&r), &items[i]);
    assert_null(ring_pop(&r));
    ring_fini(&r);
}

static void *produce(void *arg)
{
    for (uintptr_t i = 1; i <= ITEMS; i++)
        while (!ring_push(arg, (void *)i))
            sched_yield();
    return NULL;
}

static void carries_all_between_two_threads(void **state)
{
    struct ring r;
    pthread_t producer;

    (void)state;
    assert_true(ring_init(&r, 64));
    assert_int_equal(pthread_create(&producer, NULL, produce, &r), 0);
    for (uintptr_t want = 1; want <= ITEMS;) {
        uintptr_t got = (uintptr_t)ring_pop(&r);

        if (got == 0) {
            sched_yield();
            continue;
        }
        assert_int_equal(got, want);
        want++;
    }
    pthread_join(producer, NULL);
    assert_true(ring_is_empty(&r));
    ring_fini(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_bounded_and_in_order),
        cmocka_unit_test(carries_all_between_two_threads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
