#include "capture/unanswered.h"

#include "base/clock.h"
#include "capture/resets.h"
#include "capture/signs.h"
#include "wire/http1.h"

#define SENDS 4 /* of one request, unacknowledged: that is no loss any more */

/* ---- no connection */

static bool is_refused_by_icmp(const struct conn *c)
{
    const struct conn_icmp *i = c->icmp;

    return i && i->number && !i->about_down &&
           (i->is_v6 ? i->type == 1 : i->type == 3 && i->code != 4);
}

struct ending unanswered_judge_connect(const struct look *l)
{
    bool proxied = l->x->proxied;
    enum verdict none = proxied ? VERDICT_PROXY_UNREACHABLE : VERDICT_UPSTREAM_TIMEOUT;
    const struct conn *c = l->c;

    if (l->closed && l->by_rst && l->closer == DOWN)
        return look_conclude(l, proxied ? VERDICT_PROXY_REFUSED : VERDICT_UPSTREAM_REFUSED, l->far,
                             CERTAINTY_SEEN, "RST in answer to the SYN");
    if (is_refused_by_icmp(c))
        return look_conclude(l, proxied ? VERDICT_PROXY_UNREACHABLE : VERDICT_UPSTREAM_UNREACHABLE,
                             SIDE_NETWORK, CERTAINTY_SEEN, "ICMP says that it cannot be reached");
    if (c->streams[DOWN].begun) /* the client never came back to it */
        return look_conclude(l, VERDICT_OPEN, SIDE_NOBODY, CERTAINTY_INFERRED, "%s", "");
    if (c->syns > 1)
        return look_conclude(l, none, SIDE_NETWORK, CERTAINTY_SEEN, "%u SYNs without an answer",
                             c->syns);
    if (l->quiet_ns >= l->patience_ns)
        return look_conclude(l, none, SIDE_NETWORK, CERTAINTY_INFERRED,
                             "one SYN without an answer");
    return look_conclude(l, VERDICT_OPEN, SIDE_NOBODY, CERTAINTY_SEEN, "%s", "");
}

/* ---- the proxy's own connection */

static void note_dial(const struct look *l, const char *what)
{
    const struct exchange *own = l->x->upstream;
    char where[LOOK_TEXT_MAX], to[ENDPOINT_TEXT_MAX];

    endpoint_write(&l->up->ends[DOWN], to);
    flow_evidence(
        l->f, "%s: the proxy's own SYN to %s, and %s",
        look_name_packet(l, own->packets[MARK_SYN], exchange_get_ns(own, MARK_SYN), where), to,
        what);
}

