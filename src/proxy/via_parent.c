/* A parent is asked as a target would be: absolute-form or CONNECT, with credentials of our own.
 * Its 407 is answered here and never handed on; where it keeps the connection, its body is read
 * away and the request goes again on the same one. */
#include "proxy/via_parent.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "flow/outside.h"
#include "net/tls.h"
#include "proxy/hop.h"
#include "proxy/worker.h"
#include "render/escape.h"
#include "render/pen.h"

#define ASK_NS NS_PER_S             /* patience with a parent that does not know Expect */
#define REFUSED_MAX (64u * 1024)    /* a longer body of a 407 costs more than a new connection */
#define CREDENTIALS_MAX (8u * 1024) /* bytes of our Proxy-Authorization; its uri may be long */

#define PROVE_NS (2 * NS_PER_S)  /* patience with the flow that tries the password first */
#define LOOK_NS (10 * NS_PER_MS) /* how often to look whether it is through */

/* ---- asking */

bool via_parent_must_wait(struct session *s)
{
    struct parent_call *p = &s->exchange->parent;
    const struct login *l = &s->hop->login;
    uint64_t now = session_now(s), until = p->wait_ns;

    p->wait_ns = 0;
    if (login_is_proved(l) || !l->user || !login_is_ready(l, now) || login_is_held(l, now))
        return false;
    if (hop_may_prove(s->hop, s, now, now + PROVE_NS) || (until && now >= until))
        return false;
    p->wait_ns = until ? until : now + PROVE_NS;
    session_set_wake(s, now + LOOK_NS);
    return true;
}

/* Method and target of the head that is sent: what Digest is computed from. */
static void read_line(const struct exchange *x, struct span *method, struct span *target)
{
    struct span rest = buf_span(&x->head);

    *method = span_cut(&rest, ' ');
    *target = span_cut(&rest, ' ');
}

/* With a body that cannot be sent twice it is better to ask first. */
static bool asks_first(const struct session *s)
{
    const struct exchange *x = s->exchange;
    const struct login *l = &s->hop->login;

    if (x->up.done || x->expects || !l->user || x->parent.again.len > 0)
        return false;
    return !login_is_ready(l, session_now(s)) || x->up.kind == BODY_CHUNKED ||
           x->up.total > VIA_PARENT_AGAIN_MAX;
}

static void warn_of_basic(struct session *s)
{
    if (s->exchange->parent.login.scheme == AUTHN_BASIC && !s->hop->by_tls &&
        !(s->flow.warnings & 1u << WARNING_WEAK_AUTH))
        flow_warn(&s->flow, WARNING_WEAK_AUTH, "Basic to the parent without TLS");
}

int via_parent_send_head(struct session *s)
{
    static const char expect[] = "Expect: 100-continue\r\n";
    struct exchange *x = s->exchange;
    struct span head = buf_span(&x->head), again = buf_span(&x->parent.again), method, target;
    char credentials[CREDENTIALS_MAX], *out = s->worker->out;
    size_t n, at = head.len - 2; /* before the empty line */
    int err;

    read_line(x, &method, &target);
    x->parent.login.has_body = !x->up.done || again.len > 0;
    n = login_write(&s->hop->login, &x->parent.login, method, target, session_now(s), credentials,
                    sizeof credentials);
    x->parent.asks = asks_first(s);
    if (at + sizeof expect + n + 2 > PUMP_BUFFER)
        return -EMSGSIZE;
    memcpy(out, head.ptr, at);
    if (x->parent.asks) {
        memcpy(out + at, expect, sizeof expect - 1);
        at += sizeof expect - 1;
        x->parent.ask_ns = session_now(s) + ASK_NS;
    }
    memcpy(out + at, credentials, n);
    memcpy(out + at + n, "\r\n", 2);
    if (n > 0)
        warn_of_basic(s);
    err = conn_send(&s->link->conn, out, at + n + 2);
    explicit_bzero(credentials, n);
    return err < 0 || again.len == 0 ? err : conn_send(&s->link->conn, again.ptr, again.len);
}

void via_parent_keep(struct session *s, const char *bytes, size_t n)
{
    struct parent_call *p = &s->exchange->parent;

    if (!s->hop || !s->hop->login.user || s->exchange->status || p->no_again)
        return;
    if (p->again.max == 0)
        buf_init(&p->again, VIA_PARENT_AGAIN_MAX);
    if (buf_append(&p->again, bytes, n))
        return;
    p->no_again = true;
    buf_fini(&p->again);
}

