/* A slot is one word, so that it changes in one step: tag of who failed, a pair or a client (32
 * bits), second of the first failure (24, they come round after half a year), failures (8).  A slot
 * whose time is over is free.  Who failed lives in the WINDOW slots from its home on; two workers
 * that meet somebody new at once may give it two slots, and it gets a few tries more. */
#include "policy/attempts.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/hash.h"

#define SLOTS (1u << 14)
#define WINDOW 16u
#define SECOND_MASK 0xffffffu
#define COUNT_MASK 0xffu

struct attempts {
    _Atomic uint64_t slots[SLOTS];
};

struct attempts *attempts_new(void)
{
    return calloc(1, sizeof(struct attempts));
}

void attempts_free(struct attempts *a)
{
    free(a);
}

static uint64_t hash_client(const struct addr *client)
{
    return hash_bytes(client->bytes, client->family == AF_INET ? 4 : 8);
}

static uint64_t hash_pair(const struct addr *client, struct span user)
{
    uint64_t parts[] = {hash_client(client), hash_bytes(user.ptr, user.len)};

    return hash_bytes(parts, sizeof parts);
}

static uint32_t second_of(uint64_t now_ns)
{
    return (uint32_t)(now_ns / NS_PER_S) & SECOND_MASK;
}

static unsigned count_of(uint64_t word)
{
    return (unsigned)(word & COUNT_MASK);
}

/* Seconds since the first failure of a slot. */
static uint32_t age_of(uint64_t word, uint32_t now_s)
{
    return (now_s - (uint32_t)(word >> 8)) & SECOND_MASK;
}

static bool is_free(uint64_t word, uint32_t now_s)
{
    return count_of(word) == 0 || age_of(word, now_s) >= ATTEMPTS_SPAN_S;
}

static bool is_of(uint64_t word, uint64_t hash)
{
    return (word ^ hash) >> 32 == 0;
}

/* Whether slot `x` is the better one to give to somebody new: free, else with fewer failures. */
static bool is_better(uint64_t x, uint64_t than, uint32_t now_s)
{
    if (is_free(than, now_s))
        return false;
    return is_free(x, now_s) || count_of(x) < count_of(than);
}

static void add(struct attempts *a, uint64_t hash, uint32_t now_s)
{
    for (;;) {
        _Atomic uint64_t *chosen = NULL;
        uint64_t seen = 0, next;

        for (uint32_t i = 0; i < WINDOW; i++) {
            _Atomic uint64_t *slot = &a->slots[((uint32_t)hash + i) % SLOTS];
            uint64_t word = atomic_load_explicit(slot, memory_order_relaxed);
            bool mine = is_of(word, hash) && !is_free(word, now_s);

            if (mine || !chosen || is_better(word, seen, now_s)) {
                chosen = slot;
                seen = word;
            }
            if (mine)
                break;
        }
        if (!is_of(seen, hash) || is_free(seen, now_s))
            next = (hash & ~(uint64_t)UINT32_MAX) | (uint64_t)now_s << 8 | 1;
        else if (count_of(seen) < COUNT_MASK)
            next = seen + 1;
        else
            return;
        if (atomic_compare_exchange_weak_explicit(chosen, &seen, next, memory_order_relaxed,
                                                  memory_order_relaxed))
            return;
    }
}

void attempts_add(struct attempts *a, const struct addr *client, struct span user, uint64_t now_ns)
{
    add(a, hash_pair(client, user), second_of(now_ns));
    add(a, hash_client(client), second_of(now_ns));
}

/* Seconds to wait, 0: there were less than `max` failures. */
static unsigned wait_of(const struct attempts *a, uint64_t hash, unsigned max, uint32_t now_s)
{
    for (uint32_t i = 0; i < WINDOW; i++) {
        uint64_t word =
            atomic_load_explicit(&a->slots[((uint32_t)hash + i) % SLOTS], memory_order_relaxed);

        if (is_of(word, hash) && !is_free(word, now_s) && count_of(word) >= max)
            return ATTEMPTS_SPAN_S - age_of(word, now_s);
    }
    return 0;
}

unsigned attempts_wait_s(const struct attempts *a, const struct addr *client, struct span user,
                         uint64_t now_ns)
{
    uint32_t now_s = second_of(now_ns);
    unsigned of_pair = wait_of(a, hash_pair(client, user), ATTEMPTS_MAX, now_s);
    unsigned of_client = wait_of(a, hash_client(client), ATTEMPTS_CLIENT_MAX, now_s);

    return of_pair > of_client ? of_pair : of_client;
}
