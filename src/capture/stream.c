#include "capture/stream.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "capture/conn_private.h"
#include "capture/series.h"
#include "capture/waiting.h"

static_assert(sizeof(struct stream) <= 136, "two of them belong to each live connection");

#define SCALE_MAX 14              /* RFC 7323 2.3: more counts as that */
#define GUESSED_MSS 1460          /* where none was announced */
#define TIMES_LEN 12              /* the timestamp option with its padding */
#define ACK_REACH (1u << 30)      /* beyond what was seen: no window is larger (RFC 7323 2.3) */
#define RST_REACH (1u << 26)      /* an RST farther away is meant for another connection */
#define DUPLICATE_ACKS 3          /* RFC 5681 3.2: that many tell of a hole */
#define TTL_SLACK 2               /* paths differ by that many hops */
#define SILENCE_NS (5 * NS_PER_S) /* the clocks are compared over that much, at least */
#define RATE_NS (1 * NS_PER_S)    /* and the ticks of timestamps counted over that much */

const struct stream_rare *stream_get_rare(const struct stream *s)
{
    static const struct stream_rare none;

    return s->rare ? s->rare : &none;
}

struct stream_rare *stream_make_rare(struct conn_core *k, struct stream *s)
{
    if (!s->rare)
        s->rare = conn_core_alloc(k, sizeof *s->rare);
    return s->rare;
}

void stream_place(struct stream *s, uint32_t first)
{
    s->first = s->next = s->top = first;
    s->placed = true;
}

static void plot(struct conn_turn *t, uint64_t bytes, enum dir dir, enum series_mark mark)
{
    struct series_event e = {t->p->at_ns - t->c->begin_ns, bytes, dir, mark};

    if (t->core->options.series)
        series_add(&t->c->plot, &t->core->series_left, &e);
}

/* Bytes of a segment as it went over the wire: of an offload giant that of one MSS. */
static uint16_t get_piece(const struct conn_turn *t, uint32_t len)
{
    uint32_t mss = t->o->mss ? t->o->mss : GUESSED_MSS;

    if (t->s->has_times && mss > 2 * TIMES_LEN)
        mss -= TIMES_LEN;
    return (uint16_t)(len < mss ? len : mss);
}

/* --- any packet */

/* True: the timestamps say that less time went by than the capture's clock says.  What a tick is,
 * is the sender's to choose (RFC 7323 5.4): counted if there was time to, else 100 ms, as slow as
 * hardly any is. */
static bool contradicts_clock(const struct stream *s, const struct packet *p, uint64_t begin_ns)
{
    uint64_t quiet = p->at_ns - s->last_ns, ticks = p->time_value - s->last_time;
    uint64_t counted = s->last_time - s->first_time;
    uint64_t over = s->last_ns > begin_ns ? s->last_ns - begin_ns : 0;
    double expected = (double)quiet / (100 * NS_PER_MS);

    if (over >= RATE_NS && counted > 0 && counted < UINT32_MAX / 2)
        expected = (double)counted * (double)quiet / (double)over;
    return (double)ticks * 4 < expected;
}

static void take_times(struct conn_turn *t)
{
    const struct packet *p = t->p;
    struct stream *s = t->s;

    if (!s->has_times) {
        s->has_times = true;
        s->first_time = s->last_time = p->time_value;
        return;
    }
    if (stream_is_before(p->time_value, s->last_time))
        return; /* out of order */
    if (p->at_ns > s->last_ns && p->at_ns - s->last_ns >= SILENCE_NS &&
        contradicts_clock(s, p, t->c->begin_ns))
        t->c->clock_jumped = true;
    s->last_time = p->time_value;
}

