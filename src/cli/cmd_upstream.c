#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/util.h"
#include "cli/command.h"
#include "cli/problems.h"
#include "cli/save.h"
#include "cli/secret.h"
#include "cli/upstream_form.h"
#include "cli/upstream_probe.h"
#include "config/report.h"
#include "config/upstream_file.h"
#include "render/jsonw.h"

#define DOTS "••••••"

/* What is asked, and of which file. */
struct job {
    const char *config, *file; /* as given; file NULL: the configuration's */
    const char *url, *password_file;
    bool force, json, with_password;
    struct form form;
    char **words; /* behind the verb */
    int words_len;
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
    struct config_report report = {0};
    const char *path = job->config ? job->config : config_default_path();
    struct config *c = config_load_main(path, &report);

    if (!c)
        problems_print(&report, NULL, false);
    config_report_fini(&report);
    if (!c)
        return false;
    save_find_owner(c, &job->uid, &job->gid);
    job->path = strdup(job->file ? job->file : c->upstream_file);
    config_unref(c);
    if (!job->path)
        fail(EXIT_SYSTEM, "out of memory");
    return job->path != NULL;
}

/* What the file says; a file that is not there says nothing.  One that shall be replaced may be
 * wrong. */
static int read_now(struct job *job, bool replaced)
{
    struct config_report report = {0};
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
    if (status == EXIT_OK)
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
    switch (upstream_probe(&c->upstream, job->url, PROBE_QUIET, &err)) {
    case PROBE_OK:
        return true;
    case PROBE_FAILED:
        *status = EXIT_VERDICT;
        break;
    case PROBE_ERROR:
        *status = fail(EXIT_USAGE, err.text);
        break;
    }
    if (job->force) {
        fputs("saved all the same, for --force was given\n", stderr);
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
    struct config_report report = {0};
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
    if (form_apply(&job->form, buf_span(&job->old), &text))
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

    for (int i = 0; i < job->words_len; i++)
        if (!form_take_word(&job->form, job->words[i], &err))
            return command_usage_error(&cmd_upstream, "%s", err.text);
    if (job->password_file && !form_take_password(&job->form, job->password_file, &err))
        return fail(EXIT_USAGE, err.text);
    if (form_is_empty(&job->form)) {
        if (!isatty(STDIN_FILENO))
            return command_usage_error(&cmd_upstream, "set: say what shall change");
        if (!form_ask(&job->form, now, &err))
            return fail(EXIT_USAGE, err.text);
    } else if (!form_settle(&job->form, now, &err)) {
        return fail(EXIT_USAGE, err.text);
    }
    if (form_is_empty(&job->form)) {
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
    if (!form_set(&job->form, FORM_ENABLED, word))
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
    switch (upstream_probe(u, job->url, job->json ? PROBE_JSON : PROBE_LADDER, &err)) {
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
    struct config_report report = {0};
    struct config *c = config_load_upstream(name, buf_span(text), &report);
    struct buf to;
    struct err err;
    int status;

    buf_init(&to, UPSTREAM_FILE_MAX);
    if (!c) {
        problems_print(&report, NULL, false);
        status = EXIT_USAGE;
    } else if (c->upstream.ca && !form_set(&job->form, FORM_CA, span_of(c->upstream.ca))) {
        status = fail(EXIT_SYSTEM, "out of memory");
    } else if (job->password_file && !form_take_password(&job->form, job->password_file, &err)) {
        status = fail(EXIT_USAGE, err.text);
    } else if (!form_apply(&job->form, buf_span(text), &to)) {
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
    struct buf text;
    struct err err;

    buf_init(&text, UPSTREAM_FILE_MAX);
    int status = read_import(job->words[0], &text, &err) ? import_text(job, job->words[0], &text)
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
    if (!upstream_file_write(job->now, job->with_password, &text))
        status = fail(EXIT_SYSTEM, "out of memory");
    fwrite(buf_span(&text).ptr, 1, text.len, stdout);
    buf_wipe(&text);
    buf_fini(&text);
    return status;
}

static const char *on_off(bool on)
{
    return on ? "on" : "off";
}

static void write_json(const struct job *job, struct pen *p)
{
    const struct config_upstream *u = &job->now->upstream;
    struct jsonw w = {.pen = p};

    jsonw_open(&w, '{');
    jsonw_member_text(&w, "file", job->path);
    jsonw_key(&w, "present");
    jsonw_bool(&w, u->present);
    jsonw_key(&w, "enabled");
    jsonw_bool(&w, u->enabled);
    jsonw_member_text(&w, "host", u->host);
    jsonw_key(&w, "port");
    if (u->port)
        jsonw_u64(&w, u->port);
    else
        jsonw_null(&w);
    jsonw_member_text(&w, "user", u->user);
    jsonw_member_text(&w, "password", u->password ? DOTS : NULL);
    jsonw_key(&w, "tls");
    jsonw_bool(&w, u->tls);
    jsonw_member_text(&w, "ca", u->ca);
    jsonw_key(&w, "no_proxy");
    jsonw_open(&w, '[');
    for (unsigned i = 0; i < u->no_proxy_len; i++)
        jsonw_text(&w, u->no_proxy[i]);
    jsonw_close(&w, ']');
    jsonw_key(&w, "smart_licensing");
    jsonw_bool(&w, u->smart_licensing);
    jsonw_close(&w, '}');
    pen_char(p, '\n');
}

static int show_json(const struct job *job)
{
    struct buf out;
    struct pen p;

    buf_init(&out, UPSTREAM_FILE_MAX);
    pen_init_draft(&p, &out);
    write_json(job, &p);
    bool ok = pen_end_draft(&p, &out);
    fwrite(buf_span(&out).ptr, 1, out.len, stdout);
    buf_fini(&out);
    return ok ? EXIT_OK : fail(EXIT_SYSTEM, "out of memory");
}

static void show_line(const char *name, const char *value)
{
    printf("%-16s %s\n", name, value);
}

static void show_text(const struct job *job)
{
    const struct config_upstream *u = &job->now->upstream;
    char port[8];

    snprintf(port, sizeof port, "%u", u->port);
    show_line("file", job->path);
    if (!u->present) {
        puts("no upstream proxy is set: targets are connected directly");
        return;
    }
    show_line("enabled", on_off(u->enabled));
    show_line("host", u->host ? u->host : "-");
    show_line("port", u->port ? port : "-");
    show_line("user", u->user ? u->user : "- (no authentication)");
    show_line("password", u->password ? DOTS : "-");
    show_line("tls", on_off(u->tls));
    show_line("ca", u->ca ? u->ca : "- (the system's)");
    printf("%-16s", "no_proxy");
    for (unsigned i = 0; i < u->no_proxy_len; i++)
        printf(" %s", u->no_proxy[i]);
    puts(u->no_proxy_len ? "" : " -");
    show_line("smart_licensing", on_off(u->smart_licensing));
}

static int show(struct job *job)
{
    if (job->json)
        return show_json(job);
    show_text(job);
    return EXIT_OK;
}

/* What each verb takes beside -c and --file. */
enum takes {
    TAKES_FIELDS = 1 << 0,
    TAKES_PASSWORD = 1 << 1,
    TAKES_URL = 1 << 2,
    TAKES_FORCE = 1 << 3,
    TAKES_JSON = 1 << 4,
    TAKES_SECRET = 1 << 5,
};
#define TAKES_TEST (TAKES_URL | TAKES_FORCE)

static const struct verb {
    const char *name;
    int (*run)(struct job *job);
    int words; /* behind it; -1: any number */
    unsigned takes;
} verbs[] = {
    {"show", show, 0, TAKES_JSON},
    {"set", set, -1, TAKES_FIELDS | TAKES_PASSWORD | TAKES_TEST},
    {"enable", enable, 0, TAKES_TEST},
    {"disable", disable, 0, 0},
    {"test", test, 0, TAKES_URL | TAKES_JSON},
    {"import", import, 1, TAKES_PASSWORD | TAKES_TEST},
    {"export", export, 0, TAKES_SECRET},
};

/* The options; a field's `val` is OPTION_FIELD + its number. */
enum { OPTION_FIELD = 0x100, OPTION_PASSWORD = 0x200 };

static const struct upstream_option {
    struct option option;
    unsigned takes;
} options[] = {
    {{"config", required_argument, NULL, 'c'}, 0},
    {{"file", required_argument, NULL, 'F'}, 0},
    {{"enabled", required_argument, NULL, OPTION_FIELD + FORM_ENABLED}, TAKES_FIELDS},
    {{"host", required_argument, NULL, OPTION_FIELD + FORM_HOST}, TAKES_FIELDS},
    {{"port", required_argument, NULL, OPTION_FIELD + FORM_PORT}, TAKES_FIELDS},
    {{"user", required_argument, NULL, OPTION_FIELD + FORM_USER}, TAKES_FIELDS},
    {{"tls", required_argument, NULL, OPTION_FIELD + FORM_TLS}, TAKES_FIELDS},
    {{"ca", required_argument, NULL, OPTION_FIELD + FORM_CA}, TAKES_FIELDS},
    {{"no-proxy", required_argument, NULL, OPTION_FIELD + FORM_NO_PROXY}, TAKES_FIELDS},
    {{"smart-licensing", required_argument, NULL, OPTION_FIELD + FORM_SMART_LICENSING},
     TAKES_FIELDS},
    {{"password", optional_argument, NULL, OPTION_PASSWORD}, 0}, /* refused, with a reason */
    {{"password-file", required_argument, NULL, 'P'}, TAKES_PASSWORD},
    {{"password-stdin", no_argument, NULL, 'S'}, TAKES_PASSWORD},
    {{"url", required_argument, NULL, 'u'}, TAKES_URL},
    {{"force", no_argument, NULL, 'f'}, TAKES_FORCE},
    {{"json", no_argument, NULL, 'j'}, TAKES_JSON},
    {{"with-password", no_argument, NULL, 'w'}, TAKES_SECRET},
};

static const struct upstream_option *find_option(int val)
{
    for (size_t i = 0; i < ARRAY_LEN(options); i++)
        if (options[i].option.val == val)
            return &options[i];
    return NULL;
}

/* One option into the job; false when memory is out. */
static bool take_option(struct job *job, int val, const char *value)
{
    switch (val) {
    case 'c':
        job->config = value;
        break;
    case 'F':
        job->file = value;
        break;
    case 'P':
        job->password_file = value;
        break;
    case 'S':
        job->password_file = "-";
        break;
    case 'u':
        job->url = value;
        break;
    case 'f':
        job->force = true;
        break;
    case 'j':
        job->json = true;
        break;
    case 'w':
        job->with_password = true;
        break;
    default:
        return form_set(&job->form, (enum form_field)(val - OPTION_FIELD), span_of(value));
    }
    return true;
}

/* Reads all options; *given takes the last one of each kind, by `takes`. */
static int read_options(struct job *job, int argc, char **argv,
                        const struct upstream_option *given[ARRAY_LEN(options)])
{
    struct option longs[ARRAY_LEN(options) + 1] = {0};
    int val;

    for (size_t i = 0; i < ARRAY_LEN(options); i++)
        longs[i] = options[i].option;
    optind = 1;
    opterr = 0;
    while ((val = getopt_long(argc, argv, "c:", longs, NULL)) != -1) {
        const struct upstream_option *o = find_option(val);

        if (val == OPTION_PASSWORD)
            return command_usage_error(&cmd_upstream,
                                       "a password does not belong on the command line, for ps "
                                       "shows it to everybody: --password-file FILE or "
                                       "--password-stdin");
        if (!o)
            return command_usage_error(
                &cmd_upstream, "\"%s\": no such option, or its value is missing", argv[optind - 1]);
        given[o - options] = o;
        if (!take_option(job, val, optarg))
            return fail(EXIT_SYSTEM, "out of memory");
    }
    return EXIT_OK;
}

static int check_verb(const struct verb *v, const struct job *job,
                      const struct upstream_option *const given[ARRAY_LEN(options)])
{
    for (size_t i = 0; i < ARRAY_LEN(options); i++)
        if (given[i] && given[i]->takes && !(given[i]->takes & v->takes))
            return command_usage_error(&cmd_upstream, "%s takes no --%s", v->name,
                                       given[i]->option.name);
    if (v->words >= 0 && job->words_len != v->words)
        return command_usage_error(
            &cmd_upstream, v->words ? "%s takes one FILE" : "%s takes no argument", v->name);
    return EXIT_OK;
}

static const struct verb *find_verb(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
        if (strcmp(verbs[i].name, name) == 0)
            return &verbs[i];
    return NULL;
}

static int upstream_run(int argc, char **argv)
{
    const struct upstream_option *given[ARRAY_LEN(options)] = {0};
    const struct verb *verb = NULL;
    struct job job = {.url = UPSTREAM_PROBE_URL};
    int status;

    secret_forbid_core();
    buf_init(&job.old, UPSTREAM_FILE_MAX);
    status = read_options(&job, argc, argv, given);
    if (status == EXIT_OK && optind == argc)
        status = command_usage_error(&cmd_upstream,
                                     "say show, set, enable, disable, test, import or export");
    if (status == EXIT_OK) {
        verb = find_verb(argv[optind]);
        job.words = argv + optind + 1;
        job.words_len = argc - optind - 1;
        status = verb ? check_verb(verb, &job, given)
                      : command_usage_error(&cmd_upstream,
                                            "\"%s\" is none of show, set, enable, disable, test, "
                                            "import and export",
                                            argv[optind]);
    }
    if (status == EXIT_OK && !learn(&job))
        status = EXIT_USAGE;
    if (status == EXIT_OK)
        status = read_now(&job, verb->run == import);
    if (status == EXIT_OK)
        status = verb->run(&job);
    form_fini(&job.form);
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
