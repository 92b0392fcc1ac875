#include <getopt.h>
#include <ifaddrs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/util.h"
#include "cli/command.h"
#include "config/config.h"
#include "policy/access.h"
#include "wire/authority.h"

/* What was asked on the command line. */
struct question {
    const char *file, *client, *user, *method, *target;
    struct authority at;
};

/* "deny private (built in)", "allow local (viaduct.conf:12, report only)" */
static void print_rule(const struct access_rule *r)
{
    printf("%s %s (", r->allow ? "allow" : "deny", r->name);
    if (r->line > 0)
        printf("%s:%d", r->file, r->line);
    else
        printf("%.*s", (int)strcspn(r->file + 1, ")"), r->file + 1);
    printf("%s)\n", r->report ? ", report only" : "");
}

static const char *outcome_word(enum access_outcome outcome)
{
    switch (outcome) {
    case ACCESS_ALLOW:
        return "allowed";
    case ACCESS_DENY:
        return "denied";
    case ACCESS_LOGIN:
        return "login needed";
    case ACCESS_RESOLVE:
        return "depends on the address";
    }
    return "";
}

static void print_others(const struct access *a, const struct access_query *q,
                         const struct access_rule *decided)
{
    for (unsigned i = 0; i < access_count_rules(a); i++) {
        const struct access_rule *r = access_get_rule(a, i);
        int matches = access_rule_matches(a, i, q, NULL);

        if (r == decided || matches == 0)
            continue;
        fputs(matches > 0 ? "  matches    " : "  may match  ", stdout);
        print_rule(r);
    }
}

static int answer(const struct access *a, const struct access_query *q, const char *what)
{
    struct access_decision d;

    access_decide(a, q, &d);
    printf("%s: %s\n", outcome_word(d.outcome), what);
    if (d.rule) {
        fputs(d.outcome == ACCESS_LOGIN ? "  asked by   " : "  decided by ", stdout);
        print_rule(d.rule);
    } else if (d.outcome == ACCESS_DENY) {
        puts("  no rule allows it");
    } else {
        puts("  nothing was looked up; of these, report-only ones aside, the first that matches an "
             "address decides for it");
    }
    print_others(a, q, d.rule);
    return d.outcome == ACCESS_ALLOW || d.outcome == ACCESS_RESOLVE ? EXIT_OK : EXIT_VERDICT;
}

/* Minutes since Monday 00:00, local time. */
static int week_minute_now(void)
{
    time_t now = time(NULL);
    struct tm tm;

    localtime_r(&now, &tm);
    return ((tm.tm_wday + 6) % 7 * 24 + tm.tm_hour) * 60 + tm.tm_min;
}

/* This machine's addresses count as loopback, here as in the proxy. */
static void learn_own_addresses(void)
{
    struct addr list[256];
    struct ifaddrs *all = NULL;
    unsigned n = 0;

    if (getifaddrs(&all) != 0)
        return;
    for (struct ifaddrs *i = all; i && n < ARRAY_LEN(list); i = i->ifa_next) {
        struct endpoint e;

        if (!i->ifa_addr ||
            (i->ifa_addr->sa_family != AF_INET && i->ifa_addr->sa_family != AF_INET6))
            continue;
        endpoint_from_sockaddr(&e, i->ifa_addr);
        list[n++] = e.addr;
    }
    freeifaddrs(all);
    access_set_own_addresses(list, n);
}

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

/* "https://host/…" is asked for by CONNECT, as a client of the proxy does; an http URL by its own
 * method. */
static bool parse_target(struct question *q)
{
    struct span text = span_of(q->target);
    bool is_url = strstr(q->target, "://") != NULL;

    if (!is_url) {
        q->method = q->method ? q->method : "CONNECT";
        return authority_parse_default(text, 443, &q->at);
    }
    if (!authority_parse_absolute(text, false, &q->at))
        return false;
    if (!q->method)
        q->method = span_equal_nocase(q->at.scheme, SPAN_LIT("http")) ? "GET" : "CONNECT";
    return true;
}

static int test(struct question *question)
{
    struct access_query q = {.user = question->user};
    char at[AUTHORITY_TEXT_MAX], what[AUTHORITY_TEXT_MAX + 256];

    if (!addr_parse(span_of(question->client), &q.client))
        return command_usage_error(&cmd_access, "\"%s\" is no address", question->client);
    if (!parse_target(question))
        return command_usage_error(&cmd_access, "\"%s\": %s", question->target,
                                   question->at.bad_what);
    struct config *c = load(question->file);
    if (!c)
        return EXIT_USAGE;
    learn_own_addresses();
    q.can_login = c->authentication.present;
    q.method = span_of(question->method);
    q.host = (struct span){question->at.host, question->at.host_len};
    q.addr = question->at.addr;
    q.port = question->at.port;
    parent_route(c->parent, &q);
    q.week_minute = week_minute_now();
    authority_write(&question->at, at);
    snprintf(what, sizeof what, "%.32s %s from %.64s%s%.128s", question->method, at,
             question->client, question->user ? " as " : "", question->user ? question->user : "");
    int status = answer(c->access, &q, what);
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
    struct question question = {.client = "127.0.0.1"};
    int option;

    optind = 1;
    opterr = 0;
    while ((option = getopt_long(argc, argv, "c:", options, NULL)) >= 0) {
        switch (option) {
        case 'c':
            question.file = optarg;
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
    return test(&question);
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
