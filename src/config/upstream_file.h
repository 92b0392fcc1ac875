/* config/upstream_file.h - the text of upstream.conf, edited so that order and comments stay, and
 * printed from a snapshot.
 *
 * Knows the grammar and the names, not what values may be: who edits reads the result again.  One
 * thread. */
#pragma once

#include <stdbool.h>

#include "base/buf.h"
#include "config/config.h"

#define UPSTREAM_FILE_MAX (1u << 20) /* bytes */

/* One setting as it shall be: `name` is the table's ("PROXY_HOST"). */
struct upstream_edit {
    const char *name;
    const char *const *words; /* the values; borrowed */
    unsigned len;             /* 0: the setting is taken out */
};

/* Writes `text`, a file without errors or an empty one, to `out` with the setting replaced, added
 * at the end of the block (which is made where there is none), or taken out.  False when memory or
 * `out` is out. */
bool upstream_file_edit(struct span text, const struct upstream_edit *e, struct buf *out);

/* Appends the whole block as a file would have it: what the file of *c sets, paths from the root
 * on. Without `password`, a comment stands for it.  False when memory or `out` is out. */
bool upstream_file_write(const struct config *c, bool password, struct buf *out);

/* The setting of the file that a person means by `word`: its name in any case, with or without
 * PROXY_, "-" for "_"; NULL: none. */
const char *upstream_file_find_name(struct span word);
