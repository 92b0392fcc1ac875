/* The flows of a transaction.
 *
 * A flow's row is inserted at once, its record waits in a pack (64 of a kind, or as many as a
 * transaction has), its terms wait in the block (1024 flows).  A commit writes the packs, so what
 * was committed is whole: what the block has gathered is gathered again from the records when the
 * file is opened. */
#include "store/history_private.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"

#define FLOWS_ENOUGH 2048u /* of a transaction */
#define BYTES_ENOUGH (4u << 20)
#define TALLY_NS (5 * NS_PER_S) /* tallies are that much behind at most */
#define LOG_PAGES 1000          /* of the write-ahead log: then it goes into the file */
#define LOG_PAGES_LEAST 16
#define LOG_BYTES_MOST (1ull << 30) /* where there is no limit */

/* From the oldest reader on, the log cannot be used again: it grows as long as that one reads. */
static bool log_is_too_long(const struct history *h)
{
    uint64_t most = h->limits.max_bytes ? h->limits.max_bytes / 4 : LOG_BYTES_MOST;

    return (uint64_t)h->log_pages * 4096 > most + LOG_PAGES_LEAST * 4096;
}

static void checkpoint(struct history *h)
{
    int pages = 0, done = 0;

    if (sqlite3_wal_checkpoint_v2(h->db, NULL, SQLITE_CHECKPOINT_PASSIVE, &pages, &done) ==
            SQLITE_OK &&
        pages == done)
        h->log_pages = 0;
}

static int fit_log(const struct history *h)
{
    uint64_t pages = h->limits.max_bytes ? h->limits.max_bytes / 4096 / 16 : LOG_PAGES;

    return pages > LOG_PAGES ? LOG_PAGES : pages < LOG_PAGES_LEAST ? LOG_PAGES_LEAST : (int)pages;
}

enum fault history_begin(struct history *h, struct err *err)
{
    int code;

    if (h->in_transaction)
        return FAULT_NONE;
    if (log_is_too_long(h)) {
        checkpoint(h);
        if (log_is_too_long(h)) {
            err_set(err, "another program has been reading it for too long");
            return FAULT_BUSY;
        }
    }
    code = database_step_once(h->sql.begin);
    h->in_transaction = code == SQLITE_DONE;
    return database_fault(h->db, code, err);
}

static int insert_flow(struct history *h, const struct flow *f, int64_t ended_us, bool failed)
{
    char client[ENDPOINT_TEXT_MAX];
    const struct history_pack *k = &h->packs[failed];
    sqlite3_stmt *s = h->sql.flow;
    struct span none = {NULL, 0};
    const char *by = verdict_side_name(f->ended_by);

    sqlite3_bind_int64(s, 1, h->next);
    sqlite3_bind_int64(s, 2, (int64_t)f->id);
    sqlite3_bind_int64(s, 3, ended_us);
    sqlite3_bind_int64(s, 4, (int64_t)(f->duration_ns / NS_PER_US));
    database_bind_text(s, 5, span_of(verdict_get_info(f->verdict)->name));
    sqlite3_bind_int(s, 6, failed);
    database_bind_text(s, 7, span_of(phase_name(f->ended_in)));
    database_bind_text(s, 8, *by ? span_of(by) : none);
    database_bind_text(
        s, 9,
        f->client.addr.family ? (struct span){client, addr_write(&f->client.addr, client)} : none);
    database_bind_text(s, 10, span_of(f->target));
    database_bind_text(s, 11, span_of(f->user));
    database_bind_text(s, 12, span_of(f->rule));
    database_bind_text(s, 13, span_of(f->method));
    if (f->status)
        sqlite3_bind_int(s, 14, f->status);
    else
        sqlite3_bind_null(s, 14);
    sqlite3_bind_int64(s, 15, (int64_t)f->bytes_up);
    sqlite3_bind_int64(s, 16, (int64_t)f->bytes_down);
    database_bind_text(s, 17, span_of(f->reason));
    sqlite3_bind_int(s, 18, f->status_sent);
    sqlite3_bind_int64(s, 19, k->id);
    sqlite3_bind_int(s, 20, (int)k->pack.flows - 1);
    return database_step_once(s);
}

static bool count_flow(struct history *h, const struct flow *f, int64_t ended_us, bool failed)
{
    char client[ENDPOINT_TEXT_MAX];
    struct history_counted c = {
        .ended_us = ended_us,
        .failed = failed,
        .bytes_up = f->bytes_up,
        .bytes_down = f->bytes_down,
        .names = {[TALLY_VERDICT] = span_of(verdict_get_info(f->verdict)->name),
                  [TALLY_TARGET] = span_of(f->target),
                  [TALLY_USER] = span_of(f->user),
                  [TALLY_RULE] = span_of(f->rule)},
    };

    if (f->client.addr.family)
        c.names[TALLY_CLIENT] = (struct span){client, addr_write(&f->client.addr, client)};
    return history_write_count(h, &c);
}

