/* proxy/session_end.c: every end of a flow, and what comes after it: the answer, the record, the
 * links, the next request. */
#include "proxy/session.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "net/sock.h"
#include "proxy/answer.h"
#include "proxy/hop.h"
#include "proxy/watch.h"
#include "proxy/worker.h"

#define HELD_NS (10 * NS_PER_S)  /* a 407 waits for the request that answers it */
#define LOOK_NS (10 * NS_PER_MS) /* from one look at a queue to the next, at least */
#define LINGER_BYTES (64 * 1024) /* read on after an answer at most (RFC 9112 9.6) */
#define RETRY_AFTER_S 5          /* what 429 and 503 advise */

static void read_leg(struct flow_leg *leg, const struct conn *c)
{
    struct sock_info info;

    if (leg->known || c->fd < 0 || !sock_read_info(c->fd, &info))
        return;
    *leg = (struct flow_leg){true,     info.rtt_us, info.retransmissions,
                             info.mss, info.pmtu,   info.unacked};
}

void session_read_legs(const struct session *s, struct flow *f)
{
    read_leg(&f->client_leg, &s->client);
    if (s->link)
        read_leg(&f->upstream_leg, &s->link->conn);
}

static void warn_of_leg(struct flow *f, const struct flow_leg *leg, const char *side)
{
    if (leg->known && leg->retransmissions > 0)
        flow_warn(f, WARNING_RETRANSMISSIONS, "%u segments to the %s", leg->retransmissions, side);
}

/* A flow that dialled one address notes it only now: an idle tunnel owns no such text. */
static void note_address(struct flow *f)
{
    char text[ENDPOINT_TEXT_MAX];
    uint32_t at = 0;
    const char *known;

    if (!f->address.addr.family || !f->step_us[STEP_KIND_DIAL])
        return;
    endpoint_write(&f->address, text);
    while ((known = flow_next_note(f, NOTE_EVIDENCE, NULL, &at)))
        if (strncmp(known, text, strlen(text)) == 0)
            return;
    if (*flow_find_note(f, NOTE_STEP, STEP_KIND_DIAL))
        flow_evidence(f, "%s: a kept connection", text);
    else
        flow_evidence(f, "%s: connected in %u.%u ms", text, (f->step_us[STEP_KIND_DIAL] - 1) / 1000,
                      (f->step_us[STEP_KIND_DIAL] - 1) / 100 % 10);
}

/* ---- a 407 waits a little for the request that answers it */

static bool hold_flow(struct session *s)
{
    struct session_login *l = session_login_get(s);

    if (!l)
        return false;
    l->held = s->flow;
    l->held_until_ns = session_now(s) + HELD_NS;
    s->flow = (struct flow){0};
    return true;
}

void session_settle_held(struct session *s, uint64_t successor)
{
    struct worker *w = s->worker;
    struct session_login *l = s->login;

    if (!l || !l->held_until_ns)
        return;
    l->held_until_ns = 0;
    l->held.superseded_by = successor;
    recorder_take(w->shared->recorder, w->number, &l->held);
    session_login_drop(s);
}

/* ---- the record */

/* Whether this client is to come again, with credentials. */
static bool asks_again(const struct session *s, enum verdict v)
{
    return (v == VERDICT_AUTH_REQUIRED || v == VERDICT_AUTH_FAILED) && !s->closes;
}

