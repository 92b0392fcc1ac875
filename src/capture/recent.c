#include "capture/recent.h"

#include <assert.h>

static struct recent *get(struct recents *r, uint32_t slot_1)
{
    return slot_1 ? &r->slots[slot_1 - 1] : NULL;
}

static void unchain(struct recents *r, struct recent *one)
{
    struct recent *newer = get(r, one->newer), *older = get(r, one->older);

    if (newer)
        newer->older = one->older;
    else
        r->chains[one->key % RECENTS_MAX] = one->older;
    if (older)
        older->newer = one->newer;
    *one = (struct recent){0};
}

void recents_forget(struct recents *r, struct exchange *x)
{
    while (x->recent) {
        struct recent *one = get(r, x->recent);

        assert(one->x == x);
        x->recent = one->same;
        unchain(r, one);
    }
}

void recents_add(struct recents *r, struct exchange *x, uint64_t key, uint64_t at_ns)
{
    uint32_t slot = r->next++ % RECENTS_MAX;
    struct recent *one = &r->slots[slot];
    uint32_t *chain = &r->chains[key % RECENTS_MAX];

    if (one->x)
        recents_forget(r, one->x);
    *one = (struct recent){.x = x, .key = key, .at_ns = at_ns, .older = *chain, .same = x->recent};
    if (one->older)
        get(r, one->older)->newer = slot + 1;
    *chain = x->recent = slot + 1;
}

/* The next under that key, from this slot on. */
static const struct recent *find(const struct recents *r, uint32_t slot_1, uint64_t key)
{
    while (slot_1 && r->slots[slot_1 - 1].key != key)
        slot_1 = r->slots[slot_1 - 1].older;
    return slot_1 ? &r->slots[slot_1 - 1] : NULL;
}

const struct recent *recents_first(const struct recents *r, uint64_t key)
{
    return find(r, r->chains[key % RECENTS_MAX], key);
}

const struct recent *recents_next(const struct recents *r, const struct recent *one)
{
    return find(r, one->older, one->key);
}
