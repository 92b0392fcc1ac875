#include "capture/warnings.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/util.h"
#include "capture/inside.h"

#define SMALL_MSS 1200            /* below it a segment is unusually small */
#define SLOW_NS (5 * NS_PER_S)    /* an answer that begins later earns a warning */
#define INSPECTED_MIN (64 * 1024) /* bytes: a smaller body says nothing about inspection */
#define INSPECTED_TIMES 10        /* as long was the silence as the burst behind it */

static double seconds(uint64_t ns)
{
    return (double)ns / 1e9;
}

static void warn_retransmissions(const struct look *l)
{
    const struct conn *const legs[] = {l->c, l->up};
    uint32_t n[3] = {0};
    uint32_t number = 0;
    char where[LOOK_TEXT_MAX];

    for (size_t i = 0; i < ARRAY_LEN(legs); i++) {
        for (unsigned d = UP; legs[i] && d <= DOWN; d++) {
            const struct stream_rare *r = stream_get_rare(&legs[i]->streams[d]);

            n[i == 0 ? d : 2] += r->retransmissions;
            if (r->retransmissions && (!number || r->repeated_number < number))
                number = r->repeated_number;
        }
    }
    if (n[UP] + n[DOWN] + n[2] == 0)
        return;
    look_name_packet(l, number, 0, where);
    if (l->up)
        flow_warn(l->f, WARNING_RETRANSMISSIONS,
                  "%" PRIu32 " segments from the client, %" PRIu32 " to it, %" PRIu32
                  " on the proxy's own leg; first %s",
                  n[UP], n[DOWN], n[2], where);
    else
        flow_warn(l->f, WARNING_RETRANSMISSIONS,
                  "%" PRIu32 " segments from the client, %" PRIu32 " to it; first %s", n[UP],
                  n[DOWN], where);
}

static void warn_window(const struct look *l)
{
    for (unsigned d = UP; d <= DOWN; d++) {
        const struct stream_rare *r = stream_get_rare(&l->c->streams[d]);
        uint64_t total = r->closed_total_ns;
        char where[LOOK_TEXT_MAX];

        if (!r->closures)
            continue;
        if (r->closed_ns && l->until_ns > r->closed_ns)
            total += l->until_ns - r->closed_ns;
        flow_warn(l->f, WARNING_ZERO_WINDOW, "of the %s, %" PRIu32 " times, %.1f s in all; last %s",
                  verdict_side_name(look_side(l, (enum dir)d)), r->closures, seconds(total),
                  look_name_packet(l, r->closed_number, 0, where));
    }
}

static void warn_sizes(const struct look *l)
{
    for (unsigned d = UP; d <= DOWN; d++) {
        unsigned mss = l->c->streams[d].mss;

        if (mss && mss < SMALL_MSS)
            flow_warn(l->f, WARNING_SMALL_MSS, "%u bytes, says the %s", mss,
                      verdict_side_name(look_side(l, (enum dir)d)));
    }
    if (l->c->fragmented || (l->up && l->up->fragmented))
        flow_warn(l->f, WARNING_FRAGMENTED, "IP packets of this flow came in fragments");
}

/* From the request to the first byte of what the target says to it. */
static void warn_slow(const struct look *l)
{
    static const struct {
        enum mark from, to;
        const char *what, *behind;
    } rows[] = {{MARK_REQUEST_END, MARK_ANSWER, "the answer", "the request"},
                {MARK_HELLO_END, MARK_SERVER_HELLO, "the ServerHello", "the ClientHello"},
                {MARK_INNER, MARK_INNER_ANSWER, "the answer inside", "the request"}};

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        uint64_t from = look_get(l, rows[i].from), to = look_get(l, rows[i].to);
        char where[LOOK_TEXT_MAX];

        if (!from || to <= from + SLOW_NS || l->c->clock_jumped)
            continue;
        look_name_packet(l, l->x->packets[rows[i].to], 0, where);
        flow_warn(l->f, WARNING_SLOW_TARGET, "%s began %.1f s after %s, in %s", rows[i].what,
                  seconds(to - from), rows[i].behind, where);
        return;
    }
}

/* The whole request was taken, then a long silence, then all at once. */
static void warn_inspection(const struct look *l)
{
    const struct exchange_silence *s = &l->x->silence;
    uint64_t end_ns = s->begin_ns + s->length_ns, last_ns = look_get(l, MARK_LAST);
    uint64_t down = l->x->sides[DOWN].bytes;
    char before[LOOK_TEXT_MAX], after[LOOK_TEXT_MAX];

    if (!l->x->proxied || !s->after || !l->x->silence_is_asked || s->length_ns < SLOW_NS ||
        l->c->clock_jumped || down < INSPECTED_MIN || last_ns < end_ns ||
        (last_ns - end_ns) * INSPECTED_TIMES > s->length_ns)
        return;
    flow_warn(l->f, WARNING_INSPECTION_DELAY,
              "%.1f s of silence between %s and %s, then %" PRIu64 " bytes in %.1f s",
              seconds(s->length_ns), look_name_packet(l, s->before, 0, before),
              look_name_packet(l, s->after, 0, after), down, seconds(last_ns - end_ns));
}

