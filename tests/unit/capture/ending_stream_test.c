/* How exchanges end whose stream stopped or was cut. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "scene.h"

/* ---- streams that stop */

static void streams_that_stop(void **state)
{
    struct scene s;

    (void)state;
    inner(&s);
    s.now_ns = MS(9000);
    expect("no reply, the capture ends", &s,
           (struct want){VERDICT_STALLED, PHASE_EXCHANGE, SIDE_PROXY, INFERRED,
                         "packet 11 at 0.080 s has the last bytes, then nothing for 8.9 s"});
    inner(&s);
    fins(&s, UP, 30080);
    expect("no reply, the client leaves", &s,
           (struct want){VERDICT_STALLED, PHASE_EXCHANGE, SIDE_PROXY, INFERRED,
                         "looks like a timer of 30 s"});
    inner(&s);
    rst(&s, DOWN, 60080);
    expect("no reply, and a timer of the proxy", &s,
           (struct want){VERDICT_STALLED, PHASE_EXCHANGE, SIDE_PROXY, INFERRED,
                         "tcpdump -i any -s 0 -w capture.pcap"});
    inner(&s);
    s.c.clock_jumped = true;
    fins(&s, UP, 30080);
    expect("a clock that jumped tells no silence", &s,
           (struct want){VERDICT_OK, PHASE_CLOSE, SIDE_CLIENT, SEEN, NULL});
    inner(&s);
    s.c.is_text = true;
    s.now_ns = MS(80);
    expect("a text ends", &s,
           (struct want){VERDICT_STALLED, PHASE_EXCHANGE, SIDE_PROXY, INFERRED, "line 11"});
    answer(&s, ASKED_CONNECT, 200);
    s.x.is_tls = s.x.hello_whole[UP] = true;
    s.x.sides[UP].bytes = s.x.sides[UP].since_other = 517;
    mark(&s, MARK_HELLO, 46, 6);
    mark(&s, MARK_HELLO_END, 46, 6);
    mark(&s, MARK_LAST, 46, 6);
    fins(&s, DOWN, 200);
    expect("no ServerHello", &s,
           (struct want){VERDICT_STALLED, PHASE_TLS, SIDE_PROXY, SEEN, "ClientHello of 517 bytes"});
    transfer(&s);
    s.x.is_tls = false;
    s.x.body_unfinished = true;
    s.facts.promised = 1000000;
    s.facts.received = 105000;
    s.now_ns = MS(20000);
    expect(
        "a body stands still", &s,
        (struct want){VERDICT_STALLED, PHASE_TRANSFER, SIDE_PROXY, INFERRED, "105000 of 1000000"});
    fins(&s, DOWN, 400);
    expect(
        "a body ends early", &s,
        (struct want){VERDICT_INCOMPLETE, PHASE_TRANSFER, SIDE_PROXY, SEEN, "105000 of 1000000"});
    transfer(&s);
    s.rare[UP].closed_ns = MS(250);
    s.rare[UP].closed_number = 80;
    rst(&s, DOWN, 60000);
    expect("the client's window is closed", &s,
           (struct want){VERDICT_STALLED, PHASE_TRANSFER, SIDE_CLIENT, SEEN,
                         "packet 80 at 0.250 s closes the window of the client"});
    inner(&s);
    stick(&s, UP, 400, 5, 80);
    fin(&s, UP, 9000);
    expect("small segments that nobody takes", &s,
           (struct want){VERDICT_STALLED, PHASE_EXCHANGE, SIDE_NETWORK, SEEN,
                         "the proxy stopped acknowledging"});
}

static void resets(void **state)
{
    struct scene s;

    (void)state;
    transfer(&s);
    rst(&s, DOWN, 310);
    expect("the proxy's, maybe passed on", &s,
           (struct want){VERDICT_RESET_BY_PROXY, PHASE_TRANSFER, SIDE_PROXY, INFERRED,
                         "passes a reset of the target on"});
    inner(&s);
    s.x.sides[UP].since_other = 1440;
    s.c.streams[UP].largest = 1440;
    rst(&s, DOWN, 81);
    expect("sooner than the target can be", &s,
           (struct want){VERDICT_RESET_BY_PROXY, PHASE_EXCHANGE, SIDE_PROXY, SEEN,
                         "viaduct check --mtu -x http://10.1.1.1:3128 https://t.example:443/"});
    inner(&s);
    rst(&s, UP, 300);
    expect("the client's", &s,
           (struct want){VERDICT_RESET_BY_CLIENT, PHASE_EXCHANGE, SIDE_CLIENT, SEEN, NULL});
    transfer(&s);
    rst(&s, DOWN, 310);
    s.rare[DOWN].rst_is_odd = true;
    s.rare[DOWN].rst_ttl = 250;
    expect("a box on the way", &s,
           (struct want){VERDICT_RESET_BY_PROXY, PHASE_TRANSFER, SIDE_NETWORK, INFERRED,
                         "TTL 250, not 64"});
    transfer(&s);
    s.x.proxied = false;
    rst(&s, DOWN, 310);
    expect("direct", &s,
           (struct want){VERDICT_RESET_BY_TARGET, PHASE_TRANSFER, SIDE_TARGET, SEEN, NULL});
}

