/* base/err.h - an error text with its context, for set-up code (configuration, files, command
 * line).
 *
 * The first failure sets the cause, callers put context in front of it, cli/ prints it once.
 * The caller owns the storage; there is nothing to free.  Any thread. */
#pragma once

#include <stdbool.h>

struct err {
    char text[1024]; /* always terminated; cut when longer */
};

/* Sets the cause, replacing what was there.  `err` may be NULL: then nothing happens. */
void err_set(struct err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Puts "context: " in front of the text. */
void err_prefix(struct err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
