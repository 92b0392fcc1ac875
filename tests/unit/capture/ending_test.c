#include "capture/ending.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/util.h"

#define SEEN CERTAINTY_SEEN
#define INFERRED CERTAINTY_INFERRED
#define MS(n) (BEGIN + (n)*NS_PER_MS)
#define BEGIN (1000 * NS_PER_S)

/* A flow that begins well and ends nowhere yet. */
struct scene {
    struct conn c;
    struct stream_rare rare[2];
    struct exchange x;
    struct conn_icmp icmp;
    struct exchange_rare facts;
    struct outside_verdict judged;
    enum conn_end how;
    uint64_t now_ns;
};

static void mark(struct scene *s, enum mark m, unsigned ms, uint32_t number)
{
    exchange_mark(&s->x, m, MS(ms), number);
}

static void endpoint(struct endpoint *e, const char *text)
{
    assert_true(endpoint_parse(span_of(text), e));
}

/* Only a SYN, at 0 s in packet 1. */
static void begin(struct scene *s)
{
    *s = (struct scene){.how = CONN_END_CAPTURE, .now_ns = MS(100)};
    endpoint(&s->c.ends[UP], "10.1.1.9:40220");
    endpoint(&s->c.ends[DOWN], "10.1.1.1:3128");
    s->c.begin_ns = s->x.begin_ns = BEGIN;
    s->c.syns = 1;
    s->c.streams[UP] = (struct stream){.rare = &s->rare[UP], .begun = true, .syn = true, .ttl = 64};
    s->c.streams[DOWN] = (struct stream){.rare = &s->rare[DOWN], .ttl = 64};
    s->x.conn = &s->c;
    s->x.rare = &s->facts;
    s->x.number = 1;
    s->x.proxied = s->x.is_first = s->x.is_last = s->x.by_name = true;
    mark(s, MARK_SYN, 0, 1);
}

/* The handshake, and a request at 21 ms in packet 4 with 79 bytes, acknowledged. */
static void ask(struct scene *s, enum asked asked)
{
    begin(s);
    s->c.established = true;
    s->c.streams[UP].has_acks = s->c.streams[DOWN].has_acks = true;
    s->c.streams[DOWN].begun = s->c.streams[DOWN].syn = true;
    s->c.streams[UP].mss = s->c.streams[DOWN].mss = 1460;
    s->c.streams[UP].first = s->c.streams[DOWN].first = 1;
    s->c.streams[UP].top = s->c.streams[UP].acked = s->c.streams[UP].next = 80;
    s->c.streams[DOWN].top = s->c.streams[DOWN].acked = s->c.streams[DOWN].next = 1;
    s->c.streams[UP].bytes = 79;
    s->c.streams[UP].largest = s->c.streams[UP].largest_acked = 79;
    s->c.streams[UP].last_data_ns = MS(21);
    s->c.rtt_ns = 20 * NS_PER_MS;
    s->x.asked = (uint8_t)asked;
    s->x.target = (char *)(uintptr_t) "t.example:443";
    s->x.method = asked == ASKED_CONNECT ? METHOD_CONNECT : METHOD_GET;
    mark(s, MARK_ESTABLISHED, 20, 3);
    mark(s, MARK_REQUEST, 21, 4);
    mark(s, MARK_REQUEST_END, 21, 4);
    mark(s, MARK_LAST, 21, 4);
}

/* Answered with 39 bytes at 45 ms in packet 5. */
static void answer(struct scene *s, enum asked asked, unsigned status)
{
    ask(s, asked);
    s->x.status = (uint16_t)status;
    s->c.streams[DOWN].top = s->c.streams[DOWN].acked = s->c.streams[DOWN].next = 40;
    s->c.streams[DOWN].bytes = s->c.streams[DOWN].largest = s->c.streams[DOWN].largest_acked = 39;
    mark(s, MARK_ANSWER, 45, 5);
    mark(s, MARK_ANSWER_END, 45, 5);
    mark(s, MARK_LAST, 45, 5);
}

/* TLS up to the target's hello: 517 bytes at 46 ms in packet 6, and 3000 back at 70 ms in packet 8.
 */
