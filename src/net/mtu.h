/* net/mtu.h - the search for a segment size that passes: the next size to try, from what became of
 * those before.
 *
 * Two ways to search.  The checker may try as often as it likes, within a bound: struct mtu_search
 * finds the largest size there is.  The proxy has nothing but the connections that its clients ask
 * for, and each failure is one of theirs: mtu_step_below gives it few and coarse steps.  Sizes are
 * bytes of TCP payload as the MSS option counts them (RFC 9293 3.7.1).  Pure; any thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* The next smaller size for a real connection: 1400, 1360 or 1220 (what 1280 bytes of IPv6 hold);
 * 0: none of them is below `mss`. */
uint32_t mtu_step_below(uint32_t mss);

#define MTU_PROBES_MAX 10 /* of one search */

struct mtu_search {
    uint32_t passes; /* the largest size known to pass, or the one below all that are asked for */
    uint32_t fails;  /* the smallest known to fail, or the one above */
    uint32_t least, most;
    unsigned probes; /* sizes that were tried */
};

/* A search among the sizes from `least` (at least 1) to `most`. */
void mtu_search_init(struct mtu_search *m, uint32_t least, uint32_t most);

/* The size to try next; 0: the search is over.  Asking twice gives the same. */
uint32_t mtu_search_next(const struct mtu_search *m);

/* What became of a size; one that contradicts an earlier result is believed. */
void mtu_search_take(struct mtu_search *m, uint32_t size, bool passed);

/* The largest size that passed; 0: none did.  Exact from 1220 to Ethernet's 1460; elsewhere, when
 * the probes are used up, a size a few bytes larger may pass, too. */
uint32_t mtu_search_found(const struct mtu_search *m);
