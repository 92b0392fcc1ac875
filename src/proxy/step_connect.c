/* proxy/step_connect.c: from an authorized request to a connection with its target: look the name
 * up, judge its addresses, take an idle link or dial (Happy Eyeballs, RFC 8305).  The same with a
 * parent in the target's place, whose addresses nobody judges. */
#include "proxy/session.h"

#include <errno.h>

#include "base/clock.h"
#include "net/sock.h"
#include "net/tls.h"
#include "proxy/accept.h"

static enum step dial_addresses(struct session *s, const struct addr *addrs, unsigned len);

/* ---- the name */

/* Where the link goes: to the parent or to the target. */
static uint16_t port_of(const struct session *s)
{
    struct access_query q;

    if (s->hop)
        return s->hop->port;
    session_query(s, &q);
    return q.port;
}

static enum step end_unresolved(struct session *s, const struct resolve_answer *answer)
{
    const char *whose = s->hop ? "parent: " : "";
    bool silent = answer->status == RESOLVE_TIMEOUT;

    if (answer->detail)
        flow_evidence(&s->flow, "dns: %s", answer->detail);
    if (answer->status == RESOLVE_FAILED)
        return session_end_as(s, VERDICT_UPSTREAM_UNRESOLVED, SIDE_PROXY, 502, "dns_error",
                              "%sthe resolver cannot be asked", whose);
    return session_end_as(s, VERDICT_UPSTREAM_UNRESOLVED, SIDE_NETWORK, silent ? 504 : 502,
                          silent ? "dns_timeout" : "dns_error", "%s%s", whose,
                          silent                               ? "no answer from DNS"
                          : answer->status == RESOLVE_NXDOMAIN ? "NXDOMAIN"
                          : answer->status == RESOLVE_NODATA   ? "the name has no address"
                                                               : "SERVFAIL");
}

/* Judges each address by itself; forbidden ones are dropped. */
static enum step take_addresses(struct session *s, const struct resolve_answer *answer)
{
    struct access_decision decision, denied = {.outcome = ACCESS_DENY};
    struct addr allowed[RESOLVE_ADDRS_MAX];
    struct access_query query;
    unsigned n = 0;

    flow_step(&s->flow, STEP_KIND_RESOLVE, session_now(s) - s->step_ns);
    if (answer->status != RESOLVE_OK)
        return end_unresolved(s, answer);
    if (session_now(s) - s->step_ns > NS_PER_S)
        flow_warn(&s->flow, WARNING_SLOW_DNS, "the look-up took %.1f s",
                  (double)(session_now(s) - s->step_ns) / 1e9);
    flow_note(&s->flow, NOTE_STEP, STEP_KIND_RESOLVE, "%s", answer->source);
    if (s->hop)
        return dial_addresses(s, answer->addrs, answer->len);
    session_query(s, &query);
    for (unsigned i = 0; i < answer->len; i++) {
        char text[ENDPOINT_TEXT_MAX];

        access_decide_address(s->worker->config->access, &query, &answer->addrs[i], &decision);
        if (decision.outcome == ACCESS_ALLOW) {
            if (n == 0)
                session_take_rule(s, &decision);
            allowed[n++] = answer->addrs[i];
            continue;
        }
        denied = decision;
        addr_write(&answer->addrs[i], text);
        flow_evidence(&s->flow, "%s: not allowed by %s", text,
                      decision.rule ? decision.rule->name : "any rule");
    }
    if (n == 0)
        return session_deny(s, &denied);
    return dial_addresses(s, allowed, n);
}

/* The resolver's callback, inside its own turn: the session goes on from the run queue. */
static void resolved(void *arg, const struct resolve_answer *answer)
{
    struct session *s = arg;

    s->query = NULL;
    if (take_addresses(s, answer) != STEP_DONE)
        worker_queue(s->worker, s);
}

static bool is_own_listener(const struct session *s, const struct addr *addrs, unsigned len)
{
    uint16_t port = port_of(s);

    for (unsigned i = 0; i < len; i++)
        if (accept_is_own(s->worker, &(struct endpoint){.addr = addrs[i], .port = port}))
            return true;
    return false;
}

enum step session_connect(struct session *s, const struct addr *literal)
{
    struct resolve_answer answer = {0};
    struct access_query q;
    enum resolve_status status;

    s->step_ns = session_now(s);
    if (s->hop) {
        flow_set_text(&s->flow.parent, s->hop->text);
        literal = s->hop->addr.family ? &s->hop->addr : NULL;
    }
    if (literal)
        return dial_addresses(s, literal, 1);
    session_query(s, &q);
    session_enter(s, STATE_RESOLVE);
    status = resolver_find(s->worker->resolver, s->hop ? span_of(s->hop->host) : q.host,
                           session_now(s), resolved, s, &s->query, &answer);
    if (status != RESOLVE_WAIT)
        return take_addresses(s, &answer);
    return STEP_WAIT;
}

