/* The machine of a client connection.  A state lies in one phase, has one deadline and one step:
 *
 *   idle -> request -> resolve -> connect -> forward ---------> idle (kept alive) or linger
 *                                         \-> hello -> tunnel -> (retired)
 *   any of them, before an answer went out: session_end -> answer -> idle or linger
 *
 * session_enter is the only assignment to `state`, session_end and session_end_stream the only ends
 * of a flow.  A session that is retired lives on, deaf, until the worker's turn is over. */
#include "proxy/session.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "net/sock.h"
#include "net/tls.h"
#include "proxy/answer.h"
#include "proxy/watch.h"
#include "proxy/worker.h"

#define LINGER_NS (2 * NS_PER_S) /* reading on after an answer: at most this long, */
#define LINGER_BYTES (64 * 1024) /* and this much (RFC 9112 9.6) */
#define REFUSED_NS NS_PER_S      /* for a connection that is over a limit to ask its request */
#define LEFT_NS NS_PER_S         /* patience with a client whose FIN came before the answer */
#define RETRY_AFTER_S 5          /* what 429 and 503 advise */
#define SESSION_IN_MAX (192u * 1024)

enum deadline {
    DEADLINE_NONE,
    DEADLINE_KEEPALIVE,
    DEADLINE_HEADER,
    DEADLINE_RESOLVE,
    DEADLINE_CONNECT,
    DEADLINE_RESPONSE,
    DEADLINE_IDLE,
    DEADLINE_LINGER
};

static const struct state_info {
    const char *name;
    int phase; /* enum phase; -1: outside of a flow */
    enum deadline deadline;
    enum step (*step)(struct session *s);
} states[] = {
    [STATE_IDLE] = {"idle", -1, DEADLINE_KEEPALIVE, step_idle},
    [STATE_REQUEST] = {"request", PHASE_REQUEST, DEADLINE_HEADER, step_request},
    [STATE_RESOLVE] = {"resolve", PHASE_ANSWER, DEADLINE_RESOLVE, step_resolve},
    [STATE_CONNECT] = {"connect", PHASE_ANSWER, DEADLINE_CONNECT, step_connect},
    [STATE_FORWARD] = {"forward", PHASE_ANSWER, DEADLINE_RESPONSE, step_forward},
    [STATE_HELLO] = {"hello", PHASE_TLS, DEADLINE_IDLE, step_hello},
    [STATE_TUNNEL] = {"tunnel", PHASE_TRANSFER, DEADLINE_IDLE, step_tunnel},
    [STATE_ANSWER] = {"answer", -1, DEADLINE_LINGER, step_answer},
    [STATE_LINGER] = {"linger", -1, DEADLINE_LINGER, step_linger},
};
static_assert(sizeof states / sizeof states[0] == STATE_COUNT, "a state has no row");

uint64_t session_now(const struct session *s)
{
    return s->worker->loop.now_ns;
}

/* ---- deadlines: the timer may stand earlier than it must, and is moved only when that is too late
 */

static void arm(struct session *s)
{
    uint64_t at = s->deadline_ns < s->wake_ns ? s->deadline_ns : s->wake_ns;

    if (s->left_ns < at)
        at = s->left_ns;
    if (at == UINT64_MAX)
        return;
    if (!wheel_is_armed(&s->timer) || at < s->timer.deadline_ns)
        wheel_arm(&s->worker->wheel, &s->timer, at);
}

void session_set_deadline(struct session *s, uint64_t deadline_ns)
{
    s->deadline_ns = deadline_ns;
    arm(s);
}

void session_set_wake(struct session *s, uint64_t wake_ns)
{
    s->wake_ns = wake_ns;
    arm(s);
}

