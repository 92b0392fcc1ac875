/* net/sock.h - non-blocking TCP sockets: calls that answer >= 0 or -errno; EINTR ends here. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/endpoint.h"

/* A listening socket with TCP_NODELAY and SO_KEEPALIVE for accepted ones to inherit.  `mss` clamps
 * towards clients (0: the kernel's).  `shared`: SO_REUSEPORT, one socket a worker. */
int sock_listen(const struct endpoint *at, uint32_t mss, bool shared);

/* Whether somebody listens at `at` already: 0, or -EADDRINUSE, or why it cannot be bound.
 * SO_REUSEPORT alone would let two proxies share a port and each see half of its connections.  Port
 * 0 becomes one that is free: with SO_REUSEPORT the kernel may give one that is shared. */
int sock_probe_listen(struct endpoint *at);

/* Makes a listening socket that somebody else opened like one of ours: non-blocking, closed on
 * exec, with what accepted ones inherit.  0; -EINVAL: it does not listen, or not for TCP; -errno.
 */
int sock_adopt_listener(int fd);

/* The next connection and its client's address, or -errno (-EAGAIN: none; -EMFILE …). */
int sock_accept(int fd, struct endpoint *client);

/* Whether a connection waits to be accepted. */
bool sock_has_client(int fd);

/* Begins to connect: a descriptor, the handshake still under way; or -errno. */
int sock_connect(const struct endpoint *to, uint32_t mss);

/* Why the connection failed, or 0: the pending error of the socket (positive errno). */
int sock_get_error(int fd);

/* Bytes, 0 at the end, -EAGAIN or another -errno. */
ssize_t sock_read(int fd, void *out, size_t n);
ssize_t sock_write(int fd, const void *bytes, size_t n);

/* Bytes that were written and that the peer has not acknowledged; 0 where that cannot be told. */
uint32_t sock_count_queued(int fd);

/* Ends our direction (FIN). */
void sock_shutdown(int fd);
/* Closes so that the other side sees RST. */
void sock_reset(int fd);

void sock_set_nodelay(int fd);

/* This end's address. */
bool sock_get_local(int fd, struct endpoint *out);

/* What TCP_INFO tells of a connection. */
struct sock_info {
    uint32_t rtt_us, retransmissions, mss, pmtu;
    uint64_t
        unacked; /* bytes sent, less retransmitted, less acknowledged; the FIN counts as none */
    uint64_t
        unsent; /* written by us, kept by the kernel: the peer's window; the FIN counts as none */
    uint64_t acked;        /* bytes acknowledged since the beginning */
    bool zero_window;      /* the peer's receive window is closed */
    uint32_t backoffs;     /* retransmission time-outs in a row, now: as often the first
                            * unacknowledged segment was sent again */
    uint32_t out_of_order; /* segments that came from behind a hole, ever */
    uint32_t sacked;       /* segments behind that one that the peer has */
    uint32_t timeout_ms;   /* until it is sent again, as backed off by now */
    uint32_t since_ack_ms; /* since the peer last acknowledged anything */
    uint64_t received;     /* bytes that came, in order */
    uint32_t quiet_ms;     /* since bytes last came in order; since the handshake */
    uint32_t advmss;       /* what our SYN announced, less the options */
    uint32_t options;      /* bytes of options in each segment: timestamps */
    uint32_t rcv_mss;      /* bytes of the largest segment that came in its turn; 536 until then */
};
bool sock_read_info(int fd, struct sock_info *out);
