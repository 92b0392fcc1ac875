/* flow/rank.h - which of many flows to show first: how bad an ending is.
 *
 * Pure data; any thread. */
#pragma once

#include <stdbool.h>

#include "flow/flow.h"

/* True where the verdict counts as a failure: neither a success nor a 407 that was answered by
 * credentials (INTERFACES: no failure in exit status, --failed and charts). */
bool rank_is_failure(const struct flow *f);

/* How bad a verdict is, 0: not at all.  Higher: less works, and for more people. */
unsigned rank_of_verdict(enum verdict v);

/* As qsort(3) wants it: the worse flow first; of the same verdict those that were seen before those
 * that were inferred, then the older one; of the good ones those with warnings first. */
int rank_compare(const struct flow *a, const struct flow *b);
