/* cli/cmd_explain.c - `viaduct explain`: reads captures and says what became of every flow. */
#include <errno.h>
#include <net/if.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/util.h"
#include "capture/explain.h"
#include "cli/command.h"
#include "cli/explain_args.h"
#include "cli/explain_keep.h"
#include "cli/explain_page.h"
#include "cli/explain_report.h"
#include "cli/explain_trouble.h"
#include "flow/anonymize.h"
#include "render/render.h"
#include "render/say.h"

#define OUTPUT_MAX (64u << 20)
#define KEPT_MAX 1000 /* flows that are held whole: some 1 KiB each */
#define PLOTS_MAX 200 /* 6 KiB each */
#define PACKETS_A_TURN 4096
#define PROGRESS_NS (100 * NS_PER_MS)

static volatile sig_atomic_t interrupted;

static void on_signal(int sig)
{
    interrupted = sig;
}

struct run {
    struct explain_args args;
    struct explain *explain;
    struct explain_keep keep;
    struct explain_page page;
    struct anonymize *anonymize;           /* NULL: names are shown */
    char (*stand_ins)[SAY_NUMBER_MAX + 8]; /* "file-1": for the files' names */
    const char **names;                    /* of the files, as they are shown */
    bool colour, progress;                 /* of standard output; standard error is a terminal */
    bool drawn;                            /* a line of progress stands there */
    bool failed;                           /* a flow that counts for the exit status */
    uint64_t drawn_ns;
};

static bool is_live(const struct run *r)
{
    return r->args.options.capture.interface != NULL;
}

/* Standard output is the page's. */
static bool is_page_stdout(const struct run *r)
{
    return r->args.html && strcmp(r->args.html, "-") == 0;
}

static bool is_terminal(int fd)
{
    const char *term = getenv("TERM");

    return isatty(fd) && !(term && strcmp(term, "dumb") == 0);
}

/* ---- what stands on the terminal */

static void clear_progress(struct run *r)
{
    if (r->drawn)
        fputs("\r\x1b[K", stderr);
    r->drawn = false;
}

static void draw_progress(struct run *r)
{
    uint64_t now_ns;

    if (!r->progress || (now_ns = clock_mono_ns()) - r->drawn_ns < PROGRESS_NS)
        return;
    r->drawn_ns = now_ns;
    r->drawn = true;
    fprintf(stderr, "\r%llu packets, %llu flows, %llu failed\x1b[K",
            (unsigned long long)explain_get_seen(r->explain)->packets,
            (unsigned long long)r->keep.flows, (unsigned long long)r->keep.failed);
    fflush(stderr);
}

static void print(struct run *r, struct buf *b, FILE *out)
{
    struct span s = buf_span(b);

    clear_progress(r);
    fwrite(s.ptr, 1, s.len, out);
    if (is_live(r))
        fflush(out);
    buf_fini(b);
}

/* ---- flows as they end */

static void print_flow(struct run *r, const struct flow *f)
{
    struct buf b;

    buf_init(&b, OUTPUT_MAX);
    if (r->args.json)
        render_json(&b, f);
    else
        explain_report_live(&b, f, r->colour);
    print(r, &b, stdout);
}

static void on_flow(void *owner, struct flow *f, struct series **plot)
{
    struct run *r = owner;
    bool is_failure = rank_is_failure(f);
    bool is_shown = (!r->args.flow || f->id == r->args.flow) && (is_failure || !r->args.failed);

    if (r->anonymize)
        anonymize_flow(r->anonymize, f);
    explain_keep_count(&r->keep, f);
    if (!r->args.flow || f->id == r->args.flow)
        r->failed |= is_failure;
    if (!is_shown)
        return;
    if (r->args.json || (is_live(r) && !is_page_stdout(r) && !r->args.flow))
        print_flow(r, f);
    explain_keep_offer(&r->keep, f, plot);
}

/* ---- the end */

static void print_summary(struct run *r)
{
    const struct explain_report report = {
        .seen = explain_get_seen(r->explain),
        .keep = &r->keep,
        .names = r->names,
        .names_len = r->args.options.capture.paths_len,
        .interface = r->args.options.capture.interface,
        .failed = r->args.failed,
        .colour = r->colour,
        .is_told = is_live(r),
    };
    struct buf b;

    buf_init(&b, OUTPUT_MAX);
    explain_report_summary(&b, &report);
    print(r, &b, stdout);
}

