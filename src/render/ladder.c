/* The text ladder: the flow's phases one below the other, each with when it began, how long it took
 * and a bar that shows both, then what was noticed, and at last how it ended and why.
 *
 * CONNECT t.example:443 from 10.40.40.1:40220, status 200, up 1.8 KiB, down 0 B
 * 2026-11-23T05:00:00.123456Z, 3021.000 ms, flow 00000000005f2c00
 *
 *   answer           0.090       4.210 ms |#                               |
 *     dial                       3.100 ms   192.0.2.80:443
 *   tls              4.300    3016.700 ms |################################| failed
 *
 *   - 4 segments of 1460 bytes unacknowledged
 *   ! retransmissions: 4
 *
 * mtu-blackhole in tls by network (inferred): 4 segments of 1460 bytes unacknowledged
 * cause
 * advice */
#include "render/render.h"

#include "base/clock.h"
#include "render/date.h"
#include "render/escape.h"
#include "render/human.h"

#define BAR_LEN 32
#define NAME_WIDTH 14                 /* the longest name, "authenticate", indented */
#define TIME_WIDTH 11                 /* "1234567.890" */
#define SECONDS_FROM (100 * NS_PER_S) /* longer flows are told in seconds */

enum ink { INK_PLAIN, INK_GOOD, INK_BAD, INK_WARN, INK_FAINT };

struct ladder {
    struct pen *pen;
    const struct flow *flow;
    uint64_t unit_ns; /* a thousandth of what times are shown in */
    const char *unit;
    bool colour;
};

static void ink(struct ladder *l, enum ink ink)
{
    static const char *const codes[] = {"\x1b[0m", "\x1b[32m", "\x1b[31m", "\x1b[33m", "\x1b[2m"};

    if (l->colour)
        pen_text(l->pen, codes[ink]);
}

static void write_outside(struct ladder *l, const char *before, const char *text)
{
    if (!text || !*text)
        return;
    pen_text(l->pen, before);
    escape_text(l->pen, span_of(text));
}

static void write_side(struct ladder *l, const char *before, enum side side)
{
    if (!human_has_side(l->flow, side))
        return;
    pen_text(l->pen, before);
    human_side(l->pen, l->flow, side);
}

static void write_header(struct ladder *l)
{
    const struct flow *f = l->flow;
    struct pen *p = l->pen;

    human_asked(p, f);
    write_side(l, " from ", SIDE_CLIENT);
    write_side(l, " through ", SIDE_PROXY);
    write_side(l, " to ", SIDE_TARGET);
    write_outside(l, ", parent ", f->parent);
    write_outside(l, ", user ", f->user);
    write_outside(l, ", rule ", f->rule);
    if (f->status) {
        pen_text(p, ", status ");
        pen_u64(p, f->status);
    }
    pen_text(p, ", up ");
    human_bytes(p, f->bytes_up);
    pen_text(p, ", down ");
    human_bytes(p, f->bytes_down);
    pen_char(p, '\n');
}

static void write_time(struct ladder *l, uint64_t ns)
{
    pen_milli(l->pen, ns / l->unit_ns, TIME_WIDTH);
}

static void write_moment(struct ladder *l)
{
    ink(l, INK_FAINT);
    date_write_moment(l->pen, l->flow->start_ns);
    pen_text(l->pen, ", ");
    pen_milli(l->pen, l->flow->duration_ns / l->unit_ns, 0);
    pen_text(l->pen, l->unit);
    pen_text(l->pen, ", flow ");
    pen_hex(l->pen, l->flow->id);
    ink(l, INK_PLAIN);
    pen_text(l->pen, "\n\n");
}

/* The columns [*from, *to) of the bar that a span of time takes: one at least. */
static void place_bar(const struct flow *f, const struct phase_time *t, unsigned *from,
                      unsigned *to)
{
    double total = f->duration_ns ? (double)f->duration_ns : 1;
    double start = (double)t->start_ns / total * BAR_LEN;
    double end = ((double)t->start_ns + (double)t->duration_ns) / total * BAR_LEN;

    *from = start < BAR_LEN - 1 ? (unsigned)start : BAR_LEN - 1;
    *to = end < BAR_LEN ? (unsigned)(end + 0.5) : BAR_LEN;
    if (*to <= *from)
        *to = *from + 1;
}

static void write_bar(struct ladder *l, const struct phase_time *t, enum outcome outcome)
{
    unsigned from, to;

    place_bar(l->flow, t, &from, &to);
    pen_text(l->pen, " |");
    pen_pad(l->pen, ' ', from);
    ink(l, outcome == OUTCOME_FAILED ? INK_BAD : INK_GOOD);
    pen_pad(l->pen, '#', to - from);
    ink(l, INK_PLAIN);
    pen_pad(l->pen, ' ', BAR_LEN - to);
    pen_char(l->pen, '|');
}

static void write_name(struct ladder *l, unsigned indent, const char *name)
{
    size_t len = strlen(name) + indent;

    pen_pad(l->pen, ' ', indent);
    pen_text(l->pen, name);
    pen_pad(l->pen, ' ', len < NAME_WIDTH + 2 ? NAME_WIDTH + 2 - len : 1);
}

static void write_steps(struct ladder *l)
{
    for (unsigned i = 0; i < STEP_KIND_COUNT; i++) {
        if (!l->flow->step_us[i])
            continue;
        write_name(l, 4, phase_step_name(i));
        pen_pad(l->pen, ' ', TIME_WIDTH + 1);
        write_time(l, (l->flow->step_us[i] - 1u) * NS_PER_US);
        pen_text(l->pen, l->unit);
        write_outside(l, "  ", flow_find_note(l->flow, NOTE_STEP, i));
        pen_char(l->pen, '\n');
    }
}

