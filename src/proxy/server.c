#include "proxy/server.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/num.h"
#include "config/started.h"
#include "net/tls.h"
#include "policy/attempts.h"
#include "proxy/accounts_watch.h"
#include "proxy/addresses.h"
#include "proxy/door.h"
#include "proxy/hop.h"
#include "proxy/listeners.h"
#include "proxy/mail.h"
#include "proxy/nonce_key.h"
#include "proxy/notify.h"
#include "proxy/passwords.h"
#include "proxy/process.h"
#include "proxy/recorder.h"
#include "proxy/worker.h"

#define DRAIN_LOOK_MS 20
#define NONCES 8192 /* that are told apart at a time: 88 bytes each, once they are used */

struct server {
    const struct server_options *options;
    struct config *config;
    struct started at_start; /* of the first configuration */
    struct proxy_shared shared;
    struct listeners listeners;
    struct tls_context *parent_tls; /* at the start; the workers have it from then on */
    struct accounts_watch watch;
    struct accounts *accounts; /* the snapshot in force; NULL: without `authentication` */
    char *nonce_key;           /* its file; what the first configuration said, as root */
    unsigned inherited;        /* listening sockets that came from the service manager */
    unsigned started;          /* worker threads */
    int signal_fd, address_fd;
    uint64_t watchdog_ns, feed_ns; /* its time; when to feed it next */
    uint64_t *last_beats;
    bool draining, stop;
    uint64_t drain_end_ns;
    struct door door;
    bool has_company;
};

/* ---- who may log in */

/* What all logins need, made when the first configuration asks for them.  A worker learns of it by
 * the accounts that are mailed afterwards. */
static bool prepare_logins(struct server *s, struct err *err)
{
    unsigned char key[NONCE_KEY_LEN];

    if (!s->shared.nonces) {
        uint64_t now_ns = clock_wall_ns();

        nonce_key_read(s->nonce_key, key);
        s->shared.nonces_ahead_ns = now_ns - clock_mono_ns();
        s->shared.nonces = nonce_table_new(key, NONCES, now_ns / NS_PER_MS);
        explicit_bzero(key, sizeof key);
    }
    if (!s->shared.attempts)
        s->shared.attempts = attempts_new();
    if (!s->shared.nonces || !s->shared.attempts)
        err_set(err, "out of memory");
    return s->shared.nonces && s->shared.attempts;
}

/* The thread for slow hashes, once some account has one: after the workers were made. */
static bool prepare_passwords(struct server *s, const struct accounts *accounts, struct err *err)
{
    if (!accounts || s->shared.passwords || !accounts_has_hash(accounts))
        return true;
    s->shared.passwords = passwords_new(s->shared.workers, s->shared.workers_len, err);
    return s->shared.passwords != NULL;
}

/* Digests are of one realm: they are of no use where clients are told another one. */
static void warn_of_realms(const struct accounts *accounts, const struct config *c)
{
    const struct config_authentication *t = &c->authentication;
    unsigned n = 0;
    int line = 0;

    for (unsigned i = accounts_count(accounts); i-- > 0;) {
        const struct account *a = accounts_get(accounts, i);

        if (!a->realm || strcmp(a->realm, t->realm) == 0)
            continue;
        n++;
        line = a->line;
    }
    if (n > 0)
        log_warning("%s:%d: the realm of %u account%s is not \"%s\", which clients are told: only "
                    "Basic can log in (viaduct account passwd NAME -c %s makes digests anew)",
                    t->accounts, line, n, n == 1 ? "" : "s", t->realm, c->path ? c->path : "FILE");
}

/* The accounts that `c` asks for, in *out (NULL: none).  False with *err: they cannot be had.  A
 * file that is not there is one without accounts, unless there were some: nobody is locked out by
 * it. */
static bool load_accounts(struct server *s, const struct config *c, struct accounts **out,
                          struct err *err)
{
    const char *path = c->authentication.accounts;

