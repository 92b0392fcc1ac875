/* What a transaction of the history writes: rows of flows, packs, blocks, tallies. */
#include "store/history_private.h"

int history_write_mark(struct history *h, const char *name, int64_t value)
{
    database_bind_text(h->sql.mark, 1, span_of(name));
    sqlite3_bind_int64(h->sql.mark, 2, value);
    return database_step_once(h->sql.mark);
}

int history_write_pack(struct history *h, bool failed)
{
    struct history_pack *k = &h->packs[failed];
    struct span bytes;
    int code;

    if (k->pack.flows == 0)
        return SQLITE_DONE;
    bytes = packer_close(h->packer, &k->pack);
    if (!bytes.ptr)
        return SQLITE_NOMEM;
    sqlite3_bind_int64(h->sql.pack, 1, k->id);
    sqlite3_bind_int(h->sql.pack, 2, failed);
    sqlite3_bind_int(h->sql.pack, 3, (int)k->pack.flows);
    database_bind_blob(h->sql.pack, 4, bytes.ptr, bytes.len);
    code = database_step_once(h->sql.pack);
    pack_clear(&k->pack);
    return code;
}

int history_write_tallies(struct history *h)
{
    int code;

    if (tally_is_empty(&h->tallies))
        return SQLITE_DONE;
    code = tally_write(&h->tallies, &h->sql.tally);
    return code == SQLITE_DONE ? history_write_mark(h, "tallied", h->next - 1) : code;
}

static int write_block_row(struct history *h)
{
    struct history_block *b = &h->block;
    sqlite3_stmt *s = h->sql.block;

    sqlite3_bind_int64(s, 1, b->first);
    sqlite3_bind_int64(s, 2, b->first + b->flows - 1);
    sqlite3_bind_int64(s, 3, b->fine);
    sqlite3_bind_int64(s, 4, b->failures);
    sqlite3_bind_int64(s, 5, b->ended_min);
    sqlite3_bind_int64(s, 6, b->ended_max);
    return database_step_once(s);
}

static int write_ids(struct history *h)
{
    struct history_block *b = &h->block;

    sqlite3_bind_int64(h->sql.ids, 1, b->first);
    database_bind_blob(h->sql.ids, 2, b->ids, b->flows * sizeof b->ids[0]);
    return database_step_once(h->sql.ids);
}

int history_write_block(struct history *h)
{
    struct history_block *b = &h->block;
    int code = SQLITE_DONE;

    if (b->flows == 0)
        return code;
    for (int failed = 0; failed < 2 && code == SQLITE_DONE; failed++)
        code = history_write_pack(h, failed);
    if (code == SQLITE_DONE)
        code = postings_write(&b->postings, h->sql.posting, b->first);
    if (code == SQLITE_DONE)
        code = write_block_row(h);
    if (code == SQLITE_DONE)
        code = write_ids(h);
    if (code == SQLITE_DONE)
        code = history_write_mark(h, "indexed", b->first + b->flows - 1);
    b->first += b->flows;
    b->flows = b->fine = b->failures = 0;
    return code;
}

int history_write_place(struct history *h, uint64_t id, int64_t ended_us, bool failed,
                        struct span terms)
{
    struct history_block *b = &h->block;

    if (!postings_add(&b->postings, terms, b->flows))
        return SQLITE_NOMEM;
    if (b->flows == 0)
        b->ended_min = b->ended_max = ended_us;
    b->ended_min = ended_us < b->ended_min ? ended_us : b->ended_min;
    b->ended_max = ended_us > b->ended_max ? ended_us : b->ended_max;
    b->ids[b->flows++] = id;
    b->fine += !failed;
    b->failures += failed;
    return b->flows == BLOCK_FLOWS ? history_write_block(h) : SQLITE_DONE;
}

bool history_write_count(struct history *h, const struct history_counted *c)
{
    struct tally_row row = {.minute = c->ended_us / 60000000,
                            .flows = 1,
                            .failures = c->failed,
                            .bytes_up = c->bytes_up,
                            .bytes_down = c->bytes_down};

    for (enum tally_kind kind = 0; kind < TALLY_COUNT; kind++) {
        row.name = c->names[kind];
        if (!tally_add(&h->tallies, kind, &row))
            return false;
    }
    return true;
}
