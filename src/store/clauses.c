#include "store/clauses.h"

#include <assert.h>

static bool add(struct clauses *c, const char *term, size_t len, bool prefix)
{
    struct clause_term *t;

    if (c->len == CLAUSES_MAX || c->terms_len == CLAUSE_TERMS_MAX)
        return false;
    t = &c->terms[c->terms_len++];
    t->clause = (uint8_t)c->len;
    t->prefix = prefix;
    t->len = (uint8_t)len;
    memcpy(t->bytes, term, len);
    return true;
}

/* A clause of one term. */
static bool add_value(struct clauses *c, enum term_kind kind, struct span value)
{
    char term[TERM_MAX];

    if (!add(c, term, terms_write(kind, value, term), false))
        return false;
    c->len++;
    return true;
}

static bool add_text(struct clauses *c, enum term_kind kind, const char *value)
{
    return !value || add_value(c, kind, span_of(value));
}

static bool add_verdicts(struct clauses *c, const struct browse_query *q)
{
    if (!q->verdicts)
        return true;
    for (unsigned i = 0; i < q->verdicts_len; i++) {
        char term[TERM_MAX];

        if (!add(c, term, terms_write(TERM_VERDICT, span_of(q->verdicts[i]), term), false))
            return false;
    }
    c->len++;
    return true;
}

/* One more term of the clause that is being made. */
static bool add_choice(struct clauses *c, enum term_kind kind, struct span value, bool prefix)
{
    char term[TERM_MAX];

    return add(c, term, terms_write(kind, value, term), prefix);
}

/* The port is no term: browse.c looks at it. */
static bool add_target(struct clauses *c, const char *target)
{
    struct span text = span_of(target), port, host;
    bool below = text.len > 1 && text.ptr[0] == '.';

    if (!target)
        return true;
    if (below)
        text = (struct span){text.ptr + 1, text.len - 1};
    host = terms_cut_host(text, &port);
    if (!add_choice(c, TERM_HOST, host, false) ||
        (below && !add_choice(c, TERM_DOMAIN, host, false)))
        return false;
    c->len++;
    return true;
}

/* A word is a word; one with dots may also be the target's host, a domain above it, or the client.
 */
static bool add_word(struct clauses *c, const char *term, size_t len, bool prefix)
{
    struct span value = {term + 1, len - 1};

    if (!add(c, term, len, prefix))
        return false;
    if (span_find(value, '.') >= 0 &&
        (!add_choice(c, TERM_HOST, value, prefix) || !add_choice(c, TERM_DOMAIN, value, prefix) ||
         !add_choice(c, TERM_CLIENT, value, prefix)))
        return false;
    c->len++;
    return true;
}

/* Those that stand for many words come last, as each of these is looked up. */
static bool add_words(struct clauses *c, const char *text, bool prefixes)
{
    struct span rest = span_of(text);
    char term[TERM_MAX];
    bool prefix;
    size_t len;

    while (text && (len = terms_next_word(&rest, term, &prefix)) > 0)
        if (prefix == prefixes && !add_word(c, term, len, prefix))
            return false;
    return true;
}

bool clauses_make(struct clauses *c, const struct browse_query *q, struct err *err)
{
    c->len = c->terms_len = 0;
    /* those that few flows meet come first: the others are not looked up where none is left */
    if (add_words(c, q->text, false) && add_target(c, q->target) &&
        add_text(c, TERM_USER, q->user) && add_text(c, TERM_CLIENT, q->client) &&
        add_text(c, TERM_RULE, q->rule) && add_verdicts(c, q) &&
        (!q->failed || add_value(c, TERM_FAILED, SPAN_LIT(""))) &&
        add_text(c, TERM_IN, q->ended_in) && add_text(c, TERM_BY, q->ended_by) &&
        add_words(c, q->text, true))
        return true;
    err_set(err, "too many words at once");
    return false;
}

static bool is_met(const struct clause_term *t, struct span term)
{
    return (t->prefix ? term.len >= t->len : term.len == t->len) &&
           memcmp(t->bytes, term.ptr, t->len) == 0;
}

bool clauses_match(const struct clauses *c, struct span terms)
{
    uint32_t met = 0;
    struct span term;
    size_t at = 0;

    static_assert(CLAUSES_MAX <= 32, "a bit for each");
    while (terms_next(terms, &at, &term))
        for (unsigned i = 0; i < c->terms_len; i++)
            if (is_met(&c->terms[i], term))
                met |= 1u << c->terms[i].clause;
    return c->len == 0 || met == (uint32_t)((1ull << c->len) - 1);
}
