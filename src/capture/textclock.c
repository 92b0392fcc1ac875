#include "capture/textclock.h"

#include "base/clock.h"

#define DAY_NS (86400 * NS_PER_S)

void textclock_init(struct textclock *c)
{
    *c = (struct textclock){.at_ns = NS_PER_S, .may_be_delta = true};
}

void textclock_look(struct textclock *c, const struct dumptext *d)
{
    if (d->time_form != DUMPTEXT_TIME_CLOCK)
        return;
    if (d->time_ns >= 3600 * NS_PER_S)
        c->may_be_delta = false; /* no packet is an hour behind the one before it */
    if (c->seen == 0)
        c->begins_at_zero = d->time_ns == 0;
    else if (d->time_ns < c->last_ns)
        c->drops++;
    c->last_ns = d->time_ns;
    c->seen++;
}

void textclock_settle(struct textclock *c)
{
    bool runs_back = c->drops > 0 && (c->begins_at_zero || c->drops * 4 >= c->seen - 1);

    c->is_delta = c->may_be_delta && runs_back;
}

/* The next moment of a clock that shows the time of the day. */
static uint64_t follow_day(struct textclock *c, uint64_t ns)
{
    if (c->begun && c->day_ns + ns + DAY_NS / 2 < c->wall_ns)
        c->day_ns += DAY_NS;
    return c->day_ns + ns;
}

static uint64_t read(struct textclock *c, const struct dumptext *d)
{
    bool is_delta = d->time_form == DUMPTEXT_TIME_DELTA;

    if (d->time_form == DUMPTEXT_TIME_EPOCH)
        return d->time_ns;
    if (is_delta && d->is_negative)
        return c->wall_ns > d->time_ns && c->is_delta ? c->wall_ns - d->time_ns : c->wall_ns;
    if (is_delta || c->is_delta)
        return c->wall_ns + d->time_ns;
    return follow_day(c, d->time_ns);
}

void textclock_add(struct textclock *c, const struct dumptext *d)
{
    uint64_t wall = d->time_form == DUMPTEXT_TIME_NONE ? c->wall_ns : read(c, d);

    if (!c->begun)
        c->at_ns = wall + NS_PER_S;
    else if (wall > c->top_ns)
        c->at_ns += wall - c->top_ns;
    /* a clock that ran back by more than a moment goes on from there: two captures in one text */
    if (!c->begun || wall > c->top_ns || c->top_ns - wall > NS_PER_S)
        c->top_ns = wall;
    c->begun = c->begun || d->time_form != DUMPTEXT_TIME_NONE;
    c->wall_ns = wall;
}
