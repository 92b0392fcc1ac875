/* render/svg.h - a flow drawn: its ladder of phases, and its bytes over time.
 *
 * Inline SVG for a page: positions are percentages and sizes pixels, so that text keeps its size at
 * any width and a drawing needs no more room than 280 pixels.  Colours and fonts are classes that
 * svg_style describes, once a page, by the page's variables.  No script, no style attributes, no
 * reference to anything outside.  Every drawing has a title and a description for who cannot see
 * it.  All texts are escaped.  Pure; any thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "flow/flow.h"
#include "render/pen.h"

/* What a point of a plot shows. */
enum svg_mark {
    SVG_DATA,
    SVG_RETRANSMITTED, /* sent again */
    SVG_CLOSED,        /* the receiver's window is closed from here … */
    SVG_OPENED,        /* … to here */
    SVG_FIN,
    SVG_RST,
};

/* A moment of one direction. */
struct svg_point {
    uint64_t at_us;     /* since the connection began */
    uint64_t bytes;     /* sent so far by that side; of what is sent again: where it stands */
    bool is_down;       /* towards the client */
    unsigned char mark; /* enum svg_mark */
};

struct svg_plot {
    const struct svg_point *points; /* in the order of time */
    size_t len;
    uint64_t end_us; /* where the time axis ends; less than the last point: there */
};

/* The rules of CSS that both drawings need.  They use the variables --ink, --faint, --line,
 * --paper,
 * --good, --bad, --warn, --up, --down and --quiet. */
extern const char svg_style[];

/* The ladder: a row a phase with a bar on a common axis of time.  Where one phase takes nearly all
 * of it, its middle is cut out of the axis, and that is shown.  What evidence has a time is marked.
 * `number` makes the ids of this drawing differ from the others' of a page. */
void svg_write_ladder(struct pen *p, const struct flow *f, uint64_t number);

/* Bytes over time, a panel for each direction, with what was sent again, silences, closed windows,
 * FIN and RST. */
void svg_write_plot(struct pen *p, const struct svg_plot *plot, uint64_t number);

/* What the signs of a plot mean, as an HTML list. */
void svg_write_legend(struct pen *p);
