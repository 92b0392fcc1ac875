/* base/buf.h - owned bytes that grow, born with a hard maximum.
 *
 * A queue: bytes are appended at the end and consumed from the front.  A zeroed buf with a
 * maximum set is ready; buf_fini gives the memory back and leaves it ready for more. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"

struct buf {
    char *ptr;    /* the allocation; NULL: none */
    uint32_t off; /* first byte that was not consumed */
    uint32_t len; /* bytes held, from `off` */
    uint32_t cap; /* size of the allocation */
    uint32_t max; /* never holds more than this */
};

/* Makes a zeroed (or finished) buf ready; allocates nothing. */
void buf_init(struct buf *b, uint32_t max);
void buf_fini(struct buf *b);

/* Room for `n` more bytes at the end, to be filled and then taken with buf_commit; NULL when that
 * would pass the maximum or memory is out: the buf is unchanged. */
char *buf_reserve(struct buf *b, size_t n);
void buf_commit(struct buf *b, size_t n);

/* All or nothing: false when the maximum would be passed or memory is out. */
bool buf_append(struct buf *b, const void *bytes, size_t n);
bool buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Drops `n` bytes from the front. */
void buf_consume(struct buf *b, size_t n);

/* Empties it and overwrites all that it ever held in this allocation: for secrets. */
void buf_wipe(struct buf *b);

/* The bytes held; valid until the next call that changes the buf. */
static inline struct span buf_span(const struct buf *b)
{
    return (struct span){b->ptr ? b->ptr + b->off : "", b->len};
}
