/* net/loop.h - epoll with tagged references, and the one place where a worker's time is read.
 *
 * The kernel carries {kind, slot, generation} in place of a pointer: an event that comes late, for
 * an object that was given back, is found out by its generation.  Sockets are registered once,
 * edge-triggered, for all that can happen (DATA below); who owns the socket remembers readiness.
 * One thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

/* What a socket of bytes is registered for, once in its life. */
#define LOOP_DATA ((uint32_t)EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLPRI | (uint32_t)EPOLLET)

#define LOOP_BATCH 128 /* events taken at once */

struct loop_ref {
    uint8_t kind;        /* the owner's enum */
    uint32_t slot;       /* 24 bits; or a descriptor */
    uint32_t generation; /* 32 bits */
};

struct loop {
    int fd;
    uint64_t now_ns;  /* monotonic, of the last loop_wait or loop_touch */
    uint64_t wall_ns; /* the same moment on the wall */
    struct epoll_event events[LOOP_BATCH];
};

/* 0 or -errno. */
int loop_init(struct loop *l);
void loop_fini(struct loop *l);

/* 0 or -errno (-ENOSPC, -ENOMEM: the kernel has no room). */
int loop_add(struct loop *l, int fd, uint32_t events, struct loop_ref ref);
int loop_change(struct loop *l, int fd, uint32_t events, struct loop_ref ref);
/* Only for descriptors that stay open or are closed by somebody else; close() forgets by itself. */
void loop_remove(struct loop *l, int fd);

/* Waits until `until_ns` at most (0: not at all; UINT64_MAX: without end).  The number of events, 0
 * on a time-out or a signal.  Reads the clock. */
int loop_wait(struct loop *l, uint64_t until_ns);

/* Reads the clock again, between two events of a batch. */
void loop_touch(struct loop *l);

/* The reference and the event bits of event `i`. */
struct loop_ref loop_get_ref(const struct loop *l, int i);
static inline uint32_t loop_get_events(const struct loop *l, int i)
{
    return l->events[i].events;
}
