/* console/api_accounts.c - who may log in at the proxy.  A running proxy follows its file, so that
 * a change needs no reload. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/util.h"
#include "config/accounts_file.h"
#include "config/save.h"
#include "console/files.h"
#include "console/handlers.h"
#include "console/members.h"

#define PASSWORD_MAX 1024

static struct config *config_of(const struct request *r)
{
    const struct console_door *door = &console_get_options(r->console)->door;

    return door->config(door->owner);
}

static bool has_logins(const struct config *c, struct reply *reply)
{
    if (c->authentication.present)
        return true;
    reply_problem(reply, 409, "no-authentication", NULL,
                  "the configuration has no authentication block: nobody is asked to log in");
    return false;
}

static void reply_report(struct reply *reply, const struct config_report *report)
{
    reply_problem(reply, 409, "bad-file", NULL, "%s",
                  report->len ? report->items[0].text : "out of memory");
}

static void write_account(struct jsonw *w, const struct account *a)
{
    jsonw_open(w, '{');
    jsonw_member_text(w, "name", a->name);
    jsonw_member_text(w, "realm", a->realm);
    jsonw_key(w, "algorithms");
    jsonw_open(w, '[');
    for (unsigned i = 0; i < DIGEST_COUNT; i++)
        if (a->has[i])
            jsonw_text(w, digest_name((enum digest_algorithm)i));
    if (a->hash)
        jsonw_text(w, "hash");
    jsonw_close(w, ']');
    jsonw_key(w, "disabled");
    jsonw_bool(w, a->disabled);
    jsonw_close(w, '}');
}

/* What stands in the file, a new reference; none where there is no file yet: the first account may
 * come after the proxy.  NULL: the reply says what keeps it from being read. */
static struct accounts *read_accounts(const char *path, struct reply *reply)
{
    struct config_report report = {0};
    struct save file = {.lock_fd = -1};
    struct accounts *now = NULL;
    struct err err;

    if (!save_read(&file, path, ACCOUNTS_FILE_MAX, &err) &&
        (access(path, F_OK) == 0 || errno != ENOENT)) {
        reply_problem(reply, 409, "unreadable", NULL, "%s", err.text);
        return NULL;
    }
    now = accounts_file_parse(path, (struct span){file.text ? file.text : "", file.len}, &report);
    if (!now)
        reply_report(reply, &report);
    save_end(&file);
    config_report_fini(&report);
    return now;
}

/* Whether the proxy has taken the file as it is now. */
static void write_taken(struct jsonw *w, const struct request *r, const struct config *c)
{
    const struct console_door *door = &console_get_options(r->console)->door;
    bool taken, refused;

    door->accounts(door->owner, c->authentication.accounts, &taken, &refused);
    jsonw_key(w, "in_force");
    jsonw_bool(w, taken);
    jsonw_key(w, "refused");
    jsonw_bool(w, refused);
}

void accounts_get_all(struct request *r, struct reply *reply)
{
    struct config *c = config_of(r);
    struct accounts *now = NULL;
    struct reply_json j;

    if (!has_logins(c, reply))
        goto out;
    now = read_accounts(c->authentication.accounts, reply);
    if (!now)
        goto out;
    reply_json_begin(reply, &j);
    jsonw_open(&j.w, '{');
    jsonw_key(&j.w, "accounts");
    jsonw_open(&j.w, '[');
    for (unsigned i = 0; i < accounts_count(now); i++)
        write_account(&j.w, accounts_get(now, i));
    jsonw_close(&j.w, ']');
    jsonw_member_text(&j.w, "realm", c->authentication.realm);
    files_write_members(&j.w, c->authentication.accounts);
    write_taken(&j.w, r, c);
    jsonw_close(&j.w, '}');
    reply_json_end(reply, &j);
out:
    accounts_unref(now);
    config_unref(c);
}

/* --- changes ---------------------------------------------------------------------------------- */

enum change { ADD, CHANGE, REMOVE };

