#include "proxy/forward.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "net/tls.h"
#include "proxy/via_parent.h"
#include "proxy/worker.h"

static struct conn *target_of(struct session *s)
{
    return &s->link->conn;
}

bool forward_is_over(const struct session *s)
{
    return s->retired || !s->has_flow || s->state != STATE_FORWARD;
}

/* ---- deadlines */

/* TLS to the parent, which is part of reaching it. */
static bool is_handshaking(const struct session *s)
{
    const struct tls *tls = s->link->conn.tls;

    return tls && !tls_is_established(tls);
}

void forward_set_deadline(struct session *s)
{
    const struct limits *limits = &s->worker->config->limits;
    const struct exchange *x = s->exchange;
    uint64_t at = UINT64_MAX, life = UINT64_MAX;

    if (is_handshaking(s))
        at = s->active_ns + limits->connect_ns;
    else if (x->sent_ns && !x->status && limits->response_ns)
        at = x->sent_ns + limits->response_ns;
    else if (s->limits.idle_ns)
        at = s->active_ns + s->limits.idle_ns;
    if (s->limits.lifetime_ns)
        life = s->flow.begin_ns + s->limits.lifetime_ns;
    session_set_deadline(s, at < life ? at : life);
}

/* ---- the end */

/* What the client still was to get is shown as a cut: RST, or a missing last chunk.  `deliver`:
 * what came before it reaches the client first. */
static enum step end_cut(struct session *s, struct ending e, bool deliver)
{
    bool chunked = s->exchange->down.kind == BODY_CHUNKED && !s->exchange->dechunk;

    if (chunked && !conn_has_rest(&s->client) && e.by != SIDE_CLIENT &&
        e.verdict != VERDICT_RESET_BY_TARGET)
        return session_end_unfinished(s, e);
    return deliver ? session_end_short(s, e) : session_end_stream(s, e, true);
}

/* The response broke after its head went out. */
enum step forward_end_transfer(struct session *s, enum stream_end end, enum side first)
{
    struct exchange *x = s->exchange;
    struct symptoms y = {
        .end = end,
        .first = first,
        .fin_client = s->client.eof,
        .fin_target = target_of(s)->eof,
        .bytes_up = s->flow.bytes_up,
        .bytes_down = s->flow.bytes_down,
        .promised = x->down.kind == BODY_LENGTH ? x->down.total : 0,
        .received = x->down.payload,
        .body_unfinished = !x->down.done,
        .held_client = s->client.rest.len + (s->client.pipe ? s->client.pipe->held : 0),
        .idle_ns = session_now(s) - s->active_ns,
        .idle_timer = "idle-timeout",
    };
    struct heal_info info;
    struct ending e;

    heal_gather(s, &y, &info);
    e = judge_stream(&y, &s->flow);
    heal_take(s, &e);
    return end_cut(s, e, end == STREAM_END_FIN && first != SIDE_CLIENT);
}

/* The target broke before its answer. */
enum step forward_end_unanswered(struct session *s, int err)
{
    const char *far = verdict_side_name(session_far(s));
    struct exchange *x = s->exchange;

    if (x->may_retry && x->response.len == 0 && err != ETIMEDOUT)
        return session_redial(s);
    if (err == ETIMEDOUT)
        return session_end(s, VERDICT_UPSTREAM_TIMEOUT, session_far(s), "the %s's host went silent",
                           far);
    if (err == EPROTO && s->link->conn.tls) /* of the kernel it is an ICMP's word */
        return via_parent_end_tls(s);
    if (err)
        flow_evidence(&s->flow, "%s: %s", far, verdict_errno_text(err));
    return session_end_as(s, VERDICT_UPSTREAM_FAILED, session_far(s), 0, "connection_terminated",
                          "the %s %s %s", far,
                          err ? "reset the connection" : "closed the connection",
                          x->response.len ? "inside the response head" : "before it answered");
}

enum step forward_target_broke(struct session *s, int err)
{
    if (!s->exchange->status)
        return forward_end_unanswered(s, err);
    return forward_end_transfer(s, err == ETIMEDOUT ? STREAM_END_LOST : STREAM_END_RST,
                                session_far(s));
}

enum step forward_client_broke(struct session *s, int err)
{
    flow_evidence(&s->flow, "client: %s", verdict_errno_text(err));
    if (!s->exchange->status)
        return session_end(s, VERDICT_CLIENT_GONE, SIDE_CLIENT, "left before the answer");
    return forward_end_transfer(s, err == ETIMEDOUT ? STREAM_END_LOST : STREAM_END_RST,
                                SIDE_CLIENT);
}

enum step forward_end_nonsense(struct session *s, const char *what)
{
    flow_evidence(&s->flow, "response: %s", what);
    if (!s->exchange->status)
        return session_end_as(s, VERDICT_UPSTREAM_FAILED, session_far(s), 0, "http_protocol_error",
                              "%s", what);
    flow_set_text(&s->flow.reason, what);
    return end_cut(s, (struct ending){VERDICT_UPSTREAM_FAILED, session_far(s), CERTAINTY_SEEN},
                   false);
}

enum step step_forward_timeout(struct session *s)
{
    const struct exchange *x = s->exchange;
    uint64_t now = session_now(s);
    double waited = (double)(now - (x->sent_ns ? x->sent_ns : s->active_ns)) / 1e9;

    if (s->limits.lifetime_ns && now >= s->flow.begin_ns + s->limits.lifetime_ns) {
        flow_evidence(&s->flow, "open for %.1f s (lifetime)",
                      (double)(now - s->flow.begin_ns) / 1e9);
        return session_end(s, VERDICT_LIFETIME_LIMIT, SIDE_PROXY, "lifetime");
    }
    if (is_handshaking(s) && now >= s->active_ns + s->worker->config->limits.connect_ns) {
        flow_evidence(&s->flow, "parent: connected, TLS not ready after %.1f s (connect-timeout)",
                      (double)(now - s->active_ns) / 1e9);
        return session_end_as(s, VERDICT_UPSTREAM_TIMEOUT, SIDE_PARENT, 0, "connection_timeout",
                              "TLS to the parent: no answer");
    }
    if (x->sent_ns && !x->status) {
        if (now < x->sent_ns + s->worker->config->limits.response_ns) {
            forward_set_deadline(s);
            return STEP_AGAIN;
        }
        flow_evidence(&s->flow,
                      "request sent whole, no response head for %.1f s (response-timeout)", waited);
        return session_end_as(s, VERDICT_UPSTREAM_TIMEOUT, session_far(s), 0,
                              "http_response_timeout", "no answer in %.0f s", waited);
    }
    if (s->limits.idle_ns && now < s->active_ns + s->limits.idle_ns) {
        forward_set_deadline(s);
        return STEP_AGAIN;
    }
    if (session_is_delivering(s))
        return STEP_WAIT;
    if (x->status)
        return forward_end_transfer(s, STREAM_END_IDLE, SIDE_PROXY);
    /* the request stands still: whoever should move it */
    flow_evidence(&s->flow, "no byte of the request moved for %.1f s (idle-timeout)", waited);
    if (conn_has_rest(target_of(s)))
        return session_end_as(s, VERDICT_UPSTREAM_TIMEOUT, session_far(s), 0,
                              "connection_write_timeout", "the %s does not take the request",
                              verdict_side_name(session_far(s)));
    return session_end(s, VERDICT_STALLED, SIDE_CLIENT, "request body stands still");
}
