#include "capture/textseq.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/util.h"

enum {
    BUCKETS = 1024,
    CONNECTIONS_MAX = 16384,  /* some 1 KiB each; then the oldest is forgotten */
    WINDOW_UNKNOWN = 64240,   /* where a line has none: open */
    GENERATION_STEP = 1 << 24 /* between connections whose first numbers are printed the same */
};
#define PLAUSIBLE (1 << 28) /* no number is farther away from the one before than this */

struct textseq {
    struct textseq_conn *buckets[BUCKETS];
    struct list ages; /* oldest first */
    unsigned len;
};

struct textseq *textseq_new(void)
{
    struct textseq *t = calloc(1, sizeof *t);

    if (t)
        list_init(&t->ages);
    return t;
}

static void forget(struct textseq *t, struct textseq_conn *c);

void textseq_free(struct textseq *t)
{
    if (!t)
        return;
    while (!list_is_empty(&t->ages))
        forget(t, CONTAINER_OF(t->ages.next, struct textseq_conn, age));
    free(t);
}

/* --- connections --- */

static int compare(const struct endpoint *a, const struct endpoint *b)
{
    int n = memcmp(a->addr.bytes, b->addr.bytes, sizeof a->addr.bytes);

    if (n == 0)
        n = (int)a->addr.family - (int)b->addr.family;
    return n ? n : (int)a->port - (int)b->port;
}

static bool is_same(const struct endpoint *a, const struct endpoint *b)
{
    return compare(a, b) == 0;
}

/* The same bucket for both directions. */
static unsigned bucket_of(const struct endpoint *a, const struct endpoint *b)
{
    uint8_t key[38];
    const struct endpoint *pair[2] = {a, b};
    bool turned = compare(a, b) > 0;

    for (unsigned i = 0; i < 2; i++) {
        const struct endpoint *e = pair[turned ? 1 - i : i];

        memcpy(key + i * 19, e->addr.bytes, 16);
        key[i * 19 + 16] = e->addr.family;
        key[i * 19 + 17] = (uint8_t)(e->port >> 8);
        key[i * 19 + 18] = (uint8_t)e->port;
    }
    return (unsigned)(hash_bytes(key, sizeof key) % BUCKETS);
}

static void forget(struct textseq *t, struct textseq_conn *c)
{
    struct textseq_conn **at = &t->buckets[bucket_of(&c->ends[0], &c->ends[1])];

    while (*at != c)
        at = &(*at)->chain;
    *at = c->chain;
    list_remove(&c->age);
    t->len--;
    free(c);
}

struct textseq_conn *textseq_find(struct textseq *t, const struct endpoint *from,
                                  const struct endpoint *to, int *dir)
{
    struct textseq_conn *c = t->buckets[bucket_of(from, to)];

    for (; c; c = c->chain) {
        for (*dir = 0; *dir < 2; ++*dir)
            if (is_same(&c->ends[*dir], from) && is_same(&c->ends[1 - *dir], to))
                return c;
    }
    return NULL;
}

struct textseq_conn *textseq_find_sender(struct textseq *t, const struct addr *from,
                                         const struct addr *to, int *dir)
{
    for (struct list *at = t->ages.prev; at != &t->ages; at = at->prev) {
        struct textseq_conn *c = CONTAINER_OF(at, struct textseq_conn, age);

        for (*dir = 0; *dir < 2; ++*dir)
            if (addr_is_equal(&c->ends[*dir].addr, from) &&
                (to->family == 0 || addr_is_equal(&c->ends[1 - *dir].addr, to)))
                return c;
    }
    return NULL;
}

static struct textseq_conn *make(struct textseq *t, const struct endpoint *from,
                                 const struct endpoint *to)
{
    struct textseq_conn *c, **bucket = &t->buckets[bucket_of(from, to)];

    if (t->len == CONNECTIONS_MAX)
        forget(t, CONTAINER_OF(t->ages.next, struct textseq_conn, age));
    c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    c->ends[0] = *from;
    c->ends[1] = *to;
    c->opener = -1;
    c->chain = *bucket;
    *bucket = c;
    list_push_back(&t->ages, &c->age);
    t->len++;
    return c;
}

/* A SYN that is not the last one sent again: a new connection between the same ends. */
static bool is_new(const struct textseq_conn *c, int dir, const struct dumptext *d)
{
    const struct textseq_side *s = &c->sides[dir], *other = &c->sides[1 - dir];

    if (!(d->flags & PACKET_SYN) || d->flags & PACKET_ACK || !s->begun)
        return false;
    if (s->syn && d->has_seq && s->isn != d->seq)
        return true;
    return !s->syn || s->fin || other->fin || s->next != s->base + 1 ||
           other->next != other->base + (other->syn ? 1 : 0);
}

static void begin_anew(struct textseq_conn *c, int dir)
{
    memset(c->sides, 0, sizeof c->sides);
    c->opener = dir;
    c->is_tunnel = c->asked_connect = c->asked_head = c->asked_secure = false;
    c->generation++;
}

