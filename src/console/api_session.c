/* console/api_session.c - logging in and out, the first administrator, the audit log. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "console/admins.h"
#include "console/audit.h"
#include "console/handlers.h"
#include "console/internal.h"
#include "console/members.h"
#include "console/sessions.h"

static void write_session(struct request *r, struct reply *reply)
{
    struct reply_json j;
    struct err err;
    int n = admins_count(console_get_admins(r->console), &err);

    reply_json_begin(reply, &j);
    jsonw_open(&j.w, '{');
    jsonw_member_text(&j.w, "name", r->session ? r->session->name : NULL);
    jsonw_member_text(&j.w, "csrf", r->session ? r->session->csrf : NULL);
    jsonw_key(&j.w, "has_admins");
    jsonw_bool(&j.w, n > 0);
    jsonw_member_text(&j.w, "trouble", n < 0 ? "the file of administrators cannot be read" : NULL);
    jsonw_member_text(&j.w, "version", VIADUCT_VERSION);
    jsonw_member_text(&j.w, "language", request_get_language(r));
    jsonw_close(&j.w, '}');
    reply_json_end(reply, &j);
}

void session_get(struct request *r, struct reply *reply)
{
    write_session(r, reply);
}

static void set_cookie(struct request *r, struct reply *reply, const char *value)
{
    char text[256], name[GUARD_COOKIE_MAX];

    guard_write_cookie(console_get_guard(r->console), name);
    snprintf(text, sizeof text, "%s=%s; Path=/; HttpOnly; SameSite=Strict%s%s", name, value,
             r->secure ? "; Secure" : "", *value ? "" : "; Max-Age=0");
    reply->cookie = strdup(text);
}

static void log_in(struct request *r, struct reply *reply, struct span name)
{
    char cookie[SESSIONS_TOKEN_HEX + 1];

    r->session =
        sessions_begin(console_get_sessions(r->console), name, console_now_ns(r->console), cookie);
    if (!r->local)
        guard_write_who(r);
    set_cookie(r, reply, cookie);
    explicit_bzero(cookie, sizeof cookie);
    write_session(r, reply);
}

static const struct member credentials[] = {
    {"name", MEMBER_TEXT, true}, {"password", MEMBER_TEXT, true}, {NULL, MEMBER_ANY, false}};

void session_post(struct request *r, struct reply *reply)
{
    struct admins *admins = console_get_admins(r->console);
    struct span name, password;
    struct members m;
    struct err err;

    if (!members_parse(&m, buf_span(&r->body), credentials, reply))
        return;
    name = members_get_text(&m, "name");
    password = members_get_text(&m, "password");
    if (!guard_may_try(console_get_guard(r->console), r, name, reply)) {
        /* told already */
    } else if (admins_check(admins, name, password, &err)) {
        log_in(r, reply, name);
        request_audit(r, "logged in as %.*s", (int)name.len, name.ptr);
    } else if (*err.text) {
        reply_problem(reply, 503, "admins", NULL, "%s", err.text);
    } else {
        guard_count_failure(console_get_guard(r->console), r, name);
        request_audit(r, "failed to log in as \"%.*s\"", (int)(name.len < 64 ? name.len : 64),
                      name.ptr);
        reply_problem(reply, 403, "wrong", NULL, "name or password is wrong");
    }
    members_free(&m);
}

void session_delete(struct request *r, struct reply *reply)
{
    if (r->session)
        sessions_end(r->session);
    r->session = NULL;
    set_cookie(r, reply, "");
    reply_done(reply);
}

