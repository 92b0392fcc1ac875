/* What is known without a doubt comes first: a connection that never was, then the words of an
 * answer.  What was asked and not answered is judged here, as only who looks on sees both sides of
 * it; what came behind the answer is judged by flow/judge, as for the proxy and the checker.
 *
 * A silence that is long enough is judged as a silence, whoever closed in the end: closing is what
 * people and timers do about a silence.  Only where nothing was owed the close itself counts. */
#include "capture/ending.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/util.h"
#include "capture/cuts.h"
#include "capture/inside.h"
#include "capture/issuers.h"
#include "capture/look.h"
#include "capture/moments.h"
#include "capture/opened.h"
#include "capture/remarks.h"
#include "capture/signs.h"
#include "flow/inspectors.h"
#include "flow/judge.h"

#define PATIENCE_NS (5 * NS_PER_S)
#define SENDS 4             /* of one request, unacknowledged: that is no loss any more */
#define AT_ONCE_NS NS_PER_S /* what follows something at once is about it */

struct endings {
    struct endings_options options;
    struct issuers issuers;
};

struct endings *endings_new(const struct endings_options *o)
{
    struct endings *e = calloc(1, sizeof *e);

    if (!e)
        return NULL;
    e->options = *o;
    if (!e->options.silence_ns)
        e->options.silence_ns = PATIENCE_NS;
    return e;
}

void endings_free(struct endings *e)
{
    if (!e)
        return;
    issuers_fini(&e->issuers);
    free(e);
}

__attribute__((format(printf, 5, 6))) static struct ending
conclude(const struct look *l, enum verdict v, enum side by, enum certainty c, const char *fmt, ...)
{
    char reason[256];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(reason, sizeof reason, fmt, ap);
    va_end(ap);
    flow_set_text(&l->f->reason, *reason ? reason : NULL);
    return (struct ending){v, by, c, SIDE_NOBODY};
}

/* What the capture's end alone shows may still be on its way. */
static enum certainty by_close(const struct look *l)
{
    return l->closed ? CERTAINTY_SEEN : CERTAINTY_INFERRED;
}

static bool is_waiting_long(const struct look *l)
{
    return l->quiet_ns >= l->patience_ns || (l->c->is_text && !l->closed && l->x->is_last);
}

/* ---- no connection */

static bool is_refused_by_icmp(const struct conn *c)
{
    const struct conn_icmp *i = c->icmp;

    return i && i->number && !i->about_down &&
           (i->is_v6 ? i->type == 1 : i->type == 3 && i->code != 4);
}

static struct ending judge_connect(const struct look *l)
{
    bool proxied = l->x->proxied;
    enum verdict none = proxied ? VERDICT_PROXY_UNREACHABLE : VERDICT_UPSTREAM_TIMEOUT;
    const struct conn *c = l->c;

    if (l->closed && l->by_rst && l->closer == DOWN)
        return conclude(l, proxied ? VERDICT_PROXY_REFUSED : VERDICT_UPSTREAM_REFUSED, l->far,
                        CERTAINTY_SEEN, "RST in answer to the SYN");
    if (is_refused_by_icmp(c))
        return conclude(l, proxied ? VERDICT_PROXY_UNREACHABLE : VERDICT_UPSTREAM_UNREACHABLE,
                        SIDE_NETWORK, CERTAINTY_SEEN, "ICMP says that it cannot be reached");
    if (c->streams[DOWN].begun) /* the client never came back to it */
        return conclude(l, VERDICT_OPEN, SIDE_NOBODY, CERTAINTY_INFERRED, "%s", "");
    if (c->syns > 1)
        return conclude(l, none, SIDE_NETWORK, CERTAINTY_SEEN, "%u SYNs without an answer",
                        c->syns);
    if (l->quiet_ns >= l->patience_ns)
        return conclude(l, none, SIDE_NETWORK, CERTAINTY_INFERRED, "one SYN without an answer");
    return conclude(l, VERDICT_OPEN, SIDE_NOBODY, CERTAINTY_SEEN, "%s", "");
}

/* ---- asked, and not answered */

