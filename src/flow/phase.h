/* flow/phase.h - the phases of a flow, the proxy's steps inside `answer`, and how each came out.
 *
 * Names are stable: they appear in JSON, logs and the manual.  Pure data; any thread. */
#pragma once

enum phase {
#define P(id, name, sentence) PHASE_##id,
#define S(id, name, sentence)
#include "flow/phase.def"
    PHASE_COUNT
};

enum step_kind {
#define P(id, name, sentence)
#define S(id, name, sentence) STEP_KIND_##id,
#include "flow/phase.def"
    STEP_KIND_COUNT
};

/* How a phase came out.  OUTCOME_NONE: it was not reached (and is left out where phases are
 * listed). */
enum outcome {
    OUTCOME_NONE,
    OUTCOME_OK,
    OUTCOME_FAILED,
    OUTCOME_SKIPPED,
    OUTCOME_UNKNOWN,
    OUTCOME_COUNT
};

const char *phase_name(enum phase phase);         /* "proxy-tls" */
const char *phase_sentence(enum phase phase);     /* untranslated clause, no full stop */
const char *phase_step_name(enum step_kind step); /* "dial" */
const char *phase_step_sentence(enum step_kind step);
const char *phase_outcome_name(enum outcome outcome); /* "ok"; "" for OUTCOME_NONE */
