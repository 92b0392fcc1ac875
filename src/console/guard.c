#include "console/guard.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <microhttpd.h>

#include "base/clock.h"
#include "base/digest.h"
#include "base/num.h"
#include "console/internal.h"
#include "console/routes.h"
#include "console/sessions.h"
#include "policy/attempts.h"

/* Of a body that is too large so much is read, and thrown away, so that its sender gets to the
 * answer. */
#define UNREAD_MAX (64u << 20)

static bool is_loopback(const struct addr *a)
{
    static const uint8_t one[16] = {[15] = 1};

    if (a->family == AF_INET)
        return a->bytes[0] == 127;
    return a->family == AF_INET6 && memcmp(a->bytes, one, sizeof one) == 0;
}

void guard_init(struct guard *g, const struct config_console *c, int fd, bool secure)
{
    struct sockaddr_storage sa;
    socklen_t len = sizeof sa;

    g->at = c->listen;
    if (getsockname(fd, (struct sockaddr *)&sa, &len) == 0)
        endpoint_from_sockaddr(&g->at, (struct sockaddr *)&sa);
    g->secure = secure;
    g->loopback = is_loopback(&g->at.addr);
    g->attempts = attempts_new();
    g->hosts = calloc(c->hosts_len ? c->hosts_len : 1, sizeof *g->hosts);
    for (unsigned i = 0; g->hosts && i < c->hosts_len; i++)
        if ((g->hosts[g->hosts_len] = strdup(c->hosts[i])))
            g->hosts_len++;
}

void guard_fini(struct guard *g)
{
    for (unsigned i = 0; i < g->hosts_len; i++)
        free(g->hosts[i]);
    free(g->hosts);
    if (g->attempts)
        attempts_free(g->attempts);
    *g = (struct guard){0};
}

void guard_learn_account(struct guard *g)
{
    struct passwd pw, *found = NULL;
    char memory[4096];

    if (getpwuid_r(geteuid(), &pw, memory, sizeof memory, &found) == 0 && found)
        snprintf(g->account, sizeof g->account, "%s", found->pw_name);
}

void guard_write_url(const struct guard *g, char *out, size_t cap)
{
    char text[ENDPOINT_TEXT_MAX];

    *out = '\0';
    if (!g->at.addr.family)
        return;
    endpoint_write(&g->at, text);
    snprintf(out, cap, "%s://%s/", g->secure ? "https" : "http", text);
}

/* --- who it is -------------------------------------------------------------------------------- */

/* Host without its port, which must be ours where it is there. */
static bool split_host(const struct guard *g, struct span field, struct span *host)
{
    uint64_t port = g->secure ? 443 : 80;
    struct span rest = field;

    if (field.len && field.ptr[0] == '[') {
        long end = span_find(field, ']');

        if (end < 0)
            return false;
        *host = (struct span){field.ptr + 1, (size_t)end - 1};
        rest = (struct span){field.ptr + end + 1, field.len - (size_t)end - 1};
        if (rest.len && rest.ptr[0] != ':')
            return false;
        if (rest.len)
            rest = (struct span){rest.ptr + 1, rest.len - 1};
    } else {
        *host = span_cut(&rest, ':');
    }
    if (rest.len && !num_parse_u64(rest, UINT16_MAX, &port))
        return false;
    return port == g->at.port;
}

static bool is_our_address(const struct request *r, const struct addr *a)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(r->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct sockaddr_storage sa;
    socklen_t len = sizeof sa;
    struct endpoint mine = {0};

    if (!info || getsockname(info->connect_fd, (struct sockaddr *)&sa, &len) != 0)
        return false;
    endpoint_from_sockaddr(&mine, (struct sockaddr *)&sa);
    return addr_is_equal(&mine.addr, a) || (is_loopback(&mine.addr) && is_loopback(a));
}

static bool is_our_name(const struct guard *g, const struct request *r)
{
    const char *field = request_get_field(r, "Host");
    struct span host;
    struct addr a;

    if (!field || !split_host(g, span_of(field), &host))
        return false;
    if (addr_parse(host, &a))
        return is_our_address(r, &a);
    for (unsigned i = 0; i < g->hosts_len; i++)
        if (span_equal_nocase(host, span_of(g->hosts[i])))
            return true;
    return false;
}

/* Origin is the page's, Host is ours: the same, but for the scheme in front (RFC 6454, 7). */
static bool is_same_origin(const char *origin, const char *host)
{
    const char *at = strstr(origin, "://");

    return at && host && strcasecmp(at + 3, host) == 0;
}

