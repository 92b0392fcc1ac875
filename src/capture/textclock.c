#include "capture/textclock.h"

#include "base/clock.h"

#define DAY_NS (86400 * NS_PER_S)
#define ORDER_NS NS_PER_MS /* packets of a capture are that far out of order at most, mostly */

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
    if (d->time_ns < c->most_ns / 2) {
        c->halves++;
        c->is_deep |= c->most_ns - d->time_ns > ORDER_NS;
    }
    if (d->time_ns > c->most_ns)
        c->most_ns = d->time_ns;
    c->last_ns = d->time_ns;
    c->seen++;
}

/* Differences are as often smaller than the one before as larger, and of all sizes.  What goes on
 * from 0 (-ttttt) is out of order here and there, by a little. */
void textclock_settle(struct textclock *c)
{
    unsigned steps = c->seen - 1;
    bool runs_back = c->begins_at_zero
                         ? c->is_deep || c->halves * 4 >= steps || c->drops * 2 >= steps
                         : c->drops * 4 >= steps;

    c->is_delta = c->may_be_delta && c->drops > 0 && runs_back;
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
