/* One thread runs both daemons of libmicrohttpd (the TCP listener's and the control socket's) in a
 * loop of ours: their epoll descriptors, a wake-up, and what handlers watch.  Streams of events are
 * looked at once a second; between two looks their connections are suspended (exchange.c). */
#include "console/console.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <microhttpd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/util.h"
#include "console/admins.h"
#include "console/audit.h"
#include "console/guard.h"
#include "console/health.h"
#include "console/internal.h"
#include "console/jobs.h"
#include "console/listen.h"
#include "console/sessions.h"

#define TICK_NS NS_PER_S
#define CONNECTIONS_MAX 512
#define ROOM 480               /* beyond, a connection is hung up on for each new one (crowd.h) */
#define PATIENCE_S 30          /* with a client that says nothing, or takes nothing */
#define HEAD_BYTES (32 * 1024) /* of a request's head */

/* --- the loop --------------------------------------------------------------------------------- */

static void tick_streams(struct console *c)
{
    for (struct stream *s = c->streams; s; s = s->next) {
        if (s->over)
            continue;
        s->over = (*s->csrf && !guard_goes_on(c, s->csrf)) ||
                  !s->events.tick(s->events.owner, &s->out, c->now_ns);
        if (s->out.len == 0 && !s->over)
            buf_append(&s->out, ":\n\n", 3); /* so that one whose reader left is noticed */
        exchange_resume(s);
    }
}

static int wait_ms(const struct console *c)
{
    uint64_t ms = c->tick_ns > c->now_ns ? (c->tick_ns - c->now_ns) / NS_PER_MS + 1 : 0;
    MHD_UNSIGNED_LONG_LONG its;

    if (c->web && MHD_get_timeout(c->web, &its) == MHD_YES && its < ms)
        ms = its;
    if (c->control && MHD_get_timeout(c->control, &its) == MHD_YES && its < ms)
        ms = its;
    return (int)ms;
}

static int epoll_of(struct MHD_Daemon *d)
{
    const union MHD_DaemonInfo *info = d ? MHD_get_daemon_info(d, MHD_DAEMON_INFO_EPOLL_FD) : NULL;

    return info ? info->epoll_fd : -1;
}

static void run_watches(struct console *c, const struct pollfd *fds, unsigned len)
{
    for (unsigned i = 0; i < len; i++)
        for (unsigned k = 0; fds[i].revents && k < CONSOLE_WATCHES; k++)
            if (c->watches[k].fd == fds[i].fd) {
                c->watches[k].ready(c->watches[k].owner);
                break;
            }
}

static void turn(struct console *c)
{
    struct pollfd fds[3 + CONSOLE_WATCHES] = {
        {c->wake_fd, POLLIN, 0}, {epoll_of(c->web), POLLIN, 0}, {epoll_of(c->control), POLLIN, 0}};
    unsigned len = 3;
    eventfd_t n;

    for (unsigned i = 0; i < CONSOLE_WATCHES; i++)
        if (c->watches[i].fd >= 0)
            fds[len++] = (struct pollfd){c->watches[i].fd, POLLIN, 0};
    poll(fds, len, wait_ms(c));
    c->now_ns = clock_mono_ns();
    if (fds[0].revents)
        eventfd_read(c->wake_fd, &n);
    run_watches(c, fds + 3, len - 3);
    if (c->now_ns >= c->tick_ns || c->woken) {
        c->woken = false;
        if (c->now_ns >= c->tick_ns)
            c->tick_ns = c->now_ns + TICK_NS;
        crowd_tick(&c->guests, c->now_ns);
        crowd_tick(&c->local_guests, c->now_ns);
        tick_streams(c);
    }
    if (c->web)
        MHD_run(c->web);
    if (c->control)
        MHD_run(c->control);
}

static void *run(void *arg)
{
    struct console *c = arg;

    while (!atomic_load(&c->stopping))
        turn(c);
    for (struct stream *s = c->streams; s; s = s->next) {
        s->over = true;
        exchange_resume(s);
    }
    return NULL;
}

