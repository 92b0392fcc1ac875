#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/endpoint.h"
#include "base/nearest.h"
#include "base/num.h"
#include "cli/command.h"
#include "config/config.h"
#include "host/clients.h"

#define NAMES_MAX 32u

/* What was asked on the command line. */
struct request {
    const char *config, *proxy;
    const char *action;
    char **names;
    unsigned names_len;
    struct client_options options;
    char root[PATH_MAX], home[PATH_MAX], state[PATH_MAX];
};

static bool is_named(const struct request *r, const struct client_program *p)
{
    for (unsigned i = 0; i < r->names_len; i++)
        if (strcmp(r->names[i], p->name) == 0)
            return true;
    return false;
}

/* Whether another row of the same name is there, so that this one, which is not, is not meant. */
static bool has_better(const struct request *r, const struct client_program *p)
{
    for (unsigned i = 0; i < client_programs_len; i++) {
        const struct client_program *other = &client_programs[i];

        if (strcmp(other->name, p->name) == 0 && client_is_asked(other, &r->options) &&
            (client_is_present(other, &r->options) || other < p))
            return other != p;
    }
    return false;
}

/* The rows that the request is about: those named, else those that are there. */
static bool is_chosen(const struct request *r, const struct client_program *p)
{
    if (!client_is_asked(p, &r->options) || (r->names_len > 0 && !is_named(r, p)))
        return false;
    return client_is_present(p, &r->options) || (r->names_len > 0 && !has_better(r, p));
}

/* Every NAME must be a program that has a file where the request wants it. */
static int check_name(const struct request *r, const char *name)
{
    const char *names[NAMES_MAX];
    char hint[NEAREST_HINT_MAX];
    unsigned n = 0;
    bool known = false;

    for (unsigned i = 0; i < client_programs_len && n < NAMES_MAX; i++) {
        const struct client_program *p = &client_programs[i];

        names[n++] = p->name;
        if (strcmp(p->name, name) != 0)
            continue;
        known = true;
        if (client_is_asked(p, &r->options))
            return EXIT_OK;
    }
    if (known)
        return command_usage_error(
            &cmd_clients,
            r->options.user
                ? "%s: has no file of the user's own: leave out --user"
                : "%s: has no file for the whole machine: it follows env, or --user writes its own",
            name);
    nearest_write_hint(span_of(name), names, n, hint);
    return command_usage_error(&cmd_clients, "\"%s\": no such program%s", name, hint);
}

/* Takes the host off "HOST:PORT" or "[ADDRESS]:PORT"; empty when it is none. */
static struct span take_host(struct span *rest)
{
    struct span name;
    struct addr addr;

    if (rest->len > 0 && *rest->ptr == '[') {
        *rest = (struct span){rest->ptr + 1, rest->len - 1};
        name = span_cut(rest, ']');
        if (!addr_parse(name, &addr) || rest->len == 0 || *rest->ptr != ':')
            return (struct span){0};
        *rest = (struct span){rest->ptr + 1, rest->len - 1};
        return name;
    }
    name = span_cut(rest, ':');
    for (size_t i = 0; i < name.len; i++)
        if (!name.ptr[i] ||
            !strchr("abcdefghijklmnopqrstuvwxyz0123456789.-", span_lower(name.ptr[i])))
            return (struct span){0};
    return name;
}

/* "http://HOST:PORT", the local relay's address mostly. */
static bool parse_proxy(const char *text, struct client_proxy *p, char host[256], struct err *err)
{
    struct span rest = span_of(text), scheme = span_cut(&rest, ':'), name;
    uint64_t port;

    if (span_find(rest, '@') >= 0) {
        err_set(err, "--proxy takes no user and no password, for ps shows them to everybody: "
                     "viaduct upstream set keeps them");
        return false;
    }
    p->tls = span_equal(scheme, SPAN_LIT("https"));
    if ((!p->tls && !span_equal(scheme, SPAN_LIT("http"))) || rest.len < 2 ||
        memcmp(rest.ptr, "//", 2) != 0) {
        err_set(err, "--proxy is http://HOST:PORT or https://HOST:PORT");
        return false;
    }
    rest = (struct span){rest.ptr + 2, rest.len - 2};
    if (span_ends_with(rest, SPAN_LIT("/")))
        rest.len--;
    name = take_host(&rest);
    if (name.len == 0 || name.len > 253 || !num_parse_u64(rest, UINT16_MAX, &port) || port == 0) {
        err_set(err, "--proxy \"%s\": is not http://HOST:PORT", text);
        return false;
    }
    snprintf(host, 256, "%.*s", (int)name.len, name.ptr);
    p->host = host;
    p->port = (uint16_t)port;
    return true;
}

