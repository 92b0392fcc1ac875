/* console/jobs.h - child processes that work for a page: a check, a capture that is explained.
 *
 * What may meet hostile bytes runs apart from the proxy, as this program again, with limits of
 * memory, processor time, descriptors and output, and cannot write a file.  A job lives as long as
 * somebody reads its events.  The console's thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/span.h"
#include "console/request.h"

#define JOBS_MAX 4
#define JOBS_ARGS_MAX 24
#define JOBS_ID_HEX 32

struct jobs;

struct job_options {
    const char *args[JOBS_ARGS_MAX]; /* behind the program's name; NULL ends them */
    int input_fd;         /* its standard input, from its begin; the caller's; -1: `input` */
    struct span input;    /* bytes for its standard input (a password); few */
    const char *language; /* "en", "ja" */
    bool writes;          /* it may write files */
    unsigned seconds;     /* it is ended after that */
    /* At its end, on the console's thread, NULL: its exit status, or -1 when it was ended; may add
     * events for its reader. */
    void (*ended)(void *owner, int status, struct buf *events);
    /* Each line that it writes: adds an event for it to `events`; NULL: event `flow` with the line.
     */
    void (*line)(void *owner, struct span line, struct buf *events);
    void *owner;
    void (*free)(void *owner);
};

struct jobs *jobs_new(struct console *c);
void jobs_free(struct jobs *j); /* ends them all */

/* Starts one; `id` gets JOBS_ID_HEX characters and a terminator.  False with *err: too many are
 * under way, or the system refuses.  `owner` is freed in either case, when it is not wanted any
 * more. */
bool jobs_start(struct jobs *j, const struct job_options *o, char id[JOBS_ID_HEX + 1],
                struct err *err);

/* Starts one and answers 202 with its id, or with what keeps it. */
void jobs_answer(struct request *r, const struct job_options *o, struct reply *reply);

/* Becomes the reader of a job: false: there is none of that id, or it has a reader. */
bool jobs_read(struct jobs *j, const char *id, struct event_stream *out);

/* Ends it; false: there is none. */
bool jobs_end(struct jobs *j, const char *id);

/* Adds "event: NAME", "data: {…}" with the text as its member. */
void jobs_add_event(struct buf *events, const char *name, const char *member, struct span text);
