/* tests/fuzz/http_stub.h - stands in for libmicrohttpd: the console's own code runs, and no socket
 * is read.
 *
 * A request is text, its first line "WHO METHOD TARGET", lines of header fields, an empty line, the
 * body. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/span.h"

enum stub_who {
    STUB_NOBODY, /* "web": as it stands there */
    STUB_ADMIN,  /* "admin": with a session's cookie and token, and our name */
    STUB_LOCAL,  /* "local": by the control socket */
};

struct stub_session {
    const char *cookie, *csrf; /* of "admin" */
    uint16_t port;             /* of the listener */
};

struct stub_answer {
    int status; /* 0: the connection was cut */
    char type[64];
    char *body; /* heap; a stream's first events */
    size_t len;
    const void *route; /* struct route whose handler ran; NULL: none */
};

/* Has the console answer; free(out->body). */
void stub_ask(struct span text, const struct stub_session *s, struct stub_answer *out);

/* Has the console's own thread do it, inside MHD_run, and waits: stub_ask is called from there. */
void stub_run(void (*work)(void *arg), void *arg);
