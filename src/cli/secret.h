/* cli/secret.h - a password from the person at the terminal, or from standard input.
 *
 * Never from argv.  The command line's one thread. */
#pragma once

#include <stdbool.h>

#include "base/err.h"

#define SECRET_MAX 1024 /* bytes, with terminator */

/* At a terminal: asks "PROMPT: " without echo, twice where `twice`; the terminal is put right
 * whatever ends the question.  Otherwise one line of standard input.  False, with *err: the two
 * differ, the input ends, too long, empty, not UTF-8, a control character.  The caller wipes. */
bool secret_read(const char *prompt, bool twice, char out[SECRET_MAX], struct err *err);

/* No core dump from now on: secrets are in memory. */
void secret_forbid_core(void);