static void tunnel(struct scene *s)
{
    answer(s, ASKED_CONNECT, 200);
    s->x.is_tls = s->x.is_tls13 = true;
    s->x.hello_whole[UP] = s->x.hello_whole[DOWN] = true;
    s->x.names = (char *)(uintptr_t) "t.example\0";
    s->x.tls_version = 0x0304;
    s->x.sides[UP].bytes = 597;
    s->x.sides[DOWN].bytes = 3000;
    s->x.sides[UP].records.records = 3;
    s->x.sides[UP].records.last_type = 23;
    s->x.sides[DOWN].records.records = 4;
    s->x.sides[DOWN].records.last_type = 23;
    s->c.streams[DOWN].largest_acked = s->c.streams[DOWN].largest = 1460;
    mark(s, MARK_HELLO, 46, 6);
    mark(s, MARK_HELLO_END, 46, 6);
    mark(s, MARK_SERVER_HELLO, 70, 8);
    mark(s, MARK_TLS_END, 72, 10);
    mark(s, MARK_LAST, 72, 10);
}

/* A request of 400 bytes inside at 80 ms in packet 11. */
static void inner(struct scene *s)
{
    tunnel(s);
    s->x.sides[UP].bytes += 400;
    s->x.sides[UP].since_other = 400;
    s->c.streams[UP].last_data_ns = MS(80);
    mark(s, MARK_INNER, 80, 11);
    mark(s, MARK_LAST, 80, 11);
}

/* 100 KiB back, up to 300 ms, in packet 90. */
static void transfer(struct scene *s)
{
    inner(s);
    s->x.sides[UP].since_other = 0;
    s->x.sides[DOWN].bytes += 102400;
    mark(s, MARK_INNER_ANSWER, 105, 12);
    mark(s, MARK_BODY, 105, 12);
    mark(s, MARK_LAST, 300, 90);
}

static void fin(struct scene *s, enum dir dir, unsigned ms)
{
    s->c.streams[dir].fin = true;
    s->c.streams[dir].fin_ns = MS(ms);
    s->c.streams[dir].fin_number = 100 + ms % 100;
    s->c.streams[dir].begun = true;
    mark(s, MARK_CLOSE, ms, 100 + ms % 100);
    mark(s, MARK_CLOSED, ms, 100 + ms % 100);
    s->how = CONN_END_CLOSED;
    s->now_ns = MS(ms) + NS_PER_S;
}

static void fins(struct scene *s, enum dir first, unsigned ms)
{
    fin(s, first, ms);
    fin(s, first == UP ? DOWN : UP, ms + 1);
}

static void rst(struct scene *s, enum dir dir, unsigned ms)
{
    s->c.streams[dir].rst = true;
    s->c.streams[dir].begun = true;
    s->rare[dir].rst_ns = MS(ms);
    s->rare[dir].rst_number = 120;
    s->rare[dir].rst_ttl = 64;
    mark(s, MARK_CLOSE, ms, 120);
    mark(s, MARK_CLOSED, ms, 120);
    s->how = CONN_END_CLOSED;
    s->now_ns = MS(ms) + NS_PER_S;
}

/* The segment of `len` bytes behind what was acknowledged, sent that many times, the first at `ms`.
 */
static void stick(struct scene *s, enum dir dir, unsigned len, unsigned sends, unsigned ms)
{
    struct stream *t = &s->c.streams[dir];

    t->acked = t->top;
    t->top += len;
    t->largest = (uint16_t)len;
    t->stuck = (struct stream_stuck){.first_ns = MS(ms),
                                     .last_ns = MS(ms + 200 * ((1u << sends) - 2) / 2),
                                     .seq = t->acked,
                                     .first_number = 6,
                                     .last_number = 6 + sends,
                                     .len = (uint16_t)len,
                                     .sends = (uint8_t)sends,
                                     .backs_off = sends >= 3,
                                     .same_size = true};
    s->rare[dir].retransmissions = sends - 1;
    s->rare[dir].repeated_number = 8;
}

static void hole(struct scene *s, enum dir dir, unsigned len, unsigned behind, unsigned ms)
{
    struct stream *t = &s->c.streams[dir];

    t->top = t->acked + len + behind;
    s->rare[dir].hole_ns = MS(ms);
    s->rare[dir].hole_number = 8;
    s->rare[dir].hole_behind = behind;
}

