#include "base/slab.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define CHUNK_SLOTS 64
#define SPARE_CHUNKS 2 /* kept above what is in use, so that a steady load maps nothing */

/* Generations outlive a chunk's memory: a new chunk takes up above all that were ever used. */
struct slab_chunk {
    uint64_t free; /* a bit set: that slot is free */
    uint32_t base; /* generation that fresh slots begin above */
    char *memory;  /* CHUNK_SLOTS slots, or NULL while none is in use */
    size_t memory_len;
};

static size_t slot_len(const struct slab *s)
{
    return sizeof(struct slab_slot) + s->object_len;
}

static struct slab_slot *slot_at(const struct slab *s, const struct slab_chunk *c, unsigned i)
{
    return (struct slab_slot *)(void *)(c->memory + i * slot_len(s));
}

void slab_init(struct slab *s, size_t object_len, uint32_t max)
{
    *s = (struct slab){.object_len = (uint32_t)((object_len + 7) & ~(size_t)7), .max = max};
}

void slab_fini(struct slab *s)
{
    for (uint32_t i = 0; i < s->chunks_len; i++) {
        if (s->chunks[i]->memory)
            munmap(s->chunks[i]->memory, s->chunks[i]->memory_len);
        free(s->chunks[i]);
    }
    free(s->chunks);
    slab_init(s, s->object_len, s->max);
}

/* Gives a chunk its memory.  A page at a time becomes real as slots are touched. */
static bool chunk_fill(const struct slab *s, struct slab_chunk *c, uint32_t index)
{
    c->memory_len = CHUNK_SLOTS * slot_len(s);
    c->memory =
        mmap(NULL, c->memory_len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (c->memory == MAP_FAILED) {
        c->memory = NULL;
        return false;
    }
    c->free = ~0ull;
    for (unsigned i = 0; i < CHUNK_SLOTS; i++)
        *slot_at(s, c, i) = (struct slab_slot){index * CHUNK_SLOTS + i, c->base};
    return true;
}

static struct slab_chunk *chunk_add(struct slab *s)
{
    struct slab_chunk **grown;
    struct slab_chunk *c;

    grown = realloc(s->chunks, (s->chunks_len + 1) * sizeof *grown);
    if (!grown)
        return NULL;
    s->chunks = grown;
    c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    s->chunks[s->chunks_len++] = c;
    return c;
}

void *slab_get(struct slab *s)
{
    struct slab_chunk *c = NULL;
    struct slab_slot *slot;
    uint32_t i;

    if (s->used >= s->max)
        return NULL;
    for (i = s->hint; i < s->chunks_len; i++) {
        c = s->chunks[i];
        if (!c->memory || c->free)
            break;
    }
    if (i == s->chunks_len)
        c = chunk_add(s);
    if (!c || (!c->memory && !chunk_fill(s, c, i)))
        return NULL;
    s->hint = i;
    i = (uint32_t)__builtin_ctzll(c->free);
    c->free &= c->free - 1;
    slot = slot_at(s, c, i);
    slot->generation++;
    s->used++;
    memset(slot + 1, 0, s->object_len);
    return slot + 1;
}

void slab_put(struct slab *s, void *object)
{
    struct slab_slot *slot = (struct slab_slot *)object - 1;
    uint32_t index = slot->number / CHUNK_SLOTS;
    struct slab_chunk *c = s->chunks[index];

    assert(slot->generation & 1);
    slot->generation++;
    if (slot->generation > c->base)
        c->base = slot->generation;
    c->free |= 1ull << (slot->number % CHUNK_SLOTS);
    s->used--;
    if (index < s->hint)
        s->hint = index;
    if (c->free == ~0ull && index > s->used / CHUNK_SLOTS + SPARE_CHUNKS) {
        munmap(c->memory, c->memory_len);
        c->memory = NULL;
    }
}

void *slab_find(const struct slab *s, uint32_t number, uint32_t generation)
{
    uint32_t index = number / CHUNK_SLOTS;
    struct slab_slot *slot;

    if (index >= s->chunks_len || !s->chunks[index]->memory)
        return NULL;
    slot = slot_at(s, s->chunks[index], number % CHUNK_SLOTS);
    return slot->generation == generation && (generation & 1) ? slot + 1 : NULL;
}

struct slab_slot slab_slot_of(const void *object)
{
    return *((const struct slab_slot *)object - 1);
}

void slab_each(struct slab *s, void (*visit)(void *object, void *arg), void *arg)
{
    for (uint32_t i = 0; i < s->chunks_len; i++)
        for (unsigned k = 0; k < CHUNK_SLOTS; k++)
            if (s->chunks[i]->memory && !(s->chunks[i]->free & 1ull << k))
                visit(slot_at(s, s->chunks[i], k) + 1, arg);
}
