/* tests/fuzz/head.h - what holds of every message head, whatever the bytes: shared by the fuzz
 * targets of wire/http1. */
#pragma once

#include <assert.h>
#include <stdlib.h>

#include "wire/http1.h"

typedef enum parse (*parse_fn)(struct span bytes, struct http1_head *h);

static inline void assert_inside(struct span part, struct span whole)
{
    assert(part.len == 0 ||
           (part.ptr >= whole.ptr && part.ptr + part.len <= whole.ptr + whole.len));
}

/* Parses all bytes at once, then again in two steps from memory of just that size: the same comes
 * out. */
static inline void check_head(parse_fn parse, struct span bytes)
{
    struct http1_head whole, steps;
    size_t half = bytes.len / 2;
    char *front = malloc(half + 1);

    assert(front);
    memcpy(front + 1, bytes.ptr, half);
    http1_head_reset(&whole);
    http1_head_reset(&steps);
    enum parse got = parse(bytes, &whole);
    enum parse again = parse((struct span){front + 1, half}, &steps);
    free(front);
    bool early = again != PARSE_MORE; /* all that follows was a body */
    if (!early)
        again = parse(bytes, &steps);
    assert(again == got);
    if (got == PARSE_BAD)
        assert(whole.bad_what && whole.bad_status >= 400 && whole.bad_offset <= bytes.len);
    if (got != PARSE_OK)
        return;
    assert(whole.head_len <= bytes.len && whole.head_len == steps.head_len);
    if (early)
        return;
    assert(whole.fields_len == steps.fields_len && whole.seen == steps.seen);
    assert(!(whole.chunked && whole.has_length));
    assert_inside(steps.target, bytes);
    assert_inside(steps.reason, bytes);
    for (unsigned i = 0; i < steps.fields_len; i++) {
        assert(span_equal(whole.fields[i].value, steps.fields[i].value));
        assert_inside(steps.fields[i].name, bytes);
        assert_inside(steps.fields[i].value, bytes);
        assert(!memchr(steps.fields[i].name.ptr, '\n',
                       steps.fields[i].name.len + steps.fields[i].value.len));
    }
}
