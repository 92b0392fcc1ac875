/* store/tally.h - how many flows a minute, and how many bytes: by verdict, target, client, user and
 * rule.
 *
 * Gathered in memory and added to the database now and then.  A minute has 64 names of a kind at
 * most, the busiest of those that come together; the others are counted under "".  One thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "store/bag.h"
#include "store/database.h"

#define TALLY_NAMES 64u

enum tally_kind { TALLY_VERDICT, TALLY_TARGET, TALLY_CLIENT, TALLY_USER, TALLY_RULE, TALLY_COUNT };

/* "verdict", "target", … as in the database. */
const char *tally_kind_name(enum tally_kind kind);

struct tally_row {
    struct span name;
    int64_t minute; /* since 1970 */
    uint64_t flows, failures, bytes_up, bytes_down;
};

struct tally_sum {
    uint64_t flows, failures, bytes_up, bytes_down;
};

struct tallies {
    struct bag keys;        /* minute, kind, name */
    struct tally_sum *sums; /* one a key */
    uint32_t cap;
    uint64_t rows; /* of the database, as far as this thread knows: for retention */
    /* the minute that is being written: the names that it has in the database, a kind in front of
     * each, and what comes without a name */
    int64_t minute;
    struct bag names;
    unsigned names_len[TALLY_COUNT];
    struct tally_sum others[TALLY_COUNT];
};

/* Adds one flow's row (`name` empty: the flow has none of this kind, nothing happens); false when
 * memory is out. */
bool tally_add(struct tallies *t, enum tally_kind kind, const struct tally_row *row);

static inline bool tally_is_empty(const struct tallies *t)
{
    return t->keys.len == 0;
}

/* Statements of a connection. */
struct tally_statements {
    sqlite3_stmt *update, *insert, *names;
};
bool tally_prepare(struct tally_statements *s, sqlite3 *db, struct err *err);

/* Adds what was gathered to the database, in the transaction that is open, and empties it.  An
 * SQLite code. */
int tally_write(struct tallies *t, const struct tally_statements *s);

void tally_fini(struct tallies *t);
