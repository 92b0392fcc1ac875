/* Bytes over time, drawn: towards the client above, from the client below, each with its own scale,
 * as a few hundred bytes of requests would be nothing beside megabytes of an answer. */
#include "render/svg.h"

#include <stdlib.h>

#include "base/clock.h"
#include "flow/words.h"
#include "render/escape.h"
#include "render/human.h"
#include "render/say.h"
#include "render/svg_draw.h"

#define HEAD 20   /* pixels above a panel, for its title */
#define PANEL 112 /* height of a panel */
#define GAP 14    /* between two */
#define AXIS 26
#define UNITS 10000.0 /* of a panel's own coordinates, both ways */
#define TICKS 4
#define GRIDS 4
#define QUIET_LEAST_US 1000000 /* shorter pauses are no silence */
#define QUIET_PART 0.04        /* of the axis: less cannot be seen */
#define QUIET_MAX 12
#define END_MAX_US (1ull << 52) /* and */
#define BYTES_MAX (1ull << 60)  /* beyond these, axes end: the sums of their steps must not wrap */
#define LABEL_FROM 14.0         /* percent: a silence as wide has its length written in it */

struct quiet {
    uint64_t from_us, to_us;
};

struct plot {
    struct pen *pen;
    const struct svg_plot *data;
    double end; /* us */
    struct quiet quiet[QUIET_MAX];
    unsigned quiet_len;
};

/* One direction. */
struct panel {
    bool is_down;
    unsigned top;   /* of its box, pixels */
    uint64_t bytes; /* sent in all */
    double most;    /* what its height stands for */
    unsigned again; /* points that are retransmissions */
};

static double place(const struct plot *d, uint64_t at_us)
{
    double x = (double)at_us / d->end * 100;

    return x > 100 ? 100 : x;
}

static double height_at(const struct panel *n, uint64_t bytes)
{
    double part = (double)bytes / n->most;

    return (double)(n->top + PANEL) - (part > 1 ? 1 : part) * PANEL;
}

/* ---- what there is */

static void find_end(struct plot *d)
{
    uint64_t end = d->data->end_us;

    for (size_t i = 0; i < d->data->len; i++)
        if (d->data->points[i].at_us > end)
            end = d->data->points[i].at_us;
    if (end > END_MAX_US)
        end = END_MAX_US;
    d->end = end ? (double)end : 1;
}

static void add_quiet(struct plot *d, uint64_t from_us, uint64_t to_us)
{
    if (to_us < from_us + QUIET_LEAST_US || (double)(to_us - from_us) < d->end * QUIET_PART ||
        d->quiet_len == QUIET_MAX)
        return;
    d->quiet[d->quiet_len++] = (struct quiet){from_us, to_us};
}

/* Where nothing new came, either way; what is sent again in vain is silence too. */
static void find_quiet(struct plot *d)
{
    uint64_t last = 0;
    bool over = false;

    for (size_t i = 0; i < d->data->len; i++) {
        const struct svg_point *at = &d->data->points[i];

        if (at->mark == SVG_RETRANSMITTED || at->mark == SVG_CLOSED || at->mark == SVG_OPENED)
            continue;
        if (!over)
            add_quiet(d, last, at->at_us);
        last = at->at_us;
        over |= at->mark == SVG_RST;
    }
    if (!over)
        add_quiet(d, last, (uint64_t)d->end);
}

static void find_panel(const struct plot *d, struct panel *n)
{
    for (size_t i = 0; i < d->data->len; i++) {
        const struct svg_point *at = &d->data->points[i];

        if (at->is_down != n->is_down)
            continue;
        if (at->bytes > n->bytes)
            n->bytes = at->bytes;
        n->again += at->mark == SVG_RETRANSMITTED;
    }
    if (n->bytes > BYTES_MAX)
        n->bytes = BYTES_MAX;
    n->most = n->bytes ? (double)n->bytes * 1.08 : 1;
}

/* ---- the curve */

static void write_coordinate(struct pen *p, double part)
{
    pen_u64(p, (uint64_t)((part < 0 ? 0 : part > 1 ? 1 : part) * UNITS + 0.5));
}