struct textseq_conn *textseq_open(struct textseq *t, const struct endpoint *from,
                                  const struct endpoint *to, const struct dumptext *d, int *dir)
{
    struct textseq_conn *c = textseq_find(t, from, to, dir);

    if (!c) {
        *dir = 0;
        return make(t, from, to);
    }
    list_remove(&c->age);
    list_push_back(&t->ages, &c->age);
    if (is_new(c, *dir, d))
        begin_anew(c, *dir);
    return c;
}

/* A port that servers and proxies listen on. */
static bool is_served(uint16_t port)
{
    static const uint16_t ports[] = {1080, 3128, 8000, 8080, 8081, 8088, 8118, 8443, 8888, 9090};

    for (size_t i = 0; i < ARRAY_LEN(ports); i++)
        if (port == ports[i])
            return true;
    return port > 0 && port < 1024;
}

int textseq_get_opener(const struct textseq_conn *c)
{
    if (c->opener >= 0)
        return c->opener;
    if (is_served(c->ends[0].port) != is_served(c->ends[1].port))
        return is_served(c->ends[0].port) ? 1 : 0;
    return c->ends[0].port < c->ends[1].port ? 1 : 0;
}

/* --- numbers --- */

static uint32_t distance(uint32_t a, uint32_t b)
{
    return (int32_t)(a - b) < 0 ? b - a : a - b;
}

/* A printed number as it is, or relative to the beginning: what is nearer to `near`. */
static uint32_t map_near(const struct textseq_side *s, uint32_t given, uint32_t near)
{
    uint32_t absolute = given + s->shift, relative = given + s->base;

    return distance(relative, near) <= distance(absolute, near) ? relative : absolute;
}

/* The newest range that was printed with this number in it (or at its end).  NULL: none. */
static const struct textseq_range *find_range(const struct textseq_side *s, uint32_t given)
{
    for (unsigned i = 1; i <= s->ranges_len; i++) {
        const struct textseq_range *r =
            &s->ranges[(s->ranges_at + TEXTSEQ_RANGES - i) % TEXTSEQ_RANGES];

        if (given - r->begin <= r->end - r->begin)
            return r;
    }
    return NULL;
}

static void add_range(struct textseq_side *s, uint32_t begin, uint32_t len, uint32_t own)
{
    struct textseq_range *r = &s->ranges[s->ranges_at];

    *r = (struct textseq_range){begin, begin + len, own};
    s->ranges_at = (uint16_t)((s->ranges_at + 1) % TEXTSEQ_RANGES);
    if (s->ranges_len < TEXTSEQ_RANGES)
        s->ranges_len++;
}

uint32_t textseq_map(const struct textseq_side *s, uint32_t given)
{
    const struct textseq_range *r = find_range(s, given);

    return r ? r->own + (given - r->begin) : map_near(s, given, s->next);
}

/* No number was seen before: the first one says where it is. */
static void begin(struct textseq_side *s, bool has, uint32_t given)
{
    s->begun = true;
    s->is_guess = !has;
    s->base = has ? given : 0;
    s->next = has ? given : 1;
    s->acked = s->next;
}

/* Something was handed out before any number was printed: this one belongs to what comes next. */
static void anchor(struct textseq_side *s, uint32_t given)
{
    s->shift = s->base = s->next - given;
    s->is_guess = false;
}

static void begin_syn(struct textseq_side *s, const struct dumptext *d, uint16_t generation)
{
    uint32_t given = d->has_seq ? d->seq : 0;

    begin(s, true, given);
    s->syn = true;
    s->isn = given;
    s->shift = (uint32_t)generation * GENERATION_STEP;
    s->base = s->next = s->acked = given + s->shift;
}

/* Where a segment of a direction whose numbers are relied upon begins.  False: the number cannot be
 * meant, and the direction is loose from here. */
static bool map_strict(struct textseq_side *s, const struct dumptext *d, uint32_t len,
                       uint32_t *own)
{
    *own = map_near(s, d->seq, s->next);
    if (distance(*own, s->next) > PLAUSIBLE)
        return false;
    return !d->has_end || d->end - d->seq == len;
}

/* The same where they are not: a range that was there before is the same again. */
static uint32_t map_loose(const struct textseq_side *s, const struct dumptext *d, uint32_t len)
{
    const struct textseq_range *r = find_range(s, d->seq);

    if (!r || d->seq == r->end || (d->seq != r->begin && len > r->end - d->seq))
        return s->next;
    return r->own + (d->seq - r->begin);
}

