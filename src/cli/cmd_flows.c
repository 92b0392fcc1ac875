/* cli/cmd_flows.c - `viaduct flows`: the history of finished flows, from the running proxy or its
 * file. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/util.h"
#include "cli/command.h"
#include "cli/flows_args.h"
#include "cli/flows_source.h"
#include "cli/harmless.h"
#include "cli/problems.h"
#include "config/config.h"
#include "render/json_read.h"
#include "render/render.h"

#define SHOWN 50        /* flows of a list, where no time says how many */
#define SHOWN_BEFORE 10 /* flows that --follow begins with */
#define LINE_MAX_LEN (1u << 20)
#define LOOK_MS 200  /* between two looks of --follow at a file */
#define ASK_MS 500   /* between two questions to the proxy */
#define CANDIDATES 8 /* ids that are told of where several begin so */
#define HARMLESS_LEN 1024
#define SERVICE_FILE "/var/lib/viaduct/history.db"

struct view {
    const struct flows_args *args;
    const char *path;
    struct flows_source source;
    bool colour, screen;
    uint64_t shown, most; /* flows; 0: no limit */
    uint64_t oldest_us;   /* when the oldest of them ended */
    /* rows that are kept, because they come the wrong way round */
    int64_t *seqs;
    unsigned seqs_len;
    struct buf out;
};

static void flush_out(struct view *v)
{
    struct span bytes = buf_span(&v->out);

    fwrite(bytes.ptr, 1, bytes.len, stdout);
    buf_consume(&v->out, bytes.len);
}

/* ---- one flow */

/* The id in front of a line, red where the flow failed. */
static void write_id(struct view *v, const struct browse_row *row)
{
    const char *ink = !v->colour ? "" : row->failed ? "\x1b[31m" : "\x1b[32m";

    buf_printf(&v->out, "%s%016llx%s ", ink, (unsigned long long)row->id,
               v->colour ? "\x1b[0m" : "");
}

static bool read_row(struct flow *f, const struct browse_row *row, struct err *err)
{
    struct json_read_more more = {.reason = row->reason, .own_answer = row->own_answer};

    return json_read_flow(f, row->json, &more, err);
}

static void write_line(struct view *v, const struct browse_row *row)
{
    struct flow f;
    struct err err;

    write_id(v, row);
    if (read_row(&f, row, &err)) {
        if (!render_text(&v->out, &f))
            buf_printf(&v->out, "(too long to be shown)\n");
        flow_fini(&f);
    } else {
        char text[HARMLESS_LEN];

        buf_printf(&v->out, "(cannot be read: %s)\n", harmless_write(err.text, text, sizeof text));
    }
}

/* The record as it stands, a line. */
static void write_json(struct buf *out, struct span json)
{
    while (json.len && json.ptr[json.len - 1] == '\n')
        json.len--;
    buf_append(out, json.ptr, json.len);
    buf_append(out, "\n", 1);
}

static void write_row(struct view *v, const struct browse_row *row)
{
    if (v->args->json)
        write_json(&v->out, row->json);
    else
        write_line(v, row);
    flush_out(v);
    v->shown++;
    v->oldest_us = v->oldest_us && v->oldest_us < row->ended_us ? v->oldest_us : row->ended_us;
}

/* ---- the list */

static bool show_row(void *arg, const struct browse_row *row)
{
    struct view *v = arg;

    write_row(v, row);
    return !ferror(stdout) && (v->most == 0 || v->shown < v->most);
}

static int fail(const char *path, const struct err *err)
{
    char text[HARMLESS_LEN];

    fprintf(stderr, "viaduct flows: %s: %s\n", path, harmless_write(err->text, text, sizeof text));
    return EXIT_SYSTEM;
}

