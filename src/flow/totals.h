/* flow/totals.h - what all ended flows came to: counters by verdict, warning and rule, and how long
 * phases took.
 *
 * One thread adds (the recorder), another reads; a lock between these two, which no worker ever
 * takes.  Counts are since the start of the process. */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "flow/flow.h"

#define TOTALS_RULES_MAX 1024 /* names; further ones are counted together, as "" */

/* Upper bounds of a phase's duration, in microseconds; one more bucket is for what is longer. */
#define TOTALS_BOUNDS_US                                                                           \
    {                                                                                              \
        500, 1000, 2500, 5000, 10000, 25000, 50000, 100000, 250000, 500000, 1000000, 2500000,      \
            5000000, 10000000, 30000000, 60000000                                                  \
    }
#define TOTALS_BUCKETS 17

struct totals_durations {
    uint64_t buckets[TOTALS_BUCKETS]; /* each on its own, not added up */
    uint64_t count, sum_us;
};

struct totals_rule {
    char *name;       /* heap; "" for those that had no room */
    uint64_t hits;    /* flows that it decided */
    uint64_t denied;  /*   of them, denied */
    uint64_t reports; /* flows that it would have decided (report-only) */
    uint64_t last_ns; /* wall clock of the last hit or report */
};

struct totals {
    uint64_t flows[VERDICT_COUNT];
    uint64_t superseded; /* of them, 407s that were answered */
    uint64_t warnings[WARNING_COUNT];
    uint64_t bytes_up, bytes_down;
    struct totals_durations phases[PHASE_COUNT];
    struct totals_durations steps[STEP_KIND_COUNT]; /* inside `answer` */
    struct totals_rule *rules;                      /* heap */
    unsigned rules_len;
};

struct totals_book {
    pthread_mutex_t lock;
    struct totals sums;
};

void totals_init(struct totals_book *b);
void totals_fini(struct totals_book *b);

/* Counts an ended flow.  Memory out: its rule is counted as "", or not at all. */
void totals_add(struct totals_book *b, const struct flow *f);

/* A copy of all, which totals_free frees.  False: out of memory, *out is zeroed. */
bool totals_read(struct totals_book *b, struct totals *out);
void totals_free(struct totals *t);

/* The upper bounds, TOTALS_BUCKETS - 1 of them. */
const uint32_t *totals_get_bounds(void);
