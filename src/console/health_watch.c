#include "console/health.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/span.h"

#define FRESH_NS (5 * NS_PER_S) /* a look is good that long */
#define ANSWER_MS 3000

struct health {
    struct console_door door;
    pthread_t thread;
    pthread_mutex_t lock;
    int stop_fd, ask_fd; /* eventfds */
    uint64_t looked_ns;  /* monotonic; 0: never */
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

static bool is_connected(const struct health *h, const struct addrinfo *a)
{
    int fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), err = 0;
    socklen_t len = sizeof err;
    bool ok = false;

    if (fd < 0)
        return false;
    if (connect(fd, a->ai_addr, a->ai_addrlen) == 0)
        ok = true;
    else if (errno == EINPROGRESS && wait_for(h, fd, POLLOUT, ANSWER_MS))
        ok = getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len) == 0 && err == 0;
    close(fd);
    return ok;
}

static void look_at_parent(const struct health *h, const struct config *c, struct health_look *l)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    char port[8];

    l->parent_ok = true;
    snprintf(l->parent, sizeof l->parent, "none");
    if (!c->upstream.present || !c->upstream.enabled)
        return;
    snprintf(port, sizeof port, "%u", c->upstream.port);
    l->parent_ok = false;
    snprintf(l->parent, sizeof l->parent, "the name does not resolve");
    if (getaddrinfo(c->upstream.host, port, &hints, &found) != 0)
        return;
    snprintf(l->parent, sizeof l->parent, "cannot be reached");
    for (const struct addrinfo *a = found; a && !l->parent_ok; a = a->ai_next)
        l->parent_ok = is_connected(h, a);
    if (l->parent_ok)
        snprintf(l->parent, sizeof l->parent, "ok");
    freeaddrinfo(found);
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
        config_unref(c);
        pthread_mutex_lock(&h->lock);
        h->look = look;
        h->looked_ns = clock_mono_ns();
        pthread_mutex_unlock(&h->lock);
    }
    return NULL;
}

struct health *health_new(const struct console_door *door)
{
    struct health *h = calloc(1, sizeof *h);

    if (!h)
        return NULL;
    h->door = *door;
    h->look = (struct health_look){false, false, "not looked at yet", "not looked at yet"};
    pthread_mutex_init(&h->lock, NULL);
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
    pthread_mutex_destroy(&h->lock);
    free(h);
}

void health_get(struct health *h, struct health_look *out)
{
    pthread_mutex_lock(&h->lock);
    *out = h->look;
    if (!h->looked_ns || clock_mono_ns() - h->looked_ns >= FRESH_NS)
        eventfd_write(h->ask_fd, 1);
    pthread_mutex_unlock(&h->lock);
}
