#include "check/intercepted.h"

#include <string.h>

/* What of "name:443" is registered by one owner, roughly: the last two labels.  An address stands
 * for itself. */
static struct span owner_of(const struct flow *f)
{
    struct span host = span_of(f->target);
    unsigned dots = 0;
    size_t from;

    while (host.len > 0 && host.ptr[host.len - 1] != ':')
        host.len--;
    host.len -= host.len > 0;
    if (host.len == 0 || host.ptr[0] == '[' ||
        (host.ptr[host.len - 1] >= '0' && host.ptr[host.len - 1] <= '9'))
        return host;
    for (from = host.len; from > 0; from--)
        if (host.ptr[from - 1] == '.' && ++dots == 2)
            break;
    return (struct span){host.ptr + from, host.len - from};
}

static bool may_be(const struct check_result *r)
{
    return r->certificate.verified && r->certificate.is_local &&
           (r->flow.verdict == VERDICT_OK || r->flow.verdict == VERDICT_TARGET_ERROR);
}

static void revise(struct flow *f, enum certainty certainty, const char *reason)
{
    f->ended_in = PHASE_TLS;
    flow_revise(f, VERDICT_TLS_INTERCEPTED, SIDE_PROXY, certainty, reason);
}

void intercepted_judge_one(struct flow *f, const struct certificate *c)
{
    if (!c->verified || !c->inspector ||
        (f->verdict != VERDICT_OK && f->verdict != VERDICT_TARGET_ERROR))
        return;
    flow_evidence(f, "the certificate's issuer is an inspector's: %s", c->inspector);
    revise(f, CERTAINTY_SEEN, c->inspector);
}

void intercepted_judge(struct check_result *results, unsigned len)
{
    for (unsigned i = 0; i < len; i++) {
        struct check_result *r = &results[i];

        for (unsigned k = 0; k < len && may_be(r); k++) {
            const struct check_result *other = &results[k];

            if (strcmp(r->certificate.issuer, other->certificate.issuer) != 0 ||
                !other->certificate.is_local || !other->certificate.verified ||
                span_equal_nocase(owner_of(&r->flow), owner_of(&other->flow)))
                continue;
            flow_evidence(&r->flow, "the same issuer, no public one, made the certificate of %s",
                          other->flow.target);
            revise(&r->flow, CERTAINTY_INFERRED, "one issuer for unrelated targets");
        }
    }
}
