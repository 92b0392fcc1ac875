/* cli/explain_trouble.h - what is wrong with a capture, and the command that captures better.
 *
 * Appends lines for standard error to a buf; false when memory is out.  Pure. */
#pragma once

#include <stdbool.h>

#include "base/buf.h"
#include "capture/explain.h"
#include "cli/explain_keep.h"

struct explain_trouble {
    const struct capture_seen *seen;
    const struct explain_counts *counts;
    const struct explain_keep *keep; /* for the proxies that the command names */
    const char *trouble;             /* seen->trouble as it is shown */
    const char *interface;           /* live; NULL */
};

/* A line for each trouble, none where all is well; behind them a ready tcpdump command where
 * another capture would show more. */
bool explain_trouble_write(struct buf *out, const struct explain_trouble *t);
