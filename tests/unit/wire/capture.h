/* tests/unit/wire/capture.h - a capture in memory, and its blocks. */
#pragma once

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "wire/pcapng.h"

struct capture {
    char bytes[1 << 20];
    size_t len, cap; /* cap: where the sink refuses, 0: never */
};

static inline bool capture_sink(void *owner, const void *bytes, size_t len)
{
    struct capture *c = owner;

    if (len > (c->cap ? c->cap : sizeof c->bytes) - c->len)
        return false;
    memcpy(c->bytes + c->len, bytes, len);
    c->len += len;
    return true;
}

static inline uint32_t capture_u32(const char *at)
{
    uint32_t n;

    memcpy(&n, at, 4);
    return n;
}

static inline uint16_t capture_u16(const char *at)
{
    uint16_t n;

    memcpy(&n, at, 2);
    return n;
}

/* Steps to the next block: its type and body; false at the end.  A block that is not whole, not a
 * multiple of four or whose lengths differ fails the test. */
static inline bool capture_next(const struct capture *c, size_t *at, uint32_t *type,
                                struct span *body)
{
    const char *block = c->bytes + *at;
    uint32_t len;

    if (*at == c->len)
        return false;
    assert_true(c->len - *at >= 12);
    *type = capture_u32(block);
    len = capture_u32(block + 4);
    assert_true(len >= 12 && len % 4 == 0 && len <= c->len - *at);
    assert_int_equal(capture_u32(block + len - 4), len);
    *body = (struct span){block + 8, len - 12};
    *at += len;
    return true;
}