bool via_parent_holds_body(struct session *s)
{
    struct parent_call *p = &s->exchange->parent;

    if (p->ask_ns && session_now(s) >= p->ask_ns)
        p->ask_ns = 0;
    if (p->ask_ns)
        session_set_wake(s, p->ask_ns);
    return p->ask_ns != 0;
}

bool via_parent_takes_interim(struct session *s, const struct http1_head *h)
{
    struct exchange *x = s->exchange;

    if (!s->hop)
        return false;
    if (h->status == 100)
        x->parent.ask_ns = 0;
    return x->method == METHOD_CONNECT || (h->status == 100 && x->parent.asks);
}

/* ---- a 407 */

/* The request goes again: on this link, or on a new one. */
static enum step ask_again(struct session *s, bool same_link)
{
    struct exchange *x = s->exchange;

    x->sent_ns = 0;
    x->parent.drops = false;
    x->parent.ask_ns = 0;
    if (!same_link)
        return session_connect_anew(s);
    /* it may close all the same, without a word */
    x->may_retry =
        x->up.done && !x->parent.no_again &&
        (x->method == METHOD_CONNECT || http1_is_idempotent((enum http1_method)x->method));
    return step_forward_start(s);
}

static enum step end_unaccepted(struct session *s, enum login_next next, const char *what)
{
    switch (next) {
    case LOGIN_UNSUPPORTED:
        return session_end_as(s, VERDICT_AUTH_UNSUPPORTED, SIDE_PARENT, 502, NULL, "parent %s",
                              what);
    case LOGIN_REQUIRED:
        return session_end(s, VERDICT_PARENT_AUTH_FAILED, SIDE_PARENT,
                           "the parent asks for credentials, none are set");
    case LOGIN_REFUSED:
    case LOGIN_HELD:
    case LOGIN_AGAIN:
        break;
    }
    return session_end(s, VERDICT_PARENT_AUTH_FAILED, SIDE_PARENT, "parent: %s", what);
}

/* Takes bytes of the 407's body. */
static enum step drop_bytes(struct session *s, struct span bytes)
{
    struct body *b = &s->exchange->parent.refused;
    size_t at = 0;

    while (at < bytes.len && !b->done) {
        struct span data;
        size_t n;
        enum parse parsed = body_read(b, (struct span){bytes.ptr + at, bytes.len - at}, &n, &data);

        if (parsed == PARSE_BAD || b->payload > REFUSED_MAX)
            return ask_again(s, false);
        at += n;
        if (n == 0)
            break;
    }
    if (!b->done)
        return STEP_AGAIN;
    return ask_again(s, at == bytes.len); /* what nobody asked for is no answer to the next */
}

enum step via_parent_drop(struct session *s)
{
    struct worker *w = s->worker;
    ssize_t n = conn_read(&s->link->conn, w->pump.buffer, PUMP_BUFFER);

    if (n == -EAGAIN)
        return STEP_WAIT;
    if (n <= 0)
        return ask_again(s, false);
    return drop_bytes(s, (struct span){w->pump.buffer, (size_t)n});
}

static enum step take_challenge(struct session *s, const struct http1_head *h, struct span rest)
{
    struct exchange *x = s->exchange;
    char what[LOGIN_WHAT_MAX];
    enum login_next next = login_take_challenges(&s->hop->login, &x->parent.login, h,
                                                 session_now(s), what, sizeof what);

    flow_evidence(&s->flow, "parent: 407, %s", what);
    if (!(h->seen & 1ull << FIELD_PROXY_AUTHENTICATE))
        return session_end_as(s, VERDICT_UPSTREAM_FAILED, SIDE_PARENT, 0, "http_protocol_error",
                              "the parent's 407 has no Proxy-Authenticate");
    if (next != LOGIN_AGAIN)
        return end_unaccepted(s, next, what);
    if (x->parent.no_again)
        return session_end(s, VERDICT_PARENT_AUTH_FAILED, SIDE_PARENT,
                           "the parent asks for credentials after more of the body than is kept");
    body_of_response(&x->parent.refused, h, (enum http1_method)x->method);
    if (!h->keep_alive || x->parent.refused.kind == BODY_CLOSE || !x->up.done || x->upstream_gone ||
        conn_has_rest(&s->link->conn))
        return ask_again(s, false);
    x->parent.drops = true;
    return drop_bytes(s, rest);
}

/* ---- a final response */

/* What an answer says that is not what was asked for, and whether it is one of a proxy: then it is
 * handed on.  The rows of who looks from outside become our own. */
