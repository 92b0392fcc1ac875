/* tests/unit/capture/scene.h - exchanges made up without packets, and what their ending has to be.
 *
 * Each function begins a scene, or goes on with it: a CONNECT through the proxy 10.1.1.1, its
 * answer, TLS, a request inside, a transfer; then how it went away. */
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/util.h"
#include "capture/ending.h"

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

static inline void mark(struct scene *s, enum mark m, unsigned ms, uint32_t number)
{
    exchange_mark(&s->x, m, MS(ms), number);
}

static inline void endpoint(struct endpoint *e, const char *text)
{
    assert_true(endpoint_parse(span_of(text), e));
}

/* Only a SYN, at 0 s in packet 1. */
static inline void begin(struct scene *s)
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
static inline void ask(struct scene *s, enum asked asked)
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
static inline void answer(struct scene *s, enum asked asked, unsigned status)
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
static inline void tunnel(struct scene *s)
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
static inline void inner(struct scene *s)
{
    tunnel(s);
    s->x.sides[UP].bytes += 400;
    s->x.sides[UP].since_other = 400;
    s->c.streams[UP].last_data_ns = MS(80);
    mark(s, MARK_INNER, 80, 11);
    mark(s, MARK_LAST, 80, 11);
}

/* 100 KiB back, up to 300 ms, in packet 90. */
static inline void transfer(struct scene *s)
{
    inner(s);
    s->x.sides[UP].since_other = 0;
    s->x.sides[DOWN].bytes += 102400;
    mark(s, MARK_INNER_ANSWER, 105, 12);
    mark(s, MARK_BODY, 105, 12);
    mark(s, MARK_LAST, 300, 90);
}

static inline void fin(struct scene *s, enum dir dir, unsigned ms)
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

static inline void fins(struct scene *s, enum dir first, unsigned ms)
{
    fin(s, first, ms);
    fin(s, first == UP ? DOWN : UP, ms + 1);
}

static inline void rst(struct scene *s, enum dir dir, unsigned ms)
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
static inline void stick(struct scene *s, enum dir dir, unsigned len, unsigned sends, unsigned ms)
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

static inline void hole(struct scene *s, enum dir dir, unsigned len, unsigned behind, unsigned ms)
{
    struct stream *t = &s->c.streams[dir];

    t->top = t->acked + len + behind;
    s->rare[dir].hole_ns = MS(ms);
    s->rare[dir].hole_number = 8;
    s->rare[dir].hole_behind = behind;
}

static inline void run(struct scene *s, struct flow *f)
{
    struct endings *e = endings_new(&(struct endings_options){0});

    s->rare[UP].closures += s->rare[UP].closed_ns != 0;
    endings_make(e, &s->x, s->how, s->now_ns, f);
    endings_free(e);
}

static inline bool has_note(const struct flow *f, enum note_kind kind, const char *part)
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
static inline void expect(const char *what, struct scene *s, struct want w)
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
