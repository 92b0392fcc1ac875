/* config/value.h - what the words of a setting may be: the readers that rows of the table name.
 *
 * Each reads words[1..], checks them and stores the result at the row's field, or reports and
 * stores nothing.  Strings and arrays go into the snapshot's arena. */
#pragma once

#include "config/directive.h"
#include "config/values.h"

bool value_number(const struct setting *s); /* uint32_t */
bool value_size(const struct setting *s);   /* uint64_t bytes */
bool value_size32(const struct setting *s); /* uint32_t bytes */
bool value_time(const struct setting *s);   /* uint64_t ns */
bool value_flag(const struct setting *s);   /* bool: on, off */
bool value_choice(const struct setting *s); /* an enum: the index in `choices` */
bool value_text(const struct setting *s);   /* char *: any text that is not empty */
bool value_path(const struct setting *s);   /* char *: relative to the file that names it */

/* A row's bounds for people: "1 to 1024", "1s to 1d, or 0". */
#define VALUE_BOUNDS_MAX 96
const char *value_write_bounds(const struct directive *d, char out[VALUE_BOUNDS_MAX]);

/* `word` as a path from the working folder: relative ones start at the folder of `file` (NULL:
 * /etc/viaduct). */
char *value_resolve_path(struct arena *a, const char *file, struct span word);

/* Where the proxy keeps a file of its own: in STATE_DIRECTORY where the service manager gave one,
 * in /var/lib/viaduct for root, in the state folder of the XDG base directories for anybody else.
 */
char *value_state_path(struct arena *a, const char *name);
char *value_runtime_path(struct arena *a, const char *name);

/* Reports words[i] as wrong: `NAME "word": text (did you mean …)`; always false. */
bool value_bad(const struct setting *s, unsigned i, const char *const *choices, const char *fmt,
               ...) __attribute__((format(printf, 4, 5)));

/* The index of words[i] in `choices` (ended by NULL), or -1, reported. */
int value_find_choice(const struct setting *s, unsigned i, const char *const *choices);

/* Readers of single settings. */
bool value_workers(const struct setting *s);
bool value_listen(const struct setting *s);
bool value_schemes(const struct setting *s);
bool value_algorithms(const struct setting *s);
bool value_servers(const struct setting *s);
bool value_access_log(const struct setting *s);
bool value_history(const struct setting *s);
bool value_admins(const struct setting *s);
bool value_console(const struct setting *s);
bool value_console_listen(const struct setting *s);
bool value_hosts(const struct setting *s);
