/* host/client_diff.h - what would become of a file, as a unified diff. */
#pragma once

#include <stdio.h>

#include "base/span.h"

/* Prints the difference between two texts of the file `name`, as one hunk with three lines around
 * it; nothing when they are equal.  `existed` and `exists`: whether the file is there before and
 * after. Passwords and the like are shown as dots.  False when memory is out. */
bool client_diff_print(const char *name, struct span before, bool existed, struct span after,
                       bool exists, FILE *out);
