/* cli/check_progress: the line fits the window, and says what is known. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/util.h"
#include "cli/check_progress.h"

static size_t write_line(char out[256], uint64_t bytes, uint64_t total, double rate,
                         unsigned columns)
{
    struct pen p;

    pen_init_fixed(&p, out, 255);
    check_progress_write(&p, bytes, total, rate, columns);
    out[pen_len(&p)] = '\0';
    return pen_len(&p);
}

static void the_line_says_what_is_known(void **state)
{
#define MIB 1048576.0
    static const struct {
        uint64_t bytes, total;
        double rate;
        unsigned columns;
        const char *want;
    } cases[] = {
        {1 << 20, 4 << 20, MIB, 79,
         " 25% [#######                       ] 1.0 MiB of 4.0 MiB, 1.0 MiB/s, 3.0 s left"},
        {4 << 20, 4 << 20, MIB, 60, "100% [#######################] 4.0 MiB of 4.0 MiB, 1.0 MiB/s"},
        {1 << 20, 4 << 20, MIB, 52, " 25% 1.0 MiB of 4.0 MiB, 1.0 MiB/s, 3.0 s left"},
        {1 << 20, 4 << 20, MIB, 30, " 25%"},
        {1 << 20, 0, MIB, 79, "1.0 MiB, 1.0 MiB/s"},
        {1 << 20, 0, 0, 79, "1.0 MiB"},
        {5 << 20, 4 << 20, 0, 79, "5.0 MiB"}, /* more than was announced */
    };
    char line[256];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        write_line(line, cases[i].bytes, cases[i].total, cases[i].rate, cases[i].columns);
        assert_string_equal(line, cases[i].want);
    }
}

static void the_line_fits_every_window(void **state)
{
    static const uint64_t sizes[] = {0, 1, 1023, 1 << 20, 1ull << 40, UINT64_MAX};
    char line[256];

    (void)state;
    for (unsigned columns = 4; columns < 200; columns++)
        for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
            for (size_t j = 0; j < ARRAY_LEN(sizes); j++)
                assert_true(write_line(line, sizes[i], sizes[j], 12345.6, columns) <= columns);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_line_says_what_is_known),
        cmocka_unit_test(the_line_fits_every_window),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
