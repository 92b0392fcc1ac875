#include "capture/waiting.h"

#include <assert.h>
#include <string.h>

#define STREAM_MAX (1024u * 1024) /* bytes of memory a stream, as conn.h says */
#define PARTS_MAX 2048u           /* a hostile capture sends single bytes in any order */

static_assert(sizeof(struct conn_waiting) <= 104, "many connections have one at once");

/* Zeroed; NULL: out of memory, or of what is allowed. */
static void *get_object(struct conn_core *k, struct objects *pool)
{
    uint64_t before = pool->memory;
    void *object;

    if (k->waiting_used + pool->object_len > k->options.waiting_max)
        return NULL;
    object = objects_get(pool);
    conn_core_count(k, pool->memory - before);
    k->waiting_used += object ? pool->object_len : 0;
    return object;
}

static void put_object(struct conn_core *k, struct objects *pool, void *object)
{
    objects_put(pool, object);
    k->waiting_used -= pool->object_len;
}

struct conn_waiting *waiting_get(struct conn_core *k, struct conn *c, enum dir dir)
{
    if (!c->waiting[dir])
        c->waiting[dir] = get_object(k, &k->waitings);
    return c->waiting[dir];
}

void waiting_widen(struct conn_core *k, struct conn_waiting *w)
{
    struct flight_part *many = get_object(k, &k->flights);

    if (many)
        flight_widen(&w->flight, many);
}

void waiting_put(struct conn_core *k, struct conn *c, enum dir dir, bool all)
{
    struct conn_waiting *w = c->waiting[dir];

    if (!w || (!all && (w->first || w->flight.len || c->pending & CONN_PENDING_GAP << dir)))
        return;
    while (w->first)
        waiting_free(k, waiting_pop(w));
    c->waiting[dir] = NULL;
    if (w->flight.many)
        put_object(k, &k->flights, w->flight.many);
    put_object(k, &k->waitings, w);
}

/* Where bytes belong. */
struct place {
    uint32_t seq, len, ack;
};

/* Puts the first bytes of *p in at *at. */
static bool insert(struct conn_core *k, struct conn_waiting *w, struct waiting_part **at,
                   const struct stream_piece *p, struct place place)
{
    uint32_t len = place.len;
    uint32_t have = p->bytes.len < len ? (uint32_t)p->bytes.len : len;
    size_t size = sizeof(struct waiting_part) + have;
    struct waiting_part *part;

    if (w->parts >= PARTS_MAX || w->used + size > STREAM_MAX ||
        k->waiting_used + size > k->options.waiting_max)
        return false;
    part = conn_core_alloc(k, size);
    if (!part)
        return false;
    part->at_ns = p->at_ns;
    part->seq = place.seq;
    part->ack = place.ack;
    part->len = len;
    part->have = have;
    part->number = p->number;
    part->file = p->file;
    if (have)
        memcpy(part->bytes, p->bytes.ptr, have);
    part->next = *at;
    *at = part;
    if (!part->next)
        w->last = part;
    w->parts++;
    w->used += (uint32_t)size;
    k->waiting_used += size;
    return true;
}

static void cut_front(struct stream_piece *p, uint32_t *seq, uint32_t n)
{
    size_t have = n < p->bytes.len ? n : p->bytes.len;

    *seq += n;
    p->len -= n;
    if (have)
        p->bytes = (struct span){p->bytes.ptr + have, p->bytes.len - have};
}

bool waiting_add(struct conn_core *k, struct conn_waiting *w, const struct stream_piece *p,
                 uint32_t seq, uint32_t ack)
{
    struct waiting_part **at = &w->first, *next;
    struct stream_piece rest = *p;

    if (w->last && !stream_is_before(seq, w->last->seq + w->last->len))
        at = &w->last->next;
    while (rest.len) {
        while ((next = *at) && !stream_is_before(seq, next->seq)) {
            uint32_t end = next->seq + next->len;

            if (stream_is_before(seq, end))
                cut_front(&rest, &seq, end - seq < rest.len ? end - seq : rest.len);
            at = &next->next;
        }
        if (!rest.len)
            break;
        uint32_t n =
            next && stream_is_before(next->seq, seq + rest.len) ? next->seq - seq : rest.len;
        if (!insert(k, w, at, &rest, (struct place){seq, n, ack}))
            return false;
        at = &(*at)->next;
        cut_front(&rest, &seq, n);
    }
    return true;
}

struct waiting_part *waiting_pop(struct conn_waiting *w)
{
    struct waiting_part *part = w->first;

    w->first = part->next;
    if (!w->first)
        w->last = NULL;
    w->parts--;
    w->used -= (uint32_t)(sizeof *part + part->have);
    return part;
}

void waiting_free(struct conn_core *k, struct waiting_part *part)
{
    k->waiting_used -= sizeof *part + part->have;
    conn_core_free(k, part, sizeof *part + part->have);
}

bool waiting_has(const struct conn_waiting *w, uint32_t seq)
{
    const struct waiting_part *part;

    if (!w || !w->last || !stream_is_before(seq, w->last->seq + w->last->len))
        return false;
    for (part = w->first; part && !stream_is_before(seq, part->seq); part = part->next)
        if (stream_is_before(seq, part->seq + part->len))
            return true;
    return false;
}

uint32_t waiting_get_end(const struct conn_waiting *w, uint32_t seq)
{
    for (const struct waiting_part *part = w ? w->first : NULL; part; part = part->next) {
        uint32_t end = part->seq + part->len;

        if (stream_is_before(seq, part->seq))
            break;
        if (stream_is_before(seq, end))
            seq = end;
    }
    return seq;
}

void waiting_init(struct conn_core *k)
{
    objects_init(&k->waitings, sizeof(struct conn_waiting));
    objects_init(&k->flights, FLIGHT_MANY * sizeof(struct flight_part));
}

void waiting_fini(struct conn_core *k)
{
    k->counts.memory -= k->waitings.memory + k->flights.memory;
    objects_fini(&k->waitings);
    objects_fini(&k->flights);
}
