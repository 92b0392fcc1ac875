/* check/second.h - a second probe that explains what the first one met.
 *
 * A ClientHello that hangs or is refused is sent again small, and in small segments: then it was
 * the size, or not.  A transfer that was cut is begun anew: two cuts at the same count are a size
 * limit, at the same second a time limit.  A proxy that hangs up on a plain request without a word
 * may speak TLS only.  Pure but for the flows that it holds.  One thread. */
#pragma once

#include <stdbool.h>

#include "check/probe.h"

enum second_why { SECOND_NONE, SECOND_HELLO, SECOND_SEGMENT, SECOND_CUT, SECOND_PORT };

struct second {
    enum second_why why; /* SECOND_NONE: none is under way */
    struct flow first;
    struct probe_signs signs; /* of the first */
    uint32_t hello;           /* bytes of its handshake that went up */
};

/* Whether another probe could tell more about how this one ended; *wish is what it should be. */
bool second_is_wanted(const struct probe *p, struct probe_wish *wish);

/* Takes the flow of the probe that ended. */
void second_begin(struct second *s, struct probe *p);

/* The other one ended, too: p->flow becomes the flow that tells both. */
void second_explain(struct second *s, struct probe *p);
