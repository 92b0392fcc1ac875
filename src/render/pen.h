/* render/pen.h - where every format writes: into a draft that grows, or into fixed memory.
 *
 * A pen that runs out of room is `full` from then on and takes nothing more, so a writer need not
 * look after each piece: half a text is never handed over.  It writes bytes as they are; texts from
 * outside go through escape.h.  One thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/buf.h"
#include "base/span.h"

struct pen {
    char *begin, *at, *end; /* what was written is begin..at, what may be written at..end */
    size_t max;             /* bytes a draft may grow to; 0: fixed memory */
    bool full;
};

/* Writes into the caller's memory; there is nothing to finish. */
void pen_init_fixed(struct pen *p, char *memory, size_t len);

/* Writes into a draft of its own that will be added to `out`, as far as out's maximum allows. */
void pen_init_draft(struct pen *p, const struct buf *out);

/* Adds the draft to `out` and frees it.  False when the pen or `out` is full, or memory is out:
 * then nothing was added. */
bool pen_end_draft(struct pen *p, struct buf *out);

/* Makes room for `n` bytes; false when there is none: the pen is full. */
bool pen_grow(struct pen *p, size_t n);

static inline size_t pen_len(const struct pen *p)
{
    return (size_t)(p->at - p->begin);
}

static inline size_t pen_left(const struct pen *p)
{
    return (size_t)(p->end - p->at);
}

static inline void pen_bytes(struct pen *p, const char *bytes, size_t n)
{
    if (n == 0 || ((size_t)(p->end - p->at) < n && !pen_grow(p, n)))
        return;
    memcpy(p->at, bytes, n);
    p->at += n;
}

static inline void pen_span(struct pen *p, struct span s)
{
    pen_bytes(p, s.ptr, s.len);
}

/* A terminated text of our own. */
static inline void pen_text(struct pen *p, const char *text)
{
    pen_bytes(p, text, strlen(text));
}

static inline void pen_char(struct pen *p, char c)
{
    pen_bytes(p, &c, 1);
}

void pen_pad(struct pen *p, char c, size_t n); /* n times c */
/* Blanks up to the column: `width` behind where pen_len was `from`; one at least. */
void pen_pad_to(struct pen *p, size_t from, size_t width);
void pen_u64(struct pen *p, uint64_t n); /* decimal */
void pen_hex(struct pen *p, uint64_t n); /* 16 lower-case digits: an id */
void pen_digits(struct pen *p, uint64_t n, unsigned width, char fill); /* decimal, right-aligned */

/* n / 1000 with three decimals, right-aligned in `width`: "812.345". */
void pen_milli(struct pen *p, uint64_t n, unsigned width);
