/* capture/doubts.h - what an ending is less sure of than it seems, as something that would show it
 * is hidden from who looks on: TLS, or the far side of a lossy way.
 *
 * For the ending only.  Pure; one thread. */
#pragma once

#include "capture/look.h"
#include "flow/judge.h"

/* Makes the ending inferred where the same packets may be seen of another one, and says why. */
void doubts_refine(const struct look *l, struct ending *e);
