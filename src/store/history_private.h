/* store/history_private.h - the writer's state, shared by the files that make it up. */
#pragma once

#include <sys/types.h>

#include "store/bits.h"
#include "store/history.h"
#include "store/pack.h"
#include "store/postings.h"
#include "store/tally.h"
#include "store/terms.h"

/* The block that is being filled: the flows behind the last block of the file. */
struct history_block {
    int64_t first; /* seq of its first flow, which may be yet to come */
    unsigned flows, fine, failures;
    int64_t ended_min, ended_max;
    uint64_t ids[BLOCK_FLOWS];
    struct postings postings;
};

/* A pack that is being filled: one of flows that are fine, one of failures, as those go first. */
struct history_pack {
    int64_t id; /* seq of its first flow */
    struct pack pack;
};

struct history {
    sqlite3 *db;
    char *path;
    dev_t device; /* which file it was when it was opened */
    ino_t inode;
    int lock_fd; /* held as long as this process writes the file */
    struct history_limits limits;
    struct packer *packer;
    struct terms terms;
    int64_t next; /* seq of the next flow */
    struct history_block block;
    struct history_pack packs[2]; /* by whether the flow is a failure */
    struct tallies tallies;
    bool in_transaction;
    unsigned uncommitted;         /* flows of the transaction */
    uint64_t uncommitted_bytes;   /* of their records */
    int log_pages;                /* of the write-ahead log, after the last commit */
    uint64_t tallied_ns, aged_ns; /* wall clock: when it was done last */
    struct {
        sqlite3_stmt *begin, *commit, *flow, *pack, *block, *ids, *posting, *mark, *gap;
        struct tally_statements tally;
    } sql;
};

/* history.c: called by SQLite after each commit, with the length of the write-ahead log. */
int history_note_log(void *arg, sqlite3 *db, const char *name, int pages);

/* history_write.c: within a transaction.  An SQLite code, SQLITE_DONE for success. */

/* Puts an ended flow that has its row into the block; closes it when it is full. */
int history_write_place(struct history *h, uint64_t id, int64_t ended_us, bool failed,
                        struct span terms);
int history_write_pack(struct history *h, bool failed);
/* Closes the block with what it has, if anything; its packs go with it. */
int history_write_block(struct history *h);
int history_write_tallies(struct history *h);
int history_write_mark(struct history *h, const char *name, int64_t value);

/* Adds a flow to the tallies; false when memory is out. */
struct history_counted {
    int64_t ended_us;
    bool failed;
    struct span names[TALLY_COUNT]; /* empty: none */
    uint64_t bytes_up, bytes_down;
};
bool history_write_count(struct history *h, const struct history_counted *c);

/* history_open.c: takes up what the file has behind its last block.  Opens a transaction and
 * commits it. */
enum fault history_open_restore(struct history *h, struct err *err);

/* history_keep.c: within a transaction: removes what is too old or too much, some of it at a time.
 */
int history_keep_limits(struct history *h, uint64_t wall_ns);
