/* cli/cmd_check.c - `viaduct check`: goes the way to URLs and explains what it meets. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/util.h"
#include "check/capture.h"
#include "check/check.h"
#include "check/download.h"
#include "cli/check_args.h"
#include "cli/check_compare.h"
#include "cli/check_progress.h"
#include "cli/check_report.h"
#include "cli/command.h"
#include "render/human.h"
#include "render/render.h"

#define OUTPUT_MAX (64u << 20)

static volatile sig_atomic_t interrupted;
static volatile int stop;

static void on_signal(int sig)
{
    interrupted = sig;
    stop = 1;
}

/* What the report knows while flows come. */
struct report {
    const struct check_args *args;
    FILE *out;      /* standard output, or the other one where the body goes there */
    bool colour;    /* of `out` */
    bool screen;    /* standard output is a terminal: the ladder is drawn as it happens */
    bool progress;  /* standard error is one: how many URLs are done */
    unsigned lines; /* of the drawing so far */
    uint64_t drawn_ns;
    unsigned flows, fine, open; /* fine: ok, and open, which is no failure */
    uint64_t longest_ns;
    struct check_progress bytes; /* how far the download is */
    struct check_mtu mtu;        /* of the flow that comes next; len 0: none */
};

static bool is_terminal(int fd)
{
    const char *term = getenv("TERM");

    return isatty(fd) && !(term && strcmp(term, "dumb") == 0);
}

static bool wants_colour(int fd)
{
    return is_terminal(fd) && !getenv("NO_COLOR");
}

static void print(struct report *r, struct buf *b)
{
    struct span s = buf_span(b);

    fwrite(s.ptr, 1, s.len, r->out);
    if (r->args->events)
        fflush(r->out);
    buf_fini(b);
}

/* ---- as it happens */

/* Takes the drawing back, and the line below it first. */
static void erase(struct report *r)
{
    check_progress_clear(&r->bytes);
    if (r->lines > 0)
        printf("\x1b[%uA\x1b[J", r->lines);
    r->lines = 0;
}

/* Lines that would wrap are cut: how many there are must be known. */
static void draw_lines(struct report *r, struct span text)
{
    struct winsize size = {.ws_col = 80};
    unsigned columns;

    ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
    columns = size.ws_col > 1 ? size.ws_col - 1u : 79;
    while (text.len > 0) {
        struct span line = span_cut(&text, '\n');
        size_t len = 0;
        unsigned column = 0;

        while (len < line.len && column < columns) { /* bytes that continue a character take none */
            len++;
            while (len < line.len && (line.ptr[len] & 0xc0) == 0x80)
                len++;
            column++;
        }
        fwrite(line.ptr, 1, len, stdout);
        putchar('\n');
        r->lines++;
    }
}

static void draw(struct report *r, const struct flow *f)
{
    struct buf b;

    r->drawn_ns = clock_mono_ns();
    buf_init(&b, OUTPUT_MAX);
    if (render_ladder_so_far(&b, f, r->drawn_ns, false)) {
        erase(r);
        draw_lines(r, buf_span(&b));
        fflush(stdout);
    }
    buf_fini(&b);
}

static void on_phase(void *owner, unsigned url, const struct flow *f)
{
    struct report *r = owner;

    struct buf b;

    (void)url;
    if (r->screen)
        draw(r, f);
    if (!r->args->events)
        return;
    buf_init(&b, OUTPUT_MAX);
    render_json(&b, f);
    print(r, &b);
}

static void on_bytes(void *owner, unsigned url, uint64_t bytes, uint64_t total)
{
    struct report *r = owner;

    (void)url;
    if (r->bytes.on)
        check_progress_update(&r->bytes, bytes, total, clock_mono_ns());
}

/* ---- flows that ended */

static void count(struct report *r, const struct flow *f)
{
    r->flows++;
    r->fine += verdict_is_success(f->verdict);
    r->open += f->verdict == VERDICT_OPEN;
    if (f->duration_ns > r->longest_ns)
        r->longest_ns = f->duration_ns;
}

static void on_mtu(void *owner, unsigned url, const struct check_mtu *m)
{
    struct report *r = owner;

    r->mtu = *m;
    (void)url;
}

static void on_flow(void *owner, unsigned url, struct flow *f)
{
    struct report *r = owner;
    struct buf b;

    count(r, f);
    if (r->args->json)
        check_mtu_note(&r->mtu, f);
    buf_init(&b, OUTPUT_MAX);
    erase(r);
    if (r->args->json)
        render_json(&b, f);
    else if (r->args->urls_len > 1)
        check_report_row(&b, f, r->colour);
    else
        check_report_flow(&b, r->args, f, r->colour);
    if (r->mtu.len && !r->args->json)
        check_report_mtu(&b, &r->mtu, f);
    r->mtu.len = 0;
    if (r->flows > 1 && !r->args->json && r->args->urls_len == 1)
        fputc('\n', r->out);
    print(r, &b);
    (void)url;
}

