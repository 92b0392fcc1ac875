/* The flow as JSON: the keys and their order are INTERFACES section 1; what does not apply is null
 * or an empty array, never absent. */
#include "render/render.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/num.h"
#include "render/date.h"
#include "render/jsonw.h"

static void member_id(struct jsonw *w, const char *name, uint64_t id)
{
    jsonw_key(w, name);
    jsonw_next(w);
    pen_char(w->pen, '"');
    pen_hex(w->pen, id);
    pen_char(w->pen, '"');
}

static void member_start(struct jsonw *w, uint64_t wall_ns)
{
    jsonw_key(w, "start");
    jsonw_next(w);
    pen_char(w->pen, '"');
    date_write_rfc3339(w->pen, wall_ns);
    pen_char(w->pen, '"');
}

/* By the name that a text has for it, where there is one. */
static void member_side(struct jsonw *w, const char *name, const struct flow *f, enum side side)
{
    const struct endpoint *e = side == SIDE_CLIENT  ? &f->client
                               : side == SIDE_PROXY ? &f->proxy
                                                    : &f->address;
    const char *note = flow_find_note(f, NOTE_NAME, side);
    char text[ENDPOINT_TEXT_MAX];
    size_t len = e->addr.family ? endpoint_write(e, text) : 0;

    jsonw_key(w, name);
    if (*note)
        jsonw_text(w, note);
    else if (len > 0)
        jsonw_span(w, (struct span){text, len});
    else
        jsonw_null(w);
}

static void member_notes(struct jsonw *w, const char *name, const struct flow *f,
                         enum note_kind kind)
{
    unsigned index;
    uint32_t at = 0;
    const char *text;

    jsonw_key(w, name);
    jsonw_open(w, '[');
    while ((text = flow_next_note(f, kind, &index, &at)))
        jsonw_text(w, text);
    jsonw_close(w, ']');
}

static void member_who(struct jsonw *w, const struct flow *f)
{
    member_side(w, "client", f, SIDE_CLIENT);
    member_side(w, "proxy", f, SIDE_PROXY);
    jsonw_member_text(w, "target", f->target);
    if (f->parent) /* its address is the parent's, and the target's is not known */
        jsonw_member_text(w, "target_address", NULL);
    else
        member_side(w, "target_address", f, SIDE_TARGET);
    jsonw_member_text(w, "parent", f->parent);
    jsonw_member_text(w, "method", f->method);
    jsonw_member_text(w, "url", f->url);
    jsonw_member_text(w, "user", f->user);
    jsonw_member_text(w, "rule", f->rule);
    member_notes(w, "reported", f, NOTE_REPORTED);
}

static void member_steps(struct jsonw *w, const struct flow *f)
{
    bool any = false;

    for (unsigned i = 0; i < STEP_KIND_COUNT; i++) {
        if (!f->step_us[i])
            continue;
        if (!any) {
            jsonw_key(w, "steps");
            jsonw_open(w, '[');
            any = true;
        }
        jsonw_open(w, '{');
        jsonw_member_name(w, "step", phase_step_name(i));
        jsonw_member_u64(w, "duration_us", f->step_us[i] - 1u);
        jsonw_member_text(w, "detail", flow_find_note(f, NOTE_STEP, i));
        jsonw_close(w, '}');
    }
    if (any)
        jsonw_close(w, ']');
}

static void member_phases(struct jsonw *w, const struct flow *f)
{
    jsonw_key(w, "phases");
    jsonw_open(w, '[');
    for (unsigned i = 0; i < PHASE_COUNT; i++) {
        if (f->outcomes[i] == OUTCOME_NONE)
            continue;
        jsonw_open(w, '{');
        jsonw_member_name(w, "phase", phase_name(i));
        jsonw_member_u64(w, "start_us", f->phases[i].start_ns / NS_PER_US);
        jsonw_member_u64(w, "duration_us", f->phases[i].duration_ns / NS_PER_US);
        jsonw_member_name(w, "outcome", phase_outcome_name(f->outcomes[i]));
        jsonw_member_text(w, "detail", flow_find_note(f, NOTE_PHASE, i));
        if (i == PHASE_ANSWER)
            member_steps(w, f);
        jsonw_close(w, '}');
    }
    jsonw_close(w, ']');
}

static void member_tls(struct jsonw *w, const struct flow_tls *tls)
{
    jsonw_key(w, "tls");
    if (!tls) {
        jsonw_null(w);
        return;
    }
    jsonw_open(w, '{');
    jsonw_member_text(w, "sni", tls->sni);
    jsonw_member_text(w, "version", tls->version);
    jsonw_member_text(w, "cipher", tls->cipher);
    jsonw_member_text(w, "issuer", tls->issuer);
    jsonw_member_text(w, "alpn", tls->alpn);
    jsonw_close(w, '}');
}

