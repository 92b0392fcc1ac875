/* policy/access_term.h - the statements inside a rule: keyword by keyword, from words to
 * conditions.
 *
 * Private to access_build.c, which makes the rules. */
#pragma once

#include "policy/access_build.h"
#include "policy/conditions.h"

/* A `list NAME` of a rule; looked up at the end, when all lists are known. */
struct access_list_ref {
    char *name;
    struct conditions_places *places;
};

struct access_build_rule {
    struct access_rule rule;
    bool off;               /* `deny private off;`: stands for no rule */
    unsigned keywords_seen; /* a bit a keyword */
    struct access_list_ref *refs;
    unsigned refs_len;
};

/* As access_builder_add_term. */
bool access_term_add(struct access_build_rule *rule, const struct span *words, unsigned n,
                     unsigned *bad, struct err *err);

const struct access_keyword *access_term_keywords(unsigned *n);
bool access_term_needs_user(const struct access_build_rule *rule); /* and is not report-only */

/* Room for one more item of `size` bytes behind `len` items of an array that only this grows:
 * doubles at the powers of two.  NULL: out of memory, the array is unchanged. */
void *access_grow(void *items, unsigned len, size_t size);
