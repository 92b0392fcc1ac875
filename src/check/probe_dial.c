/* The way to whom is asked first: the name of the proxy, or of the target when direct, and its
 * addresses, dialled side by side (Happy Eyeballs, RFC 8305). */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "check/internal.h"

#define SLOW_DNS_NS NS_PER_S
#define HALF_MAX 9000 /* a jumbo frame's */

/* ---- resolve */

static uint16_t port_of(const struct probe *p)
{
    return p->through_proxy ? p->check->options.proxy->port : p->url->at.port;
}

static enum probe_next dial(struct probe *p, const struct addr *addrs, unsigned len)
{
    /* whichever connects in the end; where none does, the one that was tried first */
    *(p->through_proxy ? &p->flow.proxy : &p->flow.address) =
        (struct endpoint){.addr = addrs[0], .port = port_of(p)};
    dial_init(&p->dial, addrs, len);
    return probe_enter(p, PROBE_DIAL);
}

static enum probe_next end_unresolved(struct probe *p, const struct resolve_answer *a)
{
    enum verdict v = p->through_proxy ? VERDICT_PROXY_UNRESOLVED : VERDICT_UPSTREAM_UNRESOLVED;

    if (a->detail && *a->detail)
        flow_evidence(&p->flow, "dns: %s", a->detail);
    if (a->status == RESOLVE_FAILED)
        return probe_end(p, v, SIDE_CLIENT, CERTAINTY_SEEN, "the resolver cannot be asked");
    return probe_end(p, v, SIDE_NETWORK, CERTAINTY_SEEN, "%s: %s",
                     p->through_proxy ? p->check->options.proxy->host : p->url->at.host,
                     a->status == RESOLVE_TIMEOUT    ? "no answer from DNS"
                     : a->status == RESOLVE_NXDOMAIN ? "NXDOMAIN"
                     : a->status == RESOLVE_NODATA   ? "the name has no address"
                                                     : "SERVFAIL");
}

static enum probe_next take_addresses(struct probe *p, const struct resolve_answer *a)
{
    uint64_t took = probe_now(p) - p->state_ns;

    if (a->status != RESOLVE_OK)
        return end_unresolved(p, a);
    if (took > SLOW_DNS_NS)
        flow_warn(&p->flow, WARNING_SLOW_DNS, "the look-up took %.1f s", (double)took / 1e9);
    flow_note(&p->flow, NOTE_PHASE, PHASE_RESOLVE, "%u address%s from %s", a->len,
              a->len == 1 ? "" : "es", a->source);
    return dial(p, a->addrs, a->len);
}

static void resolved(void *arg, const struct resolve_answer *a)
{
    struct probe *p = arg;

    p->query = NULL;
    take_addresses(p, a);
    check_queue(p);
}

static enum probe_next resolve(struct probe *p)
{
    const char *host = p->through_proxy ? p->check->options.proxy->host : p->url->at.host;
    struct resolve_answer answer = {0};
    struct addr addr;
    char name[AUTHORITY_HOST_MAX];
    size_t len = strlen(host);

    probe_enter(p, PROBE_RESOLVE);
    if (addr_parse(span_of(host), &addr)) {
        flow_note(&p->flow, NOTE_PHASE, PHASE_RESOLVE, "an address already");
        return dial(p, &addr, 1);
    }
    if (len > 0 && host[len - 1] == '.')
        len--;
    if (len >= sizeof name)
        return probe_end(p, VERDICT_PROXY_UNRESOLVED, SIDE_CLIENT, CERTAINTY_SEEN,
                         "a name of %zu characters", len);
    for (size_t i = 0; i < len; i++)
        name[i] = span_lower(host[i]);
    if (resolver_find(p->check->resolver, (struct span){name, len}, probe_now(p), resolved, p,
                      &p->query, &answer) == RESOLVE_WAIT)
        return PROBE_WAIT;
    return take_addresses(p, &answer);
}

enum probe_next probe_step_resolve(struct probe *p)
{
    return p->query ? PROBE_WAIT : resolve(p);
}

