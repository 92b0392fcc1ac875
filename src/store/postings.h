/* store/postings.h - which flows of a block have a term: gathered in memory until the block is
 * full, and kept as chunks of the sorted terms with their flows.
 *
 * A chunk is a row of the database: its key is the block and its first term.  One thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "store/bag.h"
#include "store/bits.h"
#include "store/database.h"
#include "store/terms.h"

/* Bytes of a chunk: what a page of an index holds of a row by itself. */
#define POSTINGS_CHUNK 900

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

/* Writes what was gathered as chunks of the block, and empties it.  `insert` takes block, first
 * term and chunk.  An SQLite code. */
int postings_write(struct postings *p, sqlite3_stmt *insert, int64_t block);

void postings_clear(struct postings *p);
void postings_fini(struct postings *p);

/* Writes chunks term by term, in their order: zeroed but for the first two. */
struct postings_writer {
    sqlite3_stmt *insert;
    int64_t block;
    size_t len, first_len;
    char first[TERM_MAX], chunk[POSTINGS_CHUNK];
};
/* A term without flows is left out.  An SQLite code. */
int postings_put(struct postings_writer *w, struct span term, const struct bits *flows);
int postings_end(struct postings_writer *w);

/* Steps through a chunk: start with *at = 0; false at the end (or where it is damaged).  `flows`
 * are bytes for bits_or_bytes. */
bool postings_next(struct span chunk, size_t *at, struct span *term, struct span *flows);
