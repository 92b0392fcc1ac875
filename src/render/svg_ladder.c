/* The ladder, drawn: for each phase its name and time, a bar below, and what is to be said of it.
 *
 * A transfer of ten minutes leaves no room for a handshake of ten milliseconds.  Where one phase
 * takes more than CUT_FROM of the time, its middle is cut out: it gets CUT_WIDTH of the axis, and
 * all else the rest. */
#include "render/svg.h"

#include "base/clock.h"
#include "base/num.h"
#include "flow/words.h"
#include "render/escape.h"
#include "render/human.h"
#include "render/say.h"
#include "render/svg_draw.h"

#define CUT_FROM 0.7
#define CUT_WIDTH 45.0 /* percent */
#define BAR_LEAST 0.8  /* percent: what is there is seen */
#define ROW 31         /* pixels of a phase: its line, its bar and a gap */
#define DETAIL 15      /* and of its detail */
#define LINE 12        /* from its top to the line's foot */
#define BAR_TOP 17
#define BAR_HEIGHT 8
#define AXIS 34 /* below the last row */
#define MOMENTS_MAX 9
#define DESC_MAX 2048

/* A piece of evidence with a time. */
struct moment {
    double x;
    unsigned number; /* of the evidence, from 1 */
};

struct drawing {
    struct pen *pen;
    const struct flow *flow;
    double total;            /* ns */
    double cut_from, cut_to; /* the phase that is cut, ns; the same: none is */
    unsigned height;
    struct moment moments[MOMENTS_MAX];
    unsigned moments_len;
};

static bool is_open(const struct flow *f, unsigned phase)
{
    return f->phase_open && !f->ended && f->phase == phase;
}

static bool is_shown(const struct flow *f, unsigned phase)
{
    return f->outcomes[phase] != OUTCOME_NONE || is_open(f, phase);
}

static bool is_timed(const struct flow *f, unsigned phase)
{
    return f->outcomes[phase] == OUTCOME_OK || f->outcomes[phase] == OUTCOME_FAILED ||
           is_open(f, phase);
}

/* ---- the axis */

static void find_total(struct drawing *d)
{
    const struct flow *f = d->flow;

    d->total = (double)f->duration_ns;
    for (unsigned i = 0; i < PHASE_COUNT; i++) {
        double end = (double)f->phases[i].start_ns + (double)f->phases[i].duration_ns;

        if (is_timed(f, i) && end > d->total)
            d->total = end;
    }
    if (d->total < 1)
        d->total = 1;
}

static void find_cut(struct drawing *d)
{
    const struct flow *f = d->flow;

    for (unsigned i = 0; i < PHASE_COUNT; i++) {
        const struct phase_time *t = &f->phases[i];

        if (!is_timed(f, i) || (double)t->duration_ns < d->total * CUT_FROM)
            continue;
        if (d->total - (double)t->duration_ns < 1e3)
            return; /* there is nothing else to make room for */
        d->cut_from = (double)t->start_ns;
        d->cut_to = (double)t->start_ns + (double)t->duration_ns;
    }
}

static bool is_cut(const struct drawing *d)
{
    return d->cut_to > d->cut_from;
}

/* Where a time lies, in percent. */
static double place(const struct drawing *d, double ns)
{
    double cut = d->cut_to - d->cut_from, rest = d->total - cut;

    if (!is_cut(d) || rest <= 0)
        return ns / d->total * 100;
    if (ns <= d->cut_from)
        return ns / rest * (100 - CUT_WIDTH);
    if (ns >= d->cut_to)
        return 100 - (d->total - ns) / rest * (100 - CUT_WIDTH);
    return d->cut_from / rest * (100 - CUT_WIDTH) + (ns - d->cut_from) / cut * CUT_WIDTH;
}

/* ---- rows */

/* The steps inside `answer`, or what is noted of the phase. */
static bool has_detail(const struct flow *f, unsigned phase)
{
    if (*flow_find_note(f, NOTE_PHASE, phase))
        return true;
    for (unsigned i = 0; phase == PHASE_ANSWER && i < STEP_KIND_COUNT; i++)
        if (f->step_us[i])
            return true;
    return false;
}

