#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "base/util.h"
#include "cli/account_proxy.h"
#include "cli/command.h"
#include "cli/control.h"
#include "cli/harmless.h"
#include "cli/secret.h"
#include "config/accounts_file.h"
#include "config/config.h"
#include "config/report.h"
#include "config/save.h"
#include "policy/password.h"

/* What is asked, and of which file. */
struct job {
    const char *config, *what; /* what: NAME or FILE */
    char *file, *realm;        /* of the accounts */
    bool asks_md5;             /* the first algorithm of Digest that is offered is MD5 */
    uid_t uid;                 /* the proxy's account */
    gid_t gid;
    char password[SECRET_MAX]; /* add, passwd: asked for before the file is locked */
};

static int fail(int status, const char *text)
{
    fprintf(stderr, "viaduct account: %s\n", text);
    return status;
}

static void print_errors(const struct config_report *r)
{
    for (unsigned i = 0; i < r->len; i++)
        if (!r->items[i].warning)
            fprintf(stderr, "%s\n", r->items[i].text);
}

/* The accounts file, the realm and the owner that the configuration says. */
static bool learn(struct job *job, const char *accounts)
{
    struct config_report report = {0};
    const char *path = job->config ? job->config : config_default_path();
    struct config *c = config_load(path, NULL, &report);

    print_errors(&report);
    config_report_fini(&report);
    if (!c)
        return false;
    save_find_owner(c, &job->uid, &job->gid);
    job->realm = strdup(c->authentication.realm);
    job->asks_md5 = c->authentication.algorithms[0] == DIGEST_MD5;
    if (accounts || path)
        job->file = strdup(accounts ? accounts : c->authentication.accounts);
    else
        fail(EXIT_USAGE, "there is no configuration that names the accounts file: --accounts FILE");
    config_unref(c);
    return job->file && job->realm;
}

static void make_digests(struct account *a, const char *password)
{
    for (unsigned i = 0; i < DIGEST_COUNT; i++) {
        authn_ha1((enum digest_algorithm)i, span_of(a->name), span_of(a->realm), span_of(password),
                  a->ha1[i]);
        a->has[i] = true;
    }
}

/* Writes `text` when it reads as it should: never a file that the proxy would refuse. */
static int store(struct save *s, const struct job *job, struct buf *text)
{
    struct config_report report = {0};
    struct accounts *again = accounts_file_parse(s->path, buf_span(text), &report);
    struct err err;
    int status = EXIT_OK;

    print_errors(&report);
    if (!again)
        status =
            fail(EXIT_SYSTEM, "this would not have been readable again; the file stands as it was");
    else if (!save_write(s, buf_span(text), job->uid, job->gid, &err))
        status = fail(EXIT_SYSTEM, err.text);
    config_report_fini(&report);
    accounts_unref(again);
    return status;
}

/* One edit: `*now` is what the file has, `text` takes what it shall have. */
typedef int (*edit_fn)(const struct job *job, const struct accounts *now, struct span old,
                       struct buf *text);

static int edit(const struct job *job, edit_fn change)
{
    struct config_report report = {0};
    struct save s;
    struct err err;
    struct accounts *now = NULL;
    struct buf text;
    int status;

    buf_init(&text, ACCOUNTS_FILE_MAX);
    if (!save_begin(&s, job->file, ACCOUNTS_FILE_MAX, &err)) {
        status = fail(EXIT_SYSTEM, err.text);
    } else if (!(now = accounts_file_parse(job->file, (struct span){s.text, s.len}, &report))) {
        print_errors(&report);
        status = EXIT_USAGE;
    } else {
        status = change(job, now, (struct span){s.text, s.len}, &text);
        if (status == EXIT_OK)
            status = store(&s, job, &text);
    }
    if (text.ptr)
        explicit_bzero(text.ptr, text.cap);
    buf_fini(&text);
    accounts_unref(now);
    config_report_fini(&report);
    save_end(&s);
    return status;
}

static int say_unknown(const struct accounts *now, const char *name)
{
    char shown[REPORT_WORD_MAX], hint[REPORT_HINT_MAX];
    unsigned n = accounts_count(now);
    const char **names = calloc(n + 1, sizeof *names);

    for (unsigned i = 0; names && i < n; i++)
        names[i] = accounts_get(now, i)->name;
    fprintf(stderr, "viaduct account: no account %s%s\n", report_word(span_of(name), shown),
            report_hint(span_of(name), names, names ? n : 0, hint));
    free(names);
    return EXIT_USAGE;
}

