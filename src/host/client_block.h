/* host/client_block.h - puts viaduct's lines into a program's configuration, and takes them out
 * again to the byte.
 *
 * What is added stands between two marks, which are comments.  The first mark carries all that is
 * needed to undo it: a checksum of the lines, and how the file was before.  Lines of somebody else
 * that choose a proxy are kept as comments behind a mark of their own.  Pure; any thread. */
#pragma once

#include "host/client_scan.h"

/* How the file was before viaduct came. */
struct client_origin {
    bool created;     /* there was none */
    unsigned folders; /* that were not there either, the nearest ones */
    unsigned above;   /* folders that were not there above the record (client_json.h) */
    unsigned mode;    /* permission bits that were narrowed for a password; 0: they were not */
};

/* Whether viaduct's lines are in `text`; *origin (may be NULL) is how the file was without. */
bool client_block_find(struct span text, struct client_origin *origin);

/* Appends `text` without viaduct's lines to `out`, which is `text` where there are none.  False,
 * with the line's number in front of the reason, when somebody changed these lines and not
 * `force`, when their end is missing, or when memory is out. */
bool client_block_take(struct span text, bool force, struct buf *out, struct err *err);

/* Appends `text`, in which viaduct's lines are not, with `lines` put where the format has them;
 * lines of somebody else that choose a proxy are made comments.  False when one of these cannot be,
 * with its number, or when memory is out. */
bool client_block_put(enum client_format format, struct span text, struct span lines,
                      const struct client_origin *origin, struct buf *out, struct err *err);
