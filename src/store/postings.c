#include "store/postings.h"

#include <stdlib.h>

#include "store/terms.h"

static bool push(struct postings *p, uint32_t term, unsigned flow)
{
    if (p->len == p->cap) {
        uint32_t cap = p->cap ? p->cap * 2 : 1024;
        struct posting *grown = realloc(p->all, cap * sizeof *grown);

        if (!grown)
            return false;
        p->all = grown;
        p->cap = cap;
    }
    p->all[p->len++] = (struct posting){term, (uint16_t)flow};
    return true;
}

bool postings_add(struct postings *p, struct span terms, unsigned flow)
{
    struct span term;
    size_t at = 0;

    while (terms_next(terms, &at, &term)) {
        uint32_t number = bag_put(&p->terms, term);

        if (number == BAG_NONE || !push(p, number, flow))
            return false;
    }
    return true;
}

/* Sorts what was gathered by term; the flows of each stay in their order.  `ends` gets where each
 * term's postings end.  NULL when memory is out. */
static uint16_t *sort_flows(const struct postings *p, uint32_t *ends)
{
    uint16_t *flows = malloc((p->len + 1) * sizeof *flows);
    uint32_t sum = 0;

    if (!flows)
        return NULL;
    memset(ends, 0, p->terms.len * sizeof *ends);
    for (uint32_t i = 0; i < p->len; i++)
        ends[p->all[i].term]++;
    for (uint32_t i = 0; i < p->terms.len; i++) {
        uint32_t n = ends[i];

        ends[i] = sum; /* where they begin; each that is placed moves it on */
        sum += n;
    }
    for (uint32_t i = 0; i < p->len; i++)
        flows[ends[p->all[i].term]++] = p->all[i].flow;
    return flows;
}

static int compare_terms(const void *a, const void *b, void *arg)
{
    struct span x = bag_get(arg, *(const uint32_t *)a), y = bag_get(arg, *(const uint32_t *)b);
    int order = memcmp(x.ptr, y.ptr, x.len < y.len ? x.len : y.len);

    return order ? order : (x.len > y.len) - (x.len < y.len);
}

static int write_term(sqlite3_stmt *insert, int64_t block, struct span term, const uint16_t *flows,
                      uint32_t n)
{
    unsigned char bytes[BITS_LEN];
    struct bits bits = {0};

    for (uint32_t i = 0; i < n; i++)
        bits_set(&bits, flows[i]);
    sqlite3_bind_int64(insert, 1, block);
    database_bind_blob(insert, 2, term.ptr, term.len);
    database_bind_blob(insert, 3, bytes, bits_write(&bits, bytes));
    return database_step_once(insert);
}

static int write_all(struct postings *p, sqlite3_stmt *insert, int64_t block, uint32_t *order,
                     const uint32_t *ends, const uint16_t *flows)
{
    int code = SQLITE_DONE;

    for (uint32_t i = 0; i < p->terms.len; i++)
        order[i] = i;
    qsort_r(order, p->terms.len, sizeof *order, compare_terms, &p->terms);
    for (uint32_t i = 0; i < p->terms.len && code == SQLITE_DONE; i++) {
        uint32_t term = order[i], from = term ? ends[term - 1] : 0;

        code = write_term(insert, block, bag_get(&p->terms, term), flows + from, ends[term] - from);
    }
    return code;
}

int postings_write(struct postings *p, sqlite3_stmt *insert, int64_t block)
{
    uint32_t *order = malloc((2 * p->terms.len + 1) * sizeof *order);
    uint32_t *ends = order ? order + p->terms.len : NULL;
    uint16_t *flows = ends ? sort_flows(p, ends) : NULL;
    int code = flows ? write_all(p, insert, block, order, ends, flows) : SQLITE_NOMEM;

    free(order);
    free(flows);
    postings_clear(p);
    return code;
}

void postings_clear(struct postings *p)
{
    bag_clear(&p->terms);
    p->len = 0;
}

void postings_fini(struct postings *p)
{
    bag_fini(&p->terms);
    free(p->all);
    *p = (struct postings){0};
}
