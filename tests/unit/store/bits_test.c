#include "store/bits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void both_forms_come_back(void **state)
{
    static const unsigned counts[] = {0, 1, 2, 63, 64, 65, 500, BLOCK_FLOWS};

    (void)state;
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        struct bits bits = {0}, back = {0};
        unsigned char bytes[BITS_LEN];
        size_t len;

        for (unsigned n = 0; n < counts[i]; n++)
            bits_set(&bits, (BLOCK_FLOWS - 1 - n * 7 % BLOCK_FLOWS) % BLOCK_FLOWS);
        assert_int_equal(bits_count(&bits), counts[i]);
        len = bits_write(&bits, bytes);
        assert_int_equal(len, counts[i] < 64 ? counts[i] * 2 : BITS_LEN);
        bits_or_bytes(&back, bytes, len);
        assert_memory_equal(&bits, &back, sizeof bits);
    }
}

static void the_last_is_found_below_a_bound(void **state)
{
    static const struct {
        unsigned before;
        int want;
    } cases[] = {{0, -1}, {1, 0}, {2, 0}, {64, 0}, {65, 64}, {1023, 64}, {1024, 1023}};
    struct bits bits = {0};

    (void)state;
    bits_set(&bits, 0);
    bits_set(&bits, 64);
    bits_set(&bits, 1023);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(bits_last(&bits, cases[i].before), cases[i].want);
}

static void foreign_bytes_add_nothing_outside(void **state)
{
    static const unsigned char bytes[] = {0xff, 0xff, 1, 0, 9};
    struct bits bits = {0};

    (void)state;
    bits_or_bytes(&bits, bytes, sizeof bytes);
    assert_int_equal(bits_count(&bits), 1);
    assert_true(bits_has(&bits, 1));
}

static void sets_are_compared(void **state)
{
    struct bits a = {0}, b = {0};

    (void)state;
    assert_true(bits_cover(&a, &b));
    bits_set(&b, 700);
    assert_false(bits_cover(&a, &b));
    bits_set(&a, 700);
    bits_set(&a, 3);
    assert_true(bits_cover(&a, &b));
    bits_and(&a, &b);
    assert_int_equal(bits_count(&a), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_forms_come_back),
        cmocka_unit_test(the_last_is_found_below_a_bound),
        cmocka_unit_test(foreign_bytes_add_nothing_outside),
        cmocka_unit_test(sets_are_compared),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
