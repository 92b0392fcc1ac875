/* The hash is a polynomial over the prime 2^61 - 1, read from the end of the name, at a point that
 * is drawn once a process (hash_bytes is keyed).  Read from the end, the hashes of all parents of a
 * host fall out of one pass; drawn at random, two names collide with a probability under 254 / 2^61
 * whoever chose them, so a blocklist from a stranger cannot make long chains.
 *
 * An entry of the arena is length, kinds, name.  A slot is tag << 32 | (offset + 1), probed
 * linearly.  The tag is half of the mixed hash, the slot's place comes from the other half: a name
 * that is not in the set is nearly always told without touching the arena. */
#include "policy/domains.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"

#define NAME_MAX_LEN 253
#define LABEL_MAX_LEN 63
#define ENTRY_HEAD 2 /* length, kinds */
#define ENTRY_MAX (ENTRY_HEAD + NAME_MAX_LEN)
#define ARENA_MAX (UINT32_MAX - 1) /* a slot keeps offset + 1 in 32 bits */
#define PRIME (((uint64_t)1 << 61) - 1)

enum kind { KIND_SELF = 1, KIND_BELOW = 2 };

__extension__ typedef unsigned __int128 wide; /* the product of two 64-bit numbers */

static inline uint64_t hash_step(uint64_t h, uint64_t key, unsigned char c)
{
    wide product = (wide)h * key + c;
    uint64_t sum = ((uint64_t)product & PRIME) + (uint64_t)(product >> 61);

    return sum >= PRIME ? sum - PRIME : sum;
}

/* Spreads the hash over all bits (the finalizer of MurmurHash3). */
static inline uint64_t hash_end(uint64_t h)
{
    h ^= h >> 33;
    h *= 0xff51afd7ed558ccdull;
    h ^= h >> 33;
    h *= 0xc4ceb9fe1a85ec53ull;
    return h ^ h >> 33;
}

static inline uint32_t slot_of(const struct domains *d, uint64_t mixed)
{
    return (uint32_t)((mixed >> 32) * d->slots_len >> 32);
}

/* Room for the longest entry; grows by half. */
static bool arena_reserve(struct domains *d)
{
    size_t cap = d->arena_cap;

    if (cap - d->arena_len >= ENTRY_MAX)
        return true;
    cap += cap / 2 + ENTRY_MAX;
    if (cap > ARENA_MAX)
        cap = ARENA_MAX;
    if (cap - d->arena_len < ENTRY_MAX)
        return false;
    unsigned char *arena = realloc(d->arena, cap);
    if (!arena)
        return false;
    d->arena = arena;
    d->arena_cap = (uint32_t)cap;
    return true;
}

/* 0: not allowed in a name; else the byte as it is kept. */
static inline unsigned char name_byte(unsigned char c)
{
    if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_')
        return c;
    return c >= 'A' && c <= 'Z' ? c | 0x20 : 0;
}

/* Copies the name to `out` in lower case; NULL, or what is wrong. */
static const char *copy_name(struct span text, unsigned char *out)
{
    size_t label = 0;     /* length so far */
    bool letters = false; /* in this label: something else than digits */

    if (text.len == 0)
        return "an empty name";
    if (text.len > NAME_MAX_LEN)
        return "a name has at most 253 bytes";
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = name_byte((unsigned char)text.ptr[i]);

        if (c == 0)
            return text.ptr[i] == '*' ? "a wildcard stands only in front, as *.example.com"
                                      : "a name has only letters, digits, '-', '_' and dots";
        if (c == '.') {
            if (label == 0)
                return "an empty label";
            label = 0;
            letters = false;
        } else {
            if (++label > LABEL_MAX_LEN)
                return "a label has at most 63 bytes";
            letters |= c < '0' || c > '9';
        }
        out[i] = c;
    }
    if (label == 0)
        return "an empty label";
    return letters ? NULL : "neither a name nor an address";
}

