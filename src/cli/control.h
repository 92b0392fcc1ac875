/* cli/control.h - asks a running proxy by its control socket: one request, one answer of JSON.
 *
 * What listens there is not trusted: time, size and form of its answer are bounded (cli/answer).
 * The command line's one thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/span.h"

#define CONTROL_PATH_MAX 108 /* of struct sockaddr_un */

enum control_result {
    CONTROL_OK,     /* a 2xx: its body is in `out` */
    CONTROL_NOBODY, /* no proxy listens there: *err */
    CONTROL_DENIED, /* we may not ask it, or not this: *err says so, and what to do */
    CONTROL_FAILED, /* it said no, spoke nonsense or nothing: *err */
};

/* Where to ask: the socket of a proxy that this account runs, or, where it runs none, the
 * service's.  "": a name that no socket can have. */
void control_find(char path[CONTROL_PATH_MAX]);

struct control_request {
    const char *method;
    const char *path; /* with its query, encoded */
    struct span body; /* JSON; empty: none */
};

/* Asks at `path`; `out` takes the answer's body, its maximum at most.  Five seconds at most, for
 * all of it. */
enum control_result control_ask(const char *path, const struct control_request *r, struct buf *out,
                                struct err *err);

/* Which proxy runs there, by the real paths of its files; "": it has none. */
struct control_instance {
    char config[4096], history[4096], accounts[4096];
};
enum control_result control_learn(const char *path, struct control_instance *out, struct err *err);

/* Whether a file is the one at `real`, which another process told. */
bool control_is_same_file(const char *file, const char *real);

/* Appends "&NAME=VALUE", or "?NAME=VALUE" where `first`; all that is not a letter, digit or one of
 * -._~ encoded.  False: the buf is full. */
bool control_add_argument(struct buf *path, bool first, const char *name, struct span value);