/* Fixes what the record still lacks and hands it over.  The client's address stays. */
static void finish_flow(struct session *s, enum verdict v, enum side by, enum certainty c)
{
    struct proxy_shared *shared = s->worker->shared;
    struct endpoint client = s->flow.client, proxy = s->flow.proxy;

    assert(s->has_flow);
    session_settle_held(s, 0);
    if (s->flow.parent && !verdict_is_success(v))
        flow_evidence(&s->flow, "through the parent %s", s->flow.parent);
    if (v != VERDICT_MTU_BLACKHOLE)
        heal_note(s);
    flow_end(&s->flow, v, by, c, session_now(s));
    s->has_flow = false;
    if (recorder_is_on(shared->recorder)) {
        note_address(&s->flow);
        session_read_legs(s, &s->flow);
        warn_of_leg(&s->flow, &s->flow.client_leg, "client");
        warn_of_leg(&s->flow, &s->flow.upstream_leg, verdict_side_name(session_far(s)));
        if (!asks_again(s, v) || !hold_flow(s))
            recorder_take(shared->recorder, s->worker->number, &s->flow);
    } else {
        flow_fini(&s->flow);
    }
    s->flow.client = client;
    s->flow.proxy = proxy;
}

void session_drop_exchange(struct session *s)
{
    struct exchange *x = s->exchange;

    if (!x)
        return;
    buf_fini(&x->head);
    buf_fini(&x->response);
    buf_fini(&x->parent.again);
    if (s->hop)
        hop_end_proof(s->hop, s);
    slab_put(&s->worker->exchanges, x);
    s->exchange = NULL;
}

/* What becomes of the link: for others to use; closed; reset; or kept for this client alone. */
enum link_fate { LINK_POOL, LINK_CLOSE, LINK_RESET, LINK_BIND };

/* Gives back all that served the flow. */
static void release(struct session *s, enum link_fate fate)
{
    struct worker *w = s->worker;

    step_connect_abandon(s);
    if (s->query) {
        resolver_cancel(s->query);
        s->query = NULL;
    }
    if (s->link) {
        if (fate == LINK_POOL)
            pool_keep(&w->pool, s->link, session_now(s));
        else if (fate != LINK_BIND)
            pool_close(&w->pool, s->link, fate == LINK_RESET);
        if (fate != LINK_BIND)
            s->link = NULL;
    }
    session_drop_exchange(s);
    hop_unref(s->hop);
    s->hop = NULL;
    session_login_end(s);
    watch_free(s->watch);
    s->watch = NULL;
}

/* After the last byte of an answer: on to the next request, or out. */
static enum step after_answer(struct session *s)
{
    if (conn_has_rest(&s->client))
        return session_enter(s, STATE_ANSWER);
    if (!s->closes)
        return session_enter(s, STATE_IDLE);
    conn_shutdown(&s->client);
    return session_enter(s, STATE_LINGER);
}

static enum step answer_with(struct session *s, struct ending e, const char *bytes, size_t n)
{
    bool sent = n > 0 && conn_send(&s->client, bytes, n) == 0;

    finish_flow(s, e.verdict, e.by, e.certainty);
    release(s, LINK_RESET);
    return sent ? after_answer(s) : session_retire(s);
}

enum step session_answer(struct session *s, enum verdict v, const char *bytes, size_t n)
{
    return answer_with(s, (struct ending){v, SIDE_PROXY, CERTAINTY_SEEN}, bytes, n);
}

static bool is_connect(const struct session *s)
{
    return s->flow.method && strcmp(s->flow.method, "CONNECT") == 0;
}

/* Whether no request can follow on this connection.  A body that nobody read would be taken for the
 * next one; and after a refused CONNECT its client may already speak another protocol (RFC 9110
 * 9.3.6).  A 407 is the exception, as most clients log in on the same connection: but not where
 * bytes stand behind the CONNECT, and only another CONNECT may follow (only_connect). */
static bool must_close(const struct session *s, enum verdict v, int status)
{
    return s->unread || v == VERDICT_BAD_REQUEST || v == VERDICT_REQUEST_TIMEOUT || s->refuse ||
           s->worker->drain_end_ns || !s->flow.method ||
           (is_connect(s) && (status != 407 || s->in.len > 0));
}

