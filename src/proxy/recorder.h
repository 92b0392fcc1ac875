/* proxy/recorder.h - takes ended flows from the workers to the access log, on a thread of its own,
 * and from there to the history (proxy/historian).
 *
 * Each worker has a ring of its own; a full one counts what it drops, and the log says how many.  A
 * worker never blocks and makes no system call but an eventfd write when the recorder sleeps. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "config/config.h"
#include "flow/flow.h"
#include "flow/totals.h"

struct recorder;

/* Opens the log as `c` says and starts the thread.  Call after privileges were dropped, or give the
 * file's owner in advance.  NULL with *err set. */
struct recorder *recorder_new(const struct config *c, unsigned workers, struct err *err);
/* Writes what is queued, then ends the thread. */
void recorder_free(struct recorder *r);

/* False: the log and the history are off, flows need not be handed over. */
bool recorder_is_on(const struct recorder *r);

/* Worker `w` hands over an ended flow: moves *f (zeroed after), or frees and counts it when the
 * ring is full. */
void recorder_take(struct recorder *r, unsigned w, struct flow *f);

/* SIGUSR1: closes and opens the file again.  Any thread. */
void recorder_reopen(struct recorder *r);
/* Has all flows that were handed over so far in the history, committed; waits a quarter of a second
 * for that.  False: not all are (it takes longer), or there is no history.  One thread at a time,
 * once recorder_count has come back. */
bool recorder_flush(struct recorder *r);
/* After a reload: another target or format, another history; false with *err set: the old log
 * stays.
 */
bool recorder_set(struct recorder *r, const struct config *c, struct err *err);
uint64_t recorder_dropped(const struct recorder *r);
/* Flows that are not in the history although it is on.  Any thread. */
uint64_t recorder_get_history_lost(const struct recorder *r);

/* From now on flows are counted, also where the log is off; false with *err set. */
bool recorder_count(struct recorder *r, const struct config *c, struct err *err);
/* What they came to (totals_free); false: out of memory.  Any thread. */
bool recorder_read_totals(struct recorder *r, struct totals *out);
