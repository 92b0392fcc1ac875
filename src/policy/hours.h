/* policy/hours.h - times of the week: `Mon-Fri 06:00-22:00 Sat 08:00-12:00`.
 *
 * Local time without a date: who asks says which minute of the week it is.  Immutable once built.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/span.h"

#define HOURS_WEEK (7 * 24 * 60) /* minutes; 0 is Monday 00:00 */

struct hours {
    uint8_t minutes[HOURS_WEEK / 8]; /* a bit a minute: asked in one step */
};

/* Adds what the words say: days (`Mon`, `Mon-Fri`, `Sat,Sun`; a range may wrap, `Sat-Mon`) hold for
 * the times that follow them, until the next days; times (`06:00-22:00`, several with commas, to
 * the minute before the second) without days hold every day, days without times all day.
 * 22:00-06:00 crosses midnight and belongs to the day it begins on.  False with *err, and *bad =
 * index of the wrong word. */
bool hours_add(struct hours *h, const struct span *words, unsigned n, unsigned *bad,
               struct err *err);

bool hours_has(const struct hours *h, int week_minute);
