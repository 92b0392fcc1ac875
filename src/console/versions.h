/* console/versions.h - earlier states of the configuration file, to go back to.
 *
 * Each is a file of the state folder, named by its time and by who replaced it; the latest 50 stay.
 * The console's thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/span.h"
#include "console/request.h"

#define VERSIONS_MAX 50

/* Keeps `text` as what the file was until now.  False with *err. */
bool versions_keep(const char *folder, struct span text, struct span who, uint64_t wall_ns,
                   struct err *err);

/* Forgets that one again: nothing came of the change. */
void versions_forget(const char *folder, struct span who, uint64_t wall_ns);

/* Adds them to the array that is open, the latest first: {"id","time_us","who"}. */
void versions_write(const char *folder, struct jsonw *w);

/* The text of one; false: there is none of that id. */
bool versions_read(const char *folder, const char *id, struct buf *out);
