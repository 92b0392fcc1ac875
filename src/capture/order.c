#include "capture/order.h"

#include "capture/waiting.h"

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

void order_hand_on(struct conn_core *k, struct conn *c, enum dir dir, const struct stream_piece *p)
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

        order_hand_on(k, c, dir, &piece);
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

void order_tell_rst(struct conn_core *k, struct conn *c, enum dir dir)
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

void order_tell_end(struct conn_core *k, struct conn *c, enum dir dir)
{
    struct stream *s = &c->streams[dir];

    if (s->fin && !s->fin_told)
        tell_fin(k, c, dir);
    if (c->pending & CONN_PENDING_RST << dir && !is_blocked(c, dir) &&
        !stream_is_before(s->next, s->rare->rst_seq))
        order_tell_rst(k, c, dir);
}

/* Hands on what waits and need not any more.  `filler`: the packet in direction `dir` that it
 * waited for, or NULL. */
void order_drain(struct conn_core *k, struct conn *c, enum dir dir, const struct packet *filler)
{
    for (;;) {
        bool up = has_ready(c, UP), down = has_ready(c, DOWN);
        enum dir next = up && down ? get_earlier(c) : up ? UP : DOWN;

        if (!up && !down)
            break;
        hand_on_part(k, c, next, waiting_pop(c->waiting[next]), next == dir ? filler : NULL);
    }
    order_tell_end(k, c, UP);
    order_tell_end(k, c, DOWN);
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
        order_hand_on(k, c, dir, &hole);
    }
}

/* --- patience */

/* The patience with the gap in this direction is over: what is missing is a hole. */
static void give_up_gap(struct conn_core *k, struct conn *c, enum dir dir)
{
    struct conn_waiting *w = c->waiting[dir];
    bool is_filled = !stream_is_before(waiting_get_end(w, c->streams[dir].next), w->proved_seq);
    struct stream_piece proof = {
        .at_ns = w->proved_ns, .number = w->proved_number, .file = w->proved_file};

    c->pending &= (uint8_t)~gap_of(dir);
    if (!is_filled) /* else it only waited for its turn */
        fill_up(k, c, dir, w->proved_seq, &proof);
}

/* Ends the waits that took long enough by `now_ns`; UINT64_MAX: all of them. */
void order_settle(struct conn_core *k, struct conn *c, uint64_t now_ns)
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
    order_drain(k, c, UP, NULL);
    for (unsigned i = 0; i < 2; i++)
        if (c->pending & CONN_PENDING_RST << dirs[i] && c->streams[dirs[i]].rare->rst_ns <= from)
            order_tell_rst(k, c, dirs[i]);
    for (unsigned i = 0; i < 2; i++)
        waiting_put(k, c, dirs[i], false);
}

/* The packet acknowledged bytes of the other side that have not been handed on. */
void order_prove(struct conn_turn *t)
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
        order_drain(t->core, c, dir, NULL);
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

/* --- data that is not simply next */

/* There is no room to keep bytes at `seq`: nothing waits any longer, and what is not here is a
 * hole, though it may still come. */
static void give_up_waiting(struct conn_turn *t, uint32_t seq)
{
    struct conn *c = t->c;
    struct conn_waiting *w;
    struct stream_piece proof = {.at_ns = t->p->at_ns, .number = t->p->number, .file = t->p->file};

    c->overflowed = true;
    order_settle(t->core, c, UINT64_MAX);
    w = c->waiting[t->dir];
    if (w && w->first && stream_is_before(w->first->seq, seq))
        seq = w->first->seq;
    fill_up(t->core, c, t->dir, seq, &proof);
    order_drain(t->core, c, t->dir, NULL);
}

void order_cut(struct stream_piece *p, uint32_t *seq, uint32_t n)
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
void order_put(struct conn_turn *t, struct stream_piece *p, uint32_t seq)
{
    struct stream *s = t->s;

    while (p->len) {
        struct conn_waiting *w = t->c->waiting[t->dir];
        struct stream_piece part = *p;

        if (stream_is_before(seq, s->next)) {
            order_cut(p, &seq, s->next - seq < p->len ? s->next - seq : p->len);
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
            order_hand_on(t->core, t->c, t->dir, &part);
        order_drain(t->core, t->c, t->dir, t->p);
    }
    order_drain(t->core, t->c, t->dir, t->p);
}

void order_finish(struct conn_core *k, struct conn *c)
{
    static const enum dir dirs[] = {UP, DOWN};

    if (c->pending & CONN_PENDING_SYN)
        return; /* nobody took what came with it */
    order_settle(k, c, UINT64_MAX);
    for (unsigned i = 0; i < 2; i++) {
        struct stream *s = &c->streams[dirs[i]];
        struct conn_waiting *w = c->waiting[dirs[i]];
        struct stream_piece proof = {
            .at_ns = c->last_ns, .number = c->last_number, .file = c->file};
        uint32_t end = w && w->last ? w->last->seq + w->last->len : s->next;

        /* who was seen to acknowledge, and did not get that far, never got it */
        if (c->streams[!dirs[i]].begun && s->has_acks && !stream_is_before(s->next, s->acked))
            continue;
        if (s->has_acks && stream_is_before(end + 1, s->acked)) /* one more may be an unseen FIN */
            end = s->acked;
        if (s->fin && stream_is_before(end, s->fin_seq))
            end = s->fin_seq;
        fill_up(k, c, dirs[i], end, &proof);
        tell_fin(k, c, dirs[i]);
    }
}
