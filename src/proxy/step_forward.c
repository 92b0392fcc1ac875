/* proxy/step_forward.c: plain HTTP: the request goes out, the answer comes back.
 *
 * Both directions run at once: a target may answer before it has the whole request.  Framing is
 * followed byte by byte, so that what a message promised is known when it breaks; bytes are
 * forwarded framing and all, but for a 1.0 client, whose chunks are unwrapped.  Large bodies of
 * known end are left to the pump. */
#include "proxy/session.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "net/sock.h"
#include "proxy/worker.h"
#include "render/date.h"
#include "wire/http1.h"
#include "wire/rewrite.h"

static struct conn *target_of(struct session *s)
{
    return &s->link->conn;
}

#define SLOW_NS (5 * NS_PER_S) /* a response that begins later earns a warning */

/* Whether the flow was ended, or went on as something else: then the exchange is gone. */
static bool is_over(const struct session *s)
{
    return s->retired || !s->has_flow || s->state != STATE_FORWARD;
}

/* ---- deadlines */

static void set_forward_deadline(struct session *s)
{
    const struct limits *limits = &s->worker->config->limits;
    const struct exchange *x = s->exchange;
    uint64_t at = UINT64_MAX, life = UINT64_MAX;

    if (x->sent_ns && !x->status && limits->response_ns)
        at = x->sent_ns + limits->response_ns;
    else if (s->limits.idle_ns)
        at = s->active_ns + s->limits.idle_ns;
    if (s->limits.lifetime_ns)
        life = s->flow.begin_ns + s->limits.lifetime_ns;
    session_set_deadline(s, at < life ? at : life);
}

/* ---- the end */

/* What the client still was to get is shown as a cut: RST, or a missing last chunk. */
static enum step end_cut(struct session *s, struct ending e)
{
    bool chunked = s->exchange->down.kind == BODY_CHUNKED && !s->exchange->dechunk;

    if (chunked && !conn_has_rest(&s->client) && e.by != SIDE_CLIENT &&
        e.verdict != VERDICT_RESET_BY_TARGET)
        return session_end_unfinished(s, e);
    return session_end_stream(s, e, true);
}

/* The response broke after its head went out. */
static enum step end_transfer(struct session *s, enum stream_end end, enum side first)
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

    return end_cut(s, judge_stream(&y, &s->flow));
}

/* The target broke before its answer. */
static enum step end_unanswered(struct session *s, int err)
{
    struct exchange *x = s->exchange;

    if (x->may_retry && x->response.len == 0 && err != ETIMEDOUT)
        return session_redial(s);
    if (err == ETIMEDOUT)
        return session_end(s, VERDICT_UPSTREAM_TIMEOUT, SIDE_TARGET,
                           "the target's host went silent");
    if (err)
        flow_evidence(&s->flow, "target: %s", strerror(err));
    return session_end_as(s, VERDICT_UPSTREAM_FAILED, SIDE_TARGET, 0, "connection_terminated",
                          x->response.len ? "the target %s inside the response head"
                                          : "the target %s before it answered",
                          err ? "reset the connection" : "closed the connection");
}

static enum step target_broke(struct session *s, int err)
{
    if (!s->exchange->status)
        return end_unanswered(s, err);
    return end_transfer(s, err == ETIMEDOUT ? STREAM_END_LOST : STREAM_END_RST, SIDE_TARGET);
}

static enum step client_broke(struct session *s, int err)
{
    flow_evidence(&s->flow, "client: %s", strerror(err));
    if (!s->exchange->status)
        return session_end(s, VERDICT_CLIENT_GONE, SIDE_CLIENT, "left before the answer");
    return end_transfer(s, err == ETIMEDOUT ? STREAM_END_LOST : STREAM_END_RST, SIDE_CLIENT);
}

