/* host/client_json.h - one member of a JSON file's outermost object, put in and taken out with
 * every other byte left alone.
 *
 * JSON has no comments to mark what is ours, so what was put in is written down in a record, which
 * is kept in a file of its own.  Pure; any thread. */
#pragma once

#include "host/client_block.h"

struct client_record {
    struct client_origin origin;
    struct span old, new; /* these bytes were replaced by those; of the record's text */
};

/* The value of the member `name`, empty where there is none; *line (may be NULL) is where it
 * stands.  False when `text` is no JSON object (RFC 8259) or is nested deeper than 64. */
bool client_json_find(struct span text, const char *name, struct span *value, unsigned *line);

/* Appends `text` with `member` ("\"name\": value") in it, in the place of the member of this name
 * if there is one, and the record of it.  False, with the reason, where `text` is no JSON object.
 */
bool client_json_put(struct span text, const char *name, struct span member,
                     const struct client_origin *origin, struct buf *out, struct buf *record,
                     struct err *err);

/* Appends `text` as it was before.  Where the file was written anew by others meanwhile, only the
 * member is taken out; false when its value is no longer ours and not `force`. */
bool client_json_take(struct span text, const char *name, const struct client_record *record,
                      bool force, struct buf *out, struct err *err);

/* Reads a record; false when it is damaged.  The result borrows from `text`. */
bool client_json_read_record(struct span text, struct client_record *out);
