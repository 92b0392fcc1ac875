/* A search goes through the flows from the newest on: first those behind the last block, one by
 * one; then block by block, by the bits of the terms. */
#include "store/browse.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/num.h"
#include "store/bits.h"
#include "store/clauses.h"
#include "store/pack.h"
#include "store/postings.h"
#include "store/schema.h"

#define ROW_COLUMNS "seq, id, ended_us, failed, own_answer, verdict, reason, pack, slot, target"

struct browse {
    sqlite3 *db;
    struct packer *packer;
    int64_t open_pack; /* the one that the packer has; 0: none */
    struct {
        sqlite3_stmt *begin, *end, *pack, *row, *down, *up, *blocks, *terms;
    } sql;
};

static bool prepare(struct browse *b, struct err *err)
{
    const struct {
        sqlite3_stmt **statement;
        const char *sql;
    } all[] = {
        {&b->sql.begin, "BEGIN"},
        {&b->sql.end, "COMMIT"},
        {&b->sql.pack, "SELECT bytes FROM pack WHERE id = ?"},
        {&b->sql.row, "SELECT " ROW_COLUMNS " FROM flow WHERE seq = ?"},
        {&b->sql.down,
         "SELECT " ROW_COLUMNS " FROM flow WHERE seq >= ? AND seq < ? ORDER BY seq DESC"},
        {&b->sql.up, "SELECT " ROW_COLUMNS " FROM flow WHERE seq > ? ORDER BY seq"},
        {&b->sql.blocks, "SELECT first, last, ended_min, ended_max FROM block WHERE first < ? AND"
                         " last > ? ORDER BY first DESC"},
        {&b->sql.terms, "SELECT terms FROM posting WHERE block = ?1 AND first < ?3 AND first >="
                        " coalesce((SELECT max(first) FROM posting WHERE block = ?1 AND"
                        " first <= ?2), ?2) ORDER BY first"},
    };

    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        *all[i].statement = database_prepare(b->db, all[i].sql, err);
        if (!*all[i].statement)
            return false;
    }
    return true;
}

static bool make_packer(struct browse *b, struct err *err)
{
    sqlite3_stmt *s =
        database_prepare(b->db, "SELECT value FROM mark WHERE name = 'dictionary'", err);

    if (s && sqlite3_step(s) == SQLITE_ROW)
        b->packer = packer_new(database_column(s, 0));
    if (s && !b->packer)
        err_set(err, "a part of it is missing");
    sqlite3_finalize(s);
    return b->packer != NULL;
}

struct browse *browse_open(const char *path, enum fault *fault, struct err *err)
{
    struct browse *b = calloc(1, sizeof *b);

    *fault = FAULT_DENIED;
    if (!b) {
        err_set(err, "out of memory");
        return NULL;
    }
    *fault = database_open_read_only(path, &b->db, err);
    if (*fault == FAULT_NONE)
        *fault = schema_check(b->db, err);
    if (*fault == FAULT_NONE && (!prepare(b, err) || !make_packer(b, err)))
        *fault = FAULT_BROKEN;
    if (*fault == FAULT_NONE)
        return b;
    browse_close(b);
    return NULL;
}

void browse_close(struct browse *b)
{
    if (!b)
        return;
    database_close(b->db);
    packer_free(b->packer);
    free(b);
}

/* ---- one flow */

/* A search under way. */
struct search {
    struct browse *b;
    const struct browse_query *q;
    struct clauses clauses;
    struct span port; /* the target's; without a pointer: any */
    browse_fn fn;
    void *arg;
    bool enough;
    int code;
};

/* The record in a flow's row.  SQLITE_CORRUPT: it is not there, which a whole file does not have.
 */
