/* Each phase has a mark that opens it and one that ends it.  The last one that was reached stays
 * open when the flow failed in it: then it lasts as long as anybody waited. */
#include "capture/moments.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/util.h"
#include "capture/inside.h"

static const struct {
    enum phase phase;
    enum mark from, to;
} rows[] = {
    {PHASE_CONNECT, MARK_SYN, MARK_ESTABLISHED},
    {PHASE_PROXY_TLS, MARK_PROXY_HELLO, MARK_TLS_END},
    {PHASE_REQUEST, MARK_REQUEST, MARK_REQUEST_END},
    {PHASE_ANSWER, MARK_REQUEST_END, MARK_ANSWER_END},
    {PHASE_TLS, MARK_HELLO, MARK_TLS_END},
    {PHASE_EXCHANGE, MARK_INNER, MARK_INNER_ANSWER},
    {PHASE_TRANSFER, MARK_BODY, MARK_LAST},
};

/* ---- what belongs to this flow */

static bool is_hidden(const struct look *l) /* by TLS to the proxy */
{
    return look_get(l, MARK_PROXY_HELLO) != 0;
}

static bool has_request(const struct look *l) /* a proxy's, or plain HTTP's */
{
    return l->x->asked != ASKED_TLS && l->x->asked != ASKED_OTHER;
}

/* Whether the flow has that phase at all. */
static bool is_skipped(const struct look *l, enum phase p)
{
    const struct exchange *x = l->x;
    bool plain = x->asked == ASKED_ABSOLUTE || x->asked == ASKED_ORIGIN;
    bool opaque = !x->is_tls && !look_get(l, MARK_HELLO) && look_get(l, MARK_BODY);

    switch (p) {
    case PHASE_CONNECT:
        return !x->is_first;
    case PHASE_PROXY_TLS:
        return !is_hidden(l);
    case PHASE_REQUEST:
    case PHASE_ANSWER:
        return !has_request(l) && !is_hidden(l) && !x->proxied;
    case PHASE_TLS:
    case PHASE_EXCHANGE:
        return plain || opaque || x->asked == ASKED_OTHER;
    case PHASE_RESOLVE:
    case PHASE_TRANSFER:
    case PHASE_CLOSE:
    case PHASE_COUNT:
        break;
    }
    return false;
}

/* Whether it may have been there, and cannot be seen. */
static bool is_unknown(const struct look *l, enum phase p)
{
    const struct exchange *x = l->x;

    if (p == PHASE_RESOLVE)
        return true;
    if (x->early_unseen && p < PHASE_TLS)
        return true;
    if (is_hidden(l))
        return p > PHASE_PROXY_TLS && p < PHASE_TRANSFER;
    return l->c->established && (x->content_unseen || l->unseen[UP] || l->unseen[DOWN]) &&
           p > PHASE_CONNECT && p < PHASE_TRANSFER;
}

/* ---- what is said of it */

static void note_connect(const struct look *l)
{
    const struct conn *c = l->c;
    unsigned up = c->streams[UP].mss, down = c->streams[DOWN].mss;
    char where[LOOK_TEXT_MAX], syns[24] = "", rtt[32] = "", mss[40] = "";

    look_name_packets(l, l->x->packets[MARK_SYN], l->x->packets[MARK_ESTABLISHED], where);
    if (c->syns > 1)
        snprintf(syns, sizeof syns, ", %u SYNs", c->syns);
    if (c->rtt_ns)
        snprintf(rtt, sizeof rtt, ", rtt %.3f ms", (double)c->rtt_ns / 1e6);
    if (up && down)
        snprintf(mss, sizeof mss, ", mss %u and %u", up, down);
    else if (up || down)
        snprintf(mss, sizeof mss, ", mss %u", up ? up : down);
    flow_note(l->f, NOTE_PHASE, PHASE_CONNECT, "%s%s%s%s", where, syns, rtt, mss);
}

static void note_tls(const struct look *l, enum phase p, const char *where)
{
    const struct flow_tls *t = l->f->tls;

    flow_note(l->f, NOTE_PHASE, p, "%s%s%s%s%s", where, t && t->version ? ", " : "",
              t && t->version ? t->version : "", t && t->cipher ? " " : "",
              t && t->cipher ? t->cipher : "");
}

static void note_phase(const struct look *l, enum phase p, uint32_t first, uint32_t last)
{
    char where[LOOK_TEXT_MAX];

    look_name_packets(l, first, last, where);
    if (p == PHASE_CONNECT)
        note_connect(l);
    else if (p == PHASE_TLS || p == PHASE_PROXY_TLS)
        note_tls(l, p, where);
    else if (p == PHASE_EXCHANGE && !(l->sight && l->sight->is_open))
        flow_note(l->f, NOTE_PHASE, p, "%s, inside TLS: statuses and redirects are not seen",
                  where);
    else if (p == PHASE_ANSWER && l->x->status)
        flow_note(l->f, NOTE_PHASE, p, "%s%sstatus %u", where, *where ? ", " : "", l->x->status);
    else if (*where)
        flow_note(l->f, NOTE_PHASE, p, "%s", where);
}

/* ---- the phases */

/* The packet that opens it: of the answer it is the answer itself, as the request has its own. */
static uint32_t first_packet(const struct look *l, enum phase p, enum mark from)
{
    return l->x->packets[p == PHASE_ANSWER ? MARK_ANSWER : from];
}

/* When it began; 0: it was not reached.  A transfer whose first byte is not marked began behind the
 * answer; an answer follows its request, seen whole or not. */
