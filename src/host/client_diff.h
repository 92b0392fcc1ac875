/* host/client_diff.h - what would become of a file, as a unified diff. */
#pragma once

#include <stdio.h>

#include "base/span.h"

/* Prints the difference between two texts of the file `name`, with three lines around each change;
 * nothing when they are equal.  `existed` and `exists`: whether the file is there before and after.
 * `masked`: passwords and the like are shown as dots, and rather too much than too little.  False
 * when memory is out. */
bool client_diff_print(const char *name, struct span before, bool existed, struct span after,
                       bool exists, bool masked, FILE *out);
