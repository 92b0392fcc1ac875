#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "capture/conn.h"
#include "capture/conn_private.h"
#include "capture/half_open.h"
#include "capture/objects.h"
#include "capture/twice.h"
#include "capture/waiting.h"

/* All connections of a capture.  A packet's connection is found by a keyed hash of both ends, so
 * that nobody can make long chains on purpose.  Those that are established have a struct conn,
 * those that are not a small record (half_open.c); of those that are over, a mark stays for a
 * while, so that what is sent again late does not look like a new one. */

static_assert(sizeof(struct conn) <= 480, "a live flow stays under 1 KiB with its exchange");

#define BUCKETS_FIRST 1024u
#define BUCKETS_EACH 4             /* a chain of one is found without looking at others */
#define EMBRYOS_MAX 1024u          /* data with a SYN is kept for that many */
#define REFUSED_NS (3 * NS_PER_S)  /* a client may try again that long after an RST */
#define CLOSING_NS (10 * NS_PER_S) /* for the last ACK */
#define CLOSED_NS (2 * NS_PER_S)
#define GONE_NS (120 * NS_PER_S) /* what comes that long after the end is still of the old one */
#define GONE_SLOTS 8192u         /* a power of two */
#define STALE_NS (60 * NS_PER_S) /* quiet that long, a connection may begin anew unseen */
#define REACH (1u << 20)         /* bytes that packets of a handshake may be apart */

struct conn_table {
    struct conn_core core;
    struct objects conns;
    struct conn **buckets;
    uint32_t mask, used;
    struct conn *oldest[CONN_SHELF_COUNT], *youngest[CONN_SHELF_COUNT];
    uint32_t embryos;
    uint64_t due_ns; /* nothing ends by itself before that */
    struct half_opens half;
    struct twice twice;
    struct gone {
        uint64_t hash;
        uint64_t at_ns; /* its last packet */
    } gone[GONE_SLOTS];
};

/* --- lines */

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

static void be_due(struct conn_table *t, uint64_t last_ns, uint64_t limit_ns)
{
    uint64_t due = last_ns < UINT64_MAX - limit_ns ? last_ns + limit_ns : UINT64_MAX;

    if (due < t->due_ns)
        t->due_ns = due;
}

static void unshelve(struct conn_table *t, struct conn *c)
{
    if (c->older)
        c->older->younger = c->younger;
    else
        t->oldest[c->shelf] = c->younger;
    if (c->younger)
        c->younger->older = c->older;
    else
        t->youngest[c->shelf] = c->older;
    t->embryos -= c->shelf == CONN_SHELF_EMBRYO;
}

static void shelve(struct conn_table *t, struct conn *c, enum conn_shelf shelf)
{
    c->shelf = (uint8_t)shelf;
    c->younger = NULL;
    c->older = t->youngest[shelf];
    if (c->older)
        c->older->younger = c;
    else
        t->oldest[shelf] = c;
    t->youngest[shelf] = c;
    t->embryos += shelf == CONN_SHELF_EMBRYO;
    if (shelf != CONN_SHELF_LIVE && !c->older)
        be_due(t, c->last_ns, get_limit(t, shelf));
}

/* To the young end of the line where it belongs now. */
static void reshelve(struct conn_table *t, struct conn *c)
{
    enum conn_shelf shelf = conn_find_shelf(c);

    if (t->youngest[shelf] == c)
        return;
    unshelve(t, c);
    shelve(t, c, shelf);
}

/* --- memory */

static void count_more(struct conn_table *t, uint64_t len)
{
    if (len)
        conn_core_count(&t->core, len);
}

/* Zeroed; NULL: out of memory. */
static struct conn *get_spare(struct conn_table *t)
{
    uint64_t before = t->conns.memory;
    struct conn *c = objects_get(&t->conns);

    count_more(t, t->conns.memory - before);
    return c;
}

static struct conn **make_buckets(struct conn_table *t, uint32_t n)
{
    struct conn **buckets = objects_new_pages(n * sizeof(struct conn *));

    count_more(t, buckets ? n * sizeof(struct conn *) : 0);
    return buckets;
}

