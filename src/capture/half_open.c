#include "capture/half_open.h"

#include <assert.h>
#include <string.h>

#include "base/hash.h"

static_assert(sizeof(struct half_open) + sizeof(uint32_t) <= 128,
              "one that is not established has 128 bytes, with its bucket");

#define BLOCK_LEN 1024u /* records that are made at once */
#define SCALE_UNKNOWN 15u

static const uint8_t families[] = {0, AF_INET, AF_INET6, ADDR_NAMED};

static uint8_t get_code(uint8_t family)
{
    for (uint8_t i = 1; i < 4; i++)
        if (families[i] == family)
            return i;
    return 0;
}

static uint8_t get_family(const struct half_open *r, enum dir dir)
{
    return families[dir == UP ? r->family_up : r->family_down];
}

static struct half_open *at(const struct half_opens *h, uint32_t number)
{
    assert(number > 0 && number <= h->made);
    return &h->blocks[(number - 1) / BLOCK_LEN][(number - 1) % BLOCK_LEN];
}

static size_t get_blocks_size(const struct half_opens *h)
{
    return (h->core->options.half_open / BLOCK_LEN + 1) * sizeof(struct half_open *);
}

bool half_open_init(struct half_opens *h, struct conn_core *core)
{
    uint32_t buckets = 1;

    while (buckets < core->options.half_open)
        buckets *= 2;
    *h = (struct half_opens){.core = core, .mask = buckets - 1};
    h->buckets = conn_core_alloc(core, buckets * sizeof *h->buckets);
    h->blocks = conn_core_alloc(core, get_blocks_size(h));
    return h->buckets && h->blocks;
}

void half_open_fini(struct half_opens *h)
{
    if (!h->core)
        return;
    for (enum half_open_line line = 0; line < HALF_OPEN_LINES; line++)
        while (h->oldest[line])
            half_open_remove(h, at(h, h->oldest[line]));
    for (uint32_t i = 0; i < h->made; i += BLOCK_LEN)
        conn_core_free(h->core, h->blocks[i / BLOCK_LEN], BLOCK_LEN * sizeof(struct half_open));
    if (h->blocks)
        conn_core_free(h->core, h->blocks, get_blocks_size(h));
    if (h->buckets)
        conn_core_free(h->core, h->buckets, (h->mask + (size_t)1) * sizeof *h->buckets);
    *h = (struct half_opens){0};
}

static struct endpoint get_end(const struct half_open *r, enum dir dir)
{
    struct endpoint e = {.port = r->ports[dir]};

    e.addr.family = get_family(r, dir);
    memcpy(e.addr.bytes, r->addresses[dir], sizeof e.addr.bytes);
    return e;
}

static bool is_end(const struct half_open *r, enum dir dir, const struct endpoint *e)
{
    return r->ports[dir] == e->port && get_family(r, dir) == e->addr.family &&
           memcmp(r->addresses[dir], e->addr.bytes, sizeof e->addr.bytes) == 0;
}

struct half_open *half_open_find(struct half_opens *h, uint64_t hash, const struct packet *p,
                                 enum dir *dir)
{
    const struct endpoint *from = p->kind == PACKET_ICMP ? &p->about_from : &p->from;
    const struct endpoint *to = p->kind == PACKET_ICMP ? &p->about_to : &p->to;
    struct half_open *r;

    for (uint32_t n = h->buckets[hash & h->mask]; n; n = r->chain) {
        r = at(h, n);
        for (*dir = UP; *dir <= DOWN; ++*dir)
            if (is_end(r, *dir, from) && is_end(r, !*dir, to))
                return r;
    }
    return NULL;
}

static uint64_t hash_of(const struct half_open *r)
{
    struct endpoint up = get_end(r, UP), down = get_end(r, DOWN);

    return conn_hash(&up, &down);
}

/* A record that nobody has, zeroed; *number is its own.  NULL: there is none. */
static struct half_open *take_spare(struct half_opens *h, uint32_t *number)
{
    struct half_open *r;