/* Whether the answer may have come, and just is not in the capture. */
static bool is_answer_unseen(const struct look *l)
{
    const struct stream *down = &l->c->streams[DOWN];

    return l->unseen[DOWN] || look_get(l, MARK_ANSWER) ||
           (l->x->content_unseen && down->bytes > 0) || stream_get_rare(down)->missing > 0;
}

static bool is_sent_in_vain(const struct look *l)
{
    const struct stream *up = &l->c->streams[UP];

    return up->stuck.len && up->stuck.sends >= SENDS &&
           up->stuck.first_ns <= look_get(l, MARK_REQUEST) + NS_PER_MS;
}

/* The proxy was asked.  Without one, the same silence is the target's. */
static struct ending silent(const struct look *l, enum certainty c, const char *why)
{
    double waited = (double)l->quiet_ns / 1e9;

    flow_evidence(l->f, "no byte came for %.1f s after the request", waited);
    return conclude(l, l->x->proxied ? VERDICT_PROXY_SILENT : VERDICT_STALLED, l->far, c, "%s",
                    why);
}

/* The client did not even say all of it. */
static struct ending judge_half_asked(const struct look *l)
{
    if (l->closed && l->closer == UP)
        return conclude(l, VERDICT_CLIENT_GONE, SIDE_CLIENT, CERTAINTY_SEEN,
                        "closed inside the request's head");
    if (l->closed && !l->by_rst)
        return conclude(l, VERDICT_REQUEST_TIMEOUT, SIDE_CLIENT, CERTAINTY_INFERRED,
                        "the request's head was not complete when the %s closed",
                        verdict_side_name(l->far));
    if (is_waiting_long(l))
        return conclude(l, VERDICT_STALLED, SIDE_CLIENT, CERTAINTY_INFERRED,
                        "the request's head is not complete");
    return conclude(l, VERDICT_OPEN, SIDE_NOBODY, CERTAINTY_SEEN, "%s", "");
}

static struct ending reset(const struct look *l, const char *where);

static struct ending judge_closed_unanswered(const struct look *l)
{
    bool waited = l->quiet_ns >= l->patience_ns;

    if (l->closer == DOWN && l->by_rst)
        return reset(l, "in place of an answer");
    if (l->closer == DOWN && l->x->proxied)
        return conclude(l, VERDICT_PROXY_SILENT, SIDE_PROXY,
                        l->x->content_unseen ? CERTAINTY_INFERRED : CERTAINTY_SEEN,
                        "closed without a byte of an answer");
    if (l->closer == DOWN)
        return conclude(l, VERDICT_UPSTREAM_FAILED, SIDE_TARGET, CERTAINTY_SEEN,
                        "closed without a byte of an answer");
    if (waited)
        return silent(l, CERTAINTY_SEEN, "no answer until the client closed");
    return conclude(l, VERDICT_CLIENT_GONE, SIDE_CLIENT, CERTAINTY_SEEN,
                    "%s from the client %.1f s after its request", l->by_rst ? "RST" : "FIN",
                    (double)(l->close_ns - l->last_ns) / 1e9);
}

static struct ending judge_unanswered(const struct look *l)
{
    struct symptoms s = {.far = l->far, .bytes_up = 1};
    struct ending e;

    if (l->x->is_last)
        signs_read_paths(l->c, l->until_ns > l->close_ns ? l->until_ns : l->close_ns, &s);
    if (judge_path(&s, l->f, &e))
        return e;
    if (is_sent_in_vain(l))
        return silent(l, CERTAINTY_SEEN, "the request is never acknowledged");
    if (is_answer_unseen(l))
        return conclude(l, VERDICT_OPEN, SIDE_NOBODY, CERTAINTY_INFERRED,
                        "the answer is not in the capture");
    if (l->x->request_unfinished)
        return judge_half_asked(l);
    if (l->closed)
        return judge_closed_unanswered(l);
    if (is_waiting_long(l))
        return silent(l, CERTAINTY_INFERRED, "no answer until the capture ends");
    return conclude(l, VERDICT_OPEN, SIDE_NOBODY, CERTAINTY_SEEN, "%s", "");
}