struct edit {
    enum change change;
    const char *name;
    const char *realm;
    struct span password; /* empty: stays */
    int disabled;         /* -1: stays */
};

static void set_password(struct account *a, const struct edit *e)
{
    for (unsigned i = 0; i < DIGEST_COUNT; i++) {
        authn_ha1((enum digest_algorithm)i, span_of(a->name), span_of(a->realm), e->password,
                  a->ha1[i]);
        a->has[i] = true;
    }
    a->hash = NULL; /* of the old one */
}

/* What the file shall be. */
static bool apply(const struct edit *e, const struct account *old, struct span text,
                  struct buf *out)
{
    struct account a = old ? *old : (struct account){0};
    bool ok;

    if (e->change == REMOVE)
        return accounts_file_remove(text, span_of(e->name), out);
    a.name = (char *)(uintptr_t)e->name;
    if (e->password.len) {
        a.realm = (char *)(uintptr_t)e->realm;
        set_password(&a, e);
    }
    if (e->disabled >= 0)
        a.disabled = e->disabled != 0;
    ok = accounts_file_replace(text, &a, out);
    explicit_bzero(&a, sizeof a);
    return ok;
}

static bool write_file(struct save *file, struct span text, struct reply *reply)
{
    struct config_report report = {0};
    struct accounts *again = accounts_file_parse(file->path, text, &report);
    struct err err;
    bool ok = again && save_write(file, text, file->uid, file->gid, &err);

    if (!again)
        reply_report(reply, &report);
    else if (!ok)
        reply_problem(reply, 503, "not-saved", NULL, "%s", err.text);
    config_report_fini(&report);
    accounts_unref(again);
    return ok;
}

static bool edit_file(const char *path, const struct edit *e, struct reply *reply)
{
    struct config_report report = {0};
    struct save file = {.lock_fd = -1};
    const struct account *old = NULL;
    struct accounts *now = NULL;
    struct buf text;
    struct err err;
    bool ok = false;

    buf_init(&text, ACCOUNTS_FILE_MAX);
    if (!save_begin(&file, path, ACCOUNTS_FILE_MAX, &err)) {
        reply_problem(reply, 503, "not-saved", NULL, "%s", err.text);
        goto out;
    }
    now = accounts_file_parse(path, (struct span){file.text, file.len}, &report);
    if (!now) {
        reply_report(reply, &report);
        goto out;
    }
    old = accounts_find(now, span_of(e->name));
    if (e->change == ADD && old)
        reply_problem(reply, 409, "exists", "name", "there is such an account already");
    else if (e->change != ADD && !old)
        reply_problem(reply, 404, "not-found", NULL, "there is no such account");
    else if (!apply(e, old, (struct span){file.text, file.len}, &text))
        reply_out_of_memory(reply);
    else
        ok = write_file(&file, buf_span(&text), reply);
out:
    buf_wipe(&text);
    buf_fini(&text);
    accounts_unref(now);
    config_report_fini(&report);
    save_end(&file);
    return ok;
}

static bool is_fit(const struct edit *e, struct reply *reply)
{
    const char *fault = accounts_file_name_fault(span_of(e->name));

    if (fault) {
        reply_problem(reply, 400, "unfit", "name", "%s", fault);
        return false;
    }
    if (e->password.len == 0 && e->change == ADD)
        fault = "a password is wanted";
    else if (e->password.len > PASSWORD_MAX || !authn_is_text(e->password))
        fault = "a password is of UTF-8 without control characters, 1024 bytes at most";
    if (fault)
        reply_problem(reply, 400, "unfit", "password", "%s", fault);
    return !fault;
}

static void change(struct request *r, struct edit *e, struct reply *reply)
{
    static const char *const verbs[] = {"added", "changed", "removed"};
    struct config *c = config_of(r);

    e->realm = c->authentication.realm;
    if (has_logins(c, reply) && is_fit(e, reply) &&
        files_demand(c->authentication.accounts, reply) &&
        edit_file(c->authentication.accounts, e, reply)) {
        request_audit(r, "%s the account %s%s%s", verbs[e->change], e->name,
                      e->password.len && e->change == CHANGE ? ", a new password" : "",
                      e->disabled < 0 ? ""
                      : e->disabled   ? ", disabled"
                                      : ", enabled");
        reply_done(reply);
    }
    config_unref(c);
}

