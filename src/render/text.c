/* The access log for people: one line a flow, as a terminal shows it best.
 *
 * 2026-11-23 06:00:00.123 10.40.40.1:40220 fmc CONNECT updates.example.net:443 200 up 1834 B
 * down 5.1 KiB 812.3 ms ok in close by client, rule updates */
#include "render/render.h"

#include "render/date.h"
#include "render/escape.h"
#include "render/human.h"

static void write_status(struct pen *p, unsigned status)
{
    if (status)
        pen_u64(p, status);
    else
        pen_char(p, '-');
}

/* ", rule NAME: reason"; the rule is left out where the reason names it already. */
static void write_why(struct pen *p, const struct flow *f)
{
    if (f->rule && !(f->reason && strstr(f->reason, f->rule))) {
        pen_text(p, ", rule ");
        escape_text(p, span_of(f->rule));
    }
    if (f->reason && *f->reason) {
        pen_text(p, ": ");
        escape_text(p, span_of(f->reason));
    }
}

static void write_flow(struct pen *p, const struct flow *f)
{
    date_write_local(p, f->start_ns);
    pen_char(p, ' ');
    human_side(p, f, SIDE_CLIENT);
    pen_char(p, ' ');
    escape_text(p, f->user ? span_of(f->user) : SPAN_LIT("-"));
    pen_char(p, ' ');
    human_request(p, f);
    pen_char(p, ' ');
    write_status(p, f->status);
    pen_text(p, " up ");
    human_bytes(p, f->bytes_up);
    pen_text(p, " down ");
    human_bytes(p, f->bytes_down);
    pen_char(p, ' ');
    human_duration(p, f->duration_ns);
    pen_char(p, ' ');
    human_ending(p, f);
    write_why(p, f);
    pen_char(p, '\n');
}

bool render_text(struct buf *out, const struct flow *f)
{
    struct pen pen;

    pen_init_draft(&pen, out);
    write_flow(&pen, f);
    return pen_end_draft(&pen, out);
}
