/* The two handshakes: with an https:// proxy, and with the target, which may run inside the first.
 * Certificates are verified and the handshake goes on in either case: who looks for a fault wants
 * to see all of it. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "check/certificate.h"
#include "check/internal.h"
#include "flow/greeting.h"
#include "net/tls.h"

#define RECORD_HANDSHAKE 22
#define SERVER_HELLO 2
#define TLS_LEAST 0x0303 /* 1.2 */

static int64_t wall_s(const struct probe *p)
{
    return (int64_t)(p->check->loop.wall_ns / NS_PER_S);
}

/* ---- what passes */

static void on_proxy_bytes(void *owner, bool sent, const void *bytes, size_t n)
{
    struct probe *p = owner;

    taps_bytes(p, sent, bytes, n);
    if (!sent)
        p->heard_ns = probe_now(p);
}

static void on_target_bytes(void *owner, bool sent, const void *bytes, size_t n)
{
    struct probe *p = owner;

    if (!p->outer)
        taps_bytes(p, sent, bytes, n);
    if (sent) {
        p->flow.bytes_up += n;
        if (!p->tls_hello)
            p->tls_hello = (uint32_t)n;
        return;
    }
    p->heard_ns = probe_now(p);
    p->flow.bytes_down += n;
    if (p->first_len < sizeof p->first) {
        size_t room = sizeof p->first - p->first_len, some = n < room ? n : room;

        memcpy(p->first + p->first_len, bytes, some);
        p->first_len = (uint8_t)(p->first_len + some);
    }
    tlsrec_follow(&p->records, (struct span){bytes, n});
}

/* ---- the proxy's own TLS */

const char *probe_tls_reason(const struct probe *p, char *out, size_t cap)
{
    bool ours;
    int alert = p->conn.tls ? tls_get_alert(p->conn.tls, &ours) : -1;

    if (alert >= 0 && !ours)
        snprintf(out, cap, "TLS alert %d (%s) came", alert, tlsrec_alert_name((uint8_t)alert));
    else
        snprintf(out, cap, "%s", p->conn.tls ? tls_reason(p->conn.tls) : "");
    return out;
}

static enum probe_next hello_broke(struct probe *p, ssize_t n)
{
    char why[128];

    if (n == -ECONNRESET)
        return probe_end(p, VERDICT_PROXY_TLS_FAILED, SIDE_PROXY, CERTAINTY_SEEN,
                         "RST inside the handshake");
    if (n == 0)
        return probe_end(p, VERDICT_PROXY_TLS_FAILED, SIDE_PROXY, CERTAINTY_SEEN,
                         "closed inside the handshake");
    flow_evidence(&p->flow, "if the proxy does not speak TLS on this port, use http:// for it");
    return probe_end(p, VERDICT_PROXY_TLS_FAILED, SIDE_PROXY, CERTAINTY_SEEN, "%s",
                     probe_tls_reason(p, why, sizeof why));
}

static enum probe_next hello_done(struct probe *p)
{
    struct tls_facts facts;

    p->signs.proxy_spoke_tls = true;
    if (p->wish.proxy_tls)
        return probe_end(p, VERDICT_OK, SIDE_CLIENT, CERTAINTY_SEEN, "the proxy's port speaks TLS");
    tls_get_facts(p->conn.tls, &facts);
    flow_note(&p->flow, NOTE_PHASE, PHASE_PROXY_TLS, "%s %s", facts.version, facts.cipher);
    if (facts.verified)
        return probe_enter(p, PROBE_ASK);
    certificate_note(p->conn.tls, p->check->options.proxy->host, wall_s(p), &p->flow);
    if (!p->check->options.insecure)
        return probe_end(p, VERDICT_PROXY_TLS_FAILED, SIDE_PROXY, CERTAINTY_SEEN,
                         "the proxy's certificate: %s", facts.fault);
    flow_warn(&p->flow, WARNING_TLS_UNTRUSTED, "of the proxy: %s", facts.fault);
    return probe_enter(p, PROBE_ASK);
}

/* Goes on with the handshake: 1 when it is done, -EAGAIN while more must come, 0 or -errno when it
 * broke. */
static ssize_t shake_hands(struct probe *p)
{
    struct check *c = p->check;
    ssize_t n = conn_read(&p->conn, c->buffer, CHECK_BUFFER);

    if (n == 0 || n == -ECONNRESET)
        taps_close(p, false, n != 0);
    if (tls_is_established(p->conn.tls) || n != -EAGAIN)
        taps_handshake(p, false);
    if (n > 0 && !buf_append(&p->in, c->buffer, (size_t)n))
        n = -ENOBUFS;
    if (!tls_is_established(p->conn.tls) || (n <= 0 && n != -EAGAIN))
        return n;
    p->conn.ready |= CONN_IN | CONN_OUT;
    return 1;
}

