#include "cli/check_args.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/num.h"
#include "base/util.h"
#include "check/url.h"
#include "cli/command.h"
#include "cli/secret.h"
#include "policy/parent.h"
#include "wire/authority.h"

#define URLS_MAX 100000
#define SECONDS_MAX 86400
#define LIST_LINE_MAX 8192 /* bytes, with its end and a terminator */

enum {
    OPT_DIGEST = 256,
    OPT_BASIC,
    OPT_MTU,
    OPT_COMPARE,
    OPT_PCAP,
    OPT_KEYLOG,
    OPT_CACERT,
    OPT_PROXY_CACERT,
    OPT_JSON,
    OPT_EVENTS
};

static const struct option longs[] = {
    {"proxy", required_argument, NULL, 'x'},
    {"proxy-user", required_argument, NULL, 'U'},
    {"digest", no_argument, NULL, OPT_DIGEST},
    {"basic", no_argument, NULL, OPT_BASIC},
    {"location", no_argument, NULL, 'L'},
    {"output", required_argument, NULL, 'o'},
    {"continue-at", required_argument, NULL, 'C'},
    {"mtu", no_argument, NULL, OPT_MTU},
    {"compare", no_argument, NULL, OPT_COMPARE},
    {"pcap", required_argument, NULL, OPT_PCAP},
    {"keylog", required_argument, NULL, OPT_KEYLOG},
    {"insecure", no_argument, NULL, 'k'},
    {"cacert", required_argument, NULL, OPT_CACERT},
    {"proxy-cacert", required_argument, NULL, OPT_PROXY_CACERT},
    {"max-time", required_argument, NULL, 'm'},
    {"file", required_argument, NULL, 'f'},
    {"config", required_argument, NULL, 'c'},
    {"json", no_argument, NULL, OPT_JSON},
    {"events", no_argument, NULL, OPT_EVENTS},
    {0},
};

/* What the words say, before it is put together. */
struct words {
    const char *list;
    char *proxy, *user; /* in argv, with a password maybe */
};

