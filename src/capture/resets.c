#include "capture/resets.h"

#include "base/util.h"

/* The shortest time in which the target answered anything: what comes sooner is not from there. */
static uint64_t shortest_answer(const struct look *l)
{
    static const enum mark pairs[][2] = {{MARK_HELLO_END, MARK_SERVER_HELLO},
                                         {MARK_INNER, MARK_INNER_ANSWER}};
    uint64_t least = UINT64_MAX;

    for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
        uint64_t from = look_get(l, pairs[i][0]), to = look_get(l, pairs[i][1]);

        if (from && to > from && to - from < least)
            least = to - from;
    }
    return least;
}

/* Whether the proxy itself sent that RST: it passes a target's on, but not before the target can
 * have known. */
static enum certainty proxy_certainty(const struct look *l)
{
    const struct stream *up = &l->c->streams[UP];
    uint64_t least = shortest_answer(l);

    bool unanswered = !l->x->status && !look_get(l, MARK_ANSWER) && !l->x->early_unseen;
    bool is_hidden = look_get(l, MARK_INNER_ANSWER) != 0; /* TLS to the proxy hides its answer */

    if (l->up || (!is_hidden && (l->x->asked == ASKED_NOTHING || unanswered)))
        return CERTAINTY_SEEN;
    if (l->x->sides[UP].since_other > 0 && up->last_data_ns && least != UINT64_MAX &&
        l->close_ns - up->last_data_ns < least) {
        flow_evidence(
            l->f,
            "the RST came %.1f ms after the client's bytes, sooner than anything that the "
            "target answered (%.1f ms): the proxy made it",
            (double)(l->close_ns - up->last_data_ns) / 1e6, (double)least / 1e6);
        return CERTAINTY_SEEN;
    }
    flow_evidence(l->f, "the proxy sent it; a proxy passes a reset of the target on, too");
    return CERTAINTY_INFERRED;
}

/* A box between the two ends speaks in the name of one of them. */
static bool take_middlebox(const struct look *l, struct ending *e)
{
    const struct stream *s = &l->c->streams[l->closer];
    const struct stream_rare *r = stream_get_rare(s);
    char where[LOOK_TEXT_MAX];

    if (!l->by_rst || !r->rst_is_odd)
        return false;
    flow_evidence(
        l->f,
        "%s is not like the other packets of the %s: TTL %u, not %u: a box on the way made "
        "it",
        look_name_packet(l, r->rst_number, r->rst_ns, where),
        verdict_side_name(look_side(l, l->closer)), r->rst_ttl, s->ttl);
    e->by = SIDE_NETWORK;
    e->certainty = CERTAINTY_INFERRED;
    return true;
}

void resets_refine(const struct look *l, struct ending *e)
{
    if (e->verdict != VERDICT_RESET_BY_CLIENT && e->verdict != VERDICT_RESET_BY_PROXY &&
        e->verdict != VERDICT_RESET_BY_TARGET)
        return;
    if (!take_middlebox(l, e) && e->verdict == VERDICT_RESET_BY_PROXY)
        e->certainty = proxy_certainty(l);
}

struct ending resets_conclude(const struct look *l, const char *where)
{
    struct ending e =
        look_conclude(l, l->x->proxied ? VERDICT_RESET_BY_PROXY : VERDICT_RESET_BY_TARGET, l->far,
                      CERTAINTY_SEEN, "RST %s", where);

    resets_refine(l, &e);
    return e;
}
