#include "cli/explain_args.h"

#include <errno.h>
#include <getopt.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/num.h"
#include "base/util.h"
#include "cli/command.h"
#include "wire/authority.h"

#define ID_DIGITS 16
#define CHECK_PORT 3128 /* of "http://HOST", as `check` takes it */

enum { OPT_FLOW = 256, OPT_HTML, OPT_FAILED, OPT_JSON, OPT_KEYLOG, OPT_ANONYMIZE };

static const struct option longs[] = {
    {"interface", required_argument, NULL, 'i'},
    {"proxy", required_argument, NULL, 'x'},
    {"flow", required_argument, NULL, OPT_FLOW},
    {"html", required_argument, NULL, OPT_HTML},
    {"failed", no_argument, NULL, OPT_FAILED},
    {"json", no_argument, NULL, OPT_JSON},
    {"keylog", required_argument, NULL, OPT_KEYLOG},
    {"anonymize", no_argument, NULL, OPT_ANONYMIZE},
    {0},
};

static const char standard_input[] = "-";
static const char *const only_stdin[] = {standard_input};

/* ---- proxies */

static bool push(struct explain_args *a, const struct endpoint *e, struct err *err)
{
    struct explain_options *o = &a->options;

    if (o->proxies_len == ARRAY_LEN(o->proxies)) {
        err_set(err, "more than %zu addresses of proxies", ARRAY_LEN(o->proxies));
        return false;
    }
    o->proxies[o->proxies_len++] = *e;
    return true;
}

/* All addresses of a name, as this machine resolves it.  A capture of a machine elsewhere may name
 * a proxy that is not known here: then its port alone is what it is found by. */
static bool push_name(struct explain_args *a, const char *host, uint16_t port, struct err *err)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list = NULL;
    int failed = getaddrinfo(host, NULL, &hints, &list);
    bool ok = true;

    if (failed && !port) {
        err_set(err, "\"%s\" does not resolve: %s", host,
                failed == EAI_SYSTEM ? strerror(errno) : gai_strerror(failed));
        return false;
    }
    if (failed)
        return push(a, &(struct endpoint){.port = port}, err);
    for (struct addrinfo *i = list; ok && i; i = i->ai_next) {
        struct endpoint e;

        endpoint_from_sockaddr(&e, i->ai_addr);
        e.port = port;
        ok = push(a, &e, err);
    }
    freeaddrinfo(list);
    return ok;
}

/* "user:password@" is nothing that a capture is searched for. */
static struct span without_credentials(struct span text)
{
    for (size_t i = text.len; i > 0; i--)
        if (text.ptr[i - 1] == '@')
            return (struct span){text.ptr + i, text.len - i};
    return text;
}

bool explain_args_add_proxy(struct explain_args *a, const char *text, struct err *err)
{
    struct span rest = span_of(text);
    uint16_t otherwise = 0;
    struct authority at;
    uint64_t port;

    if (num_parse_u64(rest, 65535, &port) && port > 0)
        return push(a, &(struct endpoint){.port = (uint16_t)port}, err);
    if (*text && text[strspn(text, "0123456789")] == '\0') {
        err_set(err, "a port is from 1 to 65535");
        return false;
    }
    if (span_begins_nocase(rest, SPAN_LIT("http://"))) {
        rest = span_of(text + 7);
        otherwise = CHECK_PORT;
    } else if (span_begins_nocase(rest, SPAN_LIT("https://"))) {
        rest = span_of(text + 8);
        otherwise = 443;
    } else if (strstr(text, "://")) {
        err_set(err, "HOST:PORT, PORT, http://HOST:PORT or https://HOST:PORT");
        return false;
    }
    rest = without_credentials(rest);
    if (rest.len > 0 && rest.ptr[rest.len - 1] == '/')
        rest.len--;
    if (!authority_parse_default(rest, otherwise ? otherwise : 1, &at)) {
        err_set(err, "%s at byte %zu", at.bad_what, at.bad_offset + 1);
        return false;
    }
    if (!at.has_port)
        at.port = otherwise;
    if (at.addr.family)
        return push(a, &(struct endpoint){.addr = at.addr, .port = at.port}, err);
    return push_name(a, at.host, at.port, err);
}

/* ---- options */

