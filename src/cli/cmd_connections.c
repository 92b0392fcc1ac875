/* cli/cmd_connections.c - `viaduct connections`: who is connected to the proxy, and how well; and
 * what the proxy that runs here is doing. */
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
#include "cli/control.h"
#include "cli/own_flows.h"
#include "config/config.h"
#include "host/owners.h"
#include "render/escape.h"

#define OUTPUT_MAX (256u << 20)

/* Whose connections are shown. */
struct selection {
    bool all;
    char name[320];              /* "10.10.10.1:80", as the settings say it */
    struct endpoint proxies[32]; /* its addresses */
    unsigned proxies_len;
    bool none; /* no upstream proxy is set: flows only */
};

struct view {
    struct selection of;
    bool watch, json;
    bool colour, screen; /* screen: redrawn in place */
    bool asks;           /* a proxy runs here, or did, whose flows are shown, too */
    bool every;          /* of its flows, not the youngest hundred only */
    char socket[CONTROL_PATH_MAX];
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

/* Looks for a proxy that runs here; one that a file was named for has to run by that file. */
static void find_own(struct view *v, const char *file)
{
    struct control_instance instance;
    struct err err;

    control_find(v->socket);
    switch (control_learn(v->socket, &instance, &err)) {
    case CONTROL_OK:
        v->asks = !file || control_is_same_file(file, instance.config);
        break;
    case CONTROL_NOBODY:
        break;
    case CONTROL_DENIED:
    case CONTROL_FAILED:
        fprintf(stderr, "viaduct connections: %s; its flows are not shown\n", err.text);
        break;
    }
}

/* Learns from the configuration which proxy is meant.  Without one, the flows of the proxy that
 * runs here are enough. */
static int select_proxy(struct view *v, const char *file)
{
    struct selection *s = &v->of;
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
    s->none = !c->upstream.present || !c->upstream.enabled;
    if (s->none && v->asks)
        status = EXIT_OK;
    else if (s->none)
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

/* What is shown at one time. */
struct picture {
    struct sockets sockets;
    struct own_flows flows;
    struct err trouble; /* why there are no flows; "": there are */
};

/* Both tables share the screen: each has half of it, and what the other leaves. */
static void share_rows(const struct view *v, const struct picture *now, size_t *sockets,
                       size_t *flows)
{
    size_t rows = count_rows(v), half;

    *sockets = *flows = rows;
    if (rows == SIZE_MAX || !v->asks || v->of.none)
        return;
    rows = rows > 4 ? rows - 4 : 1; /* the second title and its heading, and how many more */
    half = rows / 2;
    *sockets = now->flows.len < half ? rows - now->flows.len : rows - half;
    *flows = now->sockets.len < *sockets ? rows - now->sockets.len : half;
}

static void write_text(struct pen *p, const struct view *v, const struct picture *now)
{
    const struct sockets *s = &now->sockets;
    size_t rows, flows;

    share_rows(v, now, &rows, &flows);
    pen_text(p, v->screen ? "\x1b[H\x1b[2J" : "");
    if (v->of.none) {
        pen_text(p, "no upstream proxy is in use");
    } else {
        pen_text(p, s->len > 0 ? "" : "no ");
        pen_text(p, v->of.all ? "TCP connections" : "connections to ");
        pen_text(p, v->of.name);
    }
    pen_text(p, v->screen ? " (every second; q ends)\n" : "\n");
    if (s->len > 0)
        connections_write_table(p, s, rows, v->colour);
    if (now->flows.is_known)
        own_flows_write_table(p, &now->flows, flows, v->colour);
    else if (*now->trouble.text) {
        pen_text(p, "(the proxy's flows are not shown: ");
        escape_text(p, span_of(now->trouble.text));
        pen_text(p, ")\n");
    }
    if (v->watch && !v->screen)
        pen_char(p, '\n');
}

static void write_json(struct pen *p, const struct picture *now)
{
    uint64_t wall_ns = clock_wall_ns();

    if (*now->trouble.text)
        fprintf(stderr, "viaduct connections: the proxy's flows are not shown: %s\n",
                now->trouble.text);
    connections_write_json(p, &now->sockets, wall_ns);
    own_flows_write_json(p, &now->flows, wall_ns);
}

/* Nothing half is written. */
static int print(const struct view *v, const struct picture *now)
{
    struct buf out;
    struct pen p;
    bool whole;

    buf_init(&out, OUTPUT_MAX);
    pen_init_draft(&p, &out);
    if (v->json)
        write_json(&p, now);
    else
        write_text(&p, v, now);
    whole = pen_end_draft(&p, &out);
    if (whole)
        fwrite(buf_span(&out).ptr, 1, out.len, stdout);
    else
        fprintf(stderr, "viaduct connections: out of memory for %zu connections\n",
                now->sockets.len + now->flows.len);
    buf_fini(&out);
    return whole ? EXIT_OK : EXIT_SYSTEM;
}

/* Reads all connections and flows and shows them once. */
static int show(const struct view *v)
{
    struct picture now = {0};
    int status = EXIT_SYSTEM;
    struct err err;

    if (v->asks)
        own_flows_read(&now.flows, v->socket, v->every, &now.trouble);
    if (!v->of.none && !sockets_read(&now.sockets, is_selected, &v->of, &err)) {
        fprintf(stderr, "viaduct connections: %s\n", err.text);
    } else {
        owners_find(&now.sockets);
        status = print(v, &now);
    }
    own_flows_fini(&now.flows);
    sockets_fini(&now.sockets);
    return status;
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
    v.every = v.of.all && !v.watch; /* not every second: each page costs the workers a look */
    find_own(&v, file);
    int status = v.of.all ? EXIT_OK : select_proxy(&v, file);
    if (status != EXIT_OK)
        return status;
    return v.watch ? watch(&v) : show(&v);
}

const struct command cmd_connections = {
    .name = "connections",
    .synopsis = "[-c FILE] [--all] [--watch] [--json]",
    .summary =
        "show the live TCP connections to the upstream proxy, and the flows of the proxy here",
    .help = "-c FILE       instead of /etc/viaduct/viaduct.conf, which names the upstream "
            "settings; flows\n"
            "              are those of the proxy that runs by this file\n"
            "--all         every live TCP connection, whatever its peer, with no configuration "
            "read; and\n"
            "              every flow, not the youngest hundred (which --watch keeps to)\n"
            "--watch       again every second, until Ctrl-C or, on a terminal, q\n"
            "--json        one object a line\n",
    .run = connections_run,
};
