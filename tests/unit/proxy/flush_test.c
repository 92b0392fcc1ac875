/* Orders between two threads. */
#include "proxy/flush.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"

static void orders_are_told_in_their_order(void **state)
{
    struct flush f = {0};

    (void)state;
    assert_true(flush_init(&f));
    assert_int_equal(flush_order(&f), 0);
    assert_int_equal(flush_begin(&f), 1);
    assert_int_equal(flush_begin(&f), 2);
    assert_int_equal(flush_order(&f), 2);
    assert_false(flush_wait(&f, 1, 0)); /* the time is over */
    flush_done(&f, 2, true);
    assert_int_equal(flush_order(&f), 0);
    assert_true(flush_wait(&f, 1, 0));
    assert_true(flush_wait(&f, 2, 0));
    assert_int_equal(flush_begin(&f), 3);
    flush_done(&f, flush_order(&f), false);
    assert_false(flush_wait(&f, 3, 0)); /* it came to no good end */
    flush_fini(&f);
    flush_fini(&f);
}

static void *work(void *arg)
{
    struct flush *f = arg;
    uint64_t done = 0, order;

    while (done < 1000)
        if ((order = flush_order(f))) {
            flush_done(f, order, true);
            done = order;
        }
    return NULL;
}

static void one_waits_for_the_other(void **state)
{
    struct flush f = {0};
    pthread_t thread;

    (void)state;
    assert_true(flush_init(&f));
    assert_int_equal(pthread_create(&thread, NULL, work, &f), 0);
    for (unsigned i = 0; i < 1000; i++)
        assert_true(flush_wait(&f, flush_begin(&f), clock_mono_ns() + 60 * NS_PER_S));
    pthread_join(thread, NULL);
    flush_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(orders_are_told_in_their_order),
        cmocka_unit_test(one_waits_for_the_other),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
