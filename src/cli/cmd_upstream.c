#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/util.h"
#include "cli/command.h"
#include "cli/problems.h"
#include "cli/secret.h"
#include "cli/upstream_args.h"
#include "cli/upstream_probe.h"
#include "cli/upstream_show.h"
#include "config/report.h"
#include "config/save.h"
#include "config/upstream_file.h"

/* What is asked, and of which file. */
struct job {
    struct upstream_args args;
    char *path; /* of the settings */
    uid_t uid;  /* the proxy's account */
    gid_t gid;
    struct buf old; /* the file's text */
    bool is_there;
    struct config *now; /* what it says; NULL until read */
};

static int fail(int status, const char *text)
{
    fprintf(stderr, "viaduct upstream: %s\n", text);
    return status;
}

/* The file of the settings and the owner of what is written. */
static bool learn(struct job *job)
{
    struct config_report report = {.language = ""};
    const char *path = job->args.config ? job->args.config : config_default_path();
    struct config *c = config_load_main(path, &report);

    if (!c)
        problems_print(&report, NULL, false);
    config_report_fini(&report);
    if (!c)
        return false;
    save_find_owner(c, &job->uid, &job->gid);
    job->path = strdup(job->args.file ? job->args.file : c->upstream_file);
    config_unref(c);
    if (!job->path)
        fail(EXIT_SYSTEM, "out of memory");
    return job->path != NULL;
}

/* What the file says; a file that is not there says nothing.  One that shall be replaced may be
 * wrong. */
static int read_now(struct job *job, bool replaced)
{
    struct config_report report = {.language = ""};
    struct save s = {.lock_fd = -1};
    struct err err;
    int status = EXIT_OK;

    job->is_there = access(job->path, F_OK) == 0 || errno != ENOENT;
    if (job->is_there && !save_read(&s, job->path, UPSTREAM_FILE_MAX, &err))
        return fail(EXIT_SYSTEM, err.text);
    if (!buf_append(&job->old, s.text ? s.text : "", s.len))
        status = fail(EXIT_SYSTEM, "out of memory");
    save_end(&s);
    if (status != EXIT_OK || replaced)
        return status;
    job->now = config_load_upstream(job->path, buf_span(&job->old), &report);
    problems_print(&report, NULL, false);
    config_report_fini(&report);
    return job->now ? EXIT_OK : EXIT_USAGE;
}

/* Puts `text` in the file's place, unless somebody else changed that since it was read. */
static int store(const struct job *job, const struct buf *text)
{
    struct save s;
    struct err err;
    int status = EXIT_OK;

    if (!save_begin(&s, job->path, UPSTREAM_FILE_MAX, &err))
        status = fail(EXIT_SYSTEM, err.text);
    else if (s.is_new == job->is_there ||
             !span_equal((struct span){s.text, s.len}, buf_span(&job->old)))
        status = fail(EXIT_SYSTEM, "somebody else changed the file meanwhile: nothing is written");
    else if (!save_write(&s, buf_span(text), job->uid, job->gid, &err))
        status = fail(EXIT_SYSTEM, err.text);
    save_end(&s);
    if (status == EXIT_OK && !job->args.json)
        printf("%s is written; a running proxy takes it over by: systemctl reload viaduct\n",
               job->path);
    return status;
}

/* Tests the settings of *c where they will be used; false (*status) when they are not to be saved.
 */
static bool is_good(const struct job *job, const struct config *c, int *status)
{
    struct err err;

    if (!c->upstream.enabled)
        return true;
    switch (upstream_probe(&c->upstream, job->args.url,
                           job->args.json ? PROBE_QUIET_JSON : PROBE_QUIET, &err)) {
    case PROBE_OK:
        return true;
    case PROBE_FAILED:
        *status = EXIT_VERDICT;
        break;
    case PROBE_ERROR:
        *status = fail(EXIT_USAGE, err.text);
        break;
    }
    if (job->args.force) {
        fputs("saving all the same, for --force was given\n", stderr);
        *status = EXIT_OK;
        return true;
    }
    fail(*status, job->is_there ? "the old settings stand; --force saves these all the same"
                                : "nothing is saved; --force saves these all the same");
    return false;
}

/* Reads `text` as `name` would be (NULL: it is no file yet), tests it, and saves it. */
static int judge_and_store(const struct job *job, const struct buf *text, const char *name)
{
    struct config_report report = {.language = ""};
    struct config *c = config_load_upstream(name ? name : job->path, buf_span(text), &report);
    int status = c ? EXIT_OK : EXIT_USAGE;

    problems_print(&report, name ? NULL : job->path, true);
    config_report_fini(&report);
    if (c && !c->upstream.present)
        status = fail(EXIT_USAGE, "there is no iprep_proxy block in it");
    else if (c && is_good(job, c, &status))
        status = store(job, text);
    config_unref(c);
    return status;
}

