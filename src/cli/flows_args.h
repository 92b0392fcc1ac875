/* cli/flows_args.h - the options of `viaduct flows`, as a query of the history. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/endpoint.h"
#include "flow/verdict.h"
#include "store/browse.h"

struct flows_args {
    const char *config; /* -c; NULL: where serve looks */
    const char *id;     /* of the one flow, or how it begins; NULL: a list */
    bool json, follow;
    struct browse_query query;
    /* what the query borrows */
    const char *verdicts[VERDICT_COUNT];
    char client[ENDPOINT_TEXT_MAX];
};

/* Reads the command line; `wall_ns` is now, which --since may count from.  False: what is wrong was
 * said. */
bool flows_args_read(struct flows_args *a, int argc, char **argv, uint64_t wall_ns);

/* Reads a moment: so long ago ("10m"), a day ("2026-11-26", its beginning here), a local time
 * ("2026-11-26 05:00"), or one of RFC 3339.  False: it is none. */
bool flows_args_parse_since(const char *text, uint64_t wall_ns, uint64_t *since_us);