/* The window that a side announces; only 0 is sure to stop the other side, whatever the scale. */
static void take_window(struct conn_turn *t)
{
    struct stream_rare *r = t->s->rare;
    const struct packet *p = t->p;

    if (p->window == 0 && !(r && r->closed_ns)) {
        r = stream_make_rare(t->core, t->s);
        if (!r)
            return;
        r->closed_ns = p->at_ns ? p->at_ns : 1;
        r->closed_number = p->number;
        r->closures++;
        plot(t, t->o->bytes, !t->dir, SERIES_CLOSED);
    } else if (p->window != 0 && r && r->closed_ns) {
        r->closed_total_ns += p->at_ns > r->closed_ns ? p->at_ns - r->closed_ns : 0;
        r->closed_ns = 0;
        plot(t, t->o->bytes, !t->dir, SERIES_OPENED);
    }
}

void stream_take_any(struct conn_turn *t)
{
    const struct packet *p = t->p;
    struct stream *s = t->s;

    if (p->has_times)
        take_times(t);
    s->begun = true;
    s->last_ns = p->at_ns;
    if (p->flags & PACKET_RST)
        return; /* its TTL and window are its own */
    s->ttl = p->ttl;
    if (p->has_ip_id)
        s->last_ip_id = p->ip_id;
}

/* --- SYN */

/* Scaling holds when both SYNs offer it (RFC 7323 2.2). */
static void settle_scales(struct stream *s, struct stream *o)
{
    if (s->syn && o->syn && (s->scale == 0 || o->scale == 0))
        s->scale = o->scale = 0;
}

void stream_take_syn(struct conn_turn *t)
{
    const struct packet *p = t->p;
    struct stream *s = t->s;

    if (!(p->flags & PACKET_ACK) && t->c->syns < UINT8_MAX)
        t->c->syns++;
    if (!s->syn) {
        s->syn = true;
        s->mss = p->mss;
        s->scale = p->has_scale     ? (p->scale < SCALE_MAX ? p->scale : SCALE_MAX)
                   : p->options_cut ? 255
                                    : 0;
        s->sack_permitted = p->sack_permitted;
        settle_scales(s, t->o);
    }
    if (!s->placed)
        stream_place(s, p->seq + 1);
}

/* --- acknowledgements */

static void close_hole(struct stream_rare *r)
{
    r->hole_ns = 0;
    r->hole_number = r->hole_behind = 0;
}

static void show_hole(struct conn_turn *t, struct stream *x, uint32_t seq, uint32_t behind,
                      bool by_data)
{
    struct stream_rare *r = stream_make_rare(t->core, x);

    if (!r)
        return;
    if (!r->hole_ns) {
        r->hole_ns = t->p->at_ns ? t->p->at_ns : 1;
        r->hole_number = t->p->number;
        r->hole_seq = seq;
        r->hole_by_data = by_data;
    }
    if (behind > r->hole_behind)
        r->hole_behind = behind;
}

void stream_show_gap(struct conn_turn *t, uint32_t behind)
{
    struct stream *s = t->s;

    if (!s->has_acks || !stream_is_before(s->next, s->acked))
        show_hole(t, s, s->next, behind, true);
}

void stream_pass_hole(struct stream *s)
{
    struct stream_rare *r = s->rare;

    if (r && r->hole_ns &&
        ((s->has_acks && stream_is_before(r->hole_seq, s->acked)) ||
         (r->hole_by_data && stream_is_before(r->hole_seq, s->next))))
        close_hole(r);
}

/* SACK blocks (RFC 2018); the first may report what came twice instead (RFC 2883 4). */
static bool take_sacks(struct conn_turn *t)
{
    const struct packet *p = t->p;
    struct stream *o = t->o;
    uint32_t behind = 0;

    for (unsigned i = 0; i < p->sacks_len; i++) {
        uint32_t begin = p->sacks[i].begin, end = p->sacks[i].end;
        bool inside = i == 0 && p->sacks_len > 1 && !stream_is_before(begin, p->sacks[1].begin) &&
                      !stream_is_before(p->sacks[1].end, end);

        if (inside || !stream_is_before(o->acked, begin) || !stream_is_before(begin, end) ||
            end - o->acked > ACK_REACH)
            continue;
        behind += end - begin;
        if (o->fin && end == o->top + 1) /* a FIN is no byte */
            behind--;
        flight_sack(o, t->c->waiting[!t->dir] ? &t->c->waiting[!t->dir]->flight : NULL, begin, end);
    }
    if (behind)
        show_hole(t, o, o->acked, behind, false);
    return behind > 0;
}

