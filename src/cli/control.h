/* cli/control.h - asks a running proxy by its control socket: one request, one answer of JSON.
 *
 * The command line's one thread. */
#pragma once

#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"
#include "config/config.h"

enum control_result {
    CONTROL_OK,     /* a 2xx: its body is in `out` */
    CONTROL_NOBODY, /* no proxy listens there, or we may not ask it: *err says which */
    CONTROL_FAILED, /* it said no, or spoke nonsense: *err */
};

/* `method` and `path` of our own.  Waits ten seconds at most. */
enum control_result control_ask(const struct config *c, const char *method, const char *path,
                                struct buf *out, struct err *err);
