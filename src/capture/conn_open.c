/* How connections begin: by a handshake, of which the capture may lack a part, or in the middle.
 * Until they are established they are small records (half_open.c). */
#include "base/util.h"
#include "capture/conn_table_private.h"

#define EMBRYOS_MAX 1024u /* data with a SYN is kept for that many */
#define REACH (1u << 20)  /* bytes that packets of a handshake may be apart */

/* --- in the middle */

/* Which end listens, of a connection whose beginning is not here. */
static bool is_listener(const struct conn_table *t, const struct endpoint *e,
                        const struct endpoint *other)
{
    static const uint16_t known[] = {80,   443,  3128, 8080, 8888, 8000, 1080, 8118,
                                     8081, 8443, 9090, 8123, 3129, 21,   22,   25};
    bool mine = false, theirs = false;

    if (t->core.events.is_proxy) {
        mine = t->core.events.is_proxy(t->core.events.owner, e);
        theirs = t->core.events.is_proxy(t->core.events.owner, other);
    }
    for (size_t i = 0; mine == theirs && i < ARRAY_LEN(known); i++) {
        mine = e->port == known[i];
        theirs = other->port == known[i];
    }
    return mine != theirs ? mine : e->port < other->port;
}

/* Data of a connection whose beginning is not in the capture, or comes late. */
static void take_middle(struct conn_table *t, const struct packet *p, uint64_t hash)
{
    struct conn *c;
    enum dir dir;

    if (p->payload_len == 1 && !(p->flags & PACKET_PSH))
        return; /* a keep-alive */
    if (conn_table_is_gone(t, hash, p))
        return;
    c = conn_table_make(t, hash, p->at_ns);
    if (!c)
        return;
    dir = is_listener(t, &p->from, &p->to) ? DOWN : UP;
    c->ends[dir] = p->from;
    c->ends[!dir] = p->to;
    c->begin_ns = c->last_ns = p->at_ns;
    c->wall_ns = p->wall_ns;
    c->begin_number = p->number;
    c->file = p->file;
    c->is_text = p->is_text;
    c->flags_unseen = p->flags_unseen;
    c->mid_stream = true;
    c->streams[UP].scale = c->streams[DOWN].scale = 255;
    if (!c->is_text)
        c->pending = CONN_PENDING_START;
    conn_table_shelve(t, c);
    conn_table_take(t, c, dir, p);
}

/* --- the handshake */

/* A half-open one becomes a whole one; NULL: out of memory. */
static struct conn *promote(struct conn_table *t, struct half_open *r, uint64_t hash,
                            uint64_t now_ns)
{
    struct conn *c = conn_table_make(t, hash, now_ns);

    if (!c)
        return NULL;
    half_open_fill(r, &t->core, c);
    half_open_remove(&t->half, r);
    for (unsigned i = 0; i < 2; i++)
        if (c->streams[i].rst)
            c->pending |= (uint8_t)((unsigned)CONN_PENDING_RST << i);
    conn_table_shelve(t, c);
    return c;
}

/* A new record, and room for it: of those that are refused the oldest is told, of the others it is
 * only counted. */
static struct half_open *add_half(struct conn_table *t, uint64_t hash, const struct packet *p,
                                  enum dir dir)
{
    const struct endpoint *opener = dir == UP ? &p->from : &p->to;
    const struct endpoint *listener = dir == UP ? &p->to : &p->from;
    struct half_open *r;

    if (t->half.used >= t->core.options.half_open) {
        r = half_open_get_oldest(&t->half, HALF_OPEN_REFUSED);
        if (r) {
            conn_table_end_half(t, r, CONN_END_CLOSED, p->at_ns);
        } else {
            half_open_remove(&t->half, half_open_get_oldest(&t->half, HALF_OPEN_ASKING));
            t->core.counts.half_open_lost++;
        }
    }
    r = half_open_add(&t->half, hash, opener, listener);
    if (!r) {
        t->core.counts.bad++;
        return NULL;
    }
    conn_table_be_due(t, p->at_ns, t->core.options.give_up_ns);
    half_open_note(r, p);
    half_open_note_syn(r, dir, p);
    return r;
}

static void move_half(struct conn_table *t, struct half_open *r, const struct packet *p)
{
    half_open_note(r, p);
    half_open_move(&t->half, r, r->rst_number ? HALF_OPEN_REFUSED : HALF_OPEN_ASKING);
    conn_table_be_due(t, p->at_ns,
                      r->rst_number ? CONN_TABLE_REFUSED_NS : t->core.options.give_up_ns);
}

