#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/digest.h"
#include "base/util.h"

static void hashes_known_texts(void **state)
{
    static const struct {
        enum digest_algorithm a;
        const char *want; /* of "abc" in two parts: FIPS 180-4, RFC 1321 */
    } cases[] = {
        {DIGEST_MD5, "900150983cd24fb0d6963f7d28e17f72"},
        {DIGEST_SHA1, "a9993e364706816aba3e25717850c26c9cd0d89d"},
        {DIGEST_SHA256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {DIGEST_SHA512_256, "53048e2681941ef99b2e29b76b4c7dabe4c2d0c634fc6d46e0e2f13107e7af23"},
    };
    struct span parts[] = {SPAN_LIT("a"), SPAN_LIT("bc")};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char hex[DIGEST_HEX_MAX];

        assert_int_equal(digest_hex_of(cases[i].a, parts, 2, hex), strlen(cases[i].want));
        assert_memory_equal(hex, cases[i].want, strlen(cases[i].want));
    }
}

static void names_are_found_in_any_case(void **state)
{
    (void)state;
    assert_int_equal(digest_find(SPAN_LIT("SHA-512-256")), DIGEST_SHA512_256);
    assert_int_equal(digest_find(SPAN_LIT("md5")), DIGEST_MD5);
    assert_int_equal(digest_find(SPAN_LIT("SHA-512")), -1);
    assert_int_equal(digest_find(SPAN_LIT("sha-1")), -1);
}

static void hmac_has_its_parts_joined(void **state)
{
    static const unsigned char key[32] = "0123456789abcdef0123456789abcde";
    struct span whole = SPAN_LIT("what do ya want"),
                parts[] = {SPAN_LIT("what do"), SPAN_LIT(" ya want")};
    unsigned char a[32], b[32];
    char hex[64];

    (void)state;
    digest_hmac(key, &whole, 1, a);
    digest_hmac(key, parts, 2, b);
    assert_true(digest_equal(a, b, 32));
    digest_write_hex(a, 32, hex);
    assert_memory_equal(hex, "37df9638be28ed0e25e33a91a46b022c732b38a34c4a902cb2b3fb7e949fdcc6",
                        64);
}

static void hex_goes_both_ways(void **state)
{
    unsigned char out[3];

    (void)state;
    assert_true(digest_parse_hex(SPAN_LIT("00fFA1"), out, 3));
    assert_memory_equal(out, "\x00\xff\xa1", 3);
    assert_false(digest_parse_hex(SPAN_LIT("00fg"), out, 2));
    assert_false(digest_parse_hex(SPAN_LIT("00f"), out, 2));
}

static void base64_is_strict(void **state)
{
    static const struct {
        const char *text, *want; /* want NULL: refused */
    } cases[] = {
        {"", ""},       {"Zg==", "f"},  {"Zm8=", "fo"},     {"Zm9v", "foo"},  {"Zm9vYg==", "foob"},
        {"Zg=", NULL},  {"Zg", NULL},   {"Zh==", NULL},     {"Zm9=", NULL},   {"Zm 9v", NULL},
        {"Z===", NULL}, {"====", NULL}, {"Zg==Zg==", NULL}, {"Zm9v\n", NULL}, {"Zm-v", NULL},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char out[16];
        long len = digest_parse_base64(span_of(cases[i].text), out, sizeof out);

        assert_int_equal(len, cases[i].want ? (long)strlen(cases[i].want) : -1);
        if (len > 0)
            assert_memory_equal(out, cases[i].want, (size_t)len);
    }
    char small[2], text[8];
    assert_int_equal(digest_parse_base64(SPAN_LIT("Zm9v"), small, 2), -1);
    assert_int_equal(digest_write_base64("foob", 4, text), 8);
    assert_memory_equal(text, "Zm9vYg==", 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hashes_known_texts),        cmocka_unit_test(names_are_found_in_any_case),
        cmocka_unit_test(hmac_has_its_parts_joined), cmocka_unit_test(hex_goes_both_ways),
        cmocka_unit_test(base64_is_strict),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
