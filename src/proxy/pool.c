#include "proxy/pool.h"

#include <errno.h>
#include <string.h>

#include "base/hash.h"
#include "base/util.h"
#include "net/sock.h"

void pool_init(struct pool *p)
{
    *p = (struct pool){.next_ns = UINT64_MAX};
    slab_init(&p->links, sizeof(struct link), 1u << 24);
    for (unsigned i = 0; i < POOL_BUCKETS; i++)
        list_init(&p->buckets[i]);
}

void pool_fini(struct pool *p)
{
    for (unsigned i = 0; i < POOL_BUCKETS; i++)
        while (p->links.object_len && !list_is_empty(&p->buckets[i]))
            pool_close(p, CONTAINER_OF(p->buckets[i].next, struct link, node), false);
    slab_fini(&p->links);
}

static struct list *bucket_of(struct pool *p, const struct endpoint *at)
{
    unsigned char key[18];

    memcpy(key, at->addr.bytes, 16);
    memcpy(key + 16, &at->port, 2);
    return &p->buckets[hash_bytes(key, sizeof key) % POOL_BUCKETS];
}

struct link *pool_open(struct pool *p, struct loop *loop, uint8_t kind, const struct endpoint *at,
                       uint32_t mss, int *err)
{
    struct link *l = slab_get(&p->links);
    struct slab_slot slot;
    int fd, failed;

    if (!l) {
        *err = ENOMEM;
        return NULL;
    }
    fd = sock_connect(at, mss);
    if (fd < 0) {
        slab_put(&p->links, l);
        *err = -fd;
        return NULL;
    }
    conn_init(&l->conn, fd, NODELAY_AFTER_FIRST_WRITE);
    l->at = *at;
    l->mss = mss;
    slot = slab_slot_of(l);
    failed = loop_add(loop, fd, LOOP_DATA, (struct loop_ref){kind, slot.number, slot.generation});
    if (failed < 0) {
        pool_close(p, l, true);
        *err = -failed;
        return NULL;
    }
    return l;
}

struct link *pool_find(struct pool *p, const struct endpoint *at, uint32_t hop, uint32_t mss)
{
    struct list *head = bucket_of(p, at);

    for (struct list *n = head->next, *after; n != head; n = after) {
        struct link *l = CONTAINER_OF(n, struct link, node);

        after = n->next;
        if (l->hop == hop && l->at.port == at->port && addr_is_equal(&l->at.addr, &at->addr)) {
            if (l->mss != mss) {
                pool_close(p, l, false);
                continue;
            }
            list_remove(&l->node);
            p->idle--;
            l->reused = true;
            return l;
        }
    }
    return NULL;
}

/* A body read to its very last byte leaves open whether more came behind it. */
static bool is_at_rest(struct conn *c)
{
    char one;

    if (c->eof || c->ready & (CONN_RDHUP | CONN_ERR))
        return false;
    return !(c->ready & CONN_IN) || conn_read(c, &one, 1) == -EAGAIN;
}

void pool_keep(struct pool *p, struct link *l, uint64_t now_ns)
{
    l->session = NULL;
    if (p->idle >= POOL_IDLE_MAX || !is_at_rest(&l->conn)) {
        pool_close(p, l, false);
        return;
    }
    l->since_ns = now_ns;
    list_push_front(bucket_of(p, &l->at), &l->node);
    p->idle++;
    if (p->next_ns == UINT64_MAX)
        p->next_ns = now_ns + POOL_IDLE_NS;
}

bool pool_is_connection_auth(struct span value)
{
    struct span scheme = span_cut(&value, ' ');

    return span_equal_nocase(scheme, SPAN_LIT("NTLM")) ||
           span_equal_nocase(scheme, SPAN_LIT("Negotiate"));
}

void pool_close(struct pool *p, struct link *l, bool reset)
{
    if (!list_is_empty(&l->node)) {
        list_remove(&l->node);
        p->idle--;
    }
    conn_close(&l->conn, reset);
    slab_put(&p->links, l);
}

void pool_event(struct pool *p, struct link *l, uint32_t events)
{
    conn_note_events(&l->conn, events);
    if (events & (EPOLLIN | EPOLLRDHUP | EPOLLERR | EPOLLHUP))
        pool_close(p, l, false);
}

void pool_tick(struct pool *p, uint64_t now_ns)
{
    uint64_t next = UINT64_MAX;

    if (now_ns < p->next_ns)
        return;
    for (unsigned i = 0; i < POOL_BUCKETS; i++) {
        struct list *head = &p->buckets[i];

        for (struct list *n = head->next, *after; n != head; n = after) {
            struct link *l = CONTAINER_OF(n, struct link, node);

            after = n->next;
            if (l->since_ns + POOL_IDLE_NS <= now_ns)
                pool_close(p, l, false);
            else if (l->since_ns + POOL_IDLE_NS < next)
                next = l->since_ns + POOL_IDLE_NS;
        }
    }
    p->next_ns = next;
}