static void run(struct scene *s, struct flow *f)
{
    struct endings *e = endings_new(&(struct endings_options){0});

    s->rare[UP].closures += s->rare[UP].closed_ns != 0;
    endings_make(e, &s->x, s->how, s->now_ns, f);
    endings_free(e);
}

static bool has_note(const struct flow *f, enum note_kind kind, const char *part)
{
    uint32_t at = 0;
    const char *text;

    while ((text = flow_next_note(f, kind, NULL, &at)))
        if (strstr(text, part))
            return true;
    return false;
}

struct want {
    enum verdict verdict;
    enum phase in;
    enum side by;
    enum certainty certainty;
    const char *evidence; /* in one of them; NULL: not looked at */
};

/* Ends the scene and compares. */
static void expect(const char *what, struct scene *s, struct want w)
{
    struct flow f = {0};

    run(s, &f);
    if (f.verdict != w.verdict || f.ended_in != w.in || f.ended_by != w.by ||
        f.certainty != w.certainty)
        fail_msg("%s: %s in %s by %s (%s)", what, verdict_get_info(f.verdict)->name,
                 phase_name(f.ended_in), verdict_side_name(f.ended_by),
                 verdict_certainty_name(f.certainty));
    if (w.evidence && !has_note(&f, NOTE_EVIDENCE, w.evidence)) {
        uint32_t at = 0;
        const char *text;

        while ((text = flow_next_note(&f, NOTE_EVIDENCE, NULL, &at)))
            print_message("# %s\n", text);
        fail_msg("%s: no evidence \"%s\"", what, w.evidence);
    }
    flow_fini(&f);
}

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

/* ---- TLS */

static void tls(void **state)
{
    struct scene s;

    (void)state;
    tunnel(&s);
    s.x.is_tls13 = false;
    s.x.sides[UP].records = (struct tlsrec){
        .records = 2, .last_type = 21, .last_len = 2, .alert = {2, 48}, .alert_have = 2};
    fins(&s, UP, 80);
    expect("a certificate alert", &s,
           (struct want){VERDICT_TLS_UNTRUSTED, PHASE_TLS, SIDE_TARGET, SEEN,
                         "TLS alert 48 (unknown_ca) from the client"});
    tunnel(&s);
    s.x.hello_whole[DOWN] = false;
    s.x.sides[DOWN].bytes = 7;
    s.x.sides[DOWN].records = (struct tlsrec){
        .records = 1, .last_type = 21, .last_len = 2, .alert = {2, 40}, .alert_have = 2};
    fins(&s, DOWN, 80);
    expect("another alert", &s,
           (struct want){VERDICT_TLS_FAILED, PHASE_TLS, SIDE_TARGET, SEEN, "TLS alert 40"});
    tunnel(&s);
    s.x.issuer = "CN=Zscaler Intermediate Root CA";
    fins(&s, UP, 80);
    expect("an inspector's issuer", &s,
           (struct want){VERDICT_TLS_INTERCEPTED, PHASE_TLS, SIDE_PROXY, SEEN, "Zscaler"});
    answer(&s, ASKED_CONNECT, 200);
    s.x.is_tls = s.x.hello_whole[UP] = true;
    s.x.names = (char *)(uintptr_t) "other.example\0";
    s.x.sides[UP].bytes = 517;
    mark(&s, MARK_HELLO, 46, 6);
    mark(&s, MARK_HELLO_END, 46, 6);
    rst(&s, DOWN, 47);
    expect("another name", &s,
           (struct want){VERDICT_SNI_MISMATCH, PHASE_TLS, SIDE_PROXY, INFERRED,
                         "CONNECT asked for t.example:443, the ClientHello for other.example"});
}

