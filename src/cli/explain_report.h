/* cli/explain_report.h - what `viaduct explain` says of a capture, for people: what was read, the
 * flows by verdict, the failed ones with cause and advice, the others as counts.
 *
 * Appends to a buf; false when memory is out.  Pure. */
#pragma once

#include <stdbool.h>

#include "base/buf.h"
#include "capture/source.h"
#include "cli/explain_keep.h"

struct explain_report {
    const struct capture_seen *seen;
    const struct explain_keep *keep;
    const char *const *names; /* of the files, as they are shown */
    size_t names_len;
    const char *interface; /* live; NULL */
    bool failed;           /* all failed flows that were kept, and no others */
    bool is_told;          /* live: each flow was shown when it ended */
    bool colour;
};

/* Failed flows that stand in a summary that did not ask for them all. */
#define EXPLAIN_REPORT_BLOCKS 10

/* The whole summary.  One flow in all: its ladder. */
bool explain_report_summary(struct buf *out, const struct explain_report *r);

/* One line of a flow that ended while a live capture runs, and for a failure its advice. */
bool explain_report_live(struct buf *out, const struct flow *f, bool colour);