void accounts_post(struct request *r, struct reply *reply)
{
    struct edit e = {.change = ADD, .disabled = -1};
    struct members m;
    char *name;

    if (!members_parse(&m, buf_span(&r->body),
                       MEMBERS({"name", MEMBER_TEXT, true}, {"password", MEMBER_TEXT, false}),
                       reply))
        return;
    name = span_dup(members_get_text(&m, "name"));
    e.name = name ? name : "";
    e.password = members_get_text(&m, "password");
    change(r, &e, reply);
    free(name);
    members_free(&m);
}

void account_put(struct request *r, struct reply *reply)
{
    struct edit e = {.change = CHANGE, .name = r->parts[0], .disabled = -1};
    struct members m;

    if (!members_parse(&m, buf_span(&r->body),
                       MEMBERS({"password", MEMBER_TEXT, false}, {"disabled", MEMBER_FLAG, false}),
                       reply))
        return;
    e.password = members_get_text(&m, "password");
    if (members_has(&m, "disabled"))
        e.disabled = members_get_bool(&m, "disabled", false);
    change(r, &e, reply);
    members_free(&m);
}

void account_delete(struct request *r, struct reply *reply)
{
    struct edit e = {.change = REMOVE, .name = r->parts[0], .disabled = -1};

    change(r, &e, reply);
}

/* --- changes by others ------------------------------------------------------------------------ */

static const struct {
    const char *change, *said;
} notices[] = {{"add", "added the account"},
               {"remove", "removed the account"},
               {"passwd", "gave a new password to the account"},
               {"import", "imported accounts of"}};

static const char *said_of(struct span change)
{
    for (size_t i = 0; i < ARRAY_LEN(notices); i++)
        if (span_equal(change, span_of(notices[i].change)))
            return notices[i].said;
    return NULL;
}

static bool is_our_file(const struct config *c, struct span file)
{
    char *real = realpath(c->authentication.accounts, NULL);
    bool ours = span_equal(file, span_of(real ? real : c->authentication.accounts));

    free(real);
    return ours;
}

/* The command edits the file itself, as it has to where no proxy runs; here it is told who did so.
 */
static void take_notice(struct request *r, const struct members *m, struct reply *reply)
{
    struct config *c = config_of(r);
    const char *said = said_of(members_get_text(m, "change"));
    struct span name = members_get_text(m, "name");
    struct reply_json j;

    if (!said) {
        reply_problem(reply, 400, "unfit", "change", "add, remove, passwd or import");
    } else if (name.len == 0 || name.len > 512 || !authn_is_text(name)) {
        reply_problem(reply, 400, "unfit", "name", "a name is wanted");
    } else if (!has_logins(c, reply)) {
        /* said */
    } else if (!is_our_file(c, members_get_text(m, "file"))) {
        reply_problem(reply, 409, "another-file", "file", "the accounts of this proxy are in %s",
                      c->authentication.accounts);
    } else {
        request_audit(r, "%s %.*s, by the command", said, (int)name.len, name.ptr);
        reply_json_begin(reply, &j);
        jsonw_open(&j.w, '{');
        write_taken(&j.w, r, c);
        jsonw_close(&j.w, '}');
        reply_json_end(reply, &j);
    }
    config_unref(c);
}

void accounts_notice_post(struct request *r, struct reply *reply)
{
    struct members m;

    if (!members_parse(&m, buf_span(&r->body),
                       MEMBERS({"file", MEMBER_TEXT, true}, {"change", MEMBER_TEXT, true},
                               {"name", MEMBER_TEXT, true}),
                       reply))
        return;
    take_notice(r, &m, reply);
    members_free(&m);
}