static bool take_refusal(struct session *s, const struct outside_verdict *v)
{
    struct exchange *x = s->exchange;

    x->parent.is_refusal = true;
    x->parent.verdict = (uint8_t)v->verdict;
    x->parent.by = (uint8_t)(v->by == SIDE_PROXY ? SIDE_PARENT : v->by);
    x->parent.certainty = (uint8_t)v->certainty;
    flow_set_text(&s->flow.reason, v->reason);
    if (v->verdict == VERDICT_PROXY_ERROR) {
        x->parent.verdict = VERDICT_UPSTREAM_FAILED;
        return true;
    }
    return v->verdict != VERDICT_NOT_A_PROXY && v->verdict != VERDICT_AUTH_REQUIRED &&
           v->verdict != VERDICT_AUTH_FAILED && v->verdict != VERDICT_AUTH_UNSUPPORTED;
}

static struct outside_verdict judge(struct session *s, const struct http1_head *h, struct span body)
{
    struct outside_answer a = {
        .asked = s->exchange->method == METHOD_CONNECT ? OUTSIDE_CONNECT : OUTSIDE_ABSOLUTE,
        .credentials_sent = s->exchange->parent.login.sent,
        .is_http = true,
        .status = h->status,
        .reason = h->reason,
        .body = body,
    };
    struct access_query q;

    session_query(s, &q);
    a.by_name = !q.addr.family;
    for (unsigned i = 0; i < h->fields_len; i++)
        outside_add_field(&a, h->fields[i].name, h->fields[i].value);
    return outside_judge(&a, &s->flow);
}

static enum step establish(struct session *s, struct span rest)
{
    session_drop_exchange(s);
    return step_tunnel_start(s, rest);
}

bool via_parent_takes_response(struct session *s, const struct http1_head *h, struct span rest,
                               enum step *next)
{
    struct exchange *x = s->exchange;
    bool connect = x->method == METHOD_CONNECT;
    struct outside_verdict v;

    if (!s->hop)
        return false;
    if (h->status == 407) {
        *next = take_challenge(s, h, rest);
        return true;
    }
    x->parent.ask_ns = 0;
    flow_step(&s->flow, STEP_KIND_PARENT, session_now(s) - x->begin_ns);
    if (!login_take_info(&s->hop->login, &x->parent.login, h))
        flow_evidence(&s->flow, "parent: rspauth is wrong, as if it did not know the password");
    if (connect && h->status < 300) {
        *next = establish(s, rest);
        return true;
    }
    if (h->status < (connect ? 300 : 400))
        return false;
    v = judge(s, h, rest);
    if (v.verdict == VERDICT_OK || v.verdict == VERDICT_TARGET_ERROR)
        return false;
    if (take_refusal(s, &v) || !connect)
        return false;
    *next = session_end_as(s, VERDICT_UPSTREAM_FAILED, SIDE_PARENT, 0, "http_protocol_error",
                           "the parent answered %u to CONNECT", h->status);
    return true;
}

void via_parent_write_status(const struct session *s, unsigned status, char *out, size_t cap)
{
    char at[ENDPOINT_TEXT_MAX];
    struct pen p;

    pen_init_fixed(&p, out, cap - 1);
    pen_text(&p, "Proxy-Status: ");
    pen_text(&p, s->worker->shared->pseudonym);
    pen_text(&p, "; received-status=");
    pen_u64(&p, status);
    pen_text(&p, "; next-hop=");
    escape_sf_string(&p, (struct span){at, endpoint_write(&s->link->at, at)});
    pen_text(&p, "\r\n");
    out[p.full ? 0 : pen_len(&p)] = '\0';
}

/* ---- TLS */

enum step via_parent_end_tls(struct session *s)
{
    struct tls *tls = s->link->conn.tls;
    struct tls_facts facts;
    bool ours;

    assert(tls);
    tls_get_facts(tls, &facts);
    if (facts.fault[0]) {
        flow_evidence(&s->flow, "certificate of the parent: %s", facts.fault);
        return session_end_as(s, VERDICT_UPSTREAM_FAILED, SIDE_PARENT, 0, "tls_certificate_error",
                              "TLS to the parent: %s", facts.fault);
    }
    flow_evidence(&s->flow, "TLS to the parent: %s", tls_reason(tls));
    return session_end_as(s, VERDICT_UPSTREAM_FAILED, SIDE_PARENT, 0,
                          tls_get_alert(tls, &ours) >= 0 && !ours ? "tls_alert_received"
                                                                  : "tls_protocol_error",
                          "TLS to the parent: %s", tls_reason(tls));
}
