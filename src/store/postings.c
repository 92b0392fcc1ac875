#include "store/postings.h"

#include <assert.h>
#include <stdlib.h>

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

int postings_end(struct postings_writer *w)
{
    if (w->len == 0)
        return SQLITE_DONE;
    sqlite3_bind_int64(w->insert, 1, w->block);
    database_bind_blob(w->insert, 2, w->first, w->first_len);
    database_bind_blob(w->insert, 3, w->chunk, w->len);
    w->len = 0;
    return database_step_once(w->insert);
}

static void put_bytes(struct postings_writer *w, const void *bytes, size_t len)
{
    w->chunk[w->len] = (char)len;
    memcpy(w->chunk + w->len + 1, bytes, len);
    w->len += 1 + len;
}

int postings_put(struct postings_writer *w, struct span term, const struct bits *flows)
{
    unsigned char bytes[BITS_LEN];
    size_t len = bits_write(flows, bytes);
    int code = SQLITE_DONE;

    assert(term.len <= TERM_MAX);
    if (len == 0)
        return code;
    if (w->len + 2 + term.len + len > sizeof w->chunk)
        code = postings_end(w);
    if (w->len == 0) {
        memcpy(w->first, term.ptr, term.len);
        w->first_len = term.len;
    }
    put_bytes(w, term.ptr, term.len);
    put_bytes(w, bytes, len);
    return code;
}

static bool take_bytes(struct span chunk, size_t *at, struct span *bytes)
{
    size_t len;

    if (*at >= chunk.len)
        return false;
    len = (unsigned char)chunk.ptr[*at];
    if (len > chunk.len - *at - 1)
        return false;
    *bytes = (struct span){chunk.ptr + *at + 1, len};
    *at += 1 + len;
    return true;
}

bool postings_next(struct span chunk, size_t *at, struct span *term, struct span *flows)
{
    return take_bytes(chunk, at, term) && term->len > 0 && term->len <= TERM_MAX &&
           take_bytes(chunk, at, flows);
}

static int write_all(struct postings *p, struct postings_writer *w, uint32_t *order,
                     const uint32_t *ends, const uint16_t *flows)
{
    int code = SQLITE_DONE;

    for (uint32_t i = 0; i < p->terms.len; i++)
        order[i] = i;
    qsort_r(order, p->terms.len, sizeof *order, compare_terms, &p->terms);
    for (uint32_t i = 0; i < p->terms.len && code == SQLITE_DONE; i++) {
        uint32_t term = order[i];
        struct bits bits = {0};

        for (uint32_t n = term ? ends[term - 1] : 0; n < ends[term]; n++)
            bits_set(&bits, flows[n]);
        code = postings_put(w, bag_get(&p->terms, term), &bits);
    }
    return code == SQLITE_DONE ? postings_end(w) : code;
}

int postings_write(struct postings *p, sqlite3_stmt *insert, int64_t block)
{
    uint32_t *order = malloc((2 * p->terms.len + 1) * sizeof *order);
    uint32_t *ends = order ? order + p->terms.len : NULL;
    uint16_t *flows = ends ? sort_flows(p, ends) : NULL;
    struct postings_writer w = {.insert = insert, .block = block};
    int code = flows ? write_all(p, &w, order, ends, flows) : SQLITE_NOMEM;

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