/* Writes the verdict's own answer, or what `a` says in its place, into the worker's buffer. */
static size_t write_answer(struct session *s, enum verdict v, struct answer *a)
{
    struct worker *w = s->worker;

    if (!a->status)
        a->status = verdict_get_info(v)->status;
    s->closes |= must_close(s, v, a->status);
    s->only_connect = is_connect(s);
    a->verdict = v;
    a->proxy = w->shared->pseudonym;
    a->format = (enum answer_format)s->answer_format;
    a->language = s->answer_language ? "ja" : "en";
    a->head_only = s->flow.method && strcmp(s->flow.method, "HEAD") == 0;
    a->close = s->closes;
    a->wall_ns = w->loop.wall_ns;
    if (!a->retry_after &&
        (v == VERDICT_OVERLOADED || v == VERDICT_DRAINING || v == VERDICT_CLIENT_LIMIT))
        a->retry_after = RETRY_AFTER_S;
    if (!a->extra)
        a->extra = session_login_info(s);
    s->flow.status = (uint16_t)a->status;
    s->flow.status_sent = true;
    return answer_write(a, &s->flow, w->out, PUMP_BUFFER);
}

enum step session_end_login(struct session *s, const struct session_refusal *r,
                            const char *challenges)
{
    struct answer a = {.extra = challenges, .retry_after = r->wait_s};
    size_t n;

    flow_set_text(&s->flow.reason, r->reason);
    n = write_answer(s, r->verdict, &a);
    flow_set_text(&s->flow.reason, r->why);
    return answer_with(s, (struct ending){r->verdict, SIDE_PROXY, CERTAINTY_SEEN, SIDE_NOBODY},
                       s->worker->out, n);
}

/* Ends that a black hole brings about: nothing came, until somebody had enough of it. */
static bool is_waited_out(enum verdict v)
{
    return v == VERDICT_CLIENT_GONE || v == VERDICT_STALLED || v == VERDICT_UPSTREAM_TIMEOUT;
}

__attribute__((format(printf, 6, 0))) static enum step end_with(struct session *s, enum verdict v,
                                                                enum side by, int status,
                                                                const char *error, const char *fmt,
                                                                va_list ap)
{
    struct ending e = {v, by, CERTAINTY_SEEN, SIDE_NOBODY};
    char reason[256];

    if (fmt) {
        vsnprintf(reason, sizeof reason, fmt, ap);
        flow_set_text(&s->flow.reason, reason);
    }
    if (is_waited_out(v))
        heal_explains(s, &e); /* a client that is still there is told what it waited for */
    if (verdict_get_info(v)->status && !s->flow.status && v != VERDICT_CLIENT_GONE)
        return answer_with(s, (struct ending){v, by, CERTAINTY_SEEN, SIDE_NOBODY}, s->worker->out,
                           write_answer(s, v, &(struct answer){.status = status, .error = error}));
    return session_end_stream(s, e, !verdict_is_success(v));
}

enum step session_end(struct session *s, enum verdict v, enum side by, const char *fmt, ...)
{
    enum step next;
    va_list ap;

    va_start(ap, fmt);
    next = end_with(s, v, by, 0, NULL, fmt, ap);
    va_end(ap);
    return next;
}

void session_end_by_order(struct session *s, const char *who, const char *why)
{
    flow_evidence(&s->flow, "ended by %s%s%s", who, *why ? ": " : "", why);
    session_end(s, s->flow.status ? VERDICT_RESET_BY_PROXY : VERDICT_ACL_DENIED, SIDE_PROXY,
                "ended by an administrator");
}

enum step session_end_as(struct session *s, enum verdict v, enum side by, int status,
                         const char *error, const char *fmt, ...)
{
    enum step next;
    va_list ap;

    va_start(ap, fmt);
    next = end_with(s, v, by, status, error, fmt, ap);
    va_end(ap);
    return next;
}

enum step session_end_stream(struct session *s, struct ending e, bool cut)
{
    finish_flow(s, e.verdict, e.by, e.certainty);
    release(s, cut ? LINK_RESET : LINK_CLOSE);
    if (cut)
        conn_close(&s->client, true);
    return session_retire(s);
}