/* The link is used up last, so that a name or password that is refused does not cost it. */
static void set_up(struct request *r, const struct members *m, struct reply *reply)
{
    struct admins *admins = console_get_admins(r->console);
    struct span name = members_get_text(m, "name"), password = members_get_text(m, "password"),
                token = members_get_text(m, "token");
    uint64_t now_ns = console_now_ns(r->console);
    struct err err;

    if (!admins_has_link(admins, token, now_ns)) {
        guard_count_failure(console_get_guard(r->console), r, SPAN_LIT(""));
        reply_problem(reply, 403, "link", "token",
                      "the link was used or is too old: viaduct account admin-link makes another");
    } else if (!admins_is_fit(name, password, &err)) {
        reply_problem(reply, 400, "unfit", NULL, "%s", err.text);
    } else if (!admins_set(admins, name, password, &err)) {
        reply_problem(reply, 503, "admins", NULL, "%s", err.text);
    } else {
        admins_use_link(admins, token, now_ns);
        sessions_end_of(console_get_sessions(r->console), name);
        request_audit(r, "made the administrator %.*s by a link", (int)name.len, name.ptr);
        log_in(r, reply, name);
    }
}

static const struct member setup[] = {{"token", MEMBER_TEXT, true},
                                      {"name", MEMBER_TEXT, true},
                                      {"password", MEMBER_TEXT, true},
                                      {NULL, MEMBER_ANY, false}};

void setup_post(struct request *r, struct reply *reply)
{
    struct members m;

    if (!members_parse(&m, buf_span(&r->body), setup, reply))
        return;
    if (guard_may_try(console_get_guard(r->console), r, SPAN_LIT(""), reply))
        set_up(r, &m, reply);
    members_free(&m);
}

void link_post(struct request *r, struct reply *reply)
{
    char token[ADMINS_TOKEN_HEX + 1], url[512];
    struct reply_json j;

    guard_write_url(console_get_guard(r->console), url, sizeof url);
    if (!*url) {
        reply_problem(reply, 409, "no-console", NULL, "the console is off");
        return;
    }
    admins_make_link(console_get_admins(r->console), console_now_ns(r->console), token);
    request_audit(r, "made a one-time link for an administrator");
    reply_json_begin(reply, &j);
    jsonw_open(&j.w, '{');
    jsonw_key(&j.w, "url");
    jsonw_next(&j.w);
    pen_char(&j.pen, '"');
    escape_json(&j.pen, span_of(url));
    pen_text(&j.pen, "#setup=");
    pen_text(&j.pen, token);
    pen_char(&j.pen, '"');
    jsonw_member_u64(&j.w, "seconds", ADMINS_LINK_S);
    jsonw_close(&j.w, '}');
    reply_json_end(reply, &j);
    explicit_bzero(token, sizeof token);
}

void token_post(struct request *r, struct reply *reply)
{
    char token[ADMINS_TOKEN_HEX + 1];
    struct reply_json j;
    struct members m;
    struct span name;
    struct err err;

    if (!members_parse(&m, buf_span(&r->body), MEMBERS({"name", MEMBER_TEXT, true}), reply))
        return;
    name = members_get_text(&m, "name");
    if (!admins_is_fit(name, SPAN_LIT("0123456789"), &err)) {
        reply_problem(reply, 400, "unfit", "name", "%s", err.text);
    } else if (!admins_make_token(console_get_admins(r->console), name, token, &err)) {
        reply_problem(reply, 503, "admins", NULL, "%s", err.text);
    } else {
        request_audit(r, "made a bearer token for %.*s", (int)name.len, name.ptr);
        reply_json_begin(reply, &j);
        jsonw_open(&j.w, '{');
        jsonw_member_text(&j.w, "token", token);
        jsonw_close(&j.w, '}');
        reply_json_end(reply, &j);
        explicit_bzero(token, sizeof token);
    }
    members_free(&m);
}

void audit_get(struct request *r, struct reply *reply)
{
    uint64_t limit;

    if (!request_get_number(r, "limit", 1000, 100, &limit, reply))
        return;
    buf_init(&reply->body, 1u << 20);
    if (!buf_append(&reply->body, "{\"entries\":", 11) ||
        !audit_read(console_get_audit(r->console), (unsigned)limit, &reply->body) ||
        !buf_append(&reply->body, "}\n", 2))
        reply_out_of_memory(reply);
}
