/* cli/explain_keep.h - of any number of flows: how many ended how, and the worst of them whole.
 *
 * What it owns is bounded by how many it keeps, not by how many came.  The command line's one
 * thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "flow/flow.h"
#include "flow/rank.h"

struct series; /* capture/series.h */

struct kept {
    struct flow flow;
    struct series *plot; /* of the worst ones only; NULL */
};

struct explain_keep {
    uint64_t flows, failed; /* failed: as rank_is_failure says */
    uint64_t superseded;
    uint64_t incomplete; /* flows of which packets are missing (WARNING_CAPTURE_INCOMPLETE) */
    uint64_t verdicts[VERDICT_COUNT]; /* superseded 407s are not among these */
    uint64_t warned[WARNING_COUNT];   /* flows that are fine and have that warning */
    unsigned max, plots_max;          /* how many are kept, how many with their plot */
    unsigned len;
    struct kept **items; /* heap, worst first (rank_compare) */
};

/* False: out of memory. */
bool explain_keep_init(struct explain_keep *k, unsigned max, unsigned plots_max);

/* Counts a flow. */
void explain_keep_count(struct explain_keep *k, const struct flow *f);

/* Takes the flow and its plot (NULL: there is none) if it is one of the worst so far, and gives up
 * the least bad one; else both are left to the caller.  Out of memory: they are left. */
void explain_keep_offer(struct explain_keep *k, struct flow *f, struct series **plot);

void explain_keep_fini(struct explain_keep *k);
