/* cli/cmd_connections.c - `viaduct connections`: who is connected to the proxy, and how well. */
#include <errno.h>
#include <getopt.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/util.h"
#include "cli/command.h"
#include "cli/connections.h"
#include "config/config.h"
#include "host/owners.h"

#define OUTPUT_MAX (256u << 20)

/* Whose connections are shown. */
struct selection {
    bool all;
    char name[320];              /* "10.10.10.1:80", as the settings say it */
    struct endpoint proxies[32]; /* its addresses */
    unsigned proxies_len;
};

struct view {
    struct selection of;
    bool watch, json;
    bool colour, screen; /* screen: redrawn in place */
};

static bool is_selected(const struct sockets_entry *e, const void *context)
{
    const struct selection *s = context;

    for (unsigned i = 0; i < s->proxies_len; i++) {
        if (e->peer.port == s->proxies[i].port && addr_is_equal(&e->peer.addr, &s->proxies[i].addr))
            return true;
    }
    return s->all;
}

/* An address as it is; a name as this machine's programs resolve it. */
static bool resolve(struct selection *s, const struct config_upstream *u)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list = NULL;
    int failed = getaddrinfo(u->host, NULL, &hints, &list);
    const char *why = failed == EAI_SYSTEM ? strerror(errno) : gai_strerror(failed);

    if (failed) {
        fprintf(stderr, "viaduct connections: the proxy's name \"%s\" does not resolve: %s\n",
                u->host, why);
        return false;
    }
    for (struct addrinfo *i = list; i && s->proxies_len < ARRAY_LEN(s->proxies); i = i->ai_next) {
        struct endpoint *e = &s->proxies[s->proxies_len++];

        endpoint_from_sockaddr(e, i->ai_addr);
        e->port = u->port;
    }
    freeaddrinfo(list);
    snprintf(s->name, sizeof s->name, strchr(u->host, ':') ? "[%s]:%u" : "%s:%u", u->host, u->port);
    return true;
}

static int refuse_without_proxy(const struct config *c)
{
    const char *file = c->upstream_file ? c->upstream_file : "the settings";

    if (c->upstream.present)
        fprintf(stderr, "viaduct connections: the upstream proxy in %s is switched off", file);
    else
        fprintf(stderr, "viaduct connections: no upstream proxy is set (%s)", file);
    fputs("; --all shows every TCP connection\n", stderr);
    return EXIT_USAGE;
}

/* Learns from the configuration which proxy is meant. */
static int select_proxy(struct selection *s, const char *file)
{
    struct config_report report = {0};
    struct config *c = config_load(file ? file : config_default_path(), NULL, &report);
    int status = EXIT_OK;

    for (unsigned i = 0; !c && i < report.len; i++) {
        if (!report.items[i].warning)
            fprintf(stderr, "%s\n", report.items[i].text);
    }
    config_report_fini(&report);
    if (!c)
        return EXIT_USAGE;
    if (!c->upstream.present || !c->upstream.enabled)
        status = refuse_without_proxy(c);
    else if (!resolve(s, &c->upstream))
        status = EXIT_SYSTEM;
    config_unref(c);
    return status;
}

/* Lines that fit below the title, with one left for "… and N more" and one for the cursor. */
static size_t count_rows(const struct view *v)
{
    struct winsize size;

    if (!v->screen || ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_row == 0)
        return SIZE_MAX;
    return size.ws_row > 7 ? size.ws_row - 6u : 1;
}

static void write_text(struct pen *p, const struct view *v, const struct sockets *s)
{
    pen_text(p, v->screen ? "\x1b[H\x1b[2J" : "");
    pen_text(p, s->len > 0 ? "" : "no ");
    pen_text(p, v->of.all ? "TCP connections" : "connections to ");
    pen_text(p, v->of.name);
    pen_text(p, v->screen ? " (every second; q ends)\n" : "\n");
    if (s->len > 0)
        connections_write_table(p, s, count_rows(v), v->colour);
    if (v->watch && !v->screen)
        pen_char(p, '\n');
}

/* Reads all connections and shows them once; nothing half is written. */
static int show(const struct view *v)
{
    struct sockets s = {0};
    struct buf out;
    struct pen p;
    struct err err;

    if (!sockets_read(&s, is_selected, &v->of, &err)) {
        fprintf(stderr, "viaduct connections: %s\n", err.text);
        return EXIT_SYSTEM;
    }
    owners_find(&s);
    buf_init(&out, OUTPUT_MAX);
    pen_init_draft(&p, &out);
    if (v->json)
        connections_write_json(&p, &s, clock_wall_ns());
    else
        write_text(&p, v, &s);
    bool whole = pen_end_draft(&p, &out);
    if (whole)
        fwrite(buf_span(&out).ptr, 1, out.len, stdout);
    else
        fprintf(stderr, "viaduct connections: out of memory for %zu connections\n", s.len);
    buf_fini(&out);
    sockets_fini(&s);
    return whole ? EXIT_OK : EXIT_SYSTEM;
}

