#include "proxy/worker.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/util.h"
#include "net/tls.h"
#include "policy/accounts.h"
#include "proxy/accept.h"
#include "proxy/hop.h"
#include "proxy/live.h"
#include "proxy/passwords.h"
#include "proxy/session.h"

#define MAILS 256
#define QUESTIONS 16 /* that wait for this worker's turn */

/* ---- mail */

static void drain_one(void *object, void *arg)
{
    session_drain(object, *(bool *)arg);
}

static void retire_one(void *object, void *arg)
{
    (void)arg;
    session_retire(object);
}

/* Brings the parent up to the snapshot in force; false when memory is out: then the one before
 * stays. */
static bool take_parent(struct worker *w, struct tls_context *tls)
{
    struct hop *fresh = NULL;

    if (w->hop && w->config->parent && hop_is_same(w->hop, w->config)) {
        hop_set_tls(w->hop, tls);
        return true;
    }
    if (w->config->parent) {
        fresh = hop_new(w->config, tls, ++w->hops, &w->shared->trial);
        if (!fresh)
            return false;
    }
    hop_unref(w->hop);
    w->hop = fresh;
    return true;
}

static void take_accounts(struct worker *w, struct accounts *fresh)
{
    accounts_unref(w->accounts);
    w->accounts = fresh;
}

static void take_mail(struct worker *w, struct mail *m)
{
    bool now = m->kind == MAIL_STOP;
    struct resolve_config r;

    switch (m->kind) {
    case MAIL_CONFIG:
        config_unref(w->config);
        w->config = m->config;
        if (!take_parent(w, m->parent_tls))
            log_error("out of memory: the parent proxy of before stays");
        tls_context_unref(m->parent_tls);
        r = worker_resolve_config(w->config);
        resolver_set(w->resolver, &r);
        take_accounts(w, m->accounts);
        break;
    case MAIL_ACCOUNTS:
        take_accounts(w, m->accounts);
        break;
    case MAIL_LISTENERS:
        accept_take_listeners(w, m->listeners, m->listeners_len);
        break;
    case MAIL_CLIENT:
        accept_admit(w, m->listener < w->listeners_len ? m->listener : 0, m->fd, &m->client, false);
        break;
    case MAIL_DRAIN:
        w->drain_end_ns = m->at_ns;
        slab_each(&w->sessions, drain_one, &now);
        break;
    case MAIL_STOP:
        w->stop = true;
        slab_each(&w->sessions, drain_one, &now);
        slab_each(&w->sessions, retire_one, NULL);
        break;
    }
    free(m);
}

/* A slow hash was computed; who waited for it may be gone. */
static void take_checked(struct worker *w, struct password_job *job)
{
    struct session *s = slab_find(&w->sessions, job->session.number, job->session.generation);

    w->checks--;
    if (s && !s->retired)
        session_password_checked(s, job);
    password_job_free(job);
}

static void read_mail(struct worker *w)
{
    eventfd_t n;
    struct mail *m;
    struct password_job *job;
    struct live_call *call;

    eventfd_read(w->mail_fd, &n);
    while ((m = ring_pop(&w->mail)))
        take_mail(w, m);
    while ((m = ring_pop(&w->mail_handed)))
        take_mail(w, m);
    while ((job = ring_pop(&w->mail_checked)))
        take_checked(w, job);
    while ((call = ring_pop(&w->mail_asked)))
        live_answer(w, call);
}

bool worker_ask(struct worker *w, struct live_call *call)
{
    if (!ring_push(&w->mail_asked, call))
        return false;
    eventfd_write(w->mail_fd, 1);
    return true;
}

bool worker_send(struct worker *w, struct mail *mail)
{
    if (!ring_push(&w->mail, mail))
        return false;
    eventfd_write(w->mail_fd, 1);
    return true;
}

/* ---- the turn */

static void dispatch(struct worker *w, struct loop_ref ref, uint32_t events)
{
    struct session *s;
    struct link *l;

    switch ((enum worker_ref)ref.kind) {
    case REF_LISTENER:
        accept_some(w, ref.slot);
        break;
    case REF_CLIENT:
        s = slab_find(&w->sessions, ref.slot, ref.generation);
        if (s && !s->retired)
            session_client_event(s, events);
        break;
    case REF_LINK:
        l = slab_find(&w->pool.links, ref.slot, ref.generation);
        if (l && l->session)
            session_link_event(l->session, l, events);
        else if (l)
            pool_event(&w->pool, l, events);
        break;
    case REF_RESOLVER:
        resolver_event(w->resolver, (int)ref.slot,
                       (events & EPOLLOUT ? 2u : 0u) | (events & ~(uint32_t)EPOLLOUT ? 1u : 0u),
                       w->loop.now_ns);
        break;
    case REF_MAILBOX:
        read_mail(w);
        break;
    }
}

