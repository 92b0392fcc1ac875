/* capture/textclock.h - the times of a text on one line: midnight, differences, none at all.
 *
 * What a line prints is a time of the day, a date, seconds since 1970 or a difference to the line
 * before; the same digits may be either (-ttt), which only several lines tell.  Pure; one thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "wire/dumptext.h"

struct textclock {
    bool is_delta;    /* -ttt: each time is a difference; set before the first line is added */
    bool begun;       /* a time was seen */
    uint64_t wall_ns; /* of the last line: since 1970, or since the midnight before the first */
    uint64_t top_ns;  /* the latest that was seen, on the same line */
    uint64_t at_ns;   /* never runs backwards; begins a second after 0 */
    uint64_t day_ns;  /* midnights that were passed */
    /* private: of the look at what is ahead */
    uint64_t last_ns, most_ns;
    unsigned seen, drops, halves; /* halves: less than half of the most so far */
    bool may_be_delta, begins_at_zero, is_deep;
};

void textclock_init(struct textclock *c);

/* Looks at a line that will come, to find out about -ttt.  Call for some lines, then settle. */
void textclock_look(struct textclock *c, const struct dumptext *d);
void textclock_settle(struct textclock *c);

/* Takes a packet's time; wall_ns and at_ns are then its. */
void textclock_add(struct textclock *c, const struct dumptext *d);
