/* capture/remarks.h - what is said of an ending: packets as evidence, and a few words.
 *
 * For the ending only.  One thread. */
#pragma once

#include "capture/look.h"
#include "flow/judge.h"

/* Evidence with packet numbers for that ending. */
void remarks_write_evidence(const struct look *l, const struct ending *e);

/* The flow's reason, in a few words, where the ending left none. */
void remarks_write_reason(const struct look *l, const struct ending *e);