/* --- start and stop --------------------------------------------------------------------------- */

static void log_mhd(void *cls, const char *fmt, va_list ap)
{
    char text[512];
    int n = vsnprintf(text, sizeof text, fmt, ap);

    (void)cls;
    if (n > 0)
        log_debug("console: %.*s", (int)strcspn(text, "\n"), text);
}

static struct MHD_Daemon *start_daemon(struct console *c, int fd, const struct listen_tls *tls)
{
    struct MHD_OptionItem with_tls[] = {
        {MHD_OPTION_HTTPS_MEM_CERT, 0, tls ? tls->certificate : NULL},
        {MHD_OPTION_HTTPS_MEM_KEY, 0, tls ? tls->key : NULL},
        {MHD_OPTION_END, 0, NULL}};
    struct MHD_OptionItem without[] = {{MHD_OPTION_END, 0, NULL}};
    unsigned flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG |
                     (tls ? (unsigned)MHD_USE_TLS : 0u);
    bool local = fd == c->control_fd;

    return MHD_start_daemon(
        flags, 0, NULL, NULL, local ? exchange_serve_control : exchange_serve_web, c,
        MHD_OPTION_EXTERNAL_LOGGER, log_mhd, NULL, MHD_OPTION_LISTEN_SOCKET, fd,
        MHD_OPTION_NOTIFY_CONNECTION, local ? exchange_note_control : exchange_note_web, c,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX, MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned)PATIENCE_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HEAD_BYTES,
        MHD_OPTION_NOTIFY_COMPLETED, exchange_complete, c, MHD_OPTION_ARRAY,
        tls ? with_tls : without, MHD_OPTION_END);
}

static bool start_web(struct console *c, const struct config *config, struct err *err)
{
    struct listen_tls tls = {0};
    int fd;

    if (!config->console.on)
        return true;
    if (!listen_load_tls(&config->console, &tls, err))
        return false;
    fd = listen_tcp(&config->console.listen, err);
    if (fd < 0 && !config->console.present) {
        log_warning("console: %s; going on without it", err->text);
        return true;
    }
    if (fd >= 0)
        c->web = start_daemon(c, fd, tls.certificate ? &tls : NULL);
    if (fd >= 0 && !c->web) {
        err_set(err, "the console cannot be started%s",
                tls.certificate ? ": are tls-certificate and tls-key a pair?" : "");
        close(fd);
    }
    guard_init(&c->guard, &config->console, fd, tls.certificate != NULL);
    listen_free_tls(&tls);
    return c->web != NULL;
}

/* Without its socket the commands read the files, so it is no reason not to start. */
static void start_control(struct console *c, const struct config *config)
{
    struct err err;

    snprintf(c->control_path, sizeof c->control_path, "%s", config->control);
    c->control_fd = listen_control(config->control, &err);
    if (c->control_fd < 0) {
        log_warning("control socket: %s; going on without it", err.text);
        return;
    }
    c->control = start_daemon(c, c->control_fd, NULL);
    if (!c->control) {
        close(c->control_fd);
        c->control_fd = -1;
    }
}

static void tell_link(struct console *c)
{
    char token[ADMINS_TOKEN_HEX + 1], url[512];
    struct err err;
    int n = admins_count(c->admins, &err);

    if (n < 0)
        log_warning("console: nobody can log in: %s", err.text);
    if (!c->web)
        return;
    guard_write_url(&c->guard, url, sizeof url);
    if (n != 0) {
        log_info("console on %s", url);
        return;
    }
    admins_make_link(c->admins, clock_mono_ns(), token);
    log_info(
        "console on %s: its first administrator is made by this link, once, within 15 minutes:",
        url);
    log_info("  %s#setup=%s", url, token);
}

