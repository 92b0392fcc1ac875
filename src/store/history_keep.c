/* What is removed, and in which order: too old a flow in any case; where there is too much, the
 * oldest flows that are fine first (the tallies have counted them), then the oldest failures, then
 * tallies.  An eighth of the room is for the newest that are fine, or a stream of failures would
 * leave nothing else to be seen.  A call removes some of it, so that no commit takes long. */
#include "base/buf.h"
#include "base/clock.h"
#include "store/history_private.h"

#define BLOCKS_AT_ONCE 8
#define AGE_LOOK_NS (60 * NS_PER_S)
#define PAGE 4096u
#define CHUNKS_MAX (16u << 20) /* bytes of a block's terms */
#define VACUUM_PAGES 256       /* given back at once */
#define TALLY_BYTES 64u        /* of a row of tallies, about */
#define TALLY_PART 5           /* their part of the whole, at most: one fifth */
#define GAPS_MOST 1000
#define FINE_PART 8    /* of the room, for the newest flows that are fine */
#define FLOW_BYTES 320 /* of a flow in the file, about */
#define TALLY_STEPS 16 /* their oldest part of so many goes at once */

static int run_with(struct history *h, const char *sql, int64_t a, int64_t b, int64_t c)
{
    const int64_t values[] = {a, b, c};
    sqlite3_stmt *s = database_prepare(h->db, sql, NULL);
    int code;

    if (!s)
        return sqlite3_errcode(h->db);
    for (int i = 0; i < sqlite3_bind_parameter_count(s); i++)
        sqlite3_bind_int64(s, i + 1, values[i]);
    code = sqlite3_step(s);
    sqlite3_finalize(s);
    return code;
}

static int run_all(struct history *h, const char *const *all, unsigned n, int64_t a, int64_t b,
                   int64_t c)
{
    int code = SQLITE_DONE;

    for (unsigned i = 0; i < n && code == SQLITE_DONE; i++)
        code = run_with(h, all[i], a, b, c);
    return code;
}

static int remove_block(struct history *h, int64_t first, int64_t last)
{
    static const char *const all[] = {
        "DELETE FROM flow WHERE seq BETWEEN ?1 AND ?2",
        "DELETE FROM pack WHERE id BETWEEN ?1 AND ?2",
        "DELETE FROM posting WHERE block = ?1",
        "DELETE FROM ids WHERE block = ?1",
        "DELETE FROM block WHERE first = ?1",
    };

    return run_all(h, all, 5, first, last, 0);
}

/* The flows of a block that are left. */
static int read_left(struct history *h, int64_t first, int64_t last, struct bits *left)
{
    sqlite3_stmt *s =
        database_prepare(h->db, "SELECT seq FROM flow WHERE seq BETWEEN ? AND ?", NULL);
    int code = s ? SQLITE_ROW : sqlite3_errcode(h->db);

    *left = (struct bits){0};
    if (s) {
        sqlite3_bind_int64(s, 1, first);
        sqlite3_bind_int64(s, 2, last);
    }
    while (code == SQLITE_ROW && (code = sqlite3_step(s)) == SQLITE_ROW)
        bits_set(left, (unsigned)(sqlite3_column_int64(s, 0) - first) % BLOCK_FLOWS);
    sqlite3_finalize(s);
    return code;
}

/* Reads the chunks of a block into memory, one after the other. */
static int read_chunks(sqlite3_stmt *read, int64_t block, struct buf *out)
{
    int code;

    sqlite3_bind_int64(read, 1, block);
    while ((code = sqlite3_step(read)) == SQLITE_ROW) {
        struct span chunk = database_column(read, 0);

        if (!buf_append(out, chunk.ptr, chunk.len))
            return SQLITE_NOMEM;
    }
    return code;
}

static int write_left(struct history *h, int64_t block, struct span all, const struct bits *left)
{
    struct postings_writer w = {.insert = h->sql.posting, .block = block};
    struct span term, flows;
    int code = SQLITE_DONE;
    size_t at = 0;

    while (code == SQLITE_DONE && postings_next(all, &at, &term, &flows)) {
        struct bits has = {0};

        bits_or_bytes(&has, flows.ptr, flows.len);
        bits_and(&has, left);
        code = postings_put(&w, term, &has);
    }
    return code == SQLITE_DONE ? postings_end(&w) : code;
}

