/* store/bag.h - a set of byte strings, each with a number, in the order in which they came.
 *
 * One thread.  Hashes are keyed, so outsiders cannot choose strings that collide. */
#pragma once

#include <stdint.h>

#include "base/span.h"

#define BAG_NONE UINT32_MAX

struct bag {
    char *bytes; /* all strings one after the other */
    uint32_t bytes_len, bytes_cap;
    struct bag_item {
        uint32_t hash, at, len;
    } * items;
    uint32_t len, cap;
    uint32_t *slots; /* number + 1 of an item, 0: free */
    uint32_t mask;   /* slots less one; 0: there are none yet */
};

/* The number of `text`, which is copied when it is new; BAG_NONE when memory is out. */
uint32_t bag_put(struct bag *b, struct span text);

/* The same of one that is there; BAG_NONE: it is not. */
uint32_t bag_find(const struct bag *b, struct span text);

/* The string of a number that bag_put returned; valid until the next call that changes the bag. */
struct span bag_get(const struct bag *b, uint32_t number);

/* Empties it and keeps its memory. */
void bag_clear(struct bag *b);
void bag_fini(struct bag *b);