static void free_buckets(struct conn_table *t)
{
    size_t len = (t->mask + (size_t)1) * sizeof(struct conn *);

    t->core.counts.memory -= t->buckets ? len : 0;
    objects_free_pages(t->buckets, len);
}

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
    t->mask = BUCKETS_FIRST - 1;
    t->buckets = make_buckets(t, BUCKETS_FIRST);
    objects_init(&t->conns, sizeof(struct conn));
    if (!half_open_init(&t->half, &t->core) || !t->buckets) {
        conn_table_free(t);
        return NULL;
    }
    return t;
}

/* --- the table */

static bool is_end(const struct endpoint *a, const struct endpoint *b)
{
    return a->port == b->port && addr_is_equal(&a->addr, &b->addr);
}

/* Asks for all of a connection at once, and for what hangs on it: it is hardly ever in the cache,
 * and would be waited for bit by bit. */
static void fetch(const struct conn *c)
{
    for (size_t i = 64; i < sizeof *c; i += 64)
        __builtin_prefetch((const char *)c + i, 1);
}

static void fetch_neighbours(const struct conn *c)
{
    __builtin_prefetch(c->dialog, 1);
    if (c->older)
        __builtin_prefetch(&c->older->younger, 1);
    if (c->younger)
        __builtin_prefetch(&c->younger->older, 1);
}

/* *dir is the direction from `from` to `to`. */
static struct conn *find(const struct conn_table *t, uint64_t hash, const struct endpoint *from,
                         const struct endpoint *to, enum dir *dir)
{
    for (struct conn *c = t->buckets[hash & t->mask]; c; c = c->chain) {
        if (c->hash != (uint32_t)hash)
            continue;
        fetch(c);
        *dir = is_end(&c->ends[UP], from) ? UP : DOWN;
        if (is_end(&c->ends[*dir], from) && is_end(&c->ends[!*dir], to)) {
            fetch_neighbours(c);
            return c;
        }
    }
    return NULL;
}

struct conn *conn_table_find(struct conn_table *t, const struct endpoint *a,
                             const struct endpoint *b)
{
    enum dir dir;

    return find(t, conn_hash(a, b), a, b, &dir);
}

/* Four times the buckets; without memory the chains grow. */
static void grow(struct conn_table *t)
{
    uint32_t buckets = 4 * (t->mask + 1);
    struct conn **grown = make_buckets(t, buckets);

    if (!grown)
        return;
    for (uint32_t i = 0; i <= t->mask; i++) {
        for (struct conn *c = t->buckets[i], *next; c; c = next) {
            next = c->chain;
            c->chain = grown[c->hash & (buckets - 1)];
            grown[c->hash & (buckets - 1)] = c;
        }
    }
    free_buckets(t);
    t->buckets = grown;
    t->mask = buckets - 1;
}

static void take_out(struct conn_table *t, struct conn *c)
{
    struct conn **from = &t->buckets[c->hash & t->mask];

    while (*from != c)
        from = &(*from)->chain;
    *from = c->chain;
    unshelve(t, c);
    t->used--;
}

/* --- the end of one */

static struct gone *get_gone(struct conn_table *t, uint64_t hash)
{
    return &t->gone[hash >> 32 & (GONE_SLOTS - 1)];
}

static void end(struct conn_table *t, struct conn *c, enum conn_end how, uint64_t now_ns)
{
    uint64_t hash = conn_hash(&c->ends[UP], &c->ends[DOWN]);

    conn_hand_on(&t->core, c);
    take_out(t, c);
    c->one_sided = !c->streams[UP].begun || !c->streams[DOWN].begun;
    t->core.counts.connections += !c->established;
    t->core.counts.evicted += how == CONN_END_EVICTED;
    *get_gone(t, hash) = (struct gone){hash, c->last_ns};
    t->core.events.ended(t->core.events.owner, c, how, now_ns);
    conn_fini(&t->core, c);
    objects_put(&t->conns, c);
}

static void end_half(struct conn_table *t, struct half_open *r, enum conn_end how, uint64_t now_ns)
{
    struct conn c = {0};

    half_open_fill(r, &t->core, &c);
    half_open_remove(&t->half, r);
    t->core.counts.connections++;
    t->core.events.ended(t->core.events.owner, &c, how, now_ns);
    conn_fini(&t->core, &c);
}

