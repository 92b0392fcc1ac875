/* capture/warnings.h - what is noticed of a flow beside its verdict, and what the capture lacks of
 * it, with the tcpdump command that would show more.
 *
 * For the ending only.  One thread. */
#pragma once

#include "capture/look.h"
#include "flow/judge.h"

/* Warnings, and capture-incomplete where something is missing that could tell more of that ending.
 */
void warnings_write(const struct look *l, const struct ending *e);
