/* capture/cuts.h - transfers that were cut, two by two: one size or one duration is a limit.
 *
 * For the ending only.  Pure; one thread. */
#pragma once

#include <stdbool.h>

#include "flow/flow.h"

/* Whether the flow was cut by the far side in the middle, so that another one could tell more. */
bool cuts_is_pending(const struct flow *f);

/* Revises both, or the one that is still pending, when a limit shows (inferred); true: it did. */
bool cuts_settle(struct flow *a, struct flow *b);
