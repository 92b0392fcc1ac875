/* The walk as a whole, and what every state shares: entering, ending, reading, time.  The table
 * of states says in which phase each lies, which step drives it and what it means when time is
 * over. */
#include "check/probe.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/util.h"
#include "check/internal.h"
#include "net/tls.h"

#define DIAL_NS (10 * NS_PER_S)   /* for one address to answer, as long as there is that time */
#define LOOK_NS (250 * NS_PER_MS) /* how often TCP_INFO is read while nothing comes */
#define LOOK_MTU_NS (10 * NS_PER_MS)
#define SILENT_NS (5 * NS_PER_S) /* less is slow, more is silent */
#define HOLE_NS (3 * NS_PER_S)   /* a hole in what comes is no reordering any more */
#define RETRANSMITTED 3          /* times the same segment, with back-off */
#define FULL_SEGMENT 1200        /* bytes: smaller ones pass nearly everywhere */
#define PORT_NS (2 * NS_PER_S)   /* for a port to show that it speaks TLS */
#define STEPS_A_TURN 64          /* then it is the others' turn */
#define IN_MAX (PROBE_HEAD_MAX * 2)

static const struct state_info {
    int phase; /* enum phase; -1: as it is */
    enum probe_next (*step)(struct probe *p);
    enum probe_next (*late)(struct probe *p); /* the deadline is over */
} states[] = {
    [PROBE_RESOLVE] = {PHASE_RESOLVE, probe_step_resolve, probe_resolve_late},
    [PROBE_DIAL] = {PHASE_CONNECT, probe_step_dial, probe_dial_late},
    [PROBE_HELLO] = {PHASE_PROXY_TLS, probe_step_hello, probe_tls_late},
    [PROBE_ASK] = {PHASE_REQUEST, probe_step_ask, probe_http_late},
    [PROBE_ANSWER] = {PHASE_ANSWER, probe_step_answer, probe_http_late},
    [PROBE_TLS] = {PHASE_TLS, probe_step_tls, probe_tls_late},
    [PROBE_EXCHANGE] = {PHASE_EXCHANGE, probe_step_exchange, probe_http_late},
    [PROBE_REFUSAL] = {-1, probe_step_refusal, probe_http_late},
    [PROBE_TRANSFER] = {PHASE_TRANSFER, probe_step_transfer, probe_http_late},
    [PROBE_CLOSE] = {PHASE_CLOSE, probe_step_close, probe_http_late},
    [PROBE_ENDED] = {-1, NULL, NULL},
};
static_assert(ARRAY_LEN(states) == PROBE_STATES, "a state has no row");

uint64_t probe_now(const struct probe *p)
{
    return p->check->loop.now_ns;
}

enum side probe_far(const struct probe *p)
{
    return p->through_proxy ? SIDE_PROXY : SIDE_TARGET;
}

/* ---- time */

/* While nothing comes, the socket is looked at now and then. */
void probe_arm(struct probe *p)
{
    uint64_t at = p->deadline_ns, look_ns = p->wish.beside ? LOOK_MTU_NS : LOOK_NS;

    if (p->state == PROBE_DIAL && p->dial.next_ns < at)
        at = p->dial.next_ns;
    if (p->state > PROBE_DIAL && p->state < PROBE_ENDED && probe_now(p) + look_ns < at)
        at = probe_now(p) + look_ns;
    if (p->state == PROBE_CLOSE && p->state_ns + PROBE_CLOSE_NS < at)
        at = p->state_ns + PROBE_CLOSE_NS;
    if (p->state == PROBE_DIAL && p->state_ns + DIAL_NS < at)
        at = p->state_ns + DIAL_NS;
    wheel_arm(&p->check->wheel, &p->timer, at);
}

enum probe_next probe_enter(struct probe *p, enum probe_state next)
{
    const struct state_info *to = &states[next];

