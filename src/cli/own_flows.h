/* cli/own_flows.h - the flows under way of the proxy that runs here, as a table or as JSON; asked
 * of it by its control socket.
 *
 * The command line's one thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cli/control.h"
#include "flow/flow.h"
#include "render/pen.h"

struct own_flow {
    struct flow flow; /* as it was told; under way */
    uint64_t idle_ns; /* since bytes last moved */
    char *json;       /* heap: the flow's object */
};

/* Zeroed: none. */
struct own_flows {
    bool is_known;          /* a proxy answered */
    struct own_flow *items; /* the youngest first */
    size_t len, cap;
    uint64_t open; /* all of the proxy's */
    bool whole;    /* every worker answered in time */
};

/* Asks at `socket` for the flows: the youngest hundred, or `all`, by pages.  Not CONTROL_OK: *err,
 * and there are none. */
enum control_result own_flows_read(struct own_flows *f, const char *socket, bool all,
                                   struct err *err);
void own_flows_fini(struct own_flows *f); /* safe on zeroed ones */

/* A title, a heading and a line for each of the first `rows`; how many more there are is said. */
void own_flows_write_table(struct pen *p, const struct own_flows *f, size_t rows, bool colour);

/* One object a line: {"time":…,"idle_us":…,"phase":…,"flow":{…}}. */
void own_flows_write_json(struct pen *p, const struct own_flows *f, uint64_t wall_ns);