/* A client that has all that was said before the FIN may close as it likes. */
static void resets_behind_a_fin(void **state)
{
    struct scene s;

    answer(&s, ASKED_ORIGIN, 200);
    s.x.proxied = false;
    s.x.body_unfinished = true;
    s.facts.promised = 300000;
    s.facts.received = 150000;
    fin(&s, DOWN, 200);
    rst(&s, UP, 201);
    expect(
        "a body that was cut", &s,
        (struct want){VERDICT_INCOMPLETE, PHASE_TRANSFER, SIDE_TARGET, SEEN, "150000 of 300000"});
    s.c.streams[DOWN].top += 1460;
    expect("and not all of it arrived", &s,
           (struct want){VERDICT_RESET_BY_CLIENT, PHASE_TRANSFER, SIDE_CLIENT, SEEN, NULL});
}

/* ---- what TLS hides */

static void hidden_things(void **state)
{
    struct scene s;

    transfer(&s);
    fins(&s, DOWN, 400);
    expect("no close_notify", &s,
           (struct want){VERDICT_OK, PHASE_CLOSE, SIDE_PROXY, INFERRED, "without close_notify"});
    s.x.sides[DOWN].records.last_len = 19;
    expect("with one", &s, (struct want){VERDICT_OK, PHASE_CLOSE, SIDE_PROXY, SEEN, NULL});
    tunnel(&s);
    rst(&s, UP, 75);
    expect("reset behind the handshake", &s,
           (struct want){VERDICT_RESET_BY_CLIENT, PHASE_EXCHANGE, SIDE_CLIENT, INFERRED,
                         "may not have accepted"});
    transfer(&s);
    rst(&s, UP, 301);
    expect("in the middle", &s,
           (struct want){VERDICT_RESET_BY_CLIENT, PHASE_TRANSFER, SIDE_CLIENT, SEEN, NULL});
    transfer(&s);
    rst(&s, UP, 8000);
    expect("after a silence", &s,
           (struct want){VERDICT_RESET_BY_CLIENT, PHASE_TRANSFER, SIDE_CLIENT, INFERRED,
                         "after a long silence"});
}

/* ---- black holes */

static void black_holes(void **state)
{
    static const struct want sent = {VERDICT_MTU_BLACKHOLE, PHASE_TLS, SIDE_NETWORK, INFERRED,
                                     "packet 6 at 0.046 s: 1460 bytes of the client, never "
                                     "acknowledged, sent 5 times, the last in packet 11"};
    struct scene s;

    (void)state;
    answer(&s, ASKED_CONNECT, 200);
    mark(&s, MARK_HELLO, 46, 6);
    stick(&s, UP, 1460, 5, 46);
    s.now_ns = MS(3100);
    expect("at the sender's side", &s, sent);
    fin(&s, UP, 20000);
    expect("and the client closes", &s, sent);
    s.c.streams[UP].largest_acked = 1460;
    expect("one of that size passed", &s,
           (struct want){VERDICT_STALLED, PHASE_TLS, SIDE_NETWORK, SEEN, NULL});
    tunnel(&s);
    s.x.hello_whole[DOWN] = false;
    s.x.sides[DOWN].bytes = 0;
    s.c.streams[DOWN].largest_acked = 39;
    hole(&s, DOWN, 2920, 300, 70);
    fin(&s, UP, 20000);
    expect("towards the client, at its side", &s,
           (struct want){VERDICT_MTU_BLACKHOLE, PHASE_EXCHANGE, SIDE_NETWORK, INFERRED,
                         "300 bytes from the proxy arrived behind a hole of 2920"});
    answer(&s, ASKED_CONNECT, 200);
    mark(&s, MARK_HELLO, 46, 6);
    hole(&s, UP, 1460, 362, 47);
    s.now_ns = MS(20000);
    expect("from the client, at the proxy's side", &s,
           (struct want){VERDICT_MTU_BLACKHOLE, PHASE_TLS, SIDE_NETWORK, INFERRED,
                         "362 bytes from the client arrived behind a hole of 1460"});
    answer(&s, ASKED_CONNECT, 200);
    mark(&s, MARK_HELLO, 46, 6);
    hole(&s, UP, 1460, 362, 47);
    rst(&s, UP, 1500);
    expect("too young", &s,
           (struct want){VERDICT_RESET_BY_CLIENT, PHASE_TLS, SIDE_CLIENT, INFERRED,
                         "over too soon to tell"});
    answer(&s, ASKED_CONNECT, 200);
    mark(&s, MARK_HELLO, 46, 6);
    stick(&s, DOWN, 1448, 4, 70);
    s.rare[DOWN].hole_ns = MS(71);
    s.rare[DOWN].hole_behind = 100;
    s.c.streams[DOWN].largest_acked = 100;
    s.now_ns = MS(3100);
    expect("towards the client, at the proxy's side", &s,
           (struct want){VERDICT_MTU_BLACKHOLE, PHASE_TLS, SIDE_NETWORK, INFERRED,
                         "for the client unacknowledged, the first 1448 of them sent 4 times"});
    answer(&s, ASKED_CONNECT, 200);
    mark(&s, MARK_HELLO, 46, 6);
    stick(&s, UP, 1460, 2, 46);
    s.icmp = (struct conn_icmp){.type = 3, .code = 4, .mtu = 1400, .number = 7};
    s.c.icmp = &s.icmp;
    s.now_ns = MS(9000);
    expect("ICMP is proof", &s,
           (struct want){VERDICT_MTU_BLACKHOLE, PHASE_TLS, SIDE_NETWORK, SEEN,
                         "packet 7: ICMP fragmentation needed, MTU 1400"});
}

