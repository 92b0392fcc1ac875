#include "capture/conn.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "capture/conn_private.h"
#include "capture/order.h"
#include "capture/series.h"
#include "capture/waiting.h"

/* One connection.  A packet's facts go into the streams first (stream.c), then its bytes go on to
 * the listener, in order and each once (order.c). */

#define START_REACH (1u << 20) /* bytes that packets may be out of order at the start */

void *conn_core_alloc(struct conn_core *k, size_t len)
{
    void *ptr = calloc(1, len);

    if (ptr)
        conn_core_count(k, len);
    return ptr;
}

void conn_core_count(struct conn_core *k, size_t len)
{
    k->counts.memory += len;
    if (k->counts.memory > k->counts.memory_peak)
        k->counts.memory_peak = k->counts.memory;
}

void conn_core_free(struct conn_core *k, void *ptr, size_t len)
{
    if (!ptr)
        return;
    k->counts.memory -= len;
    free(ptr);
}

uint64_t conn_hash(const struct endpoint *a, const struct endpoint *b)
{
    const struct endpoint *low = a, *high = b;
    char key[2 * (sizeof a->addr.bytes + sizeof a->port)];
    size_t each = a->addr.family == AF_INET && b->addr.family == AF_INET ? 4 : 16, len = 0;
    int order = (int)a->port - b->port;

    if (order == 0)
        order = memcmp(a->addr.bytes, b->addr.bytes, sizeof a->addr.bytes);
    if (order > 0) {
        low = b;
        high = a;
    }
    memcpy(key, low->addr.bytes, each);
    memcpy(key + each, high->addr.bytes, each);
    len = 2 * each;
    memcpy(key + len, &low->port, sizeof low->port);
    memcpy(key + len + 2, &high->port, sizeof high->port);
    return hash_bytes(key, len + 4);
}

void conn_establish(struct conn_core *k, struct conn *c)
{
    c->established = true;
    k->counts.connections++;
    k->events.established(k->events.owner, c);
}

/* --- data */

/* Sets the beginning of a stream whose SYN is not here; while a connection is new, packets that
 * came in the wrong order may move it. */
static void place(struct conn_turn *t, uint32_t seq)
{
    struct stream *s = t->s;

    if (!s->placed) {
        stream_place(s, seq);
        return;
    }
    if (!(t->c->pending & CONN_PENDING_START) || s->syn)
        return;
    if (!s->last_data_ns)
        stream_place(s, seq); /* its acknowledgement was of bytes before the capture */
    else if (stream_is_before(seq, s->first) && s->first - seq <= START_REACH) {
        s->bytes += s->first - seq;
        s->first = s->next = seq;
    }
}

static void take_data(struct conn_turn *t)
{
    const struct packet *p = t->p;
    struct stream *s = t->s;
    uint32_t seq = p->seq + (p->flags & PACKET_SYN ? 1 : 0);
    struct stream_piece piece = {
        .bytes = p->payload,
        .len = p->payload_len,
        .at_ns = p->at_ns,
        .number = p->number,
        .file = p->file,
    };

    if (piece.bytes.len > piece.len)
        piece.bytes.len = piece.len;
    place(t, seq);
    if (!stream_take_data(t, seq, piece.len) || s->fin_told)
        return;
    if (s->fin && stream_is_before(s->fin_seq, seq + piece.len)) /* nothing is behind a FIN */
        piece.len = stream_is_before(seq, s->fin_seq) ? s->fin_seq - seq : 0;
    if (stream_is_before(seq, s->next)) {
        if (!stream_is_before(s->next, seq + piece.len))
            return; /* all of it is old */
        order_cut(&piece, &seq, s->next - seq);
    }
    if (piece.bytes.len > piece.len)
        piece.bytes.len = piece.len;
    if (!piece.len)
        return;
    if (seq == s->next && !t->c->pending &&
        !(t->c->waiting[t->dir] && t->c->waiting[t->dir]->first)) {
        order_hand_on(t->core, t->c, t->dir, &piece);
        if (s->fin)
            order_tell_end(t->core, t->c, t->dir);
        return;
    }
    order_put(t, &piece, seq);
}

/* --- a packet */

/* What an RST acknowledges is its maker's guess, if a box on the way made it; but who knows of the
 * other side's FIN has all that was said before it, and with timestamps it is the end's own. */
static bool has_all(const struct conn_turn *t)
{
    uint32_t ack = t->p->ack;

    return t->p->flags & PACKET_ACK &&
           ((t->o->fin && ack == t->o->fin_seq + 1) || (t->p->has_times && ack == t->o->top));
}

