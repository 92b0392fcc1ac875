/* capture/moments.h - from the moments of an exchange to the phases of a flow.
 *
 * For the ending only.  One thread. */
#pragma once

#include "capture/look.h"
#include "flow/judge.h"

/* Enters the phases that were reached, each with its start, its end and the packets that show them.
 * The flow is then in the phase in which it ended with that verdict, and ready for flow_end. */
void moments_write(const struct look *l, enum verdict v);