enum probe_next probe_step_hello(struct probe *p)
{
    struct check *c = p->check;
    ssize_t n;

    if (!p->conn.tls) {
        struct tls_context *context = p->wish.proxy_tls ? check_get_small_tls(c) : c->proxy_tls;

        if (context)
            p->conn.tls = tls_new_client(context, p->conn.fd, c->options.proxy->host);
        if (!p->conn.tls)
            return probe_end(p, VERDICT_PROXY_TLS_FAILED, SIDE_CLIENT, CERTAINTY_SEEN,
                             "out of memory");
        tls_set_tap(p->conn.tls, on_proxy_bytes, p);
        taps_handshake(p, true);
        p->sent_ns = probe_now(p);
        p->heard_ns = 0;
    }
    n = shake_hands(p);
    if (n == 1)
        return hello_done(p);
    return n == -EAGAIN ? PROBE_WAIT : hello_broke(p, n);
}

/* ---- the target's TLS */

/* The caller's reference; NULL without memory. */
static struct tls_context *make_context(struct probe *p)
{
    struct check *c = p->check;

    if (p->wish.hello)
        return check_new_hello_tls(c, p->wish.hello);
    if (!p->wish.small_hello)
        return tls_context_ref(c->target_tls);
    return tls_context_ref(check_get_small_tls(c));
}

static bool begin_tls(struct probe *p)
{
    struct tls_context *context = make_context(p);

    if (!context)
        return false;
    p->sent_ns = probe_now(p);
    p->heard_ns = 0;
    p->tls_begun = true;
    if (p->conn.tls) {
        p->outer = p->conn.tls;
        p->conn.tls = tls_new_inside(context, p->outer, p->url->at.host);
    } else {
        p->conn.tls = tls_new_client(context, p->conn.fd, p->url->at.host);
    }
    tls_context_unref(context);
    if (!p->conn.tls) {
        p->conn.tls = p->outer;
        p->outer = NULL;
        return false;
    }
    tls_set_tap(p->conn.tls, on_target_bytes, p);
    taps_handshake(p, true);
    return true;
}

/* What comes of it has many names: an alert at one moment or another, or just the end. */
void probe_note_asked(struct probe *p)
{
    if (p->tls_begun && p->conn.tls && tls_was_asked(p->conn.tls))
        flow_evidence(&p->flow, "the target asked for a client certificate, and none was sent: "
                                "check has none");
}

/* The library stopped at the first bytes that are no record: a few more name who speaks. */
static void read_on(struct probe *p)
{
    ssize_t n =
        p->outer ? 0
                 : sock_read(p->conn.fd, p->first + p->first_len, sizeof p->first - p->first_len);

    p->first_len = (uint8_t)(p->first_len + (n > 0 ? n : 0));
}

/* A ServerHello of a version that we do not speak: that is the reason, and it is told. */
static void note_old(struct probe *p)
{
    const uint8_t *b = (const uint8_t *)p->first;
    unsigned version = (unsigned)b[9] << 8 | b[10];

    if (p->first_len > 10 && b[0] == RECORD_HANDSHAKE && b[5] == SERVER_HELLO &&
        version < TLS_LEAST)
        flow_evidence(&p->flow, "the target answers with %s, which is too old",
                      tlsrec_version_name((uint16_t)version));
}

/* Mostly https:// is asked of a port for http://: the answer is a page then, with or without a
 * head.
 */
static enum probe_next answered_without_tls(struct probe *p)
{
    static const char web[] = "a web server";
    struct span first;
    char who[GREETING_MAX];

    read_on(p);
    first = (struct span){p->first, p->first_len};
    greeting_write(first, who);
    if (span_begins_nocase(first, SPAN_LIT("HTTP/")) || strncmp(who, web, sizeof web - 1) == 0) {
        flow_evidence(&p->flow,
                      "if the target does not speak TLS on this port, use http:// for it");
        return probe_end(p, VERDICT_TLS_FAILED, SIDE_TARGET, CERTAINTY_SEEN,
                         "no TLS answers: %s that speaks plain HTTP", web);
    }
    return probe_end(p, VERDICT_TLS_FAILED, SIDE_TARGET, CERTAINTY_SEEN, "no TLS answers: %s", who);
}

/* It is over before the hellos were: an answer that is none, an alert, FIN or RST. */
static enum probe_next tls_broke(struct probe *p, ssize_t n)
{
    char why[128];

