/* capture/mates.h - finds the other leg of a request among those that were learnt of lately.
 *
 * For capture/pair: client to proxy is the near leg, proxy to target the far one.  Knows what makes
 * two of them one, and nothing of how long anybody waits.  Bounded (capture/recent.h).  One thread.
 */
#pragma once

#include "capture/recent.h"

#define MATES_ALIASES 16

/* Zeroed: empty. */
struct mates {
    struct recents recents;
    struct mates_alias { /* a proxy that asks from another address than it is asked at */
        struct addr outside, inside;
    } aliases[MATES_ALIASES]; /* a ring */
    unsigned alias_next;
};

/* What x asks is in the clear; else it is known by its ClientHello. */
bool mates_is_request(const struct exchange *x);

/* The oldest that fits, or NULL; `now_ns` is when it is known what x asks.  *x_is_far: x is the far
 * leg of the two. */
struct exchange *mates_find(struct mates *m, const struct exchange *x, uint64_t now_ns,
                            bool *x_is_far);

/* From now on it can be found; it has to be forgotten before it goes.  `at_ns`: when it was known
 * what it asks. */
void mates_add(struct mates *m, struct exchange *x, uint64_t at_ns);
void mates_forget(struct mates *m, struct exchange *x);

/* Two that are one show where a proxy asks from. */
void mates_learn_alias(struct mates *m, const struct exchange *near, const struct exchange *far);

/* Whether a CONNECT that was over at `over_ns` may have opened the connection of `far`: at its
 * time, from its proxy, to the port (and the address) that it asked for. */
bool mates_is_opened_for(const struct exchange *connect, uint64_t over_ns,
                         const struct exchange *far);
