/* console/lookup.h - a name's addresses as the workers find them, for a thread that may wait.
 *
 * By the hosts file and the servers of a configuration, not by those of the machine: what is said
 * of a name is what requests meet.  Nothing is kept between two calls. */
#pragma once

#include <stdbool.h>

#include "base/span.h"
#include "config/config.h"
#include "net/resolve.h"

/* Looks `name` up (lower case, no trailing dot), `wait_ns` at most.  False: there is no address, or
 * the time is up, or `stop_fd` can be read. */
bool lookup_find(const struct config *c, struct span name, uint64_t wait_ns, int stop_fd,
                 struct resolve_answer *out);