static void one_issuer_behind_many(void **state)
{
    struct endings *e = endings_new(&(struct endings_options){0});
    struct scene s;
    struct flow f = {0};
    static const struct {
        const char *target, *issuer;
        enum verdict want;
    } cases[] = {
        {"a.one.example:443", "CN=Office CA", VERDICT_OK},
        {"b.one.example:443", "CN=Office CA", VERDICT_OK},
        {"one.example:443", "CN=R3, O=Let's Encrypt", VERDICT_OK},
        {"two.example:443", "CN=R3, O=Let's Encrypt", VERDICT_OK},
        {"two.example:443", "CN=Office CA", VERDICT_TLS_INTERCEPTED},
        {"192.0.2.7:443", "CN=Office CA", VERDICT_OK},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        tunnel(&s);
        s.x.target = (char *)(uintptr_t)cases[i].target;
        s.x.issuer = cases[i].issuer;
        fins(&s, UP, 80);
        endings_make(e, &s.x, s.how, s.now_ns, &f);
        if (f.verdict != cases[i].want)
            fail_msg("%s: %s", cases[i].target, verdict_get_info(f.verdict)->name);
        flow_fini(&f);
    }
    endings_free(e);
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

/* ---- the proxy's own leg */

static void both_legs(struct scene *s, struct scene *own)
{
    inner(s);
    tunnel(own);
    own->x.proxied = false;
    endpoint(&own->c.ends[UP], "10.1.1.1:50000");
    endpoint(&own->c.ends[DOWN], "192.0.2.80:443");
    own->c.streams[UP].last_data_ns = MS(81);
    own->c.streams[DOWN].last_data_ns = MS(69);
    s->x.upstream = &own->x;
}

static void two_legs(void **state)
{
    struct scene s, own;

    (void)state;
    both_legs(&s, &own);
    own.rare[DOWN].rst_ns = MS(100);
    rst(&s, DOWN, 101);
    expect("the target's reset", &s,
           (struct want){VERDICT_RESET_BY_TARGET, PHASE_EXCHANGE, SIDE_TARGET, SEEN, NULL});
    both_legs(&s, &own);
    rst(&s, DOWN, 101);
    expect("the proxy's own", &s,
           (struct want){VERDICT_RESET_BY_PROXY, PHASE_EXCHANGE, SIDE_PROXY, SEEN, NULL});
    both_legs(&s, &own);
    s.now_ns = MS(30000);
    expect("the target sends nothing", &s,
           (struct want){VERDICT_STALLED, PHASE_EXCHANGE, SIDE_TARGET, INFERRED,
                         "the proxy passed all on"});
    begin(&own);
    own.x.proxied = false;
    endpoint(&own.c.ends[DOWN], "192.0.2.80:443");
    rst(&own, DOWN, 30);
    answer(&s, ASKED_CONNECT, 502);
    s.judged =
        (struct outside_verdict){VERDICT_UPSTREAM_FAILED, SIDE_TARGET, INFERRED, NULL, "502"};
    s.facts.judged = &s.judged;
    s.x.upstream = &own.x;
    expect("the dial was refused", &s,
           (struct want){VERDICT_UPSTREAM_REFUSED, PHASE_ANSWER, SIDE_TARGET, SEEN,
                         "the proxy's own SYN to 192.0.2.80:443, and RST in answer"});
    s.judged = (struct outside_verdict){VERDICT_OVERLOADED, SIDE_PROXY, SEEN, NULL, "full"};
    expect("words tell more", &s,
           (struct want){VERDICT_OVERLOADED, PHASE_ANSWER, SIDE_PROXY, SEEN, NULL});
    both_legs(&s, &own);
    own.c.streams[UP].largest_acked = 500;
    stick(&own, UP, 1460, 5, 81);
    s.now_ns = MS(30000);
    expect("a black hole beyond", &s,
           (struct want){VERDICT_MTU_BLACKHOLE, PHASE_EXCHANGE, SIDE_NETWORK, INFERRED,
                         "between the proxy and the target"});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(connections_that_never_were),
        cmocka_unit_test(requests_without_answer),
        cmocka_unit_test(answers_that_say_no),
        cmocka_unit_test(tunnels_that_are_well),
        cmocka_unit_test(timers),
        cmocka_unit_test(streams_that_stop),
        cmocka_unit_test(resets),
        cmocka_unit_test(resets_behind_a_fin),
        cmocka_unit_test(hidden_things),
        cmocka_unit_test(black_holes),
        cmocka_unit_test(tls),
        cmocka_unit_test(one_issuer_behind_many),
        cmocka_unit_test(two_cuts_make_a_limit),
        cmocka_unit_test(warnings),
        cmocka_unit_test(captures_that_lack_something),
        cmocka_unit_test(phases),
        cmocka_unit_test(two_legs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
