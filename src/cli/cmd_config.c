#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "cli/command.h"
#include "config/config.h"
#include "proxy/listeners.h"

static void print_problems(const struct config_report *r)
{
    unsigned errors = 0;

    for (unsigned i = 0; i < r->len; i++) {
        errors += !r->items[i].warning;
        fprintf(stderr, "%s%s\n", r->items[i].warning ? "warning: " : "", r->items[i].text);
    }
    if (r->errors > errors)
        fprintf(stderr, "… and %u errors more\n", r->errors - errors);
}

/* Says of one file whether it could be served. */
static int check(const char *path)
{
    const char *name = path ? path : "built-in defaults";
    struct config_report report = {0};
    struct config *c = config_load(path, NULL, &report);
    struct err refusal;
    bool known = c && config_check_user(c, &refusal) &&
                 listeners_check(c->listeners, c->listeners_len, &refusal);
    unsigned errors;

    if (known)
        config_check_files(c, &report);
    errors = report.errors + (c && !known);
    print_problems(&report);
    if (c && !known)
        fprintf(stderr, "%s\n", refusal.text);
    if (errors == 0)
        printf("%s: ok\n", name);
    else
        fprintf(stderr, "%s: %u error%s\n", name, errors, errors == 1 ? "" : "s");
    config_unref(c);
    config_report_fini(&report);
    return errors == 0 ? EXIT_OK : EXIT_USAGE;
}

static int show(const char *path)
{
    struct config_report report = {0};
    struct config *c = config_load(path, NULL, &report);
    int status = c ? EXIT_OK : EXIT_USAGE;

    if (c)
        config_show(c, stdout);
    else
        print_problems(&report);
    config_unref(c);
    config_report_fini(&report);
    return status;
}

static int config_run(int argc, char **argv)
{
    static const struct option options[] = {{"config", required_argument, NULL, 'c'}, {0}};
    const char *path = NULL;
    int option;

    optind = 1;
    opterr = 0;
    while ((option = getopt_long(argc, argv, "c:", options, NULL)) != -1) {
        if (option != 'c')
            return command_usage_error(
                &cmd_config, "\"%s\": no such option, or its value is missing", argv[optind - 1]);
        path = optarg;
    }
    if (optind + 1 != argc)
        return command_usage_error(&cmd_config, "say either check or show");
    if (!path)
        path = config_default_path();
    if (strcmp(argv[optind], "check") == 0)
        return check(path);
    if (strcmp(argv[optind], "show") == 0)
        return show(path);
    return command_usage_error(&cmd_config, "\"%s\" is neither check nor show", argv[optind]);
}

const struct command cmd_config = {
    .name = "config",
    .synopsis = "check|show [-c FILE]",
    .summary = "validate the configuration, or print what is in force and where it comes from",
    .help = "check         tell every error, with file:line:column, and what the proxy's account\n"
            "              could not read or write; exit status 2 when there is an error\n"
            "show          print the effective configuration, each value with its origin\n"
            "-c FILE       instead of /etc/viaduct/viaduct.conf\n",
    .run = config_run,
};
