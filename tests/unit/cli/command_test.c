#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cli/command.h"

static void every_row_is_whole(void **state)
{
    (void)state;
    for (size_t i = 0; commands[i]; i++) {
        const struct command *c = commands[i];

        assert_true(*c->name != '\0' && c->run);
        assert_non_null(c->synopsis);
        assert_true(*c->summary >= 'a' && *c->summary <= 'z');
        assert_int_not_equal(c->summary[strlen(c->summary) - 1], '.');
        if (*c->help)
            assert_int_equal(c->help[strlen(c->help) - 1], '\n');
        assert_ptr_equal(command_find(c->name), c);
    }
}

static void names_are_found_whole_only(void **state)
{
    static const char *const unknown[] = {"", "hel", "helper", "HELP", "--help", "srve"};

    (void)state;
    assert_ptr_equal(command_find("help"), &cmd_help);
    for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; i++)
        assert_null(command_find(unknown[i]));
}

/* What `print` writes, on the heap. */
static char *written(void (*print)(FILE *out))
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);

    print(out);
    fclose(out);
    return text;
}

static void overview_and_manual_have_every_command(void **state)
{
    char *overview = written(command_print_overview);
    char *manual = written(command_print_manual);

    (void)state;
    for (size_t i = 0; commands[i]; i++) {
        char row[64];

        snprintf(row, sizeof row, "\n  %-11s %.20s", commands[i]->name, commands[i]->summary);
        assert_non_null(strstr(overview, row));
        snprintf(row, sizeof row, "\n.It Ic %s", commands[i]->name);
        assert_non_null(strstr(manual, row));
    }
    assert_non_null(strstr(manual, "\n.It Ic help Oo Ar COMMAND Oc\nList the commands"));
    free(overview);
    free(manual);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_is_whole),
        cmocka_unit_test(names_are_found_whole_only),
        cmocka_unit_test(overview_and_manual_have_every_command),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
