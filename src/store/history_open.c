/* How a history file is opened for writing: locked against a second writer, set aside when it is of
 * no use, and taken up where it ends. */
#include "store/history_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/schema.h"

/* Two writers would number their flows alike.  The lock is on a file of its own: closing another
 * descriptor of the database would drop SQLite's locks. */
static enum fault take_lock(struct history *h, struct err *err)
{
    char path[4096];

    if (snprintf(path, sizeof path, "%s-lock", h->path) >= (int)sizeof path) {
        err_set(err, "%s", strerror(ENAMETOOLONG));
        return FAULT_DENIED;
    }
    h->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (h->lock_fd < 0) {
        err_set(err, "%s", strerror(errno));
        return errno == ENOSPC || errno == EDQUOT ? FAULT_FULL : FAULT_DENIED;
    }
    if (flock(h->lock_fd, LOCK_EX | LOCK_NB) == 0)
        return FAULT_NONE;
    err_set(err, "another viaduct is writing it");
    return FAULT_TAKEN;
}

static bool prepare(struct history *h, struct err *err)
{
    const struct {
        sqlite3_stmt **statement;
        const char *sql;
    } all[] = {
        {&h->sql.begin, "BEGIN IMMEDIATE"},
        {&h->sql.commit, "COMMIT"},
        {&h->sql.flow, "INSERT INTO flow VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?,"
                       " ?, ?, ?)"},
        {&h->sql.pack, "INSERT INTO pack VALUES (?, ?, ?, ?)"},
        {&h->sql.block, "INSERT INTO block VALUES (?, ?, ?, ?, ?, ?)"},
        {&h->sql.ids, "INSERT INTO ids VALUES (?, ?)"},
        {&h->sql.posting, "INSERT INTO posting VALUES (?, ?, ?)"},
        {&h->sql.mark, "REPLACE INTO mark VALUES (?, ?)"},
        {&h->sql.gap, "INSERT INTO gap VALUES (?, ?, ?)"},
    };

    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        *all[i].statement = database_prepare(h->db, all[i].sql, err);
        if (!*all[i].statement)
            return false;
    }
    return tally_prepare(&h->sql.tally, h->db, err);
}

/* The packs of the file are read with the dictionary that it keeps. */
static enum fault make_packer(struct history *h, struct err *err)
{
    sqlite3_stmt *s =
        database_prepare(h->db, "SELECT value FROM mark WHERE name = 'dictionary'", err);
    enum fault fault = FAULT_BROKEN;

    if (s && sqlite3_step(s) == SQLITE_ROW) {
        h->packer = packer_new(database_column(s, 0));
        fault = h->packer ? FAULT_NONE : FAULT_DENIED;
        if (fault != FAULT_NONE)
            err_set(err, "out of memory");
    } else if (s) {
        err_set(err, "a part of it is missing");
    }
    sqlite3_finalize(s);
    return fault;
}

static enum fault open_database(struct history *h, struct err *err)
{
    enum fault fault = database_open(h->path, &h->db, err);
    struct stat st = {0};

    stat(h->path, &st);
    h->device = st.st_dev;
    h->inode = st.st_ino;
    if (fault == FAULT_NONE)
        fault = schema_prepare(h->db, err);
    if (fault == FAULT_NONE)
        fault = make_packer(h, err);
    if (fault == FAULT_NONE && !prepare(h, err))
        fault = FAULT_BROKEN;
    if (fault == FAULT_NONE)
        fault = history_open_restore(h, err);
    return fault;
}

/* Forgets what came of an attempt to open. */
static void reset(struct history *h)
{
    database_close(h->db);
    packer_free(h->packer);
    h->db = NULL;
    h->packer = NULL;
    h->in_transaction = false;
    h->block.flows = h->block.fine = h->block.failures = 0;
    postings_clear(&h->block.postings);
    tally_fini(&h->tallies);
}

/* Renames what is of no use and begins anew; *said tells of both. */
static enum fault begin_anew(struct history *h, enum fault why, uint64_t wall_ns, struct err *said)
{
    struct err reason = *said, aside, err;
    enum fault fault;

    reset(h);
    if (!database_set_aside(h->path, why == FAULT_NEWER ? "newer" : "broken", wall_ns, &aside,
                            &err)) {
        err_set(said, "%s; it %s", reason.text, err.text);
        return FAULT_DENIED;
    }
    fault = open_database(h, &err);
    err_set(said, "%s; it was set aside as %s%s%s", reason.text, aside.text,
            fault == FAULT_NONE ? ", and a new one begun" : ", and no new one could be begun: ",
            fault == FAULT_NONE ? "" : err.text);
    return fault;
}

enum fault history_open(const char *path, const struct history_limits *limits, uint64_t wall_ns,
                        struct history **out, struct err *said)
{
    struct history *h = calloc(1, sizeof *h);
    enum fault fault = FAULT_DENIED;

