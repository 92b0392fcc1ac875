#include "cli/explain_keep.h"

#include <stdlib.h>
#include <string.h>

#include "capture/series.h"

bool explain_keep_init(struct explain_keep *k, unsigned max, unsigned plots_max)
{
    *k = (struct explain_keep){.max = max, .plots_max = plots_max};
    k->items = calloc((size_t)max + 1, sizeof(struct kept *));
    return k->items != NULL;
}

void explain_keep_count(struct explain_keep *k, const struct flow *f)
{
    k->flows++;
    k->incomplete += (f->warnings >> WARNING_CAPTURE_INCOMPLETE) & 1;
    if (f->superseded_by) {
        k->superseded++;
        return;
    }
    k->verdicts[f->verdict]++;
    if (rank_is_failure(f)) {
        k->failed++;
        return;
    }
    for (unsigned i = 0; i < WARNING_COUNT; i++)
        k->warned[i] += (f->warnings >> i) & 1;
}

static void drop_plot(struct kept *item)
{
    if (item->plot)
        series_free(&item->plot, NULL);
}

static void drop(struct kept *item)
{
    drop_plot(item);
    flow_fini(&item->flow);
    free(item);
}

/* The place of a flow among the others: behind those that are as bad. */
static unsigned find_place(const struct explain_keep *k, const struct flow *f)
{
    unsigned from = 0, to = k->len;

    while (from < to) {
        unsigned middle = from + (to - from) / 2;

        if (rank_compare(f, &k->items[middle]->flow) < 0)
            to = middle;
        else
            from = middle + 1;
    }
    return from;
}

void explain_keep_offer(struct explain_keep *k, struct flow *f, struct series **plot)
{
    unsigned place = find_place(k, f);
    struct kept *item = place < k->max ? calloc(1, sizeof *item) : NULL;

    if (!item)
        return;
    item->flow = *f;
    *f = (struct flow){0};
    if (plot && place < k->plots_max) {
        item->plot = *plot;
        *plot = NULL;
    }
    memmove(k->items + place + 1, k->items + place, (k->len - place) * sizeof(struct kept *));
    k->items[place] = item;
    k->len++;
    if (k->len > k->max)
        drop(k->items[--k->len]);
    if (k->plots_max < k->len)
        drop_plot(k->items[k->plots_max]);
}

void explain_keep_fini(struct explain_keep *k)
{
    for (unsigned i = 0; i < k->len; i++)
        drop(k->items[i]);
    free(k->items);
    *k = (struct explain_keep){0};
}
