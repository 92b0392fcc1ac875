#include "render/svg_draw.h"

#include "render/svg.h"

const char svg_style[] =
    ".v-ladder,.v-plot{display:block;overflow:visible;font:13px/1 system-ui,sans-serif}\n"
    ".v-ladder text,.v-plot text{fill:var(--ink)}\n"
    "text.v-name{font-weight:600}\n"
    "text.v-faint,text.v-tick{fill:var(--faint);font-size:11px}\n"
    "text.v-tick{paint-order:stroke;stroke:var(--paper);stroke-width:3px;stroke-linejoin:round}\n"
    "text.v-bad{fill:var(--bad);font-weight:600}\n"
    ".v-track{fill:var(--line)}\n"
    ".v-ok{fill:var(--good)}\n"
    ".v-failed{fill:var(--bad)}\n"
    ".v-open{fill:var(--warn)}\n"
    ".v-gap{stroke:var(--paper);stroke-width:3}\n"
    ".v-axis,.v-grid{stroke:var(--line);stroke-width:1}\n"
    ".v-moment{stroke:var(--faint);stroke-width:1;stroke-dasharray:2 3}\n"
    ".v-dot{fill:var(--paper);stroke:var(--ink)}\n"
    "text.v-number{font-size:10px;text-anchor:middle}\n"
    ".v-up-line,.v-down-line{fill:none;stroke-width:2;stroke-linejoin:round}\n"
    ".v-up-line{stroke:var(--up)}\n"
    ".v-down-line{stroke:var(--down)}\n"
    ".v-up-area{fill:var(--up);opacity:.1}\n"
    ".v-down-area{fill:var(--down);opacity:.1}\n"
    ".v-again{fill:none;stroke:var(--bad);stroke-width:1.5}\n"
    ".v-quiet{fill:var(--quiet)}\n"
    ".v-closed{fill:var(--warn)}\n"
    ".v-fin{stroke:var(--ink);stroke-width:1.5;stroke-dasharray:4 3}\n"
    ".v-rst{stroke:var(--bad);stroke-width:2}\n"
    ".v-legend{list-style:none;display:flex;flex-wrap:wrap;gap:.3rem 1.1rem;margin:.5rem 0 0;"
    "padding:0;font-size:.8rem;color:var(--faint)}\n"
    ".v-legend li{display:flex;align-items:center;gap:.4rem}\n"
    ".v-legend svg{flex:none}\n";

/* Hundredths, rounded; nothing drawn lies below 0 or beyond ten times the width. */
void svg_draw_percent(struct pen *p, double percent)
{
    double bounded = percent < 0 ? 0 : percent > 1000 ? 1000 : percent;
    unsigned hundredths = (unsigned)(bounded * 100 + 0.5);

    pen_u64(p, hundredths / 100);
    if (hundredths % 100) {
        pen_char(p, '.');
        pen_digits(p, hundredths % 100, 2, '0');
    }
    pen_char(p, '%');
}

static void write_number(struct pen *p, const char *before, uint64_t n)
{
    pen_text(p, before);
    pen_u64(p, n);
    pen_char(p, '"');
}

static void write_percent(struct pen *p, const char *before, double percent)
{
    pen_text(p, before);
    svg_draw_percent(p, percent);
    pen_char(p, '"');
}

static void write_tag(struct pen *p, const char *name, const char *class)
{
    pen_char(p, '<');
    pen_text(p, name);
    pen_text(p, " class=\"");
    pen_text(p, class);
    pen_char(p, '"');
}

void svg_draw_id(struct pen *p, const char *name, const char *prefix, uint64_t number)
{
    pen_char(p, '<');
    pen_text(p, name);
    pen_text(p, " id=\"");
    pen_text(p, prefix);
    write_number(p, "", number);
    pen_char(p, '>');
}

void svg_draw_open(struct pen *p, const char *class, const char *prefix, uint64_t number,
                   unsigned height)
{
    write_tag(p, "svg", class);
    pen_text(p, " role=\"img\" aria-labelledby=\"");
    pen_text(p, prefix);
    pen_char(p, 't');
    pen_u64(p, number);
    pen_char(p, ' ');
    pen_text(p, prefix);
    pen_char(p, 'd');
    write_number(p, "", number);
    write_number(p, " width=\"100%\" height=\"", height);
    pen_text(p, " xmlns=\"http://www.w3.org/2000/svg\">\n");
}

void svg_draw_text_at(struct pen *p, const char *class, double x, unsigned y)
{
    write_tag(p, "text", class);
    write_percent(p, " x=\"", x);
    write_number(p, " y=\"", y);
    pen_text(p, x > 88 ? " text-anchor=\"end\">" : x > 12 ? " text-anchor=\"middle\">" : ">");
}

void svg_draw_upright(struct pen *p, const char *class, double x, unsigned from, unsigned to)
{
    write_tag(p, "line", class);
    write_percent(p, " x1=\"", x);
    write_percent(p, " x2=\"", x);
    write_number(p, " y1=\"", from);
    write_number(p, " y2=\"", to);
    pen_text(p, "/>\n");
}

void svg_draw_box(struct pen *p, const char *class, double x, double width, unsigned y,
                  unsigned height)
{
    write_tag(p, "rect", class);
    write_percent(p, " x=\"", x);
    write_percent(p, " width=\"", width);
    write_number(p, " y=\"", y);
    write_number(p, " height=\"", height);
    pen_text(p, height >= 6 && height <= 12 ? " rx=\"2\"/>\n" : "/>\n");
}

uint64_t svg_draw_step(uint64_t total, unsigned ticks)
{
    static const unsigned char factors[] = {1, 2, 5};

    for (uint64_t power = 1; power < UINT64_MAX / 100; power *= 10)
        for (unsigned i = 0; i < sizeof factors; i++)
            if (total / (power * factors[i]) <= ticks)
                return power * factors[i];
    return total;
}