static enum step end_nonsense(struct session *s, const char *what)
{
    flow_evidence(&s->flow, "response: %s", what);
    if (!s->exchange->status)
        return session_end_as(s, VERDICT_UPSTREAM_FAILED, SIDE_TARGET, 0, "http_protocol_error",
                              "%s", what);
    flow_set_text(&s->flow.reason, what);
    return end_cut(s, (struct ending){VERDICT_UPSTREAM_FAILED, SIDE_TARGET, CERTAINTY_SEEN});
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
    if (x->sent_ns && !x->status) {
        if (now < x->sent_ns + s->worker->config->limits.response_ns) {
            set_forward_deadline(s);
            return STEP_AGAIN;
        }
        flow_evidence(&s->flow,
                      "request sent whole, no response head for %.1f s (response-timeout)", waited);
        return session_end_as(s, VERDICT_UPSTREAM_TIMEOUT, SIDE_TARGET, 0, "http_response_timeout",
                              "no answer in %.0f s", waited);
    }
    if (s->limits.idle_ns && now < s->active_ns + s->limits.idle_ns) {
        set_forward_deadline(s);
        return STEP_AGAIN;
    }
    if (x->status)
        return end_transfer(s, STREAM_END_IDLE, SIDE_PROXY);
    /* the request stands still: whoever should move it */
    flow_evidence(&s->flow, "no byte of the request moved for %.1f s (idle-timeout)", waited);
    if (conn_has_rest(target_of(s)))
        return session_end_as(s, VERDICT_UPSTREAM_TIMEOUT, SIDE_TARGET, 0,
                              "connection_write_timeout", "the target does not take the request");
    return session_end(s, VERDICT_STALLED, SIDE_CLIENT, "request body stands still");
}

/* ---- the request */

enum step step_forward_start(struct session *s)
{
    struct exchange *x = s->exchange;
    struct span head = buf_span(&x->head);
    int err;

    session_enter(s, STATE_FORWARD);
    s->active_ns = session_now(s);
    err = conn_send(target_of(s), head.ptr, head.len);
    if (err < 0)
        return end_unanswered(s, -err);
    if (!x->may_retry)
        buf_fini(&x->head);
    if (x->up.done)
        x->sent_ns = session_now(s);
    set_forward_deadline(s);
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
            return client_broke(s, (int)-n);
        if (n == 0) {
            flow_evidence(&s->flow, "client sent FIN after %llu bytes of its request body",
                          (unsigned long long)x->up.payload);
            if (x->status)
                return end_transfer(s, STREAM_END_FIN, SIDE_CLIENT);
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
        set_forward_deadline(s);
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
        if (s->exchange->up.done || s->exchange->upstream_gone)
            return STEP_WAIT;
        next = forward_up_once(s);
        if (next != STEP_AGAIN)
            return next;
        if (is_over(s))
            return next;
    }
    return STEP_YIELD;
}

/* ---- the response */

/* The response's framing towards this client, and whether both connections are kept after it. */
static void plan_response(struct session *s, const struct http1_head *h, struct rewrite *r)
{
    struct exchange *x = s->exchange;
    const struct http1_field *auth = http1_find_field(h, FIELD_WWW_AUTHENTICATE);

    body_of_response(&x->down, h, (enum http1_method)x->method);
    x->target_keeps = h->keep_alive && x->down.kind != BODY_CLOSE;
    x->dechunk = x->client_is_10 && x->down.kind == BODY_CHUNKED;
    if (x->dechunk || x->down.kind == BODY_CLOSE || !x->up.done)
        x->client_keeps = false;
    if (s->worker->drain_end_ns)
        x->client_keeps = false;
    if (auth && pool_is_connection_auth(auth->value))
        x->bind_link = true;
    *r = (struct rewrite){
        .via = s->worker->config->via ? s->worker->shared->pseudonym : NULL,
        .keep_alive = x->client_keeps,
        .client_is_10 = x->client_is_10,
        .chunked = x->down.kind == BODY_CHUNKED && !x->dechunk,
        .no_framing = x->down.kind == BODY_NONE,
    };
}

static void note_redirect(struct session *s, const struct http1_head *h)
{
    if (h->status < 300 || h->status > 399)
        return;
    for (unsigned i = 0; i < h->fields_len; i++)
        if (span_equal_nocase(h->fields[i].name, SPAN_LIT("location")))
            flow_note(&s->flow, NOTE_REDIRECT, 0, "%u %.*s", h->status, (int)h->fields[i].value.len,
                      h->fields[i].value.ptr);
}