void unanswered_refine_dial(const struct look *l, struct ending *e)
{
    bool by_number = e->certainty == CERTAINTY_INFERRED && l->x->status >= 500;
    const struct stream *back = l->up ? &l->up->streams[DOWN] : NULL;
    enum verdict v;

    if (!l->up || l->up->established)
        return;
    if (back->rst) {
        note_dial(l, "RST in answer");
        v = VERDICT_UPSTREAM_REFUSED;
    } else if (is_refused_by_icmp(l->up)) {
        note_dial(l, "ICMP in answer");
        v = VERDICT_UPSTREAM_UNREACHABLE;
    } else if (!back->begun) {
        note_dial(l, "no answer");
        v = VERDICT_UPSTREAM_TIMEOUT;
    } else {
        return;
    }
    if (by_number) /* words of the proxy's stand, as they tell of all that it tried */
        *e = look_conclude(l, v, v == VERDICT_UPSTREAM_REFUSED ? l->beyond : SIDE_NETWORK,
                           CERTAINTY_SEEN, "the proxy could not connect");
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
static struct ending judge_silence(const struct look *l, enum certainty c, const char *why)
{
    double waited = (double)l->quiet_ns / 1e9;

    flow_evidence(l->f, "no byte came for %.1f s after the request", waited);
    return look_conclude(l, l->x->proxied ? VERDICT_PROXY_SILENT : VERDICT_STALLED, l->far, c, "%s",
                         why);
}

/* The client did not even say all of it. */
static struct ending judge_half_asked(const struct look *l)
{
    if (l->closed && l->closer == UP)
        return look_conclude(l, VERDICT_CLIENT_GONE, SIDE_CLIENT, CERTAINTY_SEEN,
                             "closed inside the request's head");
    if (l->closed && !l->by_rst)
        return look_conclude(l, VERDICT_REQUEST_TIMEOUT, SIDE_CLIENT, CERTAINTY_INFERRED,
                             "the request's head was not complete when the %s closed",
                             verdict_side_name(l->far));
    if (look_is_waiting(l))
        return look_conclude(l, VERDICT_STALLED, SIDE_CLIENT, CERTAINTY_INFERRED,
                             "the request's head is not complete");
    return look_conclude(l, VERDICT_OPEN, SIDE_NOBODY, CERTAINTY_SEEN, "%s", "");
}

/* Asked on a kept connection that the other side had closed already: an inherent race, after which
 * clients ask again on a new one (RFC 9112, 9.3.1 and 9.5), whatever answers the late bytes. */
static bool is_too_late(const struct look *l)
{
    enum http1_method m = (enum http1_method)l->x->method;
    uint64_t fin_ns = l->c->streams[DOWN].fin_ns;

    return fin_ns && fin_ns < look_get(l, MARK_REQUEST) && !look_is_upload(l) &&
           (m == METHOD_CONNECT || http1_is_idempotent(m));
}

static struct ending judge_closed_unanswered(const struct look *l)
{
    bool waited = l->quiet_ns >= l->patience_ns;

    if (is_too_late(l)) {
        flow_evidence(l->f,
                      "the %s had closed the idle connection %.3f s before: a client asks again on "
                      "a new one",
                      verdict_side_name(l->far),
                      (double)(look_get(l, MARK_REQUEST) - l->c->streams[DOWN].fin_ns) / 1e9);
        return look_conclude(l, VERDICT_OK, l->far, CERTAINTY_INFERRED,
                             "asked on a connection that was closed already");
    }
    if (l->closer == DOWN && l->by_rst)
        return resets_conclude(l, "in place of an answer");
    if (l->closer == DOWN && l->x->proxied)
        return look_conclude(l, VERDICT_PROXY_SILENT, SIDE_PROXY,
                             l->x->content_unseen ? CERTAINTY_INFERRED : CERTAINTY_SEEN,
                             "closed without a byte of an answer");
    if (l->closer == DOWN)
        return look_conclude(l, VERDICT_UPSTREAM_FAILED, SIDE_TARGET, CERTAINTY_SEEN,
                             "closed without a byte of an answer");
    if (waited)
        return judge_silence(l, CERTAINTY_SEEN, "no answer until the client closed");
    return look_conclude(l, VERDICT_CLIENT_GONE, SIDE_CLIENT, CERTAINTY_SEEN,
                         "%s from the client %.1f s after its request", l->by_rst ? "RST" : "FIN",
                         (double)(l->close_ns - l->last_ns) / 1e9);
}

struct ending unanswered_judge_request(const struct look *l)
{
    struct symptoms s = {.far = l->far, .bytes_up = 1};
    struct ending e;

    if (l->x->is_last)
        signs_read_paths(l->c, l->until_ns > l->close_ns ? l->until_ns : l->close_ns, &s);
    if (judge_path(&s, l->f, &e))
        return e;
    if (is_sent_in_vain(l))
        return judge_silence(l, CERTAINTY_SEEN, "the request is never acknowledged");
    if (is_answer_unseen(l))
        return look_conclude(l, VERDICT_OPEN, SIDE_NOBODY, CERTAINTY_INFERRED,
                             "the answer is not in the capture");
    if (l->x->request_unfinished)
        return judge_half_asked(l);
    if (l->closed)
        return judge_closed_unanswered(l);
    if (look_is_waiting(l))
        return judge_silence(l, CERTAINTY_INFERRED, "no answer until the capture ends");
    return look_conclude(l, VERDICT_OPEN, SIDE_NOBODY, CERTAINTY_SEEN, "%s", "");
}

struct ending unanswered_judge_head(const struct look *l)
{
    if (l->closed && l->by_rst)
        return l->closer == UP ? look_conclude(l, VERDICT_RESET_BY_CLIENT, SIDE_CLIENT,
                                               CERTAINTY_SEEN, "RST inside the answer's head")
                               : resets_conclude(l, "inside the answer's head");
    if (look_is_waiting(l))
        return look_conclude(l, VERDICT_STALLED, l->far,
                             l->closed ? CERTAINTY_SEEN : CERTAINTY_INFERRED,
                             "the answer's head stands still");
    if (l->closed)
        return look_conclude(l, VERDICT_INCOMPLETE, look_side(l, l->closer), CERTAINTY_SEEN,
                             "closed inside the answer's head");
    return look_conclude(l, VERDICT_OPEN, SIDE_NOBODY, CERTAINTY_SEEN, "%s", "");
}
