/* cli/flow_line.h - a line of GET /api/v1/flows?lines=1: a flow of the history, or the end behind
 * them.
 *
 * The bytes come from whoever listens at the control socket: every value is checked.  The command
 * line's one thread. */
#pragma once

#include <stdbool.h>

#include "base/err.h"
#include "base/span.h"
#include "store/browse.h"

struct flow_line {
    bool is_end;
    struct browse_row row; /* json: of the line, without its line end; the verdict is not told */
    /* of the end */
    int64_t next, last;     /* next: 0 where there are no more */
    uint64_t lost;          /* flows */
    const char *file, *why; /* texts */
    void *root;             /* private: what the texts belong to */
};

/* Reads one line, without its line end.  False with *err: it makes no sense; there is nothing to
 * finish then.  What it borrows from the line is of use as long as that. */
bool flow_line_read(struct flow_line *l, struct span line, struct err *err);
void flow_line_fini(struct flow_line *l);