/* Takes the flows that went out of the block's terms. */
static int reduce_postings(struct history *h, int64_t block, const struct bits *left)
{
    sqlite3_stmt *read =
        database_prepare(h->db, "SELECT terms FROM posting WHERE block = ? ORDER BY first", NULL);
    struct buf all;
    int code;

    if (!read)
        return sqlite3_errcode(h->db);
    buf_init(&all, CHUNKS_MAX);
    code = read_chunks(read, block, &all);
    sqlite3_finalize(read);
    if (code == SQLITE_DONE)
        code = run_with(h, "DELETE FROM posting WHERE block = ?1", block, 0, 0);
    if (code == SQLITE_DONE)
        code = write_left(h, block, buf_span(&all), left);
    buf_fini(&all);
    return code;
}

/* Removes the flows of a block that are fine. */
static int remove_fine(struct history *h, int64_t first, int64_t last)
{
    static const char *const all[] = {
        "DELETE FROM flow WHERE seq BETWEEN ?1 AND ?2 AND failed = 0",
        "DELETE FROM pack WHERE id BETWEEN ?1 AND ?2 AND failed = 0",
        "UPDATE block SET fine = 0 WHERE first = ?1",
    };
    struct bits left;
    int code = run_all(h, all, 3, first, last, 0);

    if (code == SQLITE_DONE)
        code = read_left(h, first, last, &left);
    if (code != SQLITE_DONE)
        return code;
    return bits_count(&left) > 0 ? reduce_postings(h, first, &left) : remove_block(h, first, last);
}

/* The oldest block that a condition names; false: there is none. */
static bool find_block(struct history *h, const char *sql, int64_t value, int64_t *first,
                       int64_t *last)
{
    sqlite3_stmt *s = database_prepare(h->db, sql, NULL);
    bool found = false;

    if (s) {
        if (sqlite3_bind_parameter_count(s) > 0)
            sqlite3_bind_int64(s, 1, value);
        found = sqlite3_step(s) == SQLITE_ROW;
        *first = found ? sqlite3_column_int64(s, 0) : 0;
        *last = found ? sqlite3_column_int64(s, 1) : 0;
    }
    sqlite3_finalize(s);
    return found;
}

static int remove_tallies(struct history *h, int64_t before_minute)
{
    int code = SQLITE_DONE;

    for (enum tally_kind kind = 0; kind < TALLY_COUNT && code == SQLITE_DONE; kind++) {
        sqlite3_stmt *s =
            database_prepare(h->db, "DELETE FROM tally WHERE kind = ? AND minute < ?", NULL);

        if (!s)
            return sqlite3_errcode(h->db);
        database_bind_text(s, 1, span_of(tally_kind_name(kind)));
        sqlite3_bind_int64(s, 2, before_minute);
        code = sqlite3_step(s);
        sqlite3_finalize(s);
        h->tallies.rows -= (uint64_t)sqlite3_changes(h->db) < h->tallies.rows
                               ? (uint64_t)sqlite3_changes(h->db)
                               : h->tallies.rows;
    }
    return code;
}

static int remove_oldest_tallies(struct history *h)
{
    int64_t oldest = database_ask(h->db, "SELECT min(minute) FROM tally WHERE kind = 'verdict'", 0);
    int64_t newest = database_ask(h->db, "SELECT max(minute) FROM tally WHERE kind = 'verdict'", 0);

    return remove_tallies(h, oldest + (newest - oldest) / TALLY_STEPS + 1);
}

/* ---- age */

/* In a block that is too old in part: the packs whose flows are. */
static int remove_old_packs(struct history *h, int64_t first, int64_t last, int64_t before_us)
{
    static const char *const all[] = {
        "DELETE FROM pack WHERE id BETWEEN ?1 AND ?2 AND"
        " (SELECT ended_us FROM flow WHERE seq = pack.id) < ?3",
        "DELETE FROM flow WHERE seq BETWEEN ?1 AND ?2 AND"
        " pack NOT IN (SELECT id FROM pack WHERE id BETWEEN ?1 AND ?2)",
        "UPDATE block SET ended_min = ?3, fine = (SELECT count(*) FROM flow WHERE seq BETWEEN ?1 "
        "AND"
        " ?2 AND failed = 0) WHERE first = ?1",
    };

    return run_all(h, all, 3, first, last, before_us);
}

