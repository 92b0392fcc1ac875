#include "base/hash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define BUCKETS 1024

/* No known answers: the key is drawn anew in each process. */
static void is_the_same_within_a_process(void **state)
{
    (void)state;
    assert_true(hash_bytes("example.com", 11) == hash_bytes("example.com", 11));
    assert_true(hash_bytes("example.com", 11) != hash_bytes("example.con", 11));
    assert_true(hash_bytes("", 0) == hash_bytes(NULL, 0));
}

/* A length is part of the hash: zero bytes at the end count, in every position of a word. */
static void every_length_and_byte_counts(void **state)
{
    unsigned char bytes[40] = {0};
    uint64_t lengths[sizeof bytes + 1];

    (void)state;
    for (size_t len = 0; len <= sizeof bytes; len++) {
        lengths[len] = hash_bytes(bytes, len);
        for (size_t i = 0; i < len; i++) {
            assert_true(lengths[len] != lengths[i]);
            bytes[i] = 1;
            assert_true(hash_bytes(bytes, len) != lengths[len]);
            bytes[i] = 0;
        }
    }
}

/* 64 a bucket on average; 160 would be twelve standard deviations off. */
static void spreads_over_buckets(void **state)
{
    static unsigned counts[BUCKETS];

    (void)state;
    for (uint32_t i = 0; i < BUCKETS * 64; i++)
        counts[hash_bytes(&i, sizeof i) % BUCKETS]++;
    for (unsigned i = 0; i < BUCKETS; i++)
        assert_in_range(counts[i], 1, 160);
}

static void random_bytes_differ(void **state)
{
    unsigned char a[16] = {0}, b[16] = {0};

    (void)state;
    hash_random(a, sizeof a);
    hash_random(b, sizeof b);
    assert_true(memcmp(a, b, sizeof a) != 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_the_same_within_a_process),
        cmocka_unit_test(every_length_and_byte_counts),
        cmocka_unit_test(spreads_over_buckets),
        cmocka_unit_test(random_bytes_differ),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
