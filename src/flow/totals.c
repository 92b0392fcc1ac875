#include "flow/totals.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/util.h"

static const uint32_t bounds[] = TOTALS_BOUNDS_US;
static_assert(ARRAY_LEN(bounds) + 1 == TOTALS_BUCKETS, "a bound has no bucket");

const uint32_t *totals_get_bounds(void)
{
    return bounds;
}

void totals_init(struct totals_book *b)
{
    *b = (struct totals_book){0};
    pthread_mutex_init(&b->lock, NULL);
}

void totals_free(struct totals *t)
{
    for (unsigned i = 0; i < t->rules_len; i++)
        free(t->rules[i].name);
    free(t->rules);
    *t = (struct totals){0};
}

void totals_fini(struct totals_book *b)
{
    totals_free(&b->sums);
    pthread_mutex_destroy(&b->lock);
}

static void add_duration(struct totals_durations *d, uint64_t us)
{
    unsigned i = 0;

    while (i < ARRAY_LEN(bounds) && us > bounds[i])
        i++;
    d->buckets[i]++;
    d->count++;
    d->sum_us += us;
}

/* Rules are few, and the one that was hit last is often hit again. */
static struct totals_rule *find_rule(struct totals *t, const char *name)
{
    for (unsigned i = 0; i < t->rules_len; i++)
        if (strcmp(t->rules[i].name, name) == 0)
            return &t->rules[i];
    return NULL;
}

static struct totals_rule *make_rule(struct totals *t, const char *name)
{
    struct totals_rule *grown;
    char *copy;

    if ((t->rules_len & (t->rules_len - 1)) == 0) { /* full at each power of two */
        grown = realloc(t->rules, (t->rules_len ? t->rules_len * 2 : 1) * sizeof *grown);
        if (!grown)
            return NULL;
        t->rules = grown;
    }
    copy = strdup(name);
    if (!copy)
        return NULL;
    t->rules[t->rules_len] = (struct totals_rule){.name = copy};
    return &t->rules[t->rules_len++];
}

static struct totals_rule *get_rule(struct totals *t, const char *name)
{
    struct totals_rule *r = find_rule(t, name);

    if (!r && t->rules_len < TOTALS_RULES_MAX)
        r = make_rule(t, name);
    if (!r)
        r = find_rule(t, "");
    return r ? r : make_rule(t, "");
}

static void count_rules(struct totals *t, const struct flow *f)
{
    uint64_t end_ns = f->start_ns + f->duration_ns;
    struct totals_rule *r = f->rule ? get_rule(t, f->rule) : NULL;
    const char *name;
    uint32_t at = 0;

    if (r) {
        r->hits++;
        r->denied += f->verdict == VERDICT_ACL_DENIED;
        r->last_ns = end_ns;
    }
    while ((name = flow_next_note(f, NOTE_REPORTED, NULL, &at))) {
        r = get_rule(t, name);
        if (!r)
            continue;
        r->reports++;
        r->last_ns = end_ns;
    }
}

void totals_add(struct totals_book *b, const struct flow *f)
{
    struct totals *t = &b->sums;

    pthread_mutex_lock(&b->lock);
    t->flows[f->verdict]++;
    t->superseded += f->superseded_by != 0;
    t->bytes_up += f->bytes_up;
    t->bytes_down += f->bytes_down;
    for (unsigned i = 0; i < WARNING_COUNT; i++)
        t->warnings[i] += f->warnings >> i & 1;
    for (unsigned i = 0; i < PHASE_COUNT; i++)
        if (f->outcomes[i] == OUTCOME_OK || f->outcomes[i] == OUTCOME_FAILED)
            add_duration(&t->phases[i], f->phases[i].duration_ns / NS_PER_US);
    for (unsigned i = 0; i < STEP_KIND_COUNT; i++)
        if (f->step_us[i])
            add_duration(&t->steps[i], f->step_us[i] - 1);
    count_rules(t, f);
    pthread_mutex_unlock(&b->lock);
}

bool totals_read(struct totals_book *b, struct totals *out)
{
    bool ok = true;

    pthread_mutex_lock(&b->lock);
    *out = b->sums;
    out->rules = calloc(out->rules_len ? out->rules_len : 1, sizeof *out->rules);
    out->rules_len = 0;
    for (unsigned i = 0; out->rules && ok && i < b->sums.rules_len; i++) {
        out->rules[i] = b->sums.rules[i];
        out->rules[i].name = strdup(b->sums.rules[i].name);
        ok = out->rules[i].name != NULL;
        out->rules_len += ok;
    }
    ok &= out->rules != NULL;
    pthread_mutex_unlock(&b->lock);
    if (!ok)
        totals_free(out);
    return ok;
}
