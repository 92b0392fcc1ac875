/* console/api_upstream.c - the upstream settings: shown without the password, judged field by
 * field, and saved by `viaduct upstream set`, which tests them first. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "config/report.h"
#include "config/upstream_file.h"
#include "console/audit.h"
#include "console/files.h"
#include "console/handlers.h"
#include "console/jobs.h"
#include "console/members.h"
#include "console/words.h"
#include "flow/words.h"

#define SAVE_S 120
#define WORDS_MAX 256
#define TEXT_MAX 4096     /* bytes of a field */
#define PASSWORD_MAX 1024 /* bytes */

#define TOO_LONG N_("more than the settings can take")

/* Where one field is judged by itself, no other is missing. */
#define COMPLETE "iprep_proxy { ENABLED off; PROXY_HOST 127.0.0.1; PROXY_PORT 1; }"

static const struct field {
    const char *name; /* in JSON */
    const char *in_file;
    const char *option; /* of `upstream set`; NULL: not by an option */
    enum { TEXT, FLAG, NUMBER, LIST } kind;
} fields[] = {
    {"enabled", "ENABLED", "--enabled", FLAG},
    {"host", "PROXY_HOST", "--host", TEXT},
    {"port", "PROXY_PORT", "--port", NUMBER},
    {"user", "PROXY_USER", "--user", TEXT},
    {"password", "PROXY_PASSWORD", NULL, TEXT},
    {"tls", "PROXY_TLS", "--tls", FLAG},
    {"no_proxy", "NO_PROXY", "--no-proxy", LIST},
    {"smart_licensing", "SMART_LICENSING", "--smart-licensing", FLAG},
};

static const struct console_door *door_of(const struct request *r)
{
    return &console_get_options(r->console)->door;
}

void upstream_get(struct request *r, struct reply *reply)
{
    struct config *c = door_of(r)->config(door_of(r)->owner);
    const struct config_upstream *u = &c->upstream;
    struct reply_json j;

    reply_json_begin(reply, &j);
    jsonw_open(&j.w, '{');
    jsonw_key(&j.w, "enabled");
    jsonw_bool(&j.w, u->present && u->enabled);
    jsonw_member_text(&j.w, "host", u->host ? u->host : "");
    jsonw_member_u64(&j.w, "port", u->port);
    jsonw_key(&j.w, "authentication");
    jsonw_bool(&j.w, u->user != NULL);
    jsonw_member_text(&j.w, "user", u->user ? u->user : "");
    jsonw_key(&j.w, "has_password");
    jsonw_bool(&j.w, u->password != NULL);
    jsonw_key(&j.w, "tls");
    jsonw_bool(&j.w, u->tls);
    jsonw_key(&j.w, "no_proxy");
    jsonw_open(&j.w, '[');
    for (unsigned i = 0; i < u->no_proxy_len; i++)
        jsonw_text(&j.w, u->no_proxy[i]);
    jsonw_close(&j.w, ']');
    jsonw_key(&j.w, "smart_licensing");
    jsonw_bool(&j.w, u->smart_licensing);
    files_write_members(&j.w, c->upstream_file);
    jsonw_close(&j.w, '}');
    reply_json_end(reply, &j);
    config_unref(c);
}

/* --- judging ---------------------------------------------------------------------------------- */

/* What the form brings, for all three routes. */
static const struct member form[] = {
    {"enabled", MEMBER_FLAG, false},
    {"host", MEMBER_TEXT, false},
    {"authentication", MEMBER_FLAG, false},
    {"user", MEMBER_TEXT, false},
    {"password", MEMBER_TEXT, false},
    {"tls", MEMBER_FLAG, false},
    {"no_proxy", MEMBER_LIST, false},
    {"smart_licensing", MEMBER_FLAG, false},
    {"url", MEMBER_TEXT, false},
    {"force", MEMBER_FLAG, false},
    {NULL, MEMBER_ANY, false},
};

/* The port is a number, or what somebody typed in its place. */
static int read_port(const struct members *m, const struct field *f, char text[TEXT_MAX])
{
    struct span typed = members_get_text(m, f->name);
    uint64_t n;
    int len;

    if (members_get_number(m, f->name, UINT32_MAX, &n))
        len = snprintf(text, TEXT_MAX, "%llu", (unsigned long long)n);
    else
        len = snprintf(text, TEXT_MAX, "%.*s", (int)typed.len, typed.ptr);
    return len < TEXT_MAX ? 1 : -1;
}

static int read_list(const struct members *m, const struct field *f, char text[TEXT_MAX],
                     const char *words[WORDS_MAX])
{
    size_t used = 0;
    int len = 0;

    for (struct span item; members_get_item(m, f->name, (unsigned)len, &item); len++) {
        if (used + item.len + 1 > TEXT_MAX || len == WORDS_MAX)
            return -1;
        words[len] = text + used;
        memcpy(text + used, item.ptr, item.len);
        text[used + item.len] = '\0';
        used += item.len + 1;
    }
    return len;
}

