#include "policy/hours.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/util.h"

#define AT(day, hour, minute) ((day)*1440 + (hour)*60 + (minute)) /* day 0 is Monday */

static unsigned split(const char *text, struct span words[8])
{
    struct span rest = span_of(text);
    unsigned n = 0;

    while (rest.len > 0 && n < 8)
        words[n++] = span_cut(&rest, ' ');
    return n;
}

static void holds_at_its_minutes(void **state)
{
    static const struct {
        const char *text;
        int minute;
        bool want;
    } cases[] = {
        {"Mon-Fri 06:00-22:00", AT(0, 6, 0), true},
        {"Mon-Fri 06:00-22:00", AT(0, 5, 59), false},
        {"Mon-Fri 06:00-22:00", AT(4, 21, 59), true},
        {"Mon-Fri 06:00-22:00", AT(4, 22, 0), false},
        {"Mon-Fri 06:00-22:00", AT(5, 12, 0), false},
        {"06:00-22:00", AT(6, 12, 0), true},
        {"22:00-06:00", AT(2, 23, 0), true},
        {"22:00-06:00", AT(2, 5, 59), true},
        {"22:00-06:00", AT(2, 6, 0), false},
        {"Fri 22:00-06:00", AT(4, 22, 0), true},
        {"Fri 22:00-06:00", AT(5, 5, 59), true}, /* the night from Friday to Saturday */
        {"Fri 22:00-06:00", AT(4, 5, 0), false},
        {"Sun 22:00-06:00", AT(0, 5, 0), true}, /* over the end of the week */
        {"Sun 22:00-06:00", AT(6, 5, 0), false},
        {"Sat,Sun", AT(5, 0, 0), true},
        {"Sat,Sun", AT(6, 23, 59), true},
        {"Sat,Sun", AT(0, 0, 0), false},
        {"Sat-Mon 10:00-11:00", AT(0, 10, 30), true}, /* wraps */
        {"Sat-Mon 10:00-11:00", AT(1, 10, 30), false},
        {"mon,wed-thu 8:00-9:00", AT(3, 8, 0), true},
        {"Mon-Fri 06:00-22:00 Sat 08:00-12:00", AT(5, 8, 0), true},
        {"Mon-Fri 06:00-22:00 Sat 08:00-12:00", AT(5, 7, 0), false},
        {"Mon-Fri 06:00-12:00,13:00-18:00", AT(0, 12, 30), false},
        {"Mon-Fri 06:00-12:00,13:00-18:00", AT(0, 13, 0), true},
        {"Mon 06:00-12:00 13:00-18:00", AT(0, 17, 0), true},
        {"Mon 06:00-12:00 13:00-18:00", AT(1, 17, 0), false},
        {"Sun Mon 08:00-09:00", AT(6, 3, 0), true}, /* days without a time: all day */
        {"Sun Mon 08:00-09:00", AT(0, 3, 0), false},
        {"00:00-24:00", AT(3, 23, 59), true},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct hours h = {0};
        struct span words[8];
        struct err err;
        unsigned bad, n = split(cases[i].text, words);

        assert_true(hours_add(&h, words, n, &bad, &err));
        if (hours_has(&h, cases[i].minute) != cases[i].want)
            fail_msg("%s at %d", cases[i].text, cases[i].minute);
    }
}

static void minutes_outside_the_week_are_never(void **state)
{
    struct span all = SPAN_LIT("00:00-24:00");
    struct hours h = {0};
    struct err err;
    unsigned bad;

    (void)state;
    assert_true(hours_add(&h, &all, 1, &bad, &err));
    assert_false(hours_has(&h, -1));
    assert_false(hours_has(&h, HOURS_WEEK));
}

static void names_the_wrong_word(void **state)
{
    static const struct {
        const char *text;
        unsigned bad;
        const char *hint;
    } cases[] = {
        {"Mon-Fri 06:00", 1, "06:00-22:00"},
        {"25:00-26:00", 0, "06:00-22:00"},
        {"06:60-07:00", 0, "06:00-22:00"},
        {"06:00-06:00", 0, "06:00-22:00"},
        {"24:00-06:00", 0, "06:00-22:00"},
        {"Mo 06:00-07:00", 0, "day"},
        {"Mon-Fry 06:00-07:00", 0, "mean Fri"},
        {"Mon 06:00-07:00 Tus", 2, "mean Tue"},
        {"6-7", 0, "06:00-22:00"},
        {"Mon,,Tue", 0, "day"},
        {"06:00-07:00-08:00", 0, "06:00-22:00"},
        {"Mon-", 0, "day"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct hours h = {0};
        struct span words[8];
        struct err err;
        unsigned bad = 99, n = split(cases[i].text, words);

        assert_false(hours_add(&h, words, n, &bad, &err));
        assert_int_equal(bad, cases[i].bad);
        assert_non_null(strstr(err.text, cases[i].hint));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(holds_at_its_minutes),
        cmocka_unit_test(minutes_outside_the_week_are_never),
        cmocka_unit_test(names_the_wrong_word),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
