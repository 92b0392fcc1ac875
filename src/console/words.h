/* console/words.h - the arguments of a job, which live as long as it. */
#pragma once

#include <stdbool.h>

#include "base/span.h"
#include "console/jobs.h"

struct words;

struct words *words_new(void); /* NULL: out of memory */
void words_free(void *words);  /* NULL is fine */

/* Adds a copy; false: out of memory, or too many. */
bool words_add(struct words *w, struct span text);
bool words_add_all(struct words *w, const char *const *texts); /* up to NULL */

/* Fills the arguments of a job; they are borrowed. */
void words_give(const struct words *w, const char *args[JOBS_ARGS_MAX]);