/* The sequence number of a segment; `len` counts SYN and FIN. */
static uint32_t place_seq(struct textseq_side *s, const struct dumptext *d, uint32_t payload,
                          uint32_t len)
{
    uint32_t own = s->next;

    if (!s->begun)
        begin(s, d->has_seq, d->seq);
    else if (s->is_guess && d->has_seq && len > 0)
        anchor(s, d->seq);
    own = s->next;
    if (!d->has_seq) {
        s->loose |= payload > 0;
        return own;
    }
    if (d->flags & PACKET_RST) {
        uint32_t near = map_near(s, d->seq, s->next);

        return !s->loose && distance(near, s->next) < 1 << 20 ? near : own;
    }
    if (!s->loose && !map_strict(s, d, payload, &own)) {
        s->loose = true;
        own = s->next;
    }
    if (s->loose)
        own = map_loose(s, d, len);
    if (len > 0)
        add_range(s, d->seq, len, own);
    return own;
}

/* What a number printed for `s` acknowledges.  `replies`: the line has bytes or a FIN. */
static uint32_t ack_given(struct textseq_side *s, uint32_t given, bool has_bytes, bool replies)
{
    const struct textseq_range *r = find_range(s, given);
    uint32_t all = s->next, owed = s->next - s->acked, further = given - s->given_ack;
    bool knows_further = s->has_given_ack && further < PLAUSIBLE;

    if (r)
        return r->own + (given - r->begin);
    if (!s->loose) {
        uint32_t own = map_near(s, given, s->next);

        if (distance(own, s->next) <= PLAUSIBLE)
            return own;
    }
    if (has_bytes || (replies && !(knows_further && further == 0)))
        return all;
    if (!knows_further)
        return s->acked;
    return further >= owed - owed / 2 ? all : s->acked + further;
}

/* The number that a packet of side `dir` acknowledges of the other's bytes. */
static uint32_t place_ack(struct textseq_side *s, const struct dumptext *d, uint32_t len)
{
    bool has_fin = d->flags & PACKET_FIN, is_syn = d->flags & PACKET_SYN;
    uint32_t own;

    if (!s->begun) {
        begin(s, d->has_ack, d->ack - 1);
        if (d->has_ack)
            s->next = s->acked = d->ack;
    } else if (s->is_guess && d->has_ack) {
        anchor(s, d->ack);
    }
    if (is_syn && s->syn)
        own = s->base + 1;
    else if (d->has_ack)
        own = ack_given(s, d->ack, len > 0, len > 0 || has_fin);
    else
        own = len > 0 || has_fin ? s->next : s->acked;
    if (s->syn && own == s->base)
        own = s->base + 1; /* whoever acknowledges anything has the SYN */
    if ((int32_t)(own - s->acked) > 0)
        s->acked = own;
    s->has_given_ack = s->has_given_ack || d->has_ack;
    if (d->has_ack)
        s->given_ack = is_syn ? d->ack - s->isn : d->ack;
    return own;
}

static void place_sacks(const struct textseq_side *s, const struct dumptext *d, struct packet *out)
{
    for (unsigned i = 0; i < d->sacks_len; i++) {
        uint32_t begin = d->sacks[i].begin, end = d->sacks[i].end;

        if (end - begin == 0 || end - begin > PLAUSIBLE)
            continue;
        if (s->loose && (!find_range(s, begin) || !find_range(s, end)))
            continue; /* of bytes that the text does not have by number */
        begin = textseq_map(s, begin);
        out->sacks[out->sacks_len++] =
            (struct packet_sack){begin, begin + (end - d->sacks[i].begin)};
    }
}

static void note_opener(struct textseq_conn *c, int dir, uint8_t flags)
{
    if (flags & PACKET_SYN)
        c->opener = flags & PACKET_ACK ? 1 - dir : dir;
}

void textseq_place(struct textseq_conn *c, int dir, const struct dumptext *d, uint32_t len,
                   struct packet *out)
{
    struct textseq_side *s = &c->sides[dir], *other = &c->sides[1 - dir];
    bool is_syn = d->flags & PACKET_SYN, is_fin = d->flags & PACKET_FIN;
    uint32_t taken = len + is_syn + is_fin;

    note_opener(c, dir, d->flags);
    if (is_syn && !(s->syn && s->begun))
        begin_syn(s, d, c->generation);
    out->flags = d->flags;
    out->payload_len = len;
    out->seq = is_syn ? s->base : place_seq(s, d, len, taken);
    if ((int32_t)(out->seq + taken - s->next) > 0)
        s->next = out->seq + taken;
    s->fin |= is_fin;
    if (len > 0) {
        s->last_seq = out->seq;
        s->last_len = len;
    }
    if (d->flags & PACKET_ACK)
        out->ack = place_ack(other, d, len);
    place_sacks(other, d, out);
    if (d->has_win)
        s->window = d->win;
    else if (s->window == 0)
        s->window = WINDOW_UNKNOWN;
    out->window = s->window;
}

void textseq_follow(struct textseq_conn *c, int dir, uint32_t len, struct packet *out)
{
    struct dumptext d = {.flags = PACKET_PSH | PACKET_ACK};

    textseq_place(c, dir, &d, len, out);
}