static uint64_t deadline_of(const struct session *s, enum deadline which)
{
    const struct limits *limits = &s->worker->config->limits;
    uint64_t ns = 0;

    switch (which) {
    case DEADLINE_NONE:
        break;
    case DEADLINE_KEEPALIVE:
        ns = limits->keepalive_ns;
        break;
    case DEADLINE_HEADER:
        ns = limits->header_ns;
        break;
    case DEADLINE_RESOLVE:
        ns = limits->resolve_ns +
             100 * NS_PER_MS; /* the resolver's own time-out says more; it goes first */
        break;
    case DEADLINE_CONNECT:
        ns = limits->connect_ns;
        break;
    case DEADLINE_RESPONSE:
        ns = limits->response_ns;
        break;
    case DEADLINE_IDLE:
        ns = s->limits.idle_ns;
        break;
    case DEADLINE_LINGER:
        ns = LINGER_NS;
        break;
    }
    if (s->refuse && ns > REFUSED_NS)
        ns = REFUSED_NS;
    return ns ? session_now(s) + ns : UINT64_MAX;
}

enum step session_enter(struct session *s, enum session_state next)
{
    const struct state_info *to = &states[next];

    assert(!s->retired && next < STATE_COUNT);
    s->state = next;
    if (to->phase >= 0)
        flow_phase(&s->flow, (enum phase)to->phase, session_now(s));
    s->wake_ns = UINT64_MAX;
    session_set_deadline(s, deadline_of(s, to->deadline));
    return STEP_AGAIN;
}

/* ---- accept, begin */

static struct worker_listener *listener_of(struct session *s)
{
    struct worker *w = s->worker;

    return &w->listeners[s->listener < w->listeners_len ? s->listener : 0];
}

void session_accept(struct worker *w, unsigned listener, int fd, const struct endpoint *client,
                    enum verdict refuse, bool spare)
{
    struct session *s = slab_get(&w->sessions);
    struct slab_slot slot;
    struct conn c;

    conn_init(&c, fd, NODELAY_SET); /* inherited from the listener */
    if (!s) {
        conn_close(&c, true);
        return;
    }
    slot = slab_slot_of(s);
    s->worker = w;
    s->client = c;
    s->client.ready = CONN_IN | CONN_OUT;
    s->listener = (uint8_t)listener;
    s->refuse = (uint8_t)refuse;
    s->spare = spare;
    s->flow.client = *client;
    s->flow.proxy = listener_of(s)->at;
    s->wake_ns = s->deadline_ns = s->left_ns = UINT64_MAX;
    buf_init(&s->in, SESSION_IN_MAX);
    atomic_fetch_add_explicit(&w->shared->connections, 1, memory_order_relaxed);
    s->counted = true;
    if (!refuse) {
        s->counted_client = limits_clients_enter(w->shared->clients, &client->addr,
                                                 w->config->limits.connections_per_client);
        if (!s->counted_client)
            s->refuse = VERDICT_CLIENT_LIMIT;
    }
    if (listener_of(s)->tls)
        s->client.tls = tls_new(listener_of(s)->tls, fd);
    if ((listener_of(s)->tls && !s->client.tls) ||
        loop_add(&w->loop, fd, LOOP_DATA,
                 (struct loop_ref){REF_CLIENT, slot.number, slot.generation}) < 0) {
        session_retire(s);
        return;
    }
    session_enter(s, STATE_IDLE);
    session_drive(s);
}

void session_begin(struct session *s)
{
    struct worker *w = s->worker;

    flow_begin(&s->flow, SOURCE_SERVE, worker_next_id(w), session_now(s), w->loop.wall_ns);
    s->has_flow = true;
    s->limits = w->config->limits.flow;
    s->sni = SNI_OFF;
    s->left_ns = UINT64_MAX;
    s->asked = 0;
    s->fin_ns = 0;
    s->unread = s->splice_up = s->splice_down = false;
    flow_skip(&s->flow, PHASE_RESOLVE, OUTCOME_UNKNOWN);
    flow_phase(&s->flow, PHASE_CONNECT, session_now(s)); /* over before we saw anything of it */
    if (s->client.tls)
        flow_phase(&s->flow, PHASE_PROXY_TLS, session_now(s));
    else
        flow_skip(&s->flow, PHASE_PROXY_TLS, OUTCOME_SKIPPED);
}

