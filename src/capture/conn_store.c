#include "capture/conn_store.h"

#include <assert.h>

#define BUCKETS_FIRST 1024u
#define BUCKETS_EACH 2         /* most chains are of one: it is found without looking at others */
#define MANY 4096u             /* live ones: from here on their order is that of */
#define SAME_NS (8 * NS_PER_S) /*   stretches of time */

static_assert(sizeof(struct conn) <= 440, "a live flow stays under 1 KiB with its exchange");

/* --- memory */

static void count_more(struct conn_store *s, uint64_t len)
{
    if (len)
        conn_core_count(s->core, len);
}

/* Zeroed; NULL: out of memory. */
static struct conn *get_spare(struct conn_store *s)
{
    uint64_t before = s->conns.memory;
    struct conn *c = objects_get(&s->conns);

    count_more(s, s->conns.memory - before);
    return c;
}

static struct conn **make_buckets(struct conn_store *s, uint32_t n)
{
    struct conn **buckets = objects_new_pages(n * sizeof(struct conn *));

    count_more(s, buckets ? n * sizeof(struct conn *) : 0);
    return buckets;
}

static void free_buckets(struct conn_store *s)
{
    size_t len = (s->mask + (size_t)1) * sizeof(struct conn *);

    s->core->counts.memory -= s->buckets ? len : 0;
    objects_free_pages(s->buckets, len);
}

static void unshelve(struct conn_store *s, struct conn *c)
{
    if (c->older)
        c->older->younger = c->younger;
    else
        s->oldest[c->shelf] = c->younger;
    if (c->younger)
        c->younger->older = c->older;
    else
        s->youngest[c->shelf] = c->older;
    s->embryos -= c->shelf == CONN_SHELF_EMBRYO;
}

void conn_store_shelve(struct conn_store *s, struct conn *c, enum conn_shelf shelf)
{
    c->shelf = (uint8_t)shelf;
    c->younger = NULL;
    c->older = s->youngest[shelf];
    if (c->older)
        c->older->younger = c;
    else
        s->oldest[shelf] = c;
    s->youngest[shelf] = c;
    s->embryos += shelf == CONN_SHELF_EMBRYO;
}

/* Of many live ones, those that had a packet in the same few seconds keep their places: their
 * neighbours are not in the cache. */
void conn_store_reshelve(struct conn_store *s, struct conn *c, uint64_t before_ns)
{
    enum conn_shelf shelf = conn_find_shelf(c);

    if (s->youngest[shelf] == c)
        return;
    if (shelf == CONN_SHELF_LIVE && c->shelf == CONN_SHELF_LIVE && s->used > MANY &&
        c->last_ns / SAME_NS == before_ns / SAME_NS)
        return;
    unshelve(s, c);
    conn_store_shelve(s, c, shelf);
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
    __builtin_prefetch((const char *)c + sizeof *c - 1,
                       1); /* it begins anywhere in its first line */
}

struct conn *conn_store_find(const struct conn_store *s, uint64_t hash, const struct endpoint *from,
                             const struct endpoint *to, enum dir *dir)
{
    for (struct conn *c = s->buckets[hash & s->mask]; c; c = c->chain) {
        if (c->hash != (uint32_t)hash)
            continue;
        fetch(c);
        *dir = is_end(&c->ends[UP], from) ? UP : DOWN;
        if (is_end(&c->ends[*dir], from) && is_end(&c->ends[!*dir], to)) {
            if (c->dialog) {
                __builtin_prefetch(c->dialog, 1);
                __builtin_prefetch((const char *)c->dialog + 64, 1);
            }
            return c;
        }
    }
    return NULL;
}

/* Twice the buckets; without memory the chains grow. */
static void grow(struct conn_store *s)
{
    uint32_t buckets = 2 * (s->mask + 1);
    struct conn **grown = make_buckets(s, buckets);

    if (!grown)
        return;
    for (uint32_t i = 0; i <= s->mask; i++) {
        for (struct conn *c = s->buckets[i], *next; c; c = next) {
            next = c->chain;
            c->chain = grown[c->hash & (buckets - 1)];
            grown[c->hash & (buckets - 1)] = c;
        }
    }
    free_buckets(s);
    s->buckets = grown;
    s->mask = buckets - 1;
}

struct conn *conn_store_add(struct conn_store *s, uint64_t hash)
{
    struct conn *c = get_spare(s);

    if (!c)
        return NULL;
    if (s->used >= s->mask / BUCKETS_EACH)
        grow(s);
    c->hash = (uint32_t)hash;
    c->chain = s->buckets[hash & s->mask];
    s->buckets[hash & s->mask] = c;
    s->used++;
    return c;
}

void conn_store_remove(struct conn_store *s, struct conn *c)
{
    struct conn **from = &s->buckets[c->hash & s->mask];

    while (*from != c)
        from = &(*from)->chain;
    *from = c->chain;
    unshelve(s, c);
    s->used--;
}

void conn_store_put(struct conn_store *s, struct conn *c)
{
    objects_put(&s->conns, c);
}

bool conn_store_init(struct conn_store *s, struct conn_core *core)
{
    *s = (struct conn_store){.core = core, .mask = BUCKETS_FIRST - 1};
    objects_init(&s->conns, sizeof(struct conn));
    s->buckets = make_buckets(s, BUCKETS_FIRST);
    return s->buckets;
}

void conn_store_fini(struct conn_store *s)
{
    if (!s->core)
        return;
    for (enum conn_shelf shelf = 0; shelf < CONN_SHELF_COUNT; shelf++) {
        for (struct conn *c = s->oldest[shelf]; c; c = c->younger)
            conn_fini(s->core, c);
    }
    free_buckets(s);
    s->core->counts.memory -= s->conns.memory;
    objects_fini(&s->conns);
    *s = (struct conn_store){0};
}
