/* proxy/sink.h - where the access log goes: standard output, a file, or syslog, in one format.
 *
 * Written to by one thread; another may open it for that one.  A reader that does not read (a full
 * pipe) holds up the thread that writes, and no longer than the caller wants to wait. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"
#include "config/config.h"
#include "flow/flow.h"

typedef bool (*sink_render_fn)(struct buf *out, const struct flow *f);

struct sink {
    enum config_log_to to;
    sink_render_fn render; /* NULL: the log is off */
    char *path;            /* of a file; else NULL */
    int fd;                /* -1: none */
    bool waits;            /* a pipe, socket or terminal: it may be full */
    bool is_sock;          /* then it is written to without waiting in the kernel */
    bool is_torn;          /* the last line was written in part */
};

/* May be called while the sink cannot take more: whether to go on waiting. */
typedef bool (*sink_wait_fn)(void *arg);

/* Opens what `c` says; a file is created 0640 and appended to.  NULL with *err set. */
struct sink *sink_new(const struct config *c, struct err *err);
void sink_free(struct sink *s);

/* Opens a file anew, as after its rotation; when that fails the old one stays and *err says why. */
bool sink_reopen(struct sink *s, struct err *err);

/* Writes lines, all if it can; returns how many bytes went out.  Fewer: *error is an errno value,
 * EAGAIN when `wait` said to wait no longer.  Syslog gets a message a line. */
size_t sink_write(struct sink *s, struct span lines, sink_wait_fn wait, void *arg, int *error);
