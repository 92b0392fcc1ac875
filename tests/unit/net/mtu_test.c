#include "net/mtu.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/util.h"

static void steps_go_down(void **state)
{
    static const struct {
        uint32_t mss, next;
    } rows[] = {{9000, 1400}, {1460, 1400}, {1401, 1400}, {1400, 1360}, {1380, 1360},
                {1360, 1220}, {1300, 1220}, {1220, 0},    {536, 0},     {0, 0}};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_int_equal(mtu_step_below(rows[i].mss), rows[i].next);
}

/* Searches on a path that lets `limit` bytes pass; returns what was found, and how often it was
 * tried. */
static uint32_t search(uint32_t least, uint32_t most, uint32_t limit, unsigned *probes)
{
    struct mtu_search m;
    uint32_t size;

    mtu_search_init(&m, least, most);
    while ((size = mtu_search_next(&m)) > 0) {
        assert_true(size >= least && size <= most);
        assert_int_equal(mtu_search_next(&m), size);
        mtu_search_take(&m, size, size <= limit);
        assert_true(m.probes <= MTU_PROBES_MAX);
    }
    *probes = m.probes;
    return mtu_search_found(&m);
}

static void each_size_is_found(void **state)
{
    static const uint32_t least[] = {88, 536, 1000, 1220};
    unsigned probes;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(least); i++)
        for (uint32_t limit = 1220; limit <= 1460; limit++)
            assert_int_equal(search(least[i], 1460, limit, &probes), limit);
    assert_int_equal(search(1220, 1460, 1219, &probes), 0);
    assert_int_equal(search(1220, 1440, 1440, &probes), 1440);
}

/* Narrower paths, and jumbo frames: more sizes than the probes can tell apart. */
static void elsewhere_little_is_left_untried(void **state)
{
    unsigned probes;

    (void)state;
    for (uint32_t limit = 536; limit < 1220; limit++) {
        uint32_t found = search(536, 1460, limit, &probes);

        assert_true(found <= limit && limit - (found ? found : 535) <= 3);
    }
    assert_int_equal(search(536, 1460, 535, &probes), 0);
    assert_true(search(536, 8960, 8000, &probes) > 8000 - 64);
}

static void a_sound_path_takes_one_probe(void **state)
{
    unsigned probes;

    (void)state;
    assert_int_equal(search(536, 1460, 1460, &probes), 1460);
    assert_int_equal(probes, 1);
}

static void the_smallest_range_ends(void **state)
{
    unsigned probes;

    (void)state;
    assert_int_equal(search(1400, 1400, 1400, &probes), 1400);
    assert_int_equal(probes, 1);
    assert_int_equal(search(1400, 1400, 1399, &probes), 0);
    assert_int_equal(probes, 1);
}

/* A path that changes its mind: the later word counts, and the search still ends. */
static void a_contradiction_is_believed(void **state)
{
    struct mtu_search m;

    (void)state;
    mtu_search_init(&m, 536, 1460);
    mtu_search_take(&m, 1400, true);
    mtu_search_take(&m, 1300, false);
    assert_int_equal(mtu_search_found(&m), 0);
    mtu_search_take(&m, 1350, true);
    assert_int_equal(mtu_search_found(&m), 1350);
    assert_int_equal(m.fails, 1461);
    for (uint32_t size; (size = mtu_search_next(&m)) > 0;)
        mtu_search_take(&m, size, m.probes % 2);
    assert_true(m.probes <= MTU_PROBES_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steps_go_down),
        cmocka_unit_test(each_size_is_found),
        cmocka_unit_test(elsewhere_little_is_left_untried),
        cmocka_unit_test(a_sound_path_takes_one_probe),
        cmocka_unit_test(the_smallest_range_ends),
        cmocka_unit_test(a_contradiction_is_believed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