static int open_record(struct browse *b, sqlite3_stmt *row, struct span *json, struct span *terms)
{
    int64_t id = sqlite3_column_int64(row, 7);
    enum pack_state state = PACK_DAMAGED;

    if (b->open_pack != id) {
        b->open_pack = 0;
        sqlite3_bind_int64(b->sql.pack, 1, id);
        if (sqlite3_step(b->sql.pack) == SQLITE_ROW)
            state = packer_open(b->packer, database_column(b->sql.pack, 0));
        sqlite3_reset(b->sql.pack);
        if (state != PACK_OPEN)
            return state == PACK_DAMAGED ? SQLITE_CORRUPT : SQLITE_NOMEM;
        b->open_pack = id;
    }
    return packer_get(b->packer, (unsigned)sqlite3_column_int(row, 8), json, terms)
               ? SQLITE_OK
               : SQLITE_CORRUPT;
}

/* What no terms say: the moment, and the target's port. */
static bool is_meant(const struct search *s, sqlite3_stmt *row)
{
    uint64_t ended_us = (uint64_t)sqlite3_column_int64(row, 2);
    struct span port;

    if (ended_us < s->q->since_us || (s->q->until_us && ended_us >= s->q->until_us))
        return false;
    if (!s->port.ptr)
        return true;
    terms_cut_host(database_column(row, 9), &port);
    return span_equal(port, s->port);
}

/* Hands out the flow of a row if it matches; `sure`: its terms are known to. */
static void take_row(struct search *s, sqlite3_stmt *row, bool sure)
{
    struct browse_row r = {
        .seq = sqlite3_column_int64(row, 0),
        .id = (uint64_t)sqlite3_column_int64(row, 1),
        .ended_us = (uint64_t)sqlite3_column_int64(row, 2),
        .failed = sqlite3_column_int(row, 3),
        .own_answer = sqlite3_column_int(row, 4),
        .verdict = database_column(row, 5),
    };
    struct span terms;

    if (!is_meant(s, row))
        return;
    if (sqlite3_column_type(row, 6) != SQLITE_NULL)
        r.reason = database_column(row, 6);
    s->code = open_record(s->b, row, &r.json, &terms);
    if (s->code != SQLITE_OK)
        return;
    if (sure || clauses_match(&s->clauses, terms))
        s->enough = !s->fn(s->arg, &r);
}

/* The rows of a statement, until there is enough. */
static void take_rows(struct search *s, sqlite3_stmt *rows, bool sure)
{
    int code = SQLITE_DONE;

    while (!s->enough && s->code == SQLITE_OK && (code = sqlite3_step(rows)) == SQLITE_ROW)
        take_row(s, rows, sure);
    sqlite3_reset(rows);
    if (code != SQLITE_ROW && code != SQLITE_DONE)
        s->code = code;
}

/* ---- blocks */

/* Where a term stands to what is looked for: before it, it is it, behind it. */
static int compare_term(const struct clause_term *t, struct span term)
{
    int order = memcmp(term.ptr, t->bytes, term.len < t->len ? term.len : t->len);

    if (order != 0)
        return order;
    return term.len < t->len ? -1 : term.len > t->len && !t->prefix;
}

/* Adds the flows of a chunk's terms that are meant; false: what follows is not any more. */
static bool read_chunk(const struct clause_term *t, struct span chunk, struct bits *flows)
{
    struct span term, bytes;
    size_t at = 0;
    int order = -1;

    while (order <= 0 && postings_next(chunk, &at, &term, &bytes)) {
        order = compare_term(t, term);
        if (order == 0)
            bits_or_bytes(flows, bytes.ptr, bytes.len);
    }
    return order <= 0;
}

/* Adds the flows of a block that have a term, until it has all that are `wanted`. */
static void read_term(struct search *s, int64_t block, const struct clause_term *t,
                      const struct bits *wanted, struct bits *flows)
{
    sqlite3_stmt *chunks = s->b->sql.terms;
    char end[TERM_MAX + 1];
    int code;

    /* the first bytes behind all that is meant: of a beginning, its last byte plus one (never 0xff,
     * as no word ends so); of a whole term, itself and a byte more */
    memcpy(end, t->bytes, t->len);
    end[t->len] = '\0';
    if (t->prefix)
        end[t->len - 1] = (char)(end[t->len - 1] + 1);
    sqlite3_bind_int64(chunks, 1, block);
    database_bind_blob(chunks, 2, t->bytes, t->len);
    database_bind_blob(chunks, 3, end, t->prefix ? t->len : t->len + 1u);
    while ((code = sqlite3_step(chunks)) == SQLITE_ROW)
        if (!read_chunk(t, database_column(chunks, 0), flows) || bits_cover(flows, wanted))
            break;
    sqlite3_reset(chunks);
    if (code != SQLITE_DONE && code != SQLITE_ROW)
        s->code = code;
}

