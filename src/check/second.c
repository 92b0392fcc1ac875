#include "check/second.h"

#include <string.h>

#include "base/clock.h"

#define SMALL_MSS 1000   /* segments of this size pass nearly everywhere */
#define SAME_COUNT 16384 /* bytes that two cuts at one limit may lie apart */
#define SAME_NS NS_PER_S /* and time */
#define ONE_PERCENT 100
#define ENOUGH 65536        /* bytes of a body that show that it comes */
#define SLOWER 2            /* times the small probe's time is no slowness */
#define CONTROL_NS NS_PER_S /* at least, for one that is as large as the first */

/* Whether the probe got past the handshake that the first one failed in. */
static bool is_through(const struct probe *p)
{
    return p->flow.tls && p->flow.tls->version;
}

bool second_is_wanted(const struct probe *p, struct probe_wish *wish)
{
    const struct probe_signs *s = &p->signs;
    bool hole = s->hole_up || s->hole_down;

    *wish = (struct probe_wish){.proxy_tls = s->proxy_mute,
                                .mss = hole || s->tls_hung ? SMALL_MSS : 0,
                                .small_hello = s->tls_hung || s->tls_broke || hole,
                                .handshake = s->tls_hung || s->tls_broke};
    return hole || s->tls_hung || s->tls_broke || s->cut || s->proxy_mute;
}

void second_begin(struct second *s, struct probe *p)
{
    const struct probe_signs *y = &p->signs;

    s->why = y->tls_hung || y->tls_broke  ? SECOND_HELLO
             : y->hole_up || y->hole_down ? SECOND_SEGMENT
             : y->proxy_mute              ? SECOND_PORT
                                          : SECOND_CUT;
    s->signs = *y;
    s->hello = p->tls_hello;
    s->controls = 0;
    s->first = p->flow;
    p->flow = (struct flow){0};
}

/* ---- a handshake */

/* Where it is that large packets vanish. */
static void note_way(struct flow *f, const struct probe_signs *s, bool hello)
{
    const char *far = verdict_side_name(f->proxy.addr.family ? SIDE_PROXY : SIDE_TARGET);

    if (s->hole_up)
        flow_evidence(f, "the way from here to the %s loses them", far);
    else if (s->hole_down || !hello)
        flow_evidence(f, "the way from the %s to here loses them", far);
    else
        flow_evidence(f, "%s, or a device there takes no large ClientHello",
                      f->proxy.addr.family ? "the way beyond the proxy loses them"
                                           : "the way from the target to here loses them");
}

static const char no_size[] = "one as large as the first came through, too: it is no question of "
                              "size, some connections are answered and others are not";

/* Silence takes its time, and is told from slowness beside the first one; what breaks does so at
 * once. */
bool second_wants_control(struct second *s, const struct probe *p, struct probe_wish *wish)
{
    bool failed = s->controls > 0 && p->signs.tls_broke;

    *wish = (struct probe_wish){.handshake = true};
    if (s->why != SECOND_HELLO || !s->signs.tls_broke || s->controls == SECOND_CONTROLS)
        return false;
    if (!failed && (s->controls > 0 || !is_through(p)))
        return false;
    if (s->controls++ == 0) {
        s->small_hello = p->tls_hello;
        s->small_mss = p->info.mss;
    }
    return true;
}

/* The first ClientHello failed, the small one passed, and controls failed where there were any. */
static void explain_size(struct second *s)
{
    struct flow *f = &s->first;

    flow_evidence(f,
                  "a second probe passed the handshake, with a ClientHello of %u bytes in "
                  "segments of at most %u; the first one had %u",
                  s->small_hello, s->small_mss, s->hello);
    if (s->signs.tls_broke) {
        flow_evidence(f, "so it is the size that is refused: a device or target that takes no "
                         "ClientHello of more than one segment");
        return;
    }
    note_way(f, &s->signs, true);
    flow_revise(f, VERDICT_MTU_BLACKHOLE, SIDE_NETWORK, CERTAINTY_INFERRED,
                "large packets vanish, small ones pass");
}

/* The small one passed where the first one broke, and so did a control, or not. */
static void explain_broken(struct second *s, const struct probe *p)
{
    if (p->signs.tls_broke)
        explain_size(s);
    else if (is_through(p))
        flow_evidence(&s->first, "%s", no_size);
}

