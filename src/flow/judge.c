/* The judge tries its rules from the top; the first that holds decides.  The order carries meaning:
 * words (an alert) before signs, a receiver that does not take its bytes before the sender who then
 * cannot go on, what is left unfinished before silence.  Nothing owed is the last rule: ok. */
#include "flow/judge.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/util.h"

/* A TLS 1.3 record with HTTP/2's SETTINGS ack, WINDOW_UPDATE or PING is at most this long; one with
 * the shortest request of HTTP/1 has a byte more. */
#define CONTROL_BYTES 39

/* A close_notify on its own: what may still be under way after a stream that TLS has closed. */
#define FAREWELL_BYTES 64

#define REPEATS 3       /* of the same segment, backing off */
#define HEADER_BYTES 40 /* of IP and TCP at least: what an MTU has beside a segment */

struct scene {
    const struct symptoms *s;
    struct flow *f;
    enum side far;  /* who is at the other end of the upstream connection, as far as one sees */
    enum side peer; /* who the client speaks TLS with: the target, or a parent on its behalf */
};

typedef bool (*rule_fn)(const struct scene *, struct ending *);

static bool conclude(struct ending *e, enum verdict v, enum side by, enum certainty c)
{
    *e = (struct ending){v, by, c, SIDE_NOBODY};
    return true;
}

/* It was silence that ended it, or at least began to. */
static bool is_silence(const struct symptoms *s)
{
    return s->end == STREAM_END_IDLE || s->end == STREAM_END_QUIET;
}

/* An end from outside that came too early; a stop without end when nobody closed. */
static enum verdict cut_or_stall(const struct symptoms *s)
{
    return s->end == STREAM_END_FIN ? VERDICT_INCOMPLETE : VERDICT_STALLED;
}

/* How long it was quiet, and which timer made an end of it. */
static void note_silence(const struct scene *sc)
{
    uint64_t tenths = sc->s->idle_ns / (100 * NS_PER_MS);

    if (is_silence(sc->s) && sc->s->idle_ns > 0)
        flow_evidence(sc->f, "quiet for %" PRIu64 ".%" PRIu64 " s%s%s", tenths / 10, tenths % 10,
                      sc->s->idle_timer ? ", then closed by " : "",
                      sc->s->idle_timer ? sc->s->idle_timer : "");
}

/* The bytes that one side has neither taken nor acknowledged and should have.  After TLS has closed
 * that direction only its farewell may still be under way, and nobody waits for that. */
static uint64_t owed_to_client(const struct symptoms *s)
{
    uint64_t n = s->held_client + s->unacked_client;

    return s->frame_down == STREAM_FRAME_CLOSED && n <= FAREWELL_BYTES ? 0 : n;
}

static uint64_t owed_to_far(const struct symptoms *s)
{
    uint64_t n = s->held_target + s->unacked_target;

    return s->frame_up == STREAM_FRAME_CLOSED && n <= FAREWELL_BYTES ? 0 : n;
}

static bool is_inside_record(const struct symptoms *s)
{
    return s->frame_up == STREAM_FRAME_INSIDE || s->frame_down == STREAM_FRAME_INSIDE;
}

static bool lacks_server_hello(const struct symptoms *s)
{
    return s->is_tls && s->hello_client && !s->hello_target;
}

static bool lacks_reply(const struct symptoms *s)
{
    bool is_control = s->is_tls && s->hello_target && s->asked > 0 && s->asked <= CONTROL_BYTES;

    return s->last_was_up && s->bytes_up > 0 && !is_control;
}

/* Both sides got what they were promised, as far as `leaving` is concerned. */
static bool is_settled(const struct symptoms *s, enum side leaving)
{
    bool by_client = leaving == SIDE_CLIENT;

    return !s->body_unfinished && !is_inside_record(s) && !lacks_server_hello(s) &&
           (by_client ? owed_to_client(s) : owed_to_far(s)) == 0 && (by_client || !lacks_reply(s));
}

/* Whether full-size segments to the other end vanish while smaller ones arrive: those before, those
 * behind, or at least those of the handshake, and the other end still speaks.  None of that size
 * may have passed: known by its size, or else by the sum. */
static bool is_hole_out(const struct path_signs *p)
{
    bool none_passed = p->sized ? p->largest_acked < p->mss : p->acked < JUDGE_FULL_BYTES;

    return p->mss >= JUDGE_FULL_BYTES && p->unacked >= p->mss && p->repeats >= REPEATS &&
           none_passed && (p->sacked > 0 || p->acked > 1 || p->answers);
}