/* Takes `*.` or `.` off the front and a dot off the end. */
static unsigned cut_kinds(struct span *text)
{
    unsigned kinds = KIND_SELF;

    if (text->len > 1 && text->ptr[0] == '*' && text->ptr[1] == '.') {
        kinds = KIND_BELOW;
        text->ptr += 2;
        text->len -= 2;
    } else if (text->len > 0 && text->ptr[0] == '.') {
        kinds = KIND_SELF | KIND_BELOW;
        text->ptr++;
        text->len--;
    }
    if (text->len > 0 && text->ptr[text->len - 1] == '.')
        text->len--;
    return kinds;
}

bool domains_add(struct domains *d, struct span text, const char **why)
{
    unsigned kinds = cut_kinds(&text);

    if (!arena_reserve(d)) {
        *why = "too many names for the memory";
        return false;
    }
    unsigned char *entry = d->arena + d->arena_len;
    const char *wrong = copy_name(text, entry + ENTRY_HEAD);
    if (wrong) {
        *why = wrong;
        return false;
    }
    entry[0] = (unsigned char)text.len;
    entry[1] = (unsigned char)kinds;
    d->arena_len += ENTRY_HEAD + (uint32_t)text.len;
    d->added++;
    return true;
}

/* The entry whose name is `name` with this hash, or NULL and in *free_slot where it would go. */
static unsigned char *find(const struct domains *d, const void *name, size_t len, uint64_t mixed,
                           uint32_t *free_slot)
{
    uint32_t i = slot_of(d, mixed);

    for (uint64_t slot; (slot = d->slots[i]) != 0; i = i + 1 == d->slots_len ? 0 : i + 1) {
        if ((uint32_t)(slot >> 32) != (uint32_t)mixed)
            continue;
        unsigned char *entry = d->arena + (uint32_t)slot - 1;
        if (entry[0] == len && memcmp(entry + ENTRY_HEAD, name, len) == 0)
            return entry;
    }
    *free_slot = i;
    return NULL;
}

static void insert(struct domains *d, uint32_t offset)
{
    const unsigned char *entry = d->arena + offset, *name = entry + ENTRY_HEAD;
    uint64_t h = 0;
    uint32_t at = 0;

    for (size_t i = entry[0]; i-- > 0;)
        h = hash_step(h, d->key, name[i]);
    h = hash_end(h);
    unsigned char *same = find(d, name, entry[0], h, &at);
    if (same) {
        same[1] |= entry[1];
        return;
    }
    d->slots[at] = h << 32 | (offset + 1);
    d->count++;
}

bool domains_seal(struct domains *d)
{
    size_t slots = (size_t)d->added + d->added / 2 + 2; /* filled to two thirds at most */

    if (slots > UINT32_MAX)
        return false;
    d->slots = calloc(slots, sizeof *d->slots);
    if (!d->slots)
        return false;
    d->slots_len = (uint32_t)slots;
    d->key = hash_bytes("domains", 7) % (PRIME - 2) + 2;
    for (uint32_t at = 0; at < d->arena_len; at += ENTRY_HEAD + d->arena[at])
        insert(d, at);

    unsigned char *less = d->arena_len > 0 ? realloc(d->arena, d->arena_len) : NULL;
    if (less) { /* shrinking may fail; then the old block stays */
        d->arena = less;
        d->arena_cap = d->arena_len;
    }
    return true;
}

bool domains_has(const struct domains *d, struct span host)
{
    uint64_t h = 0;
    uint32_t unused;

    if (d->count == 0 || host.len > NAME_MAX_LEN)
        return false;
    for (size_t i = host.len; i-- > 0;) {
        h = hash_step(h, d->key, (unsigned char)host.ptr[i]);
        if (i > 0 && host.ptr[i - 1] != '.')
            continue;
        const unsigned char *entry = find(d, host.ptr + i, host.len - i, hash_end(h), &unused);
        if (entry && (entry[1] & (i == 0 ? KIND_SELF : KIND_BELOW)))
            return true;
    }
    return false;
}

size_t domains_count_bytes(const struct domains *d)
{
    return d->arena_cap + (size_t)d->slots_len * sizeof *d->slots;
}

void domains_fini(struct domains *d)
{
    free(d->arena);
    free(d->slots);
    *d = (struct domains){0};
}
