#include "proxy/door.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "proxy/accounts_watch.h"
#include "proxy/live.h"
#include "proxy/recorder.h"
#include "proxy/worker.h"

#define ASK_MS 500  /* of two rounds */
#define RELOAD_S 30 /* large lists take a while */

bool door_init(struct door *d, struct proxy_shared *shared, struct config *config, struct err *err)
{
    pthread_condattr_t attr;

    *d = (struct door){.shared = shared, .config = config_ref(config)};
    d->start_ns = clock_wall_ns();
    d->began_ns = clock_mono_ns();
    pthread_mutex_init(&d->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&d->told, &attr);
    pthread_condattr_destroy(&attr);
    d->live = live_new(shared);
    d->order_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (d->live && d->order_fd >= 0)
        return true;
    err_set(err, "out of memory or descriptors");
    return false;
}

void door_fini(struct door *d)
{
    if (!d->shared)
        return;
    live_free(d->live);
    if (d->order_fd >= 0)
        close(d->order_fd);
    config_unref(d->config);
    pthread_cond_destroy(&d->told);
    pthread_mutex_destroy(&d->lock);
    *d = (struct door){0};
}

void door_set_config(struct door *d, struct config *config)
{
    struct config *before;

    pthread_mutex_lock(&d->lock);
    before = d->config;
    d->config = config_ref(config);
    pthread_mutex_unlock(&d->lock);
    config_unref(before);
}

void door_set_listener(struct door *d, const struct endpoint *at, bool tls)
{
    pthread_mutex_lock(&d->lock);
    d->at = *at;
    d->tls = tls;
    pthread_mutex_unlock(&d->lock);
}

void door_set_draining(struct door *d)
{
    pthread_mutex_lock(&d->lock);
    d->draining = true;
    pthread_mutex_unlock(&d->lock);
}

void door_set_accounts(struct door *d, const struct stat *seen, bool refused)
{
    pthread_mutex_lock(&d->lock);
    d->accounts = *seen;
    d->accounts_refused = refused;
    pthread_mutex_unlock(&d->lock);
}

bool door_take_order(struct door *d)
{
    eventfd_t n;
    bool any;

    eventfd_read(d->order_fd, &n);
    pthread_mutex_lock(&d->lock);
    any = d->orders > d->served;
    pthread_mutex_unlock(&d->lock);
    return any;
}

void door_tell(struct door *d, bool well, const char *trouble)
{
    pthread_mutex_lock(&d->lock);
    d->served = d->orders;
    d->served_well = well;
    snprintf(d->trouble, sizeof d->trouble, "%s", trouble);
    pthread_cond_broadcast(&d->told);
    pthread_mutex_unlock(&d->lock);
}

bool door_ask(struct door *d, const struct live_query *q, struct live_page *page)
{
    return live_ask(d->live, q, ASK_MS, page);
}

enum live_end door_end(struct door *d, uint64_t id, const char *who, const char *why)
{
    return live_end(d->live, id, who, why, 2 * ASK_MS);
}

bool door_read_totals(struct door *d, struct totals *out)
{
    return recorder_read_totals(d->shared->recorder, out);
}

struct config *door_get_config(struct door *d)
{
    struct config *c;

    pthread_mutex_lock(&d->lock);
    c = config_ref(d->config);
    pthread_mutex_unlock(&d->lock);
    return c;
}

bool door_reload(struct door *d, struct err *err)
{
    struct timespec until;
    uint64_t mine;
    bool well = false;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += RELOAD_S;
    pthread_mutex_lock(&d->lock);
    mine = ++d->orders;
    eventfd_write(d->order_fd, 1);
    while (d->served < mine && pthread_cond_timedwait(&d->told, &d->lock, &until) != ETIMEDOUT)
        ;
    if (d->served >= mine) {
        well = d->served_well;
        err_set(err, "%s", d->trouble);
    } else {
        err_set(err, "the reload takes longer than %d s", RELOAD_S);
    }
    pthread_mutex_unlock(&d->lock);
    return well;
}

bool door_flush_history(struct door *d)
{
    return recorder_flush(d->shared->recorder);
}

void door_look_at_accounts(struct door *d, const char *path, bool *taken, bool *refused)
{
    struct stat now = {0};
    bool same;

    if (stat(path, &now) < 0)
        now = (struct stat){0};
    pthread_mutex_lock(&d->lock);
    same = accounts_watch_is_same(&now, &d->accounts);
    *taken = same && !d->accounts_refused;
    *refused = same && d->accounts_refused;
    pthread_mutex_unlock(&d->lock);
}

void door_get_state(struct door *d, struct door_state *out)
{
    *out = (struct door_state){
        .start_ns = d->start_ns,
        .uptime_ns = clock_mono_ns() - d->began_ns,
        .workers = d->shared->workers_len,
        .connections = atomic_load_explicit(&d->shared->connections, memory_order_relaxed),
        .connections_max = atomic_load_explicit(&d->shared->connections_max, memory_order_relaxed),
        .flows_dropped = recorder_dropped(d->shared->recorder),
        .history_lost = recorder_get_history_lost(d->shared->recorder)};
    pthread_mutex_lock(&d->lock);
    out->draining = d->draining;
    out->at = d->at;
    out->tls = d->tls;
    pthread_mutex_unlock(&d->lock);
}
