/* capture/remarks.h - what is said of a flow beside its verdict: packets as evidence, warnings, and
 * what to capture next.
 *
 * For the ending only.  One thread. */
#pragma once

#include "capture/look.h"
#include "flow/judge.h"

/* Evidence with packet numbers for that ending. */
void remarks_write_evidence(const struct look *l, const struct ending *e);

/* The flow's reason, in a few words, where the ending left none. */
void remarks_write_reason(const struct look *l, const struct ending *e);

/* Warnings that do not depend on the verdict, but for what the capture lacks. */
void remarks_write_warnings(const struct look *l, const struct ending *e);

/* A tcpdump command that would show more of this flow, on one line. */
void remarks_write_command(const struct look *l, char *out, size_t room);