void session_query(const struct session *s, struct access_query *q)
{
    const struct worker *w = s->worker;
    struct span target = span_of(s->flow.target);
    size_t host_len = target.len;

    *q = (struct access_query){
        .client = s->flow.client.addr,
        .method = span_of(s->flow.method),
        .week_minute = w->week_minute,
    };
    while (host_len > 0 && target.ptr[host_len - 1] != ':')
        host_len--;
    for (size_t i = host_len; i < target.len; i++)
        q->port = (uint16_t)(q->port * 10 + (target.ptr[i] - '0'));
    q->host = (struct span){target.ptr, host_len ? host_len - 1 : 0};
    if (q->host.len > 2 && q->host.ptr[0] == '[')
        q->host = (struct span){q->host.ptr + 1, q->host.len - 2};
    if (!addr_parse(q->host, &q->addr))
        q->addr.family = 0;
}

void session_take_rule(struct session *s, const struct access_decision *d)
{
    for (unsigned i = 0; i < d->reported_len; i++)
        flow_note(&s->flow, NOTE_REPORTED, 0, "%s", d->reported[i]->name);
    if (!d->rule)
        return;
    flow_set_text(&s->flow.rule, d->rule->name);
    if (d->outcome != ACCESS_ALLOW)
        return;
    s->sni = (uint8_t)d->rule->sni;
    s->limits =
        limits_merge(&s->worker->config->limits.flow, &d->rule->limits, d->rule->limits_set);
}

enum step session_deny(struct session *s, const struct access_decision *d)
{
    const char *error = d->by_address ? "destination_ip_prohibited" : NULL;

    session_take_rule(s, d);
    if (!d->rule) {
        flow_evidence(&s->flow, "no rule matched: what nothing allows is denied");
        return session_end_as(s, VERDICT_ACL_DENIED, SIDE_PROXY, 0, error, "no rule matched");
    }
    flow_evidence(&s->flow, "%s:%d: deny %s", d->rule->file, d->rule->line, d->rule->name);
    return session_end_as(s, VERDICT_ACL_DENIED, SIDE_PROXY, 0, error, "rule %s", d->rule->name);
}

/* ---- rate and size */

static uint64_t rate_allowance(struct session *s, uint64_t moved)
{
    uint64_t rate = s->limits.rate;
    uint64_t burst = rate / 8 > 16384 ? rate / 8 : 16384;
    uint64_t since = session_now(s) - s->flow.begin_ns;
    uint64_t earned;

    earned = since / NS_PER_S * rate +
             since % NS_PER_S * (rate < 1ull << 33 ? rate : 1ull << 33) / NS_PER_S;
    if (earned + burst > moved)
        return earned + burst - moved;
    session_set_wake(s, session_now(s) + (moved - earned - burst + burst / 2) * NS_PER_S / rate +
                            NS_PER_MS);
    return 0;
}

uint64_t session_allowance(struct session *s, bool up)
{
    uint64_t moved = up ? s->flow.bytes_up : s->flow.bytes_down;
    uint64_t max = up ? s->limits.max_upload : s->limits.max_download;
    uint64_t allowed = UINT64_MAX;

    if (max)
        allowed = max > moved ? max - moved : 0;
    if (allowed && s->limits.rate) {
        uint64_t by_rate = rate_allowance(s, moved);

        allowed = by_rate < allowed ? by_rate : allowed;
    }
    return allowed;
}

bool session_is_full(const struct session *s, bool up)
{
    uint64_t max = up ? s->limits.max_upload : s->limits.max_download;

    return max && (up ? s->flow.bytes_up : s->flow.bytes_down) >= max;
}

enum step session_end_full(struct session *s, bool up)
{
    unsigned long long max = up ? s->limits.max_upload : s->limits.max_download;

    flow_evidence(&s->flow, "more than %llu bytes %s", max, up ? "up" : "down");
    return session_end(s, VERDICT_SIZE_LIMIT, SIDE_PROXY, "over %s %llu",
                       up ? "max-upload" : "max-download", max);
}

/* ---- a client that leaves */

