/* capture/opened.h - what keys opened (capture/inside), as the ending uses it: the answers of the
 * target to what was asked inside the tunnel.
 *
 * For the ending only.  Pure; one thread. */
#pragma once

#include "capture/look.h"
#include "flow/judge.h"

/* The answers inside as evidence, the last one's status as the flow's, and a verdict that knows of
 * them, where the tunnel itself ended well: target-error where the target refused all that was
 * asked, incomplete where it closed inside an answer's body.  Nothing where no keys were known. */
void opened_refine(const struct look *l, struct ending *e);
