#include "base/ring.h"

#include <assert.h>
#include <stdlib.h>

bool ring_init(struct ring *r, uint32_t slots)
{
    assert(slots > 0 && (slots & (slots - 1)) == 0);
    r->slots = calloc(slots, sizeof *r->slots);
    r->mask = slots - 1;
    atomic_init(&r->head, 0);
    atomic_init(&r->tail, 0);
    return r->slots != NULL;
}

void ring_fini(struct ring *r)
{
    free(r->slots);
    r->slots = NULL;
}

bool ring_push(struct ring *r, void *item)
{
    uint32_t head = atomic_load_explicit(&r->head, memory_order_relaxed);

    if (head - atomic_load_explicit(&r->tail, memory_order_acquire) > r->mask)
        return false;
    r->slots[head & r->mask] = item;
    atomic_store_explicit(&r->head, head + 1, memory_order_release);
    return true;
}

void *ring_pop(struct ring *r)
{
    uint32_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);
    void *item;

    if (tail == atomic_load_explicit(&r->head, memory_order_acquire))
        return NULL;
    item = r->slots[tail & r->mask];
    atomic_store_explicit(&r->tail, tail + 1, memory_order_release);
    return item;
}

bool ring_is_empty(struct ring *r)
{
    return atomic_load_explicit(&r->tail, memory_order_acquire) ==
           atomic_load_explicit(&r->head, memory_order_acquire);
}