static bool is_over(uint64_t last_ns, uint64_t limit_ns, uint64_t now_ns)
{
    return now_ns >= last_ns && now_ns - last_ns >= limit_ns;
}

/* Ends all that were quiet long enough. */
static void expire(struct conn_table *t, uint64_t now_ns)
{
    const uint64_t limits[] = {
        [HALF_OPEN_ASKING] = t->core.options.give_up_ns, [HALF_OPEN_REFUSED] = REFUSED_NS};
    struct half_open *r;

    t->due_ns = UINT64_MAX;
    for (enum conn_shelf shelf = CONN_SHELF_EMBRYO; shelf < CONN_SHELF_COUNT; shelf++) {
        while (t->oldest[shelf] && is_over(t->oldest[shelf]->last_ns, get_limit(t, shelf), now_ns))
            end(t, t->oldest[shelf], CONN_END_CLOSED, now_ns);
        if (t->oldest[shelf])
            be_due(t, t->oldest[shelf]->last_ns, get_limit(t, shelf));
    }
    for (enum half_open_line line = 0; line < HALF_OPEN_LINES; line++) {
        while ((r = half_open_get_oldest(&t->half, line)) &&
               is_over(half_open_get_last_ns(r), limits[line], now_ns))
            end_half(t, r, CONN_END_CLOSED, now_ns);
        if (r)
            be_due(t, half_open_get_last_ns(r), limits[line]);
    }
}

/* --- a new one */

/* Room for one more: those that are over go first, then the one that was quiet longest. */
static void make_room(struct conn_table *t, uint64_t now_ns)
{
    for (enum conn_shelf shelf = CONN_SHELF_COUNT; t->used >= t->core.options.max && shelf-- > 0;)
        if (t->oldest[shelf])
            end(t, t->oldest[shelf], shelf == CONN_SHELF_LIVE ? CONN_END_EVICTED : CONN_END_CLOSED,
                now_ns);
}

/* NULL: out of memory, the packet is left out. */
static struct conn *add(struct conn_table *t, uint64_t hash, uint64_t now_ns)
{
    struct conn *c;

    make_room(t, now_ns);
    c = get_spare(t);
    if (!c) {
        t->core.counts.bad++;
        return NULL;
    }
    if (t->used >= t->mask / BUCKETS_EACH)
        grow(t);
    c->hash = (uint32_t)hash;
    c->chain = t->buckets[hash & t->mask];
    t->buckets[hash & t->mask] = c;
    t->used++;
    return c;
}

static void take(struct conn_table *t, struct conn *c, enum dir dir, const struct packet *p)
{
    conn_take(&t->core, c, dir, p);
    reshelve(t, c);
}

/* A half-open one becomes a whole one; NULL: out of memory. */
static struct conn *promote(struct conn_table *t, struct half_open *r, uint64_t hash,
                            uint64_t now_ns)
{
    struct conn *c = add(t, hash, now_ns);

    if (!c)
        return NULL;
    half_open_fill(r, &t->core, c);
    half_open_remove(&t->half, r);
    for (unsigned i = 0; i < 2; i++)
        if (c->streams[i].rst)
            c->pending |= (uint8_t)((unsigned)CONN_PENDING_RST << i);
    shelve(t, c, conn_find_shelf(c));
    return c;
}

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
    struct gone *gone = get_gone(t, hash);
    struct conn *c;
    enum dir dir;

    if (gone->hash == hash && !is_over(gone->at_ns, GONE_NS, p->at_ns)) {
        gone->at_ns = p->at_ns;
        return; /* sent again, after its end */
    }
    if (p->payload_len == 1 && !(p->flags & PACKET_PSH))
        return; /* a keep-alive */
    c = add(t, hash, p->at_ns);
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
    c->mid_stream = true;
    c->streams[UP].scale = c->streams[DOWN].scale = 255;
    if (!c->is_text)
        c->pending = CONN_PENDING_START;
    shelve(t, c, CONN_SHELF_LIVE);
    take(t, c, dir, p);
}

