/* capture/unanswered.h - connections that never were, and requests that nobody answered.
 *
 * For the ending only.  Pure; one thread. */
#pragma once

#include "capture/look.h"

/* A connection without a byte: SYNs, and what came back. */
struct ending unanswered_judge_connect(const struct look *l);

/* A request, or a part of it, without a byte of an answer. */
struct ending unanswered_judge_request(const struct look *l);

/* An answer of which the head never came whole. */
struct ending unanswered_judge_head(const struct look *l);
