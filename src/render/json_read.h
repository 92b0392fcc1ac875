/* render/json_read.h - a flow's JSON (render_json) back into the record, so that what was kept is
 * shown by the same renderers.
 *
 * The bytes may come from a file that anybody could have changed: every value is checked.  Any
 * thread. */
#pragma once

#include <stdbool.h>

#include "base/err.h"
#include "base/span.h"
#include "flow/flow.h"

/* What a record has that its JSON does not. */
struct json_read_more {
    struct span reason; /* without a pointer: none */
    bool own_answer;    /* flow.status_sent */
};

/* Reads one object into *f, which is overwritten and then the caller's to finish.  `more` may be
 * NULL.  Cause and advice are not read: they follow from the verdict, in the reader's language.
 * False with *err: it is no JSON object, a value is not of its kind, or a name is not of this
 * version's vocabulary; then there is nothing to finish.
 *
 * What JSON does not tell apart is not either afterwards: bytes that were no UTF-8, times below a
 * microsecond, a reason that is the first piece of evidence, too. */
bool json_read_flow(struct flow *f, struct span json, const struct json_read_more *more,
                    struct err *err);
