/* capture/fragment: any order, twice, overlapping, cut, never whole, and far too many. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/util.h"
#include "capture/fragment.h"

static uint8_t whole[3000]; /* a TCP header and its payload */

static int make_whole(void **state)
{
    static const uint8_t head[20] = {0xc0, 0, 0, 80, 0, 0, 3, 232, 0, 0, 7, 208, 0x50, 0x18, 1, 0};

    for (size_t i = 0; i < sizeof whole; i++)
        whole[i] = (uint8_t)(i * 7 + i / 251);
    memcpy(whole, head, sizeof head);
    *state = fragment_new();
    return *state ? 0 : -1;
}

static int free_all(void **state)
{
    fragment_free(*state);
    return 0;
}

/* A fragment of `whole`, of which `have` bytes were captured. */
static struct packet part(uint32_t id, uint32_t begin, uint32_t end, uint32_t have)
{
    struct packet p = {.kind = PACKET_FRAGMENT,
                       .number = begin + 1,
                       .at_ns = NS_PER_S,
                       .ip_len = 20 + end - begin,
                       .fragment_protocol = 6,
                       .fragment_id = id,
                       .fragment_offset = begin,
                       .fragment_more = end < sizeof whole,
                       .fragment = {(char *)whole + begin % sizeof whole, have},
                       .fragment_len = end - begin};

    addr_parse(SPAN_LIT("192.0.2.1"), &p.from.addr);
    addr_parse(SPAN_LIT("192.0.2.2"), &p.to.addr);
    return p;
}

static bool add(struct fragments *f, uint32_t id, uint32_t begin, uint32_t end, struct packet *p)
{
    *p = part(id, begin, end, end - begin);
    return fragment_add(f, p);
}

static void check_whole(const struct packet *p)
{
    assert_int_equal(p->kind, PACKET_TCP);
    assert_true(p->was_fragmented);
    assert_int_equal(p->ip_len, 20 + sizeof whole);
    assert_int_equal(p->from.port, 49152);
    assert_int_equal(p->seq, 1000);
    assert_int_equal(p->payload_len, sizeof whole - 20);
    assert_int_equal(p->payload.len, sizeof whole - 20);
    assert_memory_equal(p->payload.ptr, whole + 20, sizeof whole - 20);
}

static void any_order_makes_the_same_whole(void **state)
{
    static const unsigned orders[][4] = {{0, 1, 2, 3}, {3, 2, 1, 0}, {2, 0, 3, 1}, {1, 3, 0, 2}};
    static const uint32_t cuts[] = {0, 800, 1600, 2400, sizeof whole};

    for (unsigned i = 0; i < ARRAY_LEN(orders); i++) {
        struct packet p;

        for (unsigned k = 0; k < 4; k++) {
            unsigned n = orders[i][k];

            assert_int_equal(add(*state, 7, cuts[n], cuts[n + 1], &p), k == 3);
        }
        check_whole(&p);
        assert_int_equal(p.number, cuts[orders[i][3]] + 1); /* of the one that completed it */
    }
    assert_int_equal(fragment_get_lost(*state), 0);
}

static void what_came_first_stays(void **state)
{
    uint8_t lies[1600];
    struct packet p;

    memset(lies, 'L', sizeof lies);
    assert_false(add(*state, 7, 800, 1600, &p));
    assert_false(add(*state, 7, 800, 1600, &p)); /* twice */
    p = part(7, 400, 2000, 1600);                /* around it */
    p.fragment.ptr = (char *)lies;
    assert_false(fragment_add(*state, &p));
    assert_false(add(*state, 7, 0, 800, &p));
    assert_true(add(*state, 7, 1600, sizeof whole, &p));
    assert_memory_equal(p.payload.ptr, whole + 20, 380);
    assert_memory_equal(p.payload.ptr + 380, lies, 400);
    assert_memory_equal(p.payload.ptr + 780, whole + 800, 800);
    assert_memory_equal(p.payload.ptr + 1580, lies, 400);
    assert_memory_equal(p.payload.ptr + 1980, whole + 2000, 1000);
}

