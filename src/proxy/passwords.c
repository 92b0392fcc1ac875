#include "proxy/passwords.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/log.h"
#include "proxy/worker.h"

struct passwords {
    struct ring *jobs; /* one a worker */
    struct worker *workers;
    unsigned workers_len;
    int wake_fd;
    bool started;
    _Atomic bool stop;
    pthread_t thread;
};

struct password_job *password_job_new(struct accounts *accounts, const struct accounts_result *r,
                                      struct span user, struct span password)
{
    struct password_job *j = calloc(1, sizeof *j + user.len + password.len + 1);

    if (!j)
        return NULL;
    j->accounts = accounts_ref(accounts);
    j->result = *r;
    j->user_len = user.len;
    j->password_len = password.len;
    memcpy(j->text, user.ptr, user.len);
    memcpy(j->text + user.len, password.ptr, password.len);
    return j;
}

static void wipe(struct password_job *j)
{
    explicit_bzero(j->text + j->user_len, j->password_len);
}

void password_job_free(struct password_job *j)
{
    if (!j)
        return;
    wipe(j);
    accounts_unref(j->accounts);
    free(j);
}

/* A worker has room for all that it sent. */
static void give_back(struct worker *w, struct password_job *j)
{
    wipe(j);
    if (!ring_push(&w->mail_checked, j)) {
        log_error("worker %u does not take its checked password", w->number);
        password_job_free(j);
        return;
    }
    eventfd_write(w->mail_fd, 1);
}

/* One job of each worker, so that none waits for all of another's.  Whether there was any. */
static bool work_once(struct passwords *p)
{
    bool any = false;

    for (unsigned i = 0; i < p->workers_len && !atomic_load(&p->stop); i++) {
        struct password_job *j = ring_pop(&p->jobs[i]);

        if (!j)
            continue;
        any = true;
        accounts_finish_basic(&j->result, (struct span){j->text + j->user_len, j->password_len});
        give_back(&p->workers[i], j);
    }
    return any;
}

static void *run(void *arg)
{
    struct passwords *p = arg;
    eventfd_t n;

    while (!atomic_load(&p->stop)) {
        if (!work_once(p))
            eventfd_read(p->wake_fd, &n);
    }
    return NULL;
}

struct passwords *passwords_new(struct worker *workers, unsigned workers_len, struct err *err)
{
    struct passwords *p = calloc(1, sizeof *p);
    int failed = ENOMEM;

    if (!p)
        goto out;
    p->workers = workers;
    p->wake_fd = eventfd(0, EFD_CLOEXEC);
    if (p->wake_fd < 0) {
        failed = errno;
        goto out;
    }
    p->jobs = calloc(workers_len, sizeof *p->jobs);
    for (; p->jobs && p->workers_len < workers_len; p->workers_len++)
        if (!ring_init(&p->jobs[p->workers_len], PASSWORDS_OPEN_MAX))
            goto out;
    if (!p->jobs)
        goto out;
    failed = pthread_create(&p->thread, NULL, run, p);
    if (failed)
        goto out;
    pthread_setname_np(p->thread, "passwords");
    p->started = true;
    return p;
out:
    err_set(err, "cannot start the thread for passwords: %s", strerror(failed));
    passwords_free(p);
    return NULL;
}

void passwords_free(struct passwords *p)
{
    if (!p)
        return;
    if (p->started) {
        atomic_store(&p->stop, true);
        eventfd_write(p->wake_fd, 1);
        pthread_join(p->thread, NULL);
    }
    for (unsigned i = 0; i < p->workers_len; i++) {
        struct password_job *j;

        while ((j = ring_pop(&p->jobs[i])))
            password_job_free(j);
        ring_fini(&p->jobs[i]);
    }
    free(p->jobs);
    if (p->wake_fd >= 0)
        close(p->wake_fd);
    free(p);
}

bool passwords_send(struct passwords *p, unsigned w, struct password_job *job)
{
    if (!ring_push(&p->jobs[w], job))
        return false;
    eventfd_write(p->wake_fd, 1);
    return true;
}
