#include "cli/flows_args.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/nearest.h"
#include "base/num.h"
#include "base/util.h"
#include "cli/command.h"
#include "render/date.h"

#define CENTURY_NS (100ull * 366 * 86400 * NS_PER_S)

/* A local time, in one of the forms that people write. */
static bool parse_local(const char *text, uint64_t *wall_ns)
{
    static const char *const forms[] = {"%Y-%m-%d", "%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S",
                                        "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"};

    for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
        struct tm tm = {0};
        const char *end = strptime(text, forms[i], &tm);
        int day = tm.tm_mday;
        time_t seconds;

        if (!end || *end)
            continue;
        tm.tm_isdst = -1;
        seconds = mktime(&tm); /* makes another day of 30 February */
        *wall_ns = (uint64_t)seconds * NS_PER_S;
        return seconds >= 0 && tm.tm_mday == day;
    }
    return false;
}

bool flows_args_parse_since(const char *text, uint64_t wall_ns, uint64_t *since_us)
{
    uint64_t ns;

    if (num_parse_duration(span_of(text), CENTURY_NS, &ns))
        ns = ns < wall_ns ? wall_ns - ns : 0;
    else if (!date_parse_rfc3339(span_of(text), &ns) && !parse_local(text, &ns))
        return false;
    *since_us = ns / NS_PER_US;
    return true;
}

static bool read_since(struct flows_args *a, const char *text, uint64_t wall_ns)
{
    if (flows_args_parse_since(text, wall_ns, &a->query.since_us))
        return true;
    command_usage_error(&cmd_flows,
                        "--since %s: not a time like 10m, 2h, 2026-11-26, \"2026-11-26 05:00\" or "
                        "2026-11-26T05:00:00Z",
                        text);
    return false;
}

static bool read_client(struct flows_args *a, const char *text)
{
    struct addr addr;

    if (!addr_parse(span_of(text), &addr)) {
        command_usage_error(&cmd_flows, "--client %s: not an address", text);
        return false;
    }
    addr_write(&addr, a->client);
    a->query.client = a->client;
    return true;
}

static bool read_target(struct flows_args *a, const char *text)
{
    if (!*text || strcmp(text, ".") == 0) {
        command_usage_error(&cmd_flows,
                            "--target: a name is wanted, like example.com, .example.com "
                            "or example.com:443");
        return false;
    }
    a->query.target = text;
    return true;
}

static bool add_verdict(struct flows_args *a, struct span name)
{
    const char *names[VERDICT_COUNT];
    char hint[NEAREST_HINT_MAX];
    enum verdict v = verdict_find(name);

    if (v != VERDICT_COUNT) {
        a->verdicts[a->query.verdicts_len++] = verdict_get_info(v)->name;
        return true;
    }
    for (unsigned i = 0; i < VERDICT_COUNT; i++)
        names[i] = verdict_get_info(i)->name;
    nearest_write_hint(name, names, VERDICT_COUNT, hint);
    command_usage_error(&cmd_flows,
                        "--verdict: no verdict \"%.*s\"%s; viaduct-verdicts(7) lists them",
                        (int)name.len, name.ptr, hint);
    return false;
}

/* Several, with commas between them. */
static bool read_verdicts(struct flows_args *a, const char *text)
{
    struct span rest = span_of(text);

    do {
        struct span name = span_trim(span_cut(&rest, ','));

        if (a->query.verdicts_len == VERDICT_COUNT) {
            command_usage_error(&cmd_flows, "--verdict: there are not so many");
            return false;
        }
        if (!add_verdict(a, name))
            return false;
    } while (rest.len > 0);
    a->query.verdicts = a->verdicts;
    return true;
}

static bool read_option(struct flows_args *a, int option, uint64_t wall_ns)
{
    switch (option) {
    case 'c':
        a->config = optarg;
        return true;
    case 'f':
        return a->query.failed = true;
    case 's':
        return read_since(a, optarg, wall_ns);
    case 'C':
        return read_client(a, optarg);
    case 't':
        return read_target(a, optarg);
    case 'v':
        return read_verdicts(a, optarg);
    case 'j':
        return a->json = true;
    case 'F':
        return a->follow = true;
    }
    return false;
}

static bool read_id(struct flows_args *a, const char *text)
{
    struct browse_query none = {0};
    uint64_t id;

    if (strlen(text) > 16 || !num_parse_hex(span_of(text), UINT64_MAX, &id)) {
        command_usage_error(
            &cmd_flows, "%s: no id of a flow (16 hexadecimal digits, or the first of them)", text);
        return false;
    }
    if (a->follow || memcmp(&a->query, &none, sizeof none) != 0) {
        command_usage_error(&cmd_flows, "%s: an id is of one flow: there is nothing to choose from",
                            text);
        return false;
    }
    a->id = text;
    return true;
}

bool flows_args_read(struct flows_args *a, int argc, char **argv, uint64_t wall_ns)
{
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'},
        {"failed", no_argument, NULL, 'f'},
        {"since", required_argument, NULL, 's'},
        {"client", required_argument, NULL, 'C'},
        {"target", required_argument, NULL, 't'},
        {"verdict", required_argument, NULL, 'v'},
        {"json", no_argument, NULL, 'j'},
        {"follow", no_argument, NULL, 'F'},
        {NULL, 0, NULL, 0},
    };
    int option;

    memset(a, 0, sizeof *a);
    optind = 1;
    opterr = 0;
    while ((option = getopt_long(argc, argv, "c:", options, NULL)) >= 0) {
        if (option == '?' || option == ':') {
            command_usage_error(&cmd_flows, "\"%s\": no such option, or its value is missing",
                                argv[optind - 1]);
            return false;
        }
        if (!read_option(a, option, wall_ns))
            return false;
    }
    if (optind < argc && !read_id(a, argv[optind]))
        return false;
    if (optind + 1 < argc) {
        command_usage_error(&cmd_flows, "unexpected argument \"%s\"", argv[optind + 1]);
        return false;
    }
    return true;
}