enum step step_resolve(struct session *s)
{
    return session_client_left(s) ? session_end_left(s) : STEP_WAIT;
}

/* ---- the dial */

void step_connect_abandon(struct session *s)
{
    if (!s->dial)
        return;
    for (unsigned i = 0; i < SESSION_TRIES; i++)
        if (s->dial->links[i])
            pool_close(&s->worker->pool, s->dial->links[i], true);
    slab_put(&s->worker->dials, s->dial);
    s->dial = NULL;
}

static void note_tries(struct session *s)
{
    const struct dial *d = &s->dial->dial;
    uint16_t port = port_of(s);

    for (unsigned i = 0; i < d->len; i++) {
        const struct dial_try *t = &d->tries[i];
        char text[ENDPOINT_TEXT_MAX];
        double ms = (double)(t->end_ns - t->start_ns) / 1e6;

        endpoint_write(&(struct endpoint){.addr = t->addr, .port = port}, text);
        if (t->state == DIAL_FAILED)
            flow_evidence(&s->flow, "%s: %s after %.1f ms", text, verdict_errno_text(t->err), ms);
        else if (t->state == DIAL_DONE)
            flow_evidence(&s->flow, "%s: connected in %.1f ms", text, ms);
        else if (t->state == DIAL_TRYING)
            flow_evidence(&s->flow, "%s: no answer yet, given up for another", text);
        else
            flow_evidence(&s->flow, "%s: not tried", text);
    }
}

static enum step end_undialled(struct session *s, int err)
{
    enum verdict v = verdict_from_errno(session_far(s), err);
    const char *whose = s->hop ? "parent: " : "";

    flow_step(&s->flow, STEP_KIND_DIAL, session_now(s) - s->step_ns);
    note_tries(s);
    if (v == VERDICT_UPSTREAM_UNREACHABLE)
        return session_end(s, v, SIDE_NETWORK, "%s%s", whose, verdict_errno_text(err));
    if (v == VERDICT_OVERLOADED || v == VERDICT_PROXY_ERROR)
        return session_end(s, v, SIDE_PROXY, "%s", verdict_errno_text(err));
    if (v == VERDICT_UPSTREAM_TIMEOUT)
        return session_end_as(s, v, session_far(s), 0, "connection_timeout",
                              "%sno answer to the connection", whose);
    if (v == VERDICT_UPSTREAM_REFUSED)
        return session_end(s, v, session_far(s), "%sconnection refused", whose);
    return session_end(s, v, session_far(s), "%s%s", whose, verdict_errno_text(err));
}

/* The link that carries this flow is there. */
static enum step connected(struct session *s, struct link *l)
{
    if (s->hop && s->hop->by_tls && !l->conn.tls) {
        l->conn.tls = s->hop->tls ? tls_new_client(s->hop->tls, l->conn.fd, s->hop->host) : NULL;
        if (!l->conn.tls) {
            pool_close(&s->worker->pool, l, true);
            return session_end(s, VERDICT_OVERLOADED, SIDE_PROXY, "out of memory");
        }
    }
    l->session = s;
    l->connected = true;
    s->link = l;
    s->flow.address = l->at;
    if (!s->flow.step_us[STEP_KIND_DIAL])
        flow_step(&s->flow, STEP_KIND_DIAL, session_now(s) - s->step_ns);
    return s->exchange ? step_forward_start(s) : step_tunnel_start(s, (struct span){0});
}

/* The winner of a dial: its own address decides which rule let it pass. */
static enum step dial_won(struct session *s, unsigned slot)
{
    struct link *l = s->dial->links[slot];

    s->dial->links[slot] = NULL;
    dial_end(&s->dial->dial, l->try_number, 0, session_now(s));
    if (s->dial->dial.len > 1) /* of a single address, address and step say it all */
        note_tries(s);
    step_connect_abandon(s);
    return connected(s, l);
}

/* Opens connections as far as it is time for them. */
static enum step dial_more(struct session *s)
{
    struct worker *w = s->worker;
    struct dial *d = &s->dial->dial;
    uint16_t port = port_of(s);
    int i;

    while (d->trying < SESSION_TRIES && (i = dial_next(d, session_now(s))) >= 0) {
        struct endpoint at = {.addr = d->tries[i].addr, .port = port};
        unsigned slot = 0;
        struct link *l;
        int err;

        while (s->dial->links[slot])
            slot++;
        l = pool_open(&w->pool, &w->loop, REF_LINK, &at, heal_find_mss(s, &at.addr), &err);
        if (!l) {
            dial_end(d, (unsigned)i, err, session_now(s));
            continue;
        }
        l->session = s;
        l->hop = s->hop ? s->hop->serial : 0;
        l->healed = l->mss != w->config->mss;
        l->try_number = (uint8_t)i;
        s->dial->links[slot] = l;
    }
    if (dial_is_over(d))
        return end_undialled(s, dial_worst(d));
    session_set_wake(s, d->trying < SESSION_TRIES ? d->next_ns : UINT64_MAX);
    return STEP_WAIT;
}

