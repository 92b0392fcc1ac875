/* proxy/step_request.c: collects a request head, judges its form, asks the access rules, and hands
 * over to the dial.  Parses before it reads: the bytes of a pipelined request may already be here.
 */
#include "proxy/session.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/num.h"
#include "net/sock.h"
#include "net/tls.h"
#include "proxy/answer.h"
#include "proxy/response.h"
#include "proxy/worker.h"
#include "wire/rewrite.h"

/* A head is parsed in one buffer of the worker's. */
static uint32_t header_size_of(const struct session *s)
{
    uint32_t n = s->worker->config->limits.header_size;

    return n < PUMP_BUFFER ? n : PUMP_BUFFER - 1;
}

/* The request's method as text that lives as long as the flow. */
static void note_request(struct session *s, const struct http1_head *h)
{
    const struct http1_field *f;

    flow_set_span(&s->flow.method, h->method_text);
    if (h->method != METHOD_CONNECT)
        flow_set_span(&s->flow.url, h->target);
    f = http1_find_field(h, FIELD_ACCEPT);
    s->answer_format = (uint8_t)answer_pick_format(f ? f->value : SPAN_LIT(""));
    f = http1_find_field(h, FIELD_ACCEPT_LANGUAGE);
    s->answer_language = f && answer_prefers_japanese(f->value);
    s->closes = !h->keep_alive || s->worker->drain_end_ns;
}

static enum step refuse_head(struct session *s, const struct http1_head *h)
{
    flow_evidence(&s->flow, "byte %zu of the request head: %s", h->bad_offset, h->bad_what);
    return session_end_as(s, VERDICT_BAD_REQUEST, SIDE_PROXY, h->bad_status, NULL, "%s at byte %zu",
                          h->bad_what, h->bad_offset);
}

/* A URL that cannot be taken apart may hold a user name and password: no log gets to see them. */
static void hide_userinfo(char *url)
{
    char *from = url ? strstr(url, "://") : NULL;
    char *to = from ? strrchr(from, '@') : NULL;

    if (to)
        memmove(from + 3, to, strlen(to) + 1);
}

static enum step refuse_target(struct session *s, const struct http1_head *h,
                               const struct authority *a)
{
    size_t at = (size_t)(h->target.ptr - h->method_text.ptr) + a->bad_offset;

    hide_userinfo(s->flow.url);
    flow_evidence(&s->flow, "byte %zu of the request head: %s", at, a->bad_what);
    return session_end(s, VERDICT_BAD_REQUEST, SIDE_PROXY, "%s at byte %zu", a->bad_what, at);
}

/* The listener as this client reached it: a wildcard is no address to connect to.  Under TLS the
 * name that was asked for, as far as it is one of this port: the certificate is made out to it. */
static void write_listener(const struct session *s, const struct http1_head *h,
                           char out[AUTHORITY_TEXT_MAX])
{
    const struct http1_field *host = http1_find_field(h, FIELD_HOST);
    struct endpoint local = {0};
    struct authority a;

    if (!sock_get_local(s->client.fd, &local) || !local.addr.family)
        local = s->flow.proxy;
    local.scope = 0; /* a zone is this machine's own business */
    if (s->client.tls && host && authority_parse_default(host->value, 443, &a) &&
        a.port == local.port)
        authority_write(&a, out);
    else
        endpoint_write(&local, out);
}

static bool is_pac(struct span path)
{
    return span_equal(path, SPAN_LIT("/proxy.pac")) || span_equal(path, SPAN_LIT("/wpad.dat"));
}

/* Our own resources, for requests that are meant for a web site: "/", the PAC file, and 404. */
static enum step serve_page(struct session *s, const struct http1_head *h)
{
    struct worker *w = s->worker;
    const struct config_upstream *u = &w->config->upstream;
    char listener[AUTHORITY_TEXT_MAX];
    struct answer a = {
        .verdict = VERDICT_OK,
        .proxy = w->shared->pseudonym,
        .head_only = h->method == METHOD_HEAD,
        .format = (enum answer_format)s->answer_format,
        .language = s->answer_language ? "ja" : "en",
        .tls = s->client.tls != NULL,
        .wall_ns = w->loop.wall_ns,
    };
    const struct pac pac = {listener, a.tls, (const char *const *)u->no_proxy,
                            u->enabled ? u->no_proxy_len : 0};
    struct span query = h->target, path = span_cut(&query, '?');
    bool found = is_pac(path) || span_equal(path, SPAN_LIT("/")) || span_equal(path, SPAN_LIT("*"));
    size_t n;