/* An acknowledgement that says nothing new (RFC 5681 2, RFC 6675 2). */
static void take_same_ack(struct conn_turn *t, bool has_sacks)
{
    const struct packet *p = t->p;
    struct stream_rare *r;

    if (p->payload_len || p->flags & (PACKET_SYN | PACKET_FIN | PACKET_RST) || p->window == 0 ||
        !stream_is_before(t->o->acked, t->o->top) || (!has_sacks && p->window != t->s->window) ||
        (!has_sacks && p->sacks_len))
        return;
    r = stream_make_rare(t->core, t->s);
    if (!r)
        return;
    r->duplicate_acks++;
    if (r->acks_run < UINT8_MAX)
        r->acks_run++;
    if (r->acks_run >= DUPLICATE_ACKS && !has_sacks)
        show_hole(t, t->o, t->o->acked, r->acks_run, false);
}

void stream_take_ack(struct conn_turn *t)
{
    struct stream *o = t->o;
    uint32_t ack = t->p->ack;
    bool is_new, has_sacks;

    if (!o->placed)
        stream_place(o, ack);
    if (o->fin && ack == o->fin_seq + 1) {
        o->fin_acked = true;
        ack--;
    }
    if (stream_is_before(o->top, ack) && ack - o->top > ACK_REACH) {
        t->core->counts.bad++;
        return;
    }
    is_new = !o->has_acks || stream_is_before(o->acked, ack);
    if (is_new) {
        o->has_acks = true;
        o->acked = ack;
        flight_acknowledge(o, t->c->waiting[!t->dir] ? &t->c->waiting[!t->dir]->flight : NULL);
        if (o->rare)
            stream_pass_hole(o);
        if (t->s->rare)
            t->s->rare->acks_run = 0;
    }
    has_sacks = t->p->sacks_len && take_sacks(t);
    if (!is_new && ack == o->acked)
        take_same_ack(t, has_sacks);
    if (!(t->p->flags & (PACKET_SYN | PACKET_RST))) {
        if (t->p->window == 0 || t->s->rare)
            take_window(t);
        t->s->window = t->p->window;
    }
}

/* --- data */

/* Keep-alives repeat the last byte, or send none in its place (RFC 9293 3.8.4); who waits for a
 * window to open sends one byte over and over (3.8.6.1). */
static bool is_probe(const struct conn_turn *t, uint32_t seq, uint32_t len)
{
    const struct stream *s = t->s;

    if (len > 1 || !stream_is_before(seq, s->top))
        return false;
    if (t->o->rare && t->o->rare->closed_ns)
        return true;
    return s->top - seq == 1 && s->has_acks && !stream_is_before(s->acked, s->top);
}

/* True: its bytes were seen before.  They were not where they fill a gap of the capture, or stand
 * before its beginning; and a byte alone was a window probe. */
static bool is_repeated(const struct conn_turn *t, uint32_t seq, uint32_t len)
{
    const struct stream *s = t->s;

    if (!stream_is_before(seq, s->top) || (s->top - seq == 1 && len > 1))
        return false;
    if (stream_is_before(seq, s->next))
        return !(t->c->mid_stream && stream_is_before(seq, s->first));
    return waiting_has(t->c->waiting[t->dir], seq);
}

static void take_repeated(struct conn_turn *t, const struct flight_part *part)
{
    struct stream_rare *r = stream_make_rare(t->core, t->s);
    struct conn_waiting *w = t->c->waiting[t->dir];

    flight_repeat(t->s, w ? &w->flight : NULL, part);
    plot(t, t->s->bytes - (t->s->top - part->seq), t->dir, SERIES_RETRANSMITTED);
    if (!r)
        return;
    r->retransmissions++;
    if (!r->repeated_number)
        r->repeated_number = t->p->number;
}

