/* cli/connections.h - live connections, as a table for people or as JSON for programs.
 *
 * Both are printed from one list of figures.  Time is an argument; one thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "host/sockets.h"
#include "render/pen.h"

/* A heading and a line for each of the first `rows` connections; how many more there are is said.
 * `colour`: the heading bold, a connection that sends again what is not acknowledged yellow. */
void connections_write_table(struct pen *p, const struct sockets *s, size_t rows, bool colour);

/* One object a line; `wall_ns` is when the connections were read. */
void connections_write_json(struct pen *p, const struct sockets *s, uint64_t wall_ns);
