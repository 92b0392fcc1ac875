/* capture/timeline.h - from a capture's clock to a line of time that never runs backwards.
 *
 * A clock that is set back by a second or more is bridged: time goes on from where it was, and
 * where the clock comes back at once, as of one packet that was late, the bridge goes too.  What is
 * out of order by less holds the line.  Pure; one a file. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct timeline {
    bool begun;
    uint64_t shift_ns;  /* added to the clock */
    uint64_t line_ns;   /* where the line is */
    uint64_t clock_ns;  /* of the packet before */
    uint64_t bridge_ns; /* what the last bridge added; 0: it is for good */
    uint32_t since;     /* packets since then */
    uint32_t back_steps;
};

/* The next packet's place on the line, in nanoseconds; never 0. */
uint64_t timeline_place(struct timeline *t, uint64_t clock_ns);
