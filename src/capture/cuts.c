#include "capture/cuts.h"

#include <inttypes.h>

#include "base/clock.h"

#define SAME_BYTES 16384  /* that two cuts at one limit may lie apart */
#define SAME_NS NS_PER_S  /* and time */
#define BYTES_LEAST 65536 /* fewer are alike by chance */
#define NS_LEAST NS_PER_S /* as is less time */
#define ONE_TENTH 10      /* of a short time, that two cuts may lie apart */
#define ONE_PERCENT 100

static uint64_t difference(uint64_t a, uint64_t b)
{
    return a > b ? a - b : b - a;
}

static bool is_limited(const struct flow *f)
{
    return f->certainty == CERTAINTY_INFERRED &&
           (f->verdict == VERDICT_SIZE_LIMIT || f->verdict == VERDICT_LIFETIME_LIMIT);
}

bool cuts_is_pending(const struct flow *f)
{
    bool was_cut = f->verdict == VERDICT_INCOMPLETE || f->verdict == VERDICT_RESET_BY_PROXY ||
                   f->verdict == VERDICT_RESET_BY_TARGET;

    return was_cut && f->ended_by != SIDE_CLIENT && f->ended_in >= PHASE_TLS &&
           (f->bytes_up + f->bytes_down >= BYTES_LEAST || f->duration_ns > NS_LEAST);
}

/* Through one proxy; or, direct, to one target. */
static bool is_one_way(const struct flow *a, const struct flow *b)
{
    const struct endpoint *x = a->proxy.addr.family ? &a->proxy : &a->address;
    const struct endpoint *y = b->proxy.addr.family ? &b->proxy : &b->address;

    return (a->proxy.addr.family != 0) == (b->proxy.addr.family != 0) &&
           addr_is_equal(&x->addr, &y->addr) && x->port == y->port;
}

static bool is_same_count(const struct flow *a, const struct flow *b)
{
    bool down = a->bytes_down >= BYTES_LEAST && b->bytes_down >= BYTES_LEAST &&
                difference(a->bytes_down, b->bytes_down) <= SAME_BYTES;
    bool up = a->bytes_up >= BYTES_LEAST && b->bytes_up >= BYTES_LEAST &&
              difference(a->bytes_up, b->bytes_up) <= SAME_BYTES;

    return down || up;
}

/* Cut at the same moment, flows of the same age show a proxy that was stopped, and no limit. */
static bool is_same_time(const struct flow *a, const struct flow *b)
{
    uint64_t shorter = a->duration_ns < b->duration_ns ? a->duration_ns : b->duration_ns;
    uint64_t off = difference(a->duration_ns, b->duration_ns);

    return shorter > NS_LEAST && off <= SAME_NS && off <= shorter / ONE_TENTH &&
           difference(a->start_ns, b->start_ns) > SAME_NS;
}

static void revise(struct flow *f, const struct flow *other, bool count)
{
    if (is_limited(f))
        return;
    flow_evidence(
        f, "by itself it would be %s: cut after %" PRIu64 " bytes down, %" PRIu64 " up and %.1f s",
        verdict_get_info(f->verdict)->name, f->bytes_down, f->bytes_up,
        (double)f->duration_ns / 1e9);
    flow_evidence(
        f, "flow %" PRIu64 " was cut after %" PRIu64 " bytes down, %" PRIu64 " up and %.1f s",
        other->id, other->bytes_down, other->bytes_up, (double)other->duration_ns / 1e9);
    flow_revise(f, count ? VERDICT_SIZE_LIMIT : VERDICT_LIFETIME_LIMIT,
                f->proxy.addr.family ? SIDE_PROXY : SIDE_TARGET, CERTAINTY_INFERRED,
                count ? "two flows were cut at the same count of bytes"
                      : "two flows were cut after the same time");
}

bool cuts_settle(struct flow *a, struct flow *b)
{
    bool any = cuts_is_pending(a) || cuts_is_pending(b);
    bool both = (cuts_is_pending(a) || is_limited(a)) && (cuts_is_pending(b) || is_limited(b));
    bool count, time;

    if (!any || !both || !is_one_way(a, b))
        return false;
    count = is_same_count(a, b);
    time = is_same_time(a, b);
    /* at a steady rate both are alike: then the one that is alike to the percent */
    if (count && time && a->bytes_down != b->bytes_down &&
        difference(a->duration_ns, b->duration_ns) < a->duration_ns / ONE_PERCENT)
        count = false;
    if (!count && !time)
        return false;
    revise(a, b, count);
    revise(b, a, count);
    return true;
}
