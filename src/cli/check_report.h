/* cli/check_report.h - what `viaduct check` says of flows that ended, for people: the ladder with
 * what its owner needs behind it, a table of many.
 *
 * Appends to a buf; false when memory is out.  Pure. */
#pragma once

#include <stdbool.h>

#include "base/buf.h"
#include "cli/check_args.h"
#include "flow/flow.h"
#include "render/pen.h"

/* The ladder; where it failed, three lines for the proxy's owner; the curl command that would show
 * the same. */
bool check_report_flow(struct buf *out, const struct check_args *a, const struct flow *f,
                       bool colour);

/* How large a segment passes, a line a direction, and what to make of it. */
bool check_report_mtu(struct buf *out, const struct check_mtu *m, const struct flow *f);

/* One line of the table of many, and its end: flows in all, those that are ok, those that did not
 * end. */
bool check_report_row(struct buf *out, const struct flow *f, bool colour);
bool check_report_sum(struct buf *out, unsigned flows, unsigned ok, unsigned open,
                      uint64_t longest_ns);

/* The curl command that would show the same, and the line's end. */
void check_report_write_curl(struct pen *p, const struct check_args *a, const struct flow *f);