/* The member as words of the file; their texts are in `text`.  The number of words; -1: it is
 * longer than a field may be. */
static int read_words(const struct members *m, const struct field *f, char text[TEXT_MAX],
                      const char *words[WORDS_MAX])
{
    struct span typed;

    words[0] = text;
    switch (f->kind) {
    case FLAG:
        snprintf(text, TEXT_MAX, "%s", members_get_bool(m, f->name, false) ? "on" : "off");
        return 1;
    case NUMBER:
        return read_port(m, f, text);
    case TEXT:
        break;
    case LIST:
        return read_list(m, f, text, words);
    }
    typed = members_get_text(m, f->name);
    return snprintf(text, TEXT_MAX, "%.*s", (int)typed.len, typed.ptr) < TEXT_MAX ? 1 : -1;
}

/* "file:1:2: what" without its place, which nobody sees in a form. */
static const char *without_place(const char *text)
{
    for (unsigned colons = 0; *text; text++)
        if (*text == ':' && ++colons == 3)
            return text[1] == ' ' ? text + 2 : text + 1;
    return text;
}

static void write_problem(struct jsonw *w, const char *name, const char *message, bool warning)
{
    jsonw_open(w, '{');
    jsonw_member_text(w, "field", name);
    jsonw_member_text(w, "message", message);
    jsonw_key(w, "warning");
    jsonw_bool(w, warning);
    jsonw_close(w, '}');
}

static void judge(struct jsonw *w, const char *name, struct span text, const char *language)
{
    struct config_report report = {.language = language};
    struct config *c = config_load_upstream("form", text, &report);

    for (unsigned i = 0; i < report.len; i++)
        write_problem(w, name, without_place(report.items[i].text), report.items[i].warning);
    config_report_fini(&report);
    config_unref(c);
}

/* One field among others that are fine; the host together with smart licensing, which bounds it. */
static void judge_field(struct jsonw *w, const struct members *m, const struct field *f,
                        const char *language)
{
    bool licensing = f->kind == TEXT && strcmp(f->name, "host") == 0 &&
                     members_get_bool(m, "smart_licensing", false);
    struct upstream_edit e = {.name = f->in_file}, on = {.name = "SMART_LICENSING",
                                                         .words = (const char *const[]){"on"},
                                                         .len = 1};
    struct upstream_edit user = {
        .name = "PROXY_USER", .words = (const char *const[]){"u"}, .len = 1};
    const char *words[WORDS_MAX];
    struct buf text, more;
    char bytes[TEXT_MAX];
    int n = read_words(m, f, bytes, words);

    if (n < 0)
        write_problem(w, f->name, words_in(TOO_LONG, language), false);
    if (n <= 0 || !members_has(m, f->name))
        return;
    e.words = words;
    e.len = (unsigned)n;
    buf_init(&text, UPSTREAM_FILE_MAX);
    buf_init(&more, UPSTREAM_FILE_MAX);
    if (upstream_file_edit(SPAN_LIT(COMPLETE), &e, &text) &&
        (strcmp(f->name, "password") != 0 ||
         (upstream_file_edit(buf_span(&text), &user, &more) && (buf_wipe(&text), true) &&
          buf_append(&text, buf_span(&more).ptr, more.len))) &&
        (!licensing ||
         ((buf_wipe(&more), true) && upstream_file_edit(buf_span(&text), &on, &more) &&
          (buf_wipe(&text), true) && buf_append(&text, buf_span(&more).ptr, more.len))))
        judge(w, f->name, buf_span(&text), language);
    buf_wipe(&text);
    buf_wipe(&more);
    buf_fini(&text);
    buf_fini(&more);
    explicit_bzero(bytes, sizeof bytes);
}

/* Whether a field of the form is to be looked at: those of a log-in only while there is one. */
static bool counts(const struct members *m, const struct field *f)
{
    bool is_login = strcmp(f->name, "user") == 0 || strcmp(f->name, "password") == 0;
    bool is_empty_password =
        strcmp(f->name, "password") == 0 && members_get_text(m, f->name).len == 0;

    return (!is_login || members_get_bool(m, "authentication", false)) && !is_empty_password;
}

void upstream_validate_post(struct request *r, struct reply *reply)
{
    struct reply_json j;
    struct members m;

    if (!members_parse(&m, buf_span(&r->body), form, reply))
        return;
    reply_json_begin(reply, &j);
    jsonw_open(&j.w, '{');
    jsonw_key(&j.w, "problems");
    jsonw_open(&j.w, '[');
    for (size_t i = 0; i < ARRAY_LEN(fields); i++)
        if (counts(&m, &fields[i]))
            judge_field(&j.w, &m, &fields[i], request_get_language(r));
    jsonw_close(&j.w, ']');
    jsonw_close(&j.w, '}');
    reply_json_end(reply, &j);
    members_free(&m);
}

