/* proxy/step_tunnel.c: a tunnel, from the 200 to its last byte.
 *
 * Its first bytes are copied and watched until it is known whether they are TLS and, if so, until
 * both hellos are through; then direction by direction the pump decides between copy and splice.
 * What ends a tunnel from outside goes to the judge as symptoms. */
#include "proxy/session.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "net/sock.h"
#include "proxy/watch.h"
#include "proxy/worker.h"

static struct conn *target_of(struct session *s)
{
    return &s->link->conn;
}

/* ---- the beginning */

static uint64_t idle_deadline(const struct session *s)
{
    return s->limits.idle_ns ? s->active_ns + s->limits.idle_ns : UINT64_MAX;
}

/* The idle time, or the lifetime where that ends sooner. */
static void set_tunnel_deadline(struct session *s)
{
    uint64_t idle = idle_deadline(s);
    uint64_t life = s->limits.lifetime_ns ? s->flow.begin_ns + s->limits.lifetime_ns : UINT64_MAX;

    if (s->state == STATE_HELLO && s->sni == SNI_MATCH && s->step_ns < idle)
        idle = s->step_ns;
    session_set_deadline(s, idle < life ? idle : life);
}

enum step session_tunnel(struct session *s)
{
    s->active_ns = session_now(s);
    s->step_ns = s->active_ns + s->worker->config->limits.header_ns;
    session_enter(s, STATE_HELLO);
    set_tunnel_deadline(s);
    return STEP_AGAIN;
}

/* Bytes of the target that came behind the parent's 200; it spoke first. */
static bool send_behind(struct session *s, struct span behind)
{
    if (behind.len == 0)
        return true;
    s->watch = watch_new();
    if (s->watch)
        watch_see_down(s->watch, behind, &s->flow);
    s->flow.bytes_down += behind.len;
    return conn_send(&s->client, behind.ptr, behind.len) == 0;
}

enum step step_tunnel_start(struct session *s, struct span behind)
{
    char *out = s->worker->out;
    const char *info = session_login_info(s);
    int n = snprintf(out, PUMP_BUFFER, "HTTP/1.1 200 Connection established\r\n%s\r\n",
                     info ? info : "");

    session_login_end(s);
    s->flow.status = 200;
    s->flow.status_sent = true;
    if (conn_send(&s->client, out, (size_t)n) < 0 || !send_behind(s, behind)) {
        s->client.ready |= CONN_ERR;
        return session_end_left(s);
    }
    return session_tunnel(s);
}

/* ---- the end */

/* Which side an error of a socket means. */
static enum stream_end end_of_errno(int err)
{
    return err == ETIMEDOUT || err == EHOSTUNREACH || err == ENETUNREACH ? STREAM_END_LOST
                                                                         : STREAM_END_RST;
}

static void gather(struct session *s, struct symptoms *y)
{
    struct heal_info info;

    heal_gather(s, y, &info);
    y->fin_client = s->client.eof;
    y->fin_target = target_of(s)->eof;
    y->bytes_up = s->flow.bytes_up;
    y->bytes_down = s->flow.bytes_down;
    y->last_was_up = s->asked > 0;
    y->asked = s->asked;
    y->held_client = s->client.rest.len + (s->client.pipe ? s->client.pipe->held : 0);
    y->held_target = target_of(s)->rest.len + (target_of(s)->pipe ? target_of(s)->pipe->held : 0);
    y->idle_ns = session_now(s) - s->active_ns;
    if (y->end == STREAM_END_IDLE || y->end == STREAM_END_LOST) {
        y->unacked_client = info.client.unacked;
        y->held_client += info.client.unsent;
        y->unacked_target = info.target.unacked;
        y->held_target += info.target.unsent;
    }
    if (s->watch)
        watch_gather(s->watch, y);
}

/* Ends the tunnel by what was seen; RST and every cut are shown to both as RST. */
static enum step end_tunnel(struct session *s, enum stream_end end, enum side first)
{
    struct symptoms y = {.end = end, .first = first, .idle_timer = "idle-timeout"};
    struct ending e;

    gather(s, &y);
    e = judge_stream(&y, &s->flow);
    heal_take(s, &e);
    if (s->fin_ns && verdict_is_success(e.verdict)) /* a failure ends in the phase it fell in */
        flow_phase(&s->flow, PHASE_CLOSE, s->fin_ns);
    return session_end_stream(
        s, e, end == STREAM_END_RST || end == STREAM_END_LOST || !verdict_is_success(e.verdict));
}