/* An answer of which the head never came whole. */
static struct ending judge_half_answered(const struct look *l)
{
    if (l->closed && l->by_rst)
        return l->closer == UP ? conclude(l, VERDICT_RESET_BY_CLIENT, SIDE_CLIENT, CERTAINTY_SEEN,
                                          "RST inside the answer's head")
                               : reset(l, "inside the answer's head");
    if (is_waiting_long(l))
        return conclude(l, VERDICT_STALLED, l->far, by_close(l), "the answer's head stands still");
    if (l->closed)
        return conclude(l, VERDICT_INCOMPLETE, look_side(l, l->closer), CERTAINTY_SEEN,
                        "closed inside the answer's head");
    return conclude(l, VERDICT_OPEN, SIDE_NOBODY, CERTAINTY_SEEN, "%s", "");
}

/* ---- a reset */

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

    if (l->up || l->x->asked == ASKED_NOTHING || unanswered)
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

static void refine_reset(const struct look *l, struct ending *e)
{
    if (e->verdict != VERDICT_RESET_BY_CLIENT && e->verdict != VERDICT_RESET_BY_PROXY &&
        e->verdict != VERDICT_RESET_BY_TARGET)
        return;
    if (!take_middlebox(l, e) && e->verdict == VERDICT_RESET_BY_PROXY)
        e->certainty = proxy_certainty(l);
}

static struct ending reset(const struct look *l, const char *where)
{
    struct ending e = conclude(l, l->x->proxied ? VERDICT_RESET_BY_PROXY : VERDICT_RESET_BY_TARGET,
                               l->far, CERTAINTY_SEEN, "RST %s", where);

    refine_reset(l, &e);
    return e;
}

/* ---- behind the answer */

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

    if (e->verdict != VERDICT_STALLED || e->by != SIDE_PROXY || !l->up)
        return;
    up = &l->up->streams[UP];
    down = &l->up->streams[DOWN];
    if (up->last_data_ns + NS_PER_S < look_get(l, MARK_LAST) && down->last_data_ns < l->last_ns &&
        l->x->sides[UP].since_other > 0) {
        flow_evidence(l->f, "the proxy passed nothing on of the client's last bytes");
    } else if (down->last_data_ns > l->last_ns + NS_PER_MS) {
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
    const char *sni = x->tls ? x->tls->sni : NULL;
    uint64_t hello_ns = look_get(l, MARK_HELLO_END);
    size_t len =
        x->target && strrchr(x->target, ':') ? (size_t)(strrchr(x->target, ':') - x->target) : 0;

    return x->asked == ASKED_CONNECT && x->by_name && sni && len && l->closed &&
           l->closer == DOWN && hello_ns && x->sides[DOWN].bytes == 0 &&
           l->close_ns - hello_ns < AT_ONCE_NS &&
           !span_equal_nocase(span_of(sni), (struct span){x->target, len});
}

static struct ending judge_mismatch(const struct look *l)
{
    flow_evidence(l->f, "CONNECT asked for %s, the ClientHello for %s", l->x->target,
                  l->x->tls->sni);
    return conclude(l, VERDICT_SNI_MISMATCH, SIDE_PROXY, CERTAINTY_INFERRED,
                    "closed at once when another name was asked for");
}

/* By silence where it was long and something is owed, else by how it really ended. */
static struct ending judge_by_silence(const struct look *l, struct symptoms *s)
{
    enum stream_end end = s->end;
    struct ending e = {.verdict = VERDICT_OPEN};

    if (is_waiting_long(l) && end != STREAM_END_LOST) {
        s->end = STREAM_END_QUIET;
        e = judge_stream(s, l->f);
        s->end = end;
    }
    if (e.verdict == VERDICT_OPEN)
        e = judge_stream(s, l->f);
    if (e.verdict == VERDICT_STALLED && !l->closed)
        e.certainty = CERTAINTY_INFERRED;
    if (e.verdict == VERDICT_OK && l->by_rst && signs_is_fin_unseen(l))
        return conclude(l, VERDICT_OPEN, SIDE_NOBODY, CERTAINTY_INFERRED,
                        "whether all was through before the RST is not in the capture");
    return e;
}

