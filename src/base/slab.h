/* base/slab.h - fixed slots with generation numbers, for the objects of one thread.
 *
 * A slot is found by its number, so that the kernel can carry {slot, generation} in place of a
 * pointer: after slab_put the generation differs and a late event finds nothing.  Memory comes in
 * chunks; a chunk without a used slot goes back to the system. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct slab {
    uint32_t object_len; /* bytes of one object, a multiple of 8 */
    uint32_t max;        /* slots at most */
    uint32_t chunks_len; /* of `chunks` */
    uint32_t used;       /* slots taken, for the caller to read */
    struct slab_chunk **chunks;
    uint32_t hint; /* the lowest chunk that may have a free slot */
};

/* What stands in front of each object. */
struct slab_slot {
    uint32_t number;     /* of this slot, in the whole slab */
    uint32_t generation; /* odd: in use */
};

void slab_init(struct slab *s, size_t object_len, uint32_t max);
void slab_fini(struct slab *s);

/* A zeroed object, or NULL when `max` are in use or memory is out. */
void *slab_get(struct slab *s);
void slab_put(struct slab *s, void *object);

/* The object in slot `number` if it is in use with this generation, else NULL. */
void *slab_find(const struct slab *s, uint32_t number, uint32_t generation);

/* The number and generation of an object in use. */
struct slab_slot slab_slot_of(const void *object);

/* Calls visit for each object in use; visit may put that object back. */
void slab_each(struct slab *s, void (*visit)(void *object, void *arg), void *arg);
