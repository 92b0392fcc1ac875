/* policy/trial.h - credentials of our own at a parent, as all workers know them: whether they were
 * accepted, are being tried for the first time, or were refused a moment ago.
 *
 * A parent that locks accounts counts failures, whichever worker made them: so one flow of all
 * workers tries what nobody has seen accepted, and a refusal holds for all.  Credentials are told
 * apart by a mark, which says nothing of them.  Zeroed: nothing is known.  No lock; any thread.
 * Times are monotonic nanoseconds. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"

struct trial {                         /* write only in trial.c */
    _Atomic uint64_t proved;           /* mark of what was accepted last; 0: nothing */
    _Atomic uint64_t refused;          /* mark of what was refused last; 0: nothing */
    _Atomic uint64_t refused_until_ns; /* when that may be sent again */
    _Atomic uint64_t taken_until_ns;   /* somebody tries until then; 0: nobody */
};

/* The mark of these credentials at this place; never 0, and another one in each process. */
uint64_t trial_mark(const struct span *parts, size_t len);

bool trial_is_proved(const struct trial *t, uint64_t mark);
bool trial_is_held(const struct trial *t, uint64_t mark, uint64_t now_ns);

/* The credentials were accepted; were refused, and are not to be sent before `until_ns`. */
void trial_prove(struct trial *t, uint64_t mark);
void trial_refuse(struct trial *t, uint64_t mark, uint64_t until_ns);

/* Whether the caller is the one to try, until `until_ns` (which is not 0) or trial_give_back with
 * the same value.  False: somebody else is at it. */
bool trial_take(struct trial *t, uint64_t now_ns, uint64_t until_ns);
void trial_give_back(struct trial *t, uint64_t until_ns);