    p->signs.tls_broke = true;
    probe_note_asked(p);
    if (p->tls_hello > 0)
        flow_evidence(&p->flow, "ClientHello of %u bytes sent, %llu bytes came back", p->tls_hello,
                      (unsigned long long)p->flow.bytes_down);
    if (n == -ECONNRESET || n == -EPIPE)
        return probe_end_reset(p, p->tls_hello == 0   ? "before the ClientHello"
                                  : p->first_len == 0 ? "in answer to the ClientHello"
                                                      : "inside the handshake");
    if (n == -ETIMEDOUT || n == -EHOSTUNREACH || n == -ENETUNREACH)
        return probe_end(p, VERDICT_STALLED, SIDE_NETWORK, CERTAINTY_SEEN, "%s",
                         verdict_errno_text((int)-n));
    if (n == 0 || n == -ECONNABORTED) {
        if (p->first_len == 0)
            return probe_end(p, VERDICT_STALLED, probe_far(p), CERTAINTY_SEEN,
                             "closed without an answer to the ClientHello");
        return probe_end(p, VERDICT_TLS_FAILED, probe_far(p), CERTAINTY_SEEN,
                         "closed inside the handshake");
    }
    if (p->records.lost)
        return answered_without_tls(p);
    note_old(p);
    return probe_end(p, VERDICT_TLS_FAILED, SIDE_TARGET, CERTAINTY_SEEN, "%s",
                     probe_tls_reason(p, why, sizeof why));
}

static void fill_flow(struct probe *p, const struct tls_facts *facts)
{
    struct flow_tls *t = certificate_tls_of(&p->flow);
    struct addr addr;

    if (!t)
        return;
    if (!addr_parse(span_of(p->url->at.host), &addr))
        flow_set_text(&t->sni, p->url->at.host);
    flow_set_text(&t->version, facts->version);
    flow_set_text(&t->cipher, facts->cipher);
    if (*facts->alpn)
        flow_set_text(&t->alpn, facts->alpn);
    flow_note(&p->flow, NOTE_PHASE, PHASE_TLS, "%s %s", facts->version, facts->cipher);
}

static enum probe_next tls_done(struct probe *p)
{
    struct tls_facts facts;

    tls_get_facts(p->conn.tls, &facts);
    fill_flow(p, &facts);
    if (p->wish.handshake)
        return probe_end(p, VERDICT_OK, SIDE_CLIENT, CERTAINTY_SEEN, "the handshake is done");
    certificate_read(p->conn.tls, p->url->at.host, &facts, &p->certificate, &p->flow);
    if (facts.verified)
        return probe_enter(p, PROBE_EXCHANGE);
    certificate_note(p->conn.tls, p->url->at.host, wall_s(p), &p->flow);
    if (!p->check->options.insecure)
        return probe_end(p, VERDICT_TLS_UNTRUSTED, SIDE_TARGET, CERTAINTY_SEEN, "%s", facts.fault);
    flow_warn(&p->flow, WARNING_TLS_UNTRUSTED, "%s", facts.fault);
    return probe_enter(p, PROBE_EXCHANGE);
}

enum probe_next probe_step_tls(struct probe *p)
{
    ssize_t n;

    if (!p->tls_begun && !begin_tls(p))
        return probe_end(p, VERDICT_TLS_FAILED, SIDE_CLIENT, CERTAINTY_SEEN, "out of memory");
    n = shake_hands(p);
    if (n == 1)
        return tls_done(p);
    return n == -EAGAIN ? PROBE_WAIT : tls_broke(p, n);
}

/* ---- no end came */

enum probe_next probe_tls_late(struct probe *p)
{
    bool proxy = p->state == PROBE_HELLO;

    if (!p->signs.hole_up && !p->signs.hole_down && !probe_is_silent(p) &&
        probe_now(p) >= p->deadline_ns)
        return probe_end(p, VERDICT_OPEN, SIDE_NOBODY, CERTAINTY_SEEN,
                         "time was over inside the handshake");
    p->signs.tls_hung = true;
    flow_evidence(&p->flow, "ClientHello sent, %s for %.1f s",
                  p->heard_ns ? "then nothing more came" : "no byte came back",
                  (double)(probe_now(p) - (p->heard_ns ? p->heard_ns : p->sent_ns)) / 1e9);
    if (probe_note_hole(p))
        return probe_end(p, VERDICT_MTU_BLACKHOLE, SIDE_NETWORK, CERTAINTY_INFERRED,
                         "full-size segments vanish inside the handshake");
    if (proxy)
        return probe_end(p, VERDICT_PROXY_SILENT, SIDE_PROXY, CERTAINTY_SEEN,
                         "no answer to the ClientHello");
    return probe_end(p, VERDICT_STALLED, probe_far(p), CERTAINTY_SEEN, "%s",
                     p->heard_ns ? "the handshake stands still" : "no answer to the ClientHello");
}
