/* The text is base64 of time (6 bytes, milliseconds), random (8), HMAC-SHA-256 over both (16 of
 * 32).
 *
 * A slot has eight words, each 32 counts: the block's number (count / 32) above, a bit a count
 * below. Block b lives in word b % 8, so that one compare-and-swap takes a count, whatever other
 * threads take: a word moves on to a newer block, never back.
 *
 * A slot changes its nonce under its bucket's lock: key to 0, words to 0, then the new key.  Who
 * took a count looks at the key once more: had it changed, the count may have gone into another
 * nonce's words, and the answer is "stale". */
#include "policy/nonce.h"

#include <assert.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/digest.h"
#include "base/hash.h"
#include "base/util.h"

#define TIME_LEN 6u
#define ID_LEN 8u
#define MAC_LEN 16u
#define RAW_LEN (TIME_LEN + ID_LEN + MAC_LEN)
#define FUTURE_MS 60000u /* clocks of a machine are this near to each other over a restart */
#define WORDS 8u
#define WAYS 8u
#define RESTART_WINDOW 64u

static_assert(DIGEST_BASE64_LEN(RAW_LEN) == NONCE_TEXT_LEN, "RAW_LEN is a multiple of three");

struct slot {
    _Atomic uint64_t id; /* 0: free, or changing hands */
    _Atomic uint64_t made_ms;
    _Atomic uint32_t floor; /* counts below it are refused */
    _Atomic uint64_t words[WORDS];
};

struct bucket {
    atomic_flag lock;           /* of changes of ids */
    _Atomic uint64_t forgotten; /* nonces made up to then, and not in the bucket, made room */
    struct slot slots[WAYS];
};

struct nonce_table {
    unsigned char key[NONCE_KEY_LEN];
    uint64_t started_ms;
    unsigned mask; /* of buckets */
    struct bucket buckets[];
};

struct nonce_table *nonce_table_new(const unsigned char key[NONCE_KEY_LEN], unsigned slots,
                                    uint64_t now_ms)
{
    unsigned buckets = slots / WAYS;
    struct nonce_table *t = calloc(1, sizeof *t + buckets * sizeof t->buckets[0]);

    if (!t)
        return NULL;
    assert(buckets > 0 && (buckets & (buckets - 1)) == 0);
    memcpy(t->key, key, sizeof t->key);
    t->started_ms = now_ms;
    t->mask = buckets - 1; /* zeroed memory is clear flags and empty slots here */
    return t;
}

void nonce_table_free(struct nonce_table *t)
{
    if (t)
        explicit_bzero(t->key, sizeof t->key);
    free(t);
}

static void write_mac(const struct nonce_table *t, const unsigned char *raw,
                      unsigned char out[DIGEST_LEN_MAX])
{
    digest_hmac(t->key, &(struct span){(const char *)raw, TIME_LEN + ID_LEN}, 1, out);
}

void nonce_make(const struct nonce_table *t, uint64_t now_ms, char out[NONCE_TEXT_LEN])
{
    unsigned char raw[RAW_LEN], mac[DIGEST_LEN_MAX];

    for (unsigned i = 0; i < TIME_LEN; i++)
        raw[i] = (unsigned char)(now_ms >> (8 * (TIME_LEN - 1 - i)));
    hash_random(raw + TIME_LEN, ID_LEN);
    write_mac(t, raw, mac);
    memcpy(raw + TIME_LEN + ID_LEN, mac, MAC_LEN);
    digest_write_base64(raw, sizeof raw, out);
}

enum nonce_state nonce_check(const struct nonce_table *t, struct span text, uint64_t now_ms,
                             uint64_t lifetime_ms, struct nonce *n)
{
    unsigned char raw[RAW_LEN], mac[DIGEST_LEN_MAX];

    *n = (struct nonce){0};
    if (text.len != NONCE_TEXT_LEN || digest_parse_base64(text, raw, sizeof raw) != RAW_LEN)
        return NONCE_FOREIGN;
    write_mac(t, raw, mac);
    if (!digest_equal(mac, raw + TIME_LEN + ID_LEN, MAC_LEN))
        return NONCE_FOREIGN;
    for (unsigned i = 0; i < TIME_LEN; i++)
        n->made_ms = n->made_ms << 8 | raw[i];
    memcpy(&n->id, raw + TIME_LEN, ID_LEN);
    n->id |= n->id == 0;
    if (n->made_ms > now_ms)
        return n->made_ms - now_ms > FUTURE_MS ? NONCE_STALE : NONCE_GOOD;
    return now_ms - n->made_ms > lifetime_ms ? NONCE_STALE : NONCE_GOOD;
}

