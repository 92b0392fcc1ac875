/* console/console.h - the web console and the control socket: one thread of its own.
 *
 * libmicrohttpd speaks HTTP on both; its loop is ours, so handlers, events and child processes
 * share the thread and need no locks.  It knows the proxy by console/door.h only: nothing that
 * happens here holds a worker up. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "console/door.h"

struct console;
struct admins;
struct audit;
struct health;
struct jobs;
struct sessions;
struct started;

struct console_options {
    struct console_door door;
    const char *config_path; /* the file that the configuration page edits; NULL: there is none */
    const char *config_name; /* its real path when the proxy started; NULL: unknown */
    const char *program;     /* of this program, for child processes: /proc/self/exe */
};

/* Opens the listeners of the configuration in force and starts the thread.  False with *err; a
 * console that nobody configured and whose port is taken is left out with a warning, and *out has
 * the control socket only. */
bool console_start(const struct console_options *o, struct console **out, struct err *err);

/* Ends the thread; safe on NULL. */
void console_stop(struct console *c);

/* --- for the console's own files -------------------------------------------------------------- */

const struct console_options *console_get_options(const struct console *c);
struct admins *console_get_admins(struct console *c);
struct sessions *console_get_sessions(struct console *c);
struct audit *console_get_audit(struct console *c);
struct health *console_get_health(struct console *c);
const struct started *console_get_started(const struct console *c); /* of the configuration */
struct jobs *console_get_jobs(struct console *c);
uint64_t console_now_ns(const struct console *c); /* monotonic, of this turn */

/* Calls `ready` on the console's thread whenever the descriptor can be read, until it is unwatched.
 * False: too many. */
bool console_watch(struct console *c, int fd, void (*ready)(void *owner), void *owner);
void console_unwatch(struct console *c, int fd);

/* Has the streams looked at before their second is over: something came for them. */
void console_wake_streams(struct console *c);
