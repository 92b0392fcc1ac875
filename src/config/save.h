/* config/save.h - edits a file that must never be half-written: lock, read, write beside, rename.
 *
 * Two edits at once wait for each other.  The command line's one thread. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/span.h"
#include "config/config.h"

struct save {
    char *path;  /* what a symbolic link leads to */
    char *lock;  /* path of the lock file */
    int lock_fd; /* -1: none */
    char *text;  /* the file's content; empty when it is not there */
    size_t len;
    bool is_new;
    uid_t uid; /* of the file */
    gid_t gid;
};

/* Locks and reads; `max` bytes at most.  save_end ends it, whatever came of it. */
bool save_begin(struct save *s, const char *path, size_t max, struct err *err);

/* Only reads, without a lock; the file must be there.  save_end as well. */
bool save_read(struct save *s, const char *path, size_t max, struct err *err);

/* Puts `text` in the file's place: written, synchronised, renamed, the folder synchronised; mode
 * 0600, the old owner.  When root writes, a new file and one of root's go to `owner` and `group`.
 * False, with *err: the old file stands. */
bool save_write(struct save *s, struct span text, uid_t owner, gid_t group, struct err *err);

void save_end(struct save *s);

/* The account that the proxy runs as, to whom its files belong; ours where this machine has none.
 */
void save_find_owner(const struct config *c, uid_t *uid, gid_t *gid);
