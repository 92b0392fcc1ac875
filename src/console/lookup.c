#include "console/lookup.h"

#include <poll.h>
#include <string.h>

#include "base/clock.h"

#define FDS_MAX 32 /* one or two a server are in use */

struct lookup {
    struct pollfd fds[FDS_MAX];
    unsigned len;
    bool done;
    struct resolve_answer *out;
};

/* A socket more than there is room for is not watched: its query ends by its time. */
static void watch_fd(void *owner, int fd, unsigned want)
{
    struct lookup *l = owner;
    unsigned i = 0;

    while (i < l->len && l->fds[i].fd != fd)
        i++;
    if (want == 0) {
        if (i < l->len)
            l->fds[i] = l->fds[--l->len];
        return;
    }
    if (i == FDS_MAX)
        return;
    l->len += i == l->len;
    l->fds[i] = (struct pollfd){fd, (short)((want & 1 ? POLLIN : 0) | (want & 2 ? POLLOUT : 0)), 0};
}

static void take(void *arg, const struct resolve_answer *answer)
{
    struct lookup *l = arg;

    *l->out = *answer;
    l->done = true;
}

static unsigned readiness(short events)
{
    if (events & (POLLERR | POLLHUP | POLLNVAL))
        return 3;
    return (events & POLLIN ? 1u : 0) | (events & POLLOUT ? 2u : 0);
}

static int milliseconds_to(uint64_t then_ns, uint64_t now_ns)
{
    return then_ns > now_ns ? (int)((then_ns - now_ns) / NS_PER_MS) + 1 : 0;
}

/* The sockets change while they are served: a copy is gone through. */
static void wait_for_answer(struct lookup *l, struct resolver *r, uint64_t end_ns, int stop_fd)
{
    for (uint64_t now_ns = clock_mono_ns(); !l->done && now_ns < end_ns;) {
        uint64_t next_ns = resolver_deadline_ns(r);
        struct pollfd fds[FDS_MAX + 1];
        unsigned len = l->len;

        memcpy(fds, l->fds, len * sizeof *fds);
        fds[len] = (struct pollfd){stop_fd, POLLIN, 0};
        poll(fds, len + 1, milliseconds_to(next_ns < end_ns ? next_ns : end_ns, now_ns));
        if (fds[len].revents)
            return;
        now_ns = clock_mono_ns();
        for (unsigned i = 0; i < len; i++)
            if (fds[i].revents)
                resolver_event(r, fds[i].fd, readiness(fds[i].revents), now_ns);
        resolver_tick(r, now_ns);
    }
}

bool lookup_find(const struct config *c, struct span name, uint64_t wait_ns, int stop_fd,
                 struct resolve_answer *out)
{
    const struct resolve_config settings = {.hosts_file = c->hosts_file,
                                            .servers = c->servers,
                                            .servers_len = c->servers_len,
                                            .timeout_ns = c->resolver_timeout_ns,
                                            .total_ns = wait_ns,
                                            .cache = 16};
    struct lookup l = {.out = out};
    struct resolver *r = resolver_new(&settings, watch_fd, &l);
    struct resolve_query *query;
    uint64_t now_ns = clock_mono_ns();

    *out = (struct resolve_answer){.status = RESOLVE_FAILED};
    if (!r)
        return false;
    if (resolver_find(r, name, now_ns, take, &l, &query, out) == RESOLVE_WAIT)
        wait_for_answer(&l, r, now_ns + wait_ns, stop_fd);
    resolver_free(r);
    return out->status == RESOLVE_OK && out->len > 0;
}
