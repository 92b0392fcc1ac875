/* capture/resets.h - who sent an RST: the one in whose name it came, another on its behalf, or a
 * box on the way.
 *
 * For the ending only.  Pure; one thread. */
#pragma once

#include "capture/look.h"

/* The far side's RST where something else was awaited: "in place of an answer". */
struct ending resets_conclude(const struct look *l, const char *where);

/* Looks closer at an ending that is a reset: other endings are left as they are. */
void resets_refine(const struct look *l, struct ending *e);