/* Writes the account with digests of the new password; what else it had stays. */
static int set_password(const struct job *job, const struct account *old, struct span text,
                        struct buf *out)
{
    struct account a = old ? *old : (struct account){0};
    char name[256];
    int status = EXIT_OK;

    snprintf(name, sizeof name, "%s", job->what);
    a.name = name;
    a.realm = job->realm;
    a.hash = NULL; /* of the old password */
    make_digests(&a, job->password);
    if (!accounts_file_replace(text, &a, out))
        status = fail(EXIT_SYSTEM, "out of memory, or the file is too large");
    explicit_bzero(&a, sizeof a);
    return status;
}

static int change_add(const struct job *job, const struct accounts *now, struct span old,
                      struct buf *text)
{
    if (accounts_find(now, span_of(job->what)))
        return fail(EXIT_USAGE, "there is such an account already; passwd changes its password");
    return set_password(job, NULL, old, text);
}

static int change_passwd(const struct job *job, const struct accounts *now, struct span old,
                         struct buf *text)
{
    const struct account *a = accounts_find(now, span_of(job->what));

    return a ? set_password(job, a, old, text) : say_unknown(now, job->what);
}

static int change_remove(const struct job *job, const struct accounts *now, struct span old,
                         struct buf *text)
{
    if (!accounts_find(now, span_of(job->what)))
        return say_unknown(now, job->what);
    if (!accounts_file_remove(old, span_of(job->what), text))
        return fail(EXIT_SYSTEM, "out of memory");
    return EXIT_OK;
}

/* A line of htdigest: name:realm:digest.  Of htpasswd: name:hash. */
static const char *read_import(struct span line, struct account *a)
{
    struct span name = span_cut(&line, ':'), second = span_cut(&line, ':');
    enum digest_algorithm kind = line.len == 64 ? DIGEST_SHA256 : DIGEST_MD5;
    unsigned char sum[DIGEST_LEN_MAX];
    const char *fault = accounts_file_name_fault(name);

    if (fault)
        return fault;
    a->name = span_dup(name);
    if (line.len == 0) {
        a->hash = span_dup(second);
        if (!a->hash || strlen(a->hash) != second.len || !password_is_known(a->hash))
            return "neither a line of htdigest nor a hash that is known (bcrypt, $6$, $5$, $1$, "
                   "$y$, "
                   "apr1, {SHA})";
        return a->name ? NULL : "out of memory";
    }
    if (second.len == 0 || !authn_is_text(second))
        return "the realm is empty, or not UTF-8";
    if (!digest_parse_hex(line, sum, digest_len(kind)))
        return "the digest does not have 32 (or 64) hexadecimal digits";
    a->realm = span_dup(second);
    digest_write_hex(sum, digest_len(kind), a->ha1[kind]);
    a->has[kind] = true;
    return a->name && a->realm ? NULL : "out of memory";
}

struct import {
    unsigned digests, hashes;
    unsigned foreign; /* digests of another realm */
    unsigned md5;     /* digests for MD5 only */
};

static bool take_import(const struct job *job, const struct accounts *now, struct span line,
                        struct import *count, struct buf *text, struct err *err)
{
    struct account a = {0};
    const char *fault = read_import(line, &a);
    char shown[REPORT_WORD_MAX];
    bool ok = false;

    if (fault) {
        err_set(err, "%s", fault);
    } else if (accounts_find(now, span_of(a.name))) {
        err_set(err, "%s: there is such an account already", report_word(span_of(a.name), shown));
    } else if (!accounts_file_write(&a, text)) {
        err_set(err, "out of memory, or too much");
    } else {
        ok = true;
        count->digests += a.realm != NULL;
        count->md5 += a.has[DIGEST_MD5];
        count->hashes += a.hash != NULL;
        count->foreign += a.realm && strcmp(a.realm, job->realm) != 0;
    }
    free(a.name);
    free(a.realm);
    free(a.hash);
    explicit_bzero(&a, sizeof a);
    return ok;
}

