#include "render/human.h"

#include "base/clock.h"
#include "render/escape.h"

/* n / unit with one decimal, rounded down. */
static void write_tenths(struct pen *p, uint64_t n, uint64_t unit)
{
    pen_u64(p, n / unit);
    pen_char(p, '.');
    pen_u64(p, n % unit * 10 / unit);
}

void human_bytes(struct pen *p, uint64_t n)
{
    static const char *const names[] = {" KiB", " MiB", " GiB", " TiB"};
    unsigned shift = 10, i = 0;

    if (n < 1024) {
        pen_u64(p, n);
        pen_text(p, " B");
        return;
    }
    for (; i < 3 && n >> shift >= 1024; i++)
        shift += 10;
    write_tenths(p, n, (uint64_t)1 << shift);
    pen_text(p, names[i]);
}

void human_duration(struct pen *p, uint64_t ns)
{
    if (ns < NS_PER_MS) {
        pen_u64(p, ns / NS_PER_US);
        pen_text(p, " us");
    } else if (ns < NS_PER_S) {
        write_tenths(p, ns, NS_PER_MS);
        pen_text(p, " ms");
    } else if (ns < 60 * NS_PER_S) {
        write_tenths(p, ns, NS_PER_S);
        pen_text(p, " s");
    } else {
        uint64_t seconds = ns / NS_PER_S;

        pen_u64(p, seconds / 3600);
        pen_char(p, ':');
        pen_digits(p, seconds / 60 % 60, 2, '0');
        pen_char(p, ':');
        pen_digits(p, seconds % 60, 2, '0');
    }
}

void human_endpoint(struct pen *p, const struct endpoint *e)
{
    char text[ENDPOINT_TEXT_MAX];

    if (e->addr.family)
        pen_bytes(p, text, endpoint_write(e, text));
    else
        pen_char(p, '-');
}

static const struct endpoint *endpoint_of(const struct flow *f, enum side side)
{
    return side == SIDE_CLIENT ? &f->client : side == SIDE_PROXY ? &f->proxy : &f->address;
}

bool human_has_side(const struct flow *f, enum side side)
{
    return endpoint_of(f, side)->addr.family || *flow_find_note(f, NOTE_NAME, side);
}

void human_side(struct pen *p, const struct flow *f, enum side side)
{
    const char *name = flow_find_note(f, NOTE_NAME, side);

    if (*name)
        escape_text(p, span_of(name));
    else
        human_endpoint(p, endpoint_of(f, side));
}

void human_request(struct pen *p, const struct flow *f)
{
    const char *what = f->url ? f->url : f->target;

    escape_text(p, f->method ? span_of(f->method) : SPAN_LIT("-"));
    pen_char(p, ' ');
    escape_text(p, what ? span_of(what) : SPAN_LIT("-"));
}

void human_asked(struct pen *p, const struct flow *f)
{
    const char *what = f->url ? f->url : f->target;

    if (f->method)
        human_request(p, f);
    else
        escape_text(p, what ? span_of(what) : SPAN_LIT("no request seen"));
}

void human_ending(struct pen *p, const struct flow *f)
{
    pen_text(p, verdict_get_info(f->verdict)->name);
    pen_text(p, " in ");
    pen_text(p, phase_name(f->ended ? f->ended_in : f->phase));
    if (f->ended_by != SIDE_NOBODY) {
        pen_text(p, " by ");
        pen_text(p, verdict_side_name(f->ended_by));
    }
    if (f->certainty == CERTAINTY_INFERRED || !verdict_is_success(f->verdict)) {
        pen_text(p, " (");
        pen_text(p, verdict_certainty_name(f->certainty));
        pen_char(p, ')');
    }
}
