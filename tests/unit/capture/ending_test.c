/* How exchanges end: those that never became much, and those that are well. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "scene.h"

/* ---- no connection */

static void connections_that_never_were(void **state)
{
    struct scene s;

    (void)state;
    begin(&s);
    s.c.syns = 4;
    s.now_ns = MS(15000);
    expect("SYNs only", &s,
           (struct want){VERDICT_PROXY_UNREACHABLE, PHASE_CONNECT, SIDE_NETWORK, SEEN, NULL});
    s.x.proxied = false;
    expect("direct", &s,
           (struct want){VERDICT_UPSTREAM_TIMEOUT, PHASE_CONNECT, SIDE_NETWORK, SEEN, NULL});
    begin(&s);
    s.now_ns = MS(6000);
    expect("one SYN, and nothing for long", &s,
           (struct want){VERDICT_PROXY_UNREACHABLE, PHASE_CONNECT, SIDE_NETWORK, INFERRED, NULL});
    begin(&s);
    expect("one SYN, and the capture ends", &s,
           (struct want){VERDICT_OPEN, PHASE_CONNECT, SIDE_NOBODY, SEEN, NULL});
    begin(&s);
    rst(&s, DOWN, 1);
    expect("refused", &s,
           (struct want){VERDICT_PROXY_REFUSED, PHASE_CONNECT, SIDE_PROXY, SEEN,
                         "RST from the proxy"});
    s.x.proxied = false;
    expect("refused, direct", &s,
           (struct want){VERDICT_UPSTREAM_REFUSED, PHASE_CONNECT, SIDE_TARGET, SEEN, NULL});
    begin(&s);
    s.icmp = (struct conn_icmp){.type = 3, .code = 1, .number = 2};
    endpoint(&(struct endpoint){0}, "10.0.0.1:1");
    s.c.icmp = &s.icmp;
    expect("ICMP", &s,
           (struct want){VERDICT_PROXY_UNREACHABLE, PHASE_CONNECT, SIDE_NETWORK, SEEN,
                         "packet 2: ICMP host unreachable"});
    s.x.proxied = false;
    expect("ICMP, direct", &s,
           (struct want){VERDICT_UPSTREAM_UNREACHABLE, PHASE_CONNECT, SIDE_NETWORK, SEEN, NULL});
}

/* ---- no answer */

static void requests_without_answer(void **state)
{
    struct scene s;

    (void)state;
    ask(&s, ASKED_CONNECT);
    fin(&s, UP, 2000);
    expect("the client leaves soon", &s,
           (struct want){VERDICT_CLIENT_GONE, PHASE_ANSWER, SIDE_CLIENT, SEEN, NULL});
    ask(&s, ASKED_CONNECT);
    rst(&s, UP, 2000);
    expect("by RST", &s, (struct want){VERDICT_CLIENT_GONE, PHASE_ANSWER, SIDE_CLIENT, SEEN, NULL});
    ask(&s, ASKED_CONNECT);
    fin(&s, UP, 30000);
    expect("the client leaves late", &s,
           (struct want){VERDICT_PROXY_SILENT, PHASE_ANSWER, SIDE_PROXY, SEEN,
                         "looks like a timer of 30 s"});
    ask(&s, ASKED_CONNECT);
    fin(&s, DOWN, 300);
    expect("FIN without a byte", &s,
           (struct want){VERDICT_PROXY_SILENT, PHASE_ANSWER, SIDE_PROXY, SEEN, NULL});
    ask(&s, ASKED_CONNECT);
    rst(&s, DOWN, 300);
    expect("RST in place of an answer", &s,
           (struct want){VERDICT_RESET_BY_PROXY, PHASE_ANSWER, SIDE_PROXY, SEEN, NULL});
    ask(&s, ASKED_CONNECT);
    s.now_ns = MS(9000);
    expect("the capture ends late", &s,
           (struct want){VERDICT_PROXY_SILENT, PHASE_ANSWER, SIDE_PROXY, INFERRED,
                         "no byte came for 9.0 s"});
    ask(&s, ASKED_CONNECT);
    s.now_ns = MS(4000);
    expect("the capture ends soon", &s,
           (struct want){VERDICT_OPEN, PHASE_ANSWER, SIDE_NOBODY, SEEN, NULL});
    ask(&s, ASKED_CONNECT);
    s.c.streams[UP].top = s.c.streams[UP].acked = 1;
    stick(&s, UP, 79, 4, 21);
    fin(&s, UP, 3000);
    expect("sent four times in vain", &s,
           (struct want){VERDICT_PROXY_SILENT, PHASE_ANSWER, SIDE_PROXY, SEEN,
                         "79 bytes of the client, never acknowledged, sent 4 times"});
    ask(&s, ASKED_CONNECT);
    s.c.streams[UP].top = s.c.streams[UP].acked = 1;
    stick(&s, UP, 1460, 4, 21);
    fin(&s, UP, 3000);
    expect("whatever its size", &s,
           (struct want){VERDICT_PROXY_SILENT, PHASE_ANSWER, SIDE_PROXY, SEEN, NULL});
    ask(&s, ASKED_CONNECT);
    s.x.request_unfinished = true;
    fin(&s, DOWN, 30000);
    expect("half a head", &s,
           (struct want){VERDICT_REQUEST_TIMEOUT, PHASE_ANSWER, SIDE_CLIENT, INFERRED, NULL});
    ask(&s, ASKED_ORIGIN);
    s.x.proxied = false;
    fin(&s, DOWN, 300);
    expect("direct, FIN without a byte", &s,
           (struct want){VERDICT_UPSTREAM_FAILED, PHASE_ANSWER, SIDE_TARGET, SEEN, NULL});
    ask(&s, ASKED_ORIGIN);
    s.x.proxied = false;
    fin(&s, UP, 8000);
    expect(
        "direct, no answer", &s,
        (struct want){VERDICT_STALLED, PHASE_ANSWER, SIDE_TARGET, INFERRED, "viaduct check --mtu"});
    s.c.streams[DOWN].largest = 1460;
    expect("direct, no answer, and full-size segments pass", &s,
           (struct want){VERDICT_STALLED, PHASE_ANSWER, SIDE_TARGET, SEEN, NULL});
    s.c.streams[DOWN].largest = 0;
    ask(&s, ASKED_CONNECT);
    s.c.streams[DOWN].begun = false;
    s.c.one_sided = true;
    fin(&s, UP, 30000);
    expect("the proxy's packets are not here", &s,
           (struct want){VERDICT_OPEN, PHASE_ANSWER, SIDE_NOBODY, INFERRED, NULL});
}

