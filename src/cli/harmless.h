/* cli/harmless.h - texts from files and from the control socket, for a terminal.
 *
 * Nothing in them that it would obey, or that turns what stands beside it (render/escape).  Any
 * thread. */
#pragma once

#include <stddef.h>
#include <stdio.h>

/* The text, escaped, in `out`; as much as `cap` bytes hold with its terminator.  Returns `out`. */
const char *harmless_write(const char *text, char *out, size_t cap);

/* The same of lines, all of them. */
void harmless_print_lines(FILE *out, const char *text);