/* Flows that should be in the list and are not. */
static void tell_gaps(struct view *v)
{
    uint64_t since_us = v->args->query.since_us ? v->args->query.since_us : v->oldest_us;
    char why[128], text[HARMLESS_LEN];
    uint64_t lost = since_us ? flows_source_count_lost(&v->source, since_us, why, sizeof why) : 0;

    if (lost > 0)
        fprintf(stderr, "viaduct flows: flows of this time that are missing: %llu (%s)\n",
                (unsigned long long)lost, harmless_write(why, text, sizeof text));
}

static int list(struct view *v)
{
    struct err err;

    v->most = v->args->query.since_us ? 0 : SHOWN;
    if (!flows_source_find(&v->source, &v->args->query, v->most, show_row, v, &err))
        return fail(v->path, &err);
    if (v->shown == 0)
        fputs("viaduct flows: no flow is like that\n", stderr);
    fflush(stdout);
    tell_gaps(v);
    return EXIT_OK;
}

/* ---- as they come */

static bool keep_seq(void *arg, const struct browse_row *row)
{
    struct view *v = arg;

    v->seqs[v->seqs_len++] = row->seq;
    return v->seqs_len < SHOWN_BEFORE;
}

/* Where to begin: the flow before the newest ten that match, or before what --since names. */
static bool find_beginning(struct view *v, int64_t *after, struct err *err)
{
    int64_t seqs[SHOWN_BEFORE];
    struct browse_query q = v->args->query;

    v->seqs = seqs;
    v->seqs_len = 0;
    *after = 0;
    if (q.since_us)
        return true; /* from the first on, as far as the time goes */
    if (!flows_source_find(&v->source, &q, SHOWN_BEFORE, keep_seq, v, err))
        return false;
    if (v->seqs_len == 0)
        return flows_source_get_last(&v->source, after, err);
    *after = seqs[v->seqs_len - 1] - 1;
    return true;
}

static int follow(struct view *v)
{
    struct browse_query q = v->args->query;
    struct err err;

    if (!find_beginning(v, &q.after, &err))
        return fail(v->path, &err);
    while (!ferror(stdout)) {
        const struct timespec pause = {0, (v->source.asks ? ASK_MS : LOOK_MS) * 1000000L};

        if (!flows_source_follow(&v->source, &q, show_row, v, &err))
            return fail(v->path, &err);
        fflush(stdout);
        nanosleep(&pause, NULL);
    }
    return EXIT_SYSTEM;
}

/* ---- one by its id */

struct found {
    struct view *view;
    unsigned count;
    uint64_t ids[CANDIDATES];
    struct flow flow; /* of the first */
    char *json;
    size_t json_len;
    bool is_read, failed;
    struct err err;
};

static bool keep_found(void *arg, const struct browse_row *row)
{
    struct found *f = arg;

    if (f->count == 0) {
        f->is_read = read_row(&f->flow, row, &f->err);
        f->json = span_dup(row->json);
        f->json_len = row->json.len;
        f->failed = row->failed;
    }
    f->ids[f->count++] = row->id;
    return f->count < CANDIDATES;
}

static int refuse_ambiguous(const struct found *f, const char *digits)
{
    fprintf(stderr, "viaduct flows: several ids begin with %s:\n", digits);
    for (unsigned i = 0; i < f->count; i++)
        fprintf(stderr, "  %016llx\n", (unsigned long long)f->ids[i]);
    if (f->count == CANDIDATES)
        fputs("  and maybe more\n", stderr);
    return EXIT_USAGE;
}

/* As `check` ends: by the flow's verdict. */
static int show_found(struct view *v, struct found *f)
{
    if (v->args->json && f->json) {
        write_json(&v->out, (struct span){f->json, f->json_len});
        flush_out(v);
    } else if (!f->is_read) {
        fprintf(stderr, "viaduct flows: %s: the record cannot be read: %s\n", v->args->id,
                f->err.text);
        return EXIT_SYSTEM;
    } else if (render_ladder(&v->out, &f->flow, v->colour)) {
        flush_out(v);
    } else {
        fputs("viaduct flows: out of memory\n", stderr);
        return EXIT_SYSTEM;
    }
    return f->failed ? EXIT_VERDICT : EXIT_OK;
}

