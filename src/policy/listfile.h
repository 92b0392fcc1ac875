/* policy/listfile.h - a file of names and networks, loaded once and shared by all who use it.
 *
 * One name, .name, *.name, address or network a line; `#` begins a comment; spaces around are
 * ignored. Immutable once loaded, counted by reference: any thread may ask, take and give back. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "base/err.h"
#include "base/span.h"
#include "policy/cidr.h"
#include "policy/domains.h"

/* What tells that a file is the one that was loaded. */
struct listfile_stamp {
    dev_t device;
    ino_t inode;
    off_t size;
    struct timespec mtime;
};

struct listfile {
    _Atomic uint32_t refs;
    char *path;
    struct listfile_stamp stamp;
    struct domains names;
    struct cidr_set networks;
};

/* Loads `path`; or takes a reference to `previous` (may be NULL) where that is the same file,
 * unchanged.  NULL with *err: the file cannot be read, or "path:12: …" for the first ten bad lines
 * and how many more there are. */
struct listfile *listfile_load(const char *path, struct listfile *previous, struct err *err);

/* The same from text in memory, without a stamp; `path` is for messages. */
struct listfile *listfile_parse(struct span text, const char *path, struct err *err);

struct listfile *listfile_ref(struct listfile *l);
void listfile_unref(struct listfile *l); /* frees with the last one; NULL is fine */