enum step step_tunnel_timeout(struct session *s)
{
    uint64_t now = session_now(s);

    if (s->limits.lifetime_ns && now >= s->flow.begin_ns + s->limits.lifetime_ns) {
        flow_set_text(&s->flow.reason, "lifetime");
        flow_evidence(&s->flow, "open for %.1f s (lifetime)",
                      (double)(now - s->flow.begin_ns) / 1e9);
        return session_end_stream(
            s, (struct ending){VERDICT_LIFETIME_LIMIT, SIDE_PROXY, CERTAINTY_SEEN}, true);
    }
    if (s->state == STATE_HELLO && s->sni == SNI_MATCH && now >= s->step_ns) {
        flow_evidence(&s->flow, "%u bytes and no whole ClientHello", s->in.len);
        return session_end(s, VERDICT_SNI_MISMATCH, SIDE_PROXY, "no ClientHello in time");
    }
    if (now >= idle_deadline(s))
        return session_is_delivering(s) ? STEP_WAIT : end_tunnel(s, STREAM_END_IDLE, SIDE_PROXY);
    set_tunnel_deadline(s);
    return STEP_AGAIN;
}

/* ---- looking at the first bytes */

static bool see_up(void *arg, const char *bytes, size_t n)
{
    struct session *s = arg;

    watch_see_up(s->watch, (struct span){bytes, n}, &s->flow);
    return true;
}

static bool see_down(void *arg, const char *bytes, size_t n)
{
    struct session *s = arg;

    watch_see_down(s->watch, (struct span){bytes, n}, &s->flow);
    return true;
}

/* Compares the name in the ClientHello with the one CONNECT asked for. */
static bool sni_agrees(struct session *s)
{
    const char *sni = s->flow.tls ? s->flow.tls->sni : NULL;
    struct access_query q;
    struct span name = span_of(sni);

    session_query(s, &q);
    if (name.len > 0 && name.ptr[name.len - 1] == '.')
        name.len--;
    if (name.len == 0 ? q.addr.family != 0 : span_equal_nocase(name, q.host))
        return true;
    flow_evidence(&s->flow, "ClientHello asks for \"%s\", CONNECT asked for \"%.*s\"",
                  sni ? sni : "", (int)q.host.len, q.host.ptr);
    return false;
}

/* `sni match`: holds the client's bytes until its ClientHello is whole.  STEP_AGAIN: it agrees. */
static enum step hold_hello(struct session *s)
{
    struct tls_hello hello;
    enum parse parsed;
    ssize_t n;
    char *room;

    for (;;) {
        parsed = tlsrec_parse_client_hello(buf_span(&s->in), &hello);
        if (parsed != PARSE_MORE)
            break;
        if (s->client.eof)
            return end_tunnel(s, STREAM_END_FIN, SIDE_CLIENT);
        if (!(s->client.ready & CONN_IN))
            return STEP_WAIT;
        room = s->in.len < TLSREC_HELLO_MAX ? buf_reserve(&s->in, TLSREC_HELLO_MAX) : NULL;
        if (!room) {
            parsed = PARSE_BAD;
            break;
        }
        n = conn_read(&s->client, room, TLSREC_HELLO_MAX);
        if (n == -EAGAIN)
            return STEP_WAIT;
        if (n < 0)
            return end_tunnel(s, end_of_errno((int)-n), SIDE_CLIENT);
        buf_commit(&s->in, (size_t)n);
        s->active_ns = session_now(s);
    }
    if (parsed == PARSE_BAD) {
        flow_evidence(&s->flow, "the tunnel does not begin with a ClientHello");
        return session_end(s, VERDICT_SNI_MISMATCH, SIDE_PROXY, "not TLS");
    }
    watch_take_client_hello(&s->flow, &hello);
    if (!sni_agrees(s))
        return session_end(s, VERDICT_SNI_MISMATCH, SIDE_PROXY, "SNI is not the CONNECT name");
    s->sni = SNI_OFF; /* done: from here on a tunnel like any other */
    set_tunnel_deadline(s);
    return STEP_AGAIN;
}