/* A page of another site may not even start a change, whatever browsers send along. */
static bool is_from_elsewhere(const struct request *r)
{
    const char *site = request_get_field(r, "Sec-Fetch-Site");
    const char *origin = request_get_field(r, "Origin");

    if (origin && !is_same_origin(origin, request_get_field(r, "Host")))
        return true;
    return site && strcmp(site, "same-origin") != 0 && strcmp(site, "none") != 0;
}

/* Only those that may change something are looked up: a directory service may be slow. */
static void identify_local(const struct guard *g, struct request *r)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(r->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct ucred cred = {.uid = (uid_t)-1};
    socklen_t len = sizeof cred;

    if (info && getsockopt(info->connect_fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) == 0)
        r->uid = cred.uid;
    else
        r->uid = (uid_t)-1;
    r->may_change = r->uid == 0 || r->uid == geteuid();
    const char *name = r->uid == 0 ? "root" : r->may_change ? g->account : "";
    snprintf(r->who, sizeof r->who, "uid %u%s%s%s by the control socket", (unsigned)r->uid,
             *name ? " (" : "", name, *name ? ")" : "");
}

void guard_write_who(struct request *r)
{
    char text[ENDPOINT_TEXT_MAX];

    addr_write(&r->peer.addr, text);
    snprintf(r->who, sizeof r->who, "%.64s from %.71s",
             r->session ? r->session->name : "a stranger", text);
}

/* A session ends with its administrator. */
static struct console_session *end_orphan(struct console *c, struct console_session *s)
{
    if (!s || admins_has(console_get_admins(c), span_of(s->name)))
        return s;
    sessions_end(s);
    return NULL;
}

static struct console_session *find_session(struct request *r, const char *cookie)
{
    return end_orphan(r->console, sessions_find(console_get_sessions(r->console), span_of(cookie),
                                                console_now_ns(r->console)));
}

bool guard_goes_on(struct console *c, const char *csrf)
{
    return end_orphan(c, sessions_touch(console_get_sessions(c), csrf, console_now_ns(c))) != NULL;
}

void guard_write_cookie(const struct guard *g, char out[GUARD_COOKIE_MAX])
{
    snprintf(out, GUARD_COOKIE_MAX, "%s-%u", g->secure ? "__Host-viaduct" : "viaduct-console",
             g->at.port);
}

static void identify(struct guard *g, struct request *r)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(r->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    char name[GUARD_COOKIE_MAX];
    const char *cookie;

    guard_write_cookie(g, name);
    cookie = MHD_lookup_connection_value(r->connection, MHD_COOKIE_KIND, name);
    r->secure = g->secure;
    if (info)
        endpoint_from_sockaddr(&r->peer, info->client_addr);
    if (cookie)
        r->session = find_session(r, cookie);
    guard_write_who(r);
}

bool guard_admit(struct guard *g, struct request *r, struct reply *reply)
{
    if (r->local) {
        identify_local(g, r);
        return true;
    }
    identify(g, r);
    if (!is_our_name(g, r)) {
        reply_problem(reply, 421, "wrong-host", NULL,
                      "this console does not answer to that name: name it in console { hosts … }");
        return false;
    }
    if (r->method != CONSOLE_GET && is_from_elsewhere(r)) {
        reply_problem(reply, 403, "cross-site", NULL, "the request comes from another site's page");
        return false;
    }
    return true;
}

static bool has_csrf(const struct request *r)
{
    const char *token = request_get_field(r, "X-CSRF-Token");

    return token && strlen(token) == SESSIONS_TOKEN_HEX &&
           digest_equal(token, r->session->csrf, SESSIONS_TOKEN_HEX);
}

static bool has_bearer(const struct request *r)
{
    struct span field = span_of(request_get_field(r, "Authorization"));

    if (!span_begins_nocase(field, SPAN_LIT("Bearer ")))
        return false;
    return admins_has_token(console_get_admins(r->console),
                            span_trim((struct span){field.ptr + 7, field.len - 7}));
}

static bool refuse_stranger(struct reply *reply)
{
    reply_problem(reply, 401, "log-in", NULL, "log in first");
    return false;
}

