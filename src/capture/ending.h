/* capture/ending.h - from what was seen of an exchange to a flow with its verdict.
 *
 * Turns facts into the symptoms that flow/judge knows, by the rules of evidence: what must have
 * been seen, what supports it, what excludes it.  Adds evidence with packet numbers and times,
 * warnings, and, where the capture does not allow a conclusion, what to capture next.  Pure, but
 * for what it remembers of earlier flows (issuers, sizes at which transfers were cut).  One thread.
 */
#pragma once

#include "capture/exchange.h"
#include "capture/source.h"

struct endings; /* what earlier flows told */

struct endings_options {
    const struct capture_source *source; /* for names, files and what is missing; NULL: unknown */
    uint64_t silence_ns;                 /* that counts as a stop, 0: 5 s */
};

struct endings *endings_new(const struct endings_options *o);
void endings_free(struct endings *e);

/* Makes *out (zeroed) of an exchange that is over. */
void endings_make(struct endings *e, const struct exchange *x, enum conn_end how, uint64_t now_ns,
                  struct flow *out);

/* A flow that may still turn out to be one of several with the same cut (flow_revise): true, and it
 * has to be kept until endings_settle says otherwise. */
bool endings_is_pending(const struct endings *e, const struct flow *f);

/* Looks at two flows: where both were cut at one size or after one time, both are revised to
 * size-limit or lifetime-limit (inferred).  True: they were. */
bool endings_settle(struct endings *e, struct flow *a, struct flow *b);