static void tell_import(const struct job *job, const struct import *count)
{
    printf("taken over with a digest: %u, with a password hash: %u\n", count->digests,
           count->hashes);
    if (count->hashes > 0)
        fputs("password hashes serve Basic only: Digest needs `account passwd`\n", stderr);
    if (count->foreign > 0)
        fprintf(stderr,
                "accounts with another realm than the proxy's, \"%s\": %u; Digest will not accept "
                "them, Basic will\n",
                job->realm, count->foreign);
    if (count->md5 > 0 && !job->asks_md5)
        fprintf(stderr,
                "accounts with a digest for MD5 only: %u; clients answer the first algorithm that "
                "they know: put md5 first in `algorithms`, or set new passwords\n",
                count->md5);
}

/* All lines or none; duplicates among them are found when the whole is read again. */
static int change_import(const struct job *job, const struct accounts *now, struct span old,
                         struct buf *text)
{
    struct save from; /* only read: two imports of one file need no order */
    struct import count = {0};
    struct err err;
    int status = EXIT_OK;

    if (!save_read(&from, job->what, ACCOUNTS_FILE_MAX, &err))
        return fail(EXIT_USAGE, err.text);
    bool ok = buf_append(text, old.ptr, old.len) &&
              (old.len == 0 || old.ptr[old.len - 1] == '\n' || buf_append(text, "\n", 1));
    struct span rest = {from.text, from.len};
    for (unsigned n = 1; ok && rest.len > 0; n++) {
        struct span line = span_cut(&rest, '\n');
        if (line.len > 0 && line.ptr[line.len - 1] == '\r')
            line.len--;
        if (line.len == 0 || line.ptr[0] == '#')
            continue;
        if (!take_import(job, now, line, &count, text, &err)) {
            fprintf(stderr, "%s:%u: %s\n", job->what, n, err.text);
            status = EXIT_USAGE;
        }
    }
    if (!ok)
        status = fail(EXIT_SYSTEM, "out of memory");
    if (status == EXIT_OK)
        tell_import(job, &count);
    save_end(&from);
    return status;
}

static bool has_secret(const void *account, const char *word)
{
    const struct account *a = account;

    return strcmp(word, "hash") == 0 ? a->hash != NULL : a->has[digest_find(span_of(word))];
}

static int list(const struct job *job)
{
    struct config_report report = {0};
    struct accounts *now;

    if (access(job->file, R_OK) < 0 && errno == EACCES && account_proxy_list(job->file))
        return EXIT_OK; /* not for us to read, but the proxy may be asked */
    now = accounts_file_load(job->file, &report);
    print_errors(&report);
    config_report_fini(&report);
    if (!now)
        return EXIT_USAGE;
    for (unsigned i = 0; i < accounts_count(now); i++) {
        const struct account *a = accounts_get(now, i);

        account_proxy_print(a->name, a->realm ? a->realm : "-", a->disabled, has_secret, a);
    }
    accounts_unref(now);
    fflush(stdout);
    account_proxy_warn(job->file);
    return EXIT_OK;
}

/* A link that makes an administrator of the console, by the proxy that runs. */
static int print_link(const char *config)
{
    struct config_report report = {0};
    struct config *c = config_load(config ? config : config_default_path(), NULL, &report);
    json_t *root = NULL;
    struct control_request r = {"POST", "/api/v1/admin-link", {"", 0}};
    char socket[CONTROL_PATH_MAX];
    const char *url;
    struct buf answer;
    struct err err;
    int status = EXIT_USAGE;

    print_errors(&report);
    config_report_fini(&report);
    if (!c)
        return status;
    buf_init(&answer, ACCOUNTS_FILE_MAX);
    control_find(socket);
    if (control_ask(socket, &r, &answer, &err) != CONTROL_OK) {
        status = fail(EXIT_SYSTEM, err.text);
        goto out;
    }
    root = json_loadb(buf_span(&answer).ptr, answer.len, 0, NULL);
    url = json_string_value(json_object_get(root, "url"));
    status = url ? EXIT_OK : fail(EXIT_SYSTEM, "the proxy's answer has no link");
    if (url) {
        harmless_print_lines(stdout, url);
        putchar('\n');
    }
    fprintf(stderr, "%s",
            url ? "once, within 15 minutes; whoever opens it becomes an administrator\n" : "");
out:
    json_decref(root);
    buf_wipe(&answer);
    buf_fini(&answer);
    config_unref(c);
    return status;
}

