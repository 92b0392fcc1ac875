#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>

#include "base/util.h"
#include "policy/nonce.h"

#define LIFETIME 300000u
#define NOW 1800000000000u

static const unsigned char key[NONCE_KEY_LEN] = "a key of thirty-two bytes, here";

static struct nonce make(struct nonce_table *t, uint64_t now_ms)
{
    char text[NONCE_TEXT_LEN];
    struct nonce n;

    nonce_make(t, now_ms, text);
    assert_int_equal(nonce_check(t, (struct span){text, sizeof text}, now_ms, LIFETIME, &n),
                     NONCE_GOOD);
    assert_int_equal(n.made_ms, now_ms);
    return n;
}

static void age_and_origin(void **state)
{
    struct nonce_table *t = nonce_table_new(key, 64, NOW), *later = nonce_table_new(key, 64, NOW),
                       *other;
    unsigned char other_key[NONCE_KEY_LEN] = {1};
    char text[NONCE_TEXT_LEN];
    struct span s = {text, sizeof text};
    struct nonce n;

    (void)state;
    other = nonce_table_new(other_key, 64, NOW);
    nonce_make(t, NOW, text);
    assert_int_equal(nonce_check(t, s, NOW + LIFETIME, LIFETIME, &n), NONCE_GOOD);
    assert_int_equal(nonce_check(t, s, NOW + LIFETIME + 1, LIFETIME, &n), NONCE_STALE);
    assert_int_equal(nonce_check(t, s, NOW - 60000, LIFETIME, &n), NONCE_GOOD);
    assert_int_equal(nonce_check(t, s, NOW - 60001, LIFETIME, &n), NONCE_STALE);
    assert_int_equal(nonce_check(later, s, NOW + 1, LIFETIME, &n), NONCE_GOOD);
    assert_int_equal(nonce_check(other, s, NOW, LIFETIME, &n), NONCE_FOREIGN);
    assert_int_equal(nonce_check(t, SPAN_LIT(""), NOW, LIFETIME, &n), NONCE_FOREIGN);
    for (size_t i = 0; i < sizeof text; i++) {
        char was = text[i];

        text[i] = was == 'A' ? 'B' : 'A';
        assert_int_equal(nonce_check(t, s, NOW, LIFETIME, &n), NONCE_FOREIGN);
        text[i] = was;
    }
    nonce_table_free(t);
    nonce_table_free(later);
    nonce_table_free(other);
}

static void counts_pass_once_in_any_order(void **state)
{
    struct nonce_table *t = nonce_table_new(key, 64, NOW - 1);
    struct nonce n = make(t, NOW);

    (void)state;
    for (uint32_t nc = 64; nc > 0; nc--)
        assert_int_equal(nonce_use(t, &n, nc), NONCE_GOOD);
    for (uint32_t nc = 1; nc <= 64; nc++)
        assert_int_equal(nonce_use(t, &n, nc), NONCE_REPLAYED);
    assert_int_equal(nonce_use(t, &n, 288), NONCE_GOOD);
    assert_int_equal(nonce_use(t, &n, 65), NONCE_GOOD);
    assert_int_equal(nonce_use(t, &n, 33), NONCE_REPLAYED); /* its bits made room: never again */
    assert_int_equal(nonce_use(t, &n, UINT32_MAX), NONCE_GOOD);
    assert_int_equal(nonce_use(t, &n, UINT32_MAX), NONCE_REPLAYED);
    nonce_table_free(t);
}

static void an_inherited_nonce_begins_near_its_first_count(void **state)
{
    struct nonce_table *t = nonce_table_new(key, 64, NOW);
    struct nonce n = make(t, NOW - 1000);

    (void)state;
    assert_int_equal(nonce_use(t, &n, 100), NONCE_GOOD);
    assert_int_equal(nonce_use(t, &n, 36), NONCE_GOOD);
    assert_int_equal(nonce_use(t, &n, 35), NONCE_REPLAYED);
    assert_int_equal(nonce_use(t, &n, 101), NONCE_GOOD);
    nonce_table_free(t);
}

static void the_oldest_makes_room_and_is_stale(void **state)
{
    struct nonce_table *t = nonce_table_new(key, 8, NOW - 1);
    struct nonce n[9];

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(n); i++) {
        n[i] = make(t, NOW + i);
        assert_int_equal(nonce_use(t, &n[i], 1), NONCE_GOOD);
    }
    assert_int_equal(nonce_use(t, &n[0], 1), NONCE_STALE);
    assert_int_equal(nonce_use(t, &n[0], 2), NONCE_STALE);
    assert_int_equal(nonce_use(t, &n[1], 1), NONCE_REPLAYED);
    assert_int_equal(nonce_use(t, &n[8], 1), NONCE_REPLAYED);
    nonce_table_free(t);
}

struct race {
    struct nonce_table *table;
    struct nonce nonce;
    _Atomic unsigned good, replayed;
};

static void *run(void *arg)
{
    struct race *r = arg;

    for (uint32_t nc = 1; nc <= 32; nc++) {
        enum nonce_state s = nonce_use(r->table, &r->nonce, nc);

        r->good += s == NONCE_GOOD;
        r->replayed += s == NONCE_REPLAYED;
    }
    return NULL;
}

/* Two threads send each count of one nonce, its first one included. */
static void threads_share_a_nonce(void **state)
{
    struct nonce_table *t = nonce_table_new(key, 64, NOW - 1);

    (void)state;
    for (unsigned round = 0; round < 200; round++) {
        struct race r = {.table = t, .nonce = make(t, NOW + round)};
        pthread_t threads[2];

        for (unsigned i = 0; i < ARRAY_LEN(threads); i++)
            assert_int_equal(pthread_create(&threads[i], NULL, run, &r), 0);
        for (unsigned i = 0; i < ARRAY_LEN(threads); i++)
            pthread_join(threads[i], NULL);
        assert_int_equal(r.good, 32);
        assert_int_equal(r.replayed, 32);
    }
    nonce_table_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(age_and_origin),
        cmocka_unit_test(counts_pass_once_in_any_order),
        cmocka_unit_test(an_inherited_nonce_begins_near_its_first_count),
        cmocka_unit_test(the_oldest_makes_room_and_is_stale),
        cmocka_unit_test(threads_share_a_nonce),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
