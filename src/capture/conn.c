#include "capture/conn.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "capture/conn_private.h"
#include "capture/series.h"
#include "capture/waiting.h"

/* One connection.  A packet's facts go into the streams first (stream.c), then its bytes go on to
 * the listener, in order and each once.  What a side acknowledged came before its packet: so where
 * acknowledged bytes are missing, the other direction waits as well, until they come or the
 * patience is over and they are a hole.  The same goes for the first moments of a connection that
 * was met in the middle, whose SYN may only be late. */

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

static unsigned gap_of(enum dir dir)
{
    return (unsigned)CONN_PENDING_GAP << dir;
}

/* True: what comes next in this direction has to wait for something else. */
static bool is_blocked(const struct conn *c, enum dir dir)
{
    if (!c->pending)
        return false;
    if (c->pending & (CONN_PENDING_START | CONN_PENDING_SYN))
        return true;
    if (!(c->pending & gap_of(!dir)))
        return false;
    /* each side waits for the other: what was acknowledged came first */
    return !(c->pending & gap_of(dir) &&
             stream_is_before(c->streams[dir].next, c->waiting[dir]->proved_seq));
}

/* --- handing on */

static void hand_on(struct conn_core *k, struct conn *c, enum dir dir, const struct stream_piece *p)
{
    struct stream *s = &c->streams[dir];

    s->next += p->len;
    if (stream_is_before(s->top, s->next)) {
        s->bytes += s->next - s->top;
        s->top = s->next;
    }
    if (c->pending & gap_of(dir) && !stream_is_before(s->next, c->waiting[dir]->proved_seq))
        c->pending &= (uint8_t)~gap_of(dir); /* the other direction need not wait any more */
    if (s->rare)
        stream_pass_hole(s);
    if (!c->established)
        conn_establish(k, c);
    k->events.bytes(k->events.owner, c, dir, p);
}

/* Hands on a part that was kept, as far as its bytes are new.  `filler`: the packet that it waited
 * for, or NULL. */
static void hand_on_part(struct conn_core *k, struct conn *c, enum dir dir,
                         struct waiting_part *part, const struct packet *filler)
{
    struct stream *s = &c->streams[dir];
    uint32_t skip = s->next - part->seq;

    if (skip < part->len) {
        uint32_t have = part->have > skip ? part->have - skip : 0;
        struct stream_piece piece = {
            .bytes = {part->bytes + (have ? skip : 0), have},
            .len = part->len - skip,
            .at_ns = filler ? filler->at_ns : part->at_ns,
            .number = filler ? filler->number : part->number,
            .file = filler ? filler->file : part->file,
        };

        hand_on(k, c, dir, &piece);
    }
    waiting_free(k, part);
}

static void tell_fin(struct conn_core *k, struct conn *c, enum dir dir)
{
    struct stream *s = &c->streams[dir];

    if (!s->fin || s->fin_told || !c->established || stream_is_before(s->next, s->fin_seq) ||
        is_blocked(c, dir))
        return;
    s->fin_told = true;
    k->events.fin(k->events.owner, c, dir, s->fin_ns, s->fin_number);
}

static void tell_rst(struct conn_core *k, struct conn *c, enum dir dir)
{
    struct stream *s = &c->streams[dir];

    c->pending &= (uint8_t) ~((unsigned)CONN_PENDING_RST << dir);
    if (s->rst_told || !c->established)
        return;
    s->rst_told = true;
    k->events.reset(k->events.owner, c, dir, s->rare->rst_ns, s->rare->rst_number);
}

static bool has_ready(const struct conn *c, enum dir dir)
{
    const struct conn_waiting *w = c->waiting[dir];

    return w && w->first && !stream_is_before(c->streams[dir].next, w->first->seq) &&
           !c->streams[dir].fin_told && !is_blocked(c, dir);
}

/* Of two parts that are ready, which was sent first: one that had seen less of the other side than
 * was handed on, else the one that the capture has first. */