static int add(struct history *h, const struct flow *f, struct span json)
{
    int64_t ended_us = (int64_t)((f->start_ns + f->duration_ns) / NS_PER_US);
    bool failed = terms_is_failure(f);
    struct history_pack *k = &h->packs[failed];
    struct span terms;
    int code;

    terms_of_flow(&h->terms, f);
    terms = (struct span){h->terms.bytes, h->terms.len};
    if (k->pack.flows == 0)
        k->id = h->next;
    if (!pack_add(&k->pack, json, terms))
        return SQLITE_TOOBIG;
    code = insert_flow(h, f, ended_us, failed);
    if (code != SQLITE_DONE)
        return code;
    if (!count_flow(h, f, ended_us, failed))
        return SQLITE_NOMEM;
    h->next++;
    code = history_write_place(h, f->id, ended_us, failed, terms);
    if (code == SQLITE_DONE && pack_is_full(&k->pack))
        code = history_write_pack(h, failed);
    return code;
}

enum fault history_add(struct history *h, const struct flow *f, struct span json, struct err *err)
{
    assert(h->in_transaction && f->ended && json.len <= HISTORY_RECORD_MAX);
    h->uncommitted++;
    h->uncommitted_bytes += json.len;
    return database_fault(h->db, add(h, f, json), err);
}

enum fault history_note_gap(struct history *h, uint64_t flows, const char *why, uint64_t wall_ns,
                            struct err *err)
{
    assert(h->in_transaction);
    sqlite3_bind_int64(h->sql.gap, 1, (int64_t)(wall_ns / NS_PER_US));
    sqlite3_bind_int64(h->sql.gap, 2, (int64_t)flows);
    database_bind_text(h->sql.gap, 3, span_of(why));
    return database_fault(h->db, database_step_once(h->sql.gap), err);
}

unsigned history_uncommitted(const struct history *h)
{
    return h->uncommitted;
}

bool history_is_full(const struct history *h)
{
    uint64_t most = h->limits.max_bytes ? h->limits.max_bytes / 16 : BYTES_ENOUGH;

    return h->uncommitted >= FLOWS_ENOUGH ||
           h->uncommitted_bytes >= (most < BYTES_ENOUGH ? most : BYTES_ENOUGH);
}

static int finish(struct history *h, uint64_t wall_ns)
{
    int code = SQLITE_DONE;

    for (int failed = 0; failed < 2 && code == SQLITE_DONE; failed++)
        code = history_write_pack(h, failed);
    if (code == SQLITE_DONE && (wall_ns < h->tallied_ns || wall_ns - h->tallied_ns >= TALLY_NS)) {
        code = history_write_tallies(h);
        h->tallied_ns = wall_ns;
    }
    if (code == SQLITE_DONE)
        code = history_keep_limits(h, wall_ns);
    return code == SQLITE_DONE ? database_step_once(h->sql.commit) : code;
}

int history_note_log(void *arg, sqlite3 *db, const char *name, int pages)
{
    struct history *h = arg;

    (void)db;
    (void)name;
    h->log_pages = pages;
    return SQLITE_OK;
}

enum fault history_commit(struct history *h, uint64_t wall_ns, struct err *err)
{
    enum fault fault = history_begin(h, err);

    if (fault != FAULT_NONE)
        return fault;
    fault = database_fault(h->db, finish(h, wall_ns), err);
    if (fault != FAULT_NONE)
        return fault;
    h->in_transaction = false;
    h->uncommitted = 0;
    h->uncommitted_bytes = 0;
    if (h->log_pages >= fit_log(h))
        checkpoint(h);
    return FAULT_NONE;
}

bool history_is_settled(const struct history *h)
{
    return tally_is_empty(&h->tallies);
}

enum fault history_settle(struct history *h, uint64_t wall_ns, struct err *err)
{
    h->tallied_ns = 0;
    return history_commit(h, wall_ns, err);
}

bool history_is_there(const struct history *h)
{
    struct stat st;

    return stat(h->path, &st) == 0 && st.st_dev == h->device && st.st_ino == h->inode;
}

void history_set_limits(struct history *h, const struct history_limits *limits)
{
    h->limits = *limits;
    h->aged_ns = 0;
}

void history_close(struct history *h)
{
    if (!h)
        return;
    if (h->in_transaction)
        database_run(h->db, "ROLLBACK", NULL);
    database_close(h->db);
    if (h->lock_fd >= 0)
        close(h->lock_fd);
    packer_free(h->packer);
    for (int failed = 0; failed < 2; failed++)
        pack_fini(&h->packs[failed].pack);
    postings_fini(&h->block.postings);
    tally_fini(&h->tallies);
    free(h->path);
    free(h);
}