/* Asked before the file is locked: nobody waits for somebody who thinks. */
static bool ask_password(struct job *job)
{
    const char *fault = accounts_file_name_fault(span_of(job->what));
    struct err err;

    if (fault)
        err_set(&err, "%s", fault);
    else if (secret_read("Password", true, job->password, &err))
        return true;
    fail(EXIT_USAGE, err.text);
    return false;
}

static int run(const char *verb, struct job *job)
{
    static const struct {
        const char *verb;
        edit_fn change;
        bool asks;
    } edits[] = {{"add", change_add, true},
                 {"passwd", change_passwd, true},
                 {"remove", change_remove, false},
                 {"import", change_import, false}};
    int status = EXIT_USAGE;

    if (strcmp(verb, "list") == 0)
        return list(job);
    for (size_t i = 0; i < ARRAY_LEN(edits); i++)
        if (strcmp(verb, edits[i].verb) == 0 && (!edits[i].asks || ask_password(job)))
            status = edit(job, edits[i].change);
    fflush(stdout);
    if (status == EXIT_OK)
        account_proxy_tell(job->file, verb, job->what);
    return status;
}

/* How many words stand behind the verb; -1: no such verb. */
static int arguments_of(const char *verb)
{
    static const char *const one[] = {"add", "remove", "passwd", "import"};

    for (size_t i = 0; i < ARRAY_LEN(one); i++)
        if (strcmp(verb, one[i]) == 0)
            return 1;
    return strcmp(verb, "list") == 0 || strcmp(verb, "admin-link") == 0 ? 0 : -1;
}

static int account_run(int argc, char **argv)
{
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'}, {"accounts", required_argument, NULL, 'a'}, {0}};
    const char *accounts = NULL;
    struct job job = {0};
    int option, status = EXIT_USAGE;

    secret_forbid_core();
    optind = 1;
    opterr = 0;
    while ((option = getopt_long(argc, argv, "c:", options, NULL)) != -1) {
        if (option == 'c')
            job.config = optarg;
        else if (option == 'a')
            accounts = optarg;
        else
            return command_usage_error(
                &cmd_account, "\"%s\": no such option, or its value is missing", argv[optind - 1]);
    }
    if (optind == argc)
        return command_usage_error(&cmd_account,
                                   "say add, remove, list, passwd, import or admin-link");
    const char *verb = argv[optind++];
    if (strcmp(verb, "admin-link") == 0 && optind == argc)
        return print_link(job.config);
    int wanted = arguments_of(verb);
    if (wanted < 0)
        return command_usage_error(
            &cmd_account, "\"%s\" is none of add, remove, list, passwd, import and admin-link",
            verb);
    if (argc - optind != wanted)
        return command_usage_error(&cmd_account,
                                   wanted ? "%s takes one %s" : "%s takes no argument", verb,
                                   strcmp(verb, "import") ? "NAME" : "FILE");
    job.what = wanted ? argv[optind] : NULL;
    if (learn(&job, accounts))
        status = run(verb, &job);
    free(job.file);
    free(job.realm);
    explicit_bzero(job.password, sizeof job.password);
    return status;
}

const struct command cmd_account = {
    .name = "account",
    .synopsis = "add|remove|list|passwd|import|admin-link [NAME|FILE] [--accounts FILE] [-c FILE]",
    .summary = "add, remove and show the accounts that may log in at the proxy",
    .help =
        "add NAME         a new account; the password is asked for twice, or is the first line\n"
        "                 of standard input when that is no terminal\n"
        "passwd NAME      a new password\n"
        "remove NAME      take the account out\n"
        "list             names, realms, algorithms; never digests\n"
        "import FILE      accounts of an htdigest or htpasswd file; all of them or none.  Hashes\n"
        "                 of htpasswd serve Basic only\n"
        "admin-link       a one-time link that makes an administrator of the running proxy's\n"
        "                 console, good for 15 minutes\n"
        "A proxy that runs with the file takes a change up at once, and keeps in its audit log who "
        "did\n"
        "it.\n"
        "--accounts FILE  instead of the one that the configuration names\n"
        "-c FILE          instead of /etc/viaduct/viaduct.conf\n",
    .run = account_run,
};
