/* How a request is decided before everything about it is known.
 *
 * Asking is dear: a DNS query tells the world where somebody wants to go, a login bothers people.
 * So each rule is first held against what is known, and stands in one of four ways: it matches, it
 * does not, or it waits, for a user, for an address, or for both (conditions.h).  Read from the
 * top, the rules that wait may or may not come true; the first that surely matches ends the walk
 * (without one: nothing matched, denied).  So the outcomes that can still be are the kinds, allow
 * or deny, of all rules met on the walk, and its end:
 *
 *   1. None of them is an allow: denied, at once, whatever the rest may be.
 *   2. A rule waits for a user, and a later outcome of the other kind is possible: who it is makes
 * the difference, so the login comes first.  (A later one of the same kind makes none: a client
 * that nobody asks is not asked; rules that wait for a user then do not apply to it.)
 *   3. A rule waits for an address: look it up, judge each address by itself.
 *   4. Else the rule that ended the walk decides, allow by now.
 *
 * Each waiting rule is taken to come true or not by itself; two that contradict each other may cost
 * a needless question, never a wrong answer: the second round knows all, and walks to the first
 * match. */
#include "policy/access.h"

#include <stdlib.h>

#include "policy/access_rules.h"
#include "policy/conditions.h"

enum { DENY_POSSIBLE = 1, ALLOW_POSSIBLE = 2 };

/* What a walk found. */
struct walk {
    const struct access_rule *decided; /* surely matches; NULL: none */
    const struct access_rule *asking;  /* the first that needs a user */
    unsigned possible, waiting_user;   /* kinds: of all outcomes, of rules that wait for a user */
    bool user_matters, address_matters;
};

static unsigned kind_of(bool allow)
{
    return allow ? ALLOW_POSSIBLE : DENY_POSSIBLE;
}

/* One more outcome is possible: it differs from what a user could bring about above. */
static void walk_add_outcome(struct walk *w, bool allow)
{
    w->possible |= kind_of(allow);
    w->user_matters |= (w->waiting_user & kind_of(!allow)) != 0;
}

static void report(struct access_decision *out, const struct access_rule *rule)
{
    if (out->reported_len < ACCESS_REPORTED_MAX)
        out->reported[out->reported_len++] = rule;
}

static void walk_rules(const struct access *a, const struct conditions_request *r, struct walk *w,
                       struct access_decision *out)
{
    for (unsigned i = 0; i < a->rules_len; i++) {
        const struct access_rule *rule = &a->rules[i];
        unsigned bits = conditions_match(rule, r);

        if (bits & CONDITIONS_NO)
            continue;
        if (rule->report) {
            if (bits == 0)
                report(out, rule);
            continue;
        }
        walk_add_outcome(w, rule->allow);
        if (bits == 0) {
            w->decided = rule;
            return;
        }
        if (bits & CONDITIONS_USER) {
            w->waiting_user |= kind_of(rule->allow);
            w->asking = w->asking ? w->asking : rule;
        } else {
            w->address_matters = true;
        }
    }
    walk_add_outcome(w, false);
}

static void settle(struct access_decision *out, const struct access_rule *rule,
                   const struct conditions_request *r)
{
    out->rule = rule;
    out->outcome = rule && rule->allow ? ACCESS_ALLOW : ACCESS_DENY;
    if (rule && !rule->allow && conditions_met_by_address(rule, r)) {
        out->by_address = true;
        out->class_bits = r->target.wide;
    }
}

static void request_init(struct conditions_request *r, const struct access_query *q,
                         const struct addr *target, bool is_last)
{
    r->query = q;
    r->is_last = is_last;
    classes_forms_of(&q->client, &r->client);
    classes_forms_of(target, &r->target);
}

static void decision_init(struct access_decision *out)
{
    out->rule = NULL;
    out->by_address = false;
    out->class_bits = 0;
    out->reported_len = 0;
}

void access_decide(const struct access *a, const struct access_query *q,
                   struct access_decision *out)
{
    struct conditions_request r;
    struct walk w = {0};

    request_init(&r, q, &q->addr, false);
    decision_init(out);
    walk_rules(a, &r, &w, out);
    if (!(w.possible & ALLOW_POSSIBLE)) {
        settle(out, w.decided, &r);
    } else if (w.user_matters) {
        out->outcome = ACCESS_LOGIN;
        out->rule = w.asking;
    } else if (w.address_matters) {
        out->outcome = ACCESS_RESOLVE;
    } else {
        settle(out, w.decided, &r);
    }
}

void access_decide_address(const struct access *a, const struct access_query *q,
                           const struct addr *addr, struct access_decision *out)
{
    struct conditions_request r;
    struct walk w = {0};

    request_init(&r, q, addr, true);
    decision_init(out);
    walk_rules(a, &r, &w, out);
    settle(out, w.decided, &r);
}

unsigned access_count_rules(const struct access *a)
{
    return a->rules_len;
}

const struct access_rule *access_get_rule(const struct access *a, unsigned i)
{
    return &a->rules[i];
}

int access_rule_matches(const struct access *a, unsigned i, const struct access_query *q,
                        const struct addr *addr)
{
    struct conditions_request r;

    request_init(&r, q, addr ? addr : &q->addr, false);
    unsigned bits = conditions_match(&a->rules[i], &r);
    return bits == 0 ? 1 : bits & CONDITIONS_NO ? 0 : -1;
}

void access_free(struct access *a)
{
    if (!a)
        return;
    for (unsigned i = 0; i < a->rules_len; i++)
        conditions_free(a->rules[i].conditions);
    for (unsigned i = 0; i < a->lists_len; i++) {
        free(a->lists[i].name);
        listfile_unref(a->lists[i].file);
    }
    free(a->rules);
    free(a->lists);
    free(a);
}