static struct ending judge_stream_of(const struct look *l)
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
    refine_reset(l, &e);
    return e;
}

/* ---- TLS */

static bool is_about_certificate(uint8_t alert)
{
    static const uint8_t alerts[] = {42, 43, 44, 45, 46, 48};

    return memchr(alerts, alert, sizeof alerts) != NULL;
}

/* The client's own words about the certificate that it was shown. */
static void refine_alert(const struct look *l, struct ending *e)
{
    struct symptoms s = {0};

    if (e->verdict != VERDICT_TLS_FAILED || e->by != SIDE_CLIENT)
        return;
    signs_gather(l, &s);
    if (!s.alert_is_plain || !is_about_certificate(s.alert))
        return;
    *e = conclude(l, VERDICT_TLS_UNTRUSTED, SIDE_TARGET, CERTAINTY_SEEN,
                  "the client did not accept the certificate");
}

/* A certificate that the client took, and that an inspector made. */
static void refine_issuer(struct endings *n, const struct look *l, struct ending *e)
{
    const struct flow_tls *t = l->x->tls;
    enum side by = l->x->proxied ? SIDE_PROXY : SIDE_NETWORK;
    const char *issuer = t ? t->issuer : NULL, *product, *other;

    if (!issuer)
        return;
    product = inspectors_find(span_of(issuer));
    other = l->x->target ? issuers_add(&n->issuers, issuer, l->x->target) : NULL;
    if (product)
        flow_evidence(l->f, "the certificate's issuer is an inspector's: %s", product);
    else if (other)
        flow_evidence(l->f, "the same issuer, no public one, made the certificate of %s", other);
    if ((!product && !other) || (e->verdict != VERDICT_OK && e->verdict != VERDICT_OPEN))
        return;
    *e = product ? conclude(l, VERDICT_TLS_INTERCEPTED, by, CERTAINTY_SEEN, "%s", product)
                 : conclude(l, VERDICT_TLS_INTERCEPTED, by, CERTAINTY_INFERRED,
                            "one issuer for unrelated targets");
}

/* TLS with an https:// proxy: what is inside stays hidden. */
static struct ending judge_proxy_tls(const struct look *l)
{
    struct symptoms s = {0};
    struct ending e;

    signs_gather(l, &s);
    e = judge_by_silence(l, &s);
    refine_reset(l, &e);
    if (e.verdict == VERDICT_TLS_FAILED || e.verdict == VERDICT_TLS_UNTRUSTED)
        e.verdict = VERDICT_PROXY_TLS_FAILED;
    else if (e.verdict == VERDICT_STALLED && s.hello_client && !s.hello_target)
        e.verdict = VERDICT_PROXY_SILENT;
    if (e.verdict == VERDICT_PROXY_TLS_FAILED && e.by == SIDE_TARGET)
        e.by = SIDE_PROXY;
    return e;
}

/* ---- all of it */

/* Plain HTTP says itself when it is through; how the connection went away is nobody's matter then,
 * if only the answer arrived. */
static bool is_through(const struct look *l)
{
    return l->x->complete && l->x->status &&
           (!l->x->is_last || stream_unacked(&l->c->streams[DOWN]) == 0);
}

static struct ending judge_through(const struct look *l)
{
    flow_evidence(l->f, "request and answer are whole");
    return conclude(l, VERDICT_OK,
                    l->closed       ? look_side(l, l->closer)
                    : l->x->proxied ? SIDE_PROXY
                                    : SIDE_TARGET,
                    CERTAINTY_SEEN, "%s", "");
}

/* What a status alone means, where the answer's head was not all there to be judged. */
static bool judge_status(const struct look *l, struct ending *e)
{
    struct outside_answer a = {.asked = l->x->asked == ASKED_CONNECT    ? OUTSIDE_CONNECT
                                        : l->x->asked == ASKED_ABSOLUTE ? OUTSIDE_ABSOLUTE
                                                                        : OUTSIDE_DIRECT,
                               .by_name = l->x->by_name,
                               .credentials_sent = l->x->credentials_sent,
                               .is_http = true,
                               .status = l->x->status};
    struct outside_verdict v;

    if (l->x->judged || l->x->status < 300)
        return false;
    v = outside_judge(&a, l->f);
    if (v.verdict == VERDICT_OK)
        return false;
    *e = conclude(l, v.verdict, v.by, v.certainty, "%s", v.reason);
    return true;
}

