#include "net/cache.h"

#include <assert.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/util.h"

enum { BUCKETS_FIRST = 64 };

bool cache_init(struct cache *c, uint32_t max)
{
    *c = (struct cache){.max = max, .mask = BUCKETS_FIRST - 1};
    list_init(&c->recent);
    c->buckets = calloc(BUCKETS_FIRST, sizeof(struct cache_entry *));
    return c->buckets != NULL;
}

static void drop_half(struct cache_half *h)
{
    free(h->addrs);
    free(h->detail);
    h->addrs = NULL;
    h->detail = NULL;
    h->len = 0;
}

static void drop_entry(struct cache *c, struct cache_entry *e)
{
    struct cache_entry **at = &c->buckets[e->hash & c->mask];

    while (*at != e)
        at = &(*at)->chain;
    *at = e->chain;
    list_remove(&e->recent);
    list_remove(&e->busy);
    list_remove(&e->early);
    list_remove(&e->done);
    for (int i = 0; i < CACHE_FAMILIES; i++)
        drop_half(&e->halves[i]);
    free(e);
    c->len--;
}

static struct cache_entry *oldest(const struct cache *c)
{
    return CONTAINER_OF(c->recent.prev, struct cache_entry, recent);
}

void cache_fini(struct cache *c)
{
    while (!list_is_empty(&c->recent))
        drop_entry(c, oldest(c));
    free(c->buckets);
    c->buckets = NULL;
}

/* Twice the buckets.  Without memory the chains stay longer, and that is all. */
static void grow(struct cache *c)
{
    uint32_t mask = c->mask * 2 + 1;
    struct cache_entry **buckets = calloc((size_t)mask + 1, sizeof(struct cache_entry *));

    if (!buckets)
        return;
    for (struct list *l = c->recent.next; l != &c->recent; l = l->next) {
        struct cache_entry *e = CONTAINER_OF(l, struct cache_entry, recent);

        e->chain = buckets[e->hash & mask];
        buckets[e->hash & mask] = e;
    }
    free(c->buckets);
    c->buckets = buckets;
    c->mask = mask;
}

static struct cache_entry *add_entry(struct cache *c, struct span name, uint64_t hash)
{
    struct cache_entry *e = calloc(1, sizeof *e + name.len);

    if (!e)
        return NULL;
    memcpy(e->name, name.ptr, name.len);
    e->name_len = (uint8_t)name.len;
    e->hash = hash;
    list_init(&e->waiters);
    if (c->len++ > c->mask)
        grow(c);
    e->chain = c->buckets[hash & c->mask];
    c->buckets[hash & c->mask] = e;
    list_push_front(&c->recent, &e->recent);
    return e;
}

struct cache_entry *cache_get(struct cache *c, struct span name)
{
    uint64_t hash = hash_bytes(name.ptr, name.len);

    assert(name.len <= UINT8_MAX);
    for (struct cache_entry *e = c->buckets[hash & c->mask]; e; e = e->chain) {
        if (e->hash != hash || !span_equal((struct span){e->name, e->name_len}, name))
            continue;
        list_remove(&e->recent);
        list_push_front(&c->recent, &e->recent);
        return e;
    }
    return add_entry(c, name, hash);
}

void cache_forget(struct cache *c)
{
    for (struct list *l = c->recent.next; l != &c->recent; l = l->next)
        for (int f = 0; f < CACHE_FAMILIES; f++)
            CONTAINER_OF(l, struct cache_entry, recent)->halves[f].until_ns = 0;
}

bool cache_is_idle(const struct cache_entry *e)
{
    return list_is_empty(&e->waiters) && list_is_empty(&e->done) && !e->halves[CACHE_IPV4].asked &&
           !e->halves[CACHE_IPV6].asked;
}

void cache_trim(struct cache *c)
{
    for (struct list *l = c->recent.prev; c->len > c->max && l != &c->recent;) {
        struct cache_entry *e = CONTAINER_OF(l, struct cache_entry, recent);

        l = l->prev;
        if (cache_is_idle(e))
            drop_entry(c, e);
    }
}

void cache_set(struct cache_half *h, const struct addr *addrs, unsigned len, const char *detail)
{
    drop_half(h);
    if (len > 0 && (h->addrs = reallocarray(NULL, len, sizeof *addrs))) {
        memcpy(h->addrs, addrs, len * sizeof *addrs);
        h->len = (uint8_t)len;
    }
    if (detail)
        h->detail = strdup(detail);
}