    *out = NULL;
    if (!c->authentication.present)
        return true;
    if (!prepare_logins(s, err))
        return false;
    accounts_watch_set(&s->watch, path);
    *out = accounts_watch_load(&s->watch, !s->accounts || accounts_count(s->accounts) == 0);
    if (!*out)
        err_set(err, "%s cannot be used", path);
    else
        warn_of_realms(*out, c);
    return *out != NULL;
}

/* ---- workers */

static void send_to_all(struct server *s, struct mail m)
{
    for (unsigned i = 0; i < s->shared.workers_len; i++)
        if (!mail_send(&s->shared.workers[i], m))
            log_error("worker %u does not take its mail", i);
}

static bool start_workers(struct server *s, struct err *err)
{
    unsigned n = s->shared.workers_len;

    s->shared.workers = aligned_alloc(64, (n * sizeof(struct worker) + 63) & ~(size_t)63);
    s->last_beats = calloc(n, sizeof *s->last_beats);
    if (!s->shared.workers || !s->last_beats) {
        err_set(err, "out of memory");
        return false;
    }
    memset(s->shared.workers, 0, n * sizeof(struct worker));
    for (unsigned i = 0; i < n; i++) {
        int failed = worker_init(&s->shared.workers[i], &s->shared, i, s->config, s->parent_tls);

        if (failed < 0) {
            err_set(err, "cannot start worker %u: %s", i, strerror(-failed));
            return false;
        }
        if (!mail_send_listeners(&s->shared.workers[i], &s->listeners) ||
            !mail_send_accounts(&s->shared.workers[i], s->accounts)) {
            err_set(err, "out of memory");
            return false;
        }
    }
    if (!prepare_passwords(s, s->accounts, err))
        return false;
    for (; s->started < n; s->started++) {
        struct worker *w = &s->shared.workers[s->started];
        char name[16];
        int failed = pthread_create(&w->thread, NULL, worker_run, w);

        if (failed) {
            err_set(err, "cannot start a thread: %s", strerror(failed));
            return false;
        }
        snprintf(name, sizeof name, "worker-%u", s->started);
        pthread_setname_np(w->thread, name);
    }
    return true;
}

static void stop_workers(struct server *s)
{
    if (s->started)
        send_to_all(s, (struct mail){.kind = MAIL_STOP});
    for (unsigned i = 0; i < s->started; i++)
        pthread_join(s->shared.workers[i].thread, NULL);
    passwords_free(s->shared.passwords);
    for (unsigned i = 0; s->shared.workers && i < s->shared.workers_len; i++)
        worker_fini(&s->shared.workers[i]);
    free(s->shared.workers);
    free(s->last_beats);
}

/* ---- listeners */

/* Those of the configuration, or the one of -l in their place, or what the service manager brought.
 */
static bool open_listeners(struct server *s, const struct config *c, struct listeners *out,
                           const struct listeners *old, struct err *err)
{
    unsigned workers = s->shared.workers_len;
    struct config_listener given = {0};
    struct span text = span_of(s->options->listen);
    uint64_t port;

    if (s->inherited)
        return listeners_inherit(out, s->inherited, c->listeners, c->listeners_len, workers, err);
    if (!s->options->listen)
        return listeners_open(out, c->listeners, c->listeners_len, workers, old, err);
    if (num_parse_u64(text, UINT16_MAX, &port)) { /* a port alone: for this machine only */
        given.at.port = (uint16_t)port;
        addr_parse(SPAN_LIT("127.0.0.1"), &given.at.addr);
    } else if (!endpoint_parse(text, &given.at)) {
        err_set(err, "-l %s: not an address with its port, like 127.0.0.1:3128 or [::1]:3128",
                s->options->listen);
        return false;
    }
    return listeners_open(out, &given, 1, workers, old, err);
}

