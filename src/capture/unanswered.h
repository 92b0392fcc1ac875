/* capture/unanswered.h - connections that never were, and requests that nobody answered.
 *
 * For the ending only.  Pure; one thread. */
#pragma once

#include "capture/look.h"

/* A connection without a byte: SYNs, and what came back. */
struct ending unanswered_judge_connect(const struct look *l);

/* Where the proxy's own attempt to connect is in the capture, what became of it: evidence, and the
 * verdict where the proxy's answer said less. */
void unanswered_refine_dial(const struct look *l, struct ending *e);

/* A request, or a part of it, without a byte of an answer. */
struct ending unanswered_judge_request(const struct look *l);

/* An answer of which the head never came whole. */
struct ending unanswered_judge_head(const struct look *l);
