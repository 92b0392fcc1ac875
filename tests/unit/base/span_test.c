#include "base/span.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/util.h"

static void compares_without_case_in_ascii_only(void **state)
{
    static const struct {
        struct span a, b;
        bool want;
    } cases[] = {
        {SPAN_INIT("Host"), SPAN_INIT("hOST"), true},
        {SPAN_INIT("Host"), SPAN_INIT("Hos"), false},
        {SPAN_INIT("@[`{"), SPAN_INIT("@[`{"), true},
        {SPAN_INIT("@"), SPAN_INIT("`"), false},
        {SPAN_INIT("["), SPAN_INIT("{"), false},
        {SPAN_INIT("\xc4"), SPAN_INIT("\xe4"), false},
        {SPAN_INIT(""), {NULL, 0}, true},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_int_equal(span_equal_nocase(cases[i].a, cases[i].b), cases[i].want);
}

static void compares_exactly(void **state)
{
    (void)state;
    assert_true(span_equal(SPAN_LIT("a\0b"), SPAN_LIT("a\0b")));
    assert_false(span_equal(SPAN_LIT("a\0b"), SPAN_LIT("a\0c")));
    assert_true(span_equal(span_of(NULL), SPAN_LIT("")));
}

static void knows_its_beginning(void **state)
{
    static const struct {
        struct span s, head;
        bool want;
    } cases[] = {
        {SPAN_INIT("Text/HTML; charset=x"), SPAN_INIT("text/html"), true},
        {SPAN_INIT("text/html"), SPAN_INIT("TEXT/HTML"), true},
        {SPAN_INIT("text/htm"), SPAN_INIT("text/html"), false},
        {SPAN_INIT(" text/html"), SPAN_INIT("text/html"), false},
        {{NULL, 0}, SPAN_INIT("a"), false},
        {{NULL, 0}, {NULL, 0}, true},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_int_equal(span_begins_nocase(cases[i].s, cases[i].head), cases[i].want);
}

static void knows_its_end(void **state)
{
    static const struct {
        struct span s, tail;
        bool want;
    } cases[] = {
        {SPAN_INIT("a.example"), SPAN_INIT(".example"), true},
        {SPAN_INIT(".example"), SPAN_INIT(".example"), true},
        {SPAN_INIT("example"), SPAN_INIT(".example"), false},
        {SPAN_INIT("a"), SPAN_INIT(""), true},
        {{NULL, 0}, {NULL, 0}, true},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_int_equal(span_ends_with(cases[i].s, cases[i].tail), cases[i].want);
}

static void trims_spaces_and_tabs(void **state)
{
    static const struct {
        struct span s, want;
    } cases[] = {
        {SPAN_INIT(" \ta b\t "), SPAN_INIT("a b")},
        {SPAN_INIT(" \t"), SPAN_INIT("")},
        {SPAN_INIT("\r\n"), SPAN_INIT("\r\n")},
        {SPAN_INIT(""), SPAN_INIT("")},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_true(span_equal(span_trim(cases[i].s), cases[i].want));
}

static void cuts_at_a_separator(void **state)
{
    struct span rest = SPAN_LIT("a,,b");

    (void)state;
    assert_true(span_equal(span_cut(&rest, ','), SPAN_LIT("a")));
    assert_true(span_equal(span_cut(&rest, ','), SPAN_LIT("")));
    assert_true(span_equal(span_cut(&rest, ','), SPAN_LIT("b")));
    assert_int_equal(rest.len, 0);
    assert_int_equal(span_cut(&rest, ',').len, 0);
    rest = (struct span){NULL, 0};
    assert_int_equal(span_cut(&rest, ',').len, 0);
}

static void finds_and_copies(void **state)
{
    char *copy = span_dup(SPAN_LIT("a\0b"));

    (void)state;
    assert_int_equal(span_find(SPAN_LIT("host:1"), ':'), 4);
    assert_int_equal(span_find(SPAN_LIT("host"), ':'), -1);
    assert_int_equal(span_find((struct span){NULL, 0}, ':'), -1);
    assert_memory_equal(copy, "a\0b", 4);
    free(copy);
    copy = span_dup((struct span){NULL, 0});
    assert_string_equal(copy, "");
    free(copy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(compares_without_case_in_ascii_only),
        cmocka_unit_test(compares_exactly),
        cmocka_unit_test(knows_its_beginning),
        cmocka_unit_test(knows_its_end),
        cmocka_unit_test(trims_spaces_and_tabs),
        cmocka_unit_test(cuts_at_a_separator),
        cmocka_unit_test(finds_and_copies),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
