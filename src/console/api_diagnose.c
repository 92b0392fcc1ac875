/* console/api_diagnose.c - a check and the explanation of a capture, as jobs whose events a page
 * reads. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "console/handlers.h"
#include "console/jobs.h"
#include "console/members.h"
#include "console/words.h"

#define CHECK_S 180
#define EXPLAIN_S 120
#define TEXT_MAX 2048 /* bytes of an argument */

/* --- check ------------------------------------------------------------------------------------ */

/* The proxy itself, by its first listener as it is bound. */
static bool write_own_url(const struct console_door *door, char *out, size_t cap)
{
    struct console_state state;
    struct endpoint at;
    char text[ENDPOINT_TEXT_MAX];

    door->state(door->owner, &state);
    at = state.at;
    if (!at.port)
        return false;
    if (at.addr.family == AF_INET && memcmp(at.addr.bytes, "\0\0\0\0", 4) == 0)
        addr_parse(SPAN_LIT("127.0.0.1"), &at.addr);
    if (at.addr.family == AF_INET6 && memcmp(at.addr.bytes, (char[16]){0}, 16) == 0)
        addr_parse(SPAN_LIT("::1"), &at.addr);
    endpoint_write(&at, text);
    snprintf(out, cap, "%s://%s", state.tls ? "https" : "http", text);
    return true;
}

static bool add_proxy(const struct request *r, const struct members *m, struct words *w,
                      struct reply *reply)
{
    const struct console_options *console = console_get_options(r->console);
    struct span proxy = members_get_text(m, "proxy");
    char own[ENDPOINT_TEXT_MAX + 16];
    bool ok = true;

    if (proxy.len == 0 || span_equal(proxy, SPAN_LIT("this"))) {
        ok = write_own_url(&console->door, own, sizeof own);
        words_add_all(w, (const char *const[]){"-x", own, NULL});
        if (!ok)
            reply_problem(reply, 409, "no-port", "proxy", "this proxy listens nowhere by now");
    } else if (!span_equal(proxy, SPAN_LIT("upstream"))) {
        words_add(w, SPAN_LIT("-x"));
        words_add(w, proxy);
    } else if (console->config_path) {
        words_add_all(w, (const char *const[]){"-c", console->config_path, NULL});
    }
    return ok;
}

static bool is_too_long(const struct members *m, struct reply *reply)
{
    static const char *const names[] = {"url", "proxy", "user", "password"};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct span text = members_get_text(m, names[i]);

        if (text.len <= TEXT_MAX && !memchr(text.ptr, '\0', text.len) &&
            !memchr(text.ptr, '\n', text.len))
            continue;
        reply_problem(reply, 400, "unfit", names[i], "at most %d bytes on one line", TEXT_MAX);
        return true;
    }
    return false;
}

static void start_check(struct request *r, const struct members *m, struct reply *reply)
{
    struct words *w = words_new();
    struct job_options o = {.input_fd = -1,
                            .language = request_get_language(r),
                            .seconds = CHECK_S,
                            .owner = w,
                            .free = words_free};
    struct span user = members_get_text(m, "user"), password = members_get_text(m, "password"),
                url = members_get_text(m, "url");
    char line[TEXT_MAX + 2];

    if (!w) {
        reply_out_of_memory(reply);
        return;
    }
    words_add_all(w, (const char *const[]){"check", "--events", NULL});
    if (!add_proxy(r, m, w, reply)) {
        words_free(w);
        return;
    }
    if (user.len && memchr(user.ptr, ':', user.len)) {
        reply_problem(reply, 400, "unfit", "user", "a user name has no colon");
        words_free(w);
        return;
    }
    if (user.len) {
        words_add(w, SPAN_LIT("-U"));
        words_add(w, user);
        o.input.len =
            (size_t)snprintf(line, sizeof line, "%.*s\n", (int)password.len, password.ptr);
        o.input.ptr = line;
    }
    if (members_get_bool(m, "insecure", false))
        words_add(w, SPAN_LIT("-k"));
    if (members_get_bool(m, "mtu", false))
        words_add(w, SPAN_LIT("--mtu"));
    if (members_get_bool(m, "follow", false))
        words_add(w, SPAN_LIT("-L"));
    words_add(w, SPAN_LIT("--"));
    words_add(w, url);
    words_give(w, o.args);
    jobs_answer(r, &o, reply);
    explicit_bzero(line, sizeof line);
}

static const struct member checked[] = {
    {"url", MEMBER_TEXT, true},       {"proxy", MEMBER_TEXT, false},
    {"user", MEMBER_TEXT, false},     {"password", MEMBER_TEXT, false},
    {"insecure", MEMBER_FLAG, false}, {"mtu", MEMBER_FLAG, false},
    {"follow", MEMBER_FLAG, false},   {NULL, MEMBER_ANY, false},
};

void check_post(struct request *r, struct reply *reply)
{
    struct members m;

    if (!members_parse(&m, buf_span(&r->body), checked, reply))
        return;
    if (members_get_text(&m, "url").len == 0)
        reply_problem(reply, 400, "unfit", "url", "a URL is wanted");
    else if (!is_too_long(&m, reply))
        start_check(r, &m, reply);
    members_free(&m);
}

/* --- explain ---------------------------------------------------------------------------------- */

void explain_post(struct request *r, struct reply *reply)
{
    struct job_options o = {.args = {"explain", "--json", "-"},
                            .language = request_get_language(r),
                            .seconds = EXPLAIN_S};

    if (r->upload_fd < 0) {
        reply_problem(reply, 400, "empty", NULL, "the body is the capture");
        return;
    }
    o.input_fd = r->upload_fd; /* the child has a copy of the descriptor once this returns */
    jobs_answer(r, &o, reply);
}

/* --- jobs ------------------------------------------------------------------------------------- */

void job_events_get(struct request *r, struct reply *reply)
{
    static struct event_stream stream; /* copied at once */

    if (jobs_read(console_get_jobs(r->console), r->parts[0], &stream))
        reply->stream = &stream;
    else
        reply_problem(reply, 404, "not-found", NULL, "no such job, or somebody reads it already");
}

void job_delete(struct request *r, struct reply *reply)
{
    if (jobs_end(console_get_jobs(r->console), r->parts[0]))
        reply_done(reply);
    else
        reply_problem(reply, 404, "not-found", NULL, "no such job");
}