/* --- saving ----------------------------------------------------------------------------------- */

struct saving {
    struct console *console;
    struct words *words;
    char who[160];
};

static void free_saving(void *owner)
{
    struct saving *s = owner;

    if (s)
        words_free(s->words);
    free(s);
}

/* The settings are in force at once, without a restart. */
static void saved(void *owner, int status, struct buf *events)
{
    struct saving *s = owner;
    const struct console_door *door = &console_get_options(s->console)->door;
    struct err err;

    audit_say(console_get_audit(s->console), s->who,
              status == 0 ? "saved the upstream settings" : "upstream settings were not saved");
    if (status != 0)
        return;
    if (door->reload(door->owner, &err))
        buf_printf(events, "event: saved\ndata: {\"ok\":true}\n\n");
    else
        jobs_add_event(events, "trouble", "message", span_of(err.text));
}

/* NAME=VALUE for a field; what it does not have any more is taken out. */
static bool add_field(struct words *w, const struct members *m, const struct field *f)
{
    bool login = members_get_bool(m, "authentication", false);
    const char *words[WORDS_MAX];
    char bytes[TEXT_MAX], value[TEXT_MAX] = "";
    size_t used = 0;
    int n;

    if (!f->option || !(members_has(m, f->name) || strcmp(f->name, "user") == 0))
        return true;
    n = read_words(m, f, bytes, words);
    if (n < 0)
        return false;
    if (strcmp(f->name, "user") != 0 || login)
        for (int i = 0; i < n && used < sizeof value; i++)
            used +=
                (size_t)snprintf(value + used, sizeof value - used, "%s%s", i ? " " : "", words[i]);
    return used < sizeof value && words_add(w, span_of(f->option)) && words_add(w, span_of(value));
}

static void start_saving(struct request *r, const struct members *m, const char *file,
                         struct reply *reply)
{
    struct saving *s = calloc(1, sizeof *s);
    struct span password = members_get_text(m, "password");
    bool has_password = members_get_bool(m, "authentication", false) && password.len > 0;
    struct job_options o = {.input_fd = -1,
                            .language = request_get_language(r),
                            .seconds = SAVE_S,
                            .writes = true,
                            .ended = saved,
                            .owner = s,
                            .free = free_saving};
    char line[PASSWORD_MAX + 2];
    bool ok = s && (s->words = words_new());

    if (ok) {
        s->console = r->console;
        snprintf(s->who, sizeof s->who, "%s", r->who);
        ok = words_add_all(
            s->words, (const char *const[]){"upstream", "set", "--json", "--file", file, NULL});
        for (size_t i = 0; i < ARRAY_LEN(fields) && ok; i++)
            ok = add_field(s->words, m, &fields[i]);
        if (has_password)
            ok = ok && words_add(s->words, SPAN_LIT("--password-stdin"));
        if (members_get_text(m, "url").len)
            ok = ok && words_add(s->words, SPAN_LIT("--url")) &&
                 words_add(s->words, members_get_text(m, "url"));
        if (members_get_bool(m, "force", false))
            ok = ok && words_add(s->words, SPAN_LIT("--force"));
    }
    if (!ok) {
        free_saving(s);
        reply_problem(reply, 400, "unfit", NULL, "%s", words_in(TOO_LONG, request_get_language(r)));
        return;
    }
    if (has_password) {
        o.input.ptr = line;
        o.input.len =
            (size_t)snprintf(line, sizeof line, "%.*s\n", (int)password.len, password.ptr);
    }
    words_give(s->words, o.args);
    request_audit(r, "tests upstream settings, to save them%s",
                  members_get_bool(m, "force", false) ? ", whatever their test says" : "");
    jobs_answer(r, &o, reply);
    explicit_bzero(line, sizeof line);
}

/* A password goes to the child as one line. */
static bool is_one_line(const struct members *m, struct reply *reply)
{
    struct span password = members_get_text(m, "password");

    if (password.len <= PASSWORD_MAX && !memchr(password.ptr, '\n', password.len))
        return true;
    reply_problem(reply, 400, "unfit", "password", "at most %d bytes on one line", PASSWORD_MAX);
    return false;
}

void upstream_put(struct request *r, struct reply *reply)
{
    struct config *c = door_of(r)->config(door_of(r)->owner);
    struct members m;

    if (members_parse(&m, buf_span(&r->body), form, reply)) {
        if (files_demand(c->upstream_file, reply) && is_one_line(&m, reply))
            start_saving(r, &m, c->upstream_file, reply);
        members_free(&m);
    }
    config_unref(c);
}