static void answers_that_say_no(void **state)
{
    struct scene s;

    (void)state;
    answer(&s, ASKED_CONNECT, 403);
    s.judged =
        (struct outside_verdict){VERDICT_ACL_DENIED, SIDE_PROXY, INFERRED, NULL, "status 403"};
    s.facts.judged = &s.judged;
    rst(&s, UP, 60);
    expect("403, then RST", &s,
           (struct want){VERDICT_ACL_DENIED, PHASE_ANSWER, SIDE_PROXY, INFERRED,
                         "packet 5 at 0.045 s: the answer, 0.024 s after the request"});
    answer(&s, ASKED_CONNECT, 403);
    s.x.content_unseen = true;
    fins(&s, DOWN, 60);
    expect("403, cut by a snaplen", &s,
           (struct want){VERDICT_ACL_DENIED, PHASE_ANSWER, SIDE_PROXY, INFERRED, NULL});
    answer(&s, ASKED_CONNECT, 407);
    s.x.is_last = false;
    s.facts.judged = &s.judged;
    s.judged = (struct outside_verdict){VERDICT_AUTH_REQUIRED, SIDE_PROXY, INFERRED, NULL, ""};
    expect("407, and the connection goes on", &s,
           (struct want){VERDICT_AUTH_REQUIRED, PHASE_ANSWER, SIDE_PROXY, INFERRED, NULL});
    ask(&s, ASKED_CONNECT);
    mark(&s, MARK_ANSWER, 45, 5);
    mark(&s, MARK_LAST, 45, 5);
    fin(&s, DOWN, 60);
    expect("half a head", &s,
           (struct want){VERDICT_INCOMPLETE, PHASE_ANSWER, SIDE_PROXY, SEEN, NULL});
}

/* ---- tunnels that are well */

