/* cli/flows_source.h - where `viaduct flows` has its flows from: the running proxy, by its control
 * socket, or the history file; the same flows in the same order.
 *
 * The proxy is asked where the history that it writes is the file that is meant, or where none is
 * named: it has flows in its answer that are not committed yet.  Where none runs, where it may not
 * be asked or is of no use, the file is read.  The command line's one thread. */
#pragma once

#include <stdbool.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "cli/control.h"
#include "store/browse.h"

struct flows_source {
    char path[4096]; /* of the history file */
    bool asks;       /* the proxy; else the file is read */
    char socket[CONTROL_PATH_MAX];
    struct buf answer;
    struct err denied;     /* why the proxy may not be asked; "": it may, or is none */
    unsigned failures;     /* of following it, one after the other */
    int64_t last;          /* the proxy's newest flow at its last answer */
    char file[64];         /* the proxy's history, another one: another file */
    struct browse *browse; /* the file */
    struct stat known;
    int64_t version;
};

/* `any`: a proxy that runs here is asked whatever file its history is; s->path is that one then.
 * False with *err and *fault: neither is to be had. */
bool flows_source_open(struct flows_source *s, const char *path, bool any, enum fault *fault,
                       struct err *err);
void flows_source_close(struct flows_source *s);

/* As browse_find, browse_get, browse_get_last and browse_count_lost; `most` flows are wanted (0:
 * all). */
bool flows_source_find(struct flows_source *s, const struct browse_query *q, uint64_t most,
                       browse_fn fn, void *arg, struct err *err);
bool flows_source_get(struct flows_source *s, const char *digits, browse_fn fn, void *arg,
                      struct err *err);
bool flows_source_get_last(struct flows_source *s, int64_t *last, struct err *err);
uint64_t flows_source_count_lost(struct flows_source *s, uint64_t since_us, char *why, size_t size);

/* Calls `fn` with the flows that came behind q->after and match, the oldest first, and moves
 * q->after behind all that it looked at.  A history that took the place of another one begins from
 * its front; a proxy that went away is followed by its file.  False with *err. */
bool flows_source_follow(struct flows_source *s, struct browse_query *q, browse_fn fn, void *arg,
                         struct err *err);
