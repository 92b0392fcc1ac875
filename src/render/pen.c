#include "render/pen.h"

#include <stdlib.h>

#define DRAFT_FIRST 2048 /* a tunnel's record as JSON is about 1500 bytes */
#define DIGITS_MAX 20    /* of UINT64_MAX */

void pen_init_fixed(struct pen *p, char *memory, size_t len)
{
    *p = (struct pen){.begin = memory, .at = memory, .end = memory + len};
}

void pen_init_draft(struct pen *p, const struct buf *out)
{
    *p = (struct pen){.max = out->max - out->len};
}

bool pen_end_draft(struct pen *p, struct buf *out)
{
    bool ok = !p->full && buf_append(out, p->begin, pen_len(p));

    free(p->begin);
    *p = (struct pen){.full = true};
    return ok;
}

bool pen_grow(struct pen *p, size_t n)
{
    size_t len = pen_len(p), cap = (size_t)(p->end - p->begin) * 2;
    char *grown = NULL;

    if (!p->full && n <= p->max && len <= p->max - n) {
        if (cap < DRAFT_FIRST)
            cap = DRAFT_FIRST;
        if (cap < len + n)
            cap = len + n;
        if (cap > p->max)
            cap = p->max;
        grown = realloc(p->begin, cap);
    }
    if (!grown) {
        p->full = true;
        p->end = p->at; /* the next byte comes here again, however small it is */
        return false;
    }
    p->begin = grown;
    p->at = grown + len;
    p->end = grown + cap;
    return true;
}

void pen_pad(struct pen *p, char c, size_t n)
{
    if ((size_t)(p->end - p->at) < n && !pen_grow(p, n))
        return;
    if (n)
        memset(p->at, c, n);
    p->at += n;
}

void pen_pad_to(struct pen *p, size_t from, size_t width)
{
    size_t len = pen_len(p) - from;

    pen_pad(p, ' ', len < width ? width - len : 1);
}

/* Digits from the last to the first, in front of `end`; returns where they begin. */
static char *format_u64(char *end, uint64_t n)
{
    do {
        *--end = (char)('0' + n % 10);
        n /= 10;
    } while (n);
    return end;
}

void pen_u64(struct pen *p, uint64_t n)
{
    char digits[DIGITS_MAX], *end = digits + sizeof digits, *first = format_u64(end, n);

    pen_bytes(p, first, (size_t)(end - first));
}

void pen_digits(struct pen *p, uint64_t n, unsigned width, char fill)
{
    char digits[DIGITS_MAX], *end = digits + sizeof digits, *first = format_u64(end, n);
    size_t len = (size_t)(end - first);

    if (len < width)
        pen_pad(p, fill, width - len);
    pen_bytes(p, first, len);
}

void pen_hex(struct pen *p, uint64_t n)
{
    char digits[16];

    for (int i = 15; i >= 0; i--, n >>= 4)
        digits[i] = "0123456789abcdef"[n & 15];
    pen_bytes(p, digits, sizeof digits);
}

void pen_milli(struct pen *p, uint64_t n, unsigned width)
{
    pen_digits(p, n / 1000, width > 4 ? width - 4 : 0, ' ');
    pen_char(p, '.');
    pen_digits(p, n % 1000, 3, '0');
}