static void tunnels_that_are_well(void **state)
{
    struct scene s;
    struct flow f = {0};

    (void)state;
    transfer(&s);
    fins(&s, UP, 400);
    expect("both FINs", &s, (struct want){VERDICT_OK, PHASE_CLOSE, SIDE_CLIENT, SEEN, NULL});
    transfer(&s);
    fins(&s, UP, 400);
    rst(&s, UP, 402);
    expect("RST behind them", &s, (struct want){VERDICT_OK, PHASE_CLOSE, SIDE_CLIENT, SEEN, NULL});
    transfer(&s);
    s.rare[DOWN].retransmissions = 7;
    s.rare[DOWN].repeated_number = 33;
    fins(&s, DOWN, 400);
    run(&s, &f);
    assert_int_equal(f.verdict, VERDICT_OK);
    assert_string_equal(flow_find_note(&f, NOTE_WARNING, WARNING_RETRANSMISSIONS),
                        "0 segments from the client, 7 to it; first packet 33");
    flow_fini(&f);
    transfer(&s);
    expect("the capture ends", &s,
           (struct want){VERDICT_OPEN, PHASE_TRANSFER, SIDE_NOBODY, SEEN, NULL});
    transfer(&s);
    s.now_ns = MS(900000);
    expect("quiet for long, and nothing owed", &s,
           (struct want){VERDICT_OPEN, PHASE_TRANSFER, SIDE_NOBODY, SEEN, NULL});
    transfer(&s);
    fins(&s, DOWN, 60300);
    run(&s, &f);
    assert_int_equal(f.verdict, VERDICT_OK);
    assert_string_equal(flow_find_note(&f, NOTE_WARNING, WARNING_IDLE_CLOSED),
                        "by the proxy after 60.0 s without a byte: looks like a timer of 60 s");
    flow_fini(&f);
    tunnel(&s);
    s.x.sides[UP].since_other = 80;
    fins(&s, DOWN, 90000);
    expect("never used: a Finished is no request", &s,
           (struct want){VERDICT_OK, PHASE_CLOSE, SIDE_PROXY, SEEN, NULL});
    inner(&s);
    mark(&s, MARK_INNER_ANSWER, 81, 12);
    s.x.sides[UP].since_other = 70;
    fins(&s, UP, 90000);
    expect("window updates are no request", &s,
           (struct want){VERDICT_OK, PHASE_CLOSE, SIDE_CLIENT, SEEN, NULL});
    inner(&s);
    s.c.streams[DOWN].begun = false;
    s.c.one_sided = true;
    s.x.hello_whole[DOWN] = false;
    s.x.sides[DOWN].bytes = 0;
    fin(&s, UP, 90000);
    expect("only the client's packets", &s,
           (struct want){VERDICT_OK, PHASE_CLOSE, SIDE_CLIENT, INFERRED, NULL});
    transfer(&s);
    answer(&s, ASKED_ABSOLUTE, 200);
    s.x.complete = true;
    s.x.is_last = false;
    mark(&s, MARK_BODY, 46, 6);
    mark(&s, MARK_LAST, 60, 9);
    expect("kept alive", &s, (struct want){VERDICT_OK, PHASE_TRANSFER, SIDE_PROXY, SEEN, NULL});
    s.x.is_last = true;
    rst(&s, UP, 62);
    expect("RST behind a whole answer", &s,
           (struct want){VERDICT_OK, PHASE_CLOSE, SIDE_CLIENT, SEEN, NULL});
}

/* Only silences that look like somebody's timer are named after one. */
static void timers(void **state)
{
    static const struct {
        unsigned ms, timer_s;
    } cases[] = {{30000, 30},   {30900, 30},   {31500, 0},    {28900, 0},    {59500, 60},
                 {120400, 120}, {270000, 270}, {299000, 300}, {604000, 600}, {905000, 900},
                 {4000, 0},     {100000, 0},   {1800000, 0}};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct scene s;
        struct flow f = {0};
        char want[64];

        transfer(&s);
        fins(&s, UP, 300 + cases[i].ms);
        run(&s, &f);
        snprintf(want, sizeof want, "looks like a timer of %u s", cases[i].timer_s);
        assert_int_equal(f.verdict, VERDICT_OK);
        if (cases[i].timer_s &&
            !strstr(flow_find_note(&f, NOTE_WARNING, WARNING_IDLE_CLOSED), want))
            fail_msg("%u ms: %s", cases[i].ms,
                     flow_find_note(&f, NOTE_WARNING, WARNING_IDLE_CLOSED));
        assert_int_equal(f.warnings != 0, cases[i].timer_s != 0);
        flow_fini(&f);
    }
}

/* ---- what is said beside */