enum step session_end_short(struct session *s, struct ending e)
{
    finish_flow(s, e.verdict, e.by, e.certainty);
    release(s, LINK_RESET);
    return session_enter(s, STATE_CUT);
}

enum step session_end_unfinished(struct session *s, struct ending e)
{
    s->closes = true;
    finish_flow(s, e.verdict, e.by, e.certainty);
    release(s, LINK_RESET);
    return after_answer(s);
}

enum step session_end_exchange(struct session *s, struct ending e)
{
    struct exchange *x = s->exchange;
    enum link_fate fate = LINK_CLOSE;

    if (x->target_keeps && x->up.done && !x->upstream_gone)
        fate = x->bind_link ? LINK_BIND : LINK_POOL;
    if (!x->client_keeps || !x->up.done || s->worker->drain_end_ns)
        s->closes = true;
    finish_flow(s, e.verdict, e.by, e.certainty);
    release(s, fate);
    return after_answer(s);
}

enum step session_retire(struct session *s)
{
    struct worker *w = s->worker;
    struct addr client = s->flow.client.addr;

    if (s->retired)
        return STEP_DONE;
    if (s->has_flow)
        finish_flow(s, VERDICT_CLIENT_GONE, SIDE_CLIENT, CERTAINTY_SEEN);
    session_settle_held(s, 0);
    release(s, LINK_RESET);
    flow_fini(&s->flow);
    wheel_cancel(&s->timer);
    if (s->spare)
        worker_take_spare(w, &s->client);
    conn_close(&s->client, false);
    buf_fini(&s->in);
    if (s->counted)
        atomic_fetch_sub_explicit(&w->shared->connections, 1, memory_order_relaxed);
    if (s->counted_client)
        limits_clients_leave(w->shared->clients, &client);
    s->retired = true;
    worker_retire(w, s);
    return STEP_DONE;
}

/* ---- the steps around an answer of our own */

enum step step_answer(struct session *s)
{
    int err;

    if (!(s->client.ready & CONN_OUT))
        return STEP_WAIT;
    err = conn_flush(&s->client);
    if (err == -EAGAIN)
        return STEP_WAIT;
    return err < 0 ? session_retire(s) : after_answer(s);
}

/* Reads and forgets, so that unread bytes do not turn our FIN into a RST that destroys the answer.
 */
enum step step_linger(struct session *s)
{
    struct worker *w = s->worker;

    while (s->client.ready & CONN_IN) {
        ssize_t n = conn_read(&s->client, w->pump.buffer, PUMP_BUFFER);

        if (n == -EAGAIN)
            break;
        if (n <= 0)
            return session_retire(s);
        s->flow.bytes_up += (uint64_t)n; /* no flow is open: only this count uses it */
        if (s->flow.bytes_up > LINGER_BYTES)
            return session_retire(s);
    }
    return s->client.eof ? session_retire(s) : STEP_WAIT;
}

/* No event tells that the last byte was acknowledged, so it is looked for, the seldomer the longer
 * nothing was: thousands that take nothing cost nothing.  Who takes some now and then is waited
 * for. */
enum step step_cut(struct session *s)
{
    const struct conn *c = &s->client;
    int err = conn_flush(&s->client);
    uint64_t left = sock_count_queued(c->fd) + c->rest.len + (c->pipe ? c->pipe->held : 0);

    if ((err < 0 && err != -EAGAIN) || left == 0) {
        conn_close(&s->client, true);
        return session_retire(s);
    }
    if (left != s->flow.bytes_down) { /* no flow is open: only this count uses it */
        s->flow.bytes_down = left;
        s->active_ns = session_now(s);
        session_enter(s, STATE_CUT);
    }
    session_set_wake(s, session_now(s) + LOOK_NS + (session_now(s) - s->active_ns) / 2);
    return STEP_WAIT;
}
