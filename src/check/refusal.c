#include "check/refusal.h"

#include "check/internal.h"
#include "flow/outside.h"
#include "flow/page.h"

static bool is_html(const struct http1_head *h)
{
    for (unsigned i = 0; i < h->fields_len; i++)
        if (span_equal_nocase(h->fields[i].name, SPAN_LIT("content-type")))
            return span_begins_nocase(h->fields[i].value, SPAN_LIT("text/html"));
    return false;
}

static bool is_connect(const struct probe *p)
{
    return p->through_proxy && p->url->tls && !p->asked_target;
}

static enum outside_asked asked_of(const struct probe *p)
{
    if (!p->through_proxy || p->asked_target)
        return OUTSIDE_DIRECT;
    return p->url->tls ? OUTSIDE_CONNECT : OUTSIDE_ABSOLUTE;
}

bool refusal_is_suspect(const struct probe *p, const struct http1_head *h)
{
    if (is_connect(p))
        return h->status >= 300 || is_html(h);
    return p->through_proxy && !p->asked_target && h->status >= 300;
}

void refusal_keep_head(struct probe *p, struct span head)
{
    buf_fini(&p->head);
    buf_init(&p->head, PROBE_HEAD_MAX);
    buf_append(&p->head, head.ptr, head.len); /* without memory: nothing to be read there */
}

static void take_head(const struct probe *p, struct outside_answer *a)
{
    struct http1_head *h = &p->check->head;

    http1_head_reset(h);
    a->is_http = http1_parse_response(buf_span(&p->head), h) == PARSE_OK;
    if (!a->is_http)
        return;
    a->status = h->status;
    a->reason = h->reason;
    for (unsigned i = 0; i < h->fields_len; i++)
        outside_add_field(a, h->fields[i].name, h->fields[i].value);
}

static enum probe_next end_judged(struct probe *p, const struct outside_verdict *v)
{
    if (v->verdict == VERDICT_TARGET_ERROR) /* the answer is the target's: the way is good */
        flow_phase(&p->flow, PHASE_TRANSFER, probe_now(p));
    return probe_end(p, v->verdict, v->by, v->certainty, "%s", v->reason);
}

/* Most clients throw it away: what the page says, of which the verdict has some words at most. */
static void note_page(struct probe *p)
{
    char line[PAGE_LINE_MAX];

    if (page_write(buf_span(&p->refusal), line) > 0)
        flow_evidence(&p->flow, "the page says: %s", line);
}

enum probe_next refusal_judge(struct probe *p)
{
    struct outside_answer a = {
        .asked = asked_of(p),
        .by_name = !p->url->at.addr.family,
        .credentials_sent = p->login.sent,
        .body = buf_span(&p->refusal),
    };
    struct outside_verdict v;

    take_head(p, &a);
    v = outside_judge(&a, &p->flow);
    if (p->denied) { /* with what was sent, the one who logs in knows better */
        note_page(p);
        return probe_end_as(p, p->ending);
    }
    if (is_connect(p) && a.status < 300 && p->refusal.len == 0)
        return probe_enter(p, PROBE_TLS); /* the field says HTML, but no page came */
    if (v.verdict != VERDICT_OK) {
        note_page(p);
        return end_judged(p, &v);
    }
    if (is_connect(p))
        return probe_enter(p, PROBE_TLS);
    if (p->down.done)
        return probe_close_well(p);
    return probe_enter(p, PROBE_TRANSFER);
}

enum probe_next refusal_judge_bytes(struct probe *p, struct span first, const char *what)
{
    struct outside_answer a = {.asked = asked_of(p),
                               .by_name = !p->url->at.addr.family,
                               .credentials_sent = p->login.sent,
                               .first = first};
    struct outside_verdict v = outside_judge(&a, &p->flow);

    flow_evidence(&p->flow, "not an HTTP response head: %s", what);
    return end_judged(p, &v);
}