static bool init(struct console *c, const struct config *config, struct err *err)
{
    char audit[4096];

    for (unsigned i = 0; i < CONSOLE_WATCHES; i++)
        c->watches[i].fd = -1;
    guard_learn_account(&c->guard);
    c->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    c->admins = admins_new(config->console.admins);
    c->sessions = calloc(1, sizeof *c->sessions);
    listen_path_beside(config->nonce_key, "audit.log", audit, sizeof audit);
    c->audit = audit_new(audit);
    c->health = health_new(&c->options.door);
    c->jobs = jobs_new(c);
    if (!started_take(&c->at_start, config) || !c->jobs || c->wake_fd < 0 || !c->admins ||
        !c->sessions || !c->audit || !c->health) {
        err_set(err, "out of memory or descriptors");
        return false;
    }
    c->sessions->idle_ns = config->console.session_idle_ns;
    c->sessions->lifetime_ns = config->console.session_lifetime_ns;
    return true;
}

static bool start(struct console *c, struct err *err)
{
    struct config *config = c->options.door.config(c->options.door.owner);
    bool ok = init(c, config, err) && start_web(c, config, err);
    int failed;

    if (ok)
        start_control(c, config);
    config_unref(config);
    if (!ok)
        return false;
    tell_link(c);
    c->now_ns = clock_mono_ns();
    failed = pthread_create(&c->thread, NULL, run, c);
    c->has_thread = failed == 0;
    if (failed)
        err_set(err, "cannot make a thread: %s", strerror(failed));
    else
        pthread_setname_np(c->thread, "console");
    return c->has_thread;
}

bool console_start(const struct console_options *o, struct console **out, struct err *err)
{
    struct console *c = calloc(1, sizeof *c);

    *out = NULL;
    if (!c) {
        err_set(err, "out of memory");
        return false;
    }
    c->options = *o;
    c->control_fd = c->wake_fd = -1;
    c->guests.room = c->local_guests.room = ROOM;
    if (!start(c, err)) {
        console_stop(c);
        return false;
    }
    *out = c;
    return true;
}

void console_stop(struct console *c)
{
    if (!c)
        return;
    atomic_store(&c->stopping, true);
    if (c->wake_fd >= 0)
        eventfd_write(c->wake_fd, 1);
    if (c->has_thread)
        pthread_join(c->thread, NULL);
    if (c->web)
        MHD_stop_daemon(c->web);
    if (c->control)
        MHD_stop_daemon(c->control);
    if (c->control_fd >= 0)
        unlink(c->control_path);
    if (c->wake_fd >= 0)
        close(c->wake_fd);
    guard_fini(&c->guard);
    admins_free(c->admins);
    audit_free(c->audit);
    health_free(c->health);
    started_fini(&c->at_start);
    jobs_free(c->jobs);
    if (c->sessions)
        explicit_bzero(c->sessions, sizeof *c->sessions);
    free(c->sessions);
    free(c);
}

/* --- for the console's own files -------------------------------------------------------------- */

const struct console_options *console_get_options(const struct console *c)
{
    return &c->options;
}

struct admins *console_get_admins(struct console *c)
{
    return c->admins;
}

struct sessions *console_get_sessions(struct console *c)
{
    return c->sessions;
}

struct audit *console_get_audit(struct console *c)
{
    return c->audit;
}

struct guard *console_get_guard(struct console *c)
{
    return &c->guard;
}

struct health *console_get_health(struct console *c)
{
    return c->health;
}

const struct started *console_get_started(const struct console *c)
{
    return &c->at_start;
}

struct jobs *console_get_jobs(struct console *c)
{
    return c->jobs;
}

uint64_t console_now_ns(const struct console *c)
{
    return c->now_ns;
}

bool console_watch(struct console *c, int fd, void (*ready)(void *owner), void *owner)
{
    for (unsigned i = 0; i < CONSOLE_WATCHES; i++)
        if (c->watches[i].fd < 0) {
            c->watches[i] = (struct watch){fd, ready, owner};
            return true;
        }
    return false;
}

void console_unwatch(struct console *c, int fd)
{
    for (unsigned i = 0; i < CONSOLE_WATCHES; i++)
        if (c->watches[i].fd == fd)
            c->watches[i].fd = -1;
}

void console_wake_streams(struct console *c)
{
    c->woken = true;
}
