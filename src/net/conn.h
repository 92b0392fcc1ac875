/* net/conn.h - one side of a session: a socket, what is known of its readiness, and the bytes that
 * it has not taken yet.
 *
 * Registered once, edge-triggered: `ready` remembers what the kernel said until a call shows
 * otherwise. `rest` and `pipe` hold bytes that came from the other side and wait for this one; the
 * other side is not read while they are there, so a tunnel owns memory only then.  One thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"

struct tls;
struct pump_pipe;

enum conn_ready {
    CONN_IN = 1,      /* may be read */
    CONN_OUT = 2,     /* may be written */
    CONN_RDHUP = 4,   /* the other end sent FIN: a short read is the last one */
    CONN_ERR = 8,     /* an error waits in the socket */
    CONN_URGENT = 16, /* urgent data was seen: a short read proves nothing any more */
};

/* Nagle holds a small write back only while an earlier one is unacknowledged: the first write needs
 * no TCP_NODELAY, and a short exchange never makes a second. */
enum conn_nodelay { NODELAY_SET, NODELAY_AT_NEXT_WRITE, NODELAY_AFTER_FIRST_WRITE };

struct conn {
    int fd;                 /* -1: none */
    uint8_t ready;          /* enum conn_ready */
    bool eof;               /* its stream was read to the end */
    bool shut;              /* we sent FIN */
    uint8_t nodelay;        /* enum conn_nodelay */
    struct tls *tls;        /* NULL: plain */
    struct buf rest;        /* bytes it has to take first */
    struct pump_pipe *pipe; /* NULL, or bytes of a splice it has to take */
};

/* The most that a conn's rest may hold: one buffer of the worker and a head. */
#define CONN_REST_MAX (128u * 1024)

void conn_init(struct conn *c, int fd, enum conn_nodelay nodelay);

/* Takes the bits of an epoll event. */
void conn_note_events(struct conn *c, uint32_t events);

/* Reads up to n bytes: > 0, 0 at the end (eof is set), -EAGAIN (CONN_IN is cleared), -errno. */
ssize_t conn_read(struct conn *c, void *out, size_t n);

/* Writes: bytes taken (maybe fewer: CONN_OUT is cleared), -EAGAIN, -errno. */
ssize_t conn_write(struct conn *c, const void *bytes, size_t n);

/* Writes what it can and keeps what it cannot in `rest`, behind what waits there.  0, or -errno
 * (-ENOBUFS: the rest is full). */
int conn_send(struct conn *c, const void *bytes, size_t n);

/* Writes the rest.  0: nothing waits any more; -EAGAIN; -errno. */
int conn_flush(struct conn *c);

static inline bool conn_has_rest(const struct conn *c)
{
    return c->rest.len > 0 || c->pipe;
}

/* Sends FIN (after close_notify on TLS), once. */
void conn_shutdown(struct conn *c);

/* Closes: cleanly, or (`reset`) so that the other end sees RST.  Safe on a closed one. */
void conn_close(struct conn *c, bool reset);

/* Closes cleanly, but keeps the descriptor's number, as one more of `like`: so nobody else gets it
 * in between.  The number, the caller's to close; -1 when that failed, and it is closed. */
int conn_close_keeping(struct conn *c, int like);
