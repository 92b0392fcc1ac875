/* store/bits.h - which flows of a block: one bit each, and its two forms in the database.
 *
 * Few flows are kept as their numbers, two bytes each, little end first; many as the bits.  Pure;
 * any thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BLOCK_FLOWS 1024u /* flows of a block at most */
#define BITS_LEN (BLOCK_FLOWS / 8)

struct bits {
    uint64_t words[BLOCK_FLOWS / 64];
};

static inline void bits_set(struct bits *b, unsigned n)
{
    b->words[n / 64] |= 1ull << n % 64;
}

static inline bool bits_has(const struct bits *b, unsigned n)
{
    return b->words[n / 64] >> n % 64 & 1;
}

void bits_and(struct bits *b, const struct bits *other);
/* Whether it has all bits of another. */
bool bits_cover(const struct bits *b, const struct bits *other);
unsigned bits_count(const struct bits *b);

/* The highest bit below `before`; -1: none. */
int bits_last(const struct bits *b, unsigned before);

/* Adds what bits_write wrote; bytes that are none of it add nothing. */
void bits_or_bytes(struct bits *b, const void *bytes, size_t len);

/* Returns the length; 0: no bit is set. */
size_t bits_write(const struct bits *b, unsigned char out[BITS_LEN]);