/* --- half-open ones */

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
            end_half(t, r, CONN_END_CLOSED, p->at_ns);
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
    be_due(t, p->at_ns, t->core.options.give_up_ns);
    half_open_note(r, p);
    half_open_note_syn(r, dir, p);
    return r;
}

static void move_half(struct conn_table *t, struct half_open *r, const struct packet *p)
{
    half_open_note(r, p);
    half_open_move(&t->half, r, r->rst_number ? HALF_OPEN_REFUSED : HALF_OPEN_ASKING);
    be_due(t, p->at_ns, r->rst_number ? REFUSED_NS : t->core.options.give_up_ns);
}

/* Data comes with a SYN (RFC 7413): it is kept until it is acknowledged. */
static void take_syn_data(struct conn_table *t, struct half_open *r, uint64_t hash,
                          const struct packet *p)
{
    struct conn *c = t->embryos < EMBRYOS_MAX ? promote(t, r, hash, p->at_ns) : NULL;

    if (!c)
        return;
    c->syns = 0; /* the packet is counted once more */
    c->streams[UP].packets = 0;
    c->pending |= CONN_PENDING_SYN;
    take(t, c, UP, p);
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
        end_half(t, r, CONN_END_REUSED, p->at_ns);
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
    take(t, c, dir, p);
}

/* A packet that belongs to no established connection. */
static void take_unknown(struct conn_table *t, uint64_t hash, const struct packet *p)
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

    if (c->shelf != CONN_SHELF_LIVE || (is_answer && is_over(c->last_ns, STALE_NS, p->at_ns)) ||
        (c->has_rival && has_won(t, c, hash, p))) {
        end(t, c, CONN_END_REUSED, p->at_ns);
        take_unknown(t, hash, p);
    } else if (is_answer) {
        t->core.counts.bad++;
    } else { /* it may be refused, and the old one go on (RFC 5961 4) */
        c->has_rival = true;
        take_unknown(t, hash, p);
    }
}

static void take_known(struct conn_table *t, struct conn *c, enum dir dir, uint64_t hash,
                       const struct packet *p)
{
    if (p->flags & PACKET_SYN && !(p->flags & PACKET_RST) && is_anew(c, dir, p)) {
        take_rival(t, c, hash, p);
    } else if (c->has_rival && has_won(t, c, hash, p)) {
        end(t, c, CONN_END_REUSED, p->at_ns);
        take_unknown(t, hash, p);
    } else {
        take(t, c, dir, p);
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
    struct conn *c = find(t, hash, &p->about_from, &p->about_to, &dir);
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

    if (p->at_ns >= t->due_ns)
        expire(t, p->at_ns);
    if (p->kind == PACKET_ICMP)
        take_icmp(t, p);
    if (p->kind != PACKET_TCP)
        return;
    hash = conn_hash(&p->from, &p->to);
    c = find(t, hash, &p->from, &p->to, &dir);
    if (twice_is_copy(&t->twice, hash, p)) {
        t->core.counts.duplicates++;
        if (c)
            c->duplicates++;
    } else if (c) {
        take_known(t, c, dir, hash, p);
    } else {
        take_unknown(t, hash, p);
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
        if (t->oldest[shelf] && (!oldest || t->oldest[shelf]->last_ns < oldest->last_ns))
            oldest = t->oldest[shelf];
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
            end_half(t, r, r->rst_number ? CONN_END_CLOSED : CONN_END_CAPTURE, now_ns);
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
    for (enum conn_shelf shelf = 0; shelf < CONN_SHELF_COUNT; shelf++) {
        while (t->oldest[shelf]) {
            struct conn *c = t->oldest[shelf];

            take_out(t, c);
            conn_fini(&t->core, c);
            objects_put(&t->conns, c);
        }
    }
    half_open_fini(&t->half);
    waiting_fini(&t->core);
    free_buckets(t);
    t->core.counts.memory -= t->conns.memory;
    objects_fini(&t->conns);
    assert(t->core.counts.memory == sizeof *t && t->core.waiting_used == 0);
    free(t);
}

const struct conn_counts *conn_table_get_counts(const struct conn_table *t)
{
    return &t->core.counts;
}