/* The flows of a block that meet all clauses. */
static void read_block(struct search *s, int64_t block, struct bits *flows)
{
    const struct clauses *c = &s->clauses;
    unsigned at = 0;

    memset(flows, 0xff, sizeof *flows);
    for (unsigned clause = 0; clause < c->len && s->code == SQLITE_OK; clause++) {
        struct bits any = {0};

        for (; at < c->terms_len && c->terms[at].clause == clause; at++)
            read_term(s, block, &c->terms[at], flows, &any);
        bits_and(flows, &any);
        if (bits_last(flows, BLOCK_FLOWS) < 0)
            break;
    }
}

static void search_rows(struct search *s, sqlite3_stmt *rows, int64_t from, int64_t before,
                        bool sure)
{
    sqlite3_bind_int64(rows, 1, from);
    if (sqlite3_bind_parameter_count(rows) > 1)
        sqlite3_bind_int64(rows, 2, before);
    take_rows(s, rows, sure);
}

static void search_block(struct search *s, int64_t first, int64_t last, int64_t before)
{
    struct bits flows;
    int64_t end = last + 1 < before ? last + 1 : before;
    int64_t from = first > s->q->after ? first : s->q->after + 1;
    int n = (int)(end - first);

    if (s->clauses.len == 0) {
        search_rows(s, s->b->sql.down, from, end, true);
        return;
    }
    read_block(s, first, &flows);
    while (!s->enough && s->code == SQLITE_OK && (n = bits_last(&flows, (unsigned)n)) >= 0 &&
           first + n >= from)
        search_rows(s, s->b->sql.row, first + n, 0, true);
}

static void search_blocks(struct search *s, int64_t before)
{
    sqlite3_stmt *blocks = s->b->sql.blocks;
    int code = SQLITE_DONE;

    sqlite3_bind_int64(blocks, 1, before);
    sqlite3_bind_int64(blocks, 2, s->q->after);
    while (!s->enough && s->code == SQLITE_OK && (code = sqlite3_step(blocks)) == SQLITE_ROW) {
        int64_t first = sqlite3_column_int64(blocks, 0), last = sqlite3_column_int64(blocks, 1);
        uint64_t ended_min = (uint64_t)sqlite3_column_int64(blocks, 2);
        uint64_t ended_max = (uint64_t)sqlite3_column_int64(blocks, 3);

        if (last < first || last - first >= BLOCK_FLOWS)
            s->code = SQLITE_CORRUPT;
        else if (ended_max >= s->q->since_us && (!s->q->until_us || ended_min < s->q->until_us))
            search_block(s, first, last, before);
    }
    sqlite3_reset(blocks);
    if (code != SQLITE_ROW && code != SQLITE_DONE)
        s->code = code;
}

static bool begin(struct browse *b, struct search *s, struct err *err)
{
    int code = database_step_once(b->sql.begin);

    b->open_pack = 0; /* another state of the file: another pack may have its number */
    if (code != SQLITE_DONE) {
        database_fault(b->db, code, err);
        return false;
    }
    if (s && s->q->target)
        terms_cut_host(span_of(s->q->target), &s->port);
    return !s || clauses_make(&s->clauses, s->q, err);
}

static bool end(struct browse *b, int code, struct err *err)
{
    if (code != SQLITE_OK && code != SQLITE_DONE)
        database_fault(b->db, code, err);
    database_step_once(b->sql.end);
    return code == SQLITE_OK || code == SQLITE_DONE;
}