bool session_client_left(struct session *s)
{
    if (s->client.ready & CONN_ERR)
        return true;
    if (!(s->client.ready & CONN_RDHUP))
        return false;
    if (!s->exchange)
        return true;
    if (!s->exchange->up.done)
        return false; /* reading the body will tell */
    if (s->left_ns == UINT64_MAX) {
        s->left_ns = session_now(s) + LEFT_NS;
        arm(s);
    }
    return session_now(s) >= s->left_ns;
}

enum step session_end_left(struct session *s)
{
    flow_evidence(&s->flow, "client sent %s", s->client.ready & CONN_ERR ? "RST" : "FIN");
    return session_end(s, VERDICT_CLIENT_GONE, SIDE_CLIENT, "left before the answer");
}

/* ---- the end of a flow */

static void read_leg(struct flow_leg *leg, const struct conn *c)
{
    struct sock_info info;

    if (c->fd < 0 || !sock_read_info(c->fd, &info))
        return;
    *leg = (struct flow_leg){true,     info.rtt_us, info.retransmissions,
                             info.mss, info.pmtu,   info.unacked};
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
    flow_evidence(f, "%s: %s in %.1f ms", text,
                  *flow_find_note(f, NOTE_STEP, STEP_KIND_DIAL) ? "taken from kept connections"
                                                                : "connected",
                  (f->step_us[STEP_KIND_DIAL] - 1) / 1e3);
}