static void write_detail(struct drawing *d, unsigned phase, unsigned y)
{
    const char *text = flow_find_note(d->flow, NOTE_PHASE, phase), *between = *text ? "; " : "";

    svg_draw_text_at(d->pen, "v-faint", 0, y);
    escape_html(d->pen, span_of(text));
    for (unsigned i = 0; phase == PHASE_ANSWER && i < STEP_KIND_COUNT; i++) {
        if (!d->flow->step_us[i])
            continue;
        pen_text(d->pen, between);
        pen_text(d->pen, phase_step_name(i));
        pen_char(d->pen, ' ');
        human_duration(d->pen, (d->flow->step_us[i] - 1u) * NS_PER_US);
        between = ", ";
    }
    pen_text(d->pen, "</text>\n");
}

/* Two strokes across the bar where its middle was left out. */
static void write_gap(struct drawing *d, unsigned y)
{
    double middle = place(d, (d->cut_from + d->cut_to) / 2);

    svg_draw_upright(d->pen, "v-gap", middle, y - 2, y + BAR_HEIGHT + 2);
    svg_draw_upright(d->pen, "v-gap", middle + 1.4, y - 2, y + BAR_HEIGHT + 2);
}

static void write_bar(struct drawing *d, unsigned phase, unsigned y)
{
    const struct flow *f = d->flow;
    const struct phase_time *t = &f->phases[phase];
    double from = place(d, (double)t->start_ns);
    double to = place(d, (double)t->start_ns + (double)t->duration_ns);

    if (from > 100 - BAR_LEAST)
        from = 100 - BAR_LEAST;
    if (to < from + BAR_LEAST)
        to = from + BAR_LEAST;
    svg_draw_box(d->pen,
                 is_open(f, phase)                      ? "v-open"
                 : f->outcomes[phase] == OUTCOME_FAILED ? "v-failed"
                                                        : "v-ok",
                 from, to - from, y, BAR_HEIGHT);
    if (is_cut(d) && (double)t->start_ns == d->cut_from)
        write_gap(d, y);
}

static void write_row(struct drawing *d, unsigned phase, unsigned y)
{
    const struct flow *f = d->flow;
    enum outcome outcome = f->outcomes[phase];

    svg_draw_text_at(d->pen, "v-name", 0, y + LINE);
    pen_text(d->pen, phase_name(phase));
    pen_text(d->pen, "</text>\n");
    svg_draw_text_at(d->pen, outcome == OUTCOME_FAILED ? "v-bad" : "v-faint", 100, y + LINE);
    if (outcome != OUTCOME_OK && !is_open(f, phase))
        pen_text(d->pen, phase_outcome_name(outcome));
    if (is_timed(f, phase)) {
        pen_text(d->pen, outcome == OUTCOME_FAILED ? ", " : "");
        human_duration(d->pen, f->phases[phase].duration_ns);
    }
    pen_text(d->pen, is_open(f, phase) ? " …</text>\n" : "</text>\n");
    svg_draw_box(d->pen, "v-track", 0, 100, y + BAR_TOP + BAR_HEIGHT / 2, 1);
    if (is_timed(f, phase))
        write_bar(d, phase, y + BAR_TOP);
    if (has_detail(f, phase))
        write_detail(d, phase, y + ROW + 6);
}

/* ---- evidence on the axis */

/* The time that a piece of evidence names, since the flow began: "at 3.021 s" (or ms, us). */
static bool find_time(const char *text, uint64_t *ns)
{
    static const struct {
        const char *unit;
        uint64_t ns;
    } units[] = {{" s", NS_PER_S}, {" ms", NS_PER_MS}, {" us", NS_PER_US}};

    for (const char *at = text; (at = strstr(at, "at ")); at += 3) {
        size_t digits = strspn(at + 3, "0123456789"), decimals = 0;
        const char *unit = at + 3 + digits;
        uint64_t whole, part = 0, scale = 1;

        if (at != text && at[-1] != ' ' && at[-1] != '(')
            continue;
        if (*unit == '.')
            decimals = strspn(unit + 1, "0123456789");
        if (!num_parse_u64((struct span){at + 3, digits}, 1000000, &whole) || decimals > 9 ||
            (decimals && !num_parse_u64((struct span){unit + 1, decimals}, NS_PER_S, &part)))
            continue;
        for (size_t i = 0; i < decimals; i++)
            scale *= 10;
        unit += decimals ? decimals + 1 : 0;
        for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
            size_t len = strlen(units[i].unit);

            if (strncmp(unit, units[i].unit, len) == 0 &&
                (!unit[len] || strchr(" ,;:)", unit[len]))) {
                *ns = whole * units[i].ns + part * units[i].ns / scale;
                return true;
            }
        }
    }
    return false;
}