/* Takes body bytes out of `bytes` into `out` (framing and all, or unwrapped); returns how many were
 * written there, -1 for bad framing. */
static ssize_t take_body(struct session *s, struct span bytes, char *out, size_t *used)
{
    struct body *down = &s->exchange->down;
    uint64_t before = down->payload;
    size_t at = 0, put = 0;

    while (at < bytes.len && !down->done) {
        struct span data;
        size_t n;
        enum parse parsed =
            body_read(down, (struct span){bytes.ptr + at, bytes.len - at}, &n, &data);

        if (parsed == PARSE_BAD)
            return -1;
        if (s->exchange->dechunk) {
            memmove(out + put, data.ptr, data.len);
            put += data.len;
        }
        at += n;
        if (n == 0)
            break;
    }
    if (!s->exchange->dechunk) {
        if (out != bytes.ptr)
            memcpy(out, bytes.ptr, at);
        put = at;
    }
    *used = at;
    s->flow.bytes_down += down->payload - before;
    return (ssize_t)put;
}

/* Whether the body, framing not counted, is larger than it may be. */
static bool is_over_full(const struct session *s)
{
    return s->limits.max_download && s->exchange->down.payload > s->limits.max_download;
}

/* After bytes went to the client. */
static enum step response_moved(struct session *s, int err)
{
    struct exchange *x = s->exchange;

    s->active_ns = session_now(s);
    if (err == -ENOBUFS)
        return session_end(s, VERDICT_OVERLOADED, SIDE_PROXY, "out of memory");
    if (err < 0)
        return client_broke(s, -err);
    return x->down.done ? STEP_WAIT : STEP_AGAIN;
}

/* A 101: from here on both sides speak another protocol. */
static enum step upgrade(struct session *s, struct span rest)
{
    flow_phase(&s->flow, PHASE_TRANSFER, session_now(s));
    if (rest.len > 0 && conn_send(&s->client, rest.ptr, rest.len) < 0)
        return session_end_left(s);
    s->flow.bytes_down += rest.len;
    flow_skip(&s->flow, PHASE_TLS, OUTCOME_SKIPPED);
    flow_skip(&s->flow, PHASE_EXCHANGE, OUTCOME_SKIPPED);
    return session_tunnel_opaque(s);
}

/* An interim response (RFC 9110 15.2): handed on, but never to a 1.0 client. */
static enum step interim(struct session *s, const struct http1_head *h)
{
    struct exchange *x = s->exchange;
    bool is_upgrade = h->status == 101;
    struct rewrite r = {
        .via = s->worker->config->via ? s->worker->shared->pseudonym : NULL,
        .keep_alive = true,
        .upgrade = is_upgrade,
        .no_framing = true,
    };
    size_t n;
    int err;

    if (is_upgrade && !x->upgrade)
        return end_nonsense(s, "101 without a request for an upgrade");
    if (x->client_is_10 && !is_upgrade)
        return STEP_AGAIN;
    n = rewrite_response(h, &r, s->worker->out, PUMP_BUFFER);
    if (n == 0)
        return end_nonsense(s, "response head too large");
    if (is_upgrade) {
        x->status = s->flow.status = 101;
    }
    err = conn_send(&s->client, s->worker->out, n);
    return err < 0 ? client_broke(s, -err) : STEP_AGAIN;
}

/* "Date: …" with its line end. */
static void write_date_line(uint64_t wall_ns, char *out, size_t cap)
{
    struct pen p;

    pen_init_fixed(&p, out, cap - 1);
    pen_text(&p, "Date: ");
    date_write_http(&p, wall_ns);
    pen_text(&p, "\r\n");
    out[pen_len(&p)] = '\0';
}

/* The final response's head, with what already came of its body: one write. */
static enum step begin_response(struct session *s, const struct http1_head *h, struct span body)
{
    struct worker *w = s->worker;
    struct exchange *x = s->exchange;
    struct rewrite r;
    char date[64];
    size_t n, used;
    ssize_t put;
    int err;

