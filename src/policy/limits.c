#include "policy/limits.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/endpoint.h"
#include "base/hash.h"

struct flow_limits limits_merge(const struct flow_limits *base, const struct flow_limits *rule,
                                unsigned set)
{
    struct flow_limits out = *base;

    if (set & LIMIT_IDLE)
        out.idle_ns = rule->idle_ns;
    if (set & LIMIT_LIFETIME)
        out.lifetime_ns = rule->lifetime_ns;
    if (set & LIMIT_DOWNLOAD)
        out.max_download = rule->max_download;
    if (set & LIMIT_UPLOAD)
        out.max_upload = rule->max_upload;
    if (set & LIMIT_RATE)
        out.rate = rule->rate;
    return out;
}

/* A slot is one word, hash of the client << 24 | its connections, so that both change in one step.
 * A slot that counts zero is free for anybody.  A client lives in the WINDOW slots from its home
 * on; two workers that meet a new client at once may give it two slots: entering looks at the sum,
 * leaving takes from any, so the pair drains to nothing.  A window that is full of others refuses:
 * at a quarter full, one in 10^9. */
#define WINDOW 32
#define COUNT_BITS 24
#define COUNT_MASK (((uint64_t)1 << COUNT_BITS) - 1)
#define SLOTS_MAX ((uint32_t)1 << 26)

struct limits_clients {
    uint32_t mask;
    _Atomic uint64_t slots[];
};

struct limits_clients *limits_clients_new(uint32_t connections)
{
    uint32_t slots = 64;

    while (slots < SLOTS_MAX && slots / 4 < connections)
        slots *= 2;
    struct limits_clients *c = calloc(1, sizeof *c + slots * sizeof c->slots[0]);
    if (c)
        c->mask = slots - 1;
    return c;
}

void limits_clients_free(struct limits_clients *c)
{
    free(c);
}

/* An IPv6 client has its whole /64 to choose from: that is what counts as one. */
static uint64_t hash_client(const struct addr *a)
{
    return hash_bytes(a->bytes, a->family == AF_INET ? 4 : 8);
}

static _Atomic uint64_t *slot_at(struct limits_clients *c, uint64_t hash, uint32_t i)
{
    return &c->slots[((uint32_t)hash + i) &
                     c->mask]; /* the low bits choose the home, the high 40 name the client */
}

static bool is_of(uint64_t word, uint64_t hash)
{
    return (word ^ hash) >> COUNT_BITS == 0;
}

bool limits_clients_enter(struct limits_clients *c, const struct addr *client, uint32_t max)
{
    uint64_t hash = hash_client(client);

    for (;;) {
        _Atomic uint64_t *chosen = NULL;
        uint64_t seen = 0, total = 0;

        for (uint32_t i = 0; i < WINDOW; i++) {
            _Atomic uint64_t *slot = slot_at(c, hash, i);
            uint64_t word = atomic_load_explicit(slot, memory_order_relaxed),
                     count = word & COUNT_MASK;
            bool mine = is_of(word, hash) && count > 0;

            if (mine ? total == 0
                     : count == 0 && !chosen) { /* the first of its own, else the first free one */
                chosen = slot;
                seen = word;
            }
            if (mine)
                total += count;
        }
        if (!chosen || total >= max || (seen & COUNT_MASK) == COUNT_MASK)
            return false;
        uint64_t next = (seen & COUNT_MASK) > 0 ? seen + 1 : (hash & ~COUNT_MASK) | 1;
        if (atomic_compare_exchange_weak_explicit(chosen, &seen, next, memory_order_relaxed,
                                                  memory_order_relaxed))
            return true;
    }
}

void limits_clients_leave(struct limits_clients *c, const struct addr *client)
{
    uint64_t hash = hash_client(client);

    for (uint32_t i = 0; i < WINDOW; i++) {
        _Atomic uint64_t *slot = slot_at(c, hash, i);
        uint64_t word = atomic_load_explicit(slot, memory_order_relaxed);

        while (is_of(word, hash) && (word & COUNT_MASK) > 0)
            if (atomic_compare_exchange_weak_explicit(slot, &word, word - 1, memory_order_relaxed,
                                                      memory_order_relaxed))
                return;
    }
}