/* A quiet flow that a timer closed. */
static void warn_idle(const struct look *l, const struct ending *e)
{
    unsigned timer = look_find_timer(l->quiet_ns);

    if (e->verdict == VERDICT_OK && l->closed && timer)
        flow_warn(l->f, WARNING_IDLE_CLOSED,
                  "by the %s after %.1f s without a byte: looks like a timer of %u s",
                  verdict_side_name(look_side(l, l->closer)), seconds(l->quiet_ns), timer);
}

static void warn_redirects(const struct look *l)
{
    const struct inside_sight *s = l->sight;
    const char *location = flow_find_note(l->f, NOTE_REDIRECT, 0);
    char where[LOOK_TEXT_MAX];

    if (*location)
        flow_warn(l->f, WARNING_REDIRECT, "%s: %s",
                  look_name_packet(l, l->x->packets[MARK_ANSWER], 0, where), location);
    for (unsigned i = 0; s && i < s->answers_len; i++) {
        const struct inside_answer *a = &s->answers[i];

        if (!a->location || a->status < 300 || a->status > 399)
            continue;
        flow_note(l->f, NOTE_REDIRECT, 0, "%u %s", a->status, a->location);
        flow_warn(l->f, WARNING_REDIRECT, "inside the tunnel, %s",
                  look_name_packet(l, a->number, 0, where));
    }
}

static void warn_login(const struct look *l)
{
    if (l->x->is_basic && l->x->credentials_sent && !look_get(l, MARK_PROXY_HELLO))
        flow_warn(l->f, WARNING_WEAK_AUTH, "the password can be read in the capture");
}

/* ---- what the capture lacks */

static void write_command(const struct look *l, char *out, size_t room)
{
    char host[LOOK_TEXT_MAX];

    snprintf(out, room,
             "tcpdump -i any -s 0 -w capture.pcap '(host %s and tcp port %u) or icmp or icmp6'",
             look_name_host(l, &l->c->ends[DOWN], host), l->c->ends[DOWN].port);
}

/* Reasons, one after the other, in a text of limited length. */
struct reasons {
    char text[320];
    size_t len;
};

__attribute__((format(printf, 2, 3))) static void add_reason(struct reasons *r, const char *fmt,
                                                             ...)
{
    va_list ap;
    int n;

    if (r->len + 3 > sizeof r->text)
        return;
    if (r->len > 0) {
        memcpy(r->text + r->len, ", ", 3);
        r->len += 2;
    }
    va_start(ap, fmt);
    n = vsnprintf(r->text + r->len, sizeof r->text - r->len, fmt, ap);
    va_end(ap);
    r->len += n > 0 ? (size_t)n : 0;
    if (r->len >= sizeof r->text)
        r->len = sizeof r->text - 1;
}

static bool is_cut(const struct look *l)
{
    return l->source && capture_source_get_seen(l->source)->snaplen > 0;
}

/* A text has only what somebody pasted: it is told where nothing can be concluded. */
static void gather_reasons(const struct look *l, const struct ending *e, struct reasons *r)
{
    const struct exchange *x = l->x;
    const struct conn *c = l->c;
    uint64_t missing =
        stream_get_rare(&c->streams[UP])->missing + stream_get_rare(&c->streams[DOWN])->missing;

    if (c->is_text) {
        if (c->flags_unseen)
            add_reason(r, "its lines have no flags and no numbers");
        else if (!l->closed && e->certainty == CERTAINTY_INFERRED &&
                 e->verdict != VERDICT_MTU_BLACKHOLE)
            add_reason(r, "the text ends here");
        return;
    }
    if (c->established && (l->unseen[UP] || l->unseen[DOWN]))
        add_reason(r, "no packet of the %s is here",
                   verdict_side_name(look_side(l, l->unseen[UP] ? UP : DOWN)));
    if (x->early_unseen)
        add_reason(r, "its beginning is not here");
    if (x->content_unseen && is_cut(l))
        add_reason(r, "packets are cut after %" PRIu32 " bytes",
                   capture_source_get_seen(l->source)->snaplen);
    else if (missing > 0)
        add_reason(r, "%" PRIu64 " bytes were sent and are not here", missing);
    else if (x->content_unseen && !l->unseen[UP] && !l->unseen[DOWN] && !x->early_unseen)
        add_reason(r, "what was said is not all here");
    if (c->overflowed)
        add_reason(r, "too many bytes waited for one that is missing");
    if (c->clock_jumped)
        add_reason(r, "the clock of the capture jumps: silences are not told");
    if (l->how == CONN_END_EVICTED)
        add_reason(r, "it was given up, as too many connections were open");
}

static void warn_incomplete(const struct look *l, const struct ending *e)
{
    struct reasons r = {.len = 0};
    char command[LOOK_TEXT_MAX + 80];

    gather_reasons(l, e, &r);
    if (r.len == 0)
        return;
    write_command(l, command, sizeof command);
    flow_warn(l->f, WARNING_CAPTURE_INCOMPLETE, "%s; to see more: %s", r.text, command);
}

void warnings_write(const struct look *l, const struct ending *e)
{
    warn_retransmissions(l);
    warn_window(l);
    warn_sizes(l);
    warn_slow(l);
    warn_inspection(l);
    warn_idle(l, e);
    warn_redirects(l);
    warn_login(l);
    warn_incomplete(l, e);
}
