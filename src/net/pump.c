#include "net/pump.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#define SPLICE_LITTLE 4096 /* a splice that moves less was not worth its second system call */
#define PIPES_PAUSE 1000   /* wants of a pipe that go without, once the system gave none */

bool pump_init(struct pump *p)
{
    *p = (struct pump){.buffer = aligned_alloc(64, PUMP_BUFFER)};
    return p->buffer != NULL;
}

static void pipe_close(struct pump_pipe *pipe)
{
    close(pipe->fds[0]);
    close(pipe->fds[1]);
    free(pipe);
}

void pump_fini(struct pump *p)
{
    while (p->pool) {
        struct pump_pipe *pipe = p->pool;

        p->pool = pipe->next;
        pipe_close(pipe);
    }
    free(p->buffer);
    p->buffer = NULL;
}

/* An empty pipe from the pool or the system; NULL: copy instead. */
static struct pump_pipe *pipe_get(struct pump *p)
{
    struct pump_pipe *pipe = p->pool;

    if (pipe) {
        p->pool = pipe->next;
        p->pooled--;
        return pipe;
    }
    if (p->no_pipes) {
        p->no_pipes--;
        return NULL;
    }
    pipe = calloc(1, sizeof *pipe); /* a few a worker in its life */
    if (!pipe)
        return NULL;
    if (pipe2(pipe->fds, O_NONBLOCK | O_CLOEXEC) < 0) {
        free(pipe);
        p->no_pipes = PIPES_PAUSE;
        return NULL;
    }
    if (fcntl(pipe->fds[1], F_SETPIPE_SZ, (int)PUMP_PIPE) < 0) {
        pipe_close(pipe); /* EPERM: the user's pipes hold all that they may */
        p->no_pipes = PIPES_PAUSE;
        return NULL;
    }
    pipe->owner = p;
    return pipe;
}

static void pipe_put(struct pump *p, struct pump_pipe *pipe)
{
    p->no_pipes = 0;
    if (p->pooled >= PUMP_PIPES_MAX) {
        pipe_close(pipe);
        return;
    }
    pipe->next = p->pool;
    p->pool = pipe;
    p->pooled++;
}

int pump_flush_pipe(struct conn *c)
{
    struct pump_pipe *pipe = c->pipe;

    while (pipe->held > 0) {
        ssize_t n =
            splice(pipe->fds[0], NULL, c->fd, NULL, pipe->held, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            c->ready &= (uint8_t)~CONN_OUT;
            return -errno;
        }
        pipe->held -= (uint32_t)n;
    }
    c->pipe = NULL;
    pipe_put(pipe->owner, pipe);
    return 0;
}

void pump_drop_pipe(struct conn *c)
{
    pipe_close(c->pipe);
    c->pipe = NULL;
}

static enum pump_result taker_error(struct pump_way *way, int err)
{
    way->err = err;
    return PUMP_TAKER_ERROR;
}

static enum pump_result source_error(struct pump_way *way, int err)
{
    way->err = err;
    return PUMP_SOURCE_ERROR;
}

/* One splice in and out.  PUMP_AGAIN: go on. */
static enum pump_result move_splice(struct pump *p, struct pump_way *way, struct conn *from,
                                    struct conn *to, uint64_t limit)
{
    struct pump_pipe *pipe = pipe_get(p);
    ssize_t n;
    int err;

    if (!pipe) {
        way->splice = false;
        return PUMP_AGAIN;
    }
    do
        n = splice(from->fd, NULL, pipe->fds[1], NULL, limit < PUMP_PIPE ? limit : PUMP_PIPE,
                   SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    while (n < 0 && errno == EINTR);
    if (n <= 0) {
        err = n < 0 ? errno : 0;
        pipe_put(p, pipe);
        if (n == 0) {
            from->eof = true;
            return PUMP_EOF;
        }
        if (err != EAGAIN)
            return source_error(way, err);
        from->ready &= (uint8_t)~CONN_IN;
        return PUMP_WAIT;
    }
    way->moved += (uint64_t)n;
    way->unseen = true;
    if (n < SPLICE_LITTLE)
        way->splice = false;
    pipe->held = (uint32_t)n;
    to->pipe = pipe;
    err = pump_flush_pipe(to);
    if (err == -EAGAIN)
        return PUMP_WAIT;
    return err < 0 ? taker_error(way, -err) : PUMP_AGAIN;
}

/* One read and write through the buffer.  PUMP_AGAIN: go on. */
static enum pump_result move_copy(struct pump *p, struct pump_way *way, struct conn *from,
                                  struct conn *to, uint64_t limit, pump_see_fn see, void *arg)
{
    size_t room = limit < PUMP_BUFFER ? (size_t)limit : PUMP_BUFFER;
    ssize_t n = conn_read(from, p->buffer, room);
    int err;

    if (n == 0)
        return PUMP_EOF;
    if (n == -EAGAIN)
        return PUMP_WAIT;
    if (n < 0)
        return source_error(way, (int)-n);
    way->moved += (uint64_t)n;
    if (see && !see(arg, p->buffer, (size_t)n))
        return PUMP_LIMIT;
    err = conn_send(to, p->buffer, (size_t)n);
    if (err < 0)
        return taker_error(way, -err);
    if ((size_t)n == PUMP_BUFFER && !way->no_splice && !from->tls && !to->tls &&
        !(from->ready & CONN_URGENT))
        way->splice = true;
    return conn_has_rest(to) ? PUMP_WAIT : PUMP_AGAIN;
}

enum pump_result pump_move(struct pump *p, struct pump_way *way, struct conn *from, struct conn *to,
                           uint64_t limit, pump_see_fn see, void *arg)
{
    uint64_t end = way->moved + limit;

    if (conn_has_rest(to)) {
        int err = to->ready & CONN_OUT ? conn_flush(to) : -EAGAIN;

        if (err == -EAGAIN)
            return PUMP_WAIT;
        if (err < 0)
            return taker_error(way, -err);
    }
    for (int i = 0; i < PUMP_READS; i++) {
        enum pump_result r;

        if (limit != UINT64_MAX && way->moved >= end)
            return PUMP_LIMIT;
        if (from->eof)
            return PUMP_EOF;
        if (!(from->ready & CONN_IN))
            return PUMP_WAIT;
        if (limit != UINT64_MAX)
            limit = end - way->moved;
        if (from->ready & CONN_URGENT)
            way->splice = false; /* the kernel splices nothing from behind an urgent byte */
        r = way->splice ? move_splice(p, way, from, to, limit)
                        : move_copy(p, way, from, to, limit, see, arg);
        if (r != PUMP_AGAIN)
            return r;
    }
    return PUMP_AGAIN;
}