/* Which accounts it has read, and by which address and port it is reached itself. */
static void tell_door(struct server *s)
{
    door_set_accounts(&s->door, &s->watch.seen, false);
    if (s->listeners.len)
        door_set_listener(&s->door, &s->listeners.all[0].at, s->listeners.all[0].tls != NULL);
}

/* A bad file changes nothing and says why; nobody who is through already notices a good one. */
static void follow_accounts(struct server *s)
{
    struct accounts *fresh;
    struct err err;

    if (!accounts_watch_has_changed(&s->watch) || !s->config->authentication.present)
        return;
    fresh = accounts_watch_load(&s->watch, false);
    if (!fresh) {
        log_error("%s: the accounts in force stay", s->watch.path);
        door_set_accounts(&s->door, &s->watch.seen, true);
        return;
    }
    if (!prepare_passwords(s, fresh, &err))
        log_error("%s", err.text);
    for (unsigned i = 0; i < s->shared.workers_len; i++)
        if (!mail_send_accounts(&s->shared.workers[i], fresh))
            log_error("worker %u does not take the new accounts", i);
    accounts_unref(s->accounts);
    s->accounts = fresh;
    door_set_accounts(&s->door, &s->watch.seen, false);
    log_info("%s: %u accounts", s->watch.path, accounts_count(fresh));
    warn_of_realms(fresh, s->config);
}

/* ---- reload */

static void log_report(const struct config_report *r)
{
    for (unsigned i = 0; i < r->len; i++) {
        if (r->items[i].warning)
            log_warning("%s", r->items[i].text);
        else
            log_error("%s", r->items[i].text);
    }
}

static const char *first_error(const struct config_report *r)
{
    for (unsigned i = 0; i < r->len; i++)
        if (!r->items[i].warning)
            return r->items[i].text;
    return "the file has errors";
}

/* After a reload, whatever came of it: the path is the configuration's. */
static void watch_what_is_in_force(struct server *s)
{
    if (s->config->authentication.present)
        accounts_watch_set(&s->watch, s->config->authentication.accounts);
    else
        accounts_watch_fini(&s->watch);
}

/* A bad file changes nothing and says why; a good one leaves every open flow alone.  False with
 * *err: what stands in the log. */
static bool reload(struct server *s, struct err *err)
{
    struct config_report report = {0};
    struct listeners fresh = {0};
    struct tls_context *tls = NULL;
    struct accounts *accounts = NULL;
    char names[STARTED_NAMES_MAX];
    struct config *c;
    bool ok = false;

    notify_reloading(clock_mono_ns());
    c = config_load(s->options->config_path, s->config, &report);
    log_report(&report);
    if (!c)
        err_set(err, "%s", first_error(&report));
    config_report_fini(&report);
    if (!c) {
        log_error("reload: the file has errors; the configuration in force stays");
        goto out;
    }
    if (!hop_load_tls(c, &tls, err) || !load_accounts(s, c, &accounts, err) ||
        !prepare_passwords(s, accounts, err) ||
        (!s->inherited && !open_listeners(s, c, &fresh, &s->listeners, err))) {
        log_error("reload: %s; the configuration in force stays", err->text);
        goto out;
    }
    if (!recorder_set(s->shared.recorder, c, err))
        log_error("reload: %s; the access log in use stays", err->text);
    started_differ(&s->at_start, c, names);
    if (*names)
        log_warning("reload: in force after a restart only: %s", names);
    log_set_level(c->log_level);
    process_forbid_core(c);
    s->shared.connections_max = process_fit_connections(c);
    if (!s->inherited) {
        listeners_fini(&s->listeners, false);
        s->listeners = fresh;
    }
    for (unsigned i = 0; i < s->shared.workers_len; i++) {
        struct worker *w = &s->shared.workers[i];

        if (!mail_send_config(w, c, tls, accounts) ||
            (!s->inherited && !mail_send_listeners(w, &s->listeners)))
            log_error("worker %u does not take the new configuration", i);
    }
    accounts_unref(s->accounts);
    s->accounts = accounts;
    config_unref(s->config);
    s->config = c;
    door_set_config(&s->door, c);
    tell_door(s);
    c = NULL;
    accounts = NULL;
    ok = true;
    log_info("reloaded %s", s->options->config_path ? s->options->config_path : "the defaults");
out:
    if (accounts) /* read for a configuration that is not taken: those in force may want them */
        accounts_watch_forget(&s->watch);
    watch_what_is_in_force(s);
    if (c && s->config->authentication.present)
        follow_accounts(s);
    tls_context_unref(tls);
    accounts_unref(accounts);
    config_unref(c);
    notify_send("READY=1");
    return ok;
}

