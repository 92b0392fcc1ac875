#include "console/routes.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "console/handlers.h"

#define KIB 1024u

/* clang-format off */
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
     "logs in", NULL, "name\npassword", "as GET; a cookie is set"},
    {CONSOLE_DELETE, "/api/v1/session", RIGHT_CHANGE, 0, false, session_delete,
     "logs out", NULL, NULL, "ok"},
    {CONSOLE_POST, "/api/v1/setup", RIGHT_ANYBODY, 4 * KIB, false, setup_post,
     "makes an administrator by a one-time link, and logs in", NULL,
     "token: of the link\nname\npassword", "as GET /api/v1/session"},
    {CONSOLE_POST, "/api/v1/admin-link", RIGHT_CHANGE, 0, false, link_post,
     "makes a one-time link, good for 15 minutes", NULL, NULL, "url, seconds"},
    {CONSOLE_GET, "/api/v1/audit", RIGHT_READ, 0, false, audit_get,
     "who changed what, the last entries", "limit: at most 1000", NULL, "entries: time, who, what"},
    {CONSOLE_GET, "/api/v1/state", RIGHT_READ, 0, false, state_get,
     "what the proxy is doing in all", NULL, NULL,
     "open flows, tunnels, connections and their limit, bytes, totals by verdict"},
    {CONSOLE_GET, "/api/v1/connections", RIGHT_READ, 0, false, connections_get,
     "the flows under way, sorted and by pages",
     "sort: age, idle, up, down, client, user, target, rule or phase\norder: asc or desc\noffset\n"
     "limit: at most 100\nclient: a part of its address\nuser\ntarget\nrule", NULL,
     "rows: flows as everywhere, with idle_us; matching, open"},
    {CONSOLE_GET, "/api/v1/connections/{}", RIGHT_READ, 0, false, connection_get,
     "one flow under way", NULL, NULL, "the flow"},
    {CONSOLE_DELETE, "/api/v1/connections/{}", RIGHT_CHANGE, 4 * KIB, false, connection_delete,
     "ends a flow", "reason: lands in its record", NULL, "ok"},
    {CONSOLE_GET, "/api/v1/events", RIGHT_READ, 0, false, events_get,
     "server-sent events: state each second, and, with the arguments of /api/v1/connections, its rows",
     "connections: 1 for rows; and all of /api/v1/connections", NULL, "events state, connections"},
    {CONSOLE_POST, "/api/v1/check", RIGHT_CHANGE, 16 * KIB, false, check_post,
     "goes the way to a URL, as a job", NULL,
     "url\nproxy: this, upstream, direct, or a URL\nuser\npassword\ninsecure: take any certificate\n"
     "mtu: find the largest segment\nfollow: redirects", "job: its id"},
    {CONSOLE_POST, "/api/v1/explain", RIGHT_CHANGE, 64 * 1024 * KIB, true, explain_post,
     "explains a capture, the body, as a job; it is kept in memory only", NULL, NULL, "job: its id"},
    {CONSOLE_GET, "/api/v1/jobs/{}/events", RIGHT_READ, 0, false, job_events_get,
     "server-sent events of a job, for one reader, with whom it ends", NULL, NULL,
     "events flow (as it is so far, or as it ended), line (text), end (status, message)"},
    {CONSOLE_DELETE, "/api/v1/jobs/{}", RIGHT_CHANGE, 0, false, job_delete, "ends a job", NULL, NULL, "ok"},
};
/* clang-format on */
const unsigned routes_len = ARRAY_LEN(routes);

/* Matches part by part; what stands for {} is copied when `parts` is not NULL. */
static bool matches(const char *pattern, const char *path, char **parts)
{
    unsigned n = 0;

    for (;;) {
        const char *end = strchrnul(path, '/');

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
        len += (size_t)snprintf(allow + len, cap - len, "%s%s", len ? ", " : "",
                                method_name(route->method));
        if (len >= cap)
            len = cap - 1;
    }
    return NULL;
}