static void on_done(void *owner, unsigned done, unsigned len)
{
    struct report *r = owner;

    if (r->progress)
        fprintf(stderr, "\r%u of %u URLs done\x1b[K%s", done, len, done == len ? "\r\x1b[K" : "");
}

/* ---- the runs */

static int verdict_status(const struct report *r)
{
    return interrupted || r->fine < r->flows ? EXIT_VERDICT : EXIT_OK;
}

static int run_plain(struct check_args *a, struct report *r)
{
    struct err err;
    struct buf b;

    r->screen = r->screen && !a->json && a->urls_len == 1;
    r->progress = is_terminal(STDERR_FILENO) && a->urls_len > 1;
    if (!check_run(&a->options, (const char *const *)a->urls, a->urls_len, &stop, &err)) {
        fprintf(stderr, "viaduct check: %s\n", err.text);
        return EXIT_USAGE;
    }
    if (a->urls_len > 1 && !a->json) {
        buf_init(&b, OUTPUT_MAX);
        check_report_sum(&b, r->flows, r->fine - r->open, r->open, r->longest_ns);
        print(r, &b);
    }
    return verdict_status(r);
}

/* The same, with a body that goes to a file.  Nothing is asked of anybody before it is known that
 * it can be written. */
static int run_download(struct check_args *a, struct report *r)
{
    bool to_stdout = strcmp(a->output, "-") == 0;
    struct download d;
    struct err err;
    bool is_part;
    int status;

    if (!download_open(&d, a->output, a->resume, &err)) {
        fprintf(stderr, "viaduct check: cannot write %s\n", err.text);
        return EXIT_SYSTEM;
    }
    a->options.download = &d;
    if (to_stdout) {
        r->out = stderr;
        r->screen = false;
        r->colour = wants_colour(STDERR_FILENO);
    }
    r->bytes.on = !a->json && is_terminal(STDERR_FILENO) && !(to_stdout && isatty(STDOUT_FILENO));
    status = run_plain(a, r);
    check_progress_clear(&r->bytes);
    is_part = d.begun && !d.whole;
    if (!download_close(&d, &err)) {
        fprintf(stderr, "viaduct check: cannot write %s\n", err.text);
        return EXIT_SYSTEM;
    }
    /* a flow that was going well when time was over is no failure; half a file is none of success
     */
    return is_part && status == EXIT_OK ? EXIT_VERDICT : status;
}

/* One way of several: the flows of the URLs, the last of each. */
struct way {
    struct report *report;
    struct flow *flows;
};

static void keep_flow(void *owner, unsigned url, struct flow *f)
{
    struct way *w = owner;

    flow_fini(&w->flows[url]);
    w->flows[url] = *f;
    *f = (struct flow){0};
}

#define WAYS_MAX 3

/* Whether the URL was gone to on all ways: stopped by the user, the last ones never begin. */
static bool was_begun(const struct way *ways, unsigned len, unsigned url)
{
    for (unsigned i = 0; i < len; i++)
        if (!ways[i].flows[url].ended)
            return false;
    return true;
}

/* Direct, through the proxy, and through the upstream settings where those are another one: the
 * parent of a proxy on this machine. */
static unsigned find_ways(struct check_args *a, struct check_args ways[WAYS_MAX])
{
    unsigned n = 0;

    ways[n] = *a;
    ways[n].options.proxy = NULL;
    snprintf(ways[n++].proxy_text, sizeof ways[0].proxy_text, "direct");
    if (a->options.proxy) {
        ways[n] = *a;
        ways[n].options.proxy = &ways[n].proxy;
        n++;
    }
    if (check_args_take_parent(a, &ways[n]))
        n++;
    return n;
}