    *out = NULL;
    err_set(said, "out of memory");
    if (!h)
        return fault;
    h->lock_fd = -1;
    h->path = strdup(path);
    if (h->path) {
        said->text[0] = '\0';
        fault = take_lock(h, said);
        if (fault == FAULT_NONE)
            fault = open_database(h, said);
        if (fault == FAULT_NONE)
            said->text[0] = '\0';
        if (fault == FAULT_BROKEN || fault == FAULT_NEWER)
            fault = begin_anew(h, fault, wall_ns, said);
    }
    if (fault != FAULT_NONE) {
        history_close(h);
        return fault;
    }
    h->limits = *limits;
    sqlite3_wal_hook(h->db, history_note_log, h);
    *out = h;
    return fault;
}

/* The packs of the flows behind the last block, one at a time. */
struct pack_reader {
    sqlite3_stmt *read;
    int64_t is_open; /* the one that the packer has; 0: none */
};

/* The record's terms of such a flow.  An SQLite code. */
static int find_terms(struct history *h, struct pack_reader *r, int64_t id, unsigned slot,
                      struct span *terms)
{
    enum pack_state state = PACK_DAMAGED;
    struct span json;

    if (r->is_open != id) {
        r->is_open = 0;
        sqlite3_bind_int64(r->read, 1, id);
        if (sqlite3_step(r->read) == SQLITE_ROW)
            state = packer_open(h->packer, database_column(r->read, 0));
        sqlite3_reset(r->read);
        if (state != PACK_OPEN)
            return state == PACK_DAMAGED ? SQLITE_CORRUPT : SQLITE_NOMEM;
        r->is_open = id;
    }
    return packer_get(h->packer, slot, &json, terms) ? SQLITE_OK : SQLITE_CORRUPT;
}

/* One row of the flows behind the last block. */
static int restore_row(struct history *h, sqlite3_stmt *row, struct pack_reader *packs,
                       int64_t tallied)
{
    int64_t seq = sqlite3_column_int64(row, 0);
    struct history_counted c = {
        .ended_us = sqlite3_column_int64(row, 2),
        .failed = sqlite3_column_int(row, 3),
        .bytes_up = (uint64_t)sqlite3_column_int64(row, 6),
        .bytes_down = (uint64_t)sqlite3_column_int64(row, 7),
    };
    struct span terms;
    int code;

    for (enum tally_kind kind = 0; kind < TALLY_COUNT; kind++)
        c.names[kind] = database_column(row, 8 + (int)kind);
    if (seq > tallied && !history_write_count(h, &c))
        return SQLITE_NOMEM;
    if (seq < h->block.first)
        return SQLITE_DONE;
    if (seq != h->block.first + h->block.flows)
        return SQLITE_CORRUPT;
    code = find_terms(h, packs, sqlite3_column_int64(row, 4), (unsigned)sqlite3_column_int(row, 5),
                      &terms);
    if (code != SQLITE_OK)
        return code;
    return history_write_place(h, (uint64_t)sqlite3_column_int64(row, 1), c.ended_us, c.failed,
                               terms);
}

static int restore_rows(struct history *h, int64_t tallied, struct err *err)
{
    sqlite3_stmt *row = database_prepare(
        h->db,
        "SELECT seq, id, ended_us, failed, pack, slot, bytes_up, bytes_down, verdict, target,"
        " client, user, rule FROM flow WHERE seq > ? ORDER BY seq",
        err);
    struct pack_reader packs = {
        .read = database_prepare(h->db, "SELECT bytes FROM pack WHERE id = ?", err)};
    int64_t indexed = h->block.first - 1;
    int code = row && packs.read ? SQLITE_ROW : SQLITE_ERROR;

    if (code == SQLITE_ROW)
        sqlite3_bind_int64(row, 1, tallied < indexed ? tallied : indexed);
    while (code == SQLITE_ROW && (code = sqlite3_step(row)) == SQLITE_ROW) {
        int done = restore_row(h, row, &packs, tallied);

        if (done != SQLITE_DONE)
            code = done;
    }
    sqlite3_finalize(row);
    sqlite3_finalize(packs.read);
    return code;
}

enum fault history_open_restore(struct history *h, struct err *err)
{
    int64_t indexed = schema_get_mark(h->db, "indexed", 0);
    int64_t tallied = schema_get_mark(h->db, "tallied", 0);
    int64_t last = database_ask(h->db, "SELECT max(seq) FROM flow", 0);
    int code = database_step_once(h->sql.begin);

    h->in_transaction = code == SQLITE_DONE;
    last = last > indexed ? last : indexed;
    h->next = (last > tallied ? last : tallied) + 1;
    h->block.first = indexed + 1;
    h->tallies.rows = (uint64_t)database_ask(h->db, "SELECT count(*) FROM tally", 0);
    if (code == SQLITE_DONE)
        code = restore_rows(h, tallied, err);
    if (code == SQLITE_DONE && h->block.first + h->block.flows != h->next) {
        /* flows behind the last block went without it: the numbers that they had stay theirs */
        code = history_write_block(h);
        h->block.first = h->next;
        if (code == SQLITE_DONE)
            code = history_write_mark(h, "indexed", h->next - 1);
    }
    if (code == SQLITE_DONE)
        code = database_step_once(h->sql.commit);
    if (code == SQLITE_DONE)
        h->in_transaction = false;
    if (code == SQLITE_CORRUPT) {
        err_set(err, "records of its flows are missing");
        return FAULT_BROKEN;
    }
    return database_fault(h->db, code, err);
}
