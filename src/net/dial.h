/* net/dial.h - in which order and when to try the addresses of a name (Happy Eyeballs, RFC 8305),
 * and what became of each: pure, without sockets.
 *
 * The owner opens a connection for each address that dial_next gives, tells how it came out, and
 * asks again when one fails or DIAL_DELAY after the last one began.  One thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/endpoint.h"

#define DIAL_ADDRS_MAX 16
#define DIAL_DELAY_NS 250000000ull /* RFC 8305 5: Connection Attempt Delay */

enum dial_state { DIAL_UNTRIED, DIAL_TRYING, DIAL_FAILED, DIAL_DONE };

struct dial {
    struct dial_try {
        struct addr addr;
        uint8_t state; /* enum dial_state */
        int err;       /* positive errno, once failed */
        uint64_t start_ns, end_ns;
    } tries[DIAL_ADDRS_MAX];
    unsigned len, next; /* the next one to be tried */
    unsigned trying;    /* how many are under way */
    uint64_t next_ns;   /* when to begin another although none failed; UINT64_MAX: never */
};

/* Takes the addresses in their order of preference and interleaves the families, first family
 * first. */
void dial_init(struct dial *d, const struct addr *addrs, unsigned len);

/* The number of the next address to try now, or -1: none is left, or it is not yet time. */
int dial_next(struct dial *d, uint64_t now_ns);

/* Try i came out: err 0, or a positive errno (then the next one may begin at once). */
void dial_end(struct dial *d, unsigned i, int err, uint64_t now_ns);

/* True when every address failed. */
bool dial_is_over(const struct dial *d);

/* The errno that tells most, of all failed: refused before time-out before unreachable, before
 * others. */
int dial_worst(const struct dial *d);
