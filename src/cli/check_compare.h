/* cli/check_compare.h - one URL gone to by several ways, side by side, for people.
 *
 * Appends to a buf; false when memory is out.  Pure. */
#pragma once

#include <stdbool.h>

#include "base/buf.h"
#include "cli/check_args.h"
#include "flow/flow.h"

/* One URL gone to by several ways, side by side: phases, verdicts, and which hop adds the failure.
 */
struct check_way {
    const char *name; /* "direct", "http://10.10.10.1:3128" */
    struct flow *flow;
};
bool check_compare_write(struct buf *out, const struct check_way *ways, unsigned len, bool colour);

/* What stands below it: the report of the way that fails, and the curl commands of the others.
 * `args` has those of each way. */
bool check_compare_write_ways(struct buf *out, const struct check_args *args,
                              const struct check_way *ways, unsigned len, bool colour);