static void explain_hello(struct second *s, const struct probe *p)
{
    struct flow *f = &s->first;

    if (s->controls > 0) {
        explain_broken(s, p);
        return;
    }
    if (is_through(p)) {
        s->small_hello = p->tls_hello;
        s->small_mss = p->info.mss;
        explain_size(s);
        return;
    }
    if (p->tls_hello == 0) {
        flow_evidence(f, "a second probe ended before its ClientHello: %s",
                      p->flow.reason ? p->flow.reason : "");
        return;
    }
    flow_evidence(f,
                  "a ClientHello of %u bytes in segments of at most %u fails as well: it is no "
                  "question of size",
                  p->tls_hello, p->info.mss);
    if (f->verdict == VERDICT_MTU_BLACKHOLE)
        flow_revise(f, VERDICT_STALLED, SIDE_NETWORK, CERTAINTY_SEEN, "the handshake stands still");
}

/* ---- large segments in a transfer */

static void explain_segment(struct second *s, const struct probe *p)
{
    struct flow *f = &s->first;

    if (verdict_is_success(p->flow.verdict) || p->flow.verdict == VERDICT_TARGET_ERROR) {
        flow_evidence(f, "a second probe with segments of %u bytes came through whole: confirmed",
                      p->info.mss);
        note_way(f, &s->signs, false);
        return;
    }
    flow_evidence(f,
                  "a second probe with segments of %u bytes failed as well (%s): it is no "
                  "question of size",
                  p->info.mss, verdict_get_info(p->flow.verdict)->name);
    flow_revise(f, VERDICT_STALLED, SIDE_NETWORK, CERTAINTY_SEEN, "bytes stopped coming");
}

/* ---- a port that hangs up */

static void explain_port(struct second *s, const struct probe *p)
{
    if (!p->signs.proxy_spoke_tls)
        return;
    flow_evidence(&s->first,
                  "a TLS server: the port answers a ClientHello; if it is a proxy, it is "
                  "an https:// one");
    flow_revise(&s->first, VERDICT_NOT_A_PROXY, SIDE_PROXY, CERTAINTY_INFERRED,
                "a TLS server is on this port");
}

/* ---- a cut */

static uint64_t difference(uint64_t a, uint64_t b)
{
    return a > b ? a - b : b - a;
}

static void explain_cut(struct second *s, const struct probe *p)
{
    struct flow *f = &s->first;
    const struct probe_signs *a = &s->signs, *b = &p->signs;
    bool by_proxy =
        f->proxy.addr.family && (f->ended_by != SIDE_TARGET || p->flow.ended_by != SIDE_TARGET);
    enum side by = by_proxy ? SIDE_PROXY : SIDE_TARGET;
    bool count = b->cut && difference(a->cut_at, b->cut_at) <= SAME_COUNT;
    bool second = b->cut && difference(a->cut_ns, b->cut_ns) <= SAME_NS && a->cut_ns > SAME_NS;

    if (!b->cut) {
        flow_evidence(f, "a second try ended otherwise: %s",
                      verdict_get_info(p->flow.verdict)->name);
        return;
    }
    flow_evidence(f, "a second try was cut after %llu bytes and %.1f s",
                  (unsigned long long)b->cut_at, (double)b->cut_ns / 1e9);
    /* at a steady rate both are alike: then the one that is alike to the percent */
    if (count && second && a->cut_at != b->cut_at &&
        difference(a->cut_ns, b->cut_ns) < a->cut_ns / ONE_PERCENT)
        count = false;
    if (count || second) /* how it was cut is told no more by the verdict */
        flow_evidence(f, "the first one was %s: %s", verdict_get_info(f->verdict)->name,
                      f->reason ? f->reason : "");
    if (count)
        flow_revise(f, VERDICT_SIZE_LIMIT, by, CERTAINTY_INFERRED,
                    "cut twice at the same count of bytes");
    else if (second)
        flow_revise(f, VERDICT_LIFETIME_LIMIT, by, CERTAINTY_INFERRED,
                    "cut twice after the same time");
}