enum probe_next probe_resolve_late(struct probe *p)
{
    return end_unresolved(p, &(struct resolve_answer){.status = RESOLVE_TIMEOUT});
}

/* ---- dial */

static void note_tries(struct probe *p)
{
    for (unsigned i = 0; i < p->dial.len; i++) {
        const struct dial_try *t = &p->dial.tries[i];
        char text[ENDPOINT_TEXT_MAX];
        double ms = (double)(t->end_ns - t->start_ns) / 1e6;

        endpoint_write(&(struct endpoint){.addr = t->addr, .port = port_of(p)}, text);
        if (t->state == DIAL_FAILED)
            flow_evidence(&p->flow, "%s: %s after %.1f ms", text, verdict_errno_text(t->err), ms);
        else if (t->state == DIAL_DONE)
            flow_evidence(&p->flow, "%s: connected in %.1f ms", text, ms);
        else if (t->state == DIAL_TRYING)
            flow_evidence(&p->flow, "%s: no answer", text);
        else
            flow_evidence(&p->flow, "%s: not tried", text);
    }
}

static enum probe_next end_undialled(struct probe *p, int err)
{
    enum verdict v = verdict_from_errno(SIDE_TARGET, err);
    enum side by = v == VERDICT_UPSTREAM_REFUSED ? probe_far(p) : SIDE_NETWORK;

    note_tries(p);
    if (err == ECONNRESET) /* to a SYN it would be "refused": the handshake was over */
        return probe_end_reset(p, "right after the handshake");
    if (v == VERDICT_OVERLOADED || v == VERDICT_PROXY_ERROR) /* a fault of this machine */
        return probe_end(p, p->through_proxy ? VERDICT_PROXY_UNREACHABLE : VERDICT_UPSTREAM_FAILED,
                         SIDE_CLIENT, CERTAINTY_SEEN, "%s", verdict_errno_text(err));
    if (p->through_proxy)
        v = v == VERDICT_UPSTREAM_REFUSED ? VERDICT_PROXY_REFUSED : VERDICT_PROXY_UNREACHABLE;
    return probe_end(p, v, by, CERTAINTY_SEEN, "%s",
                     err == ETIMEDOUT ? "no answer to the connection" : verdict_errno_text(err));
}

/* What the other end takes for the beginning of something longer, and waits for the rest of: a head
 * without its end, or a TLS record.  One write, one segment. */
static int write_half(struct probe *p, uint32_t n)
{
    static const char record[] = {0x16, 3, 1, 0x3f, (char)0xff, 1, 0, 0x3f, (char)0xfb, 3, 3};
    static const char head[] = "GET / HTTP/1.1\r\nX-Filler: ";
    bool tls = p->through_proxy ? p->check->options.proxy->tls : p->url->tls;
    char bytes[HALF_MAX];

    if (n > sizeof bytes)
        n = sizeof bytes;
    memset(bytes, 'x', sizeof bytes);
    if (p->half_sent == 0)
        memcpy(bytes, tls ? record : head, tls ? sizeof record : sizeof head - 1);
    p->half_last = n;
    p->half_sent += n;
    return probe_send(p, bytes, n);
}

void probe_send_half(struct probe *p, uint32_t n)
{
    int err = write_half(p, n);

    if (err < 0)
        probe_broken(p, -err);
}

static enum probe_next begin_half(struct probe *p)
{
    int err = write_half(p, p->wish.half > 1 ? p->wish.half : p->info.mss);

    return err < 0 ? probe_broken(p, -err) : probe_enter(p, PROBE_ANSWER);
}

static enum probe_next connected(struct probe *p, unsigned slot)
{
    struct endpoint at = {.addr = p->dial.tries[p->try_numbers[slot]].addr, .port = port_of(p)};

