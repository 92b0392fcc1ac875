/* console/files.h - the proxy's own files that pages show and change. */
#pragma once

#include <stdbool.h>

#include "console/request.h"

/* Whether this process may put another file in the place of `path`; else *why says what keeps it.
 */
bool files_can_replace(const char *path, struct err *why);

/* Adds "file", "writable" and "why_not" to the object that is open. */
void files_write_members(struct jsonw *w, const char *path);

/* The same for a file that cannot be read, *why says why: who does not see it does not change it.
 */
void files_write_unread(struct jsonw *w, const char *path, const struct err *why);

/* False, with 409 in the reply: the file is not ours to change. */
bool files_demand(const char *path, struct reply *reply);
