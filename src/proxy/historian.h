/* proxy/historian.h - hands ended flows to the history, on a thread of its own.
 *
 * The recorder gives it what it has written to the access log.  A disk that is slow or full, or a
 * file that is of no use, is this thread's trouble: it says so, counts what is lost, and tries
 * again.  Neither the access log nor a worker ever waits for it. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/span.h"
#include "config/config.h"
#include "flow/flow.h"

struct historian;

/* Starts the thread, which opens the history that `c` names; without one there is nothing to do
 * until historian_set.  NULL with *err: there is no memory or thread. */
struct historian *historian_new(const struct config *c, struct err *err);
/* Writes what it was given, then ends the thread.  NULL is fine. */
void historian_free(struct historian *h);

/* Asks that all it was given so far is committed now, and waits for that until `until_ns`
 * (monotonic).  False: it is not, or nothing more is to be had (the history is off, or in trouble).
 * One thread at a time. */
bool historian_flush(struct historian *h, uint64_t until_ns);

/* False: the history is off. */
bool historian_is_on(const struct historian *h);

/* Takes an ended flow, on the heap.  `json` is what render_json made of it, where that is at hand,
 * and is copied; empty: it is made later.  False: there is no room, the flow stays the caller's.
 * One thread, always the same. */
bool historian_take(struct historian *h, struct flow *f, struct span json);
/* Counts a flow that was not taken. */
void historian_lose(struct historian *h);

/* After a reload: another file, other limits, or none.  False with *err: memory is out, the old
 * ones stay. */
bool historian_set(struct historian *h, const struct config *c, struct err *err);

/* Flows that are not in the history although it is on. */
uint64_t historian_get_lost(const struct historian *h);
