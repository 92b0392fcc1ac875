#include "net/mtu.h"

#include <stddef.h>

#include "base/util.h"

/* Hardly a path is narrower: all sizes from here to Ethernet's can be told apart by the probes
 * left. */
#define ANCHOR 1220

/* Sizes that paths are met to have, largest first: Ethernet, PPPoE, tunnels (GRE, IPsec, WireGuard,
 * OpenVPN), the IPv6 minimum, the old Internet. */
static const uint32_t common[] = {1460, 1452, 1440, 1432, 1420, 1412, 1400, 1380,
                                  1360, 1340, 1322, 1300, 1260, 1220, 1160, 536};

uint32_t mtu_step_below(uint32_t mss)
{
    static const uint32_t steps[] = {1400, 1360, 1220};

    for (size_t i = 0; i < ARRAY_LEN(steps); i++)
        if (steps[i] < mss)
            return steps[i];
    return 0;
}

void mtu_search_init(struct mtu_search *m, uint32_t least, uint32_t most)
{
    *m = (struct mtu_search){.passes = least - 1, .fails = most + 1, .least = least, .most = most};
}

static bool is_common(uint32_t size)
{
    for (size_t i = 0; i < ARRAY_LEN(common); i++)
        if (common[i] == size)
            return true;
    return false;
}

static uint32_t distance(uint32_t a, uint32_t b)
{
    return a < b ? b - a : a - b;
}

/* The common size in the middle of what is open; 0: none is in there. */
static uint32_t common_between(uint32_t passes, uint32_t fails)
{
    uint32_t middle = passes + (fails - passes) / 2, best = 0;

    for (size_t i = 0; i < ARRAY_LEN(common); i++)
        if (common[i] > passes && common[i] < fails &&
            (!best || distance(common[i], middle) < distance(best, middle)))
            best = common[i];
    return best;
}

/* Whether halving can find the one size between the two with that many probes. */
static bool is_enough(unsigned probes, uint32_t passes, uint32_t fails)
{
    return fails - passes <= 1u << probes;
}

uint32_t mtu_search_next(const struct mtu_search *m)
{
    unsigned left = MTU_PROBES_MAX - m->probes;
    uint32_t size;

    if (m->fails - m->passes <= 1 || left == 0)
        return 0;
    if (m->probes == 0)
        return m->most; /* mostly nothing is wrong */
    if (ANCHOR > m->passes && ANCHOR < m->fails && m->fails >= m->most)
        return ANCHOR;
    size = common_between(m->passes, m->fails);
    if (!size && is_common(m->passes)) /* mostly it is just that one */
        size = m->passes + 1;
    if (size && is_enough(left - 1, m->passes, size) && is_enough(left - 1, size, m->fails))
        return size;
    return m->passes + (m->fails - m->passes) / 2;
}

void mtu_search_take(struct mtu_search *m, uint32_t size, bool passed)
{
    m->probes++;
    if (passed) {
        m->passes = size;
        if (m->fails <= size)
            m->fails = m->most + 1;
    } else {
        m->fails = size;
        if (m->passes >= size)
            m->passes = m->least - 1;
    }
}

uint32_t mtu_search_found(const struct mtu_search *m)
{
    return m->passes >= m->least ? m->passes : 0;
}
