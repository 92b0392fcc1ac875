#include "config/arena.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define CHUNK_LEN 4064u /* with malloc's own header a page */

struct arena_chunk {
    struct arena_chunk *next;
    size_t used, cap;
    _Alignas(max_align_t) unsigned char bytes[];
};

void arena_fini(struct arena *a)
{
    while (a->chunks) {
        struct arena_chunk *next = a->chunks->next;

        free(a->chunks);
        a->chunks = next;
    }
}

static struct arena_chunk *add_chunk(struct arena *a, size_t len)
{
    size_t cap = len > CHUNK_LEN ? len : CHUNK_LEN;
    struct arena_chunk *c = calloc(1, sizeof(*c) + cap);

    if (!c)
        return NULL;
    c->cap = cap;
    c->next = a->chunks;
    a->chunks = c;
    return c;
}

void *arena_get(struct arena *a, size_t len)
{
    const size_t align = _Alignof(max_align_t);
    struct arena_chunk *c = a->chunks;

    if (len > SIZE_MAX / 2)
        goto none;
    len = (len + align - 1) / align * align;
    if (!c || c->cap - c->used < len)
        c = add_chunk(a, len);
    if (!c)
        goto none;
    c->used += len;
    return c->bytes + c->used - len;
none:
    a->failed = true;
    return NULL;
}

char *arena_text(struct arena *a, struct span s)
{
    char *copy = arena_get(a, s.len + 1);

    if (copy && s.len > 0)
        memcpy(copy, s.ptr, s.len);
    return copy;
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
    va_list args, again;
    char *text = NULL;

    va_start(args, fmt);
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, fmt, args);
    if (len >= 0)
        text = arena_get(a, (size_t)len + 1);
    if (text)
        vsnprintf(text, (size_t)len + 1, fmt, again);
    va_end(again);
    va_end(args);
    return text;
}

void *arena_grow(struct arena *a, void *array, unsigned len, size_t size)
{
    if (len > 0 && (len & (len - 1)) != 0) /* full only at a power of two */
        return array;

    void *bigger = arena_get(a, (len > 0 ? (size_t)len * 2 : 1) * size);
    if (bigger && len > 0)
        memcpy(bigger, array, len * size);
    return bigger;
}
