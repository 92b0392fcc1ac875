/* cli/check_progress.h - how far a download is, as one line of a terminal that is drawn over and
 * over and leaves nothing behind.
 *
 * It goes to standard error, at most ten times a second.  The command line's one thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "render/pen.h"

struct check_progress {
    bool on;           /* standard error is a terminal, and the line is wanted */
    bool shown;        /* it is on the screen */
    uint64_t drawn_ns; /* when; 0: never */
    uint64_t bytes;    /* then */
    double rate;       /* bytes a second, smoothed */
};

/* Takes how much of `total` (0: unknown) is here, and draws when it is time to. */
void check_progress_update(struct check_progress *p, uint64_t bytes, uint64_t total,
                           uint64_t now_ns);

/* Takes the line off the screen. */
void check_progress_clear(struct check_progress *p);

/* The line itself, in at most `columns`: percent, bar, bytes, rate and the time that is left;
 * without a total bytes and rate.  What has no room is left out.  Pure. */
void check_progress_write(struct pen *pen, uint64_t bytes, uint64_t total, double rate,
                          unsigned columns);