/* The settings with which this machine reaches the internet; *c keeps what `p` borrows. */
static bool load_proxy(const struct request *r, struct client_proxy *p, struct config **c)
{
    struct config_report report = {0};
    const struct config_upstream *u;

    *c = config_load(r->config ? r->config : config_default_path(), NULL, &report);
    for (unsigned i = 0; !*c && i < report.len; i++)
        if (!report.items[i].warning)
            fprintf(stderr, "%s\n", report.items[i].text);
    config_report_fini(&report);
    if (!*c)
        return false;
    u = &(*c)->upstream;
    if (!u->present || !u->enabled) {
        fputs("viaduct clients: no upstream proxy is set or enabled: say --proxy http://HOST:PORT, "
              "or set one by viaduct upstream set\n",
              stderr);
        return false;
    }
    *p = (struct client_proxy){u->host,     u->port,     u->tls,         u->user,
                               u->password, u->no_proxy, u->no_proxy_len};
    return true;
}

/* What one row's change or refusal comes to. */
static int report_change(const struct request *r, const struct client_program *p, bool ok,
                         enum client_change change, const char *done, const struct err *err)
{
    char file[PATH_MAX];

    if (!ok) {
        fprintf(stderr, "viaduct clients: %s: %s\n", p->name, err->text);
        return change == CLIENT_REFUSED ? EXIT_USAGE : EXIT_SYSTEM;
    }
    if (r->options.dry_run)
        return EXIT_OK;
    client_name_file(p, &r->options, file);
    printf("%-8s %s: %s", p->name, file, change == CLIENT_CHANGED ? done : "nothing to do");
    if (change == CLIENT_CHANGED && p->note)
        printf(" (%s)", p->note);
    putchar('\n');
    return EXIT_OK;
}

static int apply(const struct request *r)
{
    struct client_proxy proxy = {0};
    struct config *c = NULL;
    char host[256];
    struct err err;
    int status = EXIT_OK;

    if (r->proxy && !parse_proxy(r->proxy, &proxy, host, &err))
        return command_usage_error(&cmd_clients, "%s", err.text);
    if (!r->proxy && !load_proxy(r, &proxy, &c)) {
        config_unref(c);
        return EXIT_USAGE;
    }
    for (unsigned i = 0; i < client_programs_len; i++) {
        const struct client_program *p = &client_programs[i];
        enum client_change change;

        if (!is_chosen(r, p))
            continue;
        bool ok = client_apply(p, &proxy, &r->options, &change, &err);
        int one = report_change(r, p, ok, change, "written", &err);
        status = one > status ? one : status;
    }
    config_unref(c);
    return status;
}

/* The last row first: a folder that two of them made is then empty when its maker comes. */
static int take_out(const struct request *r)
{
    int status = EXIT_OK;

    for (unsigned i = client_programs_len; i-- > 0;) {
        const struct client_program *p = &client_programs[i];
        enum client_change change;
        struct err err;

        if (!client_is_asked(p, &r->options) || (r->names_len > 0 && !is_named(r, p)))
            continue;
        bool ok = client_remove(p, &r->options, &change, &err);
        if (ok && change == CLIENT_SAME && !is_chosen(r, p))
            continue;
        int one = report_change(r, p, ok, change, "taken out", &err);
        status = one > status ? one : status;
    }
    return status;
}

/* Whether the program is there, and none of its rows is about the whole machine: curl. */
static bool follows_env(const struct request *r, const struct client_program *p)
{
    if (r->options.user || !client_is_present(p, &r->options))
        return false;
    for (unsigned i = 0; i < client_programs_len; i++)
        if (strcmp(client_programs[i].name, p->name) == 0 &&
            client_is_asked(&client_programs[i], &r->options))
            return false;
    return r->names_len == 0;
}

static int show(const struct request *r)
{
    int status = EXIT_OK;

    for (unsigned i = 0; i < client_programs_len; i++) {
        const struct client_program *p = &client_programs[i];
        struct client_finding found[4];
        char file[PATH_MAX];
        struct err err;

        if (follows_env(r, p))
            printf("%-8s %-14s %s\n", p->name, "follows env", "(--user: a file of its own)");
        if (!is_chosen(r, p))
            continue;
        int n = client_look(p, &r->options, found, 4, &err);
        if (n < 0) {
            fprintf(stderr, "viaduct clients: %s: %s\n", p->name, err.text);
            status = EXIT_SYSTEM;
        }
        client_name_file(p, &r->options, file);
        if (n == 0)
            printf("%-8s %-14s %s\n", p->name, "not set", file);
        for (int k = 0; k < n; k++)
            printf("%-8s %-14s %s%s%s\n", p->name, found[k].ours ? "viaduct" : "somebody else",
                   found[k].place, *found[k].url ? "  " : "", found[k].url);
    }
    return status;
}

