/* tests/unit/net/tcp.h - TCP connections of this process with itself, over loopback. */
#pragma once

#include <assert.h>
#include <linux/filter.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/endpoint.h"
#include "net/sock.h"

enum {
    TCP_PATIENCE_MS = 20000
}; /* for what is under way already: a test that waits so long failed */

static inline struct endpoint tcp_loopback(uint8_t family)
{
    struct endpoint e = {.addr.family = family};

    if (family == AF_INET6)
        e.addr.bytes[15] = 1;
    else {
        e.addr.bytes[0] = 127;
        e.addr.bytes[3] = 1;
    }
    return e;
}

/* The events that come, of those asked for. */
static inline short tcp_wait(int fd, short events)
{
    struct pollfd p = {.fd = fd, .events = events};

    return poll(&p, 1, TCP_PATIENCE_MS) == 1 ? p.revents : 0;
}

static inline int tcp_listen(uint8_t family, struct endpoint *at)
{
    int fd;

    *at = tcp_loopback(family);
    fd = sock_listen(at, 0, false);
    sock_get_local(fd, at);
    return fd;
}

/* fds[0] dialled, fds[1] was accepted. */
static inline void tcp_pair(int fds[2])
{
    struct endpoint at, client;
    int listener = tcp_listen(AF_INET, &at);

    fds[0] = sock_connect(&at, 0);
    tcp_wait(listener, POLLIN);
    fds[1] = sock_accept(listener, &client);
    tcp_wait(fds[0], POLLOUT);
    close(listener);
    assert(fds[0] >= 0 && fds[1] >= 0);
}

/* From now on every segment to this socket is lost. */
static inline void tcp_deafen(int fd)
{
    struct sock_filter drop = {.code = BPF_RET | BPF_K, .k = 0};
    struct sock_fprog program = {.len = 1, .filter = &drop};

    setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program);
}

static inline void tcp_undeafen(int fd)
{
    int unused = 0;

    setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &unused, sizeof unused);
}

static inline int tcp_get_int(int fd, int level, int option)
{
    int value = -1;
    socklen_t len = sizeof value;

    getsockopt(fd, level, option, &value, &len);
    return value;
}
