#include "capture/timeline.h"

#include "base/clock.h"

#define STEP_NS NS_PER_S
#define YOUNG 100 /* packets after which a bridge stays */

/* The clock jumped ahead by as much as it went back a few packets ago, and without the bridge the
 * line still does not run backwards. */
static bool is_back_again(const struct timeline *t, uint64_t clock_ns)
{
    return t->bridge_ns > 0 && t->since <= YOUNG && clock_ns >= t->clock_ns &&
           clock_ns - t->clock_ns >= t->bridge_ns &&
           clock_ns + t->shift_ns - t->bridge_ns >= t->line_ns;
}

uint64_t timeline_place(struct timeline *t, uint64_t clock_ns)
{
    uint64_t at_ns;

    if (!t->begun) {
        t->begun = true;
        t->shift_ns = clock_ns < NS_PER_S ? NS_PER_S : 0; /* a capture that begins at 0 */
    }
    if (is_back_again(t, clock_ns)) {
        t->shift_ns -= t->bridge_ns;
        t->bridge_ns = 0;
    }
    at_ns = clock_ns + t->shift_ns;
    if (at_ns + STEP_NS <= t->line_ns) {
        t->bridge_ns = t->line_ns - at_ns;
        t->shift_ns += t->bridge_ns;
        t->since = 0;
        t->back_steps++;
    }
    t->since += t->since <= YOUNG;
    t->clock_ns = clock_ns;
    if (at_ns > t->line_ns)
        t->line_ns = at_ns;
    return t->line_ns;
}