/* Steps: nothing is sent between two points. */
static void write_curve(const struct plot *d, const struct panel *n, bool is_area)
{
    uint64_t sent = 0;

    pen_text(d->pen, is_area ? "<path class=\"v-"
                             : "<path vector-effect=\"non-scaling-stroke\" class=\"v-");
    pen_text(d->pen, n->is_down ? "down" : "up");
    pen_text(d->pen, is_area ? "-area\" d=\"M0 10000" : "-line\" d=\"M0 10000");
    for (size_t i = 0; i < d->data->len; i++) {
        const struct svg_point *at = &d->data->points[i];

        if (at->is_down != n->is_down || at->mark == SVG_RETRANSMITTED || at->bytes <= sent)
            continue;
        sent = at->bytes;
        pen_char(d->pen, 'H');
        write_coordinate(d->pen, (double)at->at_us / d->end);
        pen_char(d->pen, 'V');
        write_coordinate(d->pen, 1 - (double)sent / n->most);
    }
    pen_text(d->pen, is_area ? "H10000V10000z\"/>\n" : "H10000\"/>\n");
}

static void write_curves(const struct plot *d, const struct panel *n)
{
    pen_text(d->pen, "<svg y=\"");
    pen_u64(d->pen, n->top);
    pen_text(d->pen, "\" width=\"100%\" height=\"");
    pen_u64(d->pen, PANEL);
    pen_text(d->pen, "\" viewBox=\"0 0 10000 10000\" preserveAspectRatio=\"none\">\n");
    write_curve(d, n, true);
    write_curve(d, n, false);
    pen_text(d->pen, "</svg>\n");
}

/* ---- axes */

/* A power of two of which at most GRIDS fit. */
static uint64_t grid_step(double most)
{
    uint64_t step = 1;

    while ((double)step * GRIDS < most)
        step *= 2;
    return step;
}

static void write_size(struct pen *p, uint64_t bytes)
{
    static const char *const units[] = {" B", " KiB", " MiB", " GiB", " TiB"};
    unsigned i = 0;

    for (; i < 4 && bytes >= 1024 && bytes % 1024 == 0; i++)
        bytes /= 1024;
    if (i == 0 && bytes >= 1024) {
        human_bytes(p, bytes);
        return;
    }
    pen_u64(p, bytes);
    pen_text(p, units[i]);
}

static void write_grid_line(const struct plot *d, const struct panel *n, uint64_t bytes)
{
    unsigned y = (unsigned)(height_at(n, bytes) + 0.5);

    pen_text(d->pen, "<line class=\"v-grid\" x1=\"0\" x2=\"100%\" y1=\"");
    pen_u64(d->pen, y);
    pen_text(d->pen, "\" y2=\"");
    pen_u64(d->pen, y);
    pen_text(d->pen, "\"/>\n");
}

/* Lines first and their sizes last, so that no curve crosses a size. */
static void write_grid(const struct plot *d, const struct panel *n, bool is_label)
{
    uint64_t step = grid_step(n->most);

    for (uint64_t at = 0; (double)at <= n->most; at += step) {
        if (!is_label) {
            write_grid_line(d, n, at);
        } else if (at && height_at(n, at) > n->top + 8) {
            svg_draw_text_at(d->pen, "v-tick", 0, (unsigned)height_at(n, at) - 3);
            write_size(d->pen, at);
            pen_text(d->pen, "</text>\n");
        }
    }
}

static void write_time(struct pen *p, uint64_t us, uint64_t step)
{
    if (step >= 60 * 1000000ull) {
        pen_u64(p, us / 60000000);
        pen_char(p, ':');
        pen_digits(p, us / 1000000 % 60, 2, '0');
        pen_text(p, " min");
    } else if (step >= 1000000 || us >= 1000000) {
        pen_u64(p, us / 1000000);
        if (step < 1000000) {
            pen_char(p, '.');
            pen_digits(p, us / 10000 % 100, 2, '0');
        }
        pen_text(p, " s");
    } else if (step >= 1000) {
        pen_u64(p, us / 1000);
        pen_text(p, " ms");
    } else {
        pen_u64(p, us);
        pen_text(p, " us");
    }
}

static uint64_t time_step(double end)
{
    uint64_t total = (uint64_t)end;

    if (total < 120 * 1000000ull) /* tens of seconds are round until minutes are */
        return svg_draw_step(total, TICKS);
    return svg_draw_step(total / 60000000, TICKS) * 60000000;
}

