#include "flow/rank.h"

#include <assert.h>

#include "base/util.h"

/* 6: no way at all; 5: broken on the way, or half a transfer; 4: the far side cannot; 3: somebody
 * said no; 2: what the client did itself; 1: the target's own word. */
static const unsigned char ranks[] = {
    [VERDICT_PROXY_UNRESOLVED] = 6,
    [VERDICT_PROXY_UNREACHABLE] = 6,
    [VERDICT_PROXY_REFUSED] = 6,
    [VERDICT_PROXY_SILENT] = 6,
    [VERDICT_NOT_A_PROXY] = 6,
    [VERDICT_PROXY_TLS_FAILED] = 6,
    [VERDICT_MTU_BLACKHOLE] = 6,
    [VERDICT_STALLED] = 5,
    [VERDICT_INCOMPLETE] = 5,
    [VERDICT_SIZE_LIMIT] = 5,
    [VERDICT_LIFETIME_LIMIT] = 5,
    [VERDICT_RESET_BY_CLIENT] = 5,
    [VERDICT_RESET_BY_PROXY] = 5,
    [VERDICT_RESET_BY_TARGET] = 5,
    [VERDICT_TLS_FAILED] = 5,
    [VERDICT_TLS_UNTRUSTED] = 5,
    [VERDICT_TLS_INTERCEPTED] = 5,
    [VERDICT_SNI_MISMATCH] = 5,
    [VERDICT_PROXY_ERROR] = 4,
    [VERDICT_LOOP] = 4,
    [VERDICT_UPSTREAM_UNRESOLVED] = 4,
    [VERDICT_UPSTREAM_REFUSED] = 4,
    [VERDICT_UPSTREAM_UNREACHABLE] = 4,
    [VERDICT_UPSTREAM_FAILED] = 4,
    [VERDICT_UPSTREAM_TIMEOUT] = 4,
    [VERDICT_OVERLOADED] = 4,
    [VERDICT_PARENT_AUTH_FAILED] = 4,
    [VERDICT_DRAINING] = 4,
    [VERDICT_AUTH_FAILED] = 3,
    [VERDICT_AUTH_REQUIRED] = 3,
    [VERDICT_AUTH_UNSUPPORTED] = 3,
    [VERDICT_ACL_DENIED] = 3,
    [VERDICT_CLIENT_LIMIT] = 3,
    [VERDICT_BAD_REQUEST] = 2,
    [VERDICT_REQUEST_TIMEOUT] = 2,
    [VERDICT_CLIENT_GONE] = 2,
    [VERDICT_NOT_FOUND] = 2,
    [VERDICT_TARGET_ERROR] = 1,
    [VERDICT_OPEN] = 0,
    [VERDICT_OK] = 0,
};
static_assert(ARRAY_LEN(ranks) <= VERDICT_COUNT, "a rank without a verdict");

unsigned rank_of_verdict(enum verdict v)
{
    assert(v < VERDICT_COUNT);
    return v < ARRAY_LEN(ranks) ? ranks[v] : 0;
}

bool rank_is_failure(const struct flow *f)
{
    return !verdict_is_success((enum verdict)f->verdict) && !f->superseded_by;
}

static unsigned rank_of(const struct flow *f)
{
    unsigned rank = rank_of_verdict((enum verdict)f->verdict);

    if (rank_is_failure(f))
        return rank * 2 + 2;
    return f->warnings && !f->superseded_by;
}

int rank_compare(const struct flow *a, const struct flow *b)
{
    unsigned left = rank_of(a), right = rank_of(b);

    if (left != right)
        return left > right ? -1 : 1;
    if (a->verdict != b->verdict)
        return a->verdict < b->verdict ? -1 : 1;
    if (a->certainty != b->certainty)
        return a->certainty < b->certainty ? -1 : 1;
    return a->id < b->id ? -1 : a->id > b->id;
}