static int compare(struct check_args *a, struct report *r)
{
    struct check_args ways[WAYS_MAX] = {0};
    struct way runs[WAYS_MAX] = {0};
    unsigned n = find_ways(a, ways);
    struct err err;
    int status = EXIT_OK;

    if (n < 2) {
        fputs("viaduct check: --compare: there is no proxy to compare with: -x names one, or the "
              "upstream settings of -c\n",
              stderr);
        return EXIT_USAGE;
    }
    for (unsigned i = 0; i < n && status == EXIT_OK; i++) {
        runs[i].flows = calloc(a->urls_len, sizeof(struct flow));
        ways[i].options.owner = &runs[i];
        ways[i].options.on_flow = keep_flow;
        ways[i].options.on_phase = NULL;
        ways[i].options.on_bytes = NULL; /* these know a report as their owner */
        ways[i].options.on_done = NULL;
        if (!runs[i].flows ||
            !check_run(&ways[i].options, (const char *const *)a->urls, a->urls_len, &stop, &err)) {
            fprintf(stderr, "viaduct check: %s\n", runs[i].flows ? err.text : "out of memory");
            status = EXIT_USAGE;
        }
    }
    for (unsigned u = 0; u < a->urls_len && status == EXIT_OK; u++) {
        struct check_way shown[WAYS_MAX];
        struct buf b;

        if (!was_begun(runs, n, u))
            continue;
        buf_init(&b, OUTPUT_MAX);
        for (unsigned i = 0; i < n; i++) {
            shown[i] = (struct check_way){ways[i].proxy_text, &runs[i].flows[u]};
            if (a->json)
                render_json(&b, shown[i].flow);
        }
        count(r, shown[a->options.proxy ? 1 : 0].flow);
        if (!a->json && check_compare_write(&b, shown, n, r->colour))
            check_compare_write_ways(&b, ways, shown, n, r->colour);
        print(r, &b);
    }
    for (unsigned i = 0; i < n; i++) {
        for (unsigned u = 0; runs[i].flows && u < a->urls_len; u++)
            flow_fini(&runs[i].flows[u]);
        free(runs[i].flows);
    }
    return status == EXIT_OK ? verdict_status(r) : status;
}

/* A fault of this machine, not of the way. */
static int fail(const struct err *err)
{
    fprintf(stderr, "viaduct check: %s\n", err->text);
    return EXIT_SYSTEM;
}

static int check_command(int argc, char **argv)
{
    struct check_args a = {0};
    struct report r = {.args = &a,
                       .out = stdout,
                       .colour = wants_colour(STDOUT_FILENO),
                       .screen = is_terminal(STDOUT_FILENO)};
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESETHAND};
    struct capture capture;
    struct err err;
    int status = check_args_parse(&a, argc, argv);

    if (status == EXIT_OK && (a.pcap || a.keylog)) {
        if (capture_open(&capture, a.pcap, a.keylog, clock_mono_ns(), clock_wall_ns(), &err))
            a.options.capture = &capture;
        else
            status = fail(&err);
    }
    if (status == EXIT_OK) {
        sigaction(SIGINT, &action, NULL);
        sigaction(SIGTERM, &action, NULL);
        signal(SIGPIPE, SIG_IGN);
        signal(SIGXFSZ, SIG_IGN); /* a file too large is told like a full disk */
        a.options.owner = &r;
        a.options.on_flow = on_flow;
        a.options.on_mtu = on_mtu;
        a.options.on_phase = on_phase;
        a.options.on_bytes = on_bytes;
        a.options.on_done = on_done;
        status = a.compare ? compare(&a, &r) : a.output ? run_download(&a, &r) : run_plain(&a, &r);
    }
    if (a.options.capture && !capture_close(&capture, &err))
        status = fail(&err);
    check_args_fini(&a);
    return status;
}

const struct command cmd_check = {
    .name = "check",
    .synopsis =
        "[-x PROXY] [-U USER] [--digest | --basic] [-L] [-o FILE] [-C -] [--mtu | --compare] "
        "[-k] [-m SECONDS] [-f LIST] [--json] URL...",
    .summary = "go the way to URLs phase by phase and explain what is met",
    .help =
        "  -x, --proxy PROXY       http://HOST:PORT, https://HOST:PORT or direct (default: the\n"
        "                          upstream settings of this machine)\n"
        "  -U, --proxy-user USER   log in at the proxy; the password is asked for\n"
        "      --digest, --basic   with this scheme only (default: the strongest one offered)\n"
        "  -L, --location          follow redirects, each as a flow of its own\n"
        "  -o, --output FILE       save the body of the one URL there (-: standard output; the\n"
        "                          report goes to standard error then); a transfer that is cut\n"
        "                          is tried once more, and what came is kept\n"
        "  -C, --continue-at -     go on where FILE ends, if it is still of the same version\n"
        "      --mtu               how large a segment passes, on each leg and in each direction\n"
        "      --compare           direct, through the proxy and through its parent, side by side\n"
        "      --pcap OUT          the check's own packets as pcapng\n"
        "      --keylog FILE       its TLS secrets, also inside the capture\n"
        "  -k, --insecure          go on where a certificate does not verify\n"
        "      --cacert FILE       trust these certificates for targets, not the system's\n"
        "      --proxy-cacert FILE the same for an https:// proxy\n"
        "  -m, --max-time SECONDS  for each URL, a body that -o saves included (default: 30)\n"
        "  -f, --file LIST         URLs, one a line (-: standard input)\n"
        "  -c, --config FILE       whose upstream settings are meant\n"
        "      --json              a flow a line\n"
        "      --events            the same, and each flow whenever another phase of it begins\n",
    .run = check_command,
};