/* Whether to end: waits a second for Ctrl-C or, on a terminal, for `q`. */
static bool wait_for_end(int signals, bool keys)
{
    struct pollfd fds[] = {{.fd = signals, .events = POLLIN},
                           {.fd = keys ? STDIN_FILENO : -1, .events = POLLIN}};
    char key = 0;

    if (poll(fds, ARRAY_LEN(fds), 1000) <= 0)
        return false;
    if (fds[0].revents)
        return true;
    return read(STDIN_FILENO, &key, 1) <= 0 || key == 'q';
}

static int watch_loop(const struct view *v, int signals, bool keys)
{
    int status;

    do
        status = show(v);
    while (status == EXIT_OK && fflush(stdout) == 0 && !wait_for_end(signals, keys));
    return status;
}

/* Keys come one by one and are not shown; a stopped program would leave the screen so. */
static bool take_keys(struct termios *before)
{
    struct termios t;

    if (tcgetpgrp(STDIN_FILENO) != getpgrp() || tcgetattr(STDIN_FILENO, before) < 0)
        return false;
    t = *before;
    t.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    t.c_cc[VSUSP] = _POSIX_VDISABLE;
    return tcsetattr(STDIN_FILENO, TCSANOW, &t) == 0;
}

/* Shows again every second until a signal or `q`; the terminal is left as it was found. */
static int watch(struct view *v)
{
    struct termios before;
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    sigprocmask(SIG_BLOCK, &set, NULL);
    int signals = signalfd(-1, &set, SFD_CLOEXEC);
    if (signals < 0) {
        fprintf(stderr, "viaduct connections: cannot wait for signals: %s\n", strerror(errno));
        return EXIT_SYSTEM;
    }
    bool keys = v->screen && take_keys(&before);
    if (v->screen)
        fputs("\x1b[?1049h\x1b[?7l", stdout); /* a screen of its own, long lines cut */
    int status = watch_loop(v, signals, keys);
    if (v->screen)
        fputs("\x1b[?7h\x1b[?1049l", stdout);
    if (keys)
        tcsetattr(STDIN_FILENO, TCSANOW, &before);
    close(signals);
    return status;
}

static int connections_run(int argc, char **argv)
{
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'},
        {"all", no_argument, NULL, 'a'},
        {"watch", no_argument, NULL, 'w'},
        {"json", no_argument, NULL, 'j'},
        {NULL, 0, NULL, 0},
    };
    struct view v = {0};
    const char *file = NULL, *no_color = getenv("NO_COLOR");
    int option;

    optind = 1;
    opterr = 0;
    while ((option = getopt_long(argc, argv, "c:", options, NULL)) >= 0) {
        switch (option) {
        case 'c':
            file = optarg;
            break;
        case 'a':
            v.of.all = true;
            break;
        case 'w':
            v.watch = true;
            break;
        case 'j':
            v.json = true;
            break;
        default:
            return command_usage_error(&cmd_connections,
                                       "\"%s\": no such option, or its value is missing",
                                       argv[optind - 1]);
        }
    }
    if (optind != argc)
        return command_usage_error(&cmd_connections, "\"%s\": takes options only", argv[optind]);
    v.screen = v.watch && !v.json && isatty(STDOUT_FILENO);
    v.colour = isatty(STDOUT_FILENO) && !(no_color && *no_color);
    int status = v.of.all ? EXIT_OK : select_proxy(&v.of, file);
    if (status != EXIT_OK)
        return status;
    return v.watch ? watch(&v) : show(&v);
}

const struct command cmd_connections = {
    .name = "connections",
    .synopsis = "[-c FILE] [--all] [--watch] [--json]",
    .summary = "show the live TCP connections of this machine's programs to the upstream proxy",
    .help =
        "-c FILE       instead of /etc/viaduct/viaduct.conf, which names the upstream settings\n"
        "--all         every live TCP connection, whatever its peer; no configuration is read\n"
        "--watch       again every second, until Ctrl-C or, on a terminal, q\n"
        "--json        one object a line\n",
    .run = connections_run,
};
