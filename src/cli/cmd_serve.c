/* cli/cmd_serve.c: `viaduct serve`: loads the configuration and hands over to the server. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/endpoint.h"
#include "base/log.h"
#include "base/num.h"
#include "cli/command.h"
#include "cli/serve_console.h"
#include "config/accounts_file.h"
#include "config/config.h"
#include "net/tls.h"
#include "proxy/hop.h"
#include "proxy/listeners.h"
#include "proxy/server.h"

/* False, with what is wrong on standard error: the file is there and has errors. */
static bool check_accounts(const struct config *c)
{
    struct config_report report = {0};
    struct accounts *s;

    if (!c->authentication.present || access(c->authentication.accounts, F_OK) < 0)
        return true;
    s = accounts_file_load(c->authentication.accounts, &report);
    for (unsigned i = 0; i < report.len; i++)
        fprintf(stderr, "%s\n", report.items[i].text);
    config_report_fini(&report);
    accounts_unref(s);
    return s != NULL;
}

static int run(struct server_options *options)
{
    struct config_report report = {0};
    struct config *config = config_load(options->config_path, NULL, &report);
    struct tls_context *parent_tls = NULL;
    struct serve_console console = {0};
    struct err err;

    for (unsigned i = 0; i < report.len; i++)
        fprintf(stderr, "%s%s\n", report.items[i].warning ? "warning: " : "", report.items[i].text);
    config_report_fini(&report);
    if (!config)
        return EXIT_USAGE;
    if (!config_check_user(config, &err) ||
        !listeners_check(config->listeners, config->listeners_len, &err) ||
        !hop_load_tls(config, &parent_tls, &err)) {
        log_error("%s", err.text);
        config_unref(config);
        return EXIT_USAGE;
    }
    tls_context_unref(parent_tls); /* it was loaded to see that it can be */
    if (!check_accounts(config)) {
        config_unref(config);
        return EXIT_USAGE;
    }
    char *name = options->config_path ? realpath(options->config_path, NULL) : NULL;
    console.config_path = options->config_path;
    console.config_name = name; /* now, with the rights to look it up */
    options->company = serve_console_company(&console);
    bool well = server_run(options, config, &err);
    free(name);
    if (!well)
        log_error("%s", err.text);
    return well ? EXIT_OK : EXIT_SYSTEM;
}

/* What the server takes for -l; a mistake in it is the user's, not the system's. */
static bool is_listen_address(const char *text)
{
    struct endpoint at;
    uint64_t port;

    return num_parse_u64(span_of(text), UINT16_MAX, &port) || endpoint_parse(span_of(text), &at);
}

static int serve_run(int argc, char **argv)
{
    static const struct option longs[] = {
        {"config", required_argument, NULL, 'c'},
        {"listen", required_argument, NULL, 'l'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    struct server_options options = {.config_path = config_default_path()};
    int c;

    opterr = 0;
    while ((c = getopt_long(argc, argv, "c:l:h", longs, NULL)) >= 0) {
        switch (c) {
        case 'c':
            options.config_path = optarg;
            break;
        case 'l':
            options.listen = optarg;
            break;
        case 'h':
            command_print_help(&cmd_serve);
            return EXIT_OK;
        default:
            return command_usage_error(
                &cmd_serve, "\"%s\": no such option, or its value is missing", argv[optind - 1]);
        }
    }
    if (optind < argc)
        return command_usage_error(&cmd_serve, "unexpected argument \"%s\"", argv[optind]);
    if (options.listen && !is_listen_address(options.listen))
        return command_usage_error(&cmd_serve,
                                   "-l %s: not an address with its port, like 127.0.0.1:3128 or "
                                   "[::1]:3128",
                                   options.listen);
    return run(&options);
}

const struct command cmd_serve = {
    .name = "serve",
    .synopsis = "[-c FILE] [-l ADDR:PORT]",
    .summary = "run the proxy",
    .help = "  -c, --config FILE       configuration (default: /etc/viaduct/viaduct.conf if it is "
            "there)\n"
            "  -l, --listen ADDR:PORT  listen there instead of where the configuration says\n",
    .run = serve_run,
};