static void connections_are_kept_apart(void **state)
{
    struct packet p, other;

    assert_false(add(*state, 7, 0, 1600, &p));
    other = part(7, 1600, sizeof whole, 1400);
    addr_parse(SPAN_LIT("192.0.2.3"), &other.from.addr);
    assert_false(fragment_add(*state, &other));
    other = part(7, 1600, sizeof whole, 1400);
    other.fragment_protocol = 1;
    assert_false(fragment_add(*state, &other));
    other = part(7, 1600, sizeof whole, 1400);
    other.fragment_protocol = 17; /* not even kept */
    assert_false(fragment_add(*state, &other));
    assert_false(add(*state, 8, 1600, sizeof whole, &p));
    assert_true(add(*state, 7, 1600, sizeof whole, &p));
    check_whole(&p);
    assert_int_equal(fragment_get_lost(*state), 3);
}

static void a_cut_fragment_cuts_the_whole(void **state)
{
    struct packet p = part(7, 0, 1600, 1600);

    assert_false(fragment_add(*state, &p));
    p = part(7, 1600, 2400, 50);
    assert_false(fragment_add(*state, &p));
    assert_true(add(*state, 7, 2400, sizeof whole, &p));
    assert_int_equal(p.kind, PACKET_TCP);
    assert_int_equal(p.payload_len, sizeof whole - 20);
    assert_int_equal(p.payload.len, 1630);
    p = part(8, 0, 1600, 10);
    assert_false(fragment_add(*state, &p));
    assert_true(add(*state, 8, 1600, sizeof whole, &p));
    assert_int_equal(p.kind, PACKET_CUT);
}

static void ipv6_takes_the_first_ones_protocol(void **state)
{
    struct packet p;

    for (int i = 0; i < 2; i++) {
        p = i ? part(7, 0, 1600, 1600) : part(7, 1600, sizeof whole, 1400);
        p.fragment_protocol = i ? 6 : 60;
        addr_parse(SPAN_LIT("2001:db8::1"), &p.from.addr);
        addr_parse(SPAN_LIT("2001:db8::2"), &p.to.addr);
        assert_int_equal(fragment_add(*state, &p), i);
    }
    check_whole(&p);
}

static void the_same_number_later_is_another_packet(void **state)
{
    struct packet p;

    assert_false(add(*state, 7, 0, 1600, &p));
    p = part(7, 1600, sizeof whole, 1400);
    p.at_ns = 32 * NS_PER_S;
    assert_false(fragment_add(*state, &p));
    assert_int_equal(fragment_get_lost(*state), 2);
}

static void floods_are_bounded(void **state)
{
    struct packet p;

    for (uint32_t id = 0; id < 100000; id++) {
        p = part(id, 2992, sizeof whole, 8);
        p.at_ns = id;
        assert_false(fragment_add(*state, &p));
    }
    assert_int_equal(fragment_get_lost(*state), 100000);
    assert_false(add(*state, 200000, 0, 1600, &p));
    assert_true(add(*state, 200000, 1600, sizeof whole, &p));
    check_whole(&p);
}

static void large_ones_take_the_place_of_older_ones(void **state)
{
    struct packet p;

    for (uint32_t id = 0; id < 300; id++) { /* each of 64 KiB */
        p = part(id, 65000, 65008, 8);
        p.fragment.ptr = (char *)whole;
        p.at_ns = id;
        p.fragment_more = true;
        assert_false(fragment_add(*state, &p));
    }
    assert_false(add(*state, 1000, 0, 1600, &p));
    assert_true(add(*state, 1000, 1600, sizeof whole, &p));
    check_whole(&p);
}

static void too_many_parts_are_given_up(void **state)
{
    struct packet p;

    for (uint32_t i = 0; i < 400; i++) { /* every other 8 bytes */
        p = part(7, i * 16, i * 16 + 8, 8);
        p.fragment.ptr = (char *)whole;
        p.fragment_more = true;
        assert_false(fragment_add(*state, &p));
    }
    assert_true(fragment_get_lost(*state) > 1);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, make_whole, free_all)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(any_order_makes_the_same_whole),
        TEST(what_came_first_stays),
        TEST(connections_are_kept_apart),
        TEST(a_cut_fragment_cuts_the_whole),
        TEST(ipv6_takes_the_first_ones_protocol),
        TEST(the_same_number_later_is_another_packet),
        TEST(floods_are_bounded),
        TEST(large_ones_take_the_place_of_older_ones),
        TEST(too_many_parts_are_given_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
