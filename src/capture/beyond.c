#include "capture/beyond.h"

#include "base/clock.h"
#include "base/util.h"
#include "capture/resets.h"
#include "capture/signs.h"

#define AT_ONCE_NS NS_PER_S /* what follows something at once is about it */

/* The hop beyond the proxy, where it was captured, too. */
static bool judge_own_leg(const struct look *l, const struct symptoms *s, struct ending *e)
{
    struct symptoms own = {.far = l->beyond, .bytes_up = s->bytes_up};

    if (!l->up)
        return false;
    signs_read_paths(l->up, l->until_ns > l->close_ns ? l->until_ns : l->close_ns, &own);
    if (!judge_path(&own, l->f, e))
        return false;
    flow_evidence(l->f, "it is the way between the proxy and the %s that loses them",
                  verdict_side_name(l->beyond));
    return true;
}

/* Who it was that stopped, where both legs tell. */
static void refine_stall(const struct look *l, struct ending *e)
{
    const struct stream *up, *down;
    uint64_t passed_ns; /* the last on the client's leg, session tickets counted */

    if (e->verdict != VERDICT_STALLED || e->by != SIDE_PROXY || !l->up)
        return;
    up = &l->up->streams[UP];
    down = &l->up->streams[DOWN];
    passed_ns = l->c->streams[DOWN].last_data_ns;
    if (passed_ns < l->last_ns)
        passed_ns = l->last_ns;
    if (signs_is_lost(down) || signs_is_lost(up)) {
        flow_evidence(l->f, "the way between the proxy and the %s loses what is sent on it",
                      verdict_side_name(l->beyond));
        e->by = SIDE_NETWORK;
    } else if (up->last_data_ns + NS_PER_S < look_get(l, MARK_LAST) &&
               down->last_data_ns < l->last_ns && l->x->sides[UP].since_other > 0) {
        flow_evidence(l->f, "the proxy passed nothing on of the client's last bytes");
    } else if (down->last_data_ns > passed_ns + NS_PER_MS) {
        flow_evidence(l->f, "the %s sent bytes that the proxy did not pass on",
                      verdict_side_name(l->beyond));
    } else {
        flow_evidence(l->f, "the proxy passed all on: the %s sent nothing more",
                      verdict_side_name(l->beyond));
        e->by = l->beyond;
    }
}

/* The name inside is another than the one that was asked for, and the proxy hung up at once. */
static bool is_mismatch(const struct look *l)
{
    const struct exchange *x = l->x;
    struct span sni = exchange_get_sni(x);
    uint64_t hello_ns = look_get(l, MARK_HELLO_END);
    size_t len =
        x->target && strrchr(x->target, ':') ? (size_t)(strrchr(x->target, ':') - x->target) : 0;

    return x->asked == ASKED_CONNECT && x->by_name && sni.len && len && l->closed &&
           l->closer == DOWN && hello_ns && x->sides[DOWN].bytes == 0 &&
           l->close_ns - hello_ns < AT_ONCE_NS &&
           !span_equal_nocase(sni, (struct span){x->target, len});
}

static struct ending judge_mismatch(const struct look *l)
{
    struct span sni = exchange_get_sni(l->x);

    flow_evidence(l->f, "CONNECT asked for %s, the ClientHello for %.*s", l->x->target,
                  (int)sni.len, sni.ptr);
    return look_conclude(l, VERDICT_SNI_MISMATCH, SIDE_PROXY, CERTAINTY_INFERRED,
                         "closed at once when another name was asked for");
}

/* By silence where it was long and something is owed, else by how it really ended. */
static struct ending judge_by_silence(const struct look *l, struct symptoms *s)
{
    enum stream_end end = s->end;
    struct ending e = {.verdict = VERDICT_OPEN};

    if (look_is_waiting(l) && !l->c->flags_unseen && end != STREAM_END_LOST) {
        s->end = STREAM_END_QUIET;
        e = judge_stream(s, l->f);
        s->end = end;
    }
    if (e.verdict == VERDICT_OPEN)
        e = judge_stream(s, l->f);
    if (e.verdict == VERDICT_STALLED && !l->closed)
        e.certainty = CERTAINTY_INFERRED;
    if (e.verdict == VERDICT_OK && l->by_rst && signs_is_fin_unseen(l))
        return look_conclude(l, VERDICT_OPEN, SIDE_NOBODY, CERTAINTY_INFERRED,
                             "whether all was through before the RST is not in the capture");
    return e;
}

static bool is_about_certificate(uint8_t alert)
{
    static const uint8_t alerts[] = {42, 43, 44, 45, 46, 48};

    return memchr(alerts, alert, sizeof alerts) != NULL;
}

/* The client's own words about the certificate that it was shown. */
static void refine_alert(const struct look *l, const struct symptoms *s, struct ending *e)
{
    if (e->verdict != VERDICT_TLS_FAILED || e->by != SIDE_CLIENT)
        return;
    if (!s->alert_is_plain || !is_about_certificate(s->alert))
        return;
    *e = look_conclude(l, VERDICT_TLS_UNTRUSTED, SIDE_TARGET, CERTAINTY_SEEN,
                       "the client did not accept the certificate");
}

struct ending beyond_judge(const struct look *l)
{
    struct symptoms s = {0};
    struct ending e;

    if (is_mismatch(l))
        return judge_mismatch(l);
    signs_gather(l, &s);
    if (judge_own_leg(l, &s, &e))
        return e;
    e = judge_by_silence(l, &s);
    refine_stall(l, &e);
    resets_refine(l, &e);
    refine_alert(l, &s, &e);
    return e;
}

struct ending beyond_judge_proxy_tls(const struct look *l)
{
    struct symptoms s = {0};
    struct ending e;

    signs_gather(l, &s);
    s.peer = SIDE_PROXY;
    e = judge_by_silence(l, &s);
    resets_refine(l, &e);
    if (e.verdict == VERDICT_TLS_FAILED || e.verdict == VERDICT_TLS_UNTRUSTED)
        e.verdict = VERDICT_PROXY_TLS_FAILED;
    else if (e.verdict == VERDICT_STALLED && s.hello_client && !s.hello_target)
        e.verdict = VERDICT_PROXY_SILENT;
    return e;
}
