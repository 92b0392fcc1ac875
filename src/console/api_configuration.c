/* console/api_configuration.c - the configuration file: shown, judged while it is edited, and put
 * in force. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/digest.h"
#include "config/save.h"
#include "config/started.h"
#include "console/files.h"
#include "console/handlers.h"
#include "console/listen.h"
#include "console/members.h"
#include "console/sessions.h"
#include "console/versions.h"
#include "host/client_diff.h"
#include "policy/parent.h"
#include "render/render.h"
#include "wire/authority.h"

#define FILE_MAX (1u << 20)
#define DENIED_MAX 100  /* flows that are listed */
#define LOOKED_AT 2000u /* open flows that are asked about */

static const char *path_of(const struct request *r)
{
    return console_get_options(r->console)->config_path;
}

static struct config *config_of(const struct request *r)
{
    const struct console_door *door = &console_get_options(r->console)->door;

    return door->config(door->owner);
}

static void versions_folder(const struct config *c, char out[4096])
{
    listen_path_beside(c->nonce_key, "configuration", out, 4096);
}

/* What an editor says it began with, so that nobody's change is lost. */
static void hash_text(struct span text, char out[DIGEST_HEX_MAX + 1])
{
    out[digest_hex_of(DIGEST_SHA256, &text, 1, out)] = '\0';
}

/* The file; false: it cannot be read, and the reply says so. */
static bool read_file(const struct request *r, struct save *file, struct reply *reply)
{
    struct err err;

    *file = (struct save){.lock_fd = -1};
    if (!path_of(r))
        reply_problem(reply, 409, "no-file", NULL,
                      "the proxy runs by its defaults: there is no file to edit");
    else if (!save_read(file, path_of(r), FILE_MAX, &err))
        reply_problem(reply, 409, "unreadable", NULL, "%s", err.text);
    else
        return true;
    save_end(file);
    return false;
}

static void write_effective(struct jsonw *w, const struct config *c)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);

    if (out) {
        config_show(c, out);
        fclose(out);
    }
    jsonw_key(w, "effective");
    jsonw_span(w, (struct span){text ? text : "", len});
    free(text);
}

/* What comes into force with the next start only. */
static void write_restart(const struct request *r, struct jsonw *w, const struct config *c)
{
    char names[STARTED_NAMES_MAX];

    started_differ(console_get_started(r->console), c, names);
    jsonw_member_text(w, "restart", *names ? names : NULL);
}

/* A file that cannot be read is not told as an empty one. */
static void write_file(struct jsonw *w, const char *path)
{
    struct save file = {.lock_fd = -1};
    char hash[DIGEST_HEX_MAX + 1];
    struct span text = SPAN_LIT("");
    struct err err;

    if (path && !save_read(&file, path, FILE_MAX, &err)) {
        jsonw_member_text(w, "text", NULL);
        jsonw_member_text(w, "base", NULL);
        files_write_unread(w, path, &err);
        return;
    }
    if (path)
        text = (struct span){file.text, file.len};
    hash_text(text, hash);
    jsonw_key(w, "text");
    jsonw_span(w, text);
    jsonw_member_text(w, "base", hash);
    files_write_members(w, path);
    save_end(&file);
}

void configuration_get(struct request *r, struct reply *reply)
{
    struct config *c = config_of(r);
    char folder[4096];
    struct reply_json j;

    versions_folder(c, folder);
    reply_json_begin(reply, &j);
    jsonw_open(&j.w, '{');
    write_file(&j.w, path_of(r));
    write_effective(&j.w, c);
    write_restart(r, &j.w, c);
    jsonw_key(&j.w, "versions");
    jsonw_open(&j.w, '[');
    versions_write(folder, &j.w);
    jsonw_close(&j.w, ']');
    jsonw_close(&j.w, '}');
    reply_json_end(reply, &j);
    config_unref(c);
}