    plan_response(s, h, &r);
    if (!(h->seen & 1ull << FIELD_DATE)) { /* the time of receipt stands in for it (RFC 9110 6.6.1) */
        write_date_line(w->loop.wall_ns, date, sizeof date);
        r.extra = date;
    }
    if (x->sent_ns && session_now(s) - x->sent_ns > SLOW_NS)
        flow_warn(&s->flow, WARNING_SLOW_TARGET, "the response began %.1f s after the request",
                  (double)(session_now(s) - x->sent_ns) / 1e9);
    if (s->limits.max_download && x->down.kind == BODY_LENGTH &&
        x->down.total > s->limits.max_download)
        return session_end_as(s, VERDICT_SIZE_LIMIT, SIDE_PROXY, 403, "http_response_body_size",
                              "response of %llu bytes is over max-download %llu",
                              (unsigned long long)x->down.total,
                              (unsigned long long)s->limits.max_download);
    n = rewrite_response(h, &r, w->out, PUMP_BUFFER);
    if (n == 0)
        return end_nonsense(s, "response head too large");
    note_redirect(s, h);
    x->status = s->flow.status = h->status;
    flow_skip(&s->flow, PHASE_TLS, OUTCOME_SKIPPED);
    flow_skip(&s->flow, PHASE_EXCHANGE, OUTCOME_SKIPPED);
    flow_phase(&s->flow, PHASE_TRANSFER, session_now(s));
    if (n + body.len > PUMP_BUFFER) { /* rare: a full buffer */
        err = conn_send(&s->client, w->out, n);
        n = 0;
        if (err < 0)
            return client_broke(s, -err);
    }
    put = take_body(s, body, w->out + n, &used);
    if (put < 0) {
        conn_send(&s->client, w->out, n);
        return end_nonsense(s, x->down.bad_what);
    }
    if (is_over_full(s)) {
        conn_send(&s->client, w->out, n);
        return session_end_full(s, false);
    }
    if (used < body.len)
        x->target_keeps = false; /* bytes that nobody asked for */
    set_forward_deadline(s);
    return response_moved(s, conn_send(&s->client, w->out, n + (size_t)put));
}

/* Bytes of the target before the final head is whole.  They lie in the worker's buffer. */
static enum step read_head(struct session *s)
{
    struct worker *w = s->worker;
    struct exchange *x = s->exchange;
    struct http1_head *h = &w->head;
    size_t kept = x->response.len;
    char *buffer = w->pump.buffer;
    struct span bytes;
    ssize_t n;

    memcpy(buffer, buf_span(&x->response).ptr, kept);
    n = conn_read(target_of(s), buffer + kept, PUMP_BUFFER - kept);
    if (n == -EAGAIN)
        return STEP_WAIT;
    if (n <= 0)
        return target_broke(s, (int)-n);
    x->may_retry = false;
    buf_fini(&x->response);
    bytes = (struct span){buffer, kept + (size_t)n};
    while (bytes.len > 0) {
        enum parse parsed;
        enum step next;

        http1_head_reset(h);
        parsed = http1_parse_response(bytes, h);
        if (parsed == PARSE_BAD)
            return end_nonsense(s, h->bad_what);
        if (parsed == PARSE_MORE) {
            if (bytes.len > PUMP_BUFFER / 2)
                return end_nonsense(s, "response head too large");
            return buf_append(&x->response, bytes.ptr, bytes.len)
                       ? STEP_AGAIN
                       : session_end(s, VERDICT_OVERLOADED, SIDE_PROXY, "out of memory");
        }
        bytes.ptr += h->head_len;
        bytes.len -= h->head_len;
        if (h->status >= 200)
            return begin_response(s, h, bytes);
        next = interim(s, h);
        if (next != STEP_AGAIN || is_over(s))
            return next;
        if (h->status == 101)
            return upgrade(s, bytes);
    }
    return STEP_AGAIN;
}

/* The body's end is known by its length or by the connection's: the pump moves it. */
static enum step pump_body(struct session *s)
{
    struct exchange *x = s->exchange;
    uint64_t limit = session_allowance(s, false);
    enum pump_result r;
    int err;