/* The second try brought it all: its flow is the one that counts. */
static bool explain_whole(struct second *s, struct probe *p)
{
    if (p->flow.verdict != VERDICT_OK)
        return false;
    flow_evidence(&p->flow, "a first try was cut: %s after %llu bytes and %.1f s",
                  verdict_get_info(s->first.verdict)->name, (unsigned long long)s->signs.cut_at,
                  (double)s->signs.cut_ns / 1e9);
    flow_fini(&s->first);
    return true;
}

void second_explain(struct second *s, struct probe *p)
{
    enum second_why why = s->why;

    s->why = SECOND_NONE;
    if (p->flow.verdict == VERDICT_OPEN) {
        flow_evidence(&s->first, "a second probe was under way when the time was over");
    } else if (why == SECOND_CUT) {
        if (explain_whole(s, p))
            return;
        explain_cut(s, p);
    } else if (why == SECOND_PORT) {
        explain_port(s, p);
    } else if (why == SECOND_HELLO) {
        explain_hello(s, p);
    } else {
        explain_segment(s, p);
    }
    flow_fini(&p->flow);
    p->flow = s->first;
    s->first = (struct flow){0};
}

/* ---- beside the first */

bool second_goes_beside(const struct probe *p, struct probe_wish *wish)
{
    *wish = (struct probe_wish){
        .mss = SMALL_MSS, .small_hello = true, .handshake = p->state == PROBE_TLS, .beside = true};
    return p->signs.mute;
}

bool second_has_passed(const struct probe *beside)
{
    if (beside->state == PROBE_TRANSFER)
        return beside->down.payload >= ENOUGH;
    return beside->state == PROBE_ENDED &&
           (verdict_is_success(beside->flow.verdict) ||
            beside->flow.verdict == VERDICT_TARGET_ERROR) &&
           beside->flow.verdict != VERDICT_OPEN;
}

bool second_is_slower(const struct probe *p, uint64_t took_ns)
{
    return p->signs.mute && probe_quiet_ns(p) > SLOWER * took_ns;
}

struct probe_wish second_control(const struct probe *p)
{
    return (struct probe_wish){.handshake = p->state == PROBE_TLS, .beside = true};
}

bool second_control_hangs(const struct probe *control, uint64_t took_ns)
{
    uint64_t patience = SLOWER * took_ns > CONTROL_NS ? SLOWER * took_ns : CONTROL_NS;
    bool asked = control->state == PROBE_ANSWER ? !control->url->tls : control->state >= PROBE_TLS;

    return asked && control->state < PROBE_ENDED && probe_quiet_ns(control) > patience;
}

/* The hello is the target's to answer: small segments of ours do not make the proxy's smaller. */
static bool hangs_in_hello(const struct flow *f)
{
    return f->ended_in == PHASE_TLS;
}

/* The small one passed, and others were tried behind it. */
static void explain_controls(struct probe *p, const struct probe *small,
                             const struct second_beside *b)
{
    struct flow *f = &p->flow;

    flow_evidence(f, "a second probe with segments of at most %u%s came through in %.1f s",
                  small->info.mss, hangs_in_hello(f) ? " and a small ClientHello" : "",
                  (double)b->took_ns / 1e9);
    if (b->varies) {
        flow_evidence(f, "%s", no_size);
    } else if (f->verdict == VERDICT_MTU_BLACKHOLE) {
        flow_evidence(f, "%u more that were as large as the first stood still as well",
                      b->controls);
        note_way(f, &p->signs, hangs_in_hello(f));
    } else {
        flow_evidence(f, "whether size is the reason was not known yet when this one ended");
    }
}

void second_explain_beside(struct probe *p, const struct probe *small,
                           const struct second_beside *b)
{
    struct flow *f = &p->flow;

    if (verdict_is_success(f->verdict) || f->verdict == VERDICT_TARGET_ERROR)
        return;
    if (b->controls > 0) {
        explain_controls(p, small, b);
        return;
    }
    flow_evidence(f,
                  "a second probe with segments of at most %u %s: large packets are not what "
                  "is lost between the %s and here",
                  small->info.mss, b->took_ns ? "took as long" : "stands still as well",
                  verdict_side_name(probe_far(p)));
    if (p->through_proxy && !b->took_ns)
        flow_evidence(f,
                      "whether they are lost beyond the proxy can only be told on its own host, "
                      "with: viaduct check --mtu -x direct %s://%s/",
                      p->url->tls ? "https" : "http", f->target);
}
