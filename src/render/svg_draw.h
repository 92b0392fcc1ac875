/* render/svg_draw.h - private to svg: numbers and labels as both drawings write them. */
#pragma once

#include <stdint.h>

#include "render/pen.h"

/* A place or a width on an axis, in percent: "12.34%". */
void svg_draw_percent(struct pen *p, double percent);

/* <NAME id="PREFIX7">, without the end. */
void svg_draw_id(struct pen *p, const char *name, const char *prefix, uint64_t number);

/* The opening tag of a drawing, of this class and height in pixels, named by its title and desc
 * ("PREFIXt7" and "PREFIXd7"). */
void svg_draw_open(struct pen *p, const char *class, const char *prefix, uint64_t number,
                   unsigned height);

/* The opening tag of a text: x in percent, y in pixels; it ends there, stands in its middle, or
 * begins there, by how far to the right that is. */
void svg_draw_text_at(struct pen *p, const char *class, double x, unsigned y);

/* A line from y to y. */
void svg_draw_upright(struct pen *p, const char *class, double x, unsigned from, unsigned to);

/* A rectangle: x and width in percent, y and height in pixels. */
void svg_draw_box(struct pen *p, const char *class, double x, double width, unsigned y,
                  unsigned height);

/* The distance of ticks of which at most `ticks` lie in `total`: 1, 2 or 5 times a power of ten. */
uint64_t svg_draw_step(uint64_t total, unsigned ticks);
