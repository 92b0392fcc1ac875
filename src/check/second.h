/* check/second.h - a second probe that explains what the first one met.
 *
 * A ClientHello that hangs or is refused is sent again small, and in small segments: then it was
 * the size, or not.  Where the first one may merely be slow it goes on, and the small one goes
 * beside it.  A transfer that was cut is begun anew: two cuts at the same count are a size
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
    uint32_t small_hello;     /* those of the one that passed, */
    uint32_t small_mss;       /* and its segments' size */
    unsigned controls;        /* probes as large as the first that were begun behind it */
};

/* Where one of two machines behind an address is dead, the first probe may have met that one and a
 * small one the other: so controls follow that are as large as the first, as many as this where
 * they fail as well. */
#define SECOND_CONTROLS 2

/* Whether another probe could tell more about how this one ended; *wish is what it should be. */
bool second_is_wanted(const struct probe *p, struct probe_wish *wish);

/* Takes the flow of the probe that ended. */
void second_begin(struct second *s, struct probe *p);

/* The other one, or a control behind it, ended, too: whether another control should follow before
 * anything is concluded. */
bool second_wants_control(struct second *s, const struct probe *p, struct probe_wish *wish);

/* The other one ended, too: p->flow becomes the flow that tells both. */
void second_explain(struct second *s, struct probe *p);

/* Whether a probe with small segments should go beside this one, which goes on. */
bool second_goes_beside(const struct probe *p, struct probe_wish *wish);

/* Whether that one is through what the first one may hang in. */
bool second_has_passed(const struct probe *beside);

/* Whether the first one has been without a word for so long that it is no slowness any more, when
 * the one beside it passed in `took_ns`. */
bool second_is_slower(const struct probe *p, uint64_t took_ns);

/* A control beside the first one. */
struct probe_wish second_control(const struct probe *p);
bool second_control_hangs(const struct probe *control, uint64_t took_ns);

/* What the probes beside the first one came to. */
struct second_beside {
    uint64_t took_ns;  /* until the small one had passed; 0: it has not */
    unsigned controls; /* that were begun */
    bool varies;       /* one of these passed: size is no reason */
};

/* The first one ended, and what those beside it say of that goes into its evidence. */
void second_explain_beside(struct probe *p, const struct probe *small,
                           const struct second_beside *b);
