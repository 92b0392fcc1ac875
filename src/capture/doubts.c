#include "capture/doubts.h"

#include "base/util.h"
#include "capture/signs.h"

/* A silence of who never sent a full-size segment that arrived may be a black hole, which shows on
 * the sender's side only. */
static const char *doubt_silence(const struct look *l, const struct ending *e)
{
    bool may_be_large = e->verdict == VERDICT_STALLED ||
                        (e->verdict == VERDICT_PROXY_SILENT && l->x->asked == ASKED_ABSOLUTE);

    if (!may_be_large || e->by != l->far || l->quiet_ns < l->patience_ns ||
        l->c->streams[DOWN].largest >= JUDGE_FULL_BYTES)
        return NULL;
    return "no full-size segment came from there before: those may be lost on the way, which "
           "viaduct check --mtu tells";
}

/* That a FIN stands at a record's end is all that TLS shows of a transfer whose end is not
 * announced.  A timer that closes what was quiet for long is another matter. */
static const char *doubt_end(const struct look *l, const struct ending *e)
{
    struct symptoms s = {0};

    if (e->verdict != VERDICT_OK || !l->x->is_tls || !l->closed || l->closer != DOWN || l->by_rst ||
        l->quiet_ns >= l->patience_ns || !look_get(l, MARK_INNER_ANSWER))
        return NULL;
    signs_gather(l, &s);
    if (s.frame_down != STREAM_FRAME_BOUNDARY)
        return NULL;
    return "closed without close_notify: whether all had come is hidden by TLS";
}

/* Who leaves by RST has its reasons. */
static const char *doubt_reset(const struct look *l, const struct ending *e)
{
    if (e->verdict != VERDICT_RESET_BY_CLIENT || !l->x->is_tls || !l->x->hello_whole[DOWN])
        return NULL;
    if (!look_get(l, MARK_INNER))
        return "it came right behind the handshake: the client may not have accepted the "
               "certificate";
    if (l->quiet_ns >= l->patience_ns)
        return "it came after a long silence: the client may have waited for more";
    return NULL;
}

static bool has_hole(const struct path_signs *p)
{
    return p->out_of_order > 0 && p->hole >= JUDGE_FULL_BYTES &&
           p->largest_received < JUDGE_FULL_BYTES;
}

/* Who gives up soon leaves a hole that is too young to be a black one. */
static const char *doubt_hole(const struct look *l, const struct ending *e)
{
    struct symptoms s = {0};

    if (!l->x->is_last || verdict_is_success(e->verdict) || e->verdict == VERDICT_MTU_BLACKHOLE ||
        l->judged)
        return NULL;
    signs_read_paths(l->c, l->close_ns, &s);
    if (!has_hole(&s.path_target) && !has_hole(&s.path_client))
        return NULL;
    return "small segments arrived behind a hole: large ones may be lost on the way, but it was "
           "over "
           "too soon to tell";
}

void doubts_refine(const struct look *l, struct ending *e)
{
    static const char *(*const doubts[])(const struct look *, const struct ending *) = {
        doubt_silence, doubt_end, doubt_reset, doubt_hole};

    for (size_t i = 0; i < ARRAY_LEN(doubts); i++) {
        const char *why = doubts[i](l, e);

        if (!why)
            continue;
        flow_evidence(l->f, "%s", why);
        e->certainty = CERTAINTY_INFERRED;
    }
}
