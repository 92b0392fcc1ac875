#include "cli/command.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/nearest.h"
#include "base/util.h"

const struct command *const commands[] = {
    &cmd_serve,  &cmd_check,       &cmd_explain, &cmd_access, &cmd_account,  &cmd_clients,
    &cmd_config, &cmd_connections, &cmd_flows,   &cmd_help,   &cmd_upstream, NULL,
};

const struct command *command_find(const char *name)
{
    for (size_t i = 0; commands[i]; i++) {
        if (strcmp(commands[i]->name, name) == 0)
            return commands[i];
    }
    return NULL;
}

/* "viaduct serve [-c FILE]": no blank at the end where a command takes nothing. */
static void print_usage(FILE *out, const struct command *c)
{
    fprintf(out, "usage: viaduct %s%s%s\n", c->name, *c->synopsis ? " " : "", c->synopsis);
}

int command_usage_error(const struct command *c, const char *fmt, ...)
{
    va_list ap;

    if (fmt) {
        fprintf(stderr, "viaduct %s: ", c->name);
        va_start(ap, fmt);
        vfprintf(stderr, fmt, ap);
        va_end(ap);
        fputc('\n', stderr);
    }
    print_usage(stderr, c);
    return EXIT_USAGE;
}

int command_unknown_error(const char *name)
{
    const char *names[ARRAY_LEN(commands)];
    unsigned n = 0;

    while (commands[n]) {
        names[n] = commands[n]->name;
        n++;
    }
    const char *near = nearest_find(span_of(name), names, n);
    fprintf(stderr, "viaduct: no command \"%s\"", name);
    if (near)
        fprintf(stderr, " (did you mean \"%s\"?)", near);
    fputs("\nviaduct help lists them\n", stderr);
    return EXIT_USAGE;
}

void command_print_help(const struct command *c)
{
    print_usage(stdout, c);
    printf("\n%c%s.\n", toupper((unsigned char)c->summary[0]), c->summary + 1);
    if (*c->help)
        printf("\n%s", c->help);
}

void command_print_overview(FILE *out)
{
    fputs("usage: viaduct COMMAND [options]\n\n"
          "viaduct is an HTTP proxy that explains itself.\n\n",
          out);
    for (size_t i = 0; commands[i]; i++)
        fprintf(out, "  %-11s %s\n", commands[i]->name, commands[i]->summary);
    fputs("\n`viaduct help COMMAND` or `viaduct COMMAND -h` says more of one; --version prints the "
          "version.\n"
          "Exit status: 0 done, 1 some verdict is a failure, 2 usage or configuration error, 3 "
          "system error.\n",
          out);
}

/* One word of a synopsis as mdoc arguments: "-c" is a flag, "FILE" an argument, "test" a literal.
 */
static void print_manual_word(FILE *out, const char *word, size_t len)
{
    if (*word == '-')
        fprintf(out, " Fl %.*s", (int)len - 1, word + 1);
    else if (isupper((unsigned char)*word))
        fprintf(out, " Ar %.*s", (int)len, word);
    else
        fprintf(out, " Cm %.*s", (int)len, word);
}

static void print_manual_synopsis(FILE *out, const char *s)
{
    while (*s) {
        size_t len = strcspn(s, " []|");
        if (len > 0)
            print_manual_word(out, s, len);
        else if (*s != ' ')
            fputs(*s == '[' ? " Oo" : *s == ']' ? " Oc" : " |", out);
        s += len > 0 ? len : 1;
    }
}

void command_print_manual(FILE *out)
{
    fputs(".Bl -tag -width Ds\n", out);
    for (size_t i = 0; commands[i]; i++) {
        fprintf(out, ".It Ic %s", commands[i]->name);
        print_manual_synopsis(out, commands[i]->synopsis);
        fprintf(out, "\n%c%s.\n", toupper((unsigned char)commands[i]->summary[0]),
                commands[i]->summary + 1);
    }
    fputs(".El\n", out);
}