/* A router said so, and the sender did not come round to smaller segments. */
static bool is_told(const struct path_signs *p)
{
    return p->told && p->unacked > 0 && p->mss > p->largest_acked &&
           p->mss + HEADER_BYTES > p->told_mtu && (p->repeats > 0 || p->quiet_ns >= JUDGE_HOLE_NS);
}

/* Whether full-size segments from there vanish: a smaller one came, and what stands before it never
 * did.  `owed`: the other end is known to have more to say than what came. */
static bool is_hole_in(const struct path_signs *p, bool owed)
{
    if (p->out_of_order == 0 || p->quiet_ns < JUDGE_HOLE_NS)
        return false;
    if (p->sized)
        return p->hole >= JUDGE_FULL_BYTES && p->largest_received < JUDGE_FULL_BYTES;
    return p->received == 0 || (owed && p->received < JUDGE_FULL_BYTES);
}

static void note_hole_in(const struct scene *sc, const struct path_signs *p, enum side side)
{
    uint64_t tenths = p->quiet_ns / (100 * NS_PER_MS);

    if (p->sized)
        flow_evidence(sc->f,
                      "%" PRIu32 " bytes from the %s arrived behind a hole of %" PRIu32
                      " that nothing filled for %" PRIu64 ".%" PRIu64
                      " s; the largest segment that came has %" PRIu32,
                      p->behind, verdict_side_name(side), p->hole, tenths / 10, tenths % 10,
                      p->largest_received);
    else
        flow_evidence(sc->f,
                      "%" PRIu32 " segments from the %s came behind a hole that nothing filled for "
                      "%" PRIu64 ".%" PRIu64 " s, %" PRIu64 " bytes before it",
                      p->out_of_order, verdict_side_name(side), tenths / 10, tenths % 10,
                      p->received);
}

static void note_told(const struct scene *sc, const struct path_signs *p, enum side side)
{
    if (p->told_mtu)
        flow_evidence(sc->f,
                      "ICMP said that packets for the %s must not be larger than %" PRIu32
                      " bytes, and a segment of %" PRIu32 " went on being sent",
                      verdict_side_name(side), p->told_mtu, p->mss);
    else
        flow_evidence(sc->f,
                      "ICMP said that packets for the %s are too large, and a segment of %" PRIu32
                      " went on being sent",
                      verdict_side_name(side), p->mss);
}

static bool judge_leg(const struct scene *sc, const struct path_signs *p, enum side side, bool owed,
                      struct ending *e)
{
    enum certainty certainty = CERTAINTY_INFERRED;

    if (is_told(p)) {
        note_told(sc, p, side);
        certainty = CERTAINTY_SEEN;
    } else if (is_hole_out(p)) {
        flow_evidence(sc->f,
                      "%" PRIu64 " bytes for the %s unacknowledged, the first %" PRIu32
                      " of them sent %" PRIu32 " times; smaller segments arrived",
                      p->unacked, verdict_side_name(side), p->mss, p->repeats + 1);
    } else if (is_hole_in(p, owed)) {
        note_hole_in(sc, p, side);
    } else {
        return false;
    }
    conclude(e, VERDICT_MTU_BLACKHOLE, SIDE_NETWORK, certainty);
    e->leg = side;
    return true;
}

/* --- the rules ------------------------------------------------------------------------------- */

static bool judge_alert(const struct scene *sc, struct ending *e)
{
    const struct symptoms *s = sc->s;
    bool up = s->frame_up == STREAM_FRAME_ALERT, down = s->frame_down == STREAM_FRAME_ALERT;
    enum side by = up && !(down && s->first != SIDE_CLIENT) ? SIDE_CLIENT : sc->peer;

    if (!up && !down)
        return false;
    if (s->alert_is_plain && s->alert_name && *s->alert_name)
        flow_evidence(sc->f, "TLS alert %u (%s) from the %s", s->alert, s->alert_name,
                      verdict_side_name(by));
    else if (s->alert_is_plain)
        flow_evidence(sc->f, "TLS alert %u from the %s", s->alert, verdict_side_name(by));
    else
        flow_evidence(sc->f, "the last record from the %s has the size of a TLS alert",
                      verdict_side_name(by));
    return conclude(e, VERDICT_TLS_FAILED, by,
                    s->alert_is_plain ? CERTAINTY_SEEN : CERTAINTY_INFERRED);
}

static bool judge_capture(const struct scene *sc, struct ending *e)
{
    if (sc->s->end != STREAM_END_CAPTURE)
        return false;
    flow_evidence(sc->f, "no FIN and no RST was seen");
    return conclude(e, VERDICT_OPEN, SIDE_NOBODY, CERTAINTY_SEEN);
}

