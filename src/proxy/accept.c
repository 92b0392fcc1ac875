#include "proxy/accept.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "net/sock.h"
#include "net/tls.h"
#include "policy/classes.h"
#include "proxy/session.h"

#define ACCEPTS 16 /* connections taken at one event: the others wait no longer */
#define ACCEPT_PAUSE_NS (50 * NS_PER_MS) /* out of descriptors: when to look again */
#define WARN_NS (60 * NS_PER_S)          /* the same warning at most that often */
#define OVER_LIMIT 256                   /* connections above the limit that still get an answer */

/* ---- listeners */

static void listen_on(struct worker *w, unsigned i)
{
    if (w->listeners[i].fd >= 0)
        loop_add(&w->loop, w->listeners[i].fd, EPOLLIN, (struct loop_ref){REF_LISTENER, i, 0});
}

void accept_take_listeners(struct worker *w, struct worker_listener *fresh, unsigned len)
{
    for (unsigned i = 0; i < w->listeners_len; i++) {
        bool kept = w->listeners[i].fd < 0;

        if (!kept)
            loop_remove(&w->loop, w->listeners[i].fd);
        for (unsigned k = 0; k < len; k++)
            kept |= fresh[k].fd == w->listeners[i].fd;
        if (!kept)
            close(w->listeners[i].fd);
        tls_context_unref(w->listeners[i].tls);
    }
    free(w->listeners);
    w->listeners = fresh;
    w->listeners_len = len;
    for (unsigned i = 0; i < len; i++)
        listen_on(w, i);
}

static bool is_unspecified(const struct addr *a)
{
    return addr_is_equal(a, &(struct addr){.family = a->family});
}

/* Whether who dials `a` may reach what listens on `own`. */
static bool leads_to(const struct addr *a, const struct addr *own)
{
    if (addr_is_equal(a, own))
        return true;
    if (is_unspecified(a)) /* the kernel dials loopback instead */
        return is_unspecified(own) || access_classify(own) & CLASS_LOOPBACK;
    return is_unspecified(own) && access_classify(a) & CLASS_LOOPBACK;
}

bool accept_is_own(const struct worker *w, const struct endpoint *at)
{
    struct classes_forms forms;

    classes_forms_of(&at->addr, &forms);
    for (unsigned i = 0; i < w->listeners_len; i++) {
        const struct endpoint *own = &w->listeners[i].at;

        for (unsigned k = 0; k < forms.same && own->port == at->port; k++)
            if (leads_to(&forms.form[k], &own->addr))
                return true;
    }
    return false;
}

/* ---- sessions in reserve */

void accept_fill_reserve(struct worker *w)
{
    struct session *s;

    while (w->reserve_len < WORKER_RESERVE && (s = slab_get(&w->sessions))) {
        s->retired = true;
        w->reserve[w->reserve_len++] = s;
    }
}

struct session *accept_get_session(struct worker *w, bool *short_of_memory)
{
    struct session *s = slab_get(&w->sessions);

    *short_of_memory = !s;
    if (!s && w->reserve_len > 0) {
        s = w->reserve[--w->reserve_len];
        s->retired = false;
    }
    return s;
}

/* ---- accepting */

/* `err`: why no connection can be taken now (positive errno). */
static void pause_listeners(struct worker *w, int err)
{
    if (w->accept_again_ns != UINT64_MAX)
        return;
    for (unsigned i = 0; i < w->listeners_len; i++)
        if (w->listeners[i].fd >= 0)
            loop_remove(&w->loop, w->listeners[i].fd);
    w->accept_again_ns = w->loop.now_ns + ACCEPT_PAUSE_NS;
    if (w->loop.now_ns - w->warned_ns > WARN_NS || !w->warned_ns) {
        log_warning("%s: new connections wait", strerror(err));
        w->warned_ns = w->loop.now_ns;
    }
}

void accept_resume(struct worker *w)
{
    w->accept_again_ns = UINT64_MAX;
    for (unsigned i = 0; i < w->listeners_len; i++)
        listen_on(w, i);
}

void accept_admit(struct worker *w, unsigned listener, int fd, const struct endpoint *client,
                  bool spare)
{
    uint32_t open = atomic_load_explicit(&w->shared->connections, memory_order_relaxed);
    enum verdict refuse = VERDICT_OK;

    if (open >= w->shared->connections_max + OVER_LIMIT) {
        sock_reset(fd);
        w->spare_lent &= !spare;
        return;
    }
    if (spare || open >= w->shared->connections_max)
        refuse = VERDICT_OVERLOADED;
    if (session_accept(w, listener, fd, client, refuse, spare))
        return;
    w->spare_lent &= !spare;
    pause_listeners(w, ENOMEM);
}

/* With one socket for all, each worker has its turn. */
static void hand_round(struct worker *w, unsigned listener, int fd, const struct endpoint *client)
{
    struct worker *to = &w->shared->workers[w->next_worker++ % w->shared->workers_len];
    struct mail *m;

    if (to == w) {
        accept_admit(w, listener, fd, client, false);
        return;
    }
    m = calloc(1, sizeof *m);
    if (!m) {
        sock_reset(fd);
        return;
    }
    *m = (struct mail){.kind = MAIL_CLIENT, .fd = fd, .listener = listener, .client = *client};
    if (!ring_push(&to->mail_handed, m)) { /* it is behind: serve it here */
        free(m);
        accept_admit(w, listener, fd, client, false);
        return;
    }
    eventfd_write(to->mail_fd, 1);
}

void accept_open_spare(struct worker *w)
{
    w->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

void accept_some(struct worker *w, unsigned listener)
{
    if (listener >= w->listeners_len)
        return;
    for (int i = 0; i < ACCEPTS; i++) {
        struct endpoint client;
        bool spare = false;
        int fd;

        if (w->reserve_len == 0)
            accept_fill_reserve(w);
        if (w->reserve_len == 0) { /* not even a 503 could be said: they wait where they are */
            pause_listeners(w, ENOMEM);
            return;
        }
        fd = sock_accept(w->listeners[listener].fd, &client);

        if ((fd == -EMFILE || fd == -ENFILE) && !sock_has_client(w->listeners[listener].fd))
            return; /* accept looks for a descriptor before it looks for a client */
        if ((fd == -EMFILE || fd == -ENFILE) && w->spare_fd >= 0) {
            close(w->spare_fd); /* one descriptor, to tell the next client what is wrong */
            w->spare_fd = -1;
            fd = sock_accept(w->listeners[listener].fd, &client);
            spare = w->spare_lent = fd >= 0;
            if (!spare)
                accept_open_spare(w); /* before a session of this turn takes it for its own */
        }
        if (fd < 0) {
            if (fd != -EAGAIN)
                pause_listeners(w, -fd);
            return;
        }
        if (w->shared->hand_round && !spare)
            hand_round(w, listener, fd, &client);
        else
            accept_admit(w, listener, fd, &client, spare);
    }
}