bool browse_find(struct browse *b, const struct browse_query *q, browse_fn fn, void *arg,
                 struct err *err)
{
    struct search s = {.b = b, .q = q, .fn = fn, .arg = arg, .code = SQLITE_OK};
    int64_t before = q->before > 0 ? q->before : INT64_MAX;

    if (!begin(b, &s, err)) {
        database_step_once(b->sql.end);
        return false;
    }
    int64_t behind = schema_get_mark(b->db, "indexed", 0);
    search_rows(&s, b->sql.down, (behind > q->after ? behind : q->after) + 1, before, false);
    search_blocks(&s, before);
    return end(b, s.code, err);
}

bool browse_follow(struct browse *b, const struct browse_query *q, browse_fn fn, void *arg,
                   struct err *err)
{
    struct search s = {.b = b, .q = q, .fn = fn, .arg = arg, .code = SQLITE_OK};

    if (!begin(b, &s, err)) {
        database_step_once(b->sql.end);
        return false;
    }
    search_rows(&s, b->sql.up, q->after, 0, false);
    return end(b, s.code, err);
}

/* ---- by id */

/* Looks through the ids of a block. */
static void search_ids(struct search *s, int64_t first, struct span ids, uint64_t prefix,
                       unsigned shift)
{
    for (size_t i = ids.len / sizeof(uint64_t); i-- > 0 && !s->enough && s->code == SQLITE_OK;) {
        uint64_t id;

        memcpy(&id, ids.ptr + i * sizeof id, sizeof id);
        if (id >> shift == prefix)
            search_rows(s, s->b->sql.row, first + (int64_t)i, 0, true);
    }
}

static int search_all_ids(struct search *s, uint64_t prefix, unsigned shift, struct err *err)
{
    sqlite3_stmt *tail =
        database_prepare(s->b->db,
                         "SELECT " ROW_COLUMNS
                         " FROM flow WHERE seq > ?1 AND (id >> ?2) & ?3 = ?4 ORDER BY seq DESC",
                         err);
    sqlite3_stmt *blocks =
        database_prepare(s->b->db, "SELECT block, ids FROM ids ORDER BY block DESC", err);
    int code = tail && blocks ? SQLITE_ROW : SQLITE_ERROR;

    if (tail) {
        sqlite3_bind_int64(tail, 1, schema_get_mark(s->b->db, "indexed", 0));
        sqlite3_bind_int(tail, 2, (int)shift);
        sqlite3_bind_int64(tail, 3, (int64_t)(UINT64_MAX >> shift));
        sqlite3_bind_int64(tail, 4, (int64_t)prefix);
        take_rows(s, tail, true);
    }
    while (code == SQLITE_ROW && !s->enough && s->code == SQLITE_OK &&
           (code = sqlite3_step(blocks)) == SQLITE_ROW)
        search_ids(s, sqlite3_column_int64(blocks, 0), database_column(blocks, 1), prefix, shift);
    sqlite3_finalize(tail);
    sqlite3_finalize(blocks);
    return s->code != SQLITE_OK ? s->code : code == SQLITE_ROW ? SQLITE_OK : code;
}

bool browse_get(struct browse *b, struct span digits, browse_fn fn, void *arg, struct err *err)
{
    static const struct browse_query everything = {0};
    struct search s = {.b = b, .q = &everything, .fn = fn, .arg = arg, .code = SQLITE_OK};
    uint64_t prefix;

    if (digits.len == 0 || digits.len > 16 || !num_parse_hex(digits, UINT64_MAX, &prefix)) {
        err_set(err,
                "\"%.*s\" is no id of a flow: that is 16 hexadecimal digits, or the first of "
                "them",
                (int)(digits.len < 64 ? digits.len : 64), digits.ptr);
        return false;
    }
    if (!begin(b, NULL, err))
        return false;
    return end(b, search_all_ids(&s, prefix, 64 - 4 * (unsigned)digits.len, err), err);
}