static int fail(int status, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static int fail(int status, const char *fmt, ...)
{
    va_list ap;

    fputs("viaduct check: ", stderr);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
    return status;
}

/* ---- options */

static bool parse_seconds(const char *text, uint64_t *ns)
{
    char *end;
    double seconds;

    errno = 0;
    seconds = strtod(text, &end);
    if (errno || end == text || *end || !(seconds >= 0.001 && seconds <= SECONDS_MAX))
        return false;
    *ns = (uint64_t)(seconds * 1e9);
    return true;
}

static int take_option(struct check_args *a, struct words *w, int option)
{
    switch (option) {
    case 'x':
        w->proxy = optarg;
        return EXIT_OK;
    case 'U':
        w->user = optarg;
        return EXIT_OK;
    case OPT_DIGEST:
        a->proxy.wish = LOGIN_DIGEST;
        return EXIT_OK;
    case OPT_BASIC:
        a->proxy.wish = LOGIN_BASIC;
        return EXIT_OK;
    case 'L':
        a->options.follow = true;
        return EXIT_OK;
    case 'o':
        a->output = optarg;
        return EXIT_OK;
    case 'C':
        a->resume = strcmp(optarg, "-") == 0;
        return a->resume ? EXIT_OK
                         : command_usage_error(&cmd_check,
                                               "-C %s: only \"-C -\" is known, which "
                                               "goes on where the file ends",
                                               optarg);
    case OPT_MTU:
        a->options.mtu = true;
        return EXIT_OK;
    case OPT_COMPARE:
        a->compare = true;
        return EXIT_OK;
    case OPT_PCAP:
        a->pcap = optarg;
        return EXIT_OK;
    case OPT_KEYLOG:
        a->keylog = optarg;
        return EXIT_OK;
    case 'k':
        a->options.insecure = true;
        return EXIT_OK;
    case OPT_CACERT:
        a->options.cacert = optarg;
        return EXIT_OK;
    case OPT_PROXY_CACERT:
        a->proxy.ca = optarg;
        return EXIT_OK;
    case 'm':
        return parse_seconds(optarg, &a->options.timeout_ns)
                   ? EXIT_OK
                   : command_usage_error(&cmd_check, "-m %s: seconds, from 0.001 to %d", optarg,
                                         SECONDS_MAX);
    case 'f':
        w->list = optarg;
        return EXIT_OK;
    case 'c':
        a->config_path = optarg;
        return EXIT_OK;
    case OPT_EVENTS:
        a->events = true;
        a->json = true;
        return EXIT_OK;
    case OPT_JSON:
        a->json = true;
        return EXIT_OK;
    default:
        return command_usage_error(&cmd_check, NULL);
    }
}

/* ---- URLs */

static bool add_url(struct check_args *a, const char *text, size_t len)
{
    char **more = reallocarray(a->urls, a->urls_len + 1, sizeof *more);

    if (!more)
        return false;
    a->urls = more;
    more[a->urls_len] = strndup(text, len);
    return more[a->urls_len++] != NULL;
}

/* Takes a line of a list; `n` counts from 1. */
static int take_line(struct check_args *a, const char *path, unsigned n, struct span s)
{
    struct url u = {0};
    struct err err;
    int status = EXIT_OK;

    if (n == 1 && s.len >= 3 && memcmp(s.ptr, "\xef\xbb\xbf", 3) == 0)
        s = (struct span){s.ptr + 3, s.len - 3}; /* the mark that some editors begin a file with */
    while (s.len > 0 && strchr(" \t\r\n", s.ptr[s.len - 1]))
        s.len--;
    s = span_trim(s);
    if (s.len == 0 || s.ptr[0] == '#')
        return EXIT_OK;
    if (a->urls_len == URLS_MAX)
        return fail(EXIT_USAGE, "%s:%u: more than %d URLs", path, n, URLS_MAX);
    if (!url_parse(&u, s, &err))
        status = fail(EXIT_USAGE, "%s:%u: %s", path, n, err.text);
    else if (!add_url(a, s.ptr, s.len))
        status = fail(EXIT_SYSTEM, "out of memory");
    url_fini(&u);
    return status;
}

/* One URL a line; blank lines and those that begin with # are passed over. */
static int read_list(struct check_args *a, const char *path)
{
    bool is_stdin = strcmp(path, "-") == 0;
    FILE *f = is_stdin ? stdin : fopen(path, "re");
    char line[LIST_LINE_MAX];
    int status = EXIT_OK;

    if (!f)
        return fail(EXIT_USAGE, "%s: %s", path, strerror(errno));
    for (unsigned n = 1; status == EXIT_OK && fgets(line, sizeof line, f); n++) {
        size_t len = strlen(line);

        if ((len == 0 || line[len - 1] != '\n') && !feof(f))
            status = fail(EXIT_USAGE, "%s:%u: a line that is no text, or longer than %d bytes",
                          path, n, LIST_LINE_MAX - 2);
        else
            status = take_line(a, path, n, (struct span){line, len});
    }
    if (status == EXIT_OK && ferror(f))
        status = fail(EXIT_USAGE, "%s: %s", path, strerror(errno));
    if (!is_stdin)
        fclose(f);
    return status;
}

/* ---- the proxy */

/* "user:password@" in front of a proxy's address is taken out of it. */
static struct span cut_credentials(struct span *rest)
{
    long at = -1;

    for (size_t i = 0; i < rest->len; i++)
        if (rest->ptr[i] == '@')
            at = (long)i;
    if (at < 0)
        return (struct span){0};
    struct span out = {rest->ptr, (size_t)at};
    *rest = (struct span){rest->ptr + at + 1, rest->len - (size_t)at - 1};
    return out;
}

static int parse_proxy(struct check_args *a, const char *text, struct span *credentials)
{
    struct span rest = span_of(text);
    struct authority at;

    if (strncasecmp(text, "http://", 7) == 0) {
        rest = span_of(text + 7);
    } else if (strncasecmp(text, "https://", 8) == 0) {
        rest = span_of(text + 8);
        a->proxy.tls = true;
    } else if (strstr(text, "://")) {
        return command_usage_error(&cmd_check,
                                   "-x %.*s…: http://HOST:PORT, https://HOST:PORT or "
                                   "direct",
                                   (int)strcspn(text, ":"), text);
    }
    *credentials = cut_credentials(&rest);
    if (rest.len > 0 && rest.ptr[rest.len - 1] == '/')
        rest.len--;
    if (*text && text[strspn(text, "0123456789")] == '\0')
        return command_usage_error(&cmd_check, "-x %s: a port without its host, as in localhost:%s",
                                   text, text);
    if (!authority_parse_default(rest, a->proxy.tls ? 443 : 3128, &at))
        return command_usage_error(&cmd_check, "-x %.*s: %s at byte %zu", (int)rest.len, rest.ptr,
                                   at.bad_what, at.bad_offset + 1);
    a->proxy_host = strdup(at.host);
    a->proxy.host = a->proxy_host;
    a->proxy.port = at.port;
    return a->proxy_host ? EXIT_OK : fail(EXIT_SYSTEM, "out of memory");
}

/* NAME or NAME:PASSWORD; without the latter it is asked for. */
static int take_credentials(struct check_args *a, struct span text)
{
    struct span name = span_cut(&text, ':');
    bool has_password = name.ptr + name.len != text.ptr + text.len || text.len > 0;
    struct err err;

    free(a->user);
    a->user = span_dup(name);
    if (!a->user)
        return fail(EXIT_SYSTEM, "out of memory");
    a->proxy.user = a->user;
    a->proxy.password = a->password;
    if (!has_password) {
        char prompt[320];

        snprintf(prompt, sizeof prompt, "Password of %s at the proxy", a->user);
        return secret_read(prompt, false, a->password, &err) ? EXIT_OK
                                                             : fail(EXIT_USAGE, "%s", err.text);
    }
    fputs("viaduct check: warning: a password among the arguments can be seen by other users; with "
          "-U NAME it is asked for\n",
          stderr);
    if (text.len >= sizeof a->password)
        return fail(EXIT_USAGE, "a password has at most %zu bytes", sizeof a->password - 1);
    memcpy(a->password, text.ptr, text.len);
    return EXIT_OK;
}

static bool is_exception(const void *parent, const char *host, const struct addr *addr)
{
    char name[AUTHORITY_HOST_MAX];
    size_t len = strlen(host);

    if (len > 0 && host[len - 1] == '.')
        len--;
    if (len >= sizeof name)
        return false;
    for (size_t i = 0; i < len; i++)
        name[i] = span_lower(host[i]);
    return parent_is_exception(parent, (struct span){name, len}, addr);
}

/* The upstream settings of the configuration in use. */
static int take_settings(struct check_args *a)
{
    struct config_report report = {0};
    const struct config_upstream *u;

    a->config = config_load(a->config_path ? a->config_path : config_default_path(), NULL, &report);
    for (unsigned i = 0; i < report.len; i++)
        if (!report.items[i].warning)
            fprintf(stderr, "%s\n", report.items[i].text);
    config_report_fini(&report);
    if (!a->config)
        return EXIT_USAGE;
    u = &a->config->upstream;
    if (!u->enabled)
        return EXIT_OK;
    a->proxy.tls = u->tls;
    a->proxy.host = u->host;
    a->proxy.port = u->port;
    a->proxy.user = u->user;
    a->proxy.password = u->password ? u->password : "";
    if (!a->proxy.ca)
        a->proxy.ca = u->ca;
    a->options.proxy = &a->proxy;
    if (a->config->parent) {
        a->options.is_direct = is_exception;
        a->options.direct_owner = a->config->parent;
    }
    return EXIT_OK;
}

static int take_proxy(struct check_args *a, const struct words *w)
{
    struct span credentials = {0};
    int status = EXIT_OK;

    if (!w->proxy) {
        status = take_settings(a);
    } else if (strcmp(w->proxy, "direct") != 0) {
        status = parse_proxy(a, w->proxy, &credentials);
        a->options.proxy = &a->proxy;
    }
    if (status == EXIT_OK && w->user)
        credentials = span_of(w->user);
    if (status == EXIT_OK && credentials.len > 0)
        status = take_credentials(a, credentials);
    if (w->user && !a->options.proxy && status == EXIT_OK)
        status = fail(EXIT_USAGE, "-U: there is no proxy to log in to (-x names one)");
    return status;
}

static void write_proxy_text(struct check_args *a)
{
    struct authority at = {.port = a->proxy.port};
    char text[AUTHORITY_TEXT_MAX];

    if (!a->options.proxy) {
        snprintf(a->proxy_text, sizeof a->proxy_text, "direct");
        return;
    }
    snprintf(at.host, sizeof at.host, "%s", a->proxy.host);
    at.host_len = (uint16_t)strlen(at.host);
    if (!addr_parse(span_of(at.host), &at.addr))
        at.addr.family = 0;
    authority_write(&at, text);
    snprintf(a->proxy_text, sizeof a->proxy_text, "%s://%s", a->proxy.tls ? "https" : "http", text);
}

/* Who is used to curl expects these to be followed. */
static void mention_environment(const struct check_args *a, const struct words *w)
{
    static const char *const names[] = {"https_proxy", "HTTPS_PROXY", "http_proxy", "all_proxy",
                                        "ALL_PROXY"};

    if (w->proxy || a->json)
        return;
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (getenv(names[i])) {
            fprintf(stderr,
                    "viaduct check: %s is set in the environment and not followed: -x \"$%s\" "
                    "checks the way that curl would go\n",
                    names[i], names[i]);
            return;
        }
}

static void hide(char *argument)
{
    if (argument)
        explicit_bzero(argument, strlen(argument));
}

/* ---- all together */

static bool is_same(const char *a, const char *b)
{
    return a && b && strcmp(a, b) == 0;
}

static int check_combination(const struct check_args *a)
{
    if (a->urls_len == 0)
        return command_usage_error(&cmd_check, "which URL?");
    if (a->output && a->urls_len > 1)
        return command_usage_error(&cmd_check, "-o saves one URL, not %u", a->urls_len);
    if (a->resume && !a->output)
        return command_usage_error(&cmd_check, "-C - goes on with a file: -o names it");
    if (a->resume && strcmp(a->output, "-") == 0)
        return command_usage_error(&cmd_check, "-C - goes on with a file, not on standard output");
    if (is_same(a->output, a->pcap) || is_same(a->output, a->keylog) || is_same(a->pcap, a->keylog))
        return command_usage_error(&cmd_check, "-o, --pcap and --keylog need a file each");
    if (a->compare && (a->output || a->options.mtu))
        return command_usage_error(&cmd_check, "--compare goes without -o and --mtu");
    return EXIT_OK;
}

int check_args_parse(struct check_args *a, int argc, char **argv)
{
    struct words w = {0};
    int c, status = EXIT_OK;

    while (status == EXIT_OK && (c = getopt_long(argc, argv, "x:U:Lo:C:km:f:c:", longs, NULL)) >= 0)
        status = take_option(a, &w, c);
    for (int i = optind; status == EXIT_OK && i < argc; i++)
        if (!add_url(a, argv[i], strlen(argv[i])))
            status = fail(EXIT_SYSTEM, "out of memory");
    if (status == EXIT_OK && w.list)
        status = read_list(a, w.list);
    if (status == EXIT_OK)
        status = check_combination(a);
    secret_forbid_core();
    if (status == EXIT_OK)
        status = take_proxy(a, &w);
    hide(w.user); /* ps shows them no longer */
    hide(w.proxy && strchr(w.proxy, '@') ? w.proxy : NULL);
    if (status != EXIT_OK)
        return status;
    write_proxy_text(a);
    mention_environment(a, &w);
    return EXIT_OK;
}

bool check_args_take_parent(struct check_args *a, struct check_args *out)
{
    struct check_args parent = {.config_path = a->config_path};
    bool is_other;

    if (a->config) /* the way of `a` is that one already */
        return false;
    if (take_settings(&parent) != EXIT_OK || !parent.options.proxy) {
        config_unref(parent.config);
        return false;
    }
    write_proxy_text(&parent);
    is_other = strcmp(parent.proxy_text, a->proxy_text) != 0;
    a->config = parent.config; /* its texts are borrowed */
    *out = *a;
    out->proxy = parent.proxy;
    out->options.proxy = &out->proxy;
    out->options.is_direct = parent.options.is_direct;
    out->options.direct_owner = parent.options.direct_owner;
    memcpy(out->proxy_text, parent.proxy_text, sizeof out->proxy_text);
    return is_other;
}

void check_args_fini(struct check_args *a)
{
    explicit_bzero(a->password, sizeof a->password);
    free(a->user);
    free(a->proxy_host);
    config_unref(a->config);
    for (unsigned i = 0; i < a->urls_len; i++)
        free(a->urls[i]);
    free(a->urls);
    *a = (struct check_args){0};
}
