/* store/browse.h - the history of ended flows, as those read it who look things up: `viaduct
 * flows`, the console.
 *
 * Works beside the writer, in its process or another; each call sees one state of the file.  Flows
 * come in the order in which they were recorded.  A query of a million flows takes a few
 * milliseconds: each block of them is asked for the flows that have all the terms (terms.h).  One
 * thread; who has several opens several. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/span.h"
#include "store/database.h"
#include "store/tally.h"

struct browse;

/* NULL with *err and *fault. */
struct browse *browse_open(const char *path, enum fault *fault, struct err *err);
void browse_close(struct browse *b);

/* What flows are asked for: all that is set has to be so.  Texts are borrowed. */
struct browse_query {
    uint64_t since_us, until_us; /* ended at or after, before (wall clock); 0: whenever */
    bool failed;                 /* failures only */
    const char *const *verdicts; /* one of these; NULL: any */
    unsigned verdicts_len;
    const char *client; /* its address; NULL: any, here and below */
    const char *target; /* a host; "host:port"; ".domain": the domain and all below it */
    const char *user, *rule;
    const char *ended_in, *ended_by;
    const char *text;      /* words that all occur in its texts; "exam*": one that begins so */
    int64_t before, after; /* seq: only flows recorded earlier, later; 0: none such */
};

/* One flow.  Texts are valid during the call only. */
struct browse_row {
    int64_t seq; /* goes up with each flow that was recorded */
    uint64_t id;
    uint64_t ended_us; /* wall clock */
    bool failed;
    bool own_answer;     /* flow.status_sent */
    struct span verdict; /* its name */
    struct span reason;  /* flow.reason; without a pointer: none */
    struct span json;    /* the record */
};
/* False: enough. */
typedef bool (*browse_fn)(void *arg, const struct browse_row *row);

/* Calls `fn` with the flows that match, the newest first, until it says so.  False with *err. */
bool browse_find(struct browse *b, const struct browse_query *q, browse_fn fn, void *arg,
                 struct err *err);

/* The same with the oldest first, of those after q->after: for who follows.  Looks at each of
 * these flows. */
bool browse_follow(struct browse *b, const struct browse_query *q, browse_fn fn, void *arg,
                   struct err *err);

/* The flows whose id, as 16 hexadecimal digits, begins with these `digits` (1 to 16). */
bool browse_get(struct browse *b, struct span digits, browse_fn fn, void *arg, struct err *err);

/* The seq of the newest flow, 0 when there is none; and a number that changes when anything was
 * written since this connection looked last. */
int64_t browse_get_last(struct browse *b);
int64_t browse_get_version(struct browse *b);

/* A text that is another one for another file, also in the same place; "" where it is gone. */
void browse_write_file(struct browse *b, char *out, size_t size);

/* Sums of tallies, of minutes in [from, to).  `by_minute`: one row a minute and name, in that
 * order; else one a name, those with the most flows (`failures`: most failures, and none without)
 * first.  What was counted under no name has "".  The newest five seconds may be missing. */
struct browse_sums {
    enum tally_kind kind;
    int64_t from, to; /* minutes since 1970 */
    bool by_minute, failures;
    unsigned limit; /* rows; 0: all */
};
typedef bool (*browse_sum_fn)(void *arg, const struct tally_row *row);
bool browse_sum(struct browse *b, const struct browse_sums *q, browse_sum_fn fn, void *arg,
                struct err *err);

/* Flows that were lost since a moment (wall clock): how many, and for which reason most of them
 * (`why`, terminated; "" for none). */
uint64_t browse_count_lost(struct browse *b, uint64_t since_us, char *why, size_t size);