int64_t browse_get_last(struct browse *b)
{
    int64_t last = database_ask(b->db, "SELECT max(seq) FROM flow", 0);
    int64_t indexed = schema_get_mark(b->db, "indexed", 0);

    return last > indexed ? last : indexed;
}

int64_t browse_get_version(struct browse *b)
{
    return database_ask(b->db, "PRAGMA data_version", -1);
}

void browse_write_file(struct browse *b, char *out, size_t size)
{
    const char *path = sqlite3_db_filename(b->db, "main");
    struct stat st;

    *out = '\0';
    if (path && stat(path, &st) == 0)
        snprintf(out, size, "%llx-%llx", (unsigned long long)st.st_dev,
                 (unsigned long long)st.st_ino);
}

/* ---- sums */

static const char *choose_sums(const struct browse_sums *q)
{
    if (q->by_minute)
        return "SELECT name, minute, flows, failures, bytes_up, bytes_down FROM tally WHERE"
               " kind = ?1 AND minute >= ?2 AND minute < ?3 AND (?4 = 0 OR failures > 0)"
               " ORDER BY minute, name LIMIT ?5";
    if (q->failures)
        return "SELECT name, 0, sum(flows), sum(failures), sum(bytes_up), sum(bytes_down) FROM "
               "tally"
               " WHERE kind = ?1 AND minute >= ?2 AND minute < ?3 AND failures > 0 AND ?4 = ?4"
               " GROUP BY name ORDER BY 4 DESC, name LIMIT ?5";
    return "SELECT name, 0, sum(flows), sum(failures), sum(bytes_up), sum(bytes_down) FROM tally"
           " WHERE kind = ?1 AND minute >= ?2 AND minute < ?3 AND ?4 = ?4"
           " GROUP BY name ORDER BY 3 DESC, name LIMIT ?5";
}

bool browse_sum(struct browse *b, const struct browse_sums *q, browse_sum_fn fn, void *arg,
                struct err *err)
{
    sqlite3_stmt *s = database_prepare(b->db, choose_sums(q), err);
    bool going_on = true;
    int code;

    if (!s)
        return false;
    database_bind_text(s, 1, span_of(tally_kind_name(q->kind)));
    sqlite3_bind_int64(s, 2, q->from);
    sqlite3_bind_int64(s, 3, q->to);
    sqlite3_bind_int(s, 4, q->failures);
    sqlite3_bind_int64(s, 5, q->limit ? (int64_t)q->limit : -1);
    while ((code = sqlite3_step(s)) == SQLITE_ROW && going_on) {
        struct tally_row row = {
            .name = database_column(s, 0),
            .minute = sqlite3_column_int64(s, 1),
            .flows = (uint64_t)sqlite3_column_int64(s, 2),
            .failures = (uint64_t)sqlite3_column_int64(s, 3),
            .bytes_up = (uint64_t)sqlite3_column_int64(s, 4),
            .bytes_down = (uint64_t)sqlite3_column_int64(s, 5),
        };

        going_on = fn(arg, &row);
    }
    sqlite3_finalize(s);
    return database_fault(b->db, code, err) == FAULT_NONE;
}

uint64_t browse_count_lost(struct browse *b, uint64_t since_us, char *why, size_t size)
{
    sqlite3_stmt *s = database_prepare(
        b->db, "SELECT sum(flows), why FROM gap WHERE at_us >= ? GROUP BY why ORDER BY 1 DESC",
        NULL);
    uint64_t sum = 0;

    why[0] = '\0';
    if (!s)
        return 0;
    sqlite3_bind_int64(s, 1, (int64_t)since_us);
    while (sqlite3_step(s) == SQLITE_ROW) {
        struct span text = database_column(s, 1);

        if (sum == 0)
            snprintf(why, size, "%.*s", (int)text.len, text.ptr);
        sum += (uint64_t)sqlite3_column_int64(s, 0);
    }
    sqlite3_finalize(s);
    return sum;
}
