/* A timer lies in the level whose span holds its distance from now, in the slot its tick names.
 * When the wheel's tick enters a slot of a higher level, that slot's timers are placed again,
 * nearer. */
#include "net/wheel.h"

#include <stddef.h>

#include "base/util.h"

#define SLOT_BITS 6

void wheel_init(struct wheel *w, uint64_t now_ns)
{
    w->tick = now_ns / WHEEL_TICK_NS;
    for (int level = 0; level < WHEEL_LEVELS; level++) {
        w->used[level] = 0;
        for (int i = 0; i < WHEEL_SLOTS; i++)
            list_init(&w->slots[level][i]);
    }
}

static void place(struct wheel *w, struct wheel_timer *t)
{
    uint64_t tick = t->deadline_ns / WHEEL_TICK_NS + (t->deadline_ns % WHEEL_TICK_NS > 0);
    uint64_t ahead;
    int level = 0;
    unsigned slot;

    if (tick < w->tick)
        tick = w->tick;
    ahead = tick - w->tick;
    while (level < WHEEL_LEVELS - 1 && ahead >= 1ull << (SLOT_BITS * (level + 1)))
        level++;
    if (ahead >= 1ull << (SLOT_BITS * WHEEL_LEVELS)) /* beyond the wheel: the farthest slot */
        tick = w->tick + (1ull << (SLOT_BITS * WHEEL_LEVELS)) - 1;
    slot = (unsigned)(tick >> (SLOT_BITS * level)) % WHEEL_SLOTS;
    list_push_back(&w->slots[level][slot], &t->node);
    w->used[level] |= 1ull << slot;
}

void wheel_arm(struct wheel *w, struct wheel_timer *t, uint64_t deadline_ns)
{
    list_remove(&t->node);
    t->deadline_ns = deadline_ns;
    place(w, t);
}

void wheel_cancel(struct wheel_timer *t)
{
    list_remove(&t->node);
}

/* Places the timers of the higher slots that the wheel's tick just entered. */
static void cascade(struct wheel *w)
{
    for (int level = 1; level < WHEEL_LEVELS; level++) {
        unsigned slot = (unsigned)(w->tick >> (SLOT_BITS * level)) % WHEEL_SLOTS;
        struct list *head = &w->slots[level][slot];
        struct list moved;

        if (w->tick & ((1ull << (SLOT_BITS * level)) - 1))
            return;
        if (!(w->used[level] & 1ull << slot))
            continue;
        w->used[level] &= ~(1ull << slot);
        if (list_is_empty(head))
            continue;
        moved = *head;
        moved.next->prev = moved.prev->next = &moved;
        list_init(head);
        while (!list_is_empty(&moved)) {
            struct list *node = moved.next;

            list_remove(node);
            place(w, CONTAINER_OF(node, struct wheel_timer, node));
        }
    }
}

/* Steps to the next tick that holds something, or to `to`; returns false there. */
static bool step(struct wheel *w, uint64_t to)
{
    unsigned slot = (unsigned)(w->tick % WHEEL_SLOTS);
    uint64_t later = slot == WHEEL_SLOTS - 1 ? 0 : w->used[0] >> (slot + 1);
    uint64_t jump = later ? (uint64_t)__builtin_ctzll(later) + 1 : WHEEL_SLOTS - slot;

    if (w->tick >= to)
        return false;
    w->tick += jump < to - w->tick ? jump : to - w->tick;
    if (w->tick % WHEEL_SLOTS == 0)
        cascade(w);
    return true;
}

struct wheel_timer *wheel_next_due(struct wheel *w, uint64_t now_ns)
{
    uint64_t to = now_ns / WHEEL_TICK_NS;

    do {
        unsigned slot = (unsigned)(w->tick % WHEEL_SLOTS);
        struct list *head = &w->slots[0][slot];

        while (!list_is_empty(head)) {
            struct wheel_timer *t = CONTAINER_OF(head->next, struct wheel_timer, node);

            if (t->deadline_ns > now_ns)
                break; /* armed for this very tick; it waits for the next look */
            list_remove(&t->node);
            return t;
        }
        if (!list_is_empty(head))
            break;
        w->used[0] &= ~(1ull << slot);
    } while (step(w, to));
    return NULL;
}

/* The least of all levels: a timer that was placed long ago may lie in a higher level and yet be
 * due before one that was placed just now. */
uint64_t wheel_next_ns(const struct wheel *w)
{
    uint64_t least = UINT64_MAX;

    for (int level = 0; level < WHEEL_LEVELS; level++) {
        /* a higher level's own slot was emptied on entering it: what lies there is a whole turn
         * away */
        uint64_t base = (w->tick >> (SLOT_BITS * level)) + (level > 0);
        unsigned at = (unsigned)(base % WHEEL_SLOTS);
        uint64_t used = w->used[level];
        uint64_t turned = at ? used >> at | used << (WHEEL_SLOTS - at) : used;
        uint64_t at_ns;

        if (!turned)
            continue;
        at_ns = ((base + (uint64_t)__builtin_ctzll(turned)) << (SLOT_BITS * level)) * WHEEL_TICK_NS;
        if (at_ns < least)
            least = at_ns;
    }
    return least;
}
