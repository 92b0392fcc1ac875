#include "policy/conditions.h"

#include <stdlib.h>

static unsigned verdict(bool met, bool negated)
{
    return met != negated ? 0 : CONDITIONS_NO;
}

/* What will never be known must not let anybody pass: it does not meet an allow, negated or not; a
 * deny is met by "not these", since it cannot be shown to be one of these. */
static unsigned unknowable(const struct access_rule *rule, bool negated)
{
    return negated && !rule->allow ? 0 : CONDITIONS_NO;
}

static bool places_name(const struct conditions_places *p, struct span host)
{
    if (domains_has(&p->names, host))
        return true;
    for (unsigned i = 0; i < p->lists_len; i++)
        if (domains_has(&p->lists[i]->names, host))
            return true;
    return false;
}

static bool places_hold(const struct conditions_places *p, const struct addr *a)
{
    if (cidr_has(&p->networks, a))
        return true;
    for (unsigned i = 0; i < p->lists_len; i++)
        if (cidr_has(&p->lists[i]->networks, a))
            return true;
    return false;
}

/* In doubt about an address in disguise a rule reads against the client: an allow is met only by
 * what the address surely is, a deny by all that it may be; turned round where the condition is
 * negated. */
static bool places_hold_forms(const struct access_rule *rule, const struct conditions_places *p,
                              const struct classes_forms *f)
{
    bool wide = rule->allow == p->negated;
    unsigned len = wide ? f->len : f->same;

    if (p->classes & (wide ? f->wide : f->narrow))
        return true;
    for (unsigned i = 0; i < len; i++)
        if (places_hold(p, &f->form[i]))
            return true;
    return false;
}

static unsigned match_from(const struct access_rule *rule, const struct conditions_request *r)
{
    const struct conditions_places *p = &rule->conditions->from;

    if (!p->set)
        return 0;
    return verdict(p->any || places_hold_forms(rule, p, &r->client), p->negated);
}

static bool is_named(const struct conditions_places *p, const struct conditions_request *r)
{
    return p->any || (r->query->addr.family == 0 && places_name(p, r->query->host));
}

static unsigned match_to(const struct access_rule *rule, const struct conditions_request *r)
{
    const struct conditions_places *p = &rule->conditions->to;

    if (!p->set)
        return 0;
    if (is_named(p, r) || !p->by_address)
        return verdict(is_named(p, r), p->negated);
    if (r->target.len > 0)
        return verdict(places_hold_forms(rule, p, &r->target), p->negated);
    return r->query->no_resolve || r->is_last ? unknowable(rule, p->negated) : CONDITIONS_ADDRESS;
}

static unsigned match_port(const struct access_conditions *c, uint16_t port)
{
    bool met = false;

    if (!c->ports)
        return 0;
    for (unsigned i = 0; i < c->ports_len && !met; i++)
        met = port >= c->ports[i].from && port <= c->ports[i].to;
    return verdict(met, c->ports_negated);
}

static bool has_word(char *const *words, unsigned len, struct span word)
{
    for (unsigned i = 0; i < len; i++)
        if (span_equal(word, span_of(words[i])))
            return true;
    return false;
}

static unsigned match_method(const struct access_conditions *c, struct span method)
{
    return c->methods ? verdict(has_word(c->methods, c->methods_len, method), c->methods_negated)
                      : 0;
}

static unsigned match_user(const struct access_rule *rule, const struct conditions_request *r)
{
    const struct access_conditions *c = rule->conditions;
    const char *user = r->query->user;
    unsigned bits = 0;

    if (!c->users && !c->authenticated)
        return 0;
    if (!user && r->query->can_login && !r->is_last)
        return CONDITIONS_USER;
    if (c->users)
        bits |= user ? verdict(has_word(c->users, c->users_len, span_of(user)), c->users_negated)
                     : unknowable(rule, c->users_negated);
    if (c->authenticated)
        bits |= user ? verdict(true, c->authenticated_negated)
                     : unknowable(rule, c->authenticated_negated);
    return bits;
}

unsigned conditions_match(const struct access_rule *rule, const struct conditions_request *r)
{
    const struct access_conditions *c = rule->conditions;
    unsigned bits;

    if (c->is_private && r->query->exempt_private)
        return CONDITIONS_NO;
    bits = match_port(c, r->query->port) | match_method(c, r->query->method);
    if (c->hours)
        bits |= verdict(hours_has(c->hours, r->query->week_minute), c->hours_negated);
    if (!(bits & CONDITIONS_NO)) /* the dearer ones only when the others hold */
        bits |= match_from(rule, r) | match_user(rule, r);
    if (!(bits & CONDITIONS_NO))
        bits |= match_to(rule, r);
    return bits & CONDITIONS_NO ? CONDITIONS_NO : bits;
}

bool conditions_met_by_address(const struct access_rule *rule, const struct conditions_request *r)
{
    const struct conditions_places *p = &rule->conditions->to;

    return p->set && p->by_address && r->target.len > 0 && !is_named(p, r);
}

static void places_fini(struct conditions_places *p)
{
    for (unsigned i = 0; i < p->lists_len; i++)
        listfile_unref(p->lists[i]);
    free(p->lists);
    cidr_fini(&p->networks);
    domains_fini(&p->names);
}

static void words_free(char **words, unsigned len)
{
    for (unsigned i = 0; i < len; i++)
        free(words[i]);
    free(words);
}

void conditions_free(struct access_conditions *c)
{
    if (!c)
        return;
    places_fini(&c->from);
    places_fini(&c->to);
    words_free(c->methods, c->methods_len);
    words_free(c->users, c->users_len);
    free(c->ports);
    free(c->hours);
    free(c->name);
    free(c->file);
    free(c);
}
