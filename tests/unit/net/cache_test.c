#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/util.h"
#include "net/cache.h"

static struct cache_entry *get(struct cache *c, int number)
{
    char name[32];

    snprintf(name, sizeof name, "n%d.test", number);
    return cache_get(c, span_of(name));
}

static int setup(void **state)
{
    *state = calloc(1, sizeof(struct cache));
    assert_true(cache_init(*state, 3));
    return 0;
}

static int teardown(void **state)
{
    cache_fini(*state);
    free(*state);
    return 0;
}

static void test_an_entry_stays_where_it_is(void **state)
{
    struct cache *c = *state;
    struct cache_entry *entries[1000]; /* far more than the first buckets */

    for (int i = 0; i < 1000; i++)
        entries[i] = get(c, i);
    for (int i = 0; i < 1000; i++)
        assert_ptr_equal(get(c, i), entries[i]);
    assert_int_equal(c->len, 1000);
    assert_true(c->mask + 1 >= 512); /* chains stay short */
}

static void test_the_least_recently_used_goes_first(void **state)
{
    struct cache *c = *state;

    for (int i = 0; i < 4; i++)
        cache_set(&get(c, i)->halves[CACHE_IPV4], NULL, 0, "known");
    get(c, 0);
    cache_trim(c);
    assert_int_equal(c->len, 3);
    assert_non_null(get(c, 0)->halves[CACHE_IPV4].detail);
    assert_null(get(c, 1)->halves[CACHE_IPV4].detail);
}

static void test_what_is_waited_for_stays(void **state)
{
    struct cache *c = *state;
    struct list waiter = {0};
    struct cache_entry *waited = get(c, 0), *asked = get(c, 1);
    struct dnsclient_ask *question = (void *)c; /* any pointer: it is not followed */

    list_push_back(&waited->waiters, &waiter);
    asked->halves[CACHE_IPV6].asked = question;
    for (int i = 2; i < 10; i++)
        get(c, i);
    cache_trim(c);
    assert_int_equal(c->len, 3);
    assert_ptr_equal(get(c, 0), waited);
    assert_ptr_equal(get(c, 1), asked);
    c->max = 0;
    cache_trim(c);
    assert_int_equal(c->len, 2);
    list_remove(&waiter);
    asked->halves[CACHE_IPV6].asked = NULL;
    cache_trim(c);
    assert_int_equal(c->len, 0);
}

static void test_halves_hold_apart(void **state)
{
    static const struct addr addr = {.family = AF_INET, .bytes = {192, 0, 2, 1}};
    struct cache *c = *state;
    struct cache_entry *e = get(c, 0);

    cache_set(&e->halves[CACHE_IPV4], &addr, 1, NULL);
    e->halves[CACHE_IPV4].until_ns = 10;
    e->halves[CACHE_IPV6].until_ns = 20;
    assert_true(cache_is_fresh(&e->halves[CACHE_IPV4], 9));
    assert_false(cache_is_fresh(&e->halves[CACHE_IPV4], 10));
    assert_true(cache_is_fresh(&e->halves[CACHE_IPV6], 10));
    assert_true(addr_is_equal(&e->halves[CACHE_IPV4].addrs[0], &addr));
    cache_forget(c);
    assert_false(cache_is_fresh(&e->halves[CACHE_IPV6], 0));
    cache_set(&e->halves[CACHE_IPV4], NULL, 0, "NXDOMAIN");
    assert_int_equal(e->halves[CACHE_IPV4].len, 0);
    assert_string_equal(e->halves[CACHE_IPV4].detail, "NXDOMAIN");
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_entry_stays_where_it_is),
        TEST(the_least_recently_used_goes_first),
        TEST(what_is_waited_for_stays),
        TEST(halves_hold_apart),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