bool explain_args_parse_flow(const char *text, uint64_t *id)
{
    struct span s = span_of(text);

    if (s.len == ID_DIGITS)
        return num_parse_hex(s, UINT64_MAX, id) && *id > 0;
    if (s.len > 0 && s.ptr[0] == '#')
        s = (struct span){s.ptr + 1, s.len - 1};
    return num_parse_u64(s, UINT64_MAX, id) && *id > 0;
}

static int take_proxy(struct explain_args *a, const char *text)
{
    struct err err;

    if (explain_args_add_proxy(a, text, &err))
        return EXIT_OK;
    return command_usage_error(&cmd_explain, "-x %s: %s", strchr(text, '@') ? "…" : text, err.text);
}

static int take_option(struct explain_args *a, int option)
{
    switch (option) {
    case 'i':
        a->options.capture.interface = optarg;
        return EXIT_OK;
    case 'x':
        return take_proxy(a, optarg);
    case OPT_FLOW:
        return explain_args_parse_flow(optarg, &a->flow)
                   ? EXIT_OK
                   : command_usage_error(&cmd_explain,
                                         "--flow %s: a number, as \"#7\" of the "
                                         "summary, or an id",
                                         optarg);
    case OPT_HTML:
        a->html = optarg;
        return EXIT_OK;
    case OPT_FAILED:
        a->failed = true;
        return EXIT_OK;
    case OPT_JSON:
        a->json = true;
        return EXIT_OK;
    case OPT_KEYLOG:
        a->options.keylog = optarg;
        return EXIT_OK;
    case OPT_ANONYMIZE:
        a->anonymize = true;
        return EXIT_OK;
    default:
        return command_usage_error(&cmd_explain, NULL);
    }
}

/* ---- what is read */

/* The words behind the options, as tcpdump takes its filter. */
static int join_filter(struct explain_args *a, char **words, int n)
{
    size_t len = 1;

    if (n == 0)
        return EXIT_OK;
    for (int i = 0; i < n; i++)
        len += strlen(words[i]) + 1;
    a->filter = calloc(1, len);
    if (!a->filter) {
        fputs("viaduct explain: out of memory\n", stderr);
        return EXIT_SYSTEM;
    }
    for (int i = 0, at = 0; i < n; i++)
        at += snprintf(a->filter + at, len - (size_t)at, "%s%s", i ? " " : "", words[i]);
    a->options.capture.filter = a->filter;
    return EXIT_OK;
}

static bool is_same_file(const char *a, const char *b)
{
    struct stat left, right;

    return stat(a, &left) == 0 && stat(b, &right) == 0 && S_ISREG(left.st_mode) &&
           left.st_dev == right.st_dev && left.st_ino == right.st_ino;
}

static int take_paths(struct explain_args *a, char **paths, int n)
{
    struct capture_options *c = &a->options.capture;
    unsigned stdins = 0;

    if (n == 0 && isatty(STDIN_FILENO))
        return command_usage_error(&cmd_explain, "which capture?");
    c->paths = n ? (const char *const *)paths : only_stdin;
    c->paths_len = n ? (size_t)n : 1;
    for (size_t i = 0; i < c->paths_len; i++) {
        if (strcmp(c->paths[i], "-") == 0 && stdins++)
            return command_usage_error(&cmd_explain, "standard input can be read once only");
        if (a->html && is_same_file(a->html, c->paths[i]))
            return command_usage_error(&cmd_explain, "--html %s would write over the capture",
                                       a->html);
    }
    return EXIT_OK;
}

static int check_combination(const struct explain_args *a)
{
    if (a->flow && a->failed)
        return command_usage_error(&cmd_explain, "--flow shows one flow: it goes without --failed");
    if (a->json && a->html && strcmp(a->html, "-") == 0)
        return command_usage_error(&cmd_explain,
                                   "--json and --html - both write to standard output");
    return EXIT_OK;
}

int explain_args_parse(struct explain_args *a, int argc, char **argv)
{
    int c, status = EXIT_OK;

    while (status == EXIT_OK && (c = getopt_long(argc, argv, "i:x:", longs, NULL)) >= 0)
        status = take_option(a, c);
    if (status == EXIT_OK)
        status = check_combination(a);
    if (status == EXIT_OK)
        status = a->options.capture.interface ? join_filter(a, argv + optind, argc - optind)
                                              : take_paths(a, argv + optind, argc - optind);
    a->options.plots = a->html != NULL;
    return status;
}

void explain_args_fini(struct explain_args *a)
{
    free(a->filter);
    *a = (struct explain_args){0};
}
