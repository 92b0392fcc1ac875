/* Framing is followed byte by byte, so that what a message promised is known when it breaks; bytes
 * are forwarded framing and all, but for a 1.0 client, whose chunks are unwrapped.  Large bodies of
 * known end are left to the pump. */
#include "proxy/response.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "proxy/forward.h"
#include "proxy/via_parent.h"
#include "proxy/worker.h"
#include "render/date.h"
#include "wire/http1.h"
#include "wire/rewrite.h"

#define STATUS_LINE_MAX 160 /* our member of Proxy-Status */
#define EXTRA_MAX (RESPONSE_DATE_MAX + STATUS_LINE_MAX + SESSION_INFO_MAX)
#define SLOW_NS (5 * NS_PER_S) /* a response that begins later earns a warning */

static struct conn *target_of(struct session *s)
{
    return &s->link->conn;
}

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
        return forward_client_broke(s, -err);
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

    if (via_parent_takes_interim(s, h) && !is_upgrade)
        return STEP_AGAIN;
    if (is_upgrade && !x->upgrade)
        return forward_end_nonsense(s, "101 without a request for an upgrade");
    if (x->client_is_10 && !is_upgrade)
        return STEP_AGAIN;
    n = rewrite_response(h, &r, s->worker->out, PUMP_BUFFER);
    if (n == 0)
        return forward_end_nonsense(s, "response head too large");
    if (is_upgrade) {
        x->status = s->flow.status = 101;
    }
    err = conn_send(&s->client, s->worker->out, n);
    return err < 0 ? forward_client_broke(s, -err) : STEP_AGAIN;
}

void response_write_date(uint64_t wall_ns, char *out, size_t cap)
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
    const char *info = session_login_info(s);
    char extra[EXTRA_MAX] = "";
    size_t n, used, len = 0;
    ssize_t put;
    int err;

    plan_response(s, h, &r);
    if (!(h->seen &
          1ull << FIELD_DATE)) { /* the time of receipt stands in for it (RFC 9110 6.6.1) */
        response_write_date(w->loop.wall_ns, extra, RESPONSE_DATE_MAX);
        len = strlen(extra);
    }
    if (info)
        len += (size_t)snprintf(extra + len, SESSION_INFO_MAX, "%s", info);
    if (x->parent.is_refusal)
        via_parent_write_status(s, h->status, extra + len, sizeof extra - len);
    r.extra = extra;
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
        return forward_end_nonsense(s, "response head too large");
    note_redirect(s, h);
    x->status = s->flow.status = h->status;
    flow_skip(&s->flow, PHASE_TLS, OUTCOME_SKIPPED);
    flow_skip(&s->flow, PHASE_EXCHANGE, OUTCOME_SKIPPED);
    flow_phase(&s->flow, PHASE_TRANSFER, session_now(s));
    if (n + body.len > PUMP_BUFFER) { /* rare: a full buffer */
        err = conn_send(&s->client, w->out, n);
        n = 0;
        if (err < 0)
            return forward_client_broke(s, -err);
    }
    put = take_body(s, body, w->out + n, &used);
    if (put < 0) {
        conn_send(&s->client, w->out, n);
        return forward_end_nonsense(s, x->down.bad_what);
    }
    if (is_over_full(s)) {
        conn_send(&s->client, w->out, n);
        return session_end_full(s, false);
    }
    if (used < body.len)
        x->target_keeps = false; /* bytes that nobody asked for */
    forward_set_deadline(s);
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
        return forward_target_broke(s, (int)-n);
    x->may_retry = false;
    buf_fini(&x->response);
    bytes = (struct span){buffer, kept + (size_t)n};
    while (bytes.len > 0) {
        enum parse parsed;
        enum step next;

        http1_head_reset(h);
        parsed = http1_parse_response(bytes, h);
        if (parsed == PARSE_BAD)
            return forward_end_nonsense(s, h->bad_what);
        if (parsed == PARSE_MORE) {
            if (bytes.len > PUMP_BUFFER / 2)
                return forward_end_nonsense(s, "response head too large");
            return buf_append(&x->response, bytes.ptr, bytes.len)
                       ? STEP_AGAIN
                       : session_end(s, VERDICT_OVERLOADED, SIDE_PROXY, "out of memory");
        }
        bytes.ptr += h->head_len;
        bytes.len -= h->head_len;
        if (h->status >= 200)
            return via_parent_takes_response(s, h, bytes, &next) ? next
                                                                 : begin_response(s, h, bytes);
        next = interim(s, h);
        if (next != STEP_AGAIN || forward_is_over(s))
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
        return body_finish(&x->down) ? STEP_WAIT
                                     : forward_end_transfer(s, STREAM_END_FIN, session_far(s));
    case PUMP_SOURCE_ERROR:
        return forward_target_broke(s, err);
    case PUMP_TAKER_ERROR:
        return forward_client_broke(s, err);
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
        return forward_target_broke(s, (int)-n);
    if (n == 0)
        return body_finish(&x->down) ? STEP_WAIT
                                     : forward_end_transfer(s, STREAM_END_FIN, session_far(s));
    bytes = (struct span){w->pump.buffer, (size_t)n};
    put = take_body(s, bytes, w->pump.buffer, &used);
    if (put < 0)
        return forward_end_nonsense(s, x->down.bad_what);
    if (is_over_full(s))
        return session_end_full(s, false);
    if (used < bytes.len)
        x->target_keeps = false;
    return response_moved(s, conn_send(&s->client, w->pump.buffer, (size_t)put));
}

enum step response_move(struct session *s)
{
    struct exchange *x = s->exchange;

    if (conn_has_rest(&s->client)) {
        int err = s->client.ready & CONN_OUT ? conn_flush(&s->client) : -EAGAIN;

        if (err == -EAGAIN)
            return STEP_WAIT;
        if (err < 0)
            return forward_client_broke(s, -err);
        s->active_ns = session_now(s);
    }
    if (x->down.done && x->status)
        return STEP_WAIT;
    if (!(target_of(s)->ready & CONN_IN) && !target_of(s)->eof)
        return STEP_WAIT;
    if (x->parent.drops)
        return via_parent_drop(s);
    if (!x->status)
        return read_head(s);
    if (x->down.kind == BODY_CHUNKED || session_is_full(s, false))
        return copy_body(s);
    return pump_body(s);
}
