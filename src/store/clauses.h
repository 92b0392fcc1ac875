/* store/clauses.h - what a query asks for, as terms: all clauses have to hold, of each one term.
 *
 * Pure; any thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "store/browse.h"
#include "store/terms.h"

#define CLAUSES_MAX 32
#define CLAUSE_TERMS_MAX 128 /* of all clauses */

struct clause_term {
    uint8_t clause; /* which one it is of */
    bool prefix;    /* stands for all terms that begin so */
    uint8_t len;
    char bytes[TERM_MAX];
};

struct clauses {
    unsigned len; /* how many clauses; 0: everything matches */
    unsigned terms_len;
    struct clause_term terms[CLAUSE_TERMS_MAX];
};

/* False with *err: the query has too many words. */
bool clauses_make(struct clauses *c, const struct browse_query *q, struct err *err);

/* Whether a flow with these terms matches. */
bool clauses_match(const struct clauses *c, struct span terms);
