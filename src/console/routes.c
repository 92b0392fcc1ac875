#include "console/routes.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "console/handlers.h"

#define KIB 1024u

/* clang-format off */
#define FORM \
    "enabled (flag)\nhost: an address or a full name\nport (number)\ntls (flag): to the proxy itself\n" \
    "authentication (flag): without it no user, no password\nuser\n" \
    "password: left out or empty: the one that is stored stays\n" \
    "no_proxy (list): what is reached without the proxy\nsmart_licensing (flag)"
#define ROWS \
    "sort: age, idle, up, down, client, user, target, rule or phase\norder: asc or desc\noffset (number)\n" \
    "limit (number): at most 100\nclient: its address, or address:port\nuser\n" \
    "target: a host, host:port, or .domain with all below it\nrule\n" \
    "begun_by (number): next of the page before, which was sorted by age in ascending order"

const struct route routes[] = {
    {CONSOLE_GET, "/healthz", RIGHT_METRICS, 0, false, health_get_alive,
     "says that the process answers", NULL, NULL, "ok"},
    {CONSOLE_GET, "/readyz", RIGHT_METRICS, 0, false, health_get_ready,
     "says whether it takes work: resolver and parent can be reached, and it is not draining", NULL, NULL,
     "a line for each thing that was looked at; 503 where one of them fails"},
    {CONSOLE_GET, "/metrics", RIGHT_METRICS, 0, false, metrics_get,
     "all counters, in Prometheus' text format", NULL, NULL, "text"},
    {CONSOLE_GET, "/api/v1/session", RIGHT_ANYBODY, 0, false, session_get,
     "who is logged in, and whether anybody can", NULL, NULL,
     "name, csrf (the token that goes with changes, as X-CSRF-Token), has_admins, version, language"},
    {CONSOLE_POST, "/api/v1/session", RIGHT_ANYBODY, 4 * KIB, false, session_post,
     "logs in", NULL, "name*\npassword*", "as GET; a cookie is set"},
    {CONSOLE_DELETE, "/api/v1/session", RIGHT_CHANGE, 0, false, session_delete,
     "logs out", NULL, NULL, "ok"},
    {CONSOLE_POST, "/api/v1/setup", RIGHT_ANYBODY, 4 * KIB, false, setup_post,
     "makes an administrator by a one-time link, and logs in", NULL,
     "token*: of the link, what stands behind #setup=\nname*\npassword*: 10 characters at least", "as GET /api/v1/session"},
    {CONSOLE_POST, "/api/v1/admin-link", RIGHT_CHANGE, 0, false, link_post,
     "makes a one-time link, good for 15 minutes", NULL, NULL, "url, seconds"},
    {CONSOLE_POST, "/api/v1/metrics-token", RIGHT_CHANGE, 4 * KIB, false, token_post,
     "makes a bearer token for /metrics, /healthz and /readyz, in place of an earlier one of its name", NULL,
     "name*: of who will use it", "token: told this once"},
    {CONSOLE_GET, "/api/v1/audit", RIGHT_READ, 0, false, audit_get,
     "who changed what, the last entries", "limit (number): at most 1000", NULL, "entries, the latest last: time, who, what"},
    {CONSOLE_GET, "/api/v1/state", RIGHT_READ, 0, false, state_get,
     "what the proxy is doing in all", NULL, NULL,
     "start_us, now_us, uptime_us (whatever became of the clock), draining, workers, connections, connections_max; open, tunnels: flows under way; bytes_up, "
     "bytes_down; flows: those that ended, by verdict; superseded: 407s among them that were answered; flows_dropped: "
     "not in the access log; history_lost: not in the history; health: resolver_ok, resolver, parent_ok, parent"},
    {CONSOLE_GET, "/api/v1/instance", RIGHT_READ, 0, false, instance_get,
     "which proxy this is: the files that it works with, by their real paths", NULL, NULL,
     "version, pid, config (null: it has none), history (null: it is off), accounts (null: nobody logs in)"},
    {CONSOLE_GET, "/api/v1/connections", RIGHT_READ, 0, false, connections_get,
     "the flows under way, sorted and by pages",
     ROWS, NULL,
     "rows: idle_us, phase, and flow, the flow as everywhere; matching: how many there are of those asked for; open: of "
     "all; whole: every worker answered; next: by age, where this page ends"},
    {CONSOLE_GET, "/api/v1/connections/{}", RIGHT_READ, 0, false, connection_get,
     "one flow under way", NULL, NULL, "the flow"},
    {CONSOLE_DELETE, "/api/v1/connections/{}", RIGHT_CHANGE, 0, false, connection_delete,
     "ends a flow", "reason: lands in its record", NULL, "ok"},
    {CONSOLE_GET, "/api/v1/events", RIGHT_READ, 0, false, events_get,
     "server-sent events: state each second, and, with the arguments of /api/v1/connections, its rows",
     "connections: 1 for rows, with all that follows\n" ROWS, NULL,
     "events state, connections: the answers of these paths"},
    {CONSOLE_POST, "/api/v1/check", RIGHT_CHANGE, 16 * KIB, false, check_post,
     "goes the way to a URL, as a job", NULL,
     "url*\nproxy: this, upstream, direct, or a URL\nuser\npassword\ninsecure (flag): take any certificate\n"
     "mtu (flag): find the largest segment\nfollow (flag): redirects", "job: its id, by which its events are read"},
    {CONSOLE_POST, "/api/v1/explain", RIGHT_CHANGE, 64 * 1024 * KIB, true, explain_post,
     "explains a capture, the body, as a job; it is kept in memory only", NULL, NULL, "job: its id"},
    {CONSOLE_GET, "/api/v1/jobs/{}/events", RIGHT_READ, 0, false, job_events_get,
     "server-sent events of a job, for one reader, with whom it ends", NULL, NULL,
     "events flow (as it is so far, or as it ended), line (text), end (status, as the command exits with, and message, what it said on standard error)"},
    {CONSOLE_DELETE, "/api/v1/jobs/{}", RIGHT_CHANGE, 0, false, job_delete, "ends a job", NULL, NULL, "ok"},
    {CONSOLE_GET, "/api/v1/upstream", RIGHT_READ, 0, false, upstream_get,
     "the upstream settings, without the password", NULL, NULL,
     "enabled, host, port, authentication, user, has_password, tls, no_proxy, smart_licensing, file, "
     "writable, why_not"},
    {CONSOLE_PUT, "/api/v1/upstream", RIGHT_CHANGE, 64 * KIB, false, upstream_put,
     "tests and saves the settings, as a job; what is left out stays as it is, but authentication and user", NULL,
     FORM "\nurl: to test with\nforce (flag): save whatever the test says",
     "job; its events: flow (of the test), saved (they are, and in force), trouble (message: saved, and not in force), "
     "end (status, message)"},
    {CONSOLE_POST, "/api/v1/upstream/validate", RIGHT_CHANGE, 64 * KIB, false, upstream_validate_post,
     "judges each field of the form by itself; those that are missing are not judged", NULL, FORM,
     "problems: field, message, warning (true: it does not stand in the way)"},
    {CONSOLE_GET, "/api/v1/access", RIGHT_READ, 0, false, access_get,
     "the access rules in the order in which they are tried, with what they did", NULL, NULL,
     "rules: name, action, report, built_in, file, line, text, hits, denied, reports, last_us"},
    {CONSOLE_POST, "/api/v1/access/test", RIGHT_READ, 8 * KIB, false, access_test_post,
     "which rule would decide, without sending anything", NULL, "client: its address, else 127.0.0.1\nuser\nmethod: else GET for http:// URLs, CONNECT for all others\ntarget*: a host, host:port or URL",
     "decision, rule, matches: all rules that match, or may (surely: false); text: the same in words"},
    {CONSOLE_GET, "/api/v1/accounts", RIGHT_READ, 0, false, accounts_get_all,
     "who may log in at the proxy", NULL, NULL,
     "accounts: name, realm, algorithms, disabled; realm, file, writable, why_not; in_force: the proxy has taken "
     "this state of the file; refused: it found it unreadable, and goes on with those of before"},
    {CONSOLE_POST, "/api/v1/accounts", RIGHT_CHANGE, 16 * KIB, false, accounts_post,
     "adds an account", NULL, "name*\npassword*", "ok"},
    {CONSOLE_PUT, "/api/v1/accounts/{}", RIGHT_CHANGE, 16 * KIB, false, account_put,
     "gives an account another password, disables or enables it", NULL, "password\ndisabled (flag)", "ok"},
    {CONSOLE_DELETE, "/api/v1/accounts/{}", RIGHT_CHANGE, 0, false, account_delete,
     "removes an account", NULL, NULL, "ok"},
    {CONSOLE_POST, "/api/v1/account-notices", RIGHT_CHANGE, 16 * KIB, false, accounts_notice_post,
     "notes in the audit log that its caller changed the accounts file, which is looked at",
     NULL, "file*: its path\nchange*: add, remove, passwd or import\nname*: of the account; of the file with import",
     "in_force, refused: as GET /api/v1/accounts"},
    {CONSOLE_GET, "/api/v1/configuration", RIGHT_READ, 0, false, configuration_get,
     "the configuration file, and what is in force with each value's origin", NULL, NULL,
     "text, null where it cannot be read; base: stands for this state of it; effective; restart: what of it "
     "is not in force before a restart, null: nothing; file, writable, why_not; versions: id, time_us, who"},
    {CONSOLE_PUT, "/api/v1/configuration", RIGHT_CHANGE, 2048 * KIB, false, configuration_put,
     "puts a text in the file's place and in force", NULL, "text*\nbase*: of GET, as it was when editing began", "ok; 409: somebody changed it since; 422: problems, as below"},
    {CONSOLE_POST, "/api/v1/configuration/check", RIGHT_CHANGE, 2048 * KIB, false, configuration_check_post,
     "judges a text in the file's place", NULL, "text*",
     "problems: line, column, message, warning; diff: unified; restart: as GET; denied: open flows that the new rules would deny, the "
     "first of them; denied_count: of all"},
    {CONSOLE_GET, "/api/v1/configuration/versions/{}", RIGHT_READ, 0, false, configuration_version_get,
     "the file as it was", NULL, NULL, "text"},
    {CONSOLE_GET, "/api/v1/flows", RIGHT_READ, 0, false, flows_get,
     "the history of ended flows, the newest first",
     "since (number): microseconds since 1970, of the end\nuntil (number)\nverdict: one or more, with commas\nfailed: 1 for "
     "failures only\nclient\ntarget: a host, host:port, or .domain with all below it\nuser\nrule\nended_in\n"
     "ended_by\ntext: words that all stand in it; word* for those that begin so\nbefore (number): next of the page before\nlimit (number): at most 200\n"
     "lines: 1 for a line a flow, as commands read them\norder: oldest for those behind `after`, in their order\n"
     "after (number): as before, from the other side\nlost_since (number): with lines: counts flows that were lost since",
     NULL, "flows, next; with lines: objects with seq, ended_us, failed, own_answer, reason, flow, and behind "
     "them one with next, last (the newest's seq), file (another one: another file), lost, why"},
    {CONSOLE_GET, "/api/v1/flows/{}", RIGHT_READ, 0, false, flow_get, "one ended flow",
     "lines: 1 for a line a flow of those whose ids begin so, 8 at most", NULL,
     "flow; ladder (text), cause and advice in the language asked for"},
    {CONSOLE_GET, "/api/v1/charts", RIGHT_READ, 0, false, charts_get,
     "flows by verdict, and bytes, over the last hour or day", "span: hour or day", NULL,
     "step_s, from_us, series: verdict, counts; bytes_up, bytes_down"},
    {CONSOLE_GET, "/api/v1/top", RIGHT_READ, 0, false, top_get,
     "the names with the most flows, or the most failures",
     "by: verdict, target, client, user or rule\nspan: hour or day\nfailed: 1 for failures\nlimit (number): at most 100",
     NULL, "rows: name, flows, failed, bytes_up, bytes_down"},
};
/* clang-format on */
const unsigned routes_len = ARRAY_LEN(routes);

