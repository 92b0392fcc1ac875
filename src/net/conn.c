#include "net/conn.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "net/pump.h"
#include "net/sock.h"
#include "net/tls.h"

void conn_init(struct conn *c, int fd, enum conn_nodelay nodelay)
{
    *c = (struct conn){.fd = fd, .nodelay = (uint8_t)nodelay, .rest.max = CONN_REST_MAX};
}

void conn_note_events(struct conn *c, uint32_t events)
{
    if (events & EPOLLIN)
        c->ready |= CONN_IN;
    if (events & EPOLLOUT)
        c->ready |= CONN_OUT;
    if (events & EPOLLRDHUP)
        c->ready |= CONN_RDHUP | CONN_IN;
    if (events & (EPOLLERR | EPOLLHUP))
        c->ready |= CONN_ERR | CONN_IN | CONN_OUT;
    if (events & EPOLLPRI)
        c->ready |= CONN_URGENT;
    if (c->tls &&
        events & (EPOLLIN | EPOLLOUT)) /* TLS reads may wait for writing, and writes for reading */
        c->ready |= CONN_IN | CONN_OUT;
}

ssize_t conn_read(struct conn *c, void *out, size_t n)
{
    ssize_t got;

    if (c->eof)
        return 0;
    if (c->tls) {
        got = tls_read(c->tls, out, n);
        if (got == -EAGAIN)
            c->ready &= (uint8_t)~CONN_IN;
    } else {
        got = sock_read(c->fd, out, n);
        if (got == -EAGAIN)
            c->ready &= (uint8_t)~CONN_IN;
        else if (got > 0 && (size_t)got < n && !(c->ready & (CONN_URGENT | CONN_ERR))) {
            /* drained; and with RDHUP known before the read, that was all there will ever be */
            if (c->ready & CONN_RDHUP)
                c->eof = true;
            else
                c->ready &= (uint8_t)~CONN_IN;
        }
    }
    if (got == 0)
        c->eof = true;
    return got;
}

/* A record at a time, until all is taken or the socket is full: less than `n` means full. */
static ssize_t write_tls(struct conn *c, const char *bytes, size_t n)
{
    size_t done = 0;

    while (done < n) {
        ssize_t put = tls_write(c->tls, bytes + done, n - done);

        if (put < 0)
            return done ? (ssize_t)done : put;
        done += (size_t)put;
    }
    return (ssize_t)done;
}

ssize_t conn_write(struct conn *c, const void *bytes, size_t n)
{
    ssize_t put;

    if (c->nodelay == NODELAY_AFTER_FIRST_WRITE) {
        c->nodelay = NODELAY_AT_NEXT_WRITE;
    } else if (c->nodelay == NODELAY_AT_NEXT_WRITE) {
        c->nodelay = NODELAY_SET;
        sock_set_nodelay(c->fd);
    }
    put = c->tls ? write_tls(c, bytes, n) : sock_write(c->fd, bytes, n);
    if (put < 0 || (size_t)put < n)
        c->ready &= (uint8_t)~CONN_OUT;
    return put;
}

int conn_send(struct conn *c, const void *bytes, size_t n)
{
    ssize_t put = 0;

    if (n == 0)
        return 0;
    if (!conn_has_rest(c)) {
        put = conn_write(c, bytes, n);
        if (put == -EAGAIN)
            put = 0;
        if (put < 0)
            return (int)put;
    }
    if ((size_t)put < n && !buf_append(&c->rest, (const char *)bytes + put, n - (size_t)put))
        return -ENOBUFS;
    return 0;
}

int conn_flush(struct conn *c)
{
    while (c->rest.len > 0) {
        struct span s = buf_span(&c->rest);
        ssize_t put = conn_write(c, s.ptr, s.len);

        if (put < 0)
            return (int)put;
        buf_consume(&c->rest, (size_t)put);
        if ((size_t)put < s.len)
            return -EAGAIN;
    }
    buf_fini(&c->rest);
    return c->pipe ? pump_flush_pipe(c) : 0;
}

void conn_shutdown(struct conn *c)
{
    if (c->shut || c->fd < 0)
        return;
    if (c->tls)
        tls_shutdown(c->tls);
    sock_shutdown(c->fd);
    c->shut = true;
}

/* What goes before the descriptor, and what goes after it. */
static void end_tls(struct conn *c, bool reset)
{
    if (!c->tls)
        return;
    if (!reset && !c->shut)
        tls_shutdown(c->tls);
    tls_free(c->tls);
    c->tls = NULL;
}

static void forget(struct conn *c)
{
    c->fd = -1;
    c->ready = 0;
    buf_fini(&c->rest);
    if (c->pipe)
        pump_drop_pipe(c);
}

void conn_close(struct conn *c, bool reset)
{
    if (c->fd < 0)
        return;
    end_tls(c, reset);
    if (reset)
        sock_reset(c->fd);
    else
        close(c->fd);
    forget(c);
}

int conn_close_keeping(struct conn *c, int like)
{
    int fd = c->fd;

    if (fd < 0)
        return -1;
    end_tls(c, false);
    if (dup3(like, fd, O_CLOEXEC) < 0) {
        close(fd);
        fd = -1;
    }
    forget(c);
    return fd;
}
