/* net/wheel.h - a hierarchical timer wheel: arming and cancelling cost a few stores.
 *
 * Ticks are 4 ms; four levels of 64 slots reach 18 hours, later deadlines wait in the last slot and
 * are looked at again.  Timers fire late by a tick at most, never early.  One thread; time is an
 * argument. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"

#define WHEEL_TICK_NS 4000000ull
#define WHEEL_LEVELS 4
#define WHEEL_SLOTS 64

struct wheel_timer {
    struct list node;     /* zeroed: not armed */
    uint64_t deadline_ns; /* while armed */
};

struct wheel {
    uint64_t tick;               /* all before it have fired */
    uint64_t used[WHEEL_LEVELS]; /* a bit set: that slot may hold timers */
    struct list slots[WHEEL_LEVELS][WHEEL_SLOTS];
};

void wheel_init(struct wheel *w, uint64_t now_ns);

/* Arms or moves the timer. */
void wheel_arm(struct wheel *w, struct wheel_timer *t, uint64_t deadline_ns);
void wheel_cancel(struct wheel_timer *t);
static inline bool wheel_is_armed(const struct wheel_timer *t)
{
    return !list_is_empty(&t->node);
}

/* The next timer that is due, disarmed; NULL when none is.  Call until NULL. */
struct wheel_timer *wheel_next_due(struct wheel *w, uint64_t now_ns);

/* A moment at which to look again: not after the earliest deadline's tick; UINT64_MAX: no timer. */
uint64_t wheel_next_ns(const struct wheel *w);