static enum dir get_earlier(const struct conn *c)
{
    const struct waiting_part *up = c->waiting[UP]->first, *down = c->waiting[DOWN]->first;
    bool up_waits = stream_is_before(c->streams[DOWN].next, up->ack);
    bool down_waits = stream_is_before(c->streams[UP].next, down->ack);

    if (up_waits != down_waits)
        return up_waits ? DOWN : UP;
    return down->at_ns < up->at_ns ? DOWN : UP;
}

static void tell_end(struct conn_core *k, struct conn *c, enum dir dir)
{
    struct stream *s = &c->streams[dir];

    if (s->fin && !s->fin_told)
        tell_fin(k, c, dir);
    if (c->pending & CONN_PENDING_RST << dir && !is_blocked(c, dir) &&
        !stream_is_before(s->next, s->rare->rst_seq))
        tell_rst(k, c, dir);
}

/* Hands on what waits and need not any more.  `filler`: the packet in direction `dir` that it
 * waited for, or NULL. */
static void drain(struct conn_core *k, struct conn *c, enum dir dir, const struct packet *filler)
{
    for (;;) {
        bool up = has_ready(c, UP), down = has_ready(c, DOWN);
        enum dir next = up && down ? get_earlier(c) : up ? UP : DOWN;

        if (!up && !down)
            break;
        hand_on_part(k, c, next, waiting_pop(c->waiting[next]), next == dir ? filler : NULL);
    }
    tell_end(k, c, UP);
    tell_end(k, c, DOWN);
}

/* Hands on all up to `to`: what is here, and holes for what is not.  `proof` has the time and the
 * packet that showed that the bytes were sent. */
static void fill_up(struct conn_core *k, struct conn *c, enum dir dir, uint32_t to,
                    const struct stream_piece *proof)
{
    struct stream *s = &c->streams[dir];

    while (stream_is_before(s->next, to) && !s->fin_told) {
        struct waiting_part *first = c->waiting[dir] ? c->waiting[dir]->first : NULL;
        struct stream_piece hole = *proof;

        if (first && !stream_is_before(s->next, first->seq)) {
            hand_on_part(k, c, dir, waiting_pop(c->waiting[dir]), NULL);
            continue;
        }
        if (first && first->at_ns < hole.at_ns) { /* bytes behind it show it, too */
            hole.at_ns = first->at_ns;
            hole.number = first->number;
            hole.file = first->file;
        }
        hole.bytes = (struct span){0};
        hole.len = (first && stream_is_before(first->seq, to) ? first->seq : to) - s->next;
        if (stream_make_rare(k, s))
            s->rare->missing += hole.len;
        hand_on(k, c, dir, &hole);
    }
}

/* --- patience */

/* The patience with the gap in this direction is over. */
static void give_up_gap(struct conn_core *k, struct conn *c, enum dir dir)
{
    struct conn_waiting *w = c->waiting[dir];
    struct stream_piece proof = {
        .at_ns = w->proved_ns, .number = w->proved_number, .file = w->proved_file};

    c->pending &= (uint8_t)~gap_of(dir);
    fill_up(k, c, dir, w->proved_seq, &proof);
}

/* Ends the waits that took long enough by `now_ns`; UINT64_MAX: all of them. */
static void settle(struct conn_core *k, struct conn *c, uint64_t now_ns)
{
    static const enum dir dirs[] = {UP, DOWN};
    uint64_t from = now_ns > CONN_PATIENCE_NS ? now_ns - CONN_PATIENCE_NS : 0;

    if (c->begin_ns <= from || now_ns == UINT64_MAX)
        c->pending &= (uint8_t)~CONN_PENDING_START;
    if (now_ns == UINT64_MAX)
        c->pending &= (uint8_t)~CONN_PENDING_SYN;
    for (unsigned i = 0; i < 2; i++)
        if (c->pending & gap_of(dirs[i]) && c->waiting[dirs[i]]->proved_ns <= from &&
            !(c->pending & CONN_PENDING_START))
            give_up_gap(k, c, dirs[i]);
    drain(k, c, UP, NULL);
    for (unsigned i = 0; i < 2; i++)
        if (c->pending & CONN_PENDING_RST << dirs[i] && c->streams[dirs[i]].rare->rst_ns <= from)
            tell_rst(k, c, dirs[i]);
    for (unsigned i = 0; i < 2; i++)
        waiting_put(k, c, dirs[i], false);
}

