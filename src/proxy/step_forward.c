/* proxy/step_forward.c: plain HTTP: the request goes out, the answer comes back (response.c).
 *
 * Both directions run at once: a target may answer before it has the whole request. */
#include <errno.h>
#include <string.h>

#include "proxy/forward.h"
#include "proxy/response.h"
#include "proxy/via_parent.h"
#include "proxy/worker.h"

static struct conn *target_of(struct session *s)
{
    return &s->link->conn;
}

enum step step_forward_start(struct session *s)
{
    struct exchange *x = s->exchange;
    struct span head = buf_span(&x->head);
    int err;

    session_enter(s, STATE_FORWARD);
    s->active_ns = session_now(s);
    if (!x->begin_ns)
        x->begin_ns = s->active_ns;
    if (s->hop && via_parent_must_wait(s))
        return STEP_WAIT;
    err = s->hop ? via_parent_send_head(s) : conn_send(target_of(s), head.ptr, head.len);
    if (err == -EMSGSIZE)
        return session_end_as(s, VERDICT_BAD_REQUEST, SIDE_PROXY, 431, NULL,
                              "head too large to forward");
    if (err < 0)
        return forward_end_unanswered(s, -err);
    if (!x->may_retry && !s->hop)
        buf_fini(&x->head);
    if (x->up.done)
        x->sent_ns = session_now(s);
    forward_set_deadline(s);
    return STEP_AGAIN;
}

/* Forwards bytes of the request's body; what follows it stays in s->in.  Returns an error of the
 * target. */
static int forward_up_bytes(struct session *s, struct span bytes, size_t *used, enum parse *parsed)
{
    struct body *up = &s->exchange->up;
    uint64_t before = up->payload;
    size_t at = 0;

    *parsed = PARSE_MORE;
    while (at < bytes.len && *parsed == PARSE_MORE) {
        struct span data;
        size_t n;

        *parsed = body_read(up, (struct span){bytes.ptr + at, bytes.len - at}, &n, &data);
        at += n;
        if (n == 0 && *parsed == PARSE_MORE)
            break;
    }
    *used = at;
    s->flow.bytes_up += up->payload - before;
    if (at == 0)
        return 0;
    s->active_ns = session_now(s);
    via_parent_keep(s, bytes.ptr, at);
    return conn_send(target_of(s), bytes.ptr, at);
}

/* One piece of the request's body.  STEP_AGAIN: go on; STEP_WAIT: nothing now. */
static enum step forward_up_once(struct session *s)
{
    struct exchange *x = s->exchange;
    bool kept = s->in.len > 0;
    struct span bytes = buf_span(&s->in);
    enum parse parsed;
    size_t used;
    int err;

    if (!kept) {
        uint64_t room = session_is_full(s, true) ? 1 : session_allowance(s, true);
        ssize_t n;

        if (!(s->client.ready & CONN_IN) || room == 0)
            return STEP_WAIT;
        n = conn_read(&s->client, s->worker->pump.buffer, room < PUMP_BUFFER ? room : PUMP_BUFFER);
        if (n == -EAGAIN)
            return STEP_WAIT;
        if (n < 0)
            return forward_client_broke(s, (int)-n);
        if (n == 0) {
            flow_evidence(&s->flow, "client sent FIN after %llu bytes of its request body",
                          (unsigned long long)x->up.payload);
            if (x->status)
                return forward_end_transfer(s, STREAM_END_FIN, SIDE_CLIENT);
            return session_end(s, VERDICT_CLIENT_GONE, SIDE_CLIENT, "left inside the request body");
        }
        bytes = (struct span){s->worker->pump.buffer, (size_t)n};
    }
    err = forward_up_bytes(s, bytes, &used, &parsed);
    if (parsed == PARSE_BAD) {
        flow_evidence(&s->flow, "request body: %s after %llu bytes", x->up.bad_what,
                      (unsigned long long)x->up.payload);
        s->unread = true;
        return session_end(s, VERDICT_BAD_REQUEST, SIDE_PROXY, "%s", x->up.bad_what);
    }
    if (s->limits.max_upload && x->up.payload > s->limits.max_upload) {
        s->unread = true;
        if (!x->status)
            return session_end_as(s, VERDICT_SIZE_LIMIT, SIDE_PROXY, 413, "http_request_error",
                                  "over max-upload %llu", (unsigned long long)s->limits.max_upload);
        return session_end_full(s, true);
    }
    if (kept)
        buf_consume(&s->in, used);
    else if (used < bytes.len && !buf_append(&s->in, bytes.ptr + used, bytes.len - used))
        return session_end(s, VERDICT_OVERLOADED, SIDE_PROXY, "out of memory");
    if (err < 0) {
        x->upstream_gone = true; /* it may have answered already: the response side will tell */
        target_of(s)->ready |= CONN_IN;
    }
    if (x->up.done) {
        s->unread = false;
        x->sent_ns = session_now(s);
        forward_set_deadline(s);
    }
    return STEP_AGAIN;
}

static enum step forward_up(struct session *s)
{
    for (int i = 0; i < PUMP_READS; i++) {
        enum step next;

        if (conn_has_rest(target_of(s))) {
            int err = target_of(s)->ready & CONN_OUT ? conn_flush(target_of(s)) : -EAGAIN;

            if (err == -EAGAIN)
                return STEP_WAIT;
            if (err < 0) {
                s->exchange->upstream_gone = true;
                buf_fini(&target_of(s)->rest);
                target_of(s)->ready |= CONN_IN;
            }
        }
        if (s->exchange->up.done || s->exchange->upstream_gone || via_parent_holds_body(s))
            return STEP_WAIT;
        next = forward_up_once(s);
        if (next != STEP_AGAIN)
            return next;
        if (forward_is_over(s))
            return next;
    }
    return STEP_YIELD;
}

/* What a response that went out whole comes to. */
static struct ending ending_of(const struct exchange *x)
{
    if (x->parent.is_refusal)
        return (struct ending){(enum verdict)x->parent.verdict, (enum side)x->parent.by,
                               (enum certainty)x->parent.certainty};
    return (struct ending){x->status >= 400 ? VERDICT_TARGET_ERROR : VERDICT_OK, SIDE_TARGET,
                           CERTAINTY_SEEN};
}

enum step step_forward(struct session *s)
{
    struct exchange *x = s->exchange;
    enum step up, down = STEP_AGAIN;

    if (!x->status && session_client_left(s))
        return session_end_left(s);
    if (x->parent.wait_ns)
        return step_forward_start(s);
    up = forward_up(s);
    if (forward_is_over(s))
        return s->retired ? STEP_DONE : STEP_AGAIN;
    for (int i = 0; i < PUMP_READS && down == STEP_AGAIN; i++) {
        down = response_move(s);
        if (forward_is_over(s))
            return s->retired ? STEP_DONE : STEP_AGAIN;
    }
    if (x->status && x->down.done && !conn_has_rest(&s->client))
        return session_end_exchange(s, ending_of(x));
    if (s->client.ready & CONN_ERR && s->client.fd >= 0 && x->status)
        return forward_client_broke(s, ECONNRESET);
    return up == STEP_YIELD || down == STEP_AGAIN ? STEP_YIELD : STEP_WAIT;
}
