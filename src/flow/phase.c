#include "flow/phase.h"

#include <assert.h>

#include "base/util.h"

struct label {
    const char *name, *sentence;
};

static const struct label phases[] = {
#define P(id, name, sentence) [PHASE_##id] = {name, sentence},
#define S(id, name, sentence)
#include "flow/phase.def"
};
static_assert(ARRAY_LEN(phases) == PHASE_COUNT, "a phase has no row");

static const struct label steps[] = {
#define P(id, name, sentence)
#define S(id, name, sentence) [STEP_KIND_##id] = {name, sentence},
#include "flow/phase.def"
};
static_assert(ARRAY_LEN(steps) == STEP_KIND_COUNT, "a step has no row");

static const char *const outcomes[] = {
    [OUTCOME_NONE] = "",           [OUTCOME_OK] = "ok",           [OUTCOME_FAILED] = "failed",
    [OUTCOME_SKIPPED] = "skipped", [OUTCOME_UNKNOWN] = "unknown",
};
static_assert(ARRAY_LEN(outcomes) == OUTCOME_COUNT, "an outcome has no name");

const char *phase_name(enum phase phase)
{
    assert(phase < PHASE_COUNT);
    return phases[phase].name;
}

const char *phase_sentence(enum phase phase)
{
    assert(phase < PHASE_COUNT);
    return phases[phase].sentence;
}

const char *phase_step_name(enum step_kind step)
{
    assert(step < STEP_KIND_COUNT);
    return steps[step].name;
}

const char *phase_step_sentence(enum step_kind step)
{
    assert(step < STEP_KIND_COUNT);
    return steps[step].sentence;
}

const char *phase_outcome_name(enum outcome outcome)
{
    assert(outcome < OUTCOME_COUNT);
    return outcomes[outcome];
}
