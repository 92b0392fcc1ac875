/* store/postings.h - the terms of the flows of one block, gathered in memory until it is full.
 *
 * One thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "store/bag.h"
#include "store/bits.h"
#include "store/database.h"

struct postings {
    struct bag terms;
    struct posting {
        uint32_t term; /* its number in the bag */
        uint16_t flow; /* its place in the block */
    } * all;           /* in the order of the flows */
    uint32_t len, cap;
};

/* Adds the terms (terms.h) of one more flow; false when memory is out. */
bool postings_add(struct postings *p, struct span terms, unsigned flow);

/* Writes what was gathered as rows of the block, in the order of the terms, and empties it.
 * `insert` takes block, term and flows.  An SQLite code. */
int postings_write(struct postings *p, sqlite3_stmt *insert, int64_t block);

void postings_clear(struct postings *p);
void postings_fini(struct postings *p);