/* Where the part ends for which a pattern's {} stands.  An account's name may have slashes. */
static const char *part_end(const char *pattern, const char *path)
{
    bool rest = strcmp(pattern, "/api/v1/accounts/{}") == 0;

    return strchrnul(path, rest ? '\0' : '/');
}

/* Matches part by part; what stands for {} is copied when `parts` is not NULL. */
static bool matches(const char *whole, const char *path, char **parts)
{
    const char *pattern = whole;
    unsigned n = 0;

    for (;;) {
        const char *end = part_end(whole, path);

        if (pattern[0] == '{' && pattern[1] == '}') {
            if (end == path)
                return false;
            if (parts && n < REQUEST_PARTS)
                parts[n++] = strndup(path, (size_t)(end - path));
            pattern += 2;
            path = end;
        } else {
            while (*pattern && *pattern != '/' && *pattern == *path) {
                pattern++;
                path++;
            }
        }
        if (*pattern != *path)
            return false;
        if (!*pattern)
            return true;
        pattern++;
        path++;
    }
}

static const char *method_name(enum console_method m)
{
    static const char *const names[] = {"GET", "POST", "PUT", "DELETE"};
    static_assert(ARRAY_LEN(names) == CONSOLE_METHODS, "a method has no name");

    return names[m];
}

const struct route *routes_find(struct request *r, char *allow, size_t cap)
{
    size_t len = 0;

    *allow = '\0';
    for (unsigned i = 0; i < routes_len; i++) {
        const struct route *route = &routes[i];

        if (!matches(route->path, r->path, NULL))
            continue;
        if (route->method == r->method) {
            matches(route->path, r->path, r->parts);
            return route;
        }
        len += (size_t)snprintf(allow + len, cap - len, "%s%s%s", len ? ", " : "",
                                method_name(route->method),
                                route->method == CONSOLE_GET ? ", HEAD" : "");
        if (len >= cap)
            len = cap - 1;
    }
    return NULL;
}