/* An idle link to one of the addresses, for a request that may be sent again if the link turns out
 * dead. */
static struct link *find_link(struct session *s, const struct addr *addrs, unsigned len,
                              uint16_t port)
{
    struct worker *w = s->worker;
    uint32_t hop = s->hop ? s->hop->serial : 0;
    bool is_plain = s->exchange && s->exchange->method != METHOD_CONNECT;

    if (s->link) { /* one that is this client's alone */
        for (unsigned i = 0; i < len; i++)
            if (is_plain && s->link->hop == hop && s->link->at.port == port &&
                addr_is_equal(&s->link->at.addr, &addrs[i]))
                return s->link;
        pool_close(&w->pool, s->link, false);
        s->link = NULL;
    }
    if (!is_plain || s->exchange->redialled || s->exchange->upgrade || s->exchange->bind_link ||
        !s->exchange->up.done || !http1_is_idempotent((enum http1_method)s->exchange->method))
        return NULL;
    for (unsigned i = 0; i < len; i++) {
        struct link *l = pool_find(&w->pool, &(struct endpoint){.addr = addrs[i], .port = port},
                                   hop, heal_find_mss(s, &addrs[i]));

        if (l)
            return l;
    }
    return NULL;
}

static enum step dial_addresses(struct session *s, const struct addr *addrs, unsigned len)
{
    const char *far = verdict_side_name(session_far(s));
    struct worker *w = s->worker;
    struct link *l;

    if (is_own_listener(s, addrs, len)) {
        flow_evidence(&s->flow, "the %s is a listener of this proxy", far);
        return session_end(s, VERDICT_LOOP, SIDE_PROXY, "the %s is this proxy", far);
    }
    if (s->exchange && s->limits.max_upload && s->exchange->up.total > s->limits.max_upload)
        return session_end_as(s, VERDICT_SIZE_LIMIT, SIDE_PROXY, 413, "http_request_error",
                              "upload of %llu bytes is over max-upload %llu",
                              (unsigned long long)s->exchange->up.total,
                              (unsigned long long)s->limits.max_upload);
    s->step_ns = session_now(s);
    l = find_link(s, addrs, len, port_of(s));
    if (l) {
        flow_note(&s->flow, NOTE_STEP, STEP_KIND_DIAL, "kept connection");
        if (s->exchange) /* a link of this client alone is taken for other requests, too */
            s->exchange->may_retry =
                s->exchange->up.done && http1_is_idempotent((enum http1_method)s->exchange->method);
        return connected(s, l);
    }
    s->dial = slab_get(&w->dials);
    if (!s->dial)
        return session_end(s, VERDICT_OVERLOADED, SIDE_PROXY, "out of memory");
    dial_init(&s->dial->dial, addrs, len);
    session_enter(s, STATE_CONNECT);
    return dial_more(s);
}

enum step step_connect(struct session *s)
{
    struct dial *d = &s->dial->dial;

    if (session_client_left(s))
        return session_end_left(s);
    for (unsigned i = 0; i < SESSION_TRIES; i++) {
        struct link *l = s->dial->links[i];
        int err = 0;

        if (!l || !(l->conn.ready & (CONN_OUT | CONN_ERR)))
            continue;
        if (l->conn.ready & CONN_ERR)
            err = sock_get_error(l->conn.fd);
        if (!err && l->conn.ready & CONN_OUT)
            return dial_won(s, i);
        s->dial->links[i] = NULL;
        dial_end(d, l->try_number, err ? err : ECONNRESET, session_now(s));
        pool_close(&s->worker->pool, l, true);
    }
    return dial_more(s);
}

enum step step_connect_timeout(struct session *s)
{
    if (s->state == STATE_RESOLVE)
        return end_unresolved(s, &(struct resolve_answer){.status = RESOLVE_TIMEOUT});
    for (unsigned i = 0; i < SESSION_TRIES; i++) {
        struct link *l = s->dial->links[i];

        if (!l)
            continue;
        s->dial->links[i] = NULL;
        dial_end(&s->dial->dial, l->try_number, ETIMEDOUT, session_now(s));
        pool_close(&s->worker->pool, l, true);
    }
    return end_undialled(s, dial_worst(&s->dial->dial));
}

enum step session_connect_anew(struct session *s)
{
    struct addr addr = s->link->at.addr;

    s->exchange->may_retry = false;
    pool_close(&s->worker->pool, s->link, true);
    s->link = NULL;
    return dial_addresses(s, &addr, 1);
}

enum step session_redial(struct session *s)
{
    s->exchange->redialled = true; /* once: a target that answers nobody is no dead link */
    flow_evidence(&s->flow, "a kept connection to the %s had gone: asked again on a new one",
                  verdict_side_name(session_far(s)));
    return session_connect_anew(s);
}