/* Fixes what the record still lacks and hands it over.  The client's address stays. */
static void finish_flow(struct session *s, enum verdict v, enum side by, enum certainty c)
{
    struct proxy_shared *shared = s->worker->shared;
    struct endpoint client = s->flow.client, proxy = s->flow.proxy;

    assert(s->has_flow);
    flow_end(&s->flow, v, by, c, session_now(s));
    s->has_flow = false;
    if (recorder_is_on(shared->recorder)) {
        note_address(&s->flow);
        read_leg(&s->flow.client_leg, &s->client);
        if (s->link)
            read_leg(&s->flow.upstream_leg, &s->link->conn);
        warn_of_leg(&s->flow, &s->flow.client_leg, "client");
        warn_of_leg(&s->flow, &s->flow.upstream_leg, "target");
        recorder_take(shared->recorder, s->worker->number, &s->flow);
    } else {
        flow_fini(&s->flow);
    }
    s->flow.client = client;
    s->flow.proxy = proxy;
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
    if (s->exchange) {
        buf_fini(&s->exchange->head);
        buf_fini(&s->exchange->response);
        slab_put(&w->exchanges, s->exchange);
        s->exchange = NULL;
    }
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

/* Ends the flow with the verdict's own answer. */
static enum step end_answered(struct session *s, enum verdict v, enum side by, int status,
                              const char *error)
{
    struct worker *w = s->worker;
    struct answer a;
    size_t n;

    /* a body that nobody read would be taken for the next request, and after a refused CONNECT its
     * client may already speak another protocol (RFC 9110 9.3.6) */
    if (s->unread || v == VERDICT_BAD_REQUEST || v == VERDICT_REQUEST_TIMEOUT || s->refuse ||
        w->drain_end_ns || !s->flow.method || strcmp(s->flow.method, "CONNECT") == 0)
        s->closes = true;
    a = (struct answer){
        .verdict = v,
        .status = status,
        .error = error,
        .proxy = w->shared->pseudonym,
        .format = (enum answer_format)s->answer_format,
        .language = s->answer_language ? "ja" : "en",
        .head_only = s->flow.method && strcmp(s->flow.method, "HEAD") == 0,
        .close = s->closes,
        .retry_after = v == VERDICT_OVERLOADED || v == VERDICT_DRAINING || v == VERDICT_CLIENT_LIMIT
                           ? RETRY_AFTER_S
                           : 0,
        .wall_ns = w->loop.wall_ns,
    };
    s->flow.status = (uint16_t)(status ? status : verdict_get_info(v)->status);
    s->flow.status_sent = true;
    n = answer_write(&a, &s->flow, w->out, PUMP_BUFFER);
    return answer_with(s, (struct ending){v, by, CERTAINTY_SEEN}, w->out, n);
}

static enum step end_with(struct session *s, enum verdict v, enum side by, int status,
                          const char *error, const char *fmt, va_list ap)
{
    char reason[256];

    if (fmt) {
        vsnprintf(reason, sizeof reason, fmt, ap);
        flow_set_text(&s->flow.reason, reason);
    }
    if (verdict_get_info(v)->status && !s->flow.status && v != VERDICT_CLIENT_GONE)
        return end_answered(s, v, by, status, error);
    return session_end_stream(s, (struct ending){v, by, CERTAINTY_SEEN}, !verdict_is_success(v));
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

enum step session_end_unfinished(struct session *s, struct ending e)
{
    s->closes = true;
    finish_flow(s, e.verdict, e.by, e.certainty);
    release(s, LINK_RESET);
    return after_answer(s);
}

enum step session_end_exchange(struct session *s, enum verdict v)
{
    struct exchange *x = s->exchange;
    enum link_fate fate = LINK_CLOSE;

    if (x->target_keeps && x->up.done && !x->upstream_gone)
        fate = x->bind_link ? LINK_BIND : LINK_POOL;
    if (!x->client_keeps || !x->up.done || s->worker->drain_end_ns)
        s->closes = true;
    finish_flow(s, v, SIDE_TARGET, CERTAINTY_SEEN);
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
    release(s, LINK_RESET);
    flow_fini(&s->flow);
    wheel_cancel(&s->timer);
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

/* ---- driving */

void session_drive(struct session *s)
{
    enum step next = STEP_AGAIN;

    while (next == STEP_AGAIN && !s->retired)
        next = states[s->state].step(s);
    if (next == STEP_YIELD && !s->retired)
        worker_queue(s->worker, s);
}

void session_client_event(struct session *s, uint32_t events)
{
    conn_note_events(&s->client, events);
    session_drive(s);
}

void session_link_event(struct session *s, struct link *l, uint32_t events)
{
    conn_note_events(&l->conn, events);
    session_drive(s);
}

/* The deadline of the state is over. */
static enum step expire(struct session *s)
{
    switch ((enum session_state)s->state) {
    case STATE_IDLE:
    case STATE_ANSWER:
    case STATE_LINGER:
        return session_retire(s);
    case STATE_REQUEST:
        flow_evidence(&s->flow, "%u bytes of a request head in %.1f s (header-timeout)", s->in.len,
                      (double)s->worker->config->limits.header_ns / 1e9);
        return session_end(s, VERDICT_REQUEST_TIMEOUT, SIDE_CLIENT,
                           "request head not complete in %.0f s",
                           (double)s->worker->config->limits.header_ns / 1e9);
    case STATE_RESOLVE:
    case STATE_CONNECT:
        return step_connect_timeout(s);
    case STATE_FORWARD:
        return step_forward_timeout(s);
    case STATE_HELLO:
    case STATE_TUNNEL:
        return step_tunnel_timeout(s);
    case STATE_COUNT:
        break;
    }
    return STEP_WAIT;
}

void session_timer(struct session *s)
{
    uint64_t now = session_now(s);
    enum step next;

    if (s->wake_ns <= now)
        s->wake_ns = UINT64_MAX;
    next = s->deadline_ns <= now ? expire(s) : STEP_AGAIN;
    if (s->retired)
        return;
    arm(s); /* what fired may have been an earlier deadline's */
    if (next == STEP_AGAIN)
        session_drive(s);
    else if (next == STEP_YIELD)
        worker_queue(s->worker, s);
}

void session_drain(struct session *s, bool now)
{
    if (s->retired)
        return;
    if (s->state == STATE_IDLE && s->in.len == 0) {
        session_retire(s);
    } else if (now && s->has_flow) {
        flow_evidence(&s->flow, "the proxy stops; drain-timeout is over");
        session_end(s, VERDICT_DRAINING, SIDE_PROXY, "stopped");
    } else if (now) {
        session_retire(s);
    }
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