static void find_moments(struct drawing *d)
{
    unsigned number = 0;
    uint32_t at = 0;
    const char *text;

    while ((text = flow_next_note(d->flow, NOTE_EVIDENCE, NULL, &at)) &&
           d->moments_len < MOMENTS_MAX) {
        uint64_t ns;

        number++;
        if (find_time(text, &ns) && (double)ns <= d->total)
            d->moments[d->moments_len++] = (struct moment){place(d, (double)ns), number};
    }
}

static void write_moments(struct drawing *d, unsigned bottom)
{
    for (unsigned i = 0; i < d->moments_len; i++)
        if (d->moments[i].x > 0.5 && d->moments[i].x < 99.5) /* at the edges it says nothing */
            svg_draw_upright(d->pen, "v-moment", d->moments[i].x, 0, bottom);
}

static bool is_crowded(const struct drawing *d, unsigned i)
{
    for (unsigned n = 0; n < i; n++)
        if (d->moments[n].x > d->moments[i].x - 3 && d->moments[n].x < d->moments[i].x + 3)
            return true;
    return false;
}

static void write_moment_numbers(struct drawing *d, unsigned bottom)
{
    for (unsigned i = 0; i < d->moments_len; i++) {
        double x = d->moments[i].x;

        if (is_crowded(d, i))
            continue;
        pen_text(d->pen, "<text class=\"v-number\" x=\"");
        svg_draw_percent(d->pen, x < 1 ? 1 : x > 99 ? 99 : x);
        pen_text(d->pen, "\" y=\"");
        pen_u64(d->pen, bottom + 11);
        pen_text(d->pen, "\">");
        pen_u64(d->pen, d->moments[i].number);
        pen_text(d->pen, "</text>\n");
    }
}

/* ---- all of it */

static void write_tick(struct drawing *d, double ns, unsigned y)
{
    svg_draw_text_at(d->pen, "v-tick", place(d, ns), y);
    human_duration(d->pen, (uint64_t)ns);
    pen_text(d->pen, "</text>\n");
}

static void write_axis(struct drawing *d, unsigned y)
{
    svg_draw_box(d->pen, "v-track", 0, 100, y, 1);
    write_tick(d, 0, y + 24);
    if (!is_cut(d)) {
        write_tick(d, d->total / 2, y + 24);
    } else {
        if (place(d, d->cut_from) > 16)
            write_tick(d, d->cut_from, y + 24);
        if (place(d, d->cut_to) < 84)
            write_tick(d, d->cut_to, y + 24);
    }
    write_tick(d, d->total, y + 24);
}

static void write_descriptions(struct drawing *d, uint64_t number)
{
    const struct flow *f = d->flow;
    bool any = false;

    svg_draw_id(d->pen, "title", "lt", number);
    pen_text(d->pen, words_local(N_("The phases of the flow on a common axis of time")));
    pen_text(d->pen, "</title>\n");
    svg_draw_id(d->pen, "desc", "ld", number);
    for (unsigned i = 0; i < PHASE_COUNT; i++) {
        if (!is_shown(f, i))
            continue;
        pen_text(d->pen, any ? "; " : "");
        pen_text(d->pen, phase_name(i));
        pen_char(d->pen, ' ');
        pen_text(d->pen, phase_outcome_name(f->outcomes[i]));
        if (is_timed(f, i)) {
            pen_char(d->pen, ' ');
            human_duration(d->pen, f->phases[i].duration_ns);
        }
        any = true;
    }
    pen_text(d->pen, "</desc>\n");
}

static unsigned height_of(const struct flow *f)
{
    unsigned y = 0;

    for (unsigned i = 0; i < PHASE_COUNT; i++)
        if (is_shown(f, i))
            y += ROW + (has_detail(f, i) ? DETAIL : 0);
    return y;
}

void svg_write_ladder(struct pen *p, const struct flow *f, uint64_t number)
{
    struct drawing d = {.pen = p, .flow = f, .height = height_of(f)};
    unsigned y = 0;

    find_total(&d);
    find_cut(&d);
    find_moments(&d);
    svg_draw_open(p, "v-ladder", "l", number, d.height + AXIS);
    write_descriptions(&d, number);
    write_moments(&d, d.height);
    for (unsigned i = 0; i < PHASE_COUNT; i++) {
        if (!is_shown(f, i))
            continue;
        write_row(&d, i, y);
        y += ROW + (has_detail(f, i) ? DETAIL : 0);
    }
    write_axis(&d, y);
    write_moment_numbers(&d, y);
    pen_text(p, "</svg>\n");
}
