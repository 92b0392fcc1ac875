/* console/crowd.h - who is connected to a listener: who does not come to the point makes room.
 *
 * A client that sends a byte now and then would hold its connection for ever, and as many of them
 * as there may be would keep everybody else out.  So each has a time for its next whole request,
 * and so has each for taking its answer; where nearly all places are taken, the one that has taken
 * longest with either is hung up on.  Knows descriptors and the time, nothing of HTTP.  The
 * console's thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define CROWD_PATIENCE_S 30 /* until a request is whole */
#define CROWD_LONG_S 600    /* the same of one that brings a capture; until an answer is taken */

struct crowd_guest {
    int fd; /* borrowed */
    enum { CROWD_ASKING, CROWD_UPLOADING, CROWD_SERVED, CROWD_FOLLOWING, CROWD_GONE } state;
    uint64_t since_ns; /* asking, uploading or served */
    struct crowd_guest *next;
};

/* Zeroed but for `room` it is empty. */
struct crowd {
    unsigned room; /* beyond so many guests, one is hung up on for each that comes */
    unsigned len;
    struct crowd_guest *first; /* the latest that came */
};

/* One more, asking; NULL: out of memory, and it is not watched over. */
struct crowd_guest *crowd_add(struct crowd *c, int fd, uint64_t now_ns);
/* Before its descriptor is closed; NULL is fine. */
void crowd_remove(struct crowd *c, struct crowd_guest *g);

/* What it brings is a capture, for somebody who is known; then: its request is whole; what it gets
 * are events without end; then: it was answered, and asks again.  NULL is fine. */
void crowd_set_uploading(struct crowd_guest *g);
void crowd_set_served(struct crowd_guest *g, uint64_t now_ns);
void crowd_set_following(struct crowd_guest *g);
void crowd_set_asking(struct crowd_guest *g, uint64_t now_ns);

/* Hangs up on those whose time is over. */
void crowd_tick(struct crowd *c, uint64_t now_ns);
