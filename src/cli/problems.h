/* cli/problems.h - what a load of settings found, told on standard error. */
#pragma once

#include <stdbool.h>

#include "config/config.h"

/* One line a problem, "warning: " before those that are none.  Where the text that was read is no
 * file (named `unplaced`; NULL: all are files), its places are left out. */
void problems_print(const struct config_report *r, const char *unplaced, bool warnings);