static void write_time_axis(const struct plot *d, unsigned y)
{
    uint64_t step = time_step(d->end);

    for (uint64_t at = 0; (double)at <= d->end; at += step) {
        double x = place(d, at);

        svg_draw_upright(d->pen, "v-grid", x, y, y + 4);
        svg_draw_text_at(d->pen, "v-tick", x, y + 17);
        write_time(d->pen, at, step);
        pen_text(d->pen, "</text>\n");
    }
}

/* ---- signs */

static void write_quiet(const struct plot *d, unsigned top, unsigned height)
{
    for (unsigned i = 0; i < d->quiet_len; i++) {
        double from = place(d, d->quiet[i].from_us), to = place(d, d->quiet[i].to_us);

        svg_draw_box(d->pen, "v-quiet", from, to - from, top, height);
    }
}

static void write_quiet_labels(const struct plot *d, unsigned y)
{
    for (unsigned i = 0; i < d->quiet_len; i++) {
        const struct quiet *q = &d->quiet[i];
        double from = place(d, q->from_us), to = place(d, q->to_us);

        if (to - from < LABEL_FROM)
            continue;
        pen_text(d->pen, "<text class=\"v-tick\" text-anchor=\"middle\" x=\"");
        svg_draw_percent(d->pen, (from + to) / 2);
        pen_text(d->pen, "\" y=\"");
        pen_u64(d->pen, y);
        pen_text(d->pen, "\">");
        human_duration(d->pen, (q->to_us - q->from_us) * NS_PER_US);
        pen_text(d->pen, "</text>\n");
    }
}

/* From each closing of the window to its opening, or to the end. */
static void write_closed(const struct plot *d, const struct panel *n)
{
    bool is_closed = false;
    double from = 0;

    for (size_t i = 0; i <= d->data->len; i++) {
        const struct svg_point *at = i < d->data->len ? &d->data->points[i] : NULL;

        if (at && (at->is_down != n->is_down || at->mark != (is_closed ? SVG_OPENED : SVG_CLOSED)))
            continue;
        double x = at ? place(d, at->at_us) : 100;

        if (is_closed)
            svg_draw_box(d->pen, "v-closed", from, x - from < 0.5 ? 0.5 : x - from,
                         n->top + PANEL - 6, 6);
        is_closed = at && !is_closed;
        from = x;
    }
}

static void write_again(const struct plot *d, const struct panel *n)
{
    for (size_t i = 0; i < d->data->len; i++) {
        const struct svg_point *at = &d->data->points[i];

        if (at->is_down != n->is_down || at->mark != SVG_RETRANSMITTED)
            continue;
        pen_text(d->pen, "<circle class=\"v-again\" r=\"3.5\" cx=\"");
        svg_draw_percent(d->pen, place(d, at->at_us));
        pen_text(d->pen, "\" cy=\"");
        pen_u64(d->pen, (uint64_t)(height_at(n, at->bytes) + 0.5));
        pen_text(d->pen, "\"/>\n");
    }
}

static void write_ends(const struct plot *d, const struct panel *n)
{
    for (size_t i = 0; i < d->data->len; i++) {
        const struct svg_point *at = &d->data->points[i];
        bool is_rst = at->mark == SVG_RST;

        if (at->is_down != n->is_down || (!is_rst && at->mark != SVG_FIN))
            continue;
        double x = place(d, at->at_us);

        svg_draw_upright(d->pen, is_rst ? "v-rst" : "v-fin", x, n->top, n->top + PANEL);
        pen_text(d->pen, "<text class=\"v-tick\" text-anchor=\"");
        pen_text(d->pen, x > 10 ? "end\" dx=\"-4\" x=\"" : "start\" dx=\"4\" x=\"");
        svg_draw_percent(d->pen, x);
        pen_text(d->pen, "\" y=\"");
        pen_u64(d->pen, n->top + (is_rst ? 26u : 13u));
        pen_text(d->pen, is_rst ? "\">RST</text>\n" : "\">FIN</text>\n");
    }
}

/* ---- all of it */

static void write_title(const struct plot *d, const struct panel *n)
{
    char again[SAY_NUMBER_MAX];

    svg_draw_text_at(d->pen, "v-name", 0, n->top - 7);
    pen_text(d->pen, words_local(n->is_down ? N_("towards the client") : N_("from the client")));
    pen_text(d->pen, "</text>\n");
    svg_draw_text_at(d->pen, "v-faint", 100, n->top - 7);
    human_bytes(d->pen, n->bytes);
    if (n->again)
        say_words(d->pen, escape_html, N_(", sent again: {1}"), say_number(again, n->again), NULL);
    pen_text(d->pen, "</text>\n");
}