/* ---- cuts */

static void cut(struct flow *f, unsigned start_s, unsigned ms, uint64_t bytes)
{
    *f = (struct flow){.bytes_down = bytes, .id = start_s};
    endpoint(&f->proxy, "10.1.1.1:3128");
    flow_begin(f, SOURCE_EXPLAIN, start_s, start_s * NS_PER_S, start_s * NS_PER_S);
    flow_phase(f, PHASE_TRANSFER, start_s * NS_PER_S);
    flow_end(f, VERDICT_RESET_BY_PROXY, SIDE_PROXY, INFERRED, start_s * NS_PER_S + ms * NS_PER_MS);
}

static void two_cuts_make_a_limit(void **state)
{
    static const struct {
        const char *what;
        unsigned start_s[2], ms[2];
        uint64_t bytes[2];
        enum verdict want;
    } cases[] = {
        {"one size", {1, 50}, {4000, 9000}, {10000000, 10010000}, VERDICT_SIZE_LIMIT},
        {"one time", {1, 50}, {60000, 60400}, {10000000, 300000}, VERDICT_LIFETIME_LIMIT},
        {"neither", {1, 50}, {4000, 9000}, {10000000, 300000}, VERDICT_RESET_BY_PROXY},
        {"cut in one moment", {1, 1}, {60000, 60000}, {900000, 300000}, VERDICT_RESET_BY_PROXY},
        {"few bytes are alike by chance",
         {1, 50},
         {4000, 9000},
         {3000, 4000},
         VERDICT_RESET_BY_PROXY},
        {"short times, too", {1, 50}, {2000, 2900}, {900000, 300000}, VERDICT_RESET_BY_PROXY},
        {"both, and the time is nearer",
         {1, 50},
         {60000, 60100},
         {10000000, 10010000},
         VERDICT_LIFETIME_LIMIT},
    };
    struct endings *e = endings_new(&(struct endings_options){0});

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct flow a, b;

        cut(&a, cases[i].start_s[0], cases[i].ms[0], cases[i].bytes[0]);
        cut(&b, cases[i].start_s[1], cases[i].ms[1], cases[i].bytes[1]);
        assert_true(endings_is_pending(e, &a));
        assert_int_equal(endings_settle(e, &a, &b), cases[i].want != VERDICT_RESET_BY_PROXY);
        if (a.verdict != cases[i].want || b.verdict != cases[i].want)
            fail_msg("%s: %s", cases[i].what, verdict_get_info(a.verdict)->name);
        flow_fini(&a);
        flow_fini(&b);
    }
    endings_free(e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(streams_that_stop),   cmocka_unit_test(resets),
        cmocka_unit_test(resets_behind_a_fin), cmocka_unit_test(hidden_things),
        cmocka_unit_test(black_holes),         cmocka_unit_test(two_cuts_make_a_limit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