static int print_one(struct run *r)
{
    struct buf b;

    if (!r->keep.len) {
        clear_progress(r);
        fprintf(stderr, "viaduct explain: there is no flow %llu: there are %llu\n",
                (unsigned long long)r->args.flow, (unsigned long long)r->keep.flows);
        return EXIT_USAGE;
    }
    if (r->args.json || is_page_stdout(r))
        return EXIT_OK;
    buf_init(&b, OUTPUT_MAX);
    render_ladder(&b, &r->keep.items[0]->flow, r->colour);
    print(r, &b, stdout);
    return EXIT_OK;
}

/* A text about the capture, as it is shown; the caller frees it. */
static char *shown_text(const struct run *r, const char *text)
{
    char *copy = r->anonymize ? anonymize_text(r->anonymize, text) : strdup(text);

    return copy ? copy : strdup("");
}

/* Into a buf of the caller's: it goes to standard error and onto the page. */
static void write_trouble(const struct run *r, struct buf *b)
{
    char *trouble = shown_text(r, explain_get_seen(r->explain)->trouble);
    const struct explain_trouble t = {
        .seen = explain_get_seen(r->explain),
        .counts = explain_get_counts(r->explain),
        .keep = &r->keep,
        .trouble = trouble,
        .interface = r->args.options.capture.interface,
    };

    explain_trouble_write(b, &t);
    free(trouble);
}

static int write_page(struct run *r, const char *trouble)
{
    const struct explain_page_facts facts = {
        .seen = explain_get_seen(r->explain),
        .keep = &r->keep,
        .names = r->names,
        .names_len = r->args.options.capture.paths_len,
        .interface = r->args.options.capture.interface,
        .trouble = trouble,
    };
    struct err err;

    if (explain_page_write(&r->page, &facts, &err))
        return EXIT_OK;
    clear_progress(r);
    fprintf(stderr, "viaduct explain: %s\n", err.text);
    return EXIT_SYSTEM;
}

static int tell(struct run *r)
{
    int status = EXIT_OK;
    struct buf trouble;

    buf_init(&trouble, OUTPUT_MAX);
    write_trouble(r, &trouble);
    buf_append(&trouble, "", 1); /* terminated */

    if (r->args.flow)
        status = print_one(r);
    else if (!r->args.json && !is_page_stdout(r))
        print_summary(r);
    if (status == EXIT_OK && r->args.html)
        status = write_page(r, buf_span(&trouble).ptr);
    fflush(stdout); /* what was said of the flows comes first where both are one file */
    fputs(buf_span(&trouble).ptr, stderr);
    buf_fini(&trouble);
    return status;
}

/* ---- all together */

/* What a live interface says has no name of a file in it. */
static int fail(const struct run *r, int status, const char *why)
{
    char *text = is_live(r) ? strdup(why) : shown_text(r, why);

    fprintf(stderr, "viaduct explain: %s\n", text ? text : "out of memory");
    free(text);
    return status;
}

/* Reads until all is read, or Ctrl-C ends it: then what is there is explained. */
static int read_all(struct run *r)
{
    bool is_stopped = false;
    int more;

    while ((more = explain_run(r->explain, PACKETS_A_TURN)) > 0) {
        draw_progress(r);
        if (ferror(stdout)) /* nobody reads any more: main says so */
            return EXIT_SYSTEM;
        if (interrupted && !is_stopped) {
            explain_stop(r->explain);
            is_stopped = true;
        }
    }
    clear_progress(r);
    if (more < 0)
        return fail(r, EXIT_SYSTEM, strerror(-more));
    return EXIT_OK;
}

/* The files' names as they are shown: with --anonymize they are numbered. */
static bool find_names(struct run *r)
{
    const struct capture_options *c = &r->args.options.capture;

    r->names = calloc(c->paths_len + 1, sizeof *r->names);
    r->stand_ins = calloc(c->paths_len + 1, sizeof *r->stand_ins);
    for (size_t i = 0; r->names && r->stand_ins && i < c->paths_len; i++) {
        snprintf(r->stand_ins[i], sizeof r->stand_ins[i], "file-%zu", i + 1);
        r->names[i] = r->anonymize ? r->stand_ins[i] : c->paths[i];
        if (r->anonymize)
            anonymize_add(r->anonymize, c->paths[i], r->stand_ins[i]);
    }
    if (r->anonymize && r->args.options.keylog)
        anonymize_add(r->anonymize, r->args.options.keylog, "keylog");
    return r->names && r->stand_ins;
}

