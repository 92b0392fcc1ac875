/* config/started.h - what a configuration says that only a start takes over: `workers`, `user` and
 * `console`.
 *
 * Kept as texts, so that no snapshot has to be kept to see whether a later one says otherwise. */
#pragma once

#include <stdbool.h>

#include "config/config.h"

#define STARTED_COUNT 3
#define STARTED_NAMES_MAX 64

struct started {
    char *values[STARTED_COUNT]; /* heap */
};

/* False: out of memory; started_fini as well. */
bool started_take(struct started *s, const struct config *c);
void started_fini(struct started *s);

/* The names of the settings that *c has otherwise, "workers, console"; "": none. */
void started_differ(const struct started *s, const struct config *c, char out[STARTED_NAMES_MAX]);