static uint64_t begin_of(const struct look *l, size_t row)
{
    uint64_t at_ns = look_get(l, rows[row].from);

    if (rows[row].phase == PHASE_CONNECT && !at_ns && l->x->is_first && !l->x->early_unseen)
        return l->x->begin_ns;
    if (rows[row].phase == PHASE_ANSWER && !at_ns)
        return look_get(l, MARK_ANSWER);
    return at_ns;
}

static bool is_fine(enum verdict v)
{
    return verdict_is_success(v) || v == VERDICT_TARGET_ERROR || v == VERDICT_TLS_INTERCEPTED;
}

/* The phase that a verdict says it is about, whatever came behind it; PHASE_COUNT: any. */
static enum phase phase_of(const struct look *l, enum verdict v)
{
    if (v == VERDICT_TLS_FAILED || v == VERDICT_TLS_UNTRUSTED || v == VERDICT_SNI_MISMATCH)
        return PHASE_TLS;
    if (v == VERDICT_PROXY_TLS_FAILED)
        return PHASE_PROXY_TLS;
    return l->judged && !is_fine(v) && v == l->judged->verdict ? PHASE_ANSWER : PHASE_COUNT;
}

/* The last phase that was reached, up to `end`: its row. */
static size_t last_row(const struct look *l, enum phase end)
{
    size_t last = 0;

    for (size_t i = 0; i < ARRAY_LEN(rows) && rows[i].phase <= end; i++)
        if (begin_of(l, i) && !is_skipped(l, rows[i].phase))
            last = i;
    return last;
}

/* A failure between two phases fell in the one that did not begin any more. */
static enum phase next_phase(const struct look *l, size_t row)
{
    const struct exchange *x = l->x;
    bool done = look_get(l, rows[row].to) != 0;

    if (!done)
        return rows[row].phase;
    switch (rows[row].phase) {
    case PHASE_CONNECT:
        return has_request(l) || x->proxied ? PHASE_REQUEST : PHASE_TLS;
    case PHASE_ANSWER:
        if (x->status < 200 || x->status > 299)
            return PHASE_ANSWER;
        return x->asked == ASKED_CONNECT ? PHASE_TLS : PHASE_TRANSFER;
    case PHASE_TLS:
        return PHASE_EXCHANGE;
    case PHASE_EXCHANGE:
        return PHASE_TRANSFER;
    case PHASE_RESOLVE:
    case PHASE_PROXY_TLS:
    case PHASE_REQUEST:
    case PHASE_TRANSFER:
    case PHASE_CLOSE:
    case PHASE_COUNT:
        break;
    }
    return rows[row].phase;
}

static void enter(const struct look *l, size_t i, bool is_last, bool failed)
{
    enum phase p = rows[i].phase;
    uint64_t begin_ns = begin_of(l, i), end_ns = look_get(l, rows[i].to);

    flow_phase(l->f, p, begin_ns);
    failed &= p == PHASE_TRANSFER || p == PHASE_TLS || p == PHASE_PROXY_TLS;
    note_phase(l, p, first_packet(l, p, rows[i].from), l->x->packets[rows[i].to]);
    if (end_ns >= begin_ns && end_ns && !(is_last && failed))
        flow_leave(l->f, OUTCOME_OK, end_ns);
}

/* What it was that failed stays open, for flow_end; an answer that says no is over when it came. */
static void enter_failed(const struct look *l, enum phase p)
{
    uint64_t end_ns = look_get(l, look_get(l, MARK_ANSWER_END) ? MARK_ANSWER_END : MARK_ANSWER);
    bool is_over = p == PHASE_ANSWER && end_ns && l->judged;

    if (!l->f->phase_open || l->f->phase != p)
        flow_phase(l->f, p, is_over ? look_get(l, MARK_REQUEST_END) : l->last_ns);
    if (is_over)
        flow_leave(l->f, OUTCOME_FAILED, end_ns);
}

static void note_close(const struct look *l)
{
    char where[LOOK_TEXT_MAX];

    look_name_packets(l, l->x->packets[MARK_CLOSE], l->x->packets[MARK_CLOSED], where);
    flow_note(l->f, NOTE_PHASE, PHASE_CLOSE, "%s%s%s from the %s%s", where, *where ? ", " : "",
              l->by_rst ? "RST" : "FIN", verdict_side_name(look_side(l, l->closer)),
              l->by_rst || look_get(l, MARK_CLOSED) ? "" : ", no FIN from the other side");
}

void moments_write(const struct look *l, enum verdict v)
{
    enum phase end = phase_of(l, v);
    size_t last = last_row(l, end);
    bool failed = !is_fine(v);

    for (unsigned p = 0; p < PHASE_CLOSE; p++) {
        if (is_skipped(l, p))
            flow_skip(l->f, p, OUTCOME_SKIPPED);
        else if (is_unknown(l, p))
            flow_skip(l->f, p, OUTCOME_UNKNOWN);
    }
    for (size_t i = 0; i <= last; i++)
        if (begin_of(l, i) && !is_skipped(l, rows[i].phase))
            enter(l, i, i == last, failed);
    if (failed) {
        enter_failed(l, end == PHASE_COUNT ? next_phase(l, last) : end);
    } else if (l->closed && v != VERDICT_OPEN) {
        flow_phase(l->f, PHASE_CLOSE,
                   look_get(l, MARK_CLOSE) ? look_get(l, MARK_CLOSE) : l->close_ns);
        note_close(l);
    }
}