static bool judge_hole(const struct scene *sc, struct ending *e)
{
    const struct symptoms *s = sc->s;
    bool owed_down =
        s->body_unfinished || s->frame_down == STREAM_FRAME_INSIDE || lacks_server_hello(s);
    bool owed_up = s->bytes_up == 0 || s->frame_up == STREAM_FRAME_INSIDE;

    return judge_leg(sc, &s->path_target, sc->far, owed_down, e) ||
           judge_leg(sc, &s->path_client, SIDE_CLIENT, owed_up, e);
}

static bool judge_lost(const struct scene *sc, struct ending *e)
{
    const struct symptoms *s = sc->s;

    if (s->end != STREAM_END_LOST)
        return false;
    flow_evidence(sc->f, "the %s stopped acknowledging: %" PRIu64 " bytes sent again in vain",
                  verdict_side_name(s->first),
                  s->first == SIDE_CLIENT ? s->unacked_client : s->unacked_target);
    return conclude(e, VERDICT_STALLED, SIDE_NETWORK, CERTAINTY_SEEN);
}

/* No answer to the ClientHello is a stall however it ends; an answer that is none is a failure. */
static bool judge_hello(const struct scene *sc, struct ending *e)
{
    const struct symptoms *s = sc->s;

    if (!lacks_server_hello(s))
        return false;
    if (s->bytes_down > 0) {
        flow_evidence(sc->f, "%" PRIu64 " bytes answered the ClientHello, and no ServerHello",
                      s->bytes_down);
        return conclude(e, VERDICT_TLS_FAILED, sc->far, CERTAINTY_SEEN);
    }
    flow_evidence(sc->f, "ClientHello of %" PRIu64 " bytes sent, no byte came back", s->bytes_up);
    if (s->end == STREAM_END_FIN)
        flow_evidence(sc->f, "FIN from the %s", verdict_side_name(s->first));
    note_silence(sc);
    return conclude(e, VERDICT_STALLED, sc->far, CERTAINTY_SEEN);
}

/* A client that hangs up on an answer without TLS, which it did not read to its end: what failed is
 * the answer. */
static bool judge_plain(const struct scene *sc, struct ending *e)
{
    const struct symptoms *s = sc->s;

    return s->end == STREAM_END_RST && s->first == SIDE_CLIENT && s->bytes_down > 0 &&
           s->frame_down == STREAM_FRAME_UNKNOWN && judge_hello(sc, e);
}

/* RST in place of the last FIN is how many programs close; without a farewell it is a reset. */
static bool judge_reset(const struct scene *sc, struct ending *e)
{
    const struct symptoms *s = sc->s;
    bool farewell = s->fin_client || s->fin_target || s->frame_up == STREAM_FRAME_CLOSED ||
                    s->frame_down == STREAM_FRAME_CLOSED;
    enum verdict v;

    if (s->end != STREAM_END_RST)
        return false;
    if (farewell && is_settled(s, s->first)) {
        flow_evidence(sc->f, "RST from the %s after the close, nothing was owed",
                      verdict_side_name(s->first));
        return conclude(e, VERDICT_OK, s->first, CERTAINTY_SEEN);
    }
    flow_evidence(sc->f,
                  "RST from the %s after %" PRIu64 " bytes up and %" PRIu64 " down, %" PRIu64
                  " of them not delivered to it",
                  verdict_side_name(s->first), s->bytes_up, s->bytes_down,
                  s->first == SIDE_CLIENT ? s->held_client + s->unacked_client
                                          : s->held_target + s->unacked_target);
    v = s->first == SIDE_CLIENT  ? VERDICT_RESET_BY_CLIENT
        : s->first == SIDE_PROXY ? VERDICT_RESET_BY_PROXY
                                 : VERDICT_RESET_BY_TARGET;
    return conclude(e, v, s->first, CERTAINTY_SEEN);
}

/* A receiver that says itself that it has no room, until the end: whatever end that is. */
static bool judge_window(const struct scene *sc, struct ending *e)
{
    const struct symptoms *s = sc->s;
    enum side by = s->closed_client_ns ? SIDE_CLIENT : sc->far;
    uint64_t tenths =
        (s->closed_client_ns ? s->closed_client_ns : s->closed_target_ns) / (100 * NS_PER_MS);

    if (!s->closed_client_ns && !s->closed_target_ns)
        return false;
    flow_evidence(sc->f,
                  "the %s's receive window is closed for %" PRIu64 ".%" PRIu64
                  " s, until the end: it takes no bytes",
                  verdict_side_name(by), tenths / 10, tenths % 10);
    return conclude(e, VERDICT_STALLED, by, CERTAINTY_SEEN);
}

/* A receiver that stopped: its bytes wait here, or (in a quiet stream) unacknowledged on the way.
 */