    if (limit == 0)
        return STEP_WAIT;
    if (x->down.kind == BODY_LENGTH && x->down.left < limit)
        limit = x->down.left;
    x->way_down.moved = 0;
    r = pump_move(&s->worker->pump, &x->way_down, target_of(s), &s->client, limit, NULL, NULL);
    err = x->way_down.err;
    if (x->way_down.moved > 0) {
        body_skip(&x->down, x->way_down.moved);
        s->flow.bytes_down += x->way_down.moved;
        s->active_ns = session_now(s);
    }
    if (x->down.done)
        return STEP_WAIT;
    switch (r) {
    case PUMP_WAIT:
        return STEP_WAIT;
    case PUMP_AGAIN:
    case PUMP_LIMIT:
        return STEP_AGAIN;
    case PUMP_EOF:
        return body_finish(&x->down) ? STEP_WAIT : end_transfer(s, STREAM_END_FIN, SIDE_TARGET);
    case PUMP_SOURCE_ERROR:
        return target_broke(s, err);
    case PUMP_TAKER_ERROR:
        return client_broke(s, err);
    }
    return STEP_WAIT;
}

/* A chunked body, whose framing is followed; or one that is as large as it may be, to see if more
 * comes. */
static enum step copy_body(struct session *s)
{
    struct worker *w = s->worker;
    struct exchange *x = s->exchange;
    uint64_t room = session_is_full(s, false) ? PUMP_BUFFER : session_allowance(s, false);
    struct span bytes;
    size_t used;
    ssize_t n, put;

    if (room == 0)
        return STEP_WAIT;
    n = conn_read(target_of(s), w->pump.buffer, room < PUMP_BUFFER ? room : PUMP_BUFFER);
    if (n == -EAGAIN)
        return STEP_WAIT;
    if (n < 0)
        return target_broke(s, (int)-n);
    if (n == 0)
        return body_finish(&x->down) ? STEP_WAIT : end_transfer(s, STREAM_END_FIN, SIDE_TARGET);
    bytes = (struct span){w->pump.buffer, (size_t)n};
    put = take_body(s, bytes, w->pump.buffer, &used);
    if (put < 0)
        return end_nonsense(s, x->down.bad_what);
    if (is_over_full(s))
        return session_end_full(s, false);
    if (used < bytes.len)
        x->target_keeps = false;
    return response_moved(s, conn_send(&s->client, w->pump.buffer, (size_t)put));
}

/* STEP_AGAIN: more may be there; STEP_WAIT: nothing now, or the response is whole. */
static enum step forward_down_once(struct session *s)
{
    struct exchange *x = s->exchange;

    if (conn_has_rest(&s->client)) {
        int err = s->client.ready & CONN_OUT ? conn_flush(&s->client) : -EAGAIN;

        if (err == -EAGAIN)
            return STEP_WAIT;
        if (err < 0)
            return client_broke(s, -err);
        s->active_ns = session_now(s);
    }
    if (x->down.done && x->status)
        return STEP_WAIT;
    if (!(target_of(s)->ready & CONN_IN) && !target_of(s)->eof)
        return STEP_WAIT;
    if (!x->status)
        return read_head(s);
    if (x->down.kind == BODY_CHUNKED || session_is_full(s, false))
        return copy_body(s);
    return pump_body(s);
}

enum step step_forward(struct session *s)
{
    struct exchange *x = s->exchange;
    enum step up, down = STEP_AGAIN;

    if (!x->status && session_client_left(s))
        return session_end_left(s);
    up = forward_up(s);
    if (is_over(s))
        return s->retired ? STEP_DONE : STEP_AGAIN;
    for (int i = 0; i < PUMP_READS && down == STEP_AGAIN; i++) {
        down = forward_down_once(s);
        if (is_over(s))
            return s->retired ? STEP_DONE : STEP_AGAIN;
    }
    if (x->status && x->down.done && !conn_has_rest(&s->client))
        return session_end_exchange(s, x->status >= 400 ? VERDICT_TARGET_ERROR : VERDICT_OK);
    if (s->client.ready & CONN_ERR && s->client.fd >= 0 && x->status)
        return client_broke(s, ECONNRESET);
    return up == STEP_YIELD || down == STEP_AGAIN ? STEP_YIELD : STEP_WAIT;
}