    write_listener(s, h, listener);
    s->closes = s->closes || s->unread;
    a.close = s->closes;
    flow_set_text(&s->flow.target, listener);
    n = is_pac(path) ? answer_write_pac(&pac, &a, w->out, PUMP_BUFFER)
                     : answer_write_page(path, listener, &a, w->out, PUMP_BUFFER);
    if (n == 0)
        return session_end(s, VERDICT_PROXY_ERROR, SIDE_PROXY, "NO_PROXY is too long for a page");
    s->flow.status = found ? 200 : 404;
    s->flow.status_sent = true;
    return session_answer(s, found ? VERDICT_OK : VERDICT_NOT_FOUND, w->out, n);
}

/* TRACE and OPTIONS that end here: Max-Forwards is 0 (RFC 9110 7.6.2, 9.3.7, 9.3.8). */
static enum step serve_last_hop(struct session *s, const struct http1_head *h)
{
    struct worker *w = s->worker;
    struct buf body;
    char *out = w->out;
    char date[RESPONSE_DATE_MAX];
    int n;

    s->closes = s->closes || s->unread; /* a body that nobody reads is no next request */
    buf_init(&body, PUMP_BUFFER / 2);
    if (h->method == METHOD_TRACE) {
        /* what may hold secrets is left out, as 9.3.8 asks of senders */
        buf_printf(&body, "%.*s %.*s HTTP/1.%d\r\n", (int)h->method_text.len, h->method_text.ptr,
                   (int)h->target.len, h->target.ptr, h->minor);
        for (unsigned i = 0; i < h->fields_len; i++) {
            const struct http1_field *f = &h->fields[i];

            if (f->id == FIELD_AUTHORIZATION || f->id == FIELD_PROXY_AUTHORIZATION ||
                span_equal_nocase(f->name, SPAN_LIT("cookie")))
                continue;
            buf_printf(&body, "%.*s: %.*s\r\n", (int)f->name.len, f->name.ptr, (int)f->value.len,
                       f->value.ptr);
        }
        buf_append(&body, "\r\n", 2);
    }
    response_write_date(w->loop.wall_ns, date, sizeof date);
    n = snprintf(out, PUMP_BUFFER / 2,
                 "HTTP/1.1 200 OK\r\nProxy-Status: %s\r\n%s%sContent-Length: %u\r\n"
                 "Cache-Control: no-store\r\n%s\r\n",
                 w->shared->pseudonym, date,
                 h->method == METHOD_TRACE
                     ? "Content-Type: message/http\r\n"
                     : "Allow: CONNECT, GET, HEAD, POST, PUT, DELETE, OPTIONS, TRACE, PATCH\r\n",
                 body.len, s->closes ? "Connection: close\r\n" : "");
    memcpy(out + n, buf_span(&body).ptr, body.len);
    n += (int)body.len;
    buf_fini(&body);
    s->flow.status = 200;
    s->flow.status_sent = true;
    flow_evidence(&s->flow, "Max-Forwards: 0, answered here");
    return session_answer(s, VERDICT_OK, out, (size_t)n);
}

static bool ends_here(const struct http1_head *h)
{
    const struct http1_field *f = http1_find_field(h, FIELD_MAX_FORWARDS);
    uint64_t n;

    return (h->method == METHOD_TRACE || h->method == METHOD_OPTIONS) && f &&
           num_parse_u64(f->value, UINT64_MAX, &n) && n == 0;
}

/* Reads the target of the request into *a; false when the flow was ended over it (*next). */
static bool read_target(struct session *s, const struct http1_head *h, struct authority *a,
                        enum step *next)
{
    char target[AUTHORITY_TEXT_MAX];

