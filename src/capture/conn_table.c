/* All connections of a capture.  Those that are established have a struct conn, those that are not
 * a small record (half_open.c); of those that are over, a mark stays for a while, so that what is
 * sent again late does not look like a new one. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "capture/conn_table_private.h"
#include "capture/order.h"
#include "capture/waiting.h"

#define CLOSING_NS (10 * NS_PER_S) /* for the last ACK */
#define CLOSED_NS (2 * NS_PER_S)
#define GONE_NS (120 * NS_PER_S) /* what comes that long after the end is still of the old one */
#define GONE_REACH (1u << 20)    /*   if its numbers are that near */
#define STALE_NS (60 * NS_PER_S) /* quiet that long, a connection may begin anew unseen */
#define REACH (1u << 20)         /* bytes that a late SYN may be away */

/* --- making one */

static void set_defaults(struct conn_options *o)
{
    o->max = o->max ? o->max : 262144;
    o->half_open = o->half_open ? o->half_open : 65536;
    o->waiting_max = o->waiting_max ? o->waiting_max : 64u * 1024 * 1024;
    o->give_up_ns = o->give_up_ns ? o->give_up_ns : 130 * NS_PER_S;
    o->series_max = o->series_max ? o->series_max : 96u * 1024 * 1024;
}

struct conn_table *conn_table_new(const struct conn_options *o, const struct conn_events *events)
{
    struct conn_table *t = calloc(1, sizeof *t);

    if (!t)
        return NULL;
    t->core.events = *events;
    t->core.options = *o;
    set_defaults(&t->core.options);
    t->core.series_left = t->core.options.series_max;
    t->core.counts.memory = sizeof *t;
    t->due_ns = UINT64_MAX;
    waiting_init(&t->core);
    if (!conn_store_init(&t->store, &t->core) || !half_open_init(&t->half, &t->core)) {
        conn_table_free(t);
        return NULL;
    }
    return t;
}

struct conn *conn_table_find(struct conn_table *t, const struct endpoint *a,
                             const struct endpoint *b)
{
    enum dir dir;

    return conn_store_find(&t->store, conn_hash(a, b), a, b, &dir);
}

/* --- the end of one */

static uint64_t get_limit(const struct conn_table *t, enum conn_shelf shelf)
{
    switch (shelf) {
    case CONN_SHELF_EMBRYO:
        return t->core.options.give_up_ns;
    case CONN_SHELF_CLOSING:
        return CLOSING_NS;
    case CONN_SHELF_CLOSED:
        return CLOSED_NS;
    case CONN_SHELF_LIVE:
    case CONN_SHELF_COUNT:
        break;
    }
    return UINT64_MAX;
}

void conn_table_be_due(struct conn_table *t, uint64_t last_ns, uint64_t limit_ns)
{
    uint64_t due = last_ns < UINT64_MAX - limit_ns ? last_ns + limit_ns : UINT64_MAX;

    if (due < t->due_ns)
        t->due_ns = due;
}

bool conn_table_is_over(uint64_t last_ns, uint64_t limit_ns, uint64_t now_ns)
{
    return now_ns >= last_ns && now_ns - last_ns >= limit_ns;
}

static struct conn_gone *get_gone(struct conn_table *t, uint64_t hash)
{
    return &t->gone[hash >> 32 & (CONN_TABLE_GONE - 1)];
}

bool conn_table_is_gone(struct conn_table *t, uint64_t hash, const struct packet *p)
{
    struct conn_gone *gone = get_gone(t, hash);

    if (gone->hash != hash || conn_table_is_over(gone->at_ns, GONE_NS, p->at_ns))
        return false;
    for (unsigned i = 0; i < 2; i++) {
        if (p->seq - gone->tops[i] + GONE_REACH <= 2 * GONE_REACH) {
            gone->at_ns = p->at_ns;
            return true;
        }
    }
    return false;
}

