/* The machine of a client connection.  A state lies in one phase, has one deadline and one step:
 *
 *   idle -> request -> resolve -> connect -> forward ---------> idle (kept alive), linger or cut
 *              \-> login -^              \-> hello -> tunnel -> (retired)
 *   any of them, before an answer went out: session_end -> answer -> idle or linger
 *
 * session_enter is the only assignment to `state`, session_end.c holds the only ends of a flow.  A
 * session that is retired lives on, deaf, until the worker's turn is over. */
#include "proxy/session.h"

#include <assert.h>
#include <stdlib.h>

#include "base/clock.h"
#include "net/sock.h"
#include "net/tls.h"
#include "proxy/accept.h"

#define CUT_NS (10 * NS_PER_S)       /* nothing of what it is still to get was acknowledged */
#define LINGER_NS (2 * NS_PER_S)     /* reading on after an answer (RFC 9112 9.6) */
#define REFUSED_NS NS_PER_S          /* for a connection that is over a limit to ask its request */
#define DELIVERING_NS (5 * NS_PER_S) /* in which a slow taker must have taken something */
#define LEFT_NS NS_PER_S             /* patience with a client whose FIN came before the answer */
#define SESSION_IN_MAX (192u * 1024)

enum deadline {
    DEADLINE_NONE,
    DEADLINE_KEEPALIVE,
    DEADLINE_HEADER,
    DEADLINE_RESOLVE,
    DEADLINE_CONNECT,
    DEADLINE_RESPONSE,
    DEADLINE_IDLE,
    DEADLINE_LINGER,
    DEADLINE_CUT
};

static const struct state_info {
    const char *name;
    int phase; /* enum phase; -1: outside of a flow */
    enum deadline deadline;
    enum step (*step)(struct session *s);
} states[] = {
    [STATE_IDLE] = {"idle", -1, DEADLINE_KEEPALIVE, step_idle},
    [STATE_REQUEST] = {"request", PHASE_REQUEST, DEADLINE_HEADER, step_request},
    [STATE_LOGIN] = {"login", PHASE_ANSWER, DEADLINE_HEADER, step_login},
    [STATE_RESOLVE] = {"resolve", PHASE_ANSWER, DEADLINE_RESOLVE, step_resolve},
    [STATE_CONNECT] = {"connect", PHASE_ANSWER, DEADLINE_CONNECT, step_connect},
    [STATE_FORWARD] = {"forward", PHASE_ANSWER, DEADLINE_RESPONSE, step_forward},
    [STATE_HELLO] = {"hello", PHASE_TLS, DEADLINE_IDLE, step_hello},
    [STATE_TUNNEL] = {"tunnel", PHASE_TRANSFER, DEADLINE_IDLE, step_tunnel},
    [STATE_ANSWER] = {"answer", -1, DEADLINE_LINGER, step_answer},
    [STATE_LINGER] = {"linger", -1, DEADLINE_LINGER, step_linger},
    [STATE_CUT] = {"cut", -1, DEADLINE_CUT, step_cut},
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

    if (s->left_ns < at && s->left_ns > session_now(s)) /* over: the step that is driven sees it */
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

bool session_is_delivering(struct session *s)
{
    const struct conn *sides[] = {&s->client, &s->link->conn};
    uint64_t now = session_now(s), at = now + DELIVERING_NS;
    uint32_t before = s->acked;
    bool is_owed = false;

    s->acked = 0;
    for (unsigned i = 0; i < 2; i++) {
        struct sock_info info;

        if (!sock_read_info(sides[i]->fd, &info))
            return false;
        s->acked += (uint32_t)info.acked;
        is_owed |= info.unacked + info.unsent > 0 || conn_has_rest(sides[i]);
    }
    if (!is_owed || s->acked == before)
        return false;
    if (s->limits.idle_ns < DELIVERING_NS)
        at = now + s->limits.idle_ns;
    if (s->limits.lifetime_ns && s->flow.begin_ns + s->limits.lifetime_ns < at)
        at = s->flow.begin_ns + s->limits.lifetime_ns;
    session_set_deadline(s, at);
    return true;
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
    case DEADLINE_CUT:
        ns = CUT_NS;
        break;
    }
    /* whoever is only to hear 503 may not hold up a stop, or others, by saying nothing */
    if ((s->refuse || (which == DEADLINE_KEEPALIVE && s->worker->drain_end_ns)) && ns > REFUSED_NS)
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

bool session_accept(struct worker *w, unsigned listener, int fd, const struct endpoint *client,
                    enum verdict refuse, bool spare)
{
    bool short_of_memory;
    struct session *s = accept_get_session(w, &short_of_memory);
    struct slab_slot slot;
    struct conn c;

    conn_init(&c, fd, NODELAY_SET); /* inherited from the listener */
    if (!s) {
        conn_close(&c, true);
        return false;
    }
    slot = slab_slot_of(s);
    s->worker = w;
    s->client = c;
    s->client.ready = CONN_IN | CONN_OUT;
    s->listener = (uint8_t)listener;
    s->refuse = (uint8_t)(short_of_memory ? VERDICT_OVERLOADED : refuse);
    s->no_memory = short_of_memory;
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
        return true;
    }
    session_enter(s, STATE_IDLE);
    session_drive(s);
    return true;
}

void session_begin(struct session *s)
{
    struct worker *w = s->worker;

    flow_begin(&s->flow, SOURCE_SERVE, worker_next_id(w), session_now(s), w->loop.wall_ns);
    s->has_flow = true;
    s->limits = w->config->limits.flow;
    s->sni = SNI_OFF;
    s->left_ns = UINT64_MAX;
    s->asked = s->acked = 0;
    s->fin_ns = 0;
    s->exempt_private = false;
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
        .user = s->flow.user,
        .can_login = w->config->authentication.present,
        .method = span_of(s->flow.method),
        .week_minute = w->week_minute,
        .no_resolve = s->hop != NULL,
        .exempt_private = s->exempt_private,
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
    if (d->rule->line > 0)
        flow_evidence(&s->flow, "%s:%d: deny %s", d->rule->file, d->rule->line, d->rule->name);
    else
        flow_evidence(&s->flow, "%s: deny %s", d->rule->file, d->rule->name);
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
    /* a share worth a system call or nothing: bytes that are taken as they are earned would keep
     * the worker busy with crumbs */
    if (earned + burst >= moved + burst / 8)
        return earned + burst - moved;
    session_set_wake(s, session_now(s) + (moved + burst / 2 - earned - burst) * NS_PER_S / rate +
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
    if (!s->exchange || s->exchange->method == METHOD_CONNECT)
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
    case STATE_CUT:
        conn_close(&s->client, true);
        return session_retire(s);
    case STATE_REQUEST:
        flow_evidence(&s->flow, "%u bytes of a request head in %.1f s (header-timeout)", s->in.len,
                      (double)s->worker->config->limits.header_ns / 1e9);
        return session_end(s, VERDICT_REQUEST_TIMEOUT, SIDE_CLIENT,
                           "request head not complete in %.0f s",
                           (double)s->worker->config->limits.header_ns / 1e9);
    case STATE_LOGIN:
        return step_login_timeout(s);
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
