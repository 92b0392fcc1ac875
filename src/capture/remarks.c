#include "capture/remarks.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/util.h"

#define SOON_NS NS_PER_S /* an RST that follows a packet at once */

static double seconds(uint64_t ns)
{
    return (double)ns / 1e9;
}

/* ---- evidence */

/* The segment that nobody acknowledged. */
static void note_stuck(const struct look *l, const struct conn *c, enum dir dir, const char *whose)
{
    const struct stream_stuck *s = &c->streams[dir].stuck;
    char first[LOOK_TEXT_MAX], last[LOOK_TEXT_MAX];

    if (!s->len || s->sends < 2)
        return;
    look_name_packet(l, s->first_number, s->first_ns, first);
    look_name_packet(l, s->last_number, s->last_ns, last);
    flow_evidence(l->f, "%s: %u bytes of the %s, never acknowledged, sent %u times, the last in %s",
                  first, s->len, whose, s->sends, last);
}

static void note_hole(const struct look *l, const struct conn *c, enum dir dir, const char *whose)
{
    const struct stream_rare *r = stream_get_rare(&c->streams[dir]);
    char where[LOOK_TEXT_MAX];

    if (!r->hole_ns)
        return;
    flow_evidence(l->f, "%s shows the hole in the bytes of the %s, %" PRIu32 " bytes behind it",
                  look_name_packet(l, r->hole_number, r->hole_ns, where), whose, r->hole_behind);
}

static void note_icmp(const struct look *l, const struct conn *c)
{
    const struct conn_icmp *i = c->icmp;
    char where[LOOK_TEXT_MAX], from[ENDPOINT_TEXT_MAX], mtu[32] = "";
    static const char *const names[] = {
        [0] = "network unreachable",  [1] = "host unreachable",
        [2] = "protocol unreachable", [3] = "port unreachable",
        [4] = "fragmentation needed", [9] = "network prohibited",
        [10] = "host prohibited",     [13] = "administratively prohibited"};
    static const char *const names_v6[] = {[0] = "no route",
                                           [1] = "administratively prohibited",
                                           [3] = "address unreachable",
                                           [4] = "port unreachable"};
    const char *name = NULL;

    if (!i || !i->number)
        return;
    if (i->is_v6)
        name = i->type == 2                                    ? "packet too big"
               : i->type == 1 && i->code < ARRAY_LEN(names_v6) ? names_v6[i->code]
                                                               : NULL;
    else if (i->type == 3 && i->code < ARRAY_LEN(names))
        name = names[i->code];
    if (i->mtu)
        snprintf(mtu, sizeof mtu, ", MTU %u", i->mtu);
    addr_write(&i->from, from);
    look_name_packet(l, i->number, 0, where);
    if (name)
        flow_evidence(l->f, "%s: ICMP%s %s%s, from %s", where, i->is_v6 ? "v6" : "", name, mtu,
                      from);
    else
        flow_evidence(l->f, "%s: ICMP%s type %u code %u%s, from %s", where, i->is_v6 ? "v6" : "",
                      i->type, i->code, mtu, from);
}

static void note_path(const struct look *l, const struct conn *c, enum side far)
{
    note_stuck(l, c, UP, c == l->c ? "client" : "proxy");
    note_stuck(l, c, DOWN, verdict_side_name(far));
    note_hole(l, c, UP, c == l->c ? "client" : "proxy");
    note_hole(l, c, DOWN, verdict_side_name(far));
}

static void note_close(const struct look *l)
{
    char where[LOOK_TEXT_MAX];
    unsigned timer = l->quiet_ns >= l->patience_ns ? look_find_timer(l->quiet_ns) : 0;

    if (!l->closed)
        return;
    look_name_packet(l, l->close_number, l->close_ns, where);
    if (timer)
        flow_evidence(l->f,
                      "%s: %s from the %s, after %.1f s of silence: looks like a timer of %u s",
                      where, l->by_rst ? "RST" : "FIN", verdict_side_name(look_side(l, l->closer)),
                      seconds(l->quiet_ns), timer);
    else
        flow_evidence(l->f, "%s: %s from the %s", where, l->by_rst ? "RST" : "FIN",
                      verdict_side_name(look_side(l, l->closer)));
}

