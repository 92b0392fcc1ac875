/* proxy/heal.h - mtu-healing: addresses behind a black hole, and the segment size that later
 * connections to them begin with.
 *
 * What is known comes from the connections that clients ask for; nothing is probed.  A connection
 * that ended in a black hole makes later ones to its address begin with a smaller size, step by
 * step (net/mtu.h); a size that gets through is kept for an hour, and so is the knowledge that none
 * does.  One table for all workers: a slot is one atomic word, and what is lost by a race is one
 * step. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/endpoint.h"
#include "flow/judge.h"
#include "net/sock.h"

#define HEAL_SLOTS 1024 /* addresses remembered; a newer one takes an older one's place */
#define HEAL_NS (3600 * 1000000000ull)

struct session;

struct heal {
    _Atomic uint64_t slots[HEAL_SLOTS]; /* all zero: nothing is remembered */
};

/* The size for a new connection to `at`, or `mss` (the configured one, 0: the kernel's). */
uint32_t heal_find(const struct heal *h, const struct addr *at, uint32_t mss, uint64_t now_ns);

/* What a black hole on a connection has led to. */
enum heal_news {
    HEAL_KNOWN,    /* nothing: another connection said so before, or it was given up */
    HEAL_STEP,     /* later connections begin with *next */
    HEAL_GIVEN_UP, /* the smallest size did not help: back to `mss` */
};

/* A connection to `at` ended in a black hole: `tried`, what it was opened with (heal_find's
 * answer); `in_force`, the segment size that it had come to; `mss`, the configured one. */
enum heal_news heal_report(struct heal *h, const struct addr *at, uint32_t tried, uint32_t in_force,
                           uint32_t mss, uint64_t now_ns, uint32_t *next);

/* ---- for sessions, of the connection that serves them */

/* The size for a new link. */
uint32_t heal_find_mss(const struct session *s, const struct addr *at);

/* What both sockets tell, of the client's and of the link's. */
struct heal_info {
    struct sock_info client, target;
};

/* Reads it once for the judge, for the flow's legs and (*info, zeroed where there is no socket) for
 * the caller. */
void heal_gather(struct session *s, struct symptoms *y, struct heal_info *info);

/* Takes in an ending: remembers the address when the black hole is on its side. */
void heal_take(struct session *s, const struct ending *e);

/* Whether a black hole is why a flow ends that the proxy itself gives up, or whose client left
 * while it waited; then with *e and evidence. */
bool heal_explains(struct session *s, struct ending *e);

/* The flow ends, and not in a black hole: warns when its link began with a smaller size for that.
 */
void heal_note(struct session *s);