static void end(struct conn_table *t, struct conn *c, enum conn_end how, uint64_t now_ns)
{
    uint64_t hash = conn_hash(&c->ends[UP], &c->ends[DOWN]);

    order_finish(&t->core, c);
    conn_store_remove(&t->store, c);
    c->one_sided = !c->streams[UP].begun || !c->streams[DOWN].begun;
    t->core.counts.connections += !c->established;
    t->core.counts.evicted += how == CONN_END_EVICTED;
    if (how == CONN_END_CLOSED) /* others may go on */
        *get_gone(t, hash) =
            (struct conn_gone){hash, c->last_ns, {c->streams[UP].top, c->streams[DOWN].top}};
    t->core.events.ended(t->core.events.owner, c, how, now_ns);
    conn_fini(&t->core, c);
    conn_store_put(&t->store, c);
}

void conn_table_end_half(struct conn_table *t, struct half_open *r, enum conn_end how,
                         uint64_t now_ns)
{
    struct conn c = {0};

    half_open_fill(r, &t->core, &c);
    half_open_remove(&t->half, r);
    t->core.counts.connections++;
    t->core.events.ended(t->core.events.owner, &c, how, now_ns);
    conn_fini(&t->core, &c);
}

/* Ends all that were quiet long enough. */
static void expire(struct conn_table *t, uint64_t now_ns)
{
    const uint64_t limits[] = {[HALF_OPEN_ASKING] = t->core.options.give_up_ns,
                               [HALF_OPEN_REFUSED] = CONN_TABLE_REFUSED_NS};
    struct half_open *r;

    t->due_ns = UINT64_MAX;
    for (enum conn_shelf shelf = CONN_SHELF_EMBRYO; shelf < CONN_SHELF_COUNT; shelf++) {
        while (t->store.oldest[shelf] &&
               conn_table_is_over(t->store.oldest[shelf]->last_ns, get_limit(t, shelf), now_ns))
            end(t, t->store.oldest[shelf], CONN_END_CLOSED, now_ns);
        if (t->store.oldest[shelf])
            conn_table_be_due(t, t->store.oldest[shelf]->last_ns, get_limit(t, shelf));
    }
    for (enum half_open_line line = 0; line < HALF_OPEN_LINES; line++) {
        while ((r = half_open_get_oldest(&t->half, line)) &&
               conn_table_is_over(half_open_get_last_ns(r), limits[line], now_ns))
            conn_table_end_half(t, r, CONN_END_CLOSED, now_ns);
        if (r)
            conn_table_be_due(t, half_open_get_last_ns(r), limits[line]);
    }
}

/* --- a new one */

/* Room for one more: those that are over go first, then the one that was quiet longest. */
static void make_room(struct conn_table *t, uint64_t now_ns)
{
    for (enum conn_shelf shelf = CONN_SHELF_COUNT;
         t->store.used >= t->core.options.max && shelf-- > 0;)
        if (t->store.oldest[shelf])
            end(t, t->store.oldest[shelf],
                shelf == CONN_SHELF_LIVE ? CONN_END_EVICTED : CONN_END_CLOSED, now_ns);
}

struct conn *conn_table_make(struct conn_table *t, uint64_t hash, uint64_t now_ns)
{
    struct conn *c;

    make_room(t, now_ns);
    c = conn_store_add(&t->store, hash);
    t->core.counts.bad += !c;
    return c;
}

/* One may have come into a line where others end by themselves. */
static void note_line(struct conn_table *t, const struct conn *c)
{
    if (c->shelf != CONN_SHELF_LIVE)
        conn_table_be_due(t, c->last_ns, get_limit(t, (enum conn_shelf)c->shelf));
}

void conn_table_shelve(struct conn_table *t, struct conn *c)
{
    conn_store_shelve(&t->store, c, conn_find_shelf(c));
    note_line(t, c);
}

