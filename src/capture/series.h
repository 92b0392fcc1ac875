/* capture/series.h - bytes over time, both directions, for a plot: at most 512 points a flow.
 *
 * A series starts small and doubles; a full one halves its resolution.  One thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define SERIES_POINTS_MAX 512

enum series_mark {
    SERIES_DATA,          /* new bytes */
    SERIES_RETRANSMITTED, /* sent again: `bytes` is where */
    SERIES_CLOSED,        /* the receiver's window is closed from here */
    SERIES_OPENED,
    SERIES_FIN,
    SERIES_RST,
};

struct series_point {
    uint32_t at_us;    /* since the connection's first packet; 71 minutes, then it stays */
    uint32_t bytes_kb; /* sent so far by that side, in units of `unit` bytes */
    uint8_t dir;       /* enum dir */
    uint8_t mark;      /* enum series_mark; when points are joined, the graver one stays */
};

struct series {
    uint32_t len, cap;
    uint32_t step_us; /* points of one kind nearer to each other are joined; 0: none are */
    uint32_t unit;    /* bytes, a power of two */
    struct series_point points[];
};

/* What happened, as the connection tells it. */
struct series_event {
    uint64_t since_ns; /* since the connection's first packet */
    uint64_t bytes;    /* sent so far by that side */
    unsigned dir;      /* enum dir */
    enum series_mark mark;
};

/* Adds a point; *s is made, grown or thinned out as needed.  Out of memory, or beyond `*budget`
 * bytes (what is used is taken off it): it is left out. */
void series_add(struct series **s, uint64_t *budget, const struct series_event *e);
void series_free(struct series **s, uint64_t *budget);