void configuration_version_get(struct request *r, struct reply *reply)
{
    struct config *c = config_of(r);
    char folder[4096];
    struct reply_json j;
    struct buf text;

    versions_folder(c, folder);
    buf_init(&text, FILE_MAX);
    if (versions_read(folder, r->parts[0], &text)) {
        reply_json_begin(reply, &j);
        jsonw_open(&j.w, '{');
        jsonw_key(&j.w, "text");
        jsonw_span(&j.w, buf_span(&text));
        jsonw_close(&j.w, '}');
        reply_json_end(reply, &j);
    } else {
        reply_problem(reply, 404, "not-found", NULL, "there is no such version");
    }
    buf_wipe(&text);
    buf_fini(&text);
    config_unref(c);
}

/* --- judging ---------------------------------------------------------------------------------- */

static void write_problems(struct jsonw *w, const struct config_report *report)
{
    jsonw_key(w, "problems");
    jsonw_open(w, '[');
    for (unsigned i = 0; i < report->len; i++) {
        jsonw_open(w, '{');
        jsonw_member_u64(w, "line", (uint64_t)report->items[i].line);
        jsonw_member_u64(w, "column", (uint64_t)report->items[i].column);
        jsonw_member_text(w, "message", report->items[i].text);
        jsonw_key(w, "warning");
        jsonw_bool(w, report->items[i].warning);
        jsonw_close(w, '}');
    }
    jsonw_close(w, ']');
}

static void write_diff(struct jsonw *w, const char *path, struct span before, struct span after)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);

    if (out) {
        client_diff_print(path, before, true, after, true, false, out);
        fclose(out);
    }
    jsonw_key(w, "diff");
    jsonw_span(w, (struct span){text ? text : "", len});
    free(text);
}

/* Whether the rules of *c would have let this flow begin, as far as that can be told now. */
static bool is_denied(const struct config *c, const struct flow *f)
{
    struct access_query q = {.client = f->client.addr,
                             .user = f->user,
                             .can_login = c->authentication.present,
                             .method = span_of(f->method ? f->method : "CONNECT")};
    struct access_decision d;
    struct authority at;

    if (!f->target || !authority_parse_default(span_of(f->target), 443, &at))
        return false;
    q.host = (struct span){at.host, at.host_len};
    q.addr = at.addr;
    q.port = at.port;
    parent_route(c->parent, &q);
    access_decide(c->access, &q, &d);
    if (d.outcome == ACCESS_RESOLVE && f->address.addr.family)
        access_decide_address(c->access, &q, &f->address.addr, &d);
    return d.outcome == ACCESS_DENY;
}

static void write_denied(struct request *r, struct jsonw *w, const struct config *c)
{
    const struct console_door *door = &console_get_options(r->console)->door;
    struct live_query q = {.order = LIVE_BY_AGE, .limit = LIVE_ROWS_MAX};
    uint64_t denied = 0;

    jsonw_key(w, "denied");
    jsonw_open(w, '[');
    for (; q.offset < LOOKED_AT; q.offset += LIVE_ROWS_MAX) {
        struct live_page page;
        bool any = door->ask(door->owner, &q, &page) && page.len > 0;

        for (unsigned i = 0; i < page.len; i++) {
            const struct flow *f = &page.rows[i].flow;
            struct buf json;

            if (!is_denied(c, f) || ++denied > DENIED_MAX)
                continue;
            buf_init(&json, FILE_MAX);
            if (render_json(&json, f)) {
                jsonw_next(w);
                pen_bytes(w->pen, buf_span(&json).ptr, json.len - 1);
            }
            buf_fini(&json);
        }
        for (unsigned i = 0; i < page.len; i++)
            flow_fini(&page.rows[i].flow);
        if (!any)
            break;
    }
    jsonw_close(w, ']');
    jsonw_member_u64(w, "denied_count", denied);
}

