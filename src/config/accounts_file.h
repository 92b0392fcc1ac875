/* config/accounts_file.h - the text of accounts.conf: read into a snapshot, and edited so that
 * order and comments stay.
 *
 *   user NAME { realm R; sha-256 HEX; sha-512-256 HEX; md5 HEX; hash "…"; disabled; }
 *
 * A digest is never part of a message.  One thread. */
#pragma once

#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"
#include "config/config.h"
#include "policy/accounts.h"

#define ACCOUNTS_FILE_MAX (64u << 20) /* bytes */

/* Loads `path`: a snapshot with one reference, or NULL with at least one error in `report`. */
struct accounts *accounts_file_load(const char *path, struct config_report *report);

/* The same of a text; `name` stands in front of its problems. */
struct accounts *accounts_file_parse(const char *name, struct span text,
                                     struct config_report *report);

/* Why a name cannot be an account's, or NULL: empty, above 255 bytes, with a colon or control
 * characters, not UTF-8. */
const char *accounts_file_name_fault(struct span name);

/* Appends the statement of *a to `out`.  False when memory is out. */
bool accounts_file_write(const struct account *a, struct buf *out);

/* Writes `text`, a file without errors, to `out` with the statement of `a->name` replaced, or added
 * at the end where there is none.  Comments inside a replaced block go with it. */
bool accounts_file_replace(struct span text, const struct account *a, struct buf *out);

/* The same without the statement of `name`, which must be there. */
bool accounts_file_remove(struct span text, struct span name, struct buf *out);