    dial_end(&p->dial, p->try_numbers[slot], 0, probe_now(p));
    p->conn = p->tries[slot];
    p->tries[slot] = (struct conn){.fd = -1};
    p->chosen = slot;
    probe_close_tries(p);
    if (p->dial.len > 1 && !p->rounds)
        note_tries(p);
    sock_get_local(p->conn.fd, &p->flow.client);
    if (p->through_proxy)
        p->flow.proxy = at;
    else
        p->flow.address = at;
    if (sock_read_info(p->conn.fd, &p->info))
        flow_note(&p->flow, NOTE_PHASE, PHASE_CONNECT, "mss %u", p->info.mss);
    taps_answered(p, slot, false);
    if (p->wish.half)
        return begin_half(p);
    if (p->through_proxy && (p->check->options.proxy->tls || p->wish.proxy_tls))
        return probe_enter(p, PROBE_HELLO);
    if (!p->rounds)
        flow_skip(&p->flow, PHASE_PROXY_TLS, OUTCOME_SKIPPED);
    if (p->through_proxy)
        return probe_enter(p, PROBE_ASK);
    flow_skip(&p->flow, PHASE_REQUEST, OUTCOME_SKIPPED);
    flow_skip(&p->flow, PHASE_ANSWER, OUTCOME_SKIPPED);
    if (p->url->tls)
        return probe_enter(p, PROBE_TLS);
    flow_skip(&p->flow, PHASE_TLS, OUTCOME_SKIPPED);
    return probe_enter(p, PROBE_EXCHANGE);
}

/* Opens one more connection for try `i`; false when it cannot even begin. */
static void open_try(struct probe *p, unsigned i)
{
    struct endpoint at = {.addr = p->dial.tries[i].addr, .port = port_of(p)};
    unsigned slot = 0;
    int fd = sock_connect(&at, p->wish.mss), failed = fd;

    while (p->tries[slot].fd >= 0)
        slot++;
    if (fd >= 0) {
        conn_init(&p->tries[slot], fd, NODELAY_AFTER_FIRST_WRITE);
        p->try_numbers[slot] = (uint8_t)i;
        taps_open(p, slot, fd, &at);
        failed = check_watch(p, slot, fd);
        if (failed < 0)
            conn_close(&p->tries[slot], true);
    }
    if (failed < 0)
        dial_end(&p->dial, i, -failed, probe_now(p));
}

static enum probe_next dial_more(struct probe *p)
{
    int i;

    while (p->dial.trying < PROBE_TRIES && (i = dial_next(&p->dial, probe_now(p))) >= 0)
        open_try(p, (unsigned)i);
    if (dial_is_over(&p->dial))
        return end_undialled(p, dial_worst(&p->dial));
    probe_arm(p);
    return PROBE_WAIT;
}

enum probe_next probe_step_dial(struct probe *p)
{
    for (unsigned i = 0; i < PROBE_TRIES; i++) {
        struct conn *c = &p->tries[i];
        int err = 0;

        if (c->fd < 0 || !(c->ready & (CONN_OUT | CONN_ERR)))
            continue;
        if (c->ready & CONN_ERR)
            err = sock_get_error(c->fd);
        if (!err && c->ready & CONN_OUT)
            return connected(p, i);
        if (err == ECONNREFUSED)
            taps_answered(p, i, true);
        conn_close(c, true);
        dial_end(&p->dial, p->try_numbers[i], err ? err : ECONNRESET, probe_now(p));
    }
    return dial_more(p);
}

enum probe_next probe_dial_late(struct probe *p)
{
    for (unsigned i = 0; i < PROBE_TRIES; i++)
        if (p->tries[i].fd >= 0) {
            conn_close(&p->tries[i], true);
            dial_end(&p->dial, p->try_numbers[i], ETIMEDOUT, probe_now(p));
        }
    return end_undialled(p, dial_worst(&p->dial) ? dial_worst(&p->dial) : ETIMEDOUT);
}

/* The proxy closed after its 407: the same address again. */
enum probe_next probe_redial(struct probe *p)
{
    struct addr addr = p->flow.proxy.addr;

    probe_hang_up(p, false);
    p->draining = p->reused = false;
    return dial(p, &addr, 1);
}