static void reload_by_order(struct server *s)
{
    struct err err = {0};
    bool ok;

    if (!door_take_order(&s->door))
        return;
    ok = reload(s, &err);
    door_tell(&s->door, ok, ok ? "" : err.text);
}

/* ---- the waiting */

static void begin_drain(struct server *s)
{
    uint64_t patience = s->config->limits.drain_ns;

    if (s->draining) { /* a second signal ends at once */
        s->stop = true;
        return;
    }
    s->draining = true;
    s->drain_end_ns = clock_mono_ns() + patience;
    log_info("stopping: open flows may finish within %.0f s", (double)patience / 1e9);
    notify_send("STOPPING=1");
    door_set_draining(&s->door);
    send_to_all(s, (struct mail){.kind = MAIL_DRAIN, .at_ns = s->drain_end_ns});
}

static void take_signals(struct server *s)
{
    struct signalfd_siginfo info;
    struct err err;

    while (read(s->signal_fd, &info, sizeof info) == (ssize_t)sizeof info) {
        switch ((int)info.ssi_signo) {
        case SIGTERM:
        case SIGINT:
            begin_drain(s);
            break;
        case SIGHUP:
            reload(s, &err);
            break;
        case SIGUSR1:
            recorder_reopen(s->shared.recorder);
            break;
        }
    }
}

/* The watchdog is fed only while every worker turns. */
static void feed_watchdog(struct server *s)
{
    bool alive = true;

    if (!s->watchdog_ns || clock_mono_ns() < s->feed_ns)
        return;
    s->feed_ns = clock_mono_ns() + s->watchdog_ns / 3;
    for (unsigned i = 0; i < s->shared.workers_len; i++) {
        uint64_t beats = atomic_load_explicit(&s->shared.workers[i].beats, memory_order_relaxed);

        alive &= beats != s->last_beats[i];
        s->last_beats[i] = beats;
    }
    if (alive)
        notify_send("WATCHDOG=1");
}

static int poll_ms(const struct server *s)
{
    uint64_t now = clock_mono_ns();

    if (s->draining)
        return DRAIN_LOOK_MS;
    if (!s->watchdog_ns)
        return -1;
    return s->feed_ns > now ? (int)((s->feed_ns - now) / NS_PER_MS) + 1 : 0;
}

static void wait_for_the_end(struct server *s)
{
    while (!s->stop) {
        struct pollfd fds[] = {{s->signal_fd, POLLIN, 0},
                               {s->address_fd, POLLIN, 0},
                               {s->watch.fd, POLLIN, 0},
                               {s->door.order_fd, POLLIN, 0}};

        poll(fds, 4, poll_ms(s));
        if (fds[0].revents)
            take_signals(s);
        if (fds[1].revents)
            addresses_follow(s->address_fd);
        if (fds[2].revents && s->watch.fd == fds[2].fd)
            follow_accounts(s);
        if (fds[3].revents)
            reload_by_order(s);
        feed_watchdog(s);
        if (s->draining &&
            (clock_mono_ns() >= s->drain_end_ns ||
             atomic_load_explicit(&s->shared.connections, memory_order_relaxed) == 0))
            s->stop = true;
    }
}