    assert(p->state != PROBE_ENDED && next != PROBE_ENDED);
    loop_touch(&p->check->loop);
    p->state = (uint8_t)next;
    p->state_ns = probe_now(p);
    /* a round of logging in is part of the answer, new connection and all */
    if (to->phase >= 0 && !(p->rounds && to->phase < PHASE_ANSWER)) {
        flow_phase(&p->flow, (enum phase)to->phase, probe_now(p));
        if (p->check->options.on_phase && !p->wish.beside)
            p->check->options.on_phase(p->check->options.owner, p->url_number, &p->flow);
    }
    probe_arm(p);
    return PROBE_AGAIN;
}

/* ---- the end */

static void read_leg(struct probe *p)
{
    struct flow_leg *leg = p->through_proxy ? &p->flow.client_leg : &p->flow.upstream_leg;

    if (p->conn.fd < 0 || !sock_read_info(p->conn.fd, &p->info))
        return;
    *leg = (struct flow_leg){true,        p->info.rtt_us, p->info.retransmissions,
                             p->info.mss, p->info.pmtu,   p->info.unacked};
    if (leg->retransmissions > 0)
        flow_warn(&p->flow, WARNING_RETRANSMISSIONS, "%u segments to the %s", leg->retransmissions,
                  verdict_side_name(probe_far(p)));
    if (leg->mss && leg->mss < FULL_SEGMENT && !p->wish.mss)
        flow_warn(&p->flow, WARNING_SMALL_MSS, "%u bytes to the %s", leg->mss,
                  verdict_side_name(probe_far(p)));
}

void probe_close_tries(struct probe *p)
{
    for (unsigned i = 0; i < PROBE_TRIES; i++)
        conn_close(&p->tries[i], true);
}

void probe_hang_up(struct probe *p, bool reset)
{
    if (p->conn.fd >= 0) {
        taps_handshake(p, false);
        taps_close(p, true, reset);
    }
    conn_close(&p->conn, reset);
    tls_free(p->outer);
    p->outer = NULL;
    buf_fini(&p->in);
    p->heard_ns = 0;
    p->generation++;
}

/* Of everything that could call it again. */
static void let_go(struct probe *p, bool reset)
{
    if (p->query)
        resolver_cancel(p->query);
    p->query = NULL;
    wheel_cancel(&p->timer);
    check_unqueue(p);
    probe_close_tries(p);
    probe_hang_up(p, reset);
}

/* Who has all of an answer closes as clients do: a reset would be a failure in the proxy's log. */
static bool has_all(const struct probe *p)
{
    return p->finishing || (p->state == PROBE_REFUSAL && p->down.done);
}

enum probe_next probe_end_as(struct probe *p, struct ending e)
{
    assert(p->state != PROBE_ENDED);
    loop_touch(&p->check->loop);
    read_leg(p);
    flow_end(&p->flow, e.verdict, e.by, e.certainty, probe_now(p));
    let_go(p, !has_all(p));
    p->state = PROBE_ENDED;
    p->on_end(p);
    return PROBE_WAIT;
}

enum probe_next probe_end(struct probe *p, enum verdict v, enum side by, enum certainty c,
                          const char *fmt, ...)
{
    char reason[256];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(reason, sizeof reason, fmt, ap);
    va_end(ap);
    flow_set_text(&p->flow.reason, reason);
    return probe_end_as(p, (struct ending){v, by, c});
}

/* Behind the proxy's answer a reset may be another's, which the proxy passes on: that is not to be
 * seen from here. */
enum probe_next probe_end_reset(struct probe *p, const char *where)
{
    bool behind = p->through_proxy && p->state > PROBE_ANSWER;

    if (behind)
        flow_evidence(&p->flow, "the proxy sent it; a proxy passes a reset of the target on, too");
    return probe_end(p, p->through_proxy ? VERDICT_RESET_BY_PROXY : VERDICT_RESET_BY_TARGET,
                     probe_far(p), behind ? CERTAINTY_INFERRED : CERTAINTY_SEEN, "RST %s", where);
}

