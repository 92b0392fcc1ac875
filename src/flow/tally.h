/* flow/tally.h - what all ended flows came to: counters by verdict, warning and rule, and how long
 * phases took.
 *
 * One thread adds (the recorder), another reads; a lock between these two, which no worker ever
 * takes.  Counts are since the start of the process. */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "flow/flow.h"

#define TALLY_RULES_MAX 1024 /* names; further ones are counted together, as "" */

/* Upper bounds of a phase's duration, in microseconds; one more bucket is for what is longer. */
#define TALLY_BOUNDS_US                                                                            \
    {                                                                                              \
        500, 1000, 2500, 5000, 10000, 25000, 50000, 100000, 250000, 500000, 1000000, 2500000,      \
            5000000, 10000000, 30000000, 60000000                                                  \
    }
#define TALLY_BUCKETS 17

struct tally_durations {
    uint64_t buckets[TALLY_BUCKETS]; /* each on its own, not added up */
    uint64_t count, sum_us;
};

struct tally_rule {
    char *name;       /* heap; "" for those that had no room */
    uint64_t hits;    /* flows that it decided */
    uint64_t denied;  /*   of them, denied */
    uint64_t reports; /* flows that it would have decided (report-only) */
    uint64_t last_ns; /* wall clock of the last hit or report */
};

struct tally {
    uint64_t flows[VERDICT_COUNT];
    uint64_t superseded; /* of them, 407s that were answered */
    uint64_t warnings[WARNING_COUNT];
    uint64_t bytes_up, bytes_down;
    struct tally_durations phases[PHASE_COUNT];
    struct tally_durations steps[STEP_KIND_COUNT]; /* inside `answer` */
    struct tally_rule *rules;                      /* heap */
    unsigned rules_len;
};

struct tally_book {
    pthread_mutex_t lock;
    struct tally sums;
};

void tally_init(struct tally_book *b);
void tally_fini(struct tally_book *b);

/* Counts an ended flow.  Memory out: its rule is counted as "", or not at all. */
void tally_add(struct tally_book *b, const struct flow *f);

/* A copy of all, which tally_free frees.  False: out of memory, *out is zeroed. */
bool tally_read(struct tally_book *b, struct tally *out);
void tally_free(struct tally *t);

/* The upper bounds, TALLY_BUCKETS - 1 of them. */
const uint32_t *tally_get_bounds(void);