    if (h->method == METHOD_CONNECT) {
        if (!authority_parse(h->target, a)) {
            *next = refuse_target(s, h, a);
            return false;
        }
    } else if (h->target.ptr[0] == '/' || span_equal(h->target, SPAN_LIT("*"))) {
        *next = serve_page(s, h);
        return false;
    } else if (!authority_parse_absolute(h->target, h->method == METHOD_OPTIONS, a)) {
        *next = refuse_target(s, h, a);
        return false;
    }
    authority_write(a, target);
    flow_set_text(&s->flow.target, target);
    if (!s->flow.target || !s->flow.method) { /* rules would be asked about something else */
        *next = session_end(s, VERDICT_OVERLOADED, SIDE_PROXY, "out of memory");
        return false;
    }
    if (h->method != METHOD_CONNECT && !span_equal_nocase(a->scheme, SPAN_LIT("http"))) {
        bool tls = span_equal_nocase(a->scheme, SPAN_LIT("https"));

        flow_evidence(&s->flow, "scheme of the URL: %.*s", (int)a->scheme.len, a->scheme.ptr);
        *next = session_end_as(s, VERDICT_BAD_REQUEST, SIDE_PROXY, tls ? 400 : 501, NULL,
                               tls ? "an https URL needs CONNECT" : "only http URLs are forwarded");
        return false;
    }
    return true;
}

/* What the proxy must refuse whatever the rules say; true when the flow was ended (*next). */
static bool refuse_early(struct session *s, const struct http1_head *h, enum step *next)
{
    const struct worker *w = s->worker;

    if (s->refuse == VERDICT_CLIENT_LIMIT) {
        *next = session_end(s, VERDICT_CLIENT_LIMIT, SIDE_PROXY,
                            "more than %u connections of this client",
                            w->config->limits.connections_per_client);
        return true;
    }
    if (s->refuse) {
        *next = session_end(s, VERDICT_OVERLOADED, SIDE_PROXY, "%s",
                            s->spare       ? "out of descriptors"
                            : s->no_memory ? "out of memory"
                                           : "limit of connections reached");
        return true;
    }
    if (w->drain_end_ns) {
        *next = session_end(s, VERDICT_DRAINING, SIDE_PROXY, "the proxy is shutting down");
        return true;
    }
    if (rewrite_has_via(h, span_of(w->shared->pseudonym))) {
        flow_evidence(&s->flow, "Via names %s, which is us", w->shared->pseudonym);
        *next = session_end(s, VERDICT_LOOP, SIDE_PROXY, "the request came back to us");
        return true;
    }
    return false;
}

/* Makes the exchange of a plain-HTTP request, or of a CONNECT for the parent: its head as it goes
 * on, and the framing of its body. */
static bool make_exchange(struct session *s, const struct http1_head *h, const struct authority *a,
                          enum step *next)
{
    struct worker *w = s->worker;
    struct exchange *x = slab_get(&w->exchanges);
    struct rewrite r = {
        .via = w->config->via ? w->shared->pseudonym : NULL,
        .forwarded = w->config->forwarded,
        .client = &s->flow.client.addr,
        .absolute = s->hop != NULL,
        .keep_alive = true,
        .upgrade = h->upgrade && h->method != METHOD_CONNECT,
        .chunked = h->chunked,
    };
    const struct http1_field *authorization = http1_find_field(h, FIELD_AUTHORIZATION);
    size_t n = rewrite_request(h, a, &r, w->out, PUMP_BUFFER);

    *next = STEP_WAIT;
    if (n == 0)
        *next = session_end_as(s, VERDICT_BAD_REQUEST, SIDE_PROXY, 431, NULL,
                               "head too large to forward");
    else if (!x)
        *next = session_end(s, VERDICT_OVERLOADED, SIDE_PROXY, "out of memory");
    if (n == 0 || !x) {
        if (x)
            slab_put(&w->exchanges, x);
        return false;
    }
    buf_init(&x->head, PUMP_BUFFER);
    buf_init(&x->response, PUMP_BUFFER);
    s->exchange = x;
    body_of_request(&x->up, h);
    x->method = (uint8_t)h->method;
    x->client_is_10 = h->minor == 0;
    x->client_keeps = h->keep_alive && h->method != METHOD_CONNECT;
    x->upgrade = r.upgrade;
    x->expects = h->expect_continue;
    x->bind_link = authorization && pool_is_connection_auth(authorization->value);
    if (!buf_append(&x->head, w->out, n)) {
        *next = session_end(s, VERDICT_OVERLOADED, SIDE_PROXY, "out of memory");
        return false;
    }
    return true;
}

/* Decides the next hop, and what that means for the rules; false when the flow was ended. */
static bool choose_hop(struct session *s, struct access_query *q, enum step *next)
{
    struct worker *w = s->worker;
    bool through;

    if (s->hop)
        return true; /* the question is asked again */
    through = parent_route(w->config->parent, q);
    s->exempt_private = q->exempt_private;
    if (!through || s->hop) /* it was chosen before the login */
        return true;
    if (!w->hop) {
        *next = session_end(s, VERDICT_OVERLOADED, SIDE_PROXY, "out of memory");
        return false;
    }
    s->hop = hop_ref(w->hop);
    return true;
}