void configuration_check_post(struct request *r, struct reply *reply)
{
    struct config_report report = {0};
    struct config *c;
    struct reply_json j;
    struct members m;
    struct save file;

    if (!members_parse(&m, buf_span(&r->body), MEMBERS({"text", MEMBER_TEXT, true}), reply))
        return;
    if (!read_file(r, &file, reply)) {
        members_free(&m);
        return;
    }
    c = config_load_text(path_of(r), members_get_text(&m, "text"), NULL, &report);
    reply_json_begin(reply, &j);
    jsonw_open(&j.w, '{');
    write_problems(&j.w, &report);
    write_diff(&j.w, path_of(r), (struct span){file.text, file.len}, members_get_text(&m, "text"));
    if (c) {
        write_restart(r, &j.w, c);
        write_denied(r, &j.w, c);
    }
    jsonw_close(&j.w, '}');
    reply_json_end(reply, &j);
    config_report_fini(&report);
    config_unref(c);
    save_end(&file);
    members_free(&m);
}

/* --- applying --------------------------------------------------------------------------------- */

static bool is_valid(const struct request *r, struct span text, struct reply *reply)
{
    struct config_report report = {0};
    struct config *c = config_load_text(path_of(r), text, NULL, &report);
    struct reply_json j;

    if (!c) {
        reply->status = 422;
        reply_json_begin(reply, &j);
        jsonw_open(&j.w, '{');
        jsonw_member_text(&j.w, "error", "problems");
        jsonw_member_text(&j.w, "message", report.len ? report.items[0].text : "out of memory");
        write_problems(&j.w, &report);
        jsonw_close(&j.w, '}');
        reply_json_end(reply, &j);
    }
    config_report_fini(&report);
    config_unref(c);
    return c != NULL;
}

/* Writes the text, has it read, and takes it back where it does not come into force. */
static void put_in_force(struct request *r, struct save *file, struct span text,
                         struct reply *reply)
{
    const struct console_door *door = &console_get_options(r->console)->door;
    struct config *c = config_of(r);
    struct span before = {file->text, file->len};
    struct span who = span_of(r->session ? r->session->name : "local");
    uint64_t now_ns = clock_wall_ns();
    struct err err, again;
    char folder[4096];

    versions_folder(c, folder);
    config_unref(c);
    if (!versions_keep(folder, before, who, now_ns, &err)) {
        reply_problem(reply, 503, "not-saved", NULL, "%s", err.text);
    } else if (!save_write(file, text, file->uid, file->gid, &err)) {
        versions_forget(folder, who, now_ns);
        reply_problem(reply, 503, "not-saved", NULL, "%s", err.text);
    } else if (!door->reload(door->owner, &err)) {
        reply_problem(reply, 422, "not-in-force", NULL, "%s: the file is as it was", err.text);
        if (save_write(file, before, file->uid, file->gid, &again))
            versions_forget(folder, who, now_ns);
        else
            reply_problem(reply, 503, "not-in-force", NULL, "%s; and the file stays changed: %s",
                          err.text, again.text);
    } else {
        request_audit(r, "changed the configuration (%zu bytes)", text.len);
        reply_done(reply);
    }
}

void configuration_put(struct request *r, struct reply *reply)
{
    char hash[DIGEST_HEX_MAX + 1];
    struct save file = {.lock_fd = -1};
    struct members m;
    struct span text;
    struct err err;

    if (!members_parse(&m, buf_span(&r->body),
                       MEMBERS({"text", MEMBER_TEXT, true}, {"base", MEMBER_TEXT, true}), reply))
        return;
    text = members_get_text(&m, "text");
    if (!files_demand(path_of(r), reply) || !is_valid(r, text, reply)) {
        /* told already */
    } else if (!save_begin(&file, path_of(r), FILE_MAX, &err)) {
        reply_problem(reply, 503, "not-saved", NULL, "%s", err.text);
    } else {
        hash_text((struct span){file.text, file.len}, hash);
        if (span_equal(members_get_text(&m, "base"), span_of(hash)))
            put_in_force(r, &file, text, reply);
        else
            reply_problem(reply, 409, "changed", "base",
                          "somebody else changed the file meanwhile: nothing is written");
    }
    save_end(&file);
    members_free(&m);
}