static struct slot *find_slot(struct bucket *b, uint64_t id)
{
    for (unsigned i = 0; i < WAYS; i++)
        if (atomic_load_explicit(&b->slots[i].id, memory_order_acquire) == id)
            return &b->slots[i];
    return NULL;
}

/* A free slot or the one with the oldest nonce.  With the lock. */
static struct slot *find_room(struct bucket *b)
{
    struct slot *oldest = &b->slots[0];

    for (unsigned i = 0; i < WAYS; i++) {
        struct slot *s = &b->slots[i];

        if (atomic_load(&s->id) == 0)
            return s;
        if (atomic_load(&s->made_ms) < atomic_load(&oldest->made_ms))
            oldest = s;
    }
    return oldest;
}

/* Gives the slot to `n`.  With the lock. */
static void hand_over(struct bucket *b, struct slot *s, const struct nonce *n, uint32_t floor)
{
    uint64_t old = atomic_load(&s->made_ms);

    if (atomic_load(&s->id) != 0 && old > atomic_load(&b->forgotten))
        atomic_store(&b->forgotten, old);
    atomic_store(&s->id, 0);
    for (unsigned i = 0; i < WORDS; i++)
        atomic_store(&s->words[i], 0);
    atomic_store(&s->made_ms, n->made_ms);
    atomic_store(&s->floor, floor);
    atomic_store(&s->id, n->id);
}

/* The slot of a nonce whose first count this may be; NULL: it made room before. */
static struct slot *add_slot(struct nonce_table *t, struct bucket *b, const struct nonce *n,
                             uint32_t nc)
{
    bool inherited = n->made_ms <= t->started_ms;
    uint32_t floor = inherited && nc > RESTART_WINDOW ? nc - RESTART_WINDOW : 0;

    while (atomic_flag_test_and_set_explicit(&b->lock, memory_order_acquire))
        sched_yield();
    struct slot *s = find_slot(b, n->id); /* another thread's count may have been quicker */
    if (!s) {
        struct slot *room = find_room(b);
        bool full = atomic_load(&room->id) != 0;
        uint64_t gone = atomic_load(&b->forgotten);
        bool newer = n->made_ms > gone && (!full || n->made_ms > atomic_load(&room->made_ms));

        if (newer) {
            hand_over(b, room, n, floor);
            s = room;
        }
    }
    atomic_flag_clear_explicit(&b->lock, memory_order_release);
    return s;
}

/* One bit of one word; false when it was set or the word is a newer block's. */
static bool take_count(struct slot *s, uint32_t nc)
{
    uint64_t block = nc / 32, bit = 1ull << nc % 32;
    _Atomic uint64_t *word = &s->words[block % WORDS];
    uint64_t seen = atomic_load_explicit(word, memory_order_acquire), next;

    if (nc < atomic_load(&s->floor))
        return false;
    do {
        if (seen >> 32 > block || (seen >> 32 == block && (seen & bit)))
            return false;
        next = seen >> 32 == block ? seen | bit : block << 32 | bit;
    } while (!atomic_compare_exchange_weak(word, &seen, next));
    return true;
}

enum nonce_state nonce_use(struct nonce_table *t, const struct nonce *n, uint32_t nc)
{
    struct bucket *b = &t->buckets[hash_bytes(&n->id, sizeof n->id) & t->mask];
    struct slot *s = find_slot(b, n->id);

    if (!s)
        s = add_slot(t, b, n, nc);
    if (!s)
        return NONCE_STALE;
    bool taken = take_count(s, nc);
    if (atomic_load(&s->id) != n->id)
        return NONCE_STALE;
    return taken ? NONCE_GOOD : NONCE_REPLAYED;
}
