/* cli/upstream_probe.h - goes through the upstream proxy to a test URL, and shows what it meets.
 *
 * The command line's one thread. */
#pragma once

#include "base/err.h"
#include "config/config.h"

#define UPSTREAM_PROBE_URL "https://www.example.com/"

/* What is shown on standard output; QUIET: only a failure, on standard error, and a line of
 * success; QUIET_JSON: the same as flows of JSON on standard output. */
enum probe_show { PROBE_QUIET, PROBE_QUIET_JSON, PROBE_LADDER, PROBE_JSON };

enum probe_result {
    PROBE_OK,
    PROBE_FAILED, /* shown, with phase and cause */
    PROBE_ERROR,  /* it could not begin: *err */
};

/* Both QUIET: a target that answers with an error of its own was reached, which is all that is
 * asked of the proxy.  Otherwise as exit statuses go: only the verdict ok is PROBE_OK. */
enum probe_result upstream_probe(const struct config_upstream *u, const char *url,
                                 enum probe_show show, struct err *err);
