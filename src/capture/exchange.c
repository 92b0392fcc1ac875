#include "capture/exchange.h"

#include <assert.h>
#include <stdlib.h>

#include "base/clock.h"
#include "capture/inside.h"

static_assert(sizeof(struct conn) + sizeof(struct exchange) < 960,
              "a live flow has to stay under 1 KiB with its texts");

void exchange_mark(struct exchange *x, enum mark m, uint64_t at_ns, uint32_t number)
{
    uint64_t us = at_ns > x->begin_ns ? (at_ns - x->begin_ns) / NS_PER_US : 0;

    assert(m < MARK_COUNT);
    if (m == MARK_CLOSE && x->late_ns[m - MARK_LAST])
        return;
    if (m >= MARK_LAST) {
        x->late_ns[m - MARK_LAST] = at_ns;
    } else {
        if (x->marks_us[m])
            return;
        x->marks_us[m] = us < UINT32_MAX ? (uint32_t)us + 1 : UINT32_MAX;
    }
    x->packets[m] = number;
}

uint64_t exchange_get_ns(const struct exchange *x, enum mark m)
{
    assert(m < MARK_COUNT);
    if (m >= MARK_LAST)
        return x->late_ns[m - MARK_LAST];
    return x->marks_us[m] ? x->begin_ns + (x->marks_us[m] - 1) * NS_PER_US : 0;
}
