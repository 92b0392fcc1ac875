#include "base/slab.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/util.h"

#define MANY 1000

static void finds_by_number_and_generation(void **state)
{
    struct slab s;
    struct slab_slot old, new;
    char *a, *b;

    (void)state;
    slab_init(&s, 13, 100);
    a = slab_get(&s);
    old = slab_slot_of(a);
    assert_ptr_equal(slab_find(&s, old.number, old.generation), a);
    slab_put(&s, a);
    assert_null(slab_find(&s, old.number, old.generation));
    assert_null(slab_find(&s, old.number, old.generation + 1));
    b = slab_get(&s);
    new = slab_slot_of(b);
    assert_int_equal(new.number, old.number);
    assert_int_not_equal(new.generation, old.generation);
    assert_null(slab_find(&s, old.number, old.generation));
    assert_null(slab_find(&s, 99999, 1));
    slab_fini(&s);
}

static void gives_zeroed_objects_up_to_the_maximum(void **state)
{
    static const char zeroes[40];
    struct slab s;
    void *objects[70];

    (void)state;
    slab_init(&s, sizeof zeroes, ARRAY_LEN(objects));
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < ARRAY_LEN(objects); i++) {
            objects[i] = slab_get(&s);
            assert_memory_equal(objects[i], zeroes, sizeof zeroes);
            memset(objects[i], 0xff, sizeof zeroes);
        }
        assert_null(slab_get(&s));
        assert_int_equal(s.used, ARRAY_LEN(objects));
        for (size_t i = 0; i < ARRAY_LEN(objects); i++)
            slab_put(&s, objects[i]);
    }
    assert_int_equal(s.used, 0);
    slab_fini(&s);
}

/* A chunk that went back to the system and came again must not bring old generations to life. */
static void generations_outlive_the_memory(void **state)
{
    static struct slab_slot slots[MANY];
    static void *objects[MANY];
    struct slab s;

    (void)state;
    slab_init(&s, 64, MANY);
    for (unsigned i = 0; i < MANY; i++) {
        objects[i] = slab_get(&s);
        slots[i] = slab_slot_of(objects[i]);
    }
    for (unsigned i = 0; i < MANY; i++)
        slab_put(&s, objects[i]);
    for (unsigned i = 0; i < MANY; i++)
        assert_null(slab_find(&s, slots[i].number, slots[i].generation));
    for (unsigned i = 0; i < MANY; i++)
        objects[i] = slab_get(&s);
    for (unsigned i = 0; i < MANY; i++)
        assert_null(slab_find(&s, slots[i].number, slots[i].generation));
    slab_fini(&s);
}

struct visits {
    struct slab *slab;
    unsigned count;
};

static void put_back(void *object, void *arg)
{
    struct visits *v = arg;

    v->count++;
    slab_put(v->slab, object);
}

static void visits_each_while_they_go(void **state)
{
    struct slab s;
    struct visits v = {&s, 0};

    (void)state;
    slab_init(&s, 8, MANY);
    for (unsigned i = 0; i < MANY; i++)
        assert_non_null(slab_get(&s));
    slab_each(&s, put_back, &v);
    assert_int_equal(v.count, MANY);
    assert_int_equal(s.used, 0);
    slab_fini(&s);
    slab_fini(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_by_number_and_generation),
        cmocka_unit_test(gives_zeroed_objects_up_to_the_maximum),
        cmocka_unit_test(generations_outlive_the_memory),
        cmocka_unit_test(visits_each_while_they_go),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