static void member_leg(struct jsonw *w, const char *name, const struct flow_leg *leg)
{
    jsonw_key(w, name);
    if (!leg->known) {
        jsonw_null(w);
        return;
    }
    jsonw_open(w, '{');
    jsonw_member_u64(w, "rtt_us", leg->rtt_us);
    jsonw_member_u64(w, "retransmissions", leg->retransmissions);
    jsonw_member_u64(w, "mss", leg->mss);
    jsonw_member_u64(w, "pmtu", leg->pmtu);
    jsonw_member_u64(w, "unacked", leg->unacked);
    jsonw_close(w, '}');
}

static void member_tcp(struct jsonw *w, const struct flow *f)
{
    jsonw_key(w, "tcp");
    jsonw_open(w, '{');
    member_leg(w, "client", &f->client_leg);
    member_leg(w, "upstream", &f->upstream_leg);
    jsonw_close(w, '}');
}

/* A note "302 https://…" as an object; without a number in front the status is null. */
static void write_redirect(struct jsonw *w, struct span note)
{
    struct span location = note, number = span_cut(&location, ' ');
    uint64_t status;
    bool known = num_parse_u64(number, 999, &status);

    jsonw_open(w, '{');
    jsonw_key(w, "status");
    if (known)
        jsonw_u64(w, status);
    else
        jsonw_null(w);
    jsonw_key(w, "location");
    jsonw_span(w, known ? location : note);
    jsonw_close(w, '}');
}

static void member_redirects(struct jsonw *w, const struct flow *f)
{
    unsigned index;
    uint32_t at = 0;
    const char *note;

    jsonw_key(w, "redirects");
    jsonw_open(w, '[');
    while ((note = flow_next_note(f, NOTE_REDIRECT, &index, &at)))
        write_redirect(w, span_of(note));
    jsonw_close(w, ']');
}

static bool has_evidence(const struct flow *f, const char *text)
{
    unsigned index;
    uint32_t at = 0;
    const char *note;

    while ((note = flow_next_note(f, NOTE_EVIDENCE, &index, &at)))
        if (strcmp(note, text) == 0)
            return true;
    return false;
}

/* The reason has no key of its own: it is the first piece of evidence.  The details of warnings are
 * the last ones, each behind its name. */
static void member_evidence(struct jsonw *w, const struct flow *f)
{
    unsigned index;
    uint32_t at = 0;
    const char *note;

    jsonw_key(w, "evidence");
    jsonw_open(w, '[');
    if (f->reason && !has_evidence(f, f->reason))
        jsonw_text(w, f->reason);
    while ((note = flow_next_note(f, NOTE_EVIDENCE, &index, &at)))
        jsonw_text(w, note);
    at = 0;
    while ((note = flow_next_note(f, NOTE_WARNING, &index, &at))) {
        if (!*note || index >= WARNING_COUNT)
            continue;
        jsonw_next(w);
        pen_char(w->pen, '"');
        pen_text(w->pen, flow_warning_name(index));
        pen_text(w->pen, ": ");
        escape_json(w->pen, span_of(note));
        pen_char(w->pen, '"');
    }
    jsonw_close(w, ']');
}

static void member_warnings(struct jsonw *w, const struct flow *f)
{
    jsonw_key(w, "warnings");
    jsonw_open(w, '[');
    for (unsigned i = 0; i < WARNING_COUNT; i++)
        if (f->warnings & 1u << i)
            jsonw_name(w, flow_warning_name(i));
    jsonw_close(w, ']');
}

static void member_ending(struct jsonw *w, const struct flow *f)
{
    const char *by = verdict_side_name(f->ended_by);

    jsonw_member_name(w, "verdict", verdict_get_info(f->verdict)->name);
    jsonw_member_text(w, "ended_in", f->ended ? phase_name(f->ended_in) : NULL);
    jsonw_member_text(w, "ended_by", *by ? by : NULL);
    jsonw_member_name(w, "certainty", verdict_certainty_name(f->certainty));
    jsonw_member_text(w, "cause", flow_cause(f));
    jsonw_member_text(w, "advice", flow_advice(f));
    member_evidence(w, f);
    member_warnings(w, f);
}

static void write_flow(struct jsonw *w, const struct flow *f)
{
    jsonw_open(w, '{');
    member_id(w, "id", f->id);
    jsonw_member_name(w, "source", flow_source_name(f->source));
    member_start(w, f->start_ns);
    jsonw_member_u64(w, "duration_us", f->duration_ns / NS_PER_US);
    member_who(w, f);
    jsonw_key(w, "status");
    if (f->status)
        jsonw_u64(w, f->status);
    else
        jsonw_null(w);
    jsonw_member_u64(w, "bytes_up", f->bytes_up);
    jsonw_member_u64(w, "bytes_down", f->bytes_down);
    member_phases(w, f);
    member_tls(w, f->tls);
    member_tcp(w, f);
    member_redirects(w, f);
    if (f->superseded_by)
        member_id(w, "superseded_by", f->superseded_by);
    else
        jsonw_member_text(w, "superseded_by", NULL);
    member_ending(w, f);
    jsonw_close(w, '}');
}

bool render_json(struct buf *out, const struct flow *f)
{
    struct pen pen;
    struct jsonw w = {.pen = &pen};

    pen_init_draft(&pen, out);
    write_flow(&w, f);
    pen_char(&pen, '\n');
    return pen_end_draft(&pen, out);
}
