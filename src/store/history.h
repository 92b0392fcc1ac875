/* store/history.h - the history of ended flows, as its one writer sees it.
 *
 * Flows are added in transactions: begin, add …, commit; what was committed outlives the process.
 * Whatever fails, the file is left whole, and the caller closes and may open again later: nothing
 * that was committed is lost by that.  Readers, of this process or another, are store/browse.
 * One thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/span.h"
#include "flow/flow.h"
#include "store/database.h"

#define HISTORY_RECORD_MAX (256u * 1024) /* bytes of a flow's JSON: who has more leaves it out */

struct history;

struct history_limits {
    uint64_t keep_ns;   /* flows that ended earlier are removed; 0: none are */
    uint64_t max_bytes; /* of the file and what SQLite keeps beside it; 0: no limit */
};

/* Opens or makes the file.  One that is damaged or was made by a later version is renamed and a new
 * one begun: then *said (else empty) tells so, although all is well.  On a fault *out is NULL and
 * *said is why. */
enum fault history_open(const char *path, const struct history_limits *limits, uint64_t wall_ns,
                        struct history **out, struct err *said);

/* Drops what was not committed.  NULL is fine. */
void history_close(struct history *h);

void history_set_limits(struct history *h, const struct history_limits *limits);

/* Begins a transaction, if none is open.  FAULT_BUSY: try again; nothing is lost. */
enum fault history_begin(struct history *h, struct err *err);

/* Adds an ended flow, with its record as JSON (borrowed), to the open transaction.  A fault voids
 * the transaction: close. */
enum fault history_add(struct history *h, const struct flow *f, struct span json, struct err *err);

/* Notes that flows were lost about now, and why (in a few words). */
enum fault history_note_gap(struct history *h, uint64_t flows, const char *why, uint64_t wall_ns,
                            struct err *err);

/* How many flows the open transaction has, and whether it has enough. */
unsigned history_uncommitted(const struct history *h);
bool history_is_full(const struct history *h);

/* Commits, and removes what is older or more than the limits allow; without an open transaction it
 * does the latter.  A fault voids the transaction: close. */
enum fault history_commit(struct history *h, uint64_t wall_ns, struct err *err);

/* Whether all tallies are in the file; else they will be with a commit five seconds after the last
 * time, or with this one: for the end. */
bool history_is_settled(const struct history *h);
enum fault history_settle(struct history *h, uint64_t wall_ns, struct err *err);

/* Whether what is written still is the file of that name, not one that was moved or removed. */
bool history_is_there(const struct history *h);
