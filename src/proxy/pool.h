/* proxy/pool.h - connections towards targets and parents: in use by a session, or idle for the next
 * one.
 *
 * A link is found by address and port: the access rules are judged on addresses, and a link goes to
 * an address that was judged; and by what stands there, a target or which parent, so that no
 * request for one is ever sent to the other.  A link that spoke NTLM or Negotiate stays with its
 * session.  One worker. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/endpoint.h"
#include "base/list.h"
#include "base/slab.h"
#include "base/span.h"
#include "net/conn.h"
#include "net/loop.h"

struct session;

struct link {
    struct conn conn;
    struct session *session; /* NULL: idle in the pool */
    struct list node;        /* in the pool, or empty */
    struct endpoint at;
    uint32_t hop;       /* serial of the parent that it leads to; 0: a target */
    uint64_t since_ns;  /* idle since */
    uint32_t mss;       /* clamp it was opened with; 0: the kernel's */
    bool connected;     /* the handshake is through */
    bool healed;        /* that clamp is mtu-healing's */
    bool reused;        /* carried an exchange before this one: it may turn out stale */
    uint8_t try_number; /* of the session's dial, while connecting */
};

#define POOL_BUCKETS 256
#define POOL_IDLE_NS                                                                               \
    15000000000ull /* idle links are closed after this: shorter than most targets' keep-alive */
#define POOL_IDLE_MAX 512 /* idle links a worker */

struct pool {
    struct slab links;
    struct list buckets[POOL_BUCKETS];
    unsigned idle;
    uint64_t next_ns; /* when to look for links idle too long; UINT64_MAX: none is idle */
};

void pool_init(struct pool *p);
void pool_fini(struct pool *p); /* closes the idle ones */

/* Begins to connect to `at` for a session: a link to a target (the caller may say otherwise), its
 * socket registered with the loop under `kind`; NULL with *err (positive errno). */
struct link *pool_open(struct pool *p, struct loop *loop, uint8_t kind, const struct endpoint *at,
                       uint32_t mss, int *err);

/* An idle link to `at`, to that parent (0: a target), that looks alive, or NULL.  Those opened with
 * another clamp than `mss` are closed: it has changed since, because full-size segments vanish. */
struct link *pool_find(struct pool *p, const struct endpoint *at, uint32_t hop, uint32_t mss);

/* Gives a link back for others to use (it must be at rest: nothing unread, nothing unsent). */
void pool_keep(struct pool *p, struct link *l, uint64_t now_ns);

/* Whether a value of Authorization or WWW-Authenticate logs in the connection rather than the
 * request (NTLM, Negotiate): such a link is nobody else's. */
bool pool_is_connection_auth(struct span value);

/* Closes and frees. */
void pool_close(struct pool *p, struct link *l, bool reset);

/* An event came for an idle link: it has nothing to say to us, so it is closed. */
void pool_event(struct pool *p, struct link *l, uint32_t events);

/* Closes what was idle too long. */
void pool_tick(struct pool *p, uint64_t now_ns);
