#include "base/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/util.h"

static void is_a_queue(void **state)
{
    struct buf b;

    (void)state;
    buf_init(&b, 1000);
    assert_true(buf_append(&b, "abc", 3));
    buf_consume(&b, 2);
    assert_true(buf_append(&b, "de", 2));
    assert_true(span_equal(buf_span(&b), SPAN_LIT("cde")));
    buf_consume(&b, 3);
    assert_int_equal(b.off, 0);
    assert_int_equal(buf_span(&b).len, 0);
    buf_fini(&b);
    assert_true(buf_append(&b, NULL, 0));
    buf_fini(&b);
}

/* Exactly the maximum fits; one byte more does not, and changes nothing. */
static void has_a_hard_maximum(void **state)
{
    static const uint32_t maxima[] = {0, 1, 255, 256, 257, 5000};
    static const char bytes[5001];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(maxima); i++) {
        struct buf b;

        buf_init(&b, maxima[i]);
        assert_true(buf_append(&b, bytes, maxima[i]));
        assert_false(buf_append(&b, bytes, 1));
        assert_null(buf_reserve(&b, 1));
        assert_null(buf_reserve(&b, SIZE_MAX));
        assert_int_equal(b.len, maxima[i]);
        buf_fini(&b);
    }
}

static void keeps_what_it_holds_when_it_moves(void **state)
{
    struct buf b;

    (void)state;
    buf_init(&b, 300);
    for (int i = 0; i < 1000; i++) {
        char digits[100];

        memset(digits, '0' + i % 10, sizeof digits);
        assert_true(buf_append(&b, digits, sizeof digits));
        if (b.len == 300) {
            assert_int_equal(buf_span(&b).ptr[0], '0' + (i - 2) % 10);
            assert_int_equal(buf_span(&b).ptr[299], '0' + i % 10);
            buf_consume(&b, 100);
        }
    }
    buf_fini(&b);
}

static void prints_up_to_the_maximum(void **state)
{
    struct buf b;

    (void)state;
    buf_init(&b, 8);
    assert_true(buf_printf(&b, "%s", ""));
    assert_true(buf_printf(&b, "%d", 1234));
    assert_false(buf_printf(&b, "%s", "abcde"));
    assert_true(buf_printf(&b, "%s", "abcd"));
    assert_true(span_equal(buf_span(&b), SPAN_LIT("1234abcd")));
    buf_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_a_queue),
        cmocka_unit_test(has_a_hard_maximum),
        cmocka_unit_test(keeps_what_it_holds_when_it_moves),
        cmocka_unit_test(prints_up_to_the_maximum),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
