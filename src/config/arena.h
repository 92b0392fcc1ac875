/* config/arena.h - memory that is given back as a whole: all strings and arrays of one snapshot.
 *
 * Set-up code, one thread.  Running out is remembered and asked for once, at the end of a load. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/span.h"

struct arena {
    struct arena_chunk *chunks;
    bool failed; /* some request could not be met */
};

void arena_fini(struct arena *a);

/* Zeroed bytes, aligned for any type; NULL (and `failed`) when memory is out. */
void *arena_get(struct arena *a, size_t len);

/* A terminated copy; NULL when memory is out. */
char *arena_text(struct arena *a, struct span s);
char *arena_printf(struct arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* An array of `len` items of `size` bytes with room for one more at the end: `array` itself or a
 * copy of twice the size.  NULL when memory is out. */
void *arena_grow(struct arena *a, void *array, unsigned len, size_t size);