static void take_rst(struct conn_turn *t)
{
    if (has_all(t))
        stream_take_ack(t);
    if (!stream_take_rst(t))
        return;
    t->c->pending |= (uint8_t)((unsigned)CONN_PENDING_RST << t->dir);
    if (!t->s->placed || t->c->is_text)
        order_tell_rst(t->core, t->c, t->dir);
    else
        order_drain(t->core, t->c, t->dir, NULL);
}

/* The ends were guessed, and wrong: nothing was told yet. */
static void swap_ends(struct conn *c)
{
    struct endpoint end = c->ends[UP];
    struct stream stream = c->streams[UP];
    struct conn_waiting *waiting = c->waiting[UP];
    unsigned up = c->pending & (CONN_PENDING_GAP | CONN_PENDING_RST);
    unsigned down = c->pending & (CONN_PENDING_GAP | CONN_PENDING_RST) << DOWN;

    c->ends[UP] = c->ends[DOWN];
    c->ends[DOWN] = end;
    c->streams[UP] = c->streams[DOWN];
    c->streams[DOWN] = stream;
    c->waiting[UP] = c->waiting[DOWN];
    c->waiting[DOWN] = waiting;
    c->pending = (uint8_t)((c->pending & ~(up | down)) | up << 1 | down >> 1);
}

/* The SYN of a connection that seemed to be met in the middle: the capture has it late. */
static void take_late_syn(struct conn_turn *t)
{
    const struct packet *p = t->p;
    bool is_opener = !(p->flags & PACKET_ACK);
    struct stream *s;

    if (is_opener != (t->dir == UP)) {
        swap_ends(t->c);
        t->dir = !t->dir;
        t->s = &t->c->streams[t->dir];
        t->o = &t->c->streams[!t->dir];
    }
    s = t->s;
    if (s->placed && p->seq + 1 - s->first + START_REACH <= 2 * START_REACH) {
        s->bytes = s->top - (p->seq + 1);
        s->first = s->next = p->seq + 1;
    }
    t->c->mid_stream = false;
}

void conn_take(struct conn_core *k, struct conn *c, enum dir dir, const struct packet *p)
{
    struct conn_turn t = {k, c, p, &c->streams[dir], &c->streams[!dir], dir};

    if (c->pending)
        order_settle(k, c, p->at_ns);
    c->last_ns = p->at_ns;
    c->last_number = p->number;
    c->fragmented |= p->was_fragmented;
    if (p->flags & PACKET_SYN && c->pending & CONN_PENDING_START)
        take_late_syn(&t);
    stream_take_any(&t);
    if (p->flags & PACKET_RST) {
        take_rst(&t);
        return;
    }
    if (p->flags & PACKET_SYN)
        stream_take_syn(&t);
    if (p->flags & PACKET_ACK) {
        stream_take_ack(&t);
        if (stream_is_before(t.o->next, t.o->acked) && t.o->has_acks)
            order_prove(&t);
    }
    if (c->pending & CONN_PENDING_SYN && p->flags & PACKET_ACK) {
        c->pending &= (uint8_t)~CONN_PENDING_SYN;
        conn_establish(k, c);
        order_drain(k, c, UP, NULL);
    }
    if (p->payload_len)
        take_data(&t);
    if (p->flags & PACKET_FIN) {
        stream_take_fin(&t, p->seq + p->payload_len + (p->flags & PACKET_SYN ? 1 : 0));
        if (!t.s->fin_told)
            order_tell_end(k, c, t.dir);
    }
    if (c->waiting[t.dir] || c->waiting[!t.dir]) {
        waiting_put(k, c, t.dir, false);
        waiting_put(k, c, !t.dir, false);
    }
}

void conn_fini(struct conn_core *k, struct conn *c)
{
    for (unsigned i = 0; i < 2; i++) {
        waiting_put(k, c, (enum dir)i, true);
        conn_core_free(k, c->streams[i].rare, sizeof *c->streams[i].rare);
        c->streams[i].rare = NULL;
    }
    conn_core_free(k, c->icmp, sizeof *c->icmp);
    c->icmp = NULL;
    series_free(&c->plot, &k->series_left);
}

enum conn_shelf conn_find_shelf(const struct conn *c)
{
    const struct stream *up = &c->streams[UP], *down = &c->streams[DOWN];

    if ((up->rst && !up->rst_outlived) || (down->rst && !down->rst_outlived) ||
        (up->fin_acked && down->fin_acked))
        return CONN_SHELF_CLOSED;
    if ((up->fin && (down->fin || !down->begun)) || (down->fin && !up->begun))
        return CONN_SHELF_CLOSING;
    return c->pending & CONN_PENDING_SYN ? CONN_SHELF_EMBRYO : CONN_SHELF_LIVE;
}
