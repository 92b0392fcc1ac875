/* console/request.h - one HTTP request to the console, and what is answered: all that handlers see.
 *
 * Handlers run on the console's thread, one at a time, and must not wait: what takes time is a job
 * (console/jobs.h) or a stream of events. */
#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/endpoint.h"
#include "base/err.h"
#include "console/console.h"
#include "render/jsonw.h"

struct MHD_Connection;
struct console_session;
struct crowd_guest;
struct route;

enum console_method { CONSOLE_GET, CONSOLE_POST, CONSOLE_PUT, CONSOLE_DELETE, CONSOLE_METHODS };

#define REQUEST_PARTS 2

struct request {
    struct console *console;
    struct MHD_Connection *connection;
    struct crowd_guest *guest; /* the connection, as one of many; NULL: it is not watched over */
    const struct route *route;
    enum console_method method;
    bool head_only;                  /* HEAD: answered as GET, without the body */
    const char *path;                /* as it came, decoded, without the query */
    char *parts[REQUEST_PARTS];      /* heap: what stands for each {} of the route's path; "" */
    struct buf body;                 /* whole; at most what the route takes */
    int upload_fd;                   /* a body that is kept in memory outside: memfd; -1 */
    uint64_t upload_len;             /* of the body that came, whatever became of it */
    bool too_large, is_broken;       /* the body */
    bool local;                      /* came by control.sock */
    bool may_change;                 /* of a local one: root, or the proxy's own account */
    bool secure;                     /* by TLS */
    uid_t uid;                       /* of a local one */
    struct endpoint peer;            /* of another */
    struct console_session *session; /* who is logged in; NULL */
    char who[160]; /* for the audit: "alice from ::1", "uid 0 (root) by the control socket" */
};

/* A source of server-sent events. */
struct event_stream {
    void *owner;
    /* Called once a second, and when something came (console_wake_stream): adds events to `out`,
     * "event: NAME\ndata: …\n\n".  False: the stream is over, after what is in `out`. */
    bool (*tick)(void *owner, struct buf *out, uint64_t now_ns);
    void (*free)(void *owner);
};

struct reply {
    int status;                           /* 200 */
    const char *type;                     /* static: of the body; NULL: application/json */
    struct buf body;                      /* made by the handler; freed after it went out */
    struct span fixed;                    /* in place of `body`: static bytes */
    bool fixed_gzip;                      /*   which are compressed */
    const char *etag;                     /* static; NULL: no-store */
    bool is_lasting;                      /*   never asked for again: what the path names stays */
    char *cookie;                         /* heap: Set-Cookie's value; NULL */
    char *location, *disposition, *allow; /* heap or NULL: header fields of these names */
    unsigned retry_after_s;               /* 0: none */
    struct event_stream *stream;          /* in place of a body: events; a copy is taken */
};

/* --- for handlers ----------------------------------------------------------------------------- */

/* A query argument, decoded; NULL: it is not there.  Of the connection: holds as long as it. */
const char *request_get_argument(const struct request *r, const char *name);
/* A number of at most `most`; `otherwise` where it is missing.  False: it is none (and the reply
 * says so). */
bool request_get_number(const struct request *r, const char *name, uint64_t most,
                        uint64_t otherwise, uint64_t *out, struct reply *reply);
const char *request_get_field(const struct request *r, const char *name);  /* header; NULL */
const char *request_get_cookie(const struct request *r, const char *name); /* NULL */

/* The language that the request wants: "ja" or "en" (the cookie `language`, then Accept-Language).
 */
const char *request_get_language(const struct request *r);

/* Writes a change into the audit log: who, when, what. */
void request_audit(const struct request *r, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* A problem in place of an answer: {"error":CODE,"message":…,"field":…}; `field` may be NULL. */
void reply_problem(struct reply *reply, int status, const char *code, const char *field,
                   const char *fmt, ...) __attribute__((format(printf, 5, 6)));
void reply_out_of_memory(struct reply *reply);

/* An answer in JSON: writes into reply->body.  begin; then jsonw_…; then end (a full pen becomes a
 * 500). */
struct reply_json {
    struct pen pen;
    struct jsonw w;
};
void reply_json_begin(struct reply *reply, struct reply_json *j);
void reply_json_end(struct reply *reply, struct reply_json *j);

/* {"ok":true} */
void reply_done(struct reply *reply);