static void note_last(const struct look *l, enum verdict v)
{
    char where[LOOK_TEXT_MAX];

    if (!look_get(l, MARK_LAST) || v == VERDICT_MTU_BLACKHOLE) /* it goes on, in vain */
        return;
    look_name_packet(l, l->x->packets[MARK_LAST], look_get(l, MARK_LAST), where);
    if (l->quiet_ns >= l->patience_ns)
        flow_evidence(l->f, "%s has the last bytes, then nothing for %.1f s", where,
                      seconds(l->quiet_ns));
    else if (l->c->is_text && !l->closed)
        flow_evidence(l->f, "%s has the last bytes: the text shows nothing behind them", where);
}

static void note_window(const struct look *l)
{
    char where[LOOK_TEXT_MAX];

    for (unsigned d = UP; d <= DOWN; d++) {
        const struct stream_rare *r = stream_get_rare(&l->c->streams[d]);

        if (r->closed_ns)
            flow_evidence(l->f, "%s closes the window of the %s",
                          look_name_packet(l, r->closed_number, r->closed_ns, where),
                          verdict_side_name(look_side(l, (enum dir)d)));
    }
}

/* The probe that would know the largest segment. */
static void note_check(const struct look *l)
{
    static const char *const said = "to find the largest segment that passes: viaduct check --mtu";
    const struct endpoint *e = &l->c->ends[DOWN];
    const char *scheme =
        l->x->asked == ASKED_ABSOLUTE || l->x->asked == ASKED_ORIGIN ? "http" : "https";
    const char *target = l->x->target;
    char host[LOOK_TEXT_MAX], named[LOOK_TEXT_MAX + 8];

    look_name_host(l, e, host);
    snprintf(named, sizeof named, e->addr.family == AF_INET6 ? "[%s]:%u" : "%s:%u", host, e->port);
    if (l->x->proxied)
        flow_evidence(l->f, "%s -x http://%s %s://%s/", said, named, scheme,
                      target ? target : "TARGET");
    else
        flow_evidence(l->f, "%s -x direct %s://%s/", said, scheme, target ? target : named);
}

/* Who sees a packet larger than the MSS in a text suspects it. */
static void note_offload(const struct look *l)
{
    const struct stream *const s = l->c->streams;
    unsigned mss = s[UP].giant ? s[DOWN].mss : s[UP].mss;

    if (l->c->is_text && (s[UP].giant || s[DOWN].giant) && mss)
        flow_evidence(l->f,
                      "packets with more bytes than the MSS (%u) are offload on the machine that "
                      "captured, and no fault",
                      mss);
}

/* A request that is sent again and again is often taken for too large. */
static void note_size(const struct look *l, enum verdict v)
{
    const struct stream_stuck *s = &l->c->streams[UP].stuck;

    if (v != VERDICT_PROXY_SILENT || s->sends < 2)
        return;
    if (s->len < JUDGE_FULL_BYTES)
        flow_evidence(l->f, "%u bytes fit through everywhere: it is no question of size", s->len);
    else
        flow_evidence(l->f,
                      "nothing smaller was taken either, so nothing shows that it is a question "
                      "of size");
}

/* An RST right behind a large packet is often taken for a question of its size. */
static void note_large(const struct look *l)
{
    const struct stream *up = &l->c->streams[UP];
    uint64_t after = l->close_ns > up->last_data_ns ? l->close_ns - up->last_data_ns : 0;

    if (!l->closed || !l->by_rst || l->closer != DOWN || up->largest < JUDGE_FULL_BYTES ||
        !up->last_data_ns || after > SOON_NS || l->x->sides[UP].since_other < JUDGE_FULL_BYTES)
        return;
    flow_evidence(l->f,
                  "the RST came %.1f ms after a large packet: that says nothing about an MTU, as a "
                  "packet that is too large is lost without a word",
                  (double)after / 1e6);
    note_check(l);
}

/* How long the proxy took to say no: a timer of its own names what it waited for. */
static void note_answer(const struct look *l)
{
    uint64_t asked_ns = look_get(l, MARK_REQUEST_END), at_ns = look_get(l, MARK_ANSWER);
    char where[LOOK_TEXT_MAX];
    unsigned timer;

    if (!at_ns || !asked_ns || at_ns < asked_ns || (l->c->is_text && at_ns == asked_ns))
        return; /* a head that stands in a text has no time */
    look_name_packet(l, l->x->packets[MARK_ANSWER], at_ns, where);
    timer = look_find_timer(at_ns - asked_ns);
    if (timer)
        flow_evidence(l->f, "%s: the answer, %.1f s after the request: looks like a timer of %u s",
                      where, seconds(at_ns - asked_ns), timer);
    else
        flow_evidence(l->f, "%s: the answer, %.3f s after the request", where,
                      seconds(at_ns - asked_ns));
}

