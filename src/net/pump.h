/* net/pump.h - one direction of bytes: copy or splice, with ceilings, half-close left to the
 * caller.
 *
 * Copies through the worker's one buffer; a read that fills it whole goes over to splice, a splice
 * that moves little goes back.  Nothing is read while the taker has bytes waiting.  One thread a
 * pump. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "net/conn.h"

#define PUMP_BUFFER (64u * 1024)
#define PUMP_PIPE (256u * 1024)
#define PUMP_PIPES_MAX                                                                             \
    64               /* a worker's pipes kept for use; an ordinary user's may hold 64 MiB in all */
#define PUMP_READS 8 /* reads a call for one direction: the others wait no longer than that */

struct pump_pipe {
    int fds[2];    /* read end, write end */
    uint32_t held; /* bytes inside */
    struct pump *owner;
    struct pump_pipe *next; /* in the pool */
};

/* What the directions of one worker share. */
struct pump {
    char *buffer;           /* PUMP_BUFFER bytes, aligned to 64 */
    struct pump_pipe *pool; /* empty pipes */
    unsigned pooled;
    uint16_t no_pipes; /* the system gave none: copy, and ask again after that many wants */
};

bool pump_init(struct pump *p);
void pump_fini(struct pump *p);

enum pump_result {
    PUMP_WAIT,  /* the source has nothing more now, or the taker is full: an event will come */
    PUMP_AGAIN, /* moved its share, there is more */
    PUMP_EOF,   /* the source ended and the taker has all */
    PUMP_LIMIT, /* `limit` bytes were moved */
    PUMP_SOURCE_ERROR, /* err */
    PUMP_TAKER_ERROR,  /* err */
};

/* One direction of a session. */
struct pump_way {
    bool splice;    /* mode */
    bool no_splice; /* stay with copying: bytes are looked at, counted or throttled */
    bool unseen;    /* set when bytes went by splice: `see` was not asked about them */
    int err;        /* positive errno of a PUMP_…_ERROR */
    uint64_t moved; /* bytes that came from the source */
};

/* Sees bytes that were copied, before they go out; false: stop here, they are not sent
 * (PUMP_LIMIT). */
typedef bool (*pump_see_fn)(void *arg, const char *bytes, size_t n);

/* Moves from `from` to `to`, at most `limit` bytes in this call.  `see` may be NULL. */
enum pump_result pump_move(struct pump *p, struct pump_way *way, struct conn *from, struct conn *to,
                           uint64_t limit, pump_see_fn see, void *arg);

/* For conn: writes out the bytes of its pipe and gives it back when empty; 0, -EAGAIN, -errno. */
int pump_flush_pipe(struct conn *c);
/* Closes a pipe that still holds bytes. */
void pump_drop_pipe(struct conn *c);