void probe_stop(struct probe *p)
{
    if (p->state != PROBE_ENDED)
        probe_end(p, VERDICT_OPEN, SIDE_NOBODY, CERTAINTY_SEEN, "stopped by the user");
}

void probe_fini(struct probe *p)
{
    let_go(p, true);
    buf_fini(&p->refusal);
    buf_fini(&p->head);
    free(p->location);
    p->location = NULL;
    flow_fini(&p->flow);
}

/* ---- bytes */

ssize_t probe_read_straight(struct probe *p)
{
    struct check *c = p->check;
    ssize_t n = conn_read(&p->conn, c->buffer, CHECK_BUFFER);

    if (n == 0 || n == -ECONNRESET)
        taps_close(p, false, n != 0);
    if (n <= 0)
        return n;
    if (!p->conn.tls)
        taps_bytes(p, false, c->buffer, (size_t)n);
    p->heard_ns = probe_now(p);
    return n;
}

ssize_t probe_read(struct probe *p)
{
    ssize_t n = probe_read_straight(p);

    return n <= 0 || buf_append(&p->in, p->check->buffer, (size_t)n) ? n : -ENOBUFS;
}

int probe_send_as(struct probe *p, const char *bytes, const char *shown, size_t n)
{
    if (!p->conn.tls)
        taps_bytes(p, true, shown, n);
    p->sent_ns = probe_now(p);
    return conn_send(&p->conn, bytes, n);
}

int probe_send(struct probe *p, const char *bytes, size_t n)
{
    return probe_send_as(p, bytes, bytes, n);
}

/* ---- signs of a black hole */

uint64_t probe_quiet_ns(const struct probe *p)
{
    return probe_now(p) - (p->heard_ns > p->sent_ns ? p->heard_ns : p->sent_ns);
}

/* Whether what is awaited can be as long as a full segment: an answer to CONNECT is not. */
static bool awaits_much(const struct probe *p)
{
    return p->state == PROBE_TLS || p->state == PROBE_EXCHANGE || p->state == PROBE_TRANSFER ||
           (p->state == PROBE_ANSWER && !p->url->tls);
}

/* What TCP_INFO tells while nothing comes: full segments of ours that nobody acknowledges, or
 * something that is here behind a hole.  One full segment that passed excludes a black hole in its
 * direction.  A sender with nothing but full segments to send leaves no trace here at all (`mute`):
 * then only another probe can tell.  True when it is enough to give up waiting. */
static bool look(struct probe *p)
{
    uint64_t quiet = probe_quiet_ns(p);
    const struct sock_info *i = &p->info;

    if (p->conn.fd < 0 || !sock_read_info(p->conn.fd, &p->info))
        return false;
    p->signs.segment = i->mss;
    if (i->unacked > 0 && i->backoffs >= RETRANSMITTED)
        p->signs.hole_up =
            i->unacked >= FULL_SEGMENT && i->mss >= FULL_SEGMENT && i->acked < FULL_SEGMENT;
    if (i->rcv_mss < FULL_SEGMENT && !p->wish.mss) {
        p->signs.hole_down = i->out_of_order > 0 && quiet >= HOLE_NS;
        p->signs.mute = i->unacked == 0 && quiet >= SILENT_NS && awaits_much(p);
    }
    return p->signs.hole_up || p->signs.hole_down ||
           (p->info.unacked > 0 && p->info.backoffs >= RETRANSMITTED && !p->heard_ns);
}

bool probe_note_hole(struct probe *p)
{
    if (p->signs.hole_up)
        flow_evidence(&p->flow,
                      "%llu bytes up are not acknowledged, sent again %u times in segments of %u",
                      (unsigned long long)p->info.unacked, p->info.backoffs, p->info.mss);
    if (p->signs.hole_down)
        flow_evidence(&p->flow, "%u segments came from behind a hole that nobody fills",
                      p->info.out_of_order);
    if (p->signs.small_pass && !p->signs.hole_down)
        flow_evidence(&p->flow, "no byte came for %.1f s, and no full-size segment before",
                      (double)probe_quiet_ns(p) / 1e9);
    return p->signs.hole_up || p->signs.hole_down || p->signs.small_pass;
}

