/* proxy/accounts_watch.h - the accounts file, read, and read again when it changed.
 *
 * Its folder is watched, and the folder that a symbolic link leads to: files are put in place by
 * renaming.  Main thread. */
#pragma once

#include <stdbool.h>
#include <sys/stat.h>

#include "base/err.h"
#include "policy/accounts.h"

struct accounts_watch {
    int fd;           /* readable when something happened in the folders; -1: nothing is watched */
    const char *path; /* of the file, the caller's; NULL: none */
    struct stat seen; /* the file as it was read last */
};

void accounts_watch_init(struct accounts_watch *w);
void accounts_watch_fini(struct accounts_watch *w);

/* Watches `path` (kept, not copied) from now on, in place of another one; where that cannot be: a
 * warning. */
void accounts_watch_set(struct accounts_watch *w, const char *path);

/* Reads the file: a snapshot, or NULL with its errors in the log.  A file that is not there is an
 * empty one where `absent_is_empty`, with a warning. */
struct accounts *accounts_watch_load(struct accounts_watch *w, bool absent_is_empty);

/* What was read is not used after all: the file counts as another one. */
void accounts_watch_forget(struct accounts_watch *w);

/* Whether both are of one state of one file. */
bool accounts_watch_is_same(const struct stat *a, const struct stat *b);

/* After `fd` became readable: whether the file is another one than was read. */
bool accounts_watch_has_changed(struct accounts_watch *w);