/* The file with the fields of the form changed. */
static int save_form(struct job *job)
{
    struct buf text;
    int status;

    buf_init(&text, UPSTREAM_FILE_MAX);
    if (form_apply(&job->args.form, buf_span(&job->old), &text))
        status = judge_and_store(job, &text, NULL);
    else
        status = fail(EXIT_SYSTEM, "out of memory, or the file is too large");
    buf_wipe(&text);
    buf_fini(&text);
    return status;
}

static int set(struct job *job)
{
    const struct config_upstream *now = &job->now->upstream;
    struct err err;

    for (int i = 0; i < job->args.words_len; i++)
        if (!form_take_word(&job->args.form, job->args.words[i], &err))
            return command_usage_error(&cmd_upstream, "%s", err.text);
    if (job->args.password_file &&
        !form_take_password(&job->args.form, job->args.password_file, &err))
        return fail(EXIT_USAGE, err.text);
    if (form_is_empty(&job->args.form)) {
        if (!isatty(STDIN_FILENO))
            return command_usage_error(&cmd_upstream, "set: say what shall change");
        if (!form_ask(&job->args.form, now, &err))
            return fail(EXIT_USAGE, err.text);
    } else if (!form_settle(&job->args.form, now, &err)) {
        return fail(EXIT_USAGE, err.text);
    }
    if (form_is_empty(&job->args.form)) {
        puts("nothing is changed");
        return EXIT_OK;
    }
    return save_form(job);
}

static int switch_to(struct job *job, struct span word)
{
    if (!job->now->upstream.present) {
        fprintf(stderr, "viaduct upstream: %s: there are no settings yet: viaduct upstream set\n",
                job->path);
        return EXIT_USAGE;
    }
    if (!form_set(&job->args.form, FORM_ENABLED, word))
        return fail(EXIT_SYSTEM, "out of memory");
    return save_form(job);
}

static int enable(struct job *job)
{
    return switch_to(job, SPAN_LIT("on"));
}

static int disable(struct job *job)
{
    return switch_to(job, SPAN_LIT("off"));
}

static int test(struct job *job)
{
    const struct config_upstream *u = &job->now->upstream;
    struct err err;

    if (!u->host || !u->port) {
        fprintf(stderr, "viaduct upstream: %s: there is no proxy to test: viaduct upstream set\n",
                job->path);
        return EXIT_USAGE;
    }
    if (!u->enabled)
        fputs("these settings are disabled: targets are connected directly\n", stderr);
    switch (upstream_probe(u, job->args.url, job->args.json ? PROBE_JSON : PROBE_LADDER, &err)) {
    case PROBE_OK:
        return EXIT_OK;
    case PROBE_FAILED:
        return EXIT_VERDICT;
    case PROBE_ERROR:
        break;
    }
    return fail(EXIT_USAGE, err.text);
}

/* The text to import; standard input for "-". */
static bool read_import(const char *name, struct buf *text, struct err *err)
{
    FILE *in = strcmp(name, "-") == 0 ? stdin : fopen(name, "re");
    char piece[4096];
    size_t n;
    bool ok = in != NULL;

    if (!in)
        err_set(err, "cannot open %s: %s", name, strerror(errno));
    while (ok && (n = fread(piece, 1, sizeof piece, in)) > 0) {
        ok = buf_append(text, piece, n);
        if (!ok)
            err_set(err, "%s: more than 1 MiB, or out of memory", name);
    }
    if (ok && ferror(in)) {
        err_set(err, "cannot read %s: %s", name, strerror(errno));
        ok = false;
    }
    explicit_bzero(piece, sizeof piece);
    if (in && in != stdin)
        fclose(in);
    return ok;
}

/* Validates the file as it is, then takes it over: a path in it is made absolute, for it was
 * relative to where that file lies. */
static int import_text(struct job *job, const char *name, struct buf *text)
{
    struct config_report report = {.language = ""};
    struct config *c = config_load_upstream(name, buf_span(text), &report);
    struct buf to;
    struct err err;
    int status;

    buf_init(&to, UPSTREAM_FILE_MAX);
    if (!c) {
        problems_print(&report, NULL, false);
        status = EXIT_USAGE;
    } else if (c->upstream.ca && !form_set(&job->args.form, FORM_CA, span_of(c->upstream.ca))) {
        status = fail(EXIT_SYSTEM, "out of memory");
    } else if (job->args.password_file &&
               !form_take_password(&job->args.form, job->args.password_file, &err)) {
        status = fail(EXIT_USAGE, err.text);
    } else if (!form_apply(&job->args.form, buf_span(text), &to)) {
        status = fail(EXIT_SYSTEM, "out of memory");
    } else {
        status = judge_and_store(job, &to, name);
    }
    config_report_fini(&report);
    config_unref(c);
    buf_wipe(&to);
    buf_fini(&to);
    return status;
}