static int remove_old(struct history *h, int64_t before_us)
{
    int64_t first, last;
    int code = SQLITE_DONE;

    if (h->block.flows > 0 && h->block.ended_min < before_us)
        code = history_write_block(h);
    for (unsigned n = 0; n < BLOCKS_AT_ONCE && code == SQLITE_DONE; n++) {
        if (!find_block(h,
                        "SELECT first, last FROM block WHERE ended_max < ? ORDER BY first LIMIT 1",
                        before_us, &first, &last))
            break;
        code = remove_block(h, first, last);
        if (n == BLOCKS_AT_ONCE - 1)
            h->aged_ns = 0; /* there may be more */
    }
    if (code == SQLITE_DONE &&
        find_block(h, "SELECT first, last FROM block WHERE ended_min < ? ORDER BY first LIMIT 1",
                   before_us, &first, &last))
        code = remove_old_packs(h, first, last, before_us);
    if (code == SQLITE_DONE)
        code = remove_tallies(h, before_us / 60000000);
    if (code == SQLITE_DONE)
        code = run_with(h, "DELETE FROM gap WHERE at_us < ?", before_us, 0, 0);
    return code;
}

/* Looks once a minute. */
static int keep_age(struct history *h, uint64_t wall_ns)
{
    if (wall_ns >= h->aged_ns && wall_ns - h->aged_ns < AGE_LOOK_NS)
        return SQLITE_DONE;
    h->aged_ns = wall_ns;
    if (h->limits.keep_ns == 0 || wall_ns < h->limits.keep_ns)
        return run_with(h, "DELETE FROM gap WHERE rowid <= (SELECT max(rowid) FROM gap) - ?1",
                        GAPS_MOST, 0, 0);
    return remove_old(h, (int64_t)((wall_ns - h->limits.keep_ns) / NS_PER_US));
}

/* ---- size */

static int64_t count_pages(struct history *h)
{
    return database_ask(h->db, "PRAGMA page_count", 0);
}

static int64_t count_free(struct history *h)
{
    return database_ask(h->db, "PRAGMA freelist_count", 0);
}

/* Pages of the file, so that it and the write-ahead log stay below the limit. */
static int64_t fit_pages(const struct history *h)
{
    uint64_t pages = h->limits.max_bytes / PAGE, apart = pages / 3;

    return (int64_t)(pages - (apart < 4096 ? apart : 4096));
}

/* Whether there are more flows that are fine than have room in any case. */
static bool has_old_fine(struct history *h)
{
    int64_t fine = database_ask(h->db, "SELECT sum(fine) FROM block", 0);

    return (uint64_t)fine > h->limits.max_bytes / FINE_PART / FLOW_BYTES;
}

/* One step; *done when nothing is left to be removed. */
static int remove_something(struct history *h, bool *done)
{
    int64_t first, last;

    if (h->tallies.rows * TALLY_BYTES > h->limits.max_bytes / TALLY_PART)
        return remove_oldest_tallies(h);
    if (has_old_fine(h) &&
        find_block(h, "SELECT first, last FROM block WHERE fine > 0 ORDER BY first LIMIT 1", 0,
                   &first, &last))
        return remove_fine(h, first, last);
    if (find_block(h, "SELECT first, last FROM block ORDER BY first LIMIT 1", 0, &first, &last))
        return remove_block(h, first, last);
    if (h->block.flows > 0)
        return history_write_block(h);
    *done = h->tallies.rows == 0;
    return *done ? SQLITE_DONE : remove_oldest_tallies(h);
}

static int keep_size(struct history *h)
{
    int64_t most = fit_pages(h);
    bool done = false;
    int code = SQLITE_DONE;

    for (unsigned n = 0; n < BLOCKS_AT_ONCE && code == SQLITE_DONE && !done; n++) {
        if (count_pages(h) - count_free(h) <= most)
            break;
        code = history_write_tallies(h);
        if (code == SQLITE_DONE)
            code = remove_something(h, &done);
    }
    return code;
}

/* Gives pages back when the file is too large for its limit, or mostly empty. */
static int give_back(struct history *h)
{
    int64_t pages = count_pages(h), unused = count_free(h), most = fit_pages(h);
    char sql[64];

    if (unused == 0 || (unused < pages / 2 && (h->limits.max_bytes == 0 || pages <= most)))
        return SQLITE_DONE;
    sqlite3_snprintf(sizeof sql, sql, "PRAGMA incremental_vacuum(%d)", VACUUM_PAGES);
    int code = sqlite3_exec(h->db, sql, NULL, NULL, NULL);
    return code == SQLITE_OK ? SQLITE_DONE : code;
}

int history_keep_limits(struct history *h, uint64_t wall_ns)
{
    int code = keep_age(h, wall_ns);

    if (code == SQLITE_DONE && h->limits.max_bytes > 0)
        code = keep_size(h);
    return code == SQLITE_DONE ? give_back(h) : code;
}