/* The folders that the options name. */
static int find_folders(struct request *r, const char *root)
{
    const char *home = getenv("HOME"), *state = getenv("XDG_STATE_HOME");
    struct passwd *me;

    if (!realpath(root, r->root))
        return command_usage_error(&cmd_clients, "--root \"%s\": %s", root, strerror(errno));
    if ((!home || *home != '/') && (me = getpwuid(geteuid())))
        home = me->pw_dir;
    if (!home || *home != '/' || strlen(home) > PATH_MAX / 2 ||
        (state && strlen(state) > PATH_MAX / 2))
        return command_usage_error(&cmd_clients, "HOME is no absolute path that can be used");
    snprintf(r->home, sizeof(r->home), "%s", strcmp(home, "/") == 0 ? "" : home);
    if (state && *state == '/')
        snprintf(r->state, sizeof(r->state), "%.2048s/viaduct/clients", state);
    else
        snprintf(r->state, sizeof(r->state), "%.2048s/.local/state/viaduct/clients", r->home);
    r->options.root = r->root;
    r->options.home = r->home;
    r->options.state = r->state;
    r->options.out = stdout;
    return EXIT_OK;
}

static int run_action(struct request *r)
{
    static const struct {
        const char *name;
        int (*run)(const struct request *r);
    } actions[] = {{"show", show}, {"apply", apply}, {"remove", take_out}};

    for (unsigned i = 0; i < r->names_len; i++)
        if (check_name(r, r->names[i]) != EXIT_OK)
            return EXIT_USAGE;
    for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++)
        if (strcmp(r->action, actions[i].name) == 0)
            return actions[i].run(r);
    return command_usage_error(&cmd_clients, "\"%s\" is neither show, apply nor remove", r->action);
}

static int clients_run(int argc, char **argv)
{
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'},
        {"proxy", required_argument, NULL, 'x'},
        {"root", required_argument, NULL, 'r'},
        {"user", no_argument, NULL, 'u'},
        {"dry-run", no_argument, NULL, 'n'},
        {"force", no_argument, NULL, 'f'},
        {NULL, 0, NULL, 0},
    };
    struct request *r = calloc(1, sizeof(*r)); /* the paths are long */
    const char *root = "/";
    int option, status = EXIT_OK;

    if (!r) {
        fputs("viaduct clients: out of memory\n", stderr);
        return EXIT_SYSTEM;
    }
    optind = 1;
    opterr = 0;
    while (status == EXIT_OK && (option = getopt_long(argc, argv, "c:x:nf", options, NULL)) >= 0) {
        switch (option) {
        case 'c':
            r->config = optarg;
            break;
        case 'x':
            r->proxy = optarg;
            break;
        case 'r':
            root = optarg;
            break;
        case 'u':
            r->options.user = true;
            break;
        case 'n':
            r->options.dry_run = true;
            break;
        case 'f':
            r->options.force = true;
            break;
        default:
            status = command_usage_error(
                &cmd_clients, "\"%s\": no such option, or its value is missing", argv[optind - 1]);
        }
    }
    if (status == EXIT_OK && optind >= argc)
        status = command_usage_error(&cmd_clients, "say what to do: show, apply or remove");
    if (status == EXIT_OK)
        status = find_folders(r, root);
    if (status == EXIT_OK) {
        r->action = argv[optind];
        r->names = argv + optind + 1;
        r->names_len = (unsigned)(argc - optind - 1);
        status = run_action(r);
    }
    free(r);
    return status;
}

const struct command cmd_clients = {
    .name = "clients",
    .synopsis = "show|apply|remove [--proxy URL] [--user] [--root DIR] [--dry-run] [--force] "
                "[-c FILE] [NAME...]",
    .summary = "write the proxy into the programs of this machine, and take it out again",
    .help =
        "show          what is set today in each program, where, and by whom\n"
        "apply         write the proxy into the programs that are installed, or those named\n"
        "remove        take it out again: each file is as it was, to the byte\n"
        "NAME          env apt curl wget git npm pip docker systemd\n"
        "-x, --proxy URL\n"
        "              http://HOST:PORT, instead of the upstream settings; for a machine where "
        "viaduct\n"
        "              is the relay: http://127.0.0.1:3128\n"
        "--user        the user's own files (~/.curlrc …) instead of the machine's\n"
        "--root DIR    work on the machine, or image, whose root folder is DIR\n"
        "-n, --dry-run print what would change as a unified diff, and change nothing\n"
        "-f, --force   put somebody else's proxy setting aside (remove brings it back); remove:\n"
        "              also take out lines of viaduct's that somebody changed\n"
        "-c, --config FILE\n"
        "              instead of /etc/viaduct/viaduct.conf\n"
        "\n"
        "Exit status: 0 done; 2 usage error, or some program was refused; 3 a file could not be\n"
        "read or written.\n",
    .run = clients_run,
};