/* ---- start */

static bool block_signals(struct server *s, struct err *err)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    s->signal_fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (s->signal_fd < 0)
        err_set(err, "signalfd: %s", strerror(errno));
    return s->signal_fd >= 0;
}

static void tell_listeners(const struct server *s)
{
    for (unsigned i = 0; i < s->listeners.len; i++) {
        char text[ENDPOINT_TEXT_MAX];

        endpoint_write(&s->listeners.all[i].at, text);
        log_info("listening on %s%s", text, s->listeners.all[i].tls ? " (TLS)" : "");
    }
}

/* An identity of this instance alone: two proxies in a row are no loop. */
static void make_pseudonym(struct proxy_shared *shared)
{
    uint32_t own;

    hash_random(&own, sizeof own);
    snprintf(shared->pseudonym, sizeof shared->pseudonym, "viaduct-%08x", own);
}

static bool start(struct server *s, struct err *err)
{
    struct config *c = s->config;

    log_set_level(c->log_level);
    s->nonce_key = strdup(c->nonce_key);
    make_pseudonym(&s->shared);
    s->inherited = notify_count_listeners();
    s->watchdog_ns = notify_watchdog_ns();
    s->shared.beat_ns = s->watchdog_ns / 8; /* more than once between two looks of feed_watchdog */
    s->shared.workers_len = c->workers ? c->workers : process_count_cpus();
    s->shared.hand_round = s->inherited > 0 && s->shared.workers_len > 1;
    s->shared.connections_max = process_fit_connections(c);
    s->shared.clients = limits_clients_new(s->shared.connections_max);
    if (!started_take(&s->at_start, c) || !s->shared.clients) {
        err_set(err, "out of memory");
        return false;
    }
    if (!block_signals(s, err) || !hop_load_tls(c, &s->parent_tls, err) ||
        !open_listeners(s, c, &s->listeners, NULL, err) ||
        !process_drop_privileges(c, s->nonce_key, err) || !load_accounts(s, c, &s->accounts, err))
        return false;
    process_forbid_core(c);
    s->address_fd = addresses_open_watch();
    addresses_read();
    s->shared.recorder = recorder_new(c, s->shared.workers_len, err);
    if (!s->shared.recorder || !start_workers(s, err) ||
        !door_init(&s->door, &s->shared, s->config, err))
        return false;
    tell_door(s);
    return true;
}

static bool start_company(struct server *s, struct err *err)
{
    const struct server_company *c = &s->options->company;

    s->has_company = c->start && recorder_count(s->shared.recorder, s->config, err) &&
                     c->start(c->owner, &s->door, err);
    return s->has_company || !c->start;
}

bool server_run(const struct server_options *options, struct config *config, struct err *err)
{
    struct server s = {.options = options, .config = config, .signal_fd = -1, .address_fd = -1};
    bool ok;

    accounts_watch_init(&s.watch);
    ok = start(&s, err) && start_company(&s, err);
    if (ok) {
        tell_listeners(&s);
        notify_send("READY=1");
        wait_for_the_end(&s);
    }
    if (s.has_company)
        options->company.stop(options->company.owner);
    stop_workers(&s);
    door_fini(&s.door);
    if (s.shared.recorder)
        recorder_free(s.shared.recorder);
    limits_clients_free(s.shared.clients);
    nonce_table_free(s.shared.nonces);
    attempts_free(s.shared.attempts);
    accounts_unref(s.accounts);
    accounts_watch_fini(&s.watch);
    free(s.nonce_key);
    started_fini(&s.at_start);
    listeners_fini(&s.listeners, s.started == 0 && !s.shared.workers);
    tls_context_unref(s.parent_tls);
    config_unref(s.config);
    if (s.signal_fd >= 0)
        close(s.signal_fd);
    if (s.address_fd >= 0)
        close(s.address_fd);
    return ok;
}
