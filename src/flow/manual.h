/* flow/manual.h - the body of viaduct-verdicts(7), printed from the tables of the vocabulary. */
#pragma once

#include <stdio.h>

/* Prints verdicts, phases, steps and warnings in mdoc(7), to stand inside a section, after a
 * paragraph.  English; whether the writing worked is for the caller to ask of `out` (ferror). */
void flow_print_manual(FILE *out);