static bool judge_untaken(const struct scene *sc, struct ending *e)
{
    const struct symptoms *s = sc->s;
    bool idle = is_silence(s);
    bool client = owed_to_client(s) > 0 && (idle || s->held_client > 0);
    bool far = owed_to_far(s) > 0 && (idle || s->held_target > 0);
    enum side by = client ? SIDE_CLIENT : sc->far;

    if (!client && !far)
        return false;
    flow_evidence(sc->f,
                  "%" PRIu64 " bytes for the %s were not taken, %" PRIu64 " were not acknowledged",
                  client ? s->held_client : s->held_target, verdict_side_name(by),
                  client ? s->unacked_client : s->unacked_target);
    note_silence(sc);
    return conclude(e, cut_or_stall(s), by, CERTAINTY_SEEN);
}

static bool judge_body(const struct scene *sc, struct ending *e)
{
    const struct symptoms *s = sc->s;
    enum side sender = s->last_was_up ? SIDE_CLIENT : sc->far;

    if (!s->body_unfinished)
        return false;
    if (s->promised)
        flow_evidence(sc->f, "%" PRIu64 " of %" PRIu64 " bytes of the body came", s->received,
                      s->promised);
    else
        flow_evidence(sc->f, "the body's last chunk did not come, %" PRIu64 " bytes did",
                      s->received);
    note_silence(sc);
    return conclude(e, cut_or_stall(s), s->end == STREAM_END_FIN ? s->first : sender,
                    CERTAINTY_SEEN);
}

static bool judge_record(const struct scene *sc, struct ending *e)
{
    const struct symptoms *s = sc->s;
    enum side sender = s->frame_down == STREAM_FRAME_INSIDE ? sc->far : SIDE_CLIENT;

    if (!is_inside_record(s))
        return false;
    flow_evidence(
        sc->f, "the %s's bytes end inside a TLS record, after %" PRIu64 " up and %" PRIu64 " down",
        verdict_side_name(sender), s->bytes_up, s->bytes_down);
    note_silence(sc);
    return conclude(e, cut_or_stall(s), s->end == STREAM_END_FIN ? s->first : sender,
                    CERTAINTY_SEEN);
}

/* Only silence shows that no reply was going to come: a side that closes may have wanted none. */
static bool judge_reply(const struct scene *sc, struct ending *e)
{
    const struct symptoms *s = sc->s;

    if (!is_silence(s) || !lacks_reply(s))
        return false;
    flow_evidence(sc->f, "the last of %" PRIu64 " bytes up had no reply, %" PRIu64 " came down",
                  s->bytes_up, s->bytes_down);
    note_silence(sc);
    return conclude(e, VERDICT_STALLED, sc->far, CERTAINTY_INFERRED);
}

static bool judge_settled(const struct scene *sc, struct ending *e)
{
    const struct symptoms *s = sc->s;

    if (s->end == STREAM_END_IDLE) {
        flow_warn(sc->f, WARNING_IDLE_CLOSED, "%s after %" PRIu64 " s without a byte",
                  s->idle_timer ? s->idle_timer : "an unknown timer",
                  (uint64_t)(s->idle_ns / NS_PER_S));
        return conclude(e, VERDICT_OK, SIDE_PROXY, CERTAINTY_SEEN);
    }
    if (s->end == STREAM_END_QUIET)
        return conclude(e, VERDICT_OPEN, SIDE_NOBODY, CERTAINTY_SEEN);
    flow_evidence(sc->f, "FIN from the %s first, nothing was owed", verdict_side_name(s->first));
    return conclude(e, VERDICT_OK, s->first, CERTAINTY_SEEN);
}

static struct scene scene_of(const struct symptoms *s, struct flow *f)
{
    enum side next = s->first == SIDE_PARENT || f->parent ? SIDE_PARENT : SIDE_TARGET;

    return (struct scene){s, f, s->far ? s->far : next, s->peer ? s->peer : next};
}

bool judge_path(const struct symptoms *s, struct flow *f, struct ending *e)
{
    struct scene sc = scene_of(s, f);

    return judge_hole(&sc, e);
}

struct ending judge_stream(const struct symptoms *s, struct flow *f)
{
    static const rule_fn rules[] = {judge_alert,  judge_hole,   judge_window, judge_capture,
                                    judge_lost,   judge_plain,  judge_reset,  judge_untaken,
                                    judge_body,   judge_record, judge_hello,  judge_reply,
                                    judge_settled};
    struct scene sc = scene_of(s, f);
    struct ending e = {VERDICT_OK, s->first, CERTAINTY_SEEN, SIDE_NOBODY};

    for (size_t i = 0; i < ARRAY_LEN(rules); i++)
        if (rules[i](&sc, &e))
            break;
    return e;
}
