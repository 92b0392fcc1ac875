#include "store/bits.h"

#include <string.h>

#include "base/util.h"

void bits_and(struct bits *b, const struct bits *other)
{
    for (size_t i = 0; i < ARRAY_LEN(b->words); i++)
        b->words[i] &= other->words[i];
}

bool bits_cover(const struct bits *b, const struct bits *other)
{
    uint64_t missing = 0;

    for (size_t i = 0; i < ARRAY_LEN(b->words); i++)
        missing |= other->words[i] & ~b->words[i];
    return missing == 0;
}

unsigned bits_count(const struct bits *b)
{
    unsigned n = 0;

    for (size_t i = 0; i < ARRAY_LEN(b->words); i++)
        n += (unsigned)__builtin_popcountll(b->words[i]);
    return n;
}

int bits_last(const struct bits *b, unsigned before)
{
    for (int i = (int)ARRAY_LEN(b->words) - 1; i >= 0; i--) {
        uint64_t word = b->words[i];

        if (before <= (unsigned)i * 64)
            continue;
        if (before < (unsigned)(i + 1) * 64)
            word &= (1ull << before % 64) - 1;
        if (word)
            return i * 64 + 63 - __builtin_clzll(word);
    }
    return -1;
}

void bits_or_bytes(struct bits *b, const void *bytes, size_t len)
{
    const unsigned char *p = bytes;

    if (len == BITS_LEN) {
        for (size_t i = 0; i < len; i++)
            b->words[i / 8] |= (uint64_t)p[i] << 8 * (i % 8);
        return;
    }
    for (size_t i = 0; i + 1 < len; i += 2) {
        unsigned n = p[i] | (unsigned)p[i + 1] << 8;

        if (n < BLOCK_FLOWS)
            bits_set(b, n);
    }
}

size_t bits_write(const struct bits *b, unsigned char out[BITS_LEN])
{
    size_t len = 0;

    if (2 * bits_count(b) >= BITS_LEN) {
        for (size_t i = 0; i < BITS_LEN; i++)
            out[i] = (unsigned char)(b->words[i / 8] >> 8 * (i % 8));
        return BITS_LEN;
    }
    for (unsigned i = 0; i < ARRAY_LEN(b->words); i++)
        for (uint64_t word = b->words[i]; word; word &= word - 1) {
            unsigned n = i * 64 + (unsigned)__builtin_ctzll(word);

            out[len++] = (unsigned char)n;
            out[len++] = (unsigned char)(n >> 8);
        }
    return len;
}