static void run_queue(struct worker *w)
{
    struct list now;

    if (list_is_empty(&w->run))
        return;
    now = w->run; /* who queues again waits for the next turn */
    now.next->prev = now.prev->next = &now;
    list_init(&w->run);
    while (!list_is_empty(&now)) {
        struct session *s = CONTAINER_OF(now.next, struct session, node);

        list_remove(&s->node);
        s->queued = false;
        loop_touch(&w->loop);
        session_drive(s);
    }
}

void worker_take_spare(struct worker *w, struct conn *c)
{
    if (w->spare_fd < 0)
        w->spare_fd = conn_close_keeping(c, w->mail_fd);
}

static void free_retired(struct worker *w)
{
    while (!list_is_empty(&w->retired)) {
        struct session *s = CONTAINER_OF(w->retired.next, struct session, node);

        list_remove(&s->node);
        w->spare_lent &= !s->spare;
        slab_put(&w->sessions, s);
    }
    accept_fill_reserve(w);
    if (w->spare_fd < 0 &&
        !w->spare_lent) /* another connection may have been quicker: then next time */
        accept_open_spare(w);
}

static uint64_t next_ns(const struct worker *w, uint64_t until_ns)
{
    uint64_t at[] = {wheel_next_ns(&w->wheel), resolver_deadline_ns(w->resolver), w->pool.next_ns,
                     w->accept_again_ns};

    for (unsigned i = 0; i < ARRAY_LEN(at); i++)
        if (at[i] < until_ns)
            until_ns = at[i];
    return list_is_empty(&w->run) ? until_ns : 0;
}

void worker_turn(struct worker *w, uint64_t until_ns)
{
    int n = loop_wait(&w->loop, next_ns(w, until_ns));
    struct wheel_timer *t;

    for (int i = 0; i < n; i++) {
        if (i > 0)
            loop_touch(&w->loop);
        dispatch(w, loop_get_ref(&w->loop, i), loop_get_events(&w->loop, i));
    }
    run_queue(w);
    while ((t = wheel_next_due(&w->wheel, w->loop.now_ns)))
        session_timer(CONTAINER_OF(t, struct session, timer));
    resolver_tick(w->resolver, w->loop.now_ns);
    pool_tick(&w->pool, w->loop.now_ns);
    if (w->accept_again_ns <= w->loop.now_ns)
        accept_resume(w);
    free_retired(w);
    atomic_fetch_add_explicit(&w->beats, 1, memory_order_relaxed);
}

void *worker_run(void *arg)
{
    struct worker *w = arg;

    uint64_t beat_ns = w->shared->beat_ns;

    while (!w->stop)
        worker_turn(w, beat_ns ? w->loop.now_ns + beat_ns : UINT64_MAX);
    return NULL;
}

void worker_queue(struct worker *w, struct session *s)
{
    if (s->queued || s->retired)
        return;
    s->queued = true;
    list_push_back(&w->run, &s->node);
}

void worker_retire(struct worker *w, struct session *s)
{
    list_remove(&s->node); /* from the run queue */
    list_push_back(&w->retired, &s->node);
}

uint64_t worker_next_id(struct worker *w)
{
    return hash_next_id(&w->id_state);
}

void worker_tell_time(struct worker *w)
{
    time_t now = (time_t)(w->loop.wall_ns / NS_PER_S);
    struct tm tm;

    if (w->loop.wall_ns < w->minute_end_ns && w->minute_end_ns - w->loop.wall_ns <= 60 * NS_PER_S)
        return;
    localtime_r(&now, &tm);
    w->week_minute = (tm.tm_wday + 6) % 7 * 1440 + tm.tm_hour * 60 + tm.tm_min;
    w->minute_end_ns = (uint64_t)(now - tm.tm_sec + 60) * NS_PER_S;
}

/* ---- life */

