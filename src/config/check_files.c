/* Which files the proxy could not use, running as its own account. */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/accounts_file.h"
#include "config/config.h"
#include "config/report.h"
#include "config/values.h"

#define GROUPS_MAX 64
#define READ 4u
#define WRITE 2u
#define SEARCH 1u

/* Who the proxy will be. */
struct proxy_user {
    const char *name;
    uid_t uid;
    gid_t groups[GROUPS_MAX];
    int groups_len;
};

struct check {
    const struct config *config;
    struct config_report *report;
    struct proxy_user who;
};

/* The permission bits that this account has of a file (by mode and owner, as POSIX 4.5 has it). */
static unsigned bits_of(const struct proxy_user *who, const struct stat *st)
{
    if (who->uid == 0)
        return READ | WRITE | SEARCH;
    if (who->uid == st->st_uid)
        return st->st_mode >> 6 & 7;
    for (int i = 0; i < who->groups_len; i++)
        if (who->groups[i] == st->st_gid)
            return st->st_mode >> 3 & 7;
    return st->st_mode & 7;
}

/* 0, or why `path` has not these bits: a positive errno. */
static int try_bits(const struct proxy_user *who, const char *path, unsigned bits)
{
    struct stat st;

    if (stat(path, &st) < 0)
        return errno;
    return (bits_of(who, &st) & bits) == bits ? 0 : EACCES;
}

/* Each folder on the way, from the root or the working folder. */
static int try_folders(const struct proxy_user *who, const char *path)
{
    char *folder = strdup(path);
    int failure = folder ? 0 : ENOMEM;

    for (char *slash = folder; !failure && (slash = strchr(slash, '/')); slash++) {
        *slash = '\0';
        failure = slash == folder ? 0 : try_bits(who, folder, SEARCH);
        *slash = '/';
    }
    free(folder);
    return failure;
}

static int try_file(const struct proxy_user *who, const char *path, unsigned bits)
{
    int failure = try_folders(who, path);

    return failure ? failure : try_bits(who, path, bits);
}

/* Whether files can be made beside this one. */
static int try_folder_of(const struct proxy_user *who, const char *path)
{
    const char *slash = strrchr(path, '/');
    char *folder = slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
    int failure = folder ? try_bits(who, folder, WRITE | SEARCH) : ENOMEM;

    free(folder);
    return failure;
}

/* A file that may yet have to be made: then its folder is written to. */
static int try_writable(const struct proxy_user *who, const char *path)
{
    int failure = try_file(who, path, WRITE);

    if (failure != ENOENT || try_folders(who, path) != 0)
        return failure;
    return try_folder_of(who, path);
}

static void tell(struct check *k, struct place at, const char *path, const char *what, int failure)
{
    if (failure)
        report_warning(k->report, at, "%s: the account %s cannot %s it: %s", path, k->who.name,
                       what, strerror(failure));
}

static struct place place_of(const struct config *c, enum scope scope, const char *name)
{
    int line = values_get_line(c->values, scope, name);

    return (struct place){c->path ? c->path : "default", line, 0};
}

static void check_readable(struct check *k, struct place at, const char *path)
{
    if (path)
        tell(k, at, path, "read", try_file(&k->who, path, READ));
}

static void check_listeners(struct check *k)
{
    for (unsigned i = 0; i < k->config->listeners_len; i++) {
        const struct config_listener *l = &k->config->listeners[i];
        struct place at = {l->file, l->line, 0};

        check_readable(k, at, l->tls_certificate);
        check_readable(k, at, l->tls_key);
    }
}

/* Lists are read again on a reload, by the proxy's own account. */
static void check_lists(struct check *k)
{
    const struct config_values *v = k->config->values;

    for (unsigned i = 0; i < v->rules_len; i++)
        check_readable(k, (struct place){k->config->path, v->rules[i].line, 0}, v->rules[i].path);
}

static void check_upstream(struct check *k)
{
    const struct config *c = k->config;
    struct place at = {c->upstream_file, 0, 0};
    struct stat st;

    if (!c->upstream.present)
        return;
    check_readable(k, place_of(c, SCOPE_MAIN, "upstream"), c->upstream_file);
    check_readable(k, at, c->upstream.ca);
    if (c->upstream.password && stat(c->upstream_file, &st) == 0 && (st.st_mode & 077))
        report_warning(k->report, at,
                       "it holds a password, and others may open it: its mode should be 0600");
}