bool probe_is_silent(const struct probe *p)
{
    return probe_quiet_ns(p) >= SILENT_NS;
}

/* ---- driving */

void probe_drive(struct probe *p)
{
    enum probe_next next = PROBE_AGAIN;

    for (unsigned i = 0; next == PROBE_AGAIN && p->state != PROBE_ENDED; i++) {
        if (i == STEPS_A_TURN) {
            check_queue(p);
            return;
        }
        loop_touch(&p->check->loop); /* phases are told to the microsecond */
        next = states[p->state].step(p);
    }
}

void probe_start(struct probe *p)
{
    struct check *c = p->check;
    char target[AUTHORITY_TEXT_MAX];
    uint64_t id = check_next_id(c);
    bool excepted;

    p->conn.fd = -1;
    for (unsigned i = 0; i < PROBE_TRIES; i++)
        p->tries[i].fd = -1;
    excepted = c->options.proxy && c->options.is_direct &&
               c->options.is_direct(c->options.direct_owner, p->url->at.host, &p->url->at.addr);
    p->through_proxy = c->options.proxy && !excepted;
    buf_init(&p->in, IN_MAX);
    buf_init(&p->refusal, PROBE_REFUSAL_MAX);
    loop_touch(&c->loop);
    flow_begin(&p->flow, SOURCE_CHECK, id, c->loop.now_ns, c->loop.wall_ns);
    flow_phase(&p->flow, PHASE_RESOLVE, c->loop.now_ns); /* at once: all of a flow is in a phase */
    url_write_target(p->url, target);
    flow_set_text(&p->flow.target, target);
    flow_set_text(&p->flow.method, p->through_proxy && p->url->tls ? "CONNECT" : "GET");
    flow_set_text(&p->flow.url, p->url->text);
    if (p->through_proxy && c->options.proxy->user)
        flow_set_text(&p->flow.user, c->options.proxy->user);
    if (excepted)
        flow_evidence(&p->flow, "NO_PROXY names the target: it is reached without the proxy");
    probe_step_resolve(p);
    check_queue(p);
}

void probe_event(struct probe *p, unsigned which, uint32_t events)
{
    if (p->state == PROBE_DIAL && p->tries[which].fd >= 0)
        conn_note_events(&p->tries[which], events);
    else if (p->state > PROBE_DIAL && which == p->chosen)
        conn_note_events(&p->conn, events);
    else
        return;
    probe_drive(p);
}

void probe_give_up(struct probe *p)
{
    states[p->state].late(p);
    if (p->state != PROBE_ENDED)
        probe_drive(p);
}

void probe_timer(struct probe *p)
{
    uint64_t now = probe_now(p);
    bool late = now >= p->deadline_ns;

    if (p->state == PROBE_ENDED)
        return;
    if (p->state == PROBE_CLOSE)
        late |= now >= p->state_ns + PROBE_CLOSE_NS;
    else if (p->state == PROBE_DIAL)
        late |= now >= p->state_ns + DIAL_NS && p->dial.next == p->dial.len;
    else if (p->state > PROBE_DIAL)
        late |= look(p);
    if (p->state == PROBE_TRANSFER)
        probe_tell_bytes(p);
    if (p->state == PROBE_TLS || p->state == PROBE_HELLO)
        late |= !p->heard_ns &&
                now >= p->state_ns + (p->wish.proxy_tls ? PORT_NS : check_hello_patience(p->check));
    if (late)
        states[p->state].late(p);
    else
        probe_arm(p);
    if (p->state != PROBE_ENDED)
        probe_drive(p);
}
