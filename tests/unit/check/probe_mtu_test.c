/* check/probe_mtu: which probes are made, and what is concluded from them, without a network. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "check/probe_mtu.h"

#define OPTIONS 12

/* A network: what passes in each direction, as the MSS option counts. */
struct net {
    uint32_t out, in;
    bool long_answer; /* one comes, from wherever */
    unsigned probes[MTU_LEGS];
};

static void begin(struct probe_mtu *m, bool through_proxy)
{
    static struct url url;
    struct probe p = {.url = &url, .through_proxy = through_proxy, .conn.fd = -1};

    p.info.pmtu = 1500;
    p.info.options = OPTIONS;
    probe_mtu_init(m, &p);
}

static bool passes(uint32_t size, uint32_t limit)
{
    return size <= limit;
}

/* One probe of the leg from here, as that network would have it. */
static void run_near(struct net *n, struct probe_mtu *m, const struct probe_wish *wish,
                     uint64_t *now)
{
    static struct url url;
    struct probe p = {.url = &url, .conn.fd = -1, .wish = *wish, .state = PROBE_ENDED};
    uint32_t payload = wish->half > 1 ? wish->half : 1448, more;

    p.info = (struct sock_info){.mss = 1448, .options = OPTIONS, .advmss = 1448, .rcv_mss = 536};
    if (wish->half) {
        p.state = PROBE_ANSWER;
        do {
            p.half_last = payload;
            p.half_sent += payload;
            if (passes(payload + OPTIONS, n->out))
                p.info.acked = p.half_sent + 1;
            else
                p.info.backoffs = 3;
            *now += NS_PER_MS;
            assert_true(probe_mtu_look(m, 0, &p, *now));
            more = probe_mtu_more(m, 0, &p, *now);
            payload = more;
        } while (more);
        return;
    }
    if (wish->mss)
        p.info.advmss = wish->mss - OPTIONS;
    if (!n->long_answer) {
        p.flow.verdict = VERDICT_OK;
        p.info.received = 300;
    } else if (passes(p.info.advmss + OPTIONS, n->in)) {
        p.info.rcv_mss = p.info.advmss;
        p.info.received = 100000;
    } else {
        p.signs.hole_down = true;
    }
    *now += NS_PER_MS;
    assert_true(probe_mtu_look(m, 0, &p, *now));
}

static void search(struct net *n, struct probe_mtu *m)
{
    struct probe_wish wish;
    uint64_t now = NS_PER_S;

    begin(m, false);
    assert_int_equal(m->out.len, 2);
    while (probe_mtu_next(m, 0, now, &wish) == MTU_NEXT_PROBE) {
        n->probes[0]++;
        assert_true(wish.beside);
        run_near(n, m, &wish, &now);
    }
}

static void every_size_is_found(void **state)
{
    (void)state;
    for (uint32_t size = 1220; size <= 1460; size++) {
        struct net n = {.out = size, .in = 1460, .long_answer = true};
        struct probe_mtu m;

        search(&n, &m);
        assert_true(n.probes[0] <= MTU_PROBES_MAX);
        assert_int_equal(m.out.ways[0].mss, size);
        assert_int_equal(m.out.ways[0].known, CHECK_MTU_SEEN);
        assert_false(m.out.ways[0].more);
        n = (struct net){.out = 1460, .in = size, .long_answer = true};
        search(&n, &m);
        assert_true(n.probes[0] <= MTU_PROBES_MAX);
        assert_int_equal(m.out.ways[0].mss, 1460);
        assert_true(m.out.ways[1].mss == size || (m.out.ways[1].more && m.out.ways[1].mss < size));
    }
}

/* One search and three probes: what passes one way mostly passes the other. */
static void both_ways_share_what_they_find(void **state)
{
    (void)state;
    for (uint32_t size = 1220; size < 1460; size++) {
        struct net n = {.out = size, .in = size, .long_answer = true};
        struct probe_mtu m;

        search(&n, &m);
        assert_true(n.probes[0] <= MTU_PROBES_MAX);
        assert_int_equal(m.out.ways[0].mss, size);
        assert_true(m.out.ways[1].mss <= size);
        if (n.probes[0] < MTU_PROBES_MAX)
            assert_int_equal(m.out.ways[1].mss, size);
    }
}

static void nothing_is_claimed_without_proof(void **state)
{
    struct net shut = {.out = 100, .in = 100, .long_answer = true};
    struct net brief = {.out = 1460, .in = 1460};
    struct probe_mtu m;
    struct flow f = {0};
    unsigned index;
    uint32_t at = 0;

    (void)state;
    search(&shut, &m);
    assert_int_equal(m.out.ways[0].known, CHECK_MTU_UNKNOWN);
    assert_non_null(strstr(m.out.ways[0].why, "not even"));
    search(&brief, &m);
    assert_int_equal(m.out.ways[1].known, CHECK_MTU_UNKNOWN);
    assert_non_null(strstr(m.out.ways[1].why, "too few"));
    check_mtu_note(&m.out, &f);
    assert_string_equal(flow_next_note(&f, NOTE_EVIDENCE, &index, &at),
                        "mtu this machine to target: path MTU 1500, MSS 1460, payload 1448, seen, "
                        "1 probe");
    assert_string_equal(flow_next_note(&f, NOTE_EVIDENCE, &index, &at),
                        "mtu target to this machine: unknown, 1 probe; the answer has 300 bytes: "
                        "too few for a full segment");
    flow_fini(&f);
}

/* What the proxy is sent in one piece is known only once this machine's own leg is. */
static void the_far_leg_waits(void **state)
{
    struct probe_mtu m;
    struct probe_wish wish;

    (void)state;
    begin(&m, true);
    assert_int_equal(m.out.len, 4);
    assert_int_equal(probe_mtu_next(&m, 1, 0, &wish), MTU_NEXT_PROBE);
    m.legs[1].ways[0].done = true;
    assert_int_equal(probe_mtu_next(&m, 1, 0, &wish), MTU_NEXT_WAIT);
    m.legs[0].ways[0].done = m.legs[0].ways[1].done = true;
    m.out.ways[0].mss = 1300;
    assert_int_equal(probe_mtu_next(&m, 0, 0, &wish), MTU_NEXT_DONE);
    assert_int_equal(probe_mtu_next(&m, 1, 0, &wish), MTU_NEXT_PROBE);
    assert_int_equal(wish.mss, 1300);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_size_is_found),
        cmocka_unit_test(both_ways_share_what_they_find),
        cmocka_unit_test(nothing_is_claimed_without_proof),
        cmocka_unit_test(the_far_leg_waits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
