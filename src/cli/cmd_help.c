#include "cli/command.h"

static int help_run(int argc, char **argv)
{
    if (argc > 2)
        return command_usage_error(&cmd_help, "one command at a time");
    if (argc < 2) {
        command_print_overview(stdout);
        return EXIT_OK;
    }
    const struct command *c = command_find(argv[1]);
    if (!c)
        return command_unknown_error(argv[1]);
    command_print_help(c);
    return EXIT_OK;
}

const struct command cmd_help = {
    .name = "help",
    .synopsis = "[COMMAND]",
    .summary = "list the commands, or say more of one",
    .help = "",
    .run = help_run,
};
