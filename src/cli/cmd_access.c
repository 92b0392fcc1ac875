#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "cli/command.h"
#include "config/access_test.h"
#include "config/config.h"

#define OUTPUT_MAX (1u << 20)

static struct config *load(const char *file)
{
    struct config_report report = {0};
    struct config *c = config_load(file ? file : config_default_path(), NULL, &report);

    for (unsigned i = 0; !c && i < report.len; i++)
        if (!report.items[i].warning)
            fprintf(stderr, "%s\n", report.items[i].text);
    config_report_fini(&report);
    return c;
}

static int test(const char *file, const struct access_test *t)
{
    struct config *c = load(file);
    struct access_answer a;
    struct buf text;
    struct err err;
    int status;

    if (!c)
        return EXIT_USAGE;
    access_test_learn();
    if (!access_test_ask(c, t, &a, &err)) {
        config_unref(c);
        return command_usage_error(&cmd_access, "%s", err.text);
    }
    buf_init(&text, OUTPUT_MAX);
    if (!access_test_write(c, t, &a, &text))
        fputs("viaduct access: out of memory\n", stderr);
    fwrite(buf_span(&text).ptr, 1, text.len, stdout);
    buf_fini(&text);
    status = a.decision.outcome == ACCESS_ALLOW || a.decision.outcome == ACCESS_RESOLVE
                 ? EXIT_OK
                 : EXIT_VERDICT;
    config_unref(c);
    return status;
}

static int access_run(int argc, char **argv)
{
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'},
        {"client", required_argument, NULL, 'C'},
        {"user", required_argument, NULL, 'u'},
        {"method", required_argument, NULL, 'm'},
        {NULL, 0, NULL, 0},
    };
    struct access_test question = {.client = "127.0.0.1"};
    const char *file = NULL;
    int option;

    optind = 1;
    opterr = 0;
    while ((option = getopt_long(argc, argv, "c:", options, NULL)) >= 0) {
        switch (option) {
        case 'c':
            file = optarg;
            break;
        case 'C':
            question.client = optarg;
            break;
        case 'u':
            question.user = optarg;
            break;
        case 'm':
            question.method = optarg;
            break;
        default:
            return command_usage_error(
                &cmd_access, "\"%s\": no such option, or its value is missing", argv[optind - 1]);
        }
    }
    if (optind >= argc || strcmp(argv[optind], "test") != 0)
        return command_usage_error(&cmd_access, "say what to do: test");
    if (optind + 2 != argc)
        return command_usage_error(&cmd_access, "one TARGET is needed");
    question.target = argv[optind + 1];
    return test(file, &question);
}

const struct command cmd_access = {
    .name = "access",
    .synopsis = "test [-c FILE] [--client A] [--user U] [--method M] TARGET",
    .summary = "say which access rule would decide, without sending anything",
    .help =
        "TARGET        HOST:PORT (443 when left out) or a URL; a name is not looked up: where the\n"
        "              rules depend on its addresses, that is said\n"
        "-c FILE       instead of /etc/viaduct/viaduct.conf\n"
        "--client A    address of the client, instead of 127.0.0.1\n"
        "--user U      as if U had logged in\n"
        "--method M    instead of CONNECT (GET for an http URL)\n"
        "\n"
        "Exit status: 0 allowed, for some addresses at least; 1 denied, or a login is needed;\n"
        "2 usage or configuration error.\n",
    .run = access_run,
};
