/* base/nearest.h - "did you mean": the known name that is closest to a word somebody typed.
 *
 * Set-up code and the command line only.  Pure; any thread. */
#pragma once

#include "base/span.h"

/* The one of `names[0..n)` with the smallest edit distance to `word` (insert, remove, change a
 * letter, swap two neighbours; case does not count), the earlier one of two equals.  NULL when
 * nothing is near: more than one edit for each three letters of the word, at least one allowed, or
 * the word is empty or above 64 bytes.  NULL entries in `names` are skipped. */
const char *nearest_find(struct span word, const char *const *names, unsigned n);

/* The same as the end of a message: " (did you mean NAME?)", or "" when nothing is near. */
#define NEAREST_HINT_MAX 96
void nearest_write_hint(struct span word, const char *const *names, unsigned n,
                        char out[NEAREST_HINT_MAX]);