/* ---- moving */

static void note_moved(struct session *s, bool up, uint64_t n)
{
    *(up ? &s->flow.bytes_up : &s->flow.bytes_down) += n;
    s->active_ns = session_now(s);
    if (!up)
        s->asked = 0;
    else
        s->asked = n > UINT32_MAX - s->asked ? UINT32_MAX : s->asked + (uint32_t)n;
}

/* Client bytes that were read with or behind the request go first. */
static int send_early(struct session *s)
{
    struct span early = buf_span(&s->in);
    int err;

    if (early.len == 0)
        return 0;
    if (s->watch)
        watch_see_up(s->watch, early, &s->flow);
    err = conn_send(target_of(s), early.ptr, early.len);
    note_moved(s, true, early.len);
    buf_fini(&s->in);
    return err;
}

/* Whether the early bytes alone are more than may pass. */
static bool is_early_over(const struct session *s)
{
    return s->limits.max_upload && s->flow.bytes_up + s->in.len > s->limits.max_upload;
}

/* All that may pass has passed: is there a byte more? */
static enum pump_result find_more(struct session *s, struct conn *from)
{
    char one;
    ssize_t n = from->ready & CONN_IN ? conn_read(from, &one, 1) : -EAGAIN;

    if (n > 0)
        return PUMP_LIMIT;
    if (n == 0)
        return PUMP_EOF;
    if (n == -EAGAIN)
        return PUMP_WAIT;
    s->broken_err = (uint8_t)-n;
    return PUMP_SOURCE_ERROR;
}

static enum pump_result move(struct session *s, bool up)
{
    struct conn *from = up ? &s->client : target_of(s), *to = up ? target_of(s) : &s->client;
    bool *splice = up ? &s->splice_up : &s->splice_down;
    struct pump_way way = {.splice = *splice, .no_splice = s->state == STATE_HELLO};
    uint64_t limit = session_allowance(s, up);
    enum pump_result r;

    if (limit == 0 && !conn_has_rest(to)) /* else what was let through goes out first */
        return session_is_full(s, up) ? find_more(s, from) : PUMP_WAIT;
    r = pump_move(&s->worker->pump, &way, from, to, limit,
                  s->watch ? (up ? see_up : see_down) : NULL, s);
    *splice = way.splice;
    if (way.moved > 0) {
        note_moved(s, up, way.moved);
        if (s->watch && way.unseen)
            *(up ? &s->watch->up.lost : &s->watch->down.lost) = 1;
    }
    if (r == PUMP_SOURCE_ERROR || r == PUMP_TAKER_ERROR)
        s->broken_err = (uint8_t)way.err;
    return r == PUMP_LIMIT ? PUMP_AGAIN : r;
}

/* An error of one side.  What the other end of a broken socket still sent was read before: the
 * kernel hands it out first. */
static enum step end_broken(struct session *s, bool client)
{
    int err = s->broken_err;
    enum side side = client ? SIDE_CLIENT : session_far(s);

    if (err == ENOBUFS)
        return session_end(s, VERDICT_OVERLOADED, SIDE_PROXY, "out of memory");
    flow_evidence(&s->flow, "%s: %s", verdict_side_name(side), verdict_errno_text(err));
    return end_tunnel(s, end_of_errno(err), side);
}

/* One side's stream is over and delivered: hand the FIN on.  True when both are. */
static bool half_closed(struct session *s, struct conn *from, struct conn *to)
{
    if (!from->eof || conn_has_rest(to))
        return false;
    if (!s->fin_ns) {
        s->fin_ns = session_now(s);
        s->fin_first = (uint8_t)(from == &s->client ? SIDE_CLIENT : session_far(s));
    }
    if (to->eof && !conn_has_rest(from))
        return true;
    conn_shutdown(to);
    return false;
}

/* The client left and the target has not: that lasts until the idle time is over, unless a black
 * hole keeps the target's reply.  Looked into when the FIN comes and once a hole must show, and
 * only where hardly anything came or much is unanswered. */
static bool is_cut_off(struct session *s, struct ending *e)
{
    uint64_t now = session_now(s), shows_ns = s->fin_ns + JUDGE_HOLE_NS;

    if (!s->client.eof || target_of(s)->eof ||
        (s->flow.bytes_down >= JUDGE_FULL_BYTES && s->asked < JUDGE_FULL_BYTES))
        return false;
    if (now < shows_ns)
        session_set_wake(s, shows_ns);
    return (now == s->fin_ns || now >= s->active_ns + JUDGE_HOLE_NS) && heal_explains(s, e);
}