/* Whether more could be told where the other leg can be seen. */
static bool is_for_the_other_leg(const struct look *l, const struct ending *e)
{
    return l->x->proxied && !l->up &&
           ((e->verdict == VERDICT_STALLED && e->by == SIDE_PROXY) ||
            (e->verdict == VERDICT_RESET_BY_PROXY && e->certainty == CERTAINTY_INFERRED) ||
            (e->verdict == VERDICT_INCOMPLETE && e->by == SIDE_PROXY));
}

static void note_other_leg(const struct look *l)
{
    bool is_known = l->x->target && l->x->asked != ASKED_TLS; /* and not the proxy itself */
    const char *port = is_known ? strrchr(l->x->target, ':') : NULL;

    flow_evidence(
        l->f,
        "whether it was the target shows the proxy's own leg, on the proxy's host: "
        "tcpdump -i any -s 0 -w capture.pcap 'tcp port %u or tcp port %s or icmp or icmp6'",
        l->c->ends[DOWN].port, port ? port + 1 : "443");
}

void remarks_write_evidence(const struct look *l, const struct ending *e)
{
    if (verdict_is_success(e->verdict))
        return;
    if (l->judged && l->judged->verdict != VERDICT_OK) {
        note_answer(l);
        return;
    }
    note_icmp(l, l->c);
    if (l->up)
        note_icmp(l, l->up);
    if (e->verdict == VERDICT_MTU_BLACKHOLE || e->verdict == VERDICT_STALLED ||
        e->verdict == VERDICT_PROXY_SILENT) {
        note_path(l, l->c, l->far);
        if (l->up)
            note_path(l, l->up, l->beyond);
    }
    if (e->verdict == VERDICT_STALLED)
        note_window(l);
    note_size(l, e->verdict);
    note_offload(l);
    note_last(l, e->verdict);
    note_close(l);
    note_large(l);
    if (is_for_the_other_leg(l, e))
        note_other_leg(l);
}

/* ---- a few words */

static void set_reason(const struct look *l, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static void set_reason(const struct look *l, const char *fmt, ...)
{
    char text[160];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    flow_set_text(&l->f->reason, text);
}

static void reason_of_hole(const struct look *l)
{
    const struct conn *const legs[] = {l->c, l->up};

    for (size_t i = 0; i < ARRAY_LEN(legs); i++) {
        for (unsigned d = UP; legs[i] && d <= DOWN; d++) {
            const struct stream *s = &legs[i]->streams[d];

            if (s->stuck.len >= JUDGE_FULL_BYTES && s->stuck.sends > 1) {
                set_reason(l, "%u segments of %u bytes unacknowledged, %u bytes were",
                           s->stuck.sends, s->stuck.len, s->has_acks ? s->acked - s->first : 0);
                return;
            }
        }
    }
    set_reason(l, "a hole that nothing filled, and small segments behind it");
}

void remarks_write_reason(const struct look *l, const struct ending *e)
{
    const struct exchange *x = l->x;

    if (l->f->reason || verdict_is_success(e->verdict))
        return;
    if (e->verdict == VERDICT_MTU_BLACKHOLE)
        reason_of_hole(l);
    else if (e->verdict == VERDICT_STALLED && l->quiet_ns >= l->patience_ns)
        set_reason(l, "nothing came for %.1f s", seconds(l->quiet_ns));
    else if (e->verdict == VERDICT_INCOMPLETE && l->rare->promised)
        set_reason(l, "%" PRIu64 " of %" PRIu64 " bytes came", l->rare->received,
                   l->rare->promised);
    else if (e->verdict == VERDICT_RESET_BY_CLIENT || e->verdict == VERDICT_RESET_BY_PROXY ||
             e->verdict == VERDICT_RESET_BY_TARGET)
        set_reason(l, "RST after %" PRIu64 " bytes up and %" PRIu64 " down", x->sides[UP].bytes,
                   x->sides[DOWN].bytes);
}