static int show_one(struct view *v)
{
    struct found f = {.view = v};
    struct err err;
    int status;

    if (!flows_source_get(&v->source, v->args->id, keep_found, &f, &err)) {
        status = fail(v->path, &err);
    } else if (f.count == 0) {
        fprintf(stderr, "viaduct flows: no flow's id %s %s (%s)\n",
                strlen(v->args->id) == 16 ? "is" : "begins with", v->args->id, v->path);
        status = EXIT_USAGE;
    } else if (f.count > 1) {
        status = refuse_ambiguous(&f, v->args->id);
    } else {
        status = show_found(v, &f);
    }
    if (f.is_read)
        flow_fini(&f.flow);
    free(f.json);
    return status;
}

/* ---- which file */

/* The file of the configuration.  Where that names none, and there is none of this user's own, it
 * is the service's. */
static const char *choose_file(const struct config *c)
{
    if (!c->history_given && access(c->history, F_OK) < 0 && access(SERVICE_FILE, F_OK) == 0)
        return SERVICE_FILE;
    return c->history;
}

static int show(const struct flows_args *a, const char *path)
{
    const char *no_color = getenv("NO_COLOR");
    struct view v = {.args = a};
    enum fault fault;
    struct err err;
    int status;

    if (!flows_source_open(&v.source, path, !a->config, &fault, &err)) {
        if (fault == FAULT_MISSING)
            err_set(&err, "there is no history yet: viaduct serve writes it");
        flows_source_close(&v.source);
        return fail(path, &err);
    }
    v.path = v.source.path;
    v.screen = isatty(STDOUT_FILENO);
    v.colour = v.screen && !(no_color && *no_color);
    buf_init(&v.out, LINE_MAX_LEN);
    status = a->id ? show_one(&v) : a->follow ? follow(&v) : list(&v);
    buf_fini(&v.out);
    flows_source_close(&v.source);
    return status;
}

static int flows_run(int argc, char **argv)
{
    struct config_report report = {0};
    struct flows_args args;
    struct config *c;
    int status;

    if (!flows_args_read(&args, argc, argv, clock_wall_ns()))
        return EXIT_USAGE;
    c = config_load_main(args.config ? args.config : config_default_path(), &report);
    if (!c)
        problems_print(&report, NULL, false);
    config_report_fini(&report);
    if (!c)
        return EXIT_USAGE;
    if (c->history) {
        status = show(&args, choose_file(c));
    } else {
        fprintf(stderr, "viaduct flows: the history is off (%s)\n", c->path ? c->path : "default");
        status = EXIT_USAGE;
    }
    config_unref(c);
    return status;
}

const struct command cmd_flows = {
    .name = "flows",
    .synopsis = "[-c FILE] [--failed] [--since T] [--client C] [--target T] [--verdict V] [--json] "
                "[--follow] [ID]",
    .summary = "show the history of finished flows, or one flow's ladder",
    .help =
        "-c FILE       names the history; the proxy that writes it is asked while it runs, else "
        "the file\n"
        "              is read. Without it: any proxy that runs here, else what "
        "/etc/viaduct/viaduct.conf\n"
        "              names\n"
        "--failed      failures only\n"
        "--since T     that ended since: 10m, 2h, 2026-11-26, 2026-11-26T05:00:00Z; all of them\n"
        "--client C    of the client with this address\n"
        "--target T    of this target: example.com, .example.com (all below it, too), "
        "example.com:443\n"
        "--verdict V   with this verdict; several with commas between them\n"
        "--json        one object a line\n"
        "--follow      the newest ten, then others as they end, until Ctrl-C\n"
        "ID            of one flow, or how it begins: its ladder\n"
        "Without --since, the newest 50 are shown. The newest come first, but with --follow.\n",
    .run = flows_run,
};
