/* flow/standin.h - private to anonymize: which number an original has, and how its stand-in is
 * written.
 *
 * Numbers are given in the order of first appearance, for each kind apart.  2 million originals
 * have numbers of their own; whatever comes then shares number 0. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/endpoint.h"
#include "base/span.h"

enum standin_kind {
    STANDIN_HOST,   /* without case and without a dot at its end: host-1.example */
    STANDIN_V4,     /* 192.0.2.1 */
    STANDIN_V6,     /* 2001:db8::1 */
    STANDIN_USER,   /* user-1 */
    STANDIN_PATH,   /* /path-1: a path with its query */
    STANDIN_RULE,   /* rule-1 */
    STANDIN_ISSUER, /* issuer-1 */
    STANDIN_TEXT,   /* text-1 */
    STANDIN_COUNT
};

struct standin_entry {
    uint64_t hash; /* keyed, of kind and original; 0: free */
    uint32_t number;
};

struct standin {
    struct standin_entry *entries; /* heap, open addressing; cap is a power of two or 0 */
    uint32_t len, cap;
    uint32_t last[STANDIN_COUNT]; /* the number that was given last */
};

/* The original's number; it gets one if it has none. */
uint32_t standin_get(struct standin *s, enum standin_kind kind, struct span original);

/* True, and its number, if it has one. */
bool standin_find(const struct standin *s, enum standin_kind kind, struct span original,
                  uint32_t *number);

/* The stand-in as text, to a buf; false: it is full. */
bool standin_write(struct buf *out, enum standin_kind kind, uint32_t number);

/* An address in place of another: its family stays (of one that has a name only, all does). */
void standin_replace_addr(struct standin *s, struct addr *a);

void standin_fini(struct standin *s);