void conn_table_take(struct conn_table *t, struct conn *c, enum dir dir, const struct packet *p)
{
    uint64_t before_ns = c->last_ns;

    conn_take(&t->core, c, dir, p);
    conn_store_reshelve(&t->store, c, before_ns);
    note_line(t, c);
}

/* --- those that begin anew */

/* True: a SYN or SYN-ACK that is not this connection's. */
static bool is_anew(const struct conn *c, enum dir dir, const struct packet *p)
{
    const struct stream *s = &c->streams[dir];

    if (!s->placed)
        return false;
    if (c->pending & CONN_PENDING_START)
        return p->seq + 1 - s->first + REACH > 2 * REACH;
    return c->mid_stream || p->seq + 1 != s->first;
}

/* A SYN came that was not this connection's: true if this packet shows that it was accepted. */
static bool has_won(struct conn_table *t, struct conn *c, uint64_t hash, const struct packet *p)
{
    enum dir dir;
    struct half_open *r = half_open_find(&t->half, hash, p, &dir);

    if (!r) {
        c->has_rival = false;
        return false;
    }
    if (dir == DOWN)
        return p->flags & PACKET_SYN && p->ack == r->seqs[UP];
    return !(p->flags & (PACKET_SYN | PACKET_RST)) && p->seq == r->seqs[UP];
}

/* A SYN on the addresses of a connection that is there. */
static void take_rival(struct conn_table *t, struct conn *c, uint64_t hash, const struct packet *p)
{
    bool is_answer = p->flags & PACKET_ACK;

    if (c->shelf != CONN_SHELF_LIVE ||
        (is_answer && conn_table_is_over(c->last_ns, STALE_NS, p->at_ns)) ||
        (c->has_rival && has_won(t, c, hash, p))) {
        end(t, c, CONN_END_REUSED, p->at_ns);
        conn_open_take(t, hash, p);
    } else if (is_answer) {
        t->core.counts.bad++;
    } else { /* it may be refused, and the old one go on (RFC 5961 4) */
        c->has_rival = true;
        conn_open_take(t, hash, p);
    }
}

static void take_known(struct conn_table *t, struct conn *c, enum dir dir, uint64_t hash,
                       const struct packet *p)
{
    if (p->flags & PACKET_SYN && !(p->flags & PACKET_RST) && is_anew(c, dir, p)) {
        take_rival(t, c, hash, p);
    } else if (c->has_rival && has_won(t, c, hash, p)) {
        end(t, c, CONN_END_REUSED, p->at_ns);
        conn_open_take(t, hash, p);
    } else {
        conn_table_take(t, c, dir, p);
    }
}

/* --- ICMP */

/* Of a connection or of a half-open one, made where there is none; NULL: out of memory. */
static struct conn_icmp *get_icmp(struct conn_table *t, struct conn_icmp **icmp)
{
    if (!*icmp)
        *icmp = conn_core_alloc(&t->core, sizeof **icmp);
    return *icmp;
}

/* "Fragmentation needed" (RFC 792), "packet too big" (RFC 4443 3.2). */
static bool is_too_big(bool is_v6, uint8_t type, uint8_t code)
{
    return is_v6 ? type == 2 : type == 3 && code == 4;
}

static void take_icmp(struct conn_table *t, const struct packet *p)
{
    uint64_t hash = conn_hash(&p->about_from, &p->about_to);
    enum dir dir;
    struct conn *c = conn_store_find(&t->store, hash, &p->about_from, &p->about_to, &dir);
    struct half_open *r = c ? NULL : half_open_find(&t->half, hash, p, &dir);
    struct conn_icmp *icmp = c ? get_icmp(t, &c->icmp) : r ? get_icmp(t, &r->icmp) : NULL;

    if (!icmp) {
        t->core.counts.icmp_unmatched++;
        return;
    }
    icmp->count += icmp->count < UINT8_MAX;
    if (icmp->number && is_too_big(icmp->is_v6, icmp->type, icmp->code) &&
        !is_too_big(p->is_v6, p->icmp_type, p->icmp_code))
        return;
    icmp->type = p->icmp_type;
    icmp->code = p->icmp_code;
    icmp->is_v6 = p->is_v6;
    icmp->about_down = dir == DOWN;
    icmp->mtu = p->icmp_mtu < UINT16_MAX ? (uint16_t)p->icmp_mtu : UINT16_MAX;
    icmp->number = p->number;
    icmp->about_len = p->about_len;
    icmp->from = p->from.addr;
}