static void write_phase(struct ladder *l, enum phase phase)
{
    const struct flow *f = l->flow;
    enum outcome outcome = f->outcomes[phase];
    bool is_open = f->phase_open && f->phase == phase && !f->ended;
    bool timed = outcome == OUTCOME_OK || outcome == OUTCOME_FAILED || is_open;

    write_name(l, 2, phase_name(phase));
    if (timed) {
        write_time(l, f->phases[phase].start_ns);
        pen_char(l->pen, ' ');
        write_time(l, f->phases[phase].duration_ns);
        pen_text(l->pen, l->unit);
        write_bar(l, &f->phases[phase], outcome);
    }
    if (is_open) {
        pen_text(l->pen, " ...");
    } else if (outcome != OUTCOME_OK) {
        ink(l, outcome == OUTCOME_FAILED ? INK_BAD : INK_FAINT);
        pen_text(l->pen, timed ? " " : "");
        pen_text(l->pen, phase_outcome_name(outcome));
        ink(l, INK_PLAIN);
    }
    write_outside(l, " ", flow_find_note(f, NOTE_PHASE, phase));
    pen_char(l->pen, '\n');
    if (phase == PHASE_ANSWER)
        write_steps(l);
}

static void write_phases(struct ladder *l)
{
    const struct flow *f = l->flow;

    for (unsigned i = 0; i < PHASE_COUNT; i++)
        if (f->outcomes[i] != OUTCOME_NONE || (f->phase_open && !f->ended && f->phase == i))
            write_phase(l, i);
    pen_char(l->pen, '\n');
}

/* All notes of one kind, a line each. */
static bool write_notes(struct ladder *l, enum note_kind kind, const char *before)
{
    unsigned index;
    uint32_t at = 0;
    const char *text;
    bool any = false;

    while ((text = flow_next_note(l->flow, kind, &index, &at))) {
        pen_text(l->pen, before);
        escape_text(l->pen, span_of(text));
        pen_char(l->pen, '\n');
        any = true;
    }
    return any;
}

static bool write_warnings(struct ladder *l)
{
    for (unsigned i = 0; i < WARNING_COUNT; i++) {
        if (!(l->flow->warnings & 1u << i))
            continue;
        ink(l, INK_WARN);
        pen_text(l->pen, "  ! ");
        pen_text(l->pen, flow_warning_name(i));
        ink(l, INK_PLAIN);
        write_outside(l, ": ", flow_find_note(l->flow, NOTE_WARNING, i));
        pen_char(l->pen, '\n');
    }
    return l->flow->warnings != 0;
}

static void write_tls(struct ladder *l)
{
    const struct flow_tls *tls = l->flow->tls;

    if (!tls)
        return;
    pen_text(l->pen, "  - TLS");
    write_outside(l, " ", tls->version);
    write_outside(l, " ", tls->cipher);
    write_outside(l, ", name ", tls->sni);
    write_outside(l, ", issuer ", tls->issuer);
    write_outside(l, ", protocol ", tls->alpn);
    pen_char(l->pen, '\n');
}

static void write_noticed(struct ladder *l)
{
    bool any = l->flow->tls != NULL;

    write_tls(l);
    any |= write_notes(l, NOTE_REDIRECT, "  - redirect ");
    any |= write_notes(l, NOTE_REPORTED, "  - would match rule ");
    any |= write_notes(l, NOTE_EVIDENCE, "  - ");
    any |= write_warnings(l);
    if (any)
        pen_char(l->pen, '\n');
}

static void write_sentence(struct ladder *l, const char *sentence)
{
    if (!*sentence)
        return;
    escape_text(l->pen, span_of(sentence)); /* it may quote what came from outside */
    pen_char(l->pen, '\n');
}

static void write_ending(struct ladder *l)
{
    ink(l, verdict_is_success(l->flow->verdict) ? INK_GOOD : INK_BAD);
    human_ending(l->pen, l->flow);
    ink(l, INK_PLAIN);
    write_outside(l, ": ", l->flow->reason);
    pen_char(l->pen, '\n');
    if (l->flow->superseded_by) {
        pen_text(l->pen, "superseded by flow ");
        pen_hex(l->pen, l->flow->superseded_by);
        pen_char(l->pen, '\n');
    }
    write_sentence(l, flow_cause(l->flow));
    write_sentence(l, flow_advice(l->flow));
}

bool render_ladder(struct buf *out, const struct flow *f, bool colour)
{
    struct pen pen;
    struct ladder l = {
        .pen = &pen, .flow = f, .unit_ns = NS_PER_US, .unit = " ms", .colour = colour};

    if (f->duration_ns >= SECONDS_FROM) {
        l.unit_ns = NS_PER_MS;
        l.unit = " s";
    }
    pen_init_draft(&pen, out);
    write_header(&l);
    write_moment(&l);
    write_phases(&l);
    write_noticed(&l);
    write_ending(&l);
    return pen_end_draft(&pen, out);
}

bool render_ladder_so_far(struct buf *out, const struct flow *f, uint64_t now_ns, bool colour)
{
    struct flow so_far = *f; /* borrows its texts */
    struct phase_time *open = &so_far.phases[f->phase];
    struct pen pen;
    struct ladder l = {
        .pen = &pen, .flow = &so_far, .unit_ns = NS_PER_US, .unit = " ms", .colour = colour};

    so_far.duration_ns = now_ns > f->begin_ns ? now_ns - f->begin_ns : 0;
    if (f->phase_open && so_far.duration_ns > open->start_ns)
        open->duration_ns = so_far.duration_ns - open->start_ns;
    pen_init_draft(&pen, out);
    write_header(&l);
    write_moment(&l);
    write_phases(&l);
    return pen_end_draft(&pen, out);
}
