/* check/download.h - where a body goes: a file, or standard output.
 *
 * Bytes are written as they come.  A file that was cut keeps what came, and what tells that a later
 * part is of the same whole (a strong ETag or Last-Modified) in its extended attribute
 * user.viaduct.validator: going on sends it as If-Range, or, where the file system keeps no
 * attributes, a plain Range as curl does.  One command may try twice: the second try writes over
 * what the first one wrote, and the file stays as long as the better of both, unless what comes is
 * another version.  Standard output takes nothing back: there the second try goes on where the
 * first one was cut.
 * A fault of this machine (no space, nobody reads) is no verdict of the network: it is kept in
 * `fault`, and download_close tells it.  Knows heads, not connections.  One thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/span.h"
#include "wire/http1.h"

#define DOWNLOAD_VALIDATOR_MAX 256
#define DOWNLOAD_FIELDS_MAX (DOWNLOAD_VALIDATOR_MAX + 64)
#define DOWNLOAD_WHAT_MAX 256
#define DOWNLOAD_ATTRIBUTE "user.viaduct.validator"

struct download {
    const char *path; /* the caller's; "-": standard output */
    int fd;           /* -1: not open */
    bool is_stream;   /* a pipe, a terminal, a device: nothing is read, replaced or cut there */
    bool created;     /* there was no such file */
    bool begun;       /* bytes of this command are in it */
    bool whole;       /* it has all of them */
    bool muted;       /* a stream's second try is of another version: it is only counted */
    uint64_t base;    /* bytes of an earlier command that this one goes on behind */
    uint64_t at;      /* where the next byte goes */
    uint64_t kept;    /* bytes from the start that are there */
    uint64_t total;   /* of the whole, RANGE_UNKNOWN */
    char validator[DOWNLOAD_VALIDATOR_MAX]; /* of what is there; "": none */
    int fault;                              /* errno of the first write that failed, 0: none */
};

/* Opens the file for writing and leaves it as it is until bytes come; `resume`: they are to go on
 * where it ends.  False with *err: a folder, no permission, ….  `path` is borrowed. */
bool download_open(struct download *d, const char *path, bool resume, struct err *err);

/* The fields that a request for what is missing has, each with its CRLF: maybe none.  `out` has
 * DOWNLOAD_FIELDS_MAX bytes; their number. */
size_t download_write_fields(const struct download *d, char *out);

enum download_answer {
    DOWNLOAD_ELSEWHERE, /* its body is not for the file: an error, a redirect */
    DOWNLOAD_SAVES,     /* its body is to be written */
    DOWNLOAD_COMPLETE,  /* nothing is missing: all is there already */
    DOWNLOAD_WRONG      /* a part of another whole, or another part: it must not be written */
};

/* What a head means for the file.  `what` (DOWNLOAD_WHAT_MAX bytes) says what is to be known of
 * it, or "". */
enum download_answer download_take_head(struct download *d, const struct http1_head *h, char *what);

/* Writes all of the bytes; false: `fault` says why not. */
bool download_write(struct download *d, struct span bytes);

/* The body came to its end: what a longer first try left behind it is cut off. */
void download_end(struct download *d);

/* Closes; a file that this made and nothing was written to goes.  False with *err when not all that
 * came is there.  Safe on one that was never opened. */
bool download_close(struct download *d, struct err *err);
