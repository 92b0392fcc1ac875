/* cli/upstream_show.h - the upstream settings on standard output, a password as dots.
 *
 * The command line's one thread. */
#pragma once

#include <stdbool.h>

#include "config/config.h"

/* A line a field; one line where nothing is set. */
void upstream_show_text(const char *file, const struct config_upstream *u);

/* One object; false when memory is out. */
bool upstream_show_json(const char *file, const struct config_upstream *u);
