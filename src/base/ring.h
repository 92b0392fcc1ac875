/* base/ring.h - a bounded queue of pointers between one producer thread and one consumer thread.
 *
 * No lock, no system call: who needs waking uses an eventfd beside it. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct ring {
    void **slots;
    uint32_t mask;                      /* number of slots, a power of two, less one */
    _Alignas(64) _Atomic uint32_t head; /* written by the producer */
    _Alignas(64) _Atomic uint32_t tail; /* written by the consumer */
};

/* `slots` is a power of two.  False when out of memory. */
bool ring_init(struct ring *r, uint32_t slots);
void ring_fini(struct ring *r);

/* Producer: false when full; nothing was taken then. */
bool ring_push(struct ring *r, void *item);

/* Consumer: NULL when empty. */
void *ring_pop(struct ring *r);

/* Either side; true may be stale by the time it is read. */
bool ring_is_empty(struct ring *r);
