/* host/client_file.h - a configuration file of this machine or of an image of one: read whole,
 * written whole or not at all.
 *
 * Links are followed, never out of the root folder.  Owner and mode are kept.  The caller owns the
 * struct; client_file_fini is safe on a zeroed one.  Set-up code: blocks, one thread. */
#pragma once

#include <limits.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/err.h"

#define CLIENT_FILE_MAX (4u << 20) /* bytes */

struct client_file {
    char name[PATH_MAX]; /* as people know it, the root folder in front */
    char real[PATH_MAX]; /* where it lies, or would: no links in what exists of it */
    unsigned folders;    /* that are missing above it, the nearest ones */
    bool exists;
    struct stat st; /* where it exists */
    struct buf text;
};

/* Reads `path` (absolute, of the machine whose root folder is `root`).  That it is not there is no
 * failure: `exists` says so.  False, with the reason, for a file that cannot be read, is no regular
 * file, is a link to nothing, or is larger than CLIENT_FILE_MAX. */
bool client_file_read(struct client_file *f, const char *root, const char *path, struct err *err);

/* Puts `text` in the file's place, with permission bits `mode`; makes its missing folders.  On
 * failure the old file stands and nothing new lies about.  Refuses when the file is another than
 * the one that was read. */
bool client_file_write(struct client_file *f, struct span text, unsigned mode, struct err *err);

/* Takes the file away, and `folders` of the folders above it as long as they are empty. */
bool client_file_delete(struct client_file *f, unsigned folders, struct err *err);

/* The names in the folder `path` that end in `suffix`, in order, each and the array to be freed by
 * the caller; NULL with *n 0 where there is no such folder, or memory is out. */
char **client_file_list(const char *root, const char *path, const char *suffix, unsigned *n);

/* Whether there is something at `path`. */
bool client_file_exists(const char *root, const char *path);

/* Wipes the text: it may hold a password. */
void client_file_fini(struct client_file *f);