/* Asks the rules, who it is where they want to know, and goes on to the target. */
static enum step request_authorize(struct session *s, const struct http1_head *h,
                                   const struct authority *a)
{
    struct access_decision decision;
    struct access_query query;
    enum step next;

    worker_tell_time(s->worker);
    s->step_ns = session_now(s);
    session_query(s, &query);
    if (!choose_hop(s, &query, &next))
        return next;
    access_decide(s->worker->config->access, &query, &decision);
    flow_step(&s->flow, STEP_KIND_AUTHORIZE, session_now(s) - s->step_ns);
    if (decision.outcome == ACCESS_LOGIN)
        return session_log_in(s, h, decision.rule, &next) ? request_authorize(s, h, a) : next;
    if (decision.outcome == ACCESS_DENY)
        return session_deny(s, &decision);
    if (a->addr.family || s->hop) /* a name's rule is the one that lets its address pass */
        session_take_rule(s, &decision);
    if ((h->method != METHOD_CONNECT || s->hop) && !make_exchange(s, h, a, &next))
        return next;
    return session_connect(s, a->addr.family ? &a->addr : NULL);
}

/* The request answers the 407 before it, if there was one: with credentials, to the same target. */
static void settle_held(struct session *s, const struct http1_head *h)
{
    const struct session_login *l = s->login;
    bool answers = l && session_now(s) < l->held_until_ns &&
                   http1_find_field(h, FIELD_PROXY_AUTHORIZATION) &&
                   strcmp(l->held.target, s->flow.target) == 0;

    session_settle_held(s, answers ? s->flow.id : 0);
}

/* A head is whole. */
static enum step request_serve(struct session *s, struct http1_head *h)
{
    struct authority a;
    enum step next;

    note_request(s, h);
    if (s->only_connect && h->method != METHOD_CONNECT)
        return session_end(s, VERDICT_BAD_REQUEST, SIDE_PROXY,
                           "after a refused CONNECT only another one is taken");
    s->only_connect = false;
    if (!rewrite_check(h))
        return refuse_head(s, h);
    s->unread = h->chunked || (h->has_length && h->length > 0);
    flow_phase(&s->flow, PHASE_ANSWER, session_now(s));
    if (h->method == METHOD_CONNECT && s->unread)
        return session_end(s, VERDICT_BAD_REQUEST, SIDE_PROXY, "CONNECT with a body");
    if (h->method == METHOD_TRACE && s->unread)
        return session_end(s, VERDICT_BAD_REQUEST, SIDE_PROXY, "TRACE with a body");
    if (!read_target(s, h, &a, &next))
        return next;
    settle_held(s, h);
    if (refuse_early(s, h, &next))
        return next;
    if (ends_here(h))
        return serve_last_hop(s, h);

    return request_authorize(s, h, &a);
}

const struct http1_head *session_parse_again(struct session *s, const struct buf *head)
{
    struct worker *w = s->worker;
    struct span bytes = buf_span(head);
    enum parse parsed;

    memcpy(w->pump.buffer, bytes.ptr, bytes.len);
    bytes.ptr = w->pump.buffer;
    http1_head_reset(&w->head);
    parsed = http1_parse_request(bytes, &w->head);
    assert(parsed == PARSE_OK);
    w->head_text = bytes;
    return &w->head;
}

enum step session_logged_in(struct session *s, struct buf *head)
{
    const struct http1_head *h = session_parse_again(s, head);
    struct authority a;
    bool ok = h->method == METHOD_CONNECT
                  ? authority_parse(h->target, &a)
                  : authority_parse_absolute(h->target, h->method == METHOD_OPTIONS, &a);

    assert(ok); /* it was so before */
    explicit_bzero(head->ptr, head->cap);
    buf_fini(head);
    return request_authorize(s, h, &a);
}

/* Parses a head at the start of `bytes`, which lie in the worker's buffer.  `kept`: they lie in
 * s->in too. */
static enum step request_parse(struct session *s, struct span bytes, bool kept)
{
    struct http1_head *h = &s->worker->head;
    uint32_t header_size = header_size_of(s);
    enum parse parsed;