static void write_panel(const struct plot *d, const struct panel *n)
{
    write_title(d, n);
    write_grid(d, n, false);
    write_curves(d, n);
    write_closed(d, n);
    write_ends(d, n);
    write_again(d, n);
    write_grid(d, n, true);
}

static void write_descriptions(const struct plot *d, const struct panel panels[2], uint64_t number)
{
    uint64_t longest_us = 0;

    svg_draw_id(d->pen, "title", "pt", number);
    pen_text(d->pen, words_local(N_("Bytes over time, in both directions")));
    pen_text(d->pen, "</title>\n");
    svg_draw_id(d->pen, "desc", "pd", number);
    for (unsigned i = 0; i < 2; i++) {
        pen_text(d->pen,
                 words_local(panels[i].is_down ? N_("towards the client") : N_("from the client")));
        pen_text(d->pen, ": ");
        human_bytes(d->pen, panels[i].bytes);
        if (panels[i].again) {
            char again[SAY_NUMBER_MAX];

            say_words(d->pen, escape_html, N_(", sent again: {1}"),
                      say_number(again, panels[i].again), NULL);
        }
        pen_text(d->pen, "; ");
    }
    for (unsigned i = 0; i < d->quiet_len; i++)
        if (d->quiet[i].to_us - d->quiet[i].from_us > longest_us)
            longest_us = d->quiet[i].to_us - d->quiet[i].from_us;
    pen_text(d->pen, words_local(N_("longest silence")));
    pen_text(d->pen, ": ");
    human_duration(d->pen, longest_us * NS_PER_US);
    pen_text(d->pen, "</desc>\n");
}

void svg_write_plot(struct pen *p, const struct svg_plot *data, uint64_t number)
{
    struct plot d = {.pen = p, .data = data};
    struct panel panels[2] = {{.is_down = true, .top = HEAD},
                              {.is_down = false, .top = HEAD + PANEL + GAP + HEAD}};
    unsigned bottom = panels[1].top + PANEL;

    find_end(&d);
    find_quiet(&d);
    svg_draw_open(p, "v-plot", "p", number, bottom + AXIS);
    for (unsigned i = 0; i < 2; i++)
        find_panel(&d, &panels[i]);
    write_descriptions(&d, panels, number);
    for (unsigned i = 0; i < 2; i++)
        write_quiet(&d, panels[i].top, PANEL);
    for (unsigned i = 0; i < 2; i++)
        write_panel(&d, &panels[i]);
    write_quiet_labels(&d, panels[0].top + PANEL / 2);
    write_time_axis(&d, bottom);
    pen_text(p, "</svg>\n");
}

/* ---- the legend */

void svg_write_legend(struct pen *p)
{
    static const struct {
        const char *sign, *msgid;
    } signs[] = {
        {"<path class=\"v-down-line\" d=\"M1 10H8V4H17\"/>", N_("bytes sent so far")},
        {"<circle class=\"v-again\" cx=\"9\" cy=\"7\" r=\"3.5\"/>", N_("sent again")},
        {"<rect class=\"v-quiet\" width=\"18\" height=\"14\"/>", N_("silence: nothing new")},
        {"<rect class=\"v-closed\" y=\"4\" width=\"18\" height=\"6\" rx=\"2\"/>",
         N_("the receiver's window is closed")},
        {"<path class=\"v-fin\" d=\"M9 0V14\"/>", N_("FIN: nothing more will be sent")},
        {"<path class=\"v-rst\" d=\"M9 0V14\"/>", N_("RST: the connection is cut")},
    };

    pen_text(p, "<ul class=\"v-legend\">\n");
    for (size_t i = 0; i < sizeof signs / sizeof signs[0]; i++) {
        pen_text(p, "<li><svg aria-hidden=\"true\" width=\"18\" height=\"14\">");
        pen_text(p, signs[i].sign);
        pen_text(p, "</svg>");
        pen_text(p, words_local(signs[i].msgid));
        pen_text(p, "</li>\n");
    }
    pen_text(p, "</ul>\n");
}
