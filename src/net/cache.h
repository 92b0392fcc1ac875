/* net/cache.h - names and what is known of their addresses: two halves (IPv4, IPv6), each with its
 * own end of validity; bounded, the least recently used goes first.
 *
 * Also where a name's question waits for its answer: an entry that somebody waits for, or that was
 * asked, is never dropped.  Knows no DNS.  One owner, one thread; time is an argument. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/endpoint.h"
#include "base/list.h"
#include "base/span.h"

struct dnsclient_ask;

enum cache_family { CACHE_IPV4, CACHE_IPV6, CACHE_FAMILIES };

struct cache_half {
    struct addr *addrs;          /* heap */
    char *detail;                /* heap: why there is no address; NULL */
    struct dnsclient_ask *asked; /* the question while it is open; NULL */
    uint64_t until_ns;           /* what is known holds before this; 0: nothing is known */
    uint8_t status;              /* the owner's */
    uint8_t len;
};

struct cache_entry {
    struct cache_entry *chain; /* next in the bucket */
    struct list recent;        /* in the cache's list, the most recent in front */
    struct list busy;          /* the owner's: by deadline */
    struct list early;         /* the owner's: the first address is here, the other half is not */
    struct list done;          /* the owner's: to be delivered */
    struct list waiters;       /* the owner's */
    void *owner;               /* the owner's, for its callbacks */
    uint64_t hash;
    uint64_t deadline_ns; /* of the question */
    uint64_t early_ns;    /* waiters get what is there from then on; 0: no address yet */
    struct cache_half halves[CACHE_FAMILIES];
    bool asking; /* the owner's: its questions are on their way out */
    uint8_t name_len;
    char name[];
};

struct cache {
    struct cache_entry **buckets;
    uint32_t mask; /* buckets, a power of two, less one */
    uint32_t len, max;
    struct list recent;
};

/* Ready for `max` names; false when memory is out. */
bool cache_init(struct cache *c, uint32_t max);
void cache_fini(struct cache *c);

/* The entry of `name` (253 bytes at most), made when there is none; it becomes the most recent.
 * NULL when memory is out. */
struct cache_entry *cache_get(struct cache *c, struct span name);

/* Drops idle entries, the oldest first, until `max` are left. */
void cache_trim(struct cache *c);

/* What is known holds no longer; what was asked stays asked. */
void cache_forget(struct cache *c);

/* Nobody waits for it and nothing was asked. */
bool cache_is_idle(const struct cache_entry *e);

static inline bool cache_is_fresh(const struct cache_half *h, uint64_t now_ns)
{
    return now_ns < h->until_ns;
}

/* Puts an answer into a half: copies addresses and detail (NULL: none).  Without memory the half
 * has no address. */
void cache_set(struct cache_half *h, const struct addr *addrs, unsigned len, const char *detail);