static bool is_asked(const struct exchange *x)
{
    return x->asked == ASKED_CONNECT || x->asked == ASKED_ABSOLUTE || x->asked == ASKED_ORIGIN ||
           (x->asked == ASKED_OTHER && x->proxied);
}

static struct ending judge(struct endings *n, const struct look *l)
{
    const struct exchange *x = l->x;
    bool sending = x->request_promised > x->request_received && !x->status;
    struct ending e;

    if (!l->c->established && !x->sides[UP].bytes && !x->sides[DOWN].bytes && !x->status &&
        x->asked == ASKED_NOTHING)
        return judge_connect(l);
    if (x->judged && x->judged->verdict != VERDICT_OK)
        return conclude(l, x->judged->verdict, x->judged->by, x->judged->certainty, "%s",
                        x->judged->reason);
    if (judge_status(l, &e))
        return e;
    if (is_through(l))
        return judge_through(l);
    if (look_get(l, MARK_PROXY_HELLO))
        return judge_proxy_tls(l);
    if (is_asked(x) && !x->status && !x->judged && !x->early_unseen && !sending &&
        !look_get(l, MARK_HELLO))
        return look_get(l, MARK_ANSWER) && !x->content_unseen ? judge_half_answered(l)
                                                              : judge_unanswered(l);
    e = judge_stream_of(l);
    refine_alert(l, &e);
    refine_issuer(n, l, &e);
    opened_refine(l, &e);
    return e;
}

/* What is not in the capture may have been otherwise: a record's end, a last chunk, all of one
 * side. A text never has more than its lines. */
static void doubt(const struct look *l, struct ending *e)
{
    bool half = l->c->established && (l->unseen[UP] || l->unseen[DOWN]);

    if (half && e->verdict == VERDICT_OK && !l->x->status && l->x->sides[DOWN].bytes == 0 &&
        l->unseen[UP])
        *e = conclude(l, VERDICT_OPEN, SIDE_NOBODY, CERTAINTY_INFERRED,
                      "nothing of the client is in the capture");
    if (half || (e->verdict == VERDICT_OK && !l->c->is_text &&
                 (l->x->content_unseen || l->x->early_unseen)))
        e->certainty = CERTAINTY_INFERRED;
}

/* ---- the record */

static void copy_tls(const struct look *l)
{
    const struct flow_tls *from = l->x->tls;
    const struct inside_sight *s = l->x->inside ? inside_get(l->x->inside) : NULL;
    struct flow_tls *to;

    if (!from)
        return;
    to = calloc(1, sizeof *to);
    if (!to)
        return;
    flow_set_text(&to->sni, from->sni);
    flow_set_text(&to->version, from->version);
    flow_set_text(&to->cipher, from->cipher);
    flow_set_text(&to->issuer, s && s->issuer && !from->issuer ? s->issuer : from->issuer);
    flow_set_text(&to->alpn, s && s->alpn ? s->alpn : from->alpn);
    l->f->tls = to;
}

static void name_end(const struct look *l, enum side side, const struct endpoint *e)
{
    const char *name = l->source && e->addr.family == ADDR_NAMED
                           ? capture_source_find_name(l->source, &e->addr)
                           : NULL;

    if (name)
        flow_note(l->f, NOTE_NAME, side, "%s:%u", name, e->port);
}

static void copy_ends(const struct look *l)
{
    struct flow *f = l->f;

    f->client = l->c->ends[UP];
    name_end(l, SIDE_CLIENT, &f->client);
    *(l->x->proxied ? &f->proxy : &f->address) = l->c->ends[DOWN];
    name_end(l, l->far, &l->c->ends[DOWN]);
    if (l->up && l->beyond == SIDE_PARENT) {
        char host[LOOK_TEXT_MAX], parent[LOOK_TEXT_MAX + 8];

        snprintf(parent, sizeof parent, "%s:%u", look_name_host(l, &l->up->ends[DOWN], host),
                 l->up->ends[DOWN].port);
        flow_set_text(&f->parent, parent);
    } else if (l->up) {
        f->address = l->up->ends[DOWN];
        name_end(l, SIDE_TARGET, &f->address);
    }
}