static int import(struct job *job)
{
    const char *password = job->args.password_file;
    struct buf text;
    struct err err;

    if (password && strcmp(password, "-") == 0 && strcmp(job->args.words[0], "-") == 0)
        return command_usage_error(&cmd_upstream,
                                   "standard input cannot be both the settings and the password");
    buf_init(&text, UPSTREAM_FILE_MAX);
    int status = read_import(job->args.words[0], &text, &err)
                     ? import_text(job, job->args.words[0], &text)
                     : fail(EXIT_USAGE, err.text);
    buf_wipe(&text);
    buf_fini(&text);
    return status;
}

static int export(struct job *job)
{
    struct buf text;
    int status = EXIT_OK;

    if (!job->now->upstream.present) {
        fprintf(stderr, "viaduct upstream: %s: there are no settings\n", job->path);
        return EXIT_USAGE;
    }
    buf_init(&text, UPSTREAM_FILE_MAX);
    if (!upstream_file_write(job->now, job->args.with_password, &text))
        status = fail(EXIT_SYSTEM, "out of memory");
    fwrite(buf_span(&text).ptr, 1, text.len, stdout);
    buf_wipe(&text);
    buf_fini(&text);
    return status;
}

static int show(struct job *job)
{
    if (!job->args.json)
        upstream_show_text(job->path, &job->now->upstream);
    else if (!upstream_show_json(job->path, &job->now->upstream))
        return fail(EXIT_SYSTEM, "out of memory");
    return EXIT_OK;
}

static int (*const runs[])(struct job *job) = {
    [UPSTREAM_SHOW] = show,       [UPSTREAM_SET] = set,   [UPSTREAM_ENABLE] = enable,
    [UPSTREAM_DISABLE] = disable, [UPSTREAM_TEST] = test, [UPSTREAM_IMPORT] = import,
    [UPSTREAM_EXPORT] = export,
};
static_assert(ARRAY_LEN(runs) == UPSTREAM_COUNT, "a verb does nothing");

static int upstream_run(int argc, char **argv)
{
    struct job job = {0};
    int status;

    secret_forbid_core();
    buf_init(&job.old, UPSTREAM_FILE_MAX);
    status = upstream_args_parse(&job.args, argc, argv);
    if (status == EXIT_OK && !learn(&job))
        status = EXIT_USAGE;
    if (status == EXIT_OK)
        status = read_now(&job, job.args.verb == UPSTREAM_IMPORT);
    if (status == EXIT_OK)
        status = runs[job.args.verb](&job);
    upstream_args_fini(&job.args);
    config_unref(job.now);
    buf_wipe(&job.old);
    buf_fini(&job.old);
    free(job.path);
    return status;
}

const struct command cmd_upstream = {
    .name = "upstream",
    .synopsis = "show|set|enable|disable|test|import|export [URL] [NAME=VALUE...] [FILE] [options]",
    .summary = "the proxy by which this machine reaches the internet",
    .help =
        "show [--json]    the settings; a password as dots\n"
        "set [http://USER@HOST:PORT] [NAME=VALUE...] [OPTIONS]\n"
        "                 change what is named and leave the rest; without anything named, a\n"
        "                 terminal is asked field by field\n"
        "  --host H  --port P  --user U  --tls on|off  --ca FILE  --no-proxy LIST\n"
        "  --enabled on|off  --smart-licensing on|off\n"
        "                 an empty value takes the setting out\n"
        "  --password-file FILE, --password-stdin\n"
        "                 the password: the first line of FILE, or of standard input\n"
        "  --json         what the test met, as a flow\n"
        "enable, disable  use the settings, or connect directly and keep them\n"
        "test [--json]    go through the proxy to a test URL and say what is met, phase by phase\n"
        "import FILE      take over a whole upstream.conf (-: standard input), or nothing of it\n"
        "export [--with-password]\n"
        "                 print the settings as an upstream.conf\n"
        "--url URL        the test URL, instead of " UPSTREAM_PROBE_URL "\n"
        "--force          save although the test failed (set, enable and import test first)\n"
        "--file FILE      these settings, instead of those that the configuration names\n"
        "-c FILE          instead of /etc/viaduct/viaduct.conf\n",
    .run = upstream_run,
};
