/* capture/conn_store.h - all established connections: found by their ends, kept in line.
 *
 * A packet's connection is found by a keyed hash of both ends, so that nobody can make long chains
 * on purpose.  Private to the core (conn_private.h).  One thread. */
#pragma once

#include "capture/conn_private.h"
#include "capture/objects.h"

struct conn_store {
    struct conn_core *core;
    struct objects conns;
    struct conn **buckets;
    uint32_t mask;
    uint32_t used, embryos; /* connections, and those of CONN_SHELF_EMBRYO */
    struct conn *oldest[CONN_SHELF_COUNT], *youngest[CONN_SHELF_COUNT];
};

/* False: out of memory; conn_store_fini is due all the same. */
bool conn_store_init(struct conn_store *s, struct conn_core *core);
/* Frees all that is there; tells nobody.  Safe on a zeroed one. */
void conn_store_fini(struct conn_store *s);

/* The next look-up will be for `hash`. */
static inline void conn_store_expect(const struct conn_store *s, uint64_t hash)
{
    __builtin_prefetch(&s->buckets[hash & s->mask]);
}

/* The connection with these ends, or NULL; *dir is the direction from `from` to `to`. */
struct conn *conn_store_find(const struct conn_store *s, uint64_t hash, const struct endpoint *from,
                             const struct endpoint *to, enum dir *dir);

/* A zeroed one, in no line; its ends are the caller's to set, then conn_store_shelve is due.  NULL:
 * out of memory. */
struct conn *conn_store_add(struct conn_store *s, uint64_t hash);

/* Takes it out of the table and of its line; conn_store_put gives its memory back. */
void conn_store_remove(struct conn_store *s, struct conn *c);
void conn_store_put(struct conn_store *s, struct conn *c);

/* To the young end of that line. */
void conn_store_shelve(struct conn_store *s, struct conn *c, enum conn_shelf shelf);
/* The same, of one that stands in a line, and whose last packet before was at `before_ns`. */
void conn_store_reshelve(struct conn_store *s, struct conn *c, uint64_t before_ns);