bool guard_allow(struct guard *g, struct request *r, struct reply *reply)
{
    switch (r->route->right) {
    case RIGHT_ANYBODY:
        return true;
    case RIGHT_METRICS:
        if (r->local || r->session || (g->loopback && is_loopback(&r->peer.addr)) || has_bearer(r))
            return true;
        reply_problem(reply, 401, "token", NULL, "a bearer token is wanted here");
        return false;
    case RIGHT_READ:
        return r->local || r->session || refuse_stranger(reply);
    case RIGHT_CHANGE:
        break;
    }
    if (r->local) {
        if (!r->may_change)
            reply_problem(reply, 403, "not-yours", NULL,
                          "uid %u may only read: root and the proxy's own account (uid %u%s%s) may "
                          "change things",
                          (unsigned)r->uid, (unsigned)geteuid(), *g->account ? ", " : "",
                          g->account);
        return r->may_change;
    }
    if (!r->session)
        return refuse_stranger(reply);
    if (!has_csrf(r)) {
        reply_problem(reply, 403, "csrf", NULL, "X-CSRF-Token is missing or of another session");
        return false;
    }
    return true;
}

/* --- bodies ----------------------------------------------------------------------------------- */

bool guard_take_body(struct request *r, struct span bytes)
{
    r->upload_len += bytes.len;
    if (r->upload_len > (uint64_t)r->route->body_max + UNREAD_MAX)
        return false;
    if (r->too_large || r->is_broken)
        return true;
    if (!r->route->upload) {
        r->too_large = !buf_append(&r->body, bytes.ptr, bytes.len);
        return true;
    }
    if (r->upload_fd < 0)
        r->upload_fd = memfd_create("upload", MFD_CLOEXEC);
    if (r->upload_len > r->route->body_max)
        r->too_large = true;
    else if (r->upload_fd < 0 || write(r->upload_fd, bytes.ptr, bytes.len) != (ssize_t)bytes.len)
        r->is_broken = true;
    if (r->too_large && r->upload_fd >= 0) {
        close(r->upload_fd);
        r->upload_fd = -1;
    }
    return true;
}

/* --- answers ---------------------------------------------------------------------------------- */

void guard_add_fields(struct MHD_Response *response, const struct reply *reply)
{
    static const char *const strict[][2] = {
        {"X-Content-Type-Options", "nosniff"},
        {"Referrer-Policy", "no-referrer"},
        {"X-Frame-Options", "DENY"},
        {"Cross-Origin-Opener-Policy", "same-origin"},
        {"Cross-Origin-Resource-Policy", "same-origin"},
        {"Content-Security-Policy",
         "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
         "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"}};
    const struct {
        const char *name, *value;
    } fields[] = {{"Content-Type", reply->type ? reply->type : "application/json"},
                  {"ETag", reply->etag},
                  {"Cache-Control", reply->is_lasting ? "private, max-age=31536000, immutable"
                                    : reply->etag     ? "no-cache"
                                                      : "no-store"},
                  {"Set-Cookie", reply->cookie},
                  {"Location", reply->location},
                  {"Content-Disposition", reply->disposition},
                  {"Allow", reply->allow},
                  {"Content-Encoding", reply->fixed_gzip ? "gzip" : NULL},
                  {"Vary", reply->etag ? "Accept-Encoding" : NULL},
                  {"WWW-Authenticate", reply->status == 401 ? "Bearer" : NULL}};
    char seconds[16];

    for (size_t i = 0; i < sizeof strict / sizeof strict[0]; i++)
        MHD_add_response_header(response, strict[i][0], strict[i][1]);
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
        if (fields[i].value)
            MHD_add_response_header(response, fields[i].name, fields[i].value);
    if (reply->retry_after_s) {
        snprintf(seconds, sizeof seconds, "%u", reply->retry_after_s);
        MHD_add_response_header(response, "Retry-After", seconds);
    }
}

/* --- passwords -------------------------------------------------------------------------------- */

bool guard_may_try(struct guard *g, const struct request *r, struct span name, struct reply *reply)
{
    uint64_t now_ns = console_now_ns(r->console);
    unsigned wait_s = g->attempts ? attempts_wait_s(g->attempts, &r->peer.addr, name, now_ns) : 0;

    if (!wait_s && now_ns < g->locked_ns)
        wait_s = 1;
    if (!wait_s) {
        g->locked_ns = now_ns + 100 * NS_PER_MS; /* a check is slow, and holds this thread up */
        return true;
    }
    reply_problem(reply, 429, "slow-down", NULL, "too many attempts: again in %u s", wait_s);
    reply->retry_after_s = wait_s;
    return false;
}

void guard_count_failure(struct guard *g, const struct request *r, struct span name)
{
    if (g->attempts)
        attempts_add(g->attempts, &r->peer.addr, name, console_now_ns(r->console));
}
