#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/util.h"
#include "wire/field.h"

static void every_name_is_found_in_any_case(void **state)
{
    (void)state;
    for (unsigned id = FIELD_OTHER + 1; id < FIELD_COUNT; id++) {
        struct span name = field_get_name((enum field_id)id);
        char upper[64];

        assert_true(name.len > 0 && name.len < sizeof upper);
        for (size_t i = 0; i < name.len; i++)
            upper[i] = name.ptr[i] >= 'a' && name.ptr[i] <= 'z' ? (char)(name.ptr[i] & ~0x20)
                                                                : name.ptr[i];
        assert_int_equal(field_find(name), id);
        assert_int_equal(field_find((struct span){upper, name.len}), id);
    }
}

static void other_names_are_other(void **state)
{
    static const char *const names[] = {
        "",
        "t",
        "tf",
        "hos",
        "hosts",
        "content\rlength",
        "user-agent",
        "accept-encoding",
        "content-lengti",
        "proxy-authentication-infos",
        "Content_Length",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        assert_int_equal(field_find(span_of(names[i])), FIELD_OTHER);
}

static void hop_fields_are_those_of_the_table(void **state)
{
    (void)state;
    assert_true(field_is_hop(FIELD_CONNECTION));
    assert_true(field_is_hop(FIELD_PROXY_AUTHORIZATION));
    assert_false(field_is_hop(FIELD_CONTENT_LENGTH));
    assert_false(field_is_hop(FIELD_OTHER));
}

static void tokens_are_those_of_the_standard(void **state)
{
    static const char marks[] = "!#$%&'*+-.^_`|~";

    (void)state;
    for (int c = 0; c < 256; c++) {
        bool want = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
                    (c != 0 && strchr(marks, c));
        char byte = (char)c;

        assert_int_equal(field_token_len((struct span){&byte, 1}), want);
    }
    assert_int_equal(field_token_len(SPAN_LIT("Host: x")), 4);
}

static void lists_are_cut_at_commas(void **state)
{
    struct span rest = SPAN_LIT(" a, ,b\t,,c d ,"), item;

    (void)state;
    assert_true(field_list_next(&rest, &item) && span_equal(item, SPAN_LIT("a")));
    assert_true(field_list_next(&rest, &item) && span_equal(item, SPAN_LIT("b")));
    assert_true(field_list_next(&rest, &item) && span_equal(item, SPAN_LIT("c d")));
    assert_false(field_list_next(&rest, &item));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_name_is_found_in_any_case),
        cmocka_unit_test(other_names_are_other),
        cmocka_unit_test(hop_fields_are_those_of_the_table),
        cmocka_unit_test(tokens_are_those_of_the_standard),
        cmocka_unit_test(lists_are_cut_at_commas),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
