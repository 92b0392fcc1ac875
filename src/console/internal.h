/* console/internal.h - what the console's files share, and nobody else sees. */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <microhttpd.h>

#include "base/buf.h"
#include "config/started.h"
#include "console/console.h"
#include "console/crowd.h"
#include "console/guard.h"
#include "console/request.h"
#include "console/sessions.h"

#define CONSOLE_WATCHES 64

/* One who follows events.  Between two ticks its connection is suspended. */
struct stream {
    struct console *console;
    struct event_stream events;
    struct MHD_Connection *connection;
    struct buf out;
    char csrf[SESSIONS_TOKEN_HEX + 1]; /* of the session with which it ends; "": of none */
    bool suspended, over;
    struct stream *next;
};

struct watch {
    int fd; /* -1: free */
    void (*ready)(void *owner);
    void *owner;
};

struct console {
    struct console_options options;
    struct started at_start;          /* what the configuration said then */
    struct MHD_Daemon *web, *control; /* NULL: not there */
    int control_fd;
    char control_path[108];
    struct guard guard;
    struct crowd guests, local_guests; /* of both listeners */
    struct admins *admins;
    struct sessions *sessions;
    struct audit *audit;
    struct health *health;
    struct jobs *jobs;
    pthread_t thread;
    bool has_thread;
    _Atomic bool stopping;
    int wake_fd;
    uint64_t now_ns, tick_ns;
    bool woken; /* streams are to be looked at now */
    struct stream *streams;
    unsigned streams_len;
    struct watch watches[CONSOLE_WATCHES];
};

/* libmicrohttpd's callbacks, whose `cls` is the console: a request is collected first and handled
 * whole; those of the control socket are not asked for a login. */
enum MHD_Result exchange_serve_web(void *cls, struct MHD_Connection *connection, const char *url,
                                   const char *method, const char *version, const char *upload,
                                   size_t *upload_len, void **state);
enum MHD_Result exchange_serve_control(void *cls, struct MHD_Connection *connection,
                                       const char *url, const char *method, const char *version,
                                       const char *upload, size_t *upload_len, void **state);
void exchange_complete(void *cls, struct MHD_Connection *connection, void **state,
                       enum MHD_RequestTerminationCode code);

/* A connection comes or goes; *context is ours. */
void exchange_note_web(void *cls, struct MHD_Connection *connection, void **context,
                       enum MHD_ConnectionNotificationCode code);
void exchange_note_control(void *cls, struct MHD_Connection *connection, void **context,
                           enum MHD_ConnectionNotificationCode code);

/* Has what was written to a stream go out. */
void exchange_resume(struct stream *s);

struct guard *console_get_guard(struct console *c);
