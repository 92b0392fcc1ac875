#include "store/pack.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void write_record(unsigned n, char json[64], char terms[64])
{
    snprintf(json, 64, "{\"n\":%u}\n", n * 7919);
    snprintf(terms, 64, "%*s", (int)(n % 20), "");
}

static void records_come_back(void **state)
{
    static const unsigned counts[] = {1, 2, 7, 8, 9, PACK_FLOWS};
    struct packer *p = packer_new(pack_dictionary());

    (void)state;
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        struct pack k = {0};
        struct span bytes, json, terms;
        char want_json[64], want_terms[64];

        for (unsigned n = 0; n < counts[i]; n++) {
            assert_false(pack_is_full(&k));
            write_record(n, want_json, want_terms);
            assert_true(pack_add(&k, span_of(want_json), span_of(want_terms)));
        }
        assert_int_equal(pack_is_full(&k), counts[i] == PACK_FLOWS);
        bytes = packer_close(p, &k);
        assert_non_null(bytes.ptr);
        assert_int_equal(packer_open(p, bytes), PACK_OPEN);
        for (unsigned n = counts[i]; n-- > 0;) {
            write_record(n, want_json, want_terms);
            assert_true(packer_get(p, n, &json, &terms));
            assert_true(span_equal(json, span_of(want_json)));
            assert_true(span_equal(terms, span_of(want_terms)));
        }
        assert_false(packer_get(p, counts[i], &json, &terms));
        pack_fini(&k);
    }
    packer_free(p);
}

/* What a flow's record takes by itself. */
static void the_dictionary_is_of_use(void **state)
{
    struct packer *p = packer_new(pack_dictionary());
    struct pack k = {0};
    struct span sample = pack_dictionary();

    (void)state;
    assert_true(pack_add(&k, sample, SPAN_LIT("")));
    assert_true(packer_close(p, &k).len < 100);
    pack_fini(&k);
    packer_free(p);
}

static void large_records_have_a_maximum(void **state)
{
    char *large = calloc(1, PACK_MAX);
    struct pack k = {0};

    (void)state;
    assert_false(pack_add(&k, (struct span){large, PACK_MAX}, SPAN_LIT("")));
    assert_true(pack_add(&k, (struct span){large, 200 * 1024}, SPAN_LIT("")));
    assert_true(pack_is_full(&k));
    assert_false(pack_add(&k, (struct span){large, PACK_MAX - 100 * 1024}, SPAN_LIT("")));
    assert_int_equal(k.flows, 1);
    pack_fini(&k);
    free(large);
}

/* Every byte of a pack is changed, and every length of it is tried: no crash, nothing beyond. */
static void damaged_packs_are_refused_or_harmless(void **state)
{
    struct packer *p = packer_new(pack_dictionary());
    struct pack k = {0};
    char bytes[4096];
    size_t len;

    (void)state;
    for (unsigned n = 0; n < 3; n++)
        assert_true(pack_add(&k, SPAN_LIT("{\"id\":\"0123456789abcdef\"}"), SPAN_LIT("\1a")));
    len = packer_close(p, &k).len;
    assert_true(len < sizeof bytes);
    memcpy(bytes, packer_close(p, &k).ptr, len);
    for (size_t i = 0; i < len * 8; i++) {
        struct span json, terms;

        bytes[i / 8] = (char)(bytes[i / 8] ^ 1 << i % 8);
        if (packer_open(p, (struct span){bytes, len}) == PACK_OPEN)
            for (unsigned n = 0; packer_get(p, n, &json, &terms); n++)
                assert_true(json.len + terms.len <= PACK_MAX);
        bytes[i / 8] = (char)(bytes[i / 8] ^ 1 << i % 8);
    }
    for (size_t cut = 0; cut < len; cut++)
        assert_int_equal(packer_open(p, (struct span){bytes, cut}), PACK_DAMAGED);
    assert_int_equal(packer_open(p, (struct span){bytes, len}), PACK_OPEN);
    pack_fini(&k);
    packer_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_come_back),
        cmocka_unit_test(the_dictionary_is_of_use),
        cmocka_unit_test(large_records_have_a_maximum),
        cmocka_unit_test(damaged_packs_are_refused_or_harmless),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
