/* capture/recent.h - exchanges that were learnt of lately, found by keys.
 *
 * A ring, so that new ones push out the oldest; an exchange may stand in it under several keys, and
 * has to be forgotten before it goes.  One thread. */
#pragma once

#include "capture/exchange.h"

#define RECENTS_MAX 8192 /* a power of two */

struct recent {
    struct exchange *x; /* NULL: free */
    uint64_t key, at_ns;
    uint32_t newer, older; /* private: in its chain, + 1; 0: none */
    uint32_t same;         /* private: the one before of the same exchange, + 1; 0: none */
};

/* Zeroed: empty. */
struct recents {
    struct recent slots[RECENTS_MAX];
    uint32_t chains[RECENTS_MAX]; /* by key: + 1, the newest */
    uint32_t next;                /* slot to be used next */
};

void recents_add(struct recents *r, struct exchange *x, uint64_t key, uint64_t at_ns);

/* Takes it out, under all of its keys. */
void recents_forget(struct recents *r, struct exchange *x);

/* Those under a key, the newest first; NULL: there are no more. */
const struct recent *recents_first(const struct recents *r, uint64_t key);
const struct recent *recents_next(const struct recents *r, const struct recent *one);
