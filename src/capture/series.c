#include "capture/series.h"

#include <assert.h>
#include <stdlib.h>

#include "base/clock.h"

#define POINTS_FIRST 8      /* a short flow has no more */
#define STEP_FIRST_US 1000u /* once they are thinned out */

static_assert(sizeof(struct series_point) <= 12, "they are many");

static size_t get_size(uint32_t cap)
{
    return sizeof(struct series) + cap * sizeof(struct series_point);
}

/* Makes room for more points, as far as the budget goes. */
static bool grow(struct series **s, uint64_t *budget)
{
    uint32_t had = *s ? (*s)->cap : 0, cap = had ? 2 * had : POINTS_FIRST;
    size_t more = get_size(cap) - (had ? get_size(had) : 0);
    struct series *grown;

    if (had >= SERIES_POINTS_MAX || more > *budget)
        return false;
    grown = realloc(*s, get_size(cap));
    if (!grown)
        return false;
    if (!had)
        *grown = (struct series){.unit = 1};
    grown->cap = cap;
    *budget -= more;
    *s = grown;
    return true;
}

/* Makes one point of two near ones, of `to` and the later `from`.  How far the bytes are is told by
 * the later one; of marks the graver stays. */
static void join(struct series_point *to, const struct series_point *from)
{
    if (from->mark >= to->mark)
        to->mark = from->mark;
    if (from->bytes_kb > to->bytes_kb)
        to->bytes_kb = from->bytes_kb;
}

/* The last point of that direction, if `p` is near enough to be joined with it; or NULL. */
static struct series_point *find_near(struct series *s, uint32_t len, const struct series_point *p)
{
    for (uint32_t i = len; i-- > 0;) {
        struct series_point *at = &s->points[i];

        if (p->at_us - at->at_us >= s->step_us)
            return NULL;
        if (at->dir == p->dir)
            return at;
    }
    return NULL;
}

/* Half the resolution, or less, until a quarter of the places is free: at the latest when all of a
 * direction is one point. */
static void thin_out(struct series *s)
{
    while (s->len > s->cap / 4 * 3) {
        uint32_t len = 0;

        s->step_us = s->step_us ? 2 * s->step_us : STEP_FIRST_US;
        for (uint32_t i = 0; i < s->len; i++) {
            struct series_point *near = find_near(s, len, &s->points[i]);

            if (near)
                join(near, &s->points[i]);
            else
                s->points[len++] = s->points[i];
        }
        s->len = len;
    }
}

/* The position in the series' unit; where it does not fit, all of them get a coarser one. */
static uint32_t scale(struct series *s, uint64_t bytes)
{
    while (bytes / s->unit > UINT32_MAX) {
        s->unit *= 2;
        for (uint32_t i = 0; i < s->len; i++)
            s->points[i].bytes_kb /= 2;
    }
    return (uint32_t)(bytes / s->unit);
}

void series_add(struct series **s, uint64_t *budget, const struct series_event *e)
{
    uint64_t us = e->since_ns / NS_PER_US;
    struct series_point *near;
    struct series_point p = {
        .at_us = us < UINT32_MAX ? (uint32_t)us : UINT32_MAX,
        .dir = (uint8_t)e->dir,
        .mark = (uint8_t)e->mark,
    };

    if (!*s && !grow(s, budget))
        return;
    p.bytes_kb = scale(*s, e->bytes < UINT64_MAX / 2 ? e->bytes : UINT64_MAX / 2);
    if ((*s)->len && p.at_us < (*s)->points[(*s)->len - 1].at_us)
        p.at_us = (*s)->points[(*s)->len - 1].at_us;
    if ((*s)->len == (*s)->cap && !grow(s, budget))
        thin_out(*s);
    near = (*s)->step_us ? find_near(*s, (*s)->len, &p) : NULL;
    if (near)
        join(near, &p);
    else
        (*s)->points[(*s)->len++] = p;
}

void series_free(struct series **s, uint64_t *budget)
{
    if (*s && budget)
        *budget += get_size((*s)->cap);
    free(*s);
    *s = NULL;
}
