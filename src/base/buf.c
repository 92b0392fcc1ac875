#include "base/buf.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void buf_init(struct buf *b, uint32_t max)
{
    *b = (struct buf){.max = max};
}

void buf_fini(struct buf *b)
{
    free(b->ptr);
    buf_init(b, b->max);
}

char *buf_reserve(struct buf *b, size_t n)
{
    if (n > b->max || b->len > b->max - n)
        return NULL;
    if (b->ptr && b->off + b->len + n <= b->cap)
        return b->ptr + b->off + b->len;
    if (b->off > 0) {
        memmove(b->ptr, b->ptr + b->off, b->len);
        b->off = 0;
    }
    if (!b->ptr || b->len + n > b->cap) {
        uint64_t want = b->cap ? (uint64_t)b->cap * 2 : 256;
        char *grown;

        if (want < b->len + n)
            want = b->len + n;
        if (want > b->max)
            want = b->max;
        grown = realloc(b->ptr, want + 1); /* vsnprintf writes a terminator behind the last byte */
        if (!grown)
            return NULL;
        b->ptr = grown;
        b->cap = (uint32_t)want;
    }
    return b->ptr + b->len;
}

void buf_commit(struct buf *b, size_t n)
{
    assert(b->off + b->len + n <= b->cap);
    b->len += (uint32_t)n;
}

bool buf_append(struct buf *b, const void *bytes, size_t n)
{
    char *room;

    if (n == 0)
        return true;
    room = buf_reserve(b, n);
    if (!room)
        return false;
    memcpy(room, bytes, n);
    buf_commit(b, n);
    return true;
}

bool buf_printf(struct buf *b, const char *fmt, ...)
{
    va_list ap, again;
    char *room;
    int n;
    bool ok = false;

    va_start(ap, fmt);
    va_copy(again, ap);
    n = vsnprintf(NULL, 0, fmt, ap);
    room = n < 0 ? NULL : buf_reserve(b, (size_t)n);
    if (room) {
        vsnprintf(room, (size_t)n + 1, fmt, again);
        buf_commit(b, (size_t)n);
        ok = true;
    }
    va_end(again);
    va_end(ap);
    return ok;
}

void buf_consume(struct buf *b, size_t n)
{
    assert(n <= b->len);
    b->off += (uint32_t)n;
    b->len -= (uint32_t)n;
    if (b->len == 0)
        b->off = 0;
}

void buf_wipe(struct buf *b)
{
    if (b->ptr)
        explicit_bzero(b->ptr, b->cap);
    b->off = b->len = 0;
}