    if (h->used == h->core->options.half_open)
        return NULL;
    if (!h->spare) {
        struct half_open *block = conn_core_alloc(h->core, BLOCK_LEN * sizeof *block);

        if (!block)
            return NULL;
        h->blocks[h->made / BLOCK_LEN] = block;
        h->made += BLOCK_LEN;
        for (uint32_t i = 0; i < BLOCK_LEN; i++)
            block[i].chain = i + 1 < BLOCK_LEN ? h->made - BLOCK_LEN + i + 2 : 0;
        h->spare = h->made - BLOCK_LEN + 1;
    }
    *number = h->spare;
    r = at(h, *number);
    h->spare = r->chain;
    *r = (struct half_open){0};
    return r;
}

static enum half_open_line get_line(const struct half_open *r)
{
    return r->is_refused ? HALF_OPEN_REFUSED : HALF_OPEN_ASKING;
}

static unsigned opener_of(const uint8_t address[16])
{
    return (unsigned)(hash_bytes(address, 16) % HALF_OPEN_OPENERS);
}

unsigned half_open_count(const struct half_opens *h, enum half_open_line line,
                         const struct addr *opener)
{
    return h->by_opener[line][opener_of(opener->bytes)];
}

static void link_young(struct half_opens *h, struct half_open *r, uint32_t number,
                       enum half_open_line line)
{
    r->is_refused = line == HALF_OPEN_REFUSED;
    h->by_opener[line][opener_of(r->addresses[UP])]++;
    r->older = h->youngest[line];
    r->younger = 0;
    if (r->older)
        at(h, r->older)->younger = number;
    else
        h->oldest[line] = number;
    h->youngest[line] = number;
}

/* Takes it out of its line; its number. */
static uint32_t leave_line(struct half_opens *h, struct half_open *r)
{
    enum half_open_line line = get_line(r);
    uint32_t number = r->younger ? at(h, r->younger)->older : h->youngest[line];

    h->by_opener[line][opener_of(r->addresses[UP])]--;
    if (r->older)
        at(h, r->older)->younger = r->younger;
    else
        h->oldest[line] = r->younger;
    if (r->younger)
        at(h, r->younger)->older = r->older;
    else
        h->youngest[line] = r->older;
    return number;
}

struct half_open *half_open_add(struct half_opens *h, uint64_t hash, const struct endpoint *opener,
                                const struct endpoint *listener)
{
    uint32_t number;
    struct half_open *r = take_spare(h, &number);

    if (!r)
        return NULL;
    h->used++;
    r->family_up = get_code(opener->addr.family) & 3;
    r->family_down = get_code(listener->addr.family) & 3;
    memcpy(r->addresses[UP], opener->addr.bytes, sizeof r->addresses[UP]);
    memcpy(r->addresses[DOWN], listener->addr.bytes, sizeof r->addresses[DOWN]);
    r->ports[UP] = opener->port;
    r->ports[DOWN] = listener->port;
    r->scales = SCALE_UNKNOWN << 4 | SCALE_UNKNOWN;
    r->chain = h->buckets[hash & h->mask];
    h->buckets[hash & h->mask] = number;
    link_young(h, r, number, HALF_OPEN_ASKING);
    return r;
}

void half_open_move(struct half_opens *h, struct half_open *r, enum half_open_line line)
{
    uint32_t number = leave_line(h, r);

    link_young(h, r, number, line);
}

struct half_open *half_open_get_oldest(struct half_opens *h, enum half_open_line line)
{
    return h->oldest[line] ? at(h, h->oldest[line]) : NULL;
}

void half_open_remove(struct half_opens *h, struct half_open *r)
{
    uint32_t *from = &h->buckets[hash_of(r) & h->mask];
    uint32_t number = leave_line(h, r);

    while (*from != number)
        from = &at(h, *from)->chain;
    *from = r->chain;
    conn_core_free(h->core, r->icmp, sizeof *r->icmp);
    r->icmp = NULL;
    r->chain = h->spare;
    h->spare = number;
    h->used--;
}

static uint32_t get_us(const struct half_open *r, uint64_t at_ns)
{
    uint64_t us = at_ns > r->begin_ns ? (at_ns - r->begin_ns) / NS_PER_US : 0;

    return us < UINT32_MAX ? (uint32_t)us : UINT32_MAX;
}