/* The packet acknowledged bytes of the other side that have not been handed on. */
static void prove(struct conn_turn *t)
{
    struct conn *c = t->c;
    struct stream *o = t->o;
    enum dir dir = !t->dir;
    struct conn_waiting *w = c->waiting[dir];
    struct stream_piece proof = {.at_ns = t->p->at_ns, .number = t->p->number, .file = t->p->file};

    if (c->pending & (gap_of(dir) | CONN_PENDING_SYN) ||
        !stream_is_before(waiting_get_end(w, o->next), o->acked))
        return;
    if (!o->fin && o->acked - o->next == 1)
        return; /* it may be a FIN that is not in the capture */
    if (c->is_text || (!o->begun && !(c->pending & CONN_PENDING_START))) {
        fill_up(t->core, c, dir, o->acked, &proof); /* it has been missing all along */
        drain(t->core, c, dir, NULL);
        return;
    }
    w = waiting_get(t->core, c, dir);
    if (!w)
        return; /* it is proved again by the next packet */
    w->proved_ns = proof.at_ns;
    w->proved_number = proof.number;
    w->proved_file = proof.file;
    w->proved_seq = o->acked;
    c->pending |= (uint8_t)gap_of(dir);
}

/* --- data */

/* There is no room to keep bytes at `seq`: nothing waits any longer, and what is not here is a
 * hole, though it may still come. */
static void give_up_waiting(struct conn_turn *t, uint32_t seq)
{
    struct conn *c = t->c;
    struct conn_waiting *w;
    struct stream_piece proof = {.at_ns = t->p->at_ns, .number = t->p->number, .file = t->p->file};

    c->overflowed = true;
    settle(t->core, c, UINT64_MAX);
    w = c->waiting[t->dir];
    if (w && w->first && stream_is_before(w->first->seq, seq))
        seq = w->first->seq;
    fill_up(t->core, c, t->dir, seq, &proof);
    drain(t->core, c, t->dir, NULL);
}

static void cut_front(struct stream_piece *p, uint32_t *seq, uint32_t n)
{
    size_t have = n < p->bytes.len ? n : p->bytes.len;

    *seq += n;
    p->len -= n;
    if (have)
        p->bytes = (struct span){p->bytes.ptr + have, p->bytes.len - have};
}

/* Keeps bytes that are not next, or may not be handed on yet.  False: there was no room, and the
 * gap was given up. */
static bool keep(struct conn_turn *t, const struct stream_piece *p, uint32_t seq)
{
    struct stream *s = t->s;
    struct conn_waiting *w = waiting_get(t->core, t->c, t->dir);

    if (stream_is_before(s->next, seq) && stream_is_before(waiting_get_end(w, s->next), seq)) {
        struct stream_rare *r = stream_make_rare(t->core, s);

        if (r)
            r->out_of_order++;
        stream_show_gap(t, (w ? w->used - w->parts * (uint32_t)sizeof(struct waiting_part) : 0) +
                               p->len);
    }
    if (w && waiting_add(t->core, w, p, seq, t->p->flags & PACKET_ACK ? t->p->ack : t->o->next))
        return true;
    give_up_waiting(t, seq);
    return false;
}