/* Whether `from` broke while nobody reads it, because `to` does not take what came before: RST goes
 * on at once, ahead of bytes that wait. */
static bool broke_unread(struct session *s, struct conn *from, struct conn *to)
{
    int err;

    if (!(from->ready & CONN_ERR) || !conn_has_rest(to))
        return false;
    err = sock_get_error(from->fd); /* 0: both sides sent FIN, no error */
    s->broken_err = (uint8_t)err;
    return err != 0;
}

/* Moves both ways.  STEP_AGAIN: more to do at once; STEP_DONE: it ended. */
static enum step move_both(struct session *s)
{
    enum pump_result up, down;
    struct ending e;
    bool over;

    up = move(s, true);
    if (up == PUMP_LIMIT)
        return session_end_full(s, true);
    down = move(s, false);
    if (down == PUMP_LIMIT)
        return session_end_full(s, false);
    if (down == PUMP_SOURCE_ERROR)
        return end_broken(s, false);
    if (up == PUMP_SOURCE_ERROR)
        return end_broken(s, true);
    if (down == PUMP_TAKER_ERROR)
        return end_broken(s, true);
    if (up == PUMP_TAKER_ERROR)
        return end_broken(s, false);
    over = half_closed(s, target_of(s), &s->client);
    over = half_closed(s, &s->client, target_of(s)) || over;
    if (over)
        return end_tunnel(s, STREAM_END_FIN, (enum side)s->fin_first);
    if (s->fin_ns && is_cut_off(s, &e))
        return session_end_stream(s, e, true);
    if (broke_unread(s, &s->client, target_of(s)))
        return end_broken(s, true);
    if (broke_unread(s, target_of(s), &s->client))
        return end_broken(s, false);
    return up == PUMP_AGAIN || down == PUMP_AGAIN ? STEP_YIELD : STEP_WAIT;
}

enum step step_hello(struct session *s)
{
    enum step next;

    if (s->sni == SNI_MATCH) {
        next = hold_hello(s);
        if (next != STEP_AGAIN)
            return next;
    }
    if (!s->watch) {
        if (s->in.len == 0 && !((s->client.ready | target_of(s)->ready) & CONN_IN))
            return STEP_WAIT; /* an idle tunnel owns nothing */
        s->watch = watch_new();
        if (!s->watch)
            return session_end(s, VERDICT_OVERLOADED, SIDE_PROXY, "out of memory");
    }
    if (is_early_over(s))
        return session_end_full(s, true);
    if (send_early(s) < 0) {
        s->broken_err = ECONNRESET;
        return end_broken(s, false);
    }
    next = move_both(s);
    if (next == STEP_DONE)
        return next;
    if (s->watch->is_tls && !s->watch->through)
        return next;
    if (s->watch->is_tls && s->sni == SNI_REPORT && !sni_agrees(s))
        flow_note(&s->flow, NOTE_REPORTED, 0, "sni-mismatch");
    if (!s->watch->is_tls && s->flow.bytes_up == 0 && s->flow.bytes_down == 0)
        return next; /* nothing was said yet */
    if (!s->watch->is_tls) {
        watch_free(s->watch);
        s->watch = NULL;
        flow_skip(&s->flow, PHASE_TLS, OUTCOME_SKIPPED);
    }
    flow_skip(&s->flow, PHASE_EXCHANGE, s->watch ? OUTCOME_UNKNOWN : OUTCOME_SKIPPED);
    session_enter(s, STATE_TUNNEL);
    set_tunnel_deadline(s);
    return next;
}

enum step step_tunnel(struct session *s)
{
    return move_both(s);
}

enum step session_tunnel_opaque(struct session *s)
{
    s->active_ns = session_now(s);
    session_enter(s, STATE_TUNNEL);
    set_tunnel_deadline(s);
    if (is_early_over(s))
        return session_end_full(s, true);
    if (send_early(s) < 0) {
        s->broken_err = ECONNRESET;
        return end_broken(s, false);
    }
    return STEP_AGAIN;
}