static struct flow_leg leg_of(const struct conn *c)
{
    uint32_t up = c->streams[UP].mss, down = c->streams[DOWN].mss;
    uint64_t rtt_us = c->rtt_ns / NS_PER_US;

    return (struct flow_leg){
        .known = true,
        .rtt_us = rtt_us < UINT32_MAX ? (uint32_t)rtt_us : UINT32_MAX,
        .retransmissions = stream_get_rare(&c->streams[UP])->retransmissions +
                           stream_get_rare(&c->streams[DOWN])->retransmissions,
        .mss = up && (!down || up < down) ? up : down,
        .pmtu = c->icmp && c->icmp->mtu ? c->icmp->mtu : 0,
        .unacked = (uint64_t)stream_unacked(&c->streams[UP]) + stream_unacked(&c->streams[DOWN]),
    };
}

/* The proxy's dial, where its own leg is here and belongs to this answer. */
static void copy_dial(const struct look *l)
{
    const struct exchange *u = l->x->upstream;
    uint64_t from = u ? exchange_get_ns(u, MARK_SYN) : 0;
    uint64_t to = u ? exchange_get_ns(u, MARK_ESTABLISHED) : 0;
    char where[LOOK_TEXT_MAX];

    if (!from || to < from || from + NS_PER_MS < look_get(l, MARK_REQUEST))
        return;
    flow_step(l->f, STEP_KIND_DIAL, to - from);
    flow_note(l->f, NOTE_STEP, STEP_KIND_DIAL, "%s",
              look_name_packets(l, u->packets[MARK_SYN], u->packets[MARK_ESTABLISHED], where));
}

static void copy_record(const struct look *l)
{
    const struct exchange *x = l->x;
    const struct conn *c = l->c;
    struct flow *f = l->f;
    uint64_t wall_ns = c->wall_ns + (x->begin_ns > c->begin_ns ? x->begin_ns - c->begin_ns : 0);

    flow_begin(f, SOURCE_EXPLAIN, x->number, x->begin_ns, wall_ns);
    copy_ends(l);
    flow_set_text(&f->target, x->target);
    flow_set_text(&f->method, x->method_text);
    flow_set_text(&f->url, x->url);
    flow_set_text(&f->user, x->user);
    f->status = x->status;
    f->bytes_up = x->sides[UP].bytes;
    f->bytes_down = x->sides[DOWN].bytes;
    copy_tls(l);
    *(x->proxied ? &f->client_leg : &f->upstream_leg) = leg_of(c);
    if (l->up)
        f->upstream_leg = leg_of(l->up);
    copy_dial(l);
    flow_add_notes(f, &x->notes);
}

/* Until when the flow lasted: its close, or as long as somebody waited in vain. */
static uint64_t end_of(const struct look *l, enum verdict v)
{
    uint64_t closed_ns = look_get(l, MARK_CLOSED);

    if (l->closed)
        return closed_ns > l->close_ns ? closed_ns : l->close_ns;
    return verdict_is_success(v) ? l->last_ns : l->until_ns;
}

void endings_make(struct endings *n, const struct exchange *x, enum conn_end how, uint64_t now_ns,
                  struct flow *out)
{
    struct look l;
    struct ending e;

    look_init(&l, x, how, now_ns, n->options.source, n->options.silence_ns, out);
    copy_record(&l);
    e = judge(n, &l);
    doubt(&l, &e);
    remarks_write_evidence(&l, &e);
    moments_write(&l, e.verdict);
    remarks_write_warnings(&l, &e);
    flow_end(out, e.verdict, e.by, e.certainty, end_of(&l, e.verdict));
}

bool endings_is_pending(const struct endings *e, const struct flow *f)
{
    (void)e;
    return cuts_is_pending(f);
}

bool endings_settle(struct endings *e, struct flow *a, struct flow *b)
{
    (void)e;
    return cuts_settle(a, b);
}