static bool begin(struct run *r)
{
    bool ok = explain_keep_init(&r->keep, r->args.flow ? 1 : KEPT_MAX, PLOTS_MAX);

    if (r->args.anonymize) {
        r->anonymize = anonymize_new();
        ok &= r->anonymize != NULL;
    }
    return ok && find_names(r);
}

/* Files that cannot be read, an interface that is none, and a bad filter are mistakes of who asked;
 * what else a live interface refuses, the system does. */
static int status_of_opening(const struct run *r, const struct err *err)
{
    const char *interface = r->args.options.capture.interface;

    if (!interface || span_begins_nocase(span_of(err->text), SPAN_LIT("the filter")))
        return EXIT_USAGE;
    return strcmp(interface, "any") == 0 || if_nametoindex(interface) ? EXIT_SYSTEM : EXIT_USAGE;
}

static int run(struct run *r)
{
    struct err err;
    int status, read;

    if (!begin(r))
        return fail(r, EXIT_SYSTEM, "out of memory");
    if (r->args.html && !explain_page_open(&r->page, r->args.html, &err))
        return fail(r, EXIT_SYSTEM, err.text);
    r->args.options.flow = on_flow;
    r->args.options.owner = r;
    r->explain = explain_new(&r->args.options, &err);
    if (!r->explain)
        return fail(r, status_of_opening(r, &err), err.text);
    if (is_live(r))
        fprintf(stderr, "viaduct explain: listening on %s, Ctrl-C ends it\n",
                r->args.options.capture.interface);
    read = read_all(r);
    status = tell(r);
    if (status == EXIT_OK)
        status = read;
    return status == EXIT_OK && r->failed ? EXIT_VERDICT : status;
}

static int explain_command(int argc, char **argv)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESETHAND};
    struct run r = {0};
    int status = explain_args_parse(&r.args, argc, argv);

    r.colour = is_terminal(STDOUT_FILENO) && !getenv("NO_COLOR");
    r.progress = is_terminal(STDERR_FILENO);
    if (status == EXIT_OK) {
        sigaction(SIGINT, &action, NULL);
        sigaction(SIGTERM, &action, NULL);
        signal(SIGPIPE, SIG_IGN); /* a reader that has enough is told like a full disk */
        signal(SIGXFSZ, SIG_IGN);
        status = run(&r);
    }
    if (r.explain)
        explain_free(r.explain);
    explain_page_close(&r.page);
    anonymize_free(r.anonymize);
    explain_keep_fini(&r.keep);
    free(r.names);
    free(r.stand_ins);
    explain_args_fini(&r.args);
    return status;
}

const struct command cmd_explain = {
    .name = "explain",
    .synopsis = "[-i IFACE] [-x PROXY] [--flow N] [--html OUT] [--failed] [--json] "
                "[--keylog FILE] [--anonymize] [FILE...]",
    .summary = "read packet captures and explain what became of every flow",
    .help =
        "  FILE                    pcap or pcapng, as it is or compressed by gzip or zstd, or\n"
        "                          tcpdump's text; - or nothing: standard input; several are\n"
        "                          read in the order of their times\n"
        "  -i, --interface IFACE   capture there until Ctrl-C; the words behind the options are\n"
        "                          tcpdump's filter\n"
        "  -x, --proxy PROXY       where a proxy listens: HOST:PORT, PORT, http://HOST:PORT or\n"
        "                          https://HOST:PORT; may be repeated; proxies that are asked\n"
        "                          anything are found without it\n"
        "      --flow N            the ladder of flow #N alone\n"
        "      --failed            only flows that failed\n"
        "      --html OUT          a page with ladders and plots (-: standard output)\n"
        "      --json              one object a line for each flow\n"
        "      --keylog FILE       secrets of TLS, in the format of SSLKEYLOGFILE\n"
        "      --anonymize         names, addresses, users and URLs as stand-ins\n",
    .run = explain_command,
};