static void watch_fd(void *owner, int fd, unsigned want)
{
    struct worker *w = owner;
    uint32_t events = (want & 1 ? (uint32_t)EPOLLIN : 0) | (want & 2 ? (uint32_t)EPOLLOUT : 0);
    struct loop_ref ref = {REF_RESOLVER, (uint32_t)fd, 0};

    if (want == 0)
        loop_remove(&w->loop, fd);
    else if (loop_change(&w->loop, fd, events, ref) < 0)
        loop_add(&w->loop, fd, events, ref);
}

struct resolve_config worker_resolve_config(const struct config *c)
{
    return (struct resolve_config){
        .hosts_file = c->hosts_file,
        .servers = c->servers,
        .servers_len = c->servers_len,
        .timeout_ns = c->resolver_timeout_ns,
        .total_ns = c->limits.resolve_ns,
        .cache = c->resolver_cache,
    };
}

int worker_init(struct worker *w, struct proxy_shared *shared, unsigned number,
                struct config *config, struct tls_context *parent_tls)
{
    struct resolve_config r = worker_resolve_config(config);
    int err;

    *w = (struct worker){.number = number,
                         .shared = shared,
                         .mail_fd = -1,
                         .spare_fd = -1,
                         .accept_again_ns = UINT64_MAX};
    w->config = config_ref(config);
    err = loop_init(&w->loop);
    if (err < 0)
        return err;
    wheel_init(&w->wheel, w->loop.now_ns);
    list_init(&w->run);
    list_init(&w->retired);
    slab_init(&w->sessions, sizeof(struct session), 1u << 24);
    slab_init(&w->exchanges, sizeof(struct exchange), 1u << 24);
    slab_init(&w->dials, sizeof(struct session_dial), 1u << 24);
    slab_init(&w->logins, sizeof(struct session_login), 1u << 24);
    verified_init(&w->verified);
    pool_init(&w->pool);
    hash_random(&w->id_state, sizeof w->id_state);
    w->out = aligned_alloc(64, PUMP_BUFFER);
    w->resolver = resolver_new(&r, watch_fd, w);
    w->mail_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    accept_open_spare(w);
    accept_fill_reserve(w);
    if (w->reserve_len < WORKER_RESERVE || !w->out || !pump_init(&w->pump) || !w->resolver ||
        !take_parent(w, parent_tls) || !ring_init(&w->mail, MAILS) ||
        !ring_init(&w->mail_handed, 4096) || !ring_init(&w->mail_checked, PASSWORDS_OPEN_MAX) ||
        !ring_init(&w->mail_asked, QUESTIONS))
        return -ENOMEM;
    if (w->mail_fd < 0 || w->spare_fd < 0)
        return -errno;
    return loop_add(&w->loop, w->mail_fd, EPOLLIN, (struct loop_ref){REF_MAILBOX, 0, 0});
}

void worker_fini(struct worker *w)
{
    struct mail *m;
    struct password_job *job;
    struct live_call *call;

    free_retired(w);
    while (w->mail_asked.slots && (call = ring_pop(&w->mail_asked)))
        live_call_unref(call);
    while (w->mail_checked.slots && (job = ring_pop(&w->mail_checked)))
        password_job_free(job);
    while (w->mail.slots && (m = ring_pop(&w->mail))) {
        config_unref(m->config);
        tls_context_unref(m->parent_tls);
        accounts_unref(m->accounts);
        free(m->listeners);
        free(m);
    }
    while (w->mail_handed.slots && (m = ring_pop(&w->mail_handed))) {
        close(m->fd);
        free(m);
    }
    for (unsigned i = 0; i < w->listeners_len; i++) {
        if (w->listeners[i].fd >= 0)
            close(w->listeners[i].fd);
        tls_context_unref(w->listeners[i].tls);
    }
    free(w->listeners);
    pool_fini(&w->pool);
    if (w->resolver)
        resolver_free(w->resolver);
    slab_fini(&w->sessions);
    slab_fini(&w->exchanges);
    slab_fini(&w->dials);
    slab_fini(&w->logins);
    pump_fini(&w->pump);
    free(w->out);
    ring_fini(&w->mail);
    ring_fini(&w->mail_asked);
    ring_fini(&w->mail_handed);
    ring_fini(&w->mail_checked);
    if (w->mail_fd >= 0)
        close(w->mail_fd);
    if (w->spare_fd >= 0)
        close(w->spare_fd);
    loop_fini(&w->loop);
    hop_unref(w->hop);
    accounts_unref(w->accounts);
    explicit_bzero(&w->verified, sizeof w->verified);
    if (w->config)
        config_unref(w->config);
}
