/* Marks and times are words of their own.  Where two workers write at once, a reader may see one's
 * mark with the other's time: both are of the same minute, and a mark that is not the reader's
 * decides nothing. */
#include "policy/trial.h"

#include <stdatomic.h>

#include "base/hash.h"

uint64_t trial_mark(const struct span *parts, size_t len)
{
    uint64_t mark = 0;

    for (size_t i = 0; i < len; i++) {
        uint64_t both[] = {mark, hash_bytes(parts[i].ptr, parts[i].len)};

        mark = hash_bytes(both, sizeof both);
    }
    return mark ? mark : 1;
}

bool trial_is_proved(const struct trial *t, uint64_t mark)
{
    return atomic_load_explicit(&t->proved, memory_order_acquire) == mark;
}

bool trial_is_held(const struct trial *t, uint64_t mark, uint64_t now_ns)
{
    return atomic_load_explicit(&t->refused, memory_order_acquire) == mark &&
           now_ns < atomic_load_explicit(&t->refused_until_ns, memory_order_relaxed);
}

void trial_prove(struct trial *t, uint64_t mark)
{
    if (!trial_is_proved(t, mark)) /* a line that all workers read is not written for nothing */
        atomic_store_explicit(&t->proved, mark, memory_order_release);
}

void trial_refuse(struct trial *t, uint64_t mark, uint64_t until_ns)
{
    uint64_t was = mark;

    atomic_store_explicit(&t->refused_until_ns, until_ns, memory_order_relaxed);
    atomic_store_explicit(&t->refused, mark, memory_order_release);
    atomic_compare_exchange_strong(&t->proved, &was, 0);
}

bool trial_take(struct trial *t, uint64_t now_ns, uint64_t until_ns)
{
    uint64_t taken = atomic_load_explicit(&t->taken_until_ns, memory_order_acquire);

    return now_ns >= taken && atomic_compare_exchange_strong(&t->taken_until_ns, &taken, until_ns);
}

void trial_give_back(struct trial *t, uint64_t until_ns)
{
    atomic_compare_exchange_strong(&t->taken_until_ns, &until_ns, 0);
}
