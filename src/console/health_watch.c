#include "console/health.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/span.h"
#include "console/lookup.h"

#define FRESH_NS (5 * NS_PER_S) /* a look is good that long */
#define ANSWER_MS 3000

struct health {
    struct console_door door;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t looked; /* by the monotonic clock */
    int stop_fd, ask_fd;   /* eventfds */
    bool looking;
    uint64_t looked_ns; /* monotonic; 0: never */
    uintptr_t config;   /* which one it was looked with: compared, never followed */
    struct health_look look;
};

/* Waits for `fd`; false: nothing came in time, or we are to stop. */
static bool wait_for(const struct health *h, int fd, short events, int ms)
{
    struct pollfd fds[] = {{fd, events, 0}, {h->stop_fd, POLLIN, 0}};

    return poll(fds, 2, ms) > 0 && fds[0].revents;
}

/* The system's first server (resolv.conf(5)). */
static bool first_of_system(struct endpoint *out)
{
    FILE *f = fopen("/etc/resolv.conf", "re");
    char line[512];
    bool found = false;

    *out = (struct endpoint){.port = 53};
    while (f && !found && fgets(line, sizeof line, f)) {
        struct span rest = span_trim((struct span){line, strcspn(line, "\n")});
        struct span word = span_cut(&rest, ' ');

        found = span_equal(word, SPAN_LIT("nameserver")) && addr_parse(span_trim(rest), &out->addr);
    }
    if (f)
        fclose(f);
    if (!found) /* as resolv.conf(5) says */
        addr_parse(SPAN_LIT("127.0.0.1"), &out->addr);
    return true;
}

/* A query for the root's name servers (RFC 1035 4.1): every resolver has an answer. */
static void look_at_resolver(const struct health *h, const struct config *c, struct health_look *l)
{
    unsigned char query[] = {0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 1}, answer[512];
    char text[ENDPOINT_TEXT_MAX];
    struct sockaddr_storage sa;
    struct endpoint at;
    socklen_t len;
    ssize_t n = -1;
    int fd;

    if (c->servers_len)
        at = c->servers[0];
    else
        first_of_system(&at);
    endpoint_write(&at, text);
    hash_random(query, 2);
    len = endpoint_to_sockaddr(&at, &sa);
    fd = socket(sa.ss_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&sa, len) == 0 &&
        send(fd, query, sizeof query, 0) > 0 && wait_for(h, fd, POLLIN, ANSWER_MS))
        n = recv(fd, answer, sizeof answer, 0);
    l->resolver_ok = n >= 12 && memcmp(answer, query, 2) == 0;
    if (l->resolver_ok)
        snprintf(l->resolver, sizeof l->resolver, "ok");
    else
        snprintf(l->resolver, sizeof l->resolver, "%s does not answer", text);
    if (fd >= 0)
        close(fd);
}

static bool is_connected(const struct health *h, const struct endpoint *at)
{
    struct sockaddr_storage sa;
    socklen_t sa_len = endpoint_to_sockaddr(at, &sa), len = sizeof(int);
    int fd = socket(sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), err = 0;
    bool ok = false;

    if (fd < 0)
        return false;
    if (connect(fd, (struct sockaddr *)&sa, sa_len) == 0)
        ok = true;
    else if (errno == EINPROGRESS && wait_for(h, fd, POLLOUT, ANSWER_MS))
        ok = getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len) == 0 && err == 0;
    close(fd);
    return ok;
}

static void look_at_parent(const struct health *h, const struct config *c, struct health_look *l)
{
    const struct parent *p = c->parent;
    struct resolve_answer found;

    l->parent_ok = !p;
    snprintf(l->parent, sizeof l->parent, p ? "the name does not resolve" : "none");
    if (!p)
        return;
    if (p->addr.family)
        found = (struct resolve_answer){.addrs = {p->addr}, .len = 1};
    else if (!lookup_find(c, span_of(p->host), ANSWER_MS * NS_PER_MS, h->stop_fd, &found))
        return;
    for (unsigned i = 0; i < found.len && !l->parent_ok; i++)
        l->parent_ok = is_connected(h, &(struct endpoint){.addr = found.addrs[i], .port = p->port});
    snprintf(l->parent, sizeof l->parent, l->parent_ok ? "ok" : "cannot be reached");
}

static void *run(void *arg)
{
    struct health *h = arg;

    while (wait_for(h, h->ask_fd, POLLIN, -1)) {
        struct config *c = h->door.config(h->door.owner);
        struct health_look look;
        eventfd_t n;

        eventfd_read(h->ask_fd, &n);
        look_at_resolver(h, c, &look);
        look_at_parent(h, c, &look);
        pthread_mutex_lock(&h->lock);
        h->look = look;
        h->looked_ns = clock_mono_ns();
        h->config = (uintptr_t)c;
        h->looking = false;
        pthread_cond_broadcast(&h->looked);
        pthread_mutex_unlock(&h->lock);
        config_unref(c);
    }
    return NULL;
}

static void init_condition(pthread_cond_t *looked)
{
    pthread_condattr_t attr;

    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(looked, &attr);
    pthread_condattr_destroy(&attr);
}

struct health *health_new(const struct console_door *door)
{
    struct health *h = calloc(1, sizeof *h);

    if (!h)
        return NULL;
    h->door = *door;
    h->look = (struct health_look){false, false, "not looked at yet", "not looked at yet"};
    pthread_mutex_init(&h->lock, NULL);
    init_condition(&h->looked);
    h->stop_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    h->ask_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (h->stop_fd >= 0 && h->ask_fd >= 0 && pthread_create(&h->thread, NULL, run, h) == 0)
        return h;
    if (h->stop_fd >= 0)
        close(h->stop_fd);
    if (h->ask_fd >= 0)
        close(h->ask_fd);
    free(h);
    return NULL;
}

void health_free(struct health *h)
{
    if (!h)
        return;
    eventfd_write(h->stop_fd, 1);
    pthread_join(h->thread, NULL);
    close(h->stop_fd);
    close(h->ask_fd);
    pthread_cond_destroy(&h->looked);
    pthread_mutex_destroy(&h->lock);
    free(h);
}

/* Other settings than those that were looked with make a look old at once. */
static bool is_old(const struct health *h)
{
    struct config *c = h->door.config(h->door.owner);
    bool old =
        !h->looked_ns || clock_mono_ns() - h->looked_ns >= FRESH_NS || h->config != (uintptr_t)c;

    config_unref(c);
    return old;
}

static void wait_for_look(struct health *h, unsigned patience_ms)
{
    uint64_t until_ns = clock_mono_ns() + patience_ms * NS_PER_MS;
    const struct timespec until = {(time_t)(until_ns / NS_PER_S), (long)(until_ns % NS_PER_S)};

    while (h->looking && pthread_cond_timedwait(&h->looked, &h->lock, &until) == 0)
        continue;
}

void health_get(struct health *h, unsigned patience_ms, struct health_look *out)
{
    pthread_mutex_lock(&h->lock);
    if (!h->looking && is_old(h)) {
        h->looking = true;
        eventfd_write(h->ask_fd, 1);
        wait_for_look(h, patience_ms);
    }
    *out = h->look;
    pthread_mutex_unlock(&h->lock);
}
