#include "base/nearest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/util.h"

static const char *const names[] = {"from",  "to",       "port",         "method", NULL,
                                    "hours", "lifetime", "max-download", "listen", "list"};

static void finds_what_was_meant(void **state)
{
    static const struct {
        const char *word, *want;
    } cases[] = {
        {"from", "from"},
        {"form", "from"},
        {"fron", "from"},
        {"PORT", "port"},
        {"life-time", "lifetime"},
        {"hour", "hours"},
        {"maxdownload", "max-download"},
        {"lists", "list"},
        {"methdo", "method"},
        {"lisetn", "listen"},
        {"max-donwlaod", "max-download"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const char *got = nearest_find(span_of(cases[i].word), names, ARRAY_LEN(names));

        assert_non_null(got);
        assert_string_equal(got, cases[i].want);
    }
}

static void stays_silent_when_nothing_is_near(void **state)
{
    static const char *const words[] = {
        "",
        "zebra",
        "x",
        "bandwidth",
        "frmo-anywhere",
        "a-word-of-more-than-sixty-four-bytes-that-nobody-can-have-meant-at-all",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        assert_null(nearest_find(span_of(words[i]), names, ARRAY_LEN(names)));
    assert_null(nearest_find(SPAN_LIT("from"), names, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_what_was_meant),
        cmocka_unit_test(stays_silent_when_nothing_is_near),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