/* The way of bytes that are not simply the next ones, or that others wait for. */
static void put_in_order(struct conn_turn *t, struct stream_piece *p, uint32_t seq)
{
    struct stream *s = t->s;

    while (p->len) {
        struct conn_waiting *w = t->c->waiting[t->dir];
        struct stream_piece part = *p;

        if (stream_is_before(seq, s->next)) {
            cut_front(p, &seq, s->next - seq < p->len ? s->next - seq : p->len);
            continue;
        }
        if (seq != s->next || is_blocked(t->c, t->dir)) {
            if (keep(t, p, seq))
                break;
            continue;
        }
        if (w && w->first && stream_is_before(w->first->seq, seq + p->len))
            part.len = w->first->seq - seq; /* those that came first stay */
        if (part.bytes.len > part.len)
            part.bytes.len = part.len;
        if (part.len)
            hand_on(t->core, t->c, t->dir, &part);
        drain(t->core, t->c, t->dir, t->p);
    }
    drain(t->core, t->c, t->dir, t->p);
}

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
    if (!s->first_data_ns)
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
    if (!stream_take_data(t, seq, piece.len))
        return;
    if (s->fin && stream_is_before(s->fin_seq, seq + piece.len)) /* nothing is behind a FIN */
        piece.len = stream_is_before(seq, s->fin_seq) ? s->fin_seq - seq : 0;
    if (stream_is_before(seq, s->next)) {
        if (!stream_is_before(s->next, seq + piece.len))
            return; /* all of it is old */
        cut_front(&piece, &seq, s->next - seq);
    }
    if (piece.bytes.len > piece.len)
        piece.bytes.len = piece.len;
    if (!piece.len)
        return;
    if (seq == s->next && !t->c->pending &&
        !(t->c->waiting[t->dir] && t->c->waiting[t->dir]->first)) {
        hand_on(t->core, t->c, t->dir, &piece);
        if (s->fin)
            tell_end(t->core, t->c, t->dir);
        return;
    }
    put_in_order(t, &piece, seq);
}

/* --- a packet */

/* What an RST acknowledges is its maker's guess, if a box on the way made it; but who knows of the
 * other side's FIN has all that was said before it. */
static bool has_all(const struct conn_turn *t)
{
    return t->p->flags & PACKET_ACK && t->o->fin && t->p->ack == t->o->fin_seq + 1;
}

static void take_rst(struct conn_turn *t)
{
    if (has_all(t))
        stream_take_ack(t);
    if (!stream_take_rst(t))
        return;
    t->c->pending |= (uint8_t)((unsigned)CONN_PENDING_RST << t->dir);
    if (!t->s->placed || t->c->is_text)
        tell_rst(t->core, t->c, t->dir);
    else
        drain(t->core, t->c, t->dir, NULL);
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
        settle(k, c, p->at_ns);
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
            prove(&t);
    }
    if (c->pending & CONN_PENDING_SYN && p->flags & PACKET_ACK) {
        c->pending &= (uint8_t)~CONN_PENDING_SYN;
        conn_establish(k, c);
        drain(k, c, UP, NULL);
    }
    if (p->payload_len)
        take_data(&t);
    if (p->flags & PACKET_FIN) {
        stream_take_fin(&t, p->seq + p->payload_len + (p->flags & PACKET_SYN ? 1 : 0));
        if (!t.s->fin_told)
            tell_fin(k, c, t.dir);
    }
    if (c->waiting[t.dir] || c->waiting[!t.dir]) {
        waiting_put(k, c, t.dir, false);
        waiting_put(k, c, !t.dir, false);
    }
}

void conn_hand_on(struct conn_core *k, struct conn *c)
{
    static const enum dir dirs[] = {UP, DOWN};

    if (c->pending & CONN_PENDING_SYN)
        return; /* nobody took what came with it */
    settle(k, c, UINT64_MAX);
    for (unsigned i = 0; i < 2; i++) {
        struct stream *s = &c->streams[dirs[i]];
        struct conn_waiting *w = c->waiting[dirs[i]];
        struct stream_piece proof = {
            .at_ns = c->last_ns, .number = c->last_number, .file = c->file};
        uint32_t end = w && w->last ? w->last->seq + w->last->len : s->next;

        /* who was seen to acknowledge, and did not get that far, never got it */
        if (c->streams[!dirs[i]].begun && s->has_acks && !stream_is_before(s->next, s->acked))
            continue;
        if (s->fin && stream_is_before(end, s->fin_seq))
            end = s->fin_seq;
        fill_up(k, c, dirs[i], end, &proof);
        tell_fin(k, c, dirs[i]);
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
