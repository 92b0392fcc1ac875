/* console/health.h - whether the resolver and the parent proxy can be reached, looked at now and
 * then.
 *
 * A thread of its own looks, as a dead resolver would hold the console up, and only while somebody
 * wants to know: a UDP query for "." to the configured (or the system's first) server, and a TCP
 * connection to the parent, found as the workers find it. */
#pragma once

#include <stdbool.h>

#include "console/door.h"

struct health;

struct health_look {
    bool resolver_ok, parent_ok;     /* true where there is none */
    char resolver[160], parent[160]; /* "ok", "none", or what is wrong */
};

/* NULL: no memory or no thread. */
struct health *health_new(const struct console_door *door);
void health_free(struct health *h);

/* What the last look saw; before the first: not looked at yet, and not ok.  One that is older than
 * some seconds, or of other settings, is made anew: who has that begun waits for it, `patience_ms`
 * at most, and gets the old one where it takes longer. */
void health_get(struct health *h, unsigned patience_ms, struct health_look *out);
