/* The memory of mtu-healing: what later connections to an address begin with. */
#include "proxy/heal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"

#define NOW (1000 * NS_PER_S)

static struct heal heal;

static struct addr address(unsigned i)
{
    return (struct addr){.family = AF_INET6,
                         .bytes = {0x20, 1, 0xd, 0xb8, [14] = (uint8_t)(i >> 8), (uint8_t)i}};
}

static int forget(void **state)
{
    (void)state;
    for (unsigned i = 0; i < HEAL_SLOTS; i++)
        heal.slots[i] = 0;
    return 0;
}

/* A connection opened as the memory says ends in a black hole. */
static enum heal_news lose(const struct addr *at, uint32_t in_force, uint32_t mss, uint64_t now_ns,
                           uint32_t *next)
{
    return heal_report(&heal, at, heal_find(&heal, at, mss, now_ns), in_force, mss, now_ns, next);
}

static void sizes_go_down_and_then_it_is_given_up(void **state)
{
    static const uint32_t in_force[] = {1448, 1388, 1348}, want[] = {1400, 1360, 1220};
    struct addr at = address(1), other = address(2);
    uint32_t next;

    (void)state;
    assert_int_equal(heal_find(&heal, &at, 0, NOW), 0);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(lose(&at, in_force[i], 0, NOW, &next), HEAL_STEP);
        assert_int_equal(next, want[i]);
        assert_int_equal(heal_find(&heal, &at, 0, NOW), want[i]);
        assert_int_equal(heal_find(&heal, &other, 0, NOW), 0);
    }
    assert_int_equal(lose(&at, 1208, 0, NOW, &next), HEAL_GIVEN_UP);
    assert_int_equal(heal_find(&heal, &at, 0, NOW), 0);
    assert_int_equal(lose(&at, 1448, 0, NOW, &next), HEAL_KNOWN);
}

/* Without timestamps the size in force is the clamp itself. */
static void each_step_is_smaller_than_the_last(void **state)
{
    struct addr at = address(1);
    uint32_t next;

    (void)state;
    lose(&at, 1460, 0, NOW, &next);
    assert_int_equal(next, 1400);
    lose(&at, 1400, 0, NOW, &next);
    assert_int_equal(next, 1360);
}

/* Connections that were opened before the last step tell nothing new. */
static void parallel_failures_take_one_step(void **state)
{
    struct addr at = address(1);
    uint32_t next;

    (void)state;
    assert_int_equal(heal_report(&heal, &at, 0, 1448, 0, NOW, &next), HEAL_STEP);
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(heal_report(&heal, &at, 0, 1448, 0, NOW, &next), HEAL_KNOWN);
    assert_int_equal(heal_find(&heal, &at, 0, NOW), 1400);
}

/* Also on a machine that has been up for years. */
static void time_is_long(void **state)
{
    struct addr at = address(1);
    uint64_t now = 25ull * 365 * 24 * 3600 * NS_PER_S;
    uint32_t next;

    (void)state;
    assert_int_equal(lose(&at, 1448, 0, now, &next), HEAL_STEP);
    assert_int_equal(heal_find(&heal, &at, 0, now + HEAL_NS - 1), 1400);
    assert_int_equal(heal_find(&heal, &at, 0, now + HEAL_NS + 120 * NS_PER_S), 0);
}

static void an_hour_later_it_is_forgotten(void **state)
{
    struct addr at = address(1), lost = address(2);
    uint32_t next;

    (void)state;
    lose(&at, 1448, 0, NOW, &next);
    assert_int_equal(heal_find(&heal, &at, 0, NOW + HEAL_NS - 1), 1400);
    assert_int_equal(heal_find(&heal, &at, 0, NOW + HEAL_NS + 120 * NS_PER_S), 0);
    for (unsigned i = 0; i < 4; i++) /* it may take the other one's place */
        lose(&lost, 1448 - 60 * i, 0, NOW, &next);
    assert_int_equal(lose(&lost, 1448, 0, NOW + HEAL_NS - 1, &next), HEAL_KNOWN);
    assert_int_equal(lose(&lost, 1448, 0, NOW + HEAL_NS + 120 * NS_PER_S, &next), HEAL_STEP);
    assert_int_equal(next, 1400);
}

static void the_configured_size_is_never_exceeded(void **state)
{
    struct addr at = address(1);
    uint32_t next;

    (void)state;
    assert_int_equal(heal_find(&heal, &at, 1380, NOW), 1380);
    assert_int_equal(lose(&at, 1368, 1380, NOW, &next), HEAL_STEP);
    assert_int_equal(next, 1360);
    assert_int_equal(heal_find(&heal, &at, 1300, NOW), 1300); /* after a reload */
    assert_int_equal(lose(&at, 1188, 1200, NOW, &next), HEAL_GIVEN_UP);
    assert_int_equal(heal_find(&heal, &at, 1200, NOW), 1200);
}

/* It is a table of fixed size: a newer address takes the place of an older one. */
static void many_addresses_need_no_more_room(void **state)
{
    struct addr at;
    uint32_t next;
    unsigned kept = 0;

    (void)state;
    for (unsigned i = 0; i < 20 * HEAL_SLOTS; i++) {
        at = address(i);
        assert_int_equal(lose(&at, 1448, 0, NOW, &next), HEAL_STEP);
        assert_int_equal(heal_find(&heal, &at, 0, NOW), 1400);
    }
    for (unsigned i = 0; i < 20 * HEAL_SLOTS; i++) {
        at = address(i);
        kept += heal_find(&heal, &at, 0, NOW) == 1400;
    }
    assert_in_range(kept, 1, HEAL_SLOTS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(sizes_go_down_and_then_it_is_given_up, forget),
        cmocka_unit_test_setup(each_step_is_smaller_than_the_last, forget),
        cmocka_unit_test_setup(parallel_failures_take_one_step, forget),
        cmocka_unit_test_setup(an_hour_later_it_is_forgotten, forget),
        cmocka_unit_test_setup(time_is_long, forget),
        cmocka_unit_test_setup(the_configured_size_is_never_exceeded, forget),
        cmocka_unit_test_setup(many_addresses_need_no_more_room, forget),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