static void warnings(void **state)
{
    struct scene s;
    struct flow f = {0};

    (void)state;
    transfer(&s);
    s.c.streams[UP].mss = 536;
    s.c.fragmented = true;
    s.x.is_basic = s.x.credentials_sent = true;
    s.rare[UP].closures = 2;
    s.rare[UP].closed_total_ns = 1500 * NS_PER_MS;
    fins(&s, UP, 400);
    run(&s, &f);
    assert_int_equal(f.verdict, VERDICT_OK);
    assert_int_equal(f.warnings, 1u << WARNING_SMALL_MSS | 1u << WARNING_FRAGMENTED |
                                     1u << WARNING_WEAK_AUTH | 1u << WARNING_ZERO_WINDOW);
    flow_fini(&f);

    answer(&s, ASKED_ABSOLUTE, 200);
    s.x.silence = (struct exchange_silence){
        .begin_ns = MS(21), .length_ns = 24 * NS_PER_S, .before = 4, .after = 6};
    s.x.silence_is_asked = true;
    s.x.marks_us[MARK_ANSWER] = s.x.marks_us[MARK_ANSWER_END] = 0;
    mark(&s, MARK_ANSWER, 24021, 6);
    mark(&s, MARK_ANSWER_END, 24021, 6);
    mark(&s, MARK_BODY, 24021, 6);
    mark(&s, MARK_LAST, 25000, 900);
    s.x.sides[DOWN].bytes = 5000000;
    fins(&s, UP, 25001);
    run(&s, &f);
    assert_int_equal(f.verdict, VERDICT_OK);
    assert_int_equal(f.warnings, 1u << WARNING_INSPECTION_DELAY | 1u << WARNING_SLOW_TARGET);
    assert_string_equal(
        flow_find_note(&f, NOTE_WARNING, WARNING_INSPECTION_DELAY),
        "24.0 s of silence between packet 4 and packet 6, then 5000000 bytes in 1.0 s");
    flow_fini(&f);
}

/* What a capture lacks is named, and how to get it. */
static void captures_that_lack_something(void **state)
{
    struct scene s;
    struct flow f = {0};

    (void)state;
    transfer(&s);
    s.x.early_unseen = true;
    fins(&s, UP, 400);
    run(&s, &f);
    assert_int_equal(f.verdict, VERDICT_OK);
    assert_string_equal(flow_find_note(&f, NOTE_WARNING, WARNING_CAPTURE_INCOMPLETE),
                        "its beginning is not here; to see more: tcpdump -i any -s 0 -w "
                        "capture.pcap '(host 10.1.1.1 and tcp port 3128) or icmp or icmp6'");
    assert_int_equal(f.outcomes[PHASE_RESOLVE], OUTCOME_UNKNOWN);
    flow_fini(&f);
}

/* Each phase has its time and its packets. */
static void phases(void **state)
{
    struct scene s;
    struct flow f = {0};

    (void)state;
    transfer(&s);
    fins(&s, UP, 400);
    run(&s, &f);
    assert_string_equal(flow_find_note(&f, NOTE_PHASE, PHASE_CONNECT),
                        "packets 1 to 3, rtt 20.000 ms, mss 1460 and 1460");
    assert_string_equal(flow_find_note(&f, NOTE_PHASE, PHASE_REQUEST), "packet 4");
    assert_string_equal(flow_find_note(&f, NOTE_PHASE, PHASE_ANSWER), "packet 5, status 200");
    assert_string_equal(flow_find_note(&f, NOTE_PHASE, PHASE_TLS), "packets 6 to 10, TLSv1.3");
    assert_string_equal(flow_find_note(&f, NOTE_PHASE, PHASE_EXCHANGE),
                        "packets 11 to 12, inside TLS: statuses and redirects are not seen");
    assert_string_equal(flow_find_note(&f, NOTE_PHASE, PHASE_TRANSFER), "packets 12 to 90");
    assert_int_equal(f.phases[PHASE_CONNECT].duration_ns, 20 * NS_PER_MS);
    assert_int_equal(f.phases[PHASE_ANSWER].start_ns, 21 * NS_PER_MS);
    assert_int_equal(f.phases[PHASE_TRANSFER].duration_ns, 195 * NS_PER_MS);
    assert_int_equal(f.outcomes[PHASE_PROXY_TLS], OUTCOME_SKIPPED);
    assert_int_equal(f.duration_ns, 401 * NS_PER_MS);
    assert_true(f.client_leg.known);
    assert_int_equal(f.client_leg.rtt_us, 20000);
    flow_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(connections_that_never_were),
        cmocka_unit_test(requests_without_answer),
        cmocka_unit_test(answers_that_say_no),
        cmocka_unit_test(tunnels_that_are_well),
        cmocka_unit_test(timers),
        cmocka_unit_test(warnings),
        cmocka_unit_test(captures_that_lack_something),
        cmocka_unit_test(phases),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
