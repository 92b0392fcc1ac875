/* cli/command.h - the table of commands: usage, help and the manual are printed from it. */
#pragma once

#include <stdio.h>

/* Exit statuses of every command. */
enum exit_status {
    EXIT_OK = 0,      /* done, and every verdict is ok or open */
    EXIT_VERDICT = 1, /* done, and some verdict is another */
    EXIT_USAGE = 2,   /* usage or configuration error */
    EXIT_SYSTEM = 3,  /* internal or system error */
};

struct command {
    const char *name;     /* "serve" */
    const char *synopsis; /* "[-c FILE] [-l ADDR:PORT]" */
    const char *summary;  /* one clause, no full stop */
    const char *help;     /* the options, one a line, for `help COMMAND`; "" when there are none */
    int (*run)(int argc, char **argv); /* argv[0] is "viaduct serve"; returns an exit status */
};

extern const struct command cmd_access, cmd_account, cmd_check, cmd_clients, cmd_config,
    cmd_connections, cmd_explain, cmd_flows, cmd_help, cmd_serve, cmd_upstream;

/* All commands, ended by NULL. */
extern const struct command *const commands[];

/* The command named `name`, or NULL. */
const struct command *command_find(const char *name);

/* "viaduct COMMAND: text" (NULL: getopt has said it already), and the command's usage line, to
 * stderr; returns EXIT_USAGE. */
int command_usage_error(const struct command *c, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* "viaduct: no command "srve" (did you mean "serve"?)" to stderr; returns EXIT_USAGE. */
int command_unknown_error(const char *name);

/* Prints one command's help, to stdout. */
void command_print_help(const struct command *c);

/* Prints usage and the list of commands. */
void command_print_overview(FILE *out);

/* Prints the list of commands as mdoc, for viaduct(1). */
void command_print_manual(FILE *out);