static void take_new(struct conn_turn *t, const struct flight_part *part)
{
    struct conn_waiting *w = t->c->waiting[t->dir];

    if (!w && flight_is_wanted(t->s))
        w = waiting_get(t->core, t->c, t->dir);
    if (w && flight_is_narrow(&w->flight) && flight_is_wanted(t->s))
        waiting_widen(t->core, w);
    flight_add(t->s, w ? &w->flight : NULL, part);
}

/* Bytes beyond all that was seen. */
static void take_top(struct conn_turn *t, uint32_t end)
{
    struct stream *s = t->s;

    s->bytes += end - s->top;
    s->top = end;
    s->last_data_ns = t->p->at_ns;
    s->last_data_number = t->p->number;
    if (s->rst && t->p->at_ns > s->rare->rst_ns + CONN_PATIENCE_NS)
        s->rst_outlived = true;
    plot(t, s->bytes, t->dir, SERIES_DATA);
}

bool stream_take_data(struct conn_turn *t, uint32_t seq, uint32_t len)
{
    struct stream *s = t->s;
    uint16_t piece = get_piece(t, len);
    struct flight_part part = {t->p->at_ns, seq, len, t->p->number, piece};
    uint32_t top = s->top;

    if (is_probe(t, seq, len))
        return false;
    s->giant |= piece < len;
    if (piece > s->largest)
        s->largest = piece;
    bool repeated = is_repeated(t, seq, len);
    if (stream_is_before(top, seq + len)) /* first, as flights end where the top is */
        take_top(t, seq + len);
    if (repeated)
        take_repeated(t, &part);
    if (repeated && stream_is_before(top, seq + len)) { /* some of it is new */
        part.len -= top - seq;
        part.seq = top;
        take_new(t, &part);
    } else if (!repeated && !stream_is_before(seq, s->first)) {
        take_new(t, &part);
    }
    return true;
}

/* --- the end */

void stream_take_fin(struct conn_turn *t, uint32_t seq)
{
    struct stream *s = t->s;

    if (s->fin)
        return;
    s->fin = true;
    s->fin_seq = seq;
    s->fin_ns = t->p->at_ns;
    s->fin_number = t->p->number;
    if (s->has_acks && s->acked == seq + 1) { /* the capture has them in the wrong order */
        s->fin_acked = true;
        s->acked--;
    }
    plot(t, s->bytes, t->dir, SERIES_FIN);
}

/* How many routers a packet passed, if it began with one of the usual values. */
static int count_hops(uint8_t ttl)
{
    static const uint8_t begins[] = {32, 64, 128, 255};
    unsigned i = 0;

    while (begins[i] < ttl)
        i++;
    return begins[i] - ttl;
}

/* Some systems give their RSTs another TTL to begin with: then the way is still as long.  IP IDs
 * tell nothing, as many RSTs have none. */
static bool is_odd_ttl(uint8_t ttl, uint8_t usual)
{
    return ttl && usual && abs(ttl - usual) > TTL_SLACK &&
           abs(count_hops(ttl) - count_hops(usual)) > TTL_SLACK;
}

bool stream_take_rst(struct conn_turn *t)
{
    const struct packet *p = t->p;
    struct stream *s = t->s;
    struct stream_rare *r;

    if (s->placed && !p->is_text && p->seq - s->top + RST_REACH > 2 * RST_REACH) {
        t->core->counts.bad++;
        return false;
    }
    r = stream_make_rare(t->core, s);
    if (!r || s->rst)
        return false;
    s->rst = true;
    r->rst_ns = p->at_ns;
    r->rst_number = p->number;
    r->rst_ip_id = p->ip_id;
    r->rst_ttl = p->ttl;
    r->rst_seq = p->seq;
    r->rst_is_odd = is_odd_ttl(p->ttl, s->ttl);
    plot(t, s->bytes, t->dir, SERIES_RST);
    return true;
}