/* Data comes with a SYN (RFC 7413): it is kept until it is acknowledged. */
static void take_syn_data(struct conn_table *t, struct half_open *r, uint64_t hash,
                          const struct packet *p)
{
    struct conn *c = t->store.embryos < EMBRYOS_MAX ? promote(t, r, hash, p->at_ns) : NULL;

    if (!c)
        return;
    c->syns = 0; /* the packet is counted once more */
    c->pending |= CONN_PENDING_SYN;
    conn_table_take(t, c, UP, p);
}

static void take_syn(struct conn_table *t, struct half_open *r, enum dir dir, uint64_t hash,
                     const struct packet *p)
{
    if (r && dir == UP && r->seqs[UP] == p->seq + 1) {
        if (!r->syns)
            half_open_note_syn(r, UP, p); /* the capture has it behind its answer */
        r->syns += r->syns < UINT8_MAX;
        move_half(t, r, p);
        return;
    }
    if (r)
        conn_table_end_half(t, r, CONN_END_REUSED, p->at_ns);
    r = add_half(t, hash, p, UP);
    if (!r)
        return;
    r->syns = 1;
    if (p->payload_len)
        take_syn_data(t, r, hash, p);
}

static void take_syn_ack(struct conn_table *t, struct half_open *r, enum dir dir, uint64_t hash,
                         const struct packet *p)
{
    if (r && (dir != DOWN || (r->seqs[UP] != p->ack && !p->is_text))) {
        t->core.counts.bad++;
        return;
    }
    if (r) {
        if (!r->answers)
            half_open_note_syn(r, DOWN, p);
        r->answers += r->answers < UINT8_MAX;
        move_half(t, r, p);
        return;
    }
    r = add_half(t, hash, p, DOWN); /* its SYN is not in the capture, or comes late */
    if (!r)
        return;
    r->seqs[UP] = p->ack;
    r->answers = 1;
}

static void refuse(struct conn_table *t, struct half_open *r, enum dir dir, const struct packet *p)
{
    if (dir == DOWN && p->flags & PACKET_ACK && p->ack - r->seqs[UP] > REACH && !p->is_text) {
        t->core.counts.bad++;
        return; /* it is not about this SYN (RFC 9293 3.10.7.3) */
    }
    if (!r->rst_number)
        r->rst_by_opener = dir == UP;
    move_half(t, r, p);
}

/* True: the packet goes on where the handshake ended.  Else it is of an older connection, of which
 * one side still knows (RFC 9293 3.5.1). */
static bool is_next(const struct half_open *r, enum dir dir, const struct packet *p)
{
    if (p->is_text)
        return true;
    if (dir == UP)
        return p->seq - r->seqs[UP] <= REACH;
    return r->answers ? p->seq - r->seqs[DOWN] <= REACH : p->ack - r->seqs[UP] <= REACH;
}

/* The handshake is through: with its last ACK, or with what shows that it was. */
static void take_third(struct conn_table *t, struct half_open *r, enum dir dir, uint64_t hash,
                       const struct packet *p)
{
    uint64_t rtt_ns = 0, syn_ns = r->begin_ns + r->syn_us * NS_PER_US;
    struct conn *c;

    if (!is_next(r, dir, p)) {
        t->core.counts.bad++;
        return;
    }
    if (dir == UP && r->syns && r->answers && p->at_ns > syn_ns)
        rtt_ns = p->at_ns - syn_ns;
    c = promote(t, r, hash, p->at_ns);
    if (!c)
        return;
    c->rtt_ns = rtt_ns;
    c->last_ns = p->at_ns;
    c->last_number = p->number;
    conn_establish(&t->core, c);
    conn_table_take(t, c, dir, p);
}

void conn_open_take(struct conn_table *t, uint64_t hash, const struct packet *p)
{
    enum dir dir;
    struct half_open *r = half_open_find(&t->half, hash, p, &dir);

    if (p->flags & PACKET_RST) {
        if (r)
            refuse(t, r, dir, p);
    } else if (p->flags & PACKET_SYN) {
        if (p->flags & PACKET_ACK)
            take_syn_ack(t, r, dir, hash, p);
        else
            take_syn(t, r, dir, hash, p);
    } else if (r) {
        take_third(t, r, dir, hash, p);
    } else if (p->payload_len) {
        take_middle(t, p, hash);
    }
}