/* --- the doors */

void conn_table_add(struct conn_table *t, const struct packet *p)
{
    struct conn *c;
    uint64_t hash;
    enum dir dir;
    bool is_copy;

    if (p->at_ns >= t->due_ns)
        expire(t, p->at_ns);
    if (p->kind == PACKET_ICMP)
        take_icmp(t, p);
    if (p->kind != PACKET_TCP)
        return;
    hash = conn_hash(&p->from, &p->to);
    conn_store_expect(&t->store, hash);
    is_copy = twice_is_copy(&t->twice, hash, p);
    c = conn_store_find(&t->store, hash, &p->from, &p->to, &dir);
    if (is_copy) {
        t->core.counts.duplicates++;
        if (c)
            c->duplicates++;
    } else if (c) {
        take_known(t, c, dir, hash, p);
    } else {
        conn_open_take(t, hash, p);
    }
}

void conn_table_tick(struct conn_table *t, uint64_t now_ns)
{
    if (now_ns >= t->due_ns)
        expire(t, now_ns);
}

/* The connection that was quiet longest, or NULL. */
static struct conn *get_oldest(const struct conn_table *t)
{
    struct conn *oldest = NULL;

    for (enum conn_shelf shelf = 0; shelf < CONN_SHELF_COUNT; shelf++)
        if (t->store.oldest[shelf] &&
            (!oldest || t->store.oldest[shelf]->last_ns < oldest->last_ns))
            oldest = t->store.oldest[shelf];
    return oldest;
}

static struct half_open *get_oldest_half(struct conn_table *t)
{
    struct half_open *asking = half_open_get_oldest(&t->half, HALF_OPEN_ASKING);
    struct half_open *refused = half_open_get_oldest(&t->half, HALF_OPEN_REFUSED);

    if (!asking || !refused)
        return asking ? asking : refused;
    return half_open_get_last_ns(refused) < half_open_get_last_ns(asking) ? refused : asking;
}

void conn_table_finish(struct conn_table *t, uint64_t now_ns)
{
    for (;;) {
        struct conn *c = get_oldest(t);
        struct half_open *r = get_oldest_half(t);

        if (r && (!c || half_open_get_last_ns(r) <= c->last_ns))
            conn_table_end_half(t, r, r->rst_number ? CONN_END_CLOSED : CONN_END_CAPTURE, now_ns);
        else if (c)
            end(t, c,
                c->shelf == CONN_SHELF_CLOSED || c->shelf == CONN_SHELF_CLOSING ? CONN_END_CLOSED
                                                                                : CONN_END_CAPTURE,
                now_ns);
        else
            break;
    }
}

void conn_table_free(struct conn_table *t)
{
    if (!t)
        return;
    conn_store_fini(&t->store);
    half_open_fini(&t->half);
    waiting_fini(&t->core);
    assert(t->core.counts.memory == sizeof *t && t->core.waiting_used == 0);
    free(t);
}

struct conn_attempts conn_table_get_attempts(const struct conn_table *t, const struct addr *opener)
{
    return (struct conn_attempts){half_open_count(&t->half, HALF_OPEN_ASKING, opener) > 0,
                                  half_open_count(&t->half, HALF_OPEN_REFUSED, opener) > 0};
}

const struct conn_counts *conn_table_get_counts(const struct conn_table *t)
{
    return &t->core.counts;
}
