/* Objects of one kind: zeroed, apart from each other, used again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/util.h"
#include "capture/objects.h"

#define MANY 30000u /* of 200 bytes: the first block and some large pages */

static void gives_zeroed_objects(void **state)
{
    static char *objects[MANY];
    struct objects p;

    objects_init(&p, 200);
    assert_int_equal(p.memory, 0);
    for (unsigned round = 0; round < 2; round++) {
        for (unsigned i = 0; i < MANY; i++) {
            objects[i] = objects_get(&p);
            assert_non_null(objects[i]);
            assert_int_equal((uintptr_t)objects[i] % 8, 0);
            for (unsigned k = 0; k < 200; k++)
                assert_int_equal(objects[i][k], 0);
            memset(objects[i], (int)i, 200);
        }
        for (unsigned i = 0; i < MANY; i++) {
            assert_int_equal(objects[i][0], (char)i); /* none has touched another */
            assert_int_equal(objects[i][199], (char)i);
            objects_put(&p, objects[i]);
        }
    }
    assert_in_range(p.memory, MANY * 200, MANY * 208 + 3 * OBJECTS_PAGE);
    objects_fini(&p);
    assert_int_equal(p.memory, 0);
    objects_fini(&p);
}

static void few_take_little(void **state)
{
    struct objects p;

    objects_init(&p, 500);
    for (unsigned i = 0; i < 50; i++)
        assert_non_null(objects_get(&p));
    assert_true(p.memory <= 32 * 1024);
    objects_fini(&p); /* those in use, too */
}

static void pages_are_aligned(void **state)
{
    static const size_t lens[] = {1000, OBJECTS_PAGE, 3 * (size_t)OBJECTS_PAGE};

    for (size_t i = 0; i < ARRAY_LEN(lens); i++) {
        char *ptr = objects_new_pages(lens[i]);

        assert_non_null(ptr);
        assert_true(lens[i] < OBJECTS_PAGE || (uintptr_t)ptr % OBJECTS_PAGE == 0);
        assert_int_equal(ptr[0] + ptr[lens[i] - 1], 0);
        ptr[0] = ptr[lens[i] - 1] = 1;
        objects_free_pages(ptr, lens[i]);
    }
    objects_free_pages(NULL, OBJECTS_PAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_zeroed_objects),
        cmocka_unit_test(few_take_little),
        cmocka_unit_test(pages_are_aligned),
    };

    return cmocka_run_group_tests_name("capture/objects", tests, NULL, NULL);
}
