#include "store/bag.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/hash.h"

#define SLOTS_FIRST 256u /* a power of two */

/* Room for one more of `size` bytes each; false when memory is out. */
static bool grow(void **array, uint32_t *cap, uint32_t want, size_t size)
{
    uint32_t more = *cap ? *cap : 64;
    void *grown;

    while (more < want)
        more *= 2;
    if (more == *cap)
        return true;
    grown = realloc(*array, more * size);
    if (!grown)
        return false;
    *array = grown;
    *cap = more;
    return true;
}

static void fill_slot(struct bag *b, uint32_t number)
{
    uint32_t at = b->items[number].hash & b->mask;

    while (b->slots[at])
        at = (at + 1) & b->mask;
    b->slots[at] = number + 1;
}

/* Keeps half of the slots free. */
static bool spread(struct bag *b)
{
    uint32_t slots = b->mask ? (b->mask + 1) * 2 : SLOTS_FIRST, *fresh;

    if (b->mask && b->len * 2 <= b->mask)
        return true;
    fresh = calloc(slots, sizeof *fresh);
    if (!fresh)
        return false;
    free(b->slots);
    b->slots = fresh;
    b->mask = slots - 1;
    for (uint32_t i = 0; i < b->len; i++)
        fill_slot(b, i);
    return true;
}

static uint32_t add(struct bag *b, struct span text, uint32_t hash)
{
    if (text.len > UINT32_MAX / 4 - b->bytes_len || !spread(b) ||
        !grow((void **)&b->items, &b->cap, b->len + 1, sizeof *b->items) ||
        !grow((void **)&b->bytes, &b->bytes_cap, b->bytes_len + (uint32_t)text.len, 1))
        return BAG_NONE;
    b->items[b->len] = (struct bag_item){hash, b->bytes_len, (uint32_t)text.len};
    if (text.len > 0)
        memcpy(b->bytes + b->bytes_len, text.ptr, text.len);
    b->bytes_len += (uint32_t)text.len;
    fill_slot(b, b->len);
    return b->len++;
}

static uint32_t find(const struct bag *b, struct span text, uint32_t hash)
{
    if (!b->mask)
        return BAG_NONE;
    for (uint32_t at = hash & b->mask; b->slots[at]; at = (at + 1) & b->mask) {
        uint32_t number = b->slots[at] - 1;

        if (b->items[number].hash == hash && span_equal(bag_get(b, number), text))
            return number;
    }
    return BAG_NONE;
}

uint32_t bag_find(const struct bag *b, struct span text)
{
    return find(b, text, (uint32_t)hash_bytes(text.ptr, text.len));
}

uint32_t bag_put(struct bag *b, struct span text)
{
    uint32_t hash = (uint32_t)hash_bytes(text.ptr, text.len), number = find(b, text, hash);

    return number != BAG_NONE ? number : add(b, text, hash);
}

struct span bag_get(const struct bag *b, uint32_t number)
{
    assert(number < b->len);
    return (struct span){b->bytes + b->items[number].at, b->items[number].len};
}

void bag_clear(struct bag *b)
{
    if (b->mask)
        memset(b->slots, 0, (b->mask + 1) * sizeof *b->slots);
    b->len = b->bytes_len = 0;
}

void bag_fini(struct bag *b)
{
    free(b->bytes);
    free(b->items);
    free(b->slots);
    *b = (struct bag){0};
}
