/* check/intercepted.h - one issuer behind unrelated targets: an inspecting proxy.
 *
 * Pure; one thread. */
#pragma once

#include "check/internal.h"

/* Revises the flows among `results` whose certificates verify by a CA that was added to this
 * machine and come from one issuer although their targets have nothing to do with each other. */
void intercepted_judge(struct check_result *results, unsigned len);

/* The flow of one URL whose issuer is a known inspector's. */
void intercepted_judge_one(struct flow *f, const struct certificate *c);