void half_open_note(struct half_open *r, const struct packet *p)
{
    if (!r->begin_number && !r->begin_ns) {
        r->begin_ns = p->at_ns;
        r->wall_ns = p->wall_ns;
        r->begin_number = p->number;
        r->file = p->file;
        r->is_text = p->is_text;
    }
    r->last_us = get_us(r, p->at_ns);
    r->last_number = p->number;
    r->fragmented |= p->was_fragmented;
    if (p->flags & PACKET_RST && !r->rst_number) {
        r->rst_number = p->number;
        r->rst_us = r->last_us;
        r->rst_ttl = p->ttl;
    } else if (p->flags & PACKET_SYN && !(p->flags & PACKET_ACK)) {
        r->syn_us = r->last_us;
    }
}

void half_open_note_syn(struct half_open *r, enum dir dir, const struct packet *p)
{
    unsigned scale = p->has_scale ? p->scale : p->options_cut ? SCALE_UNKNOWN : 0;

    if (scale > SCALE_UNKNOWN - 1 && p->has_scale)
        scale = SCALE_UNKNOWN - 1; /* RFC 7323 2.3: 14 at most */
    r->seqs[dir] = p->seq + 1;
    r->mss[dir] = p->mss;
    r->ttls[dir] = p->ttl;
    r->scales = (uint8_t)((r->scales & 15u << 4 * !dir) | scale << 4 * dir);
    if (dir == UP)
        r->sack_up = p->sack_permitted;
    else
        r->sack_down = p->sack_permitted;
}

uint64_t half_open_get_last_ns(const struct half_open *r)
{
    return r->begin_ns + r->last_us * NS_PER_US;
}

static void fill_stream(const struct half_open *r, enum dir dir, struct stream *s)
{
    unsigned scale = r->scales >> 4 * dir & 15;

    s->begun = s->syn = true;
    s->mss = r->mss[dir];
    s->ttl = r->ttls[dir];
    s->scale = scale == SCALE_UNKNOWN ? 255 : (uint8_t)scale;
    s->sack_permitted = dir == UP ? r->sack_up : r->sack_down;
    s->last_ns = half_open_get_last_ns(r);
    stream_place(s, r->seqs[dir]);
}

static void fill_rst(const struct half_open *r, struct conn_core *core, struct conn *c)
{
    struct stream *s = &c->streams[r->rst_by_opener ? UP : DOWN];
    struct stream_rare *rare = stream_make_rare(core, s);

    s->rst = s->begun = true;
    s->last_ns = half_open_get_last_ns(r);
    if (!rare)
        return;
    rare->rst_ns = r->begin_ns + r->rst_us * NS_PER_US;
    rare->rst_number = r->rst_number;
    rare->rst_ttl = r->rst_ttl;
    rare->rst_seq = s->next;
}

void half_open_fill(struct half_open *r, struct conn_core *core, struct conn *c)
{
    c->ends[UP] = get_end(r, UP);
    c->ends[DOWN] = get_end(r, DOWN);
    c->begin_ns = r->begin_ns;
    c->wall_ns = r->wall_ns;
    c->last_ns = half_open_get_last_ns(r);
    c->begin_number = r->begin_number;
    c->last_number = r->last_number;
    c->file = r->file;
    c->is_text = r->is_text;
    c->fragmented = r->fragmented;
    c->syns = r->syns;
    c->streams[UP].scale = c->streams[DOWN].scale = 255;
    if (r->syns)
        fill_stream(r, UP, &c->streams[UP]);
    if (r->answers)
        fill_stream(r, DOWN, &c->streams[DOWN]);
    if (r->answers) { /* it acknowledged the SYN, seen or not */
        struct stream *up = &c->streams[UP];

        if (!up->placed)
            stream_place(up, r->seqs[UP]);
        up->has_acks = true;
        up->acked = up->first;
    }
    if (r->syns && r->answers && (!c->streams[UP].scale || !c->streams[DOWN].scale))
        c->streams[UP].scale = c->streams[DOWN].scale = 0;
    if (r->rst_number)
        fill_rst(r, core, c);
    c->icmp = r->icmp;
    r->icmp = NULL;
}
