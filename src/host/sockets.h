/* host/sockets.h - this machine's TCP connections, as the kernel's sock_diag(7) tells them.
 *
 * One dump gives every live connection of the network namespace, whosever it is: not what listens,
 * nor what is over and waits in time-wait.  The process behind one is looked up apart from it
 * (owners.h).  Blocks for as long as the kernel needs; no clock, one thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/endpoint.h"
#include "base/err.h"
#include "base/span.h"

enum sockets_state {                /* of RFC 9293 3.3.2, numbered as the kernel does */
                     SOCKETS_OTHER, /* one that this list does not know */
                     SOCKETS_ESTABLISHED,
                     SOCKETS_SYN_SENT,
                     SOCKETS_SYN_RECEIVED,
                     SOCKETS_FIN_WAIT_1,
                     SOCKETS_FIN_WAIT_2,
                     SOCKETS_TIME_WAIT,
                     SOCKETS_CLOSED,
                     SOCKETS_CLOSE_WAIT,
                     SOCKETS_LAST_ACK,
                     SOCKETS_LISTEN,
                     SOCKETS_CLOSING,
                     SOCKETS_STATE_COUNT
};

/* One end of a connection.  A figure that the kernel does not tell, or that means nothing yet, is
 * -1. */
struct sockets_entry {
    struct endpoint local, peer;
    enum sockets_state state;
    uint32_t uid;
    uint32_t inode; /* 0: no program holds it any more, or not yet */
    int64_t rtt_us;
    int64_t retransmissions; /* segments, since the beginning */
    int64_t retransmitting;  /* segments sent again and not acknowledged yet */
    int64_t mss;             /* of what this end sends */
    int64_t pmtu;
    int64_t unacked;         /* bytes sent and not acknowledged; neither SYN nor FIN counts */
    int64_t send_queue;      /* bytes not acknowledged, sent or not; SYN and FIN count one each */
    int64_t receive_queue;   /* bytes that the program did not read yet */
    int64_t sent_ago_ms;     /* since data was last sent; -1: none ever was */
    int64_t received_ago_ms; /* since data last came; -1: none ever did */
    int64_t age_ms;   /* since the handshake; known only while one direction had no byte: the kernel
                         keeps the times of the last bytes, which then stand where they began */
    int32_t pid;      /* of the first process that holds it (owners.h), 0: unknown */
    char process[65]; /* its name, bytes from outside; "" when unknown */
};

struct sockets {
    struct sockets_entry *items;
    size_t len, cap;
};
void sockets_fini(struct sockets *s);

/* Whether `e` belongs to what one asked for; `context` is the caller's. */
typedef bool (*sockets_keep_fn)(const struct sockets_entry *e, const void *context);

/* Replaces *out by this network namespace's connections that `keep` (NULL: all) wants, ordered by
 * peer, then by local end.  False, with *out as it was, when the kernel does not answer or memory
 * is out. */
bool sockets_read(struct sockets *out, sockets_keep_fn keep, const void *context, struct err *err);

/* Adds the connections of one datagram of a dump.  1: more datagrams follow; 0: that was the last;
 * -EBADMSG: not what the kernel writes; -ENOMEM; or the -errno that the kernel answered. */
int sockets_parse(struct sockets *s, struct span datagram);

/* "established"; "other" for SOCKETS_OTHER. */
const char *sockets_state_name(enum sockets_state state);