/* Errors of the accounts file are errors here, as serve does not start with them. */
static void check_accounts(struct check *k)
{
    const struct config_authentication *c = &k->config->authentication;
    struct place at = place_of(k->config, SCOPE_AUTHENTICATION, "accounts");
    struct accounts *s;
    struct stat st;
    int failure;

    if (stat(c->accounts, &st) < 0 && errno == ENOENT) {
        report_warning(k->report, at, "%s is not there: nobody can log in", c->accounts);
        return;
    }
    check_readable(k, at, c->accounts);
    failure = try_writable(&k->who, k->config->nonce_key);
    if (failure != ENOENT) /* a folder that is missing is made */
        tell(k, place_of(k->config, SCOPE_MAIN, "authentication"), k->config->nonce_key, "write",
             failure);
    if (stat(c->accounts, &st) == 0 && (st.st_mode & 077))
        report_warning(k->report, (struct place){c->accounts, 0, 0},
                       "what it holds is as good as passwords, and others may open it: its mode "
                       "should be 0600");
    s = accounts_file_load(c->accounts, k->report);
    for (unsigned i = 0; s && i < accounts_count(s); i++) {
        const struct account *a = accounts_get(s, i);

        if (a->realm && strcmp(a->realm, c->realm) != 0)
            report_warning(k->report, (struct place){c->accounts, a->line, 0},
                           "the realm is not \"%s\", which clients are told: only Basic can log in",
                           c->realm);
    }
    accounts_unref(s);
}

/* SQLite keeps a log beside the database.  The default place is made, if it is not there. */
static void check_history(struct check *k)
{
    const struct config *c = k->config;
    int failure = try_writable(&k->who, c->history);

    if (!failure)
        failure = try_folder_of(&k->who, c->history);
    if (failure != ENOENT || c->history_given)
        tell(k, place_of(c, SCOPE_LOG, "history"), c->history, "write", failure);
}

static bool find_account(struct check *k)
{
    const struct config *c = k->config;
    const struct passwd *pw = geteuid() == 0 ? getpwnam(c->user) : getpwuid(geteuid());

    if (!pw && geteuid() == 0 && strcmp(c->user, "viaduct") == 0)
        pw = getpwnam("nobody");
    if (!pw) {
        report_warning(k->report, place_of(c, SCOPE_MAIN, "user"), "there is no account %s",
                       c->user);
        return false;
    }
    k->who.name = arena_text(&c->values->arena, span_of(pw->pw_name));
    k->who.uid = pw->pw_uid;
    k->who.groups_len = GROUPS_MAX;
    if (getgrouplist(pw->pw_name, pw->pw_gid, k->who.groups, &k->who.groups_len) < 0)
        k->who.groups_len = GROUPS_MAX; /* more than we look at */
    return k->who.name != NULL;
}

void config_check_files(const struct config *c, struct config_report *report)
{
    struct check k = {.config = c, .report = report};

    if (!find_account(&k))
        return;
    check_listeners(&k);
    check_lists(&k);
    check_upstream(&k);
    if (values_get_line(c->values, SCOPE_RESOLVER, "hosts") > 0) /* the default one may be absent */
        check_readable(&k, place_of(c, SCOPE_RESOLVER, "hosts"), c->hosts_file);
    if (c->authentication.present)
        check_accounts(&k);
    if (c->console.on) {
        check_readable(&k, place_of(c, SCOPE_CONSOLE, "tls-certificate"),
                       c->console.tls_certificate);
        check_readable(&k, place_of(c, SCOPE_CONSOLE, "tls-key"), c->console.tls_key);
    }
    if (c->log_file)
        tell(&k, place_of(c, SCOPE_LOG, "access"), c->log_file, "write",
             try_writable(&k.who, c->log_file));
    if (c->history)
        check_history(&k);
}

bool config_check_user(const struct config *c, struct err *err)
{
    if (!c->user_given || getpwnam(c->user))
        return true;
    err_set(err, "%s:%d: user %s: no such account (`adduser --system --group %s` makes it)",
            c->path, values_get_line(c->values, SCOPE_MAIN, "user"), c->user, c->user);
    return false;
}