    http1_head_reset(h);
    parsed = http1_parse_request(bytes, h);
    if (parsed == PARSE_BAD)
        return refuse_head(s, h);
    if ((parsed == PARSE_OK ? h->head_len : bytes.len) > header_size)
        return session_end_as(s, VERDICT_BAD_REQUEST, SIDE_PROXY, h->has_line ? 431 : 414, NULL,
                              "request head over %u bytes (header-size)", header_size);
    if (parsed == PARSE_MORE)
        return kept || buf_append(&s->in, bytes.ptr, bytes.len)
                   ? STEP_WAIT
                   : session_end(s, VERDICT_OVERLOADED, SIDE_PROXY, "out of memory");
    s->worker->head_text = (struct span){bytes.ptr, h->head_len};
    if (kept)
        buf_consume(&s->in, h->head_len);
    else if (!buf_append(&s->in, bytes.ptr + h->head_len, bytes.len - h->head_len))
        return session_end(s, VERDICT_OVERLOADED, SIDE_PROXY, "out of memory");
    return request_serve(s, h);
}

/* The same for bytes that wait in s->in: a head must outlive what is done to that buffer. */
static enum step request_parse_kept(struct session *s)
{
    struct span bytes = buf_span(&s->in);

    if (bytes.len > PUMP_BUFFER)
        bytes.len = PUMP_BUFFER;
    memcpy(s->worker->pump.buffer, bytes.ptr, bytes.len);
    bytes.ptr = s->worker->pump.buffer;
    return request_parse(s, bytes, true);
}

/* The client's stream ended or failed inside a request head. */
static enum step request_broken(struct session *s, ssize_t n)
{
    if (n == 0)
        return session_end(s, VERDICT_CLIENT_GONE, SIDE_CLIENT,
                           "closed after %u bytes of a request head", s->in.len);
    if (n == -EPROTO) {
        flow_evidence(&s->flow, "TLS: %s", tls_reason(s->client.tls));
        return session_end(s, VERDICT_PROXY_TLS_FAILED, SIDE_CLIENT, "%s",
                           tls_reason(s->client.tls));
    }
    flow_evidence(&s->flow, "read: %s", verdict_errno_text((int)-n));
    return session_end(s, VERDICT_CLIENT_GONE, SIDE_CLIENT, "%s", verdict_errno_text((int)-n));
}

/* A held 407 is not kept from the log for longer than it may be answered. */
static enum step idle_wait(struct session *s)
{
    if (s->login)
        session_set_wake(s, s->login->held_until_ns);
    return STEP_WAIT;
}

enum step step_idle(struct session *s)
{
    struct worker *w = s->worker;
    ssize_t n;

    if (s->link && s->link->conn.ready & (CONN_RDHUP | CONN_ERR)) {
        pool_close(&w->pool, s->link, false); /* a link of this client alone went away */
        s->link = NULL;
    }
    if (s->login && session_now(s) >= s->login->held_until_ns)
        session_settle_held(s, 0);
    if (s->in.len > 0) {
        session_begin(s);
        session_enter(s, STATE_REQUEST);
        return request_parse_kept(s);
    }
    if (!(s->client.ready & CONN_IN))
        return idle_wait(s);
    n = conn_read(&s->client, w->pump.buffer, PUMP_BUFFER);
    if (n == -EAGAIN)
        return idle_wait(s);
    if (n == -EPROTO && s->client.tls && !tls_is_established(s->client.tls)) {
        session_begin(s);
        flow_phase(&s->flow, PHASE_PROXY_TLS, session_now(s));
        return request_broken(s, n);
    }
    if (n <= 0)
        return session_retire(s); /* no byte, no flow: an idle keep-alive or a preconnect */
    session_begin(s);
    session_enter(s, STATE_REQUEST);
    return request_parse(s, (struct span){w->pump.buffer, (size_t)n}, false);
}

enum step step_request(struct session *s)
{
    uint32_t header_size = header_size_of(s);
    char *room;
    ssize_t n;

    if (!(s->client.ready & CONN_IN))
        return STEP_WAIT;
    if (s->in.len > header_size) /* a reload made it smaller */
        return request_parse_kept(s);
    room = buf_reserve(&s->in, header_size + 1 - s->in.len);
    if (!room)
        return session_end(s, VERDICT_OVERLOADED, SIDE_PROXY, "out of memory");
    n = conn_read(&s->client, room, header_size + 1 - s->in.len);
    if (n == -EAGAIN)
        return STEP_WAIT;
    if (n <= 0)
        return request_broken(s, n);
    buf_commit(&s->in, (size_t)n);
    return request_parse_kept(s);
}
