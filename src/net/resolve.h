/* net/resolve.h - names to addresses: the hosts file, a bounded cache with TTLs, c-ares on the
 * loop.
 *
 * One resolver a worker, one thread.  IP literals never come here.
 * A and AAAA are asked separately and at once; a query is done when both are in, or RESOLVE_DELAY
 * (50 ms, RFC 8305 3) after the first address came (the cache keeps what comes later). */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/endpoint.h"
#include "base/span.h"

#define RESOLVE_ADDRS_MAX 16

enum resolve_status {
    RESOLVE_OK,       /* one address or more */
    RESOLVE_WAIT,     /* asked: the callback will come */
    RESOLVE_NXDOMAIN, /* the name does not exist */
    RESOLVE_NODATA,   /* it exists and has no address */
    RESOLVE_SERVFAIL, /* the resolver failed; detail says how (SERVFAIL, REFUSED, …) */
    RESOLVE_TIMEOUT,
    RESOLVE_FAILED, /* could not ask: no server, no memory, no descriptor */
};

struct resolve_answer {
    enum resolve_status status;
    struct addr addrs[RESOLVE_ADDRS_MAX]; /* one family after the other, as RFC 6724 orders them */
    unsigned len;
    const char *source; /* "hosts", "cache", or "dns": static */
    const char *detail; /* "NXDOMAIN from 192.0.2.53" …, "" if OK; borrowed until the next call */
};

struct resolver;
struct resolve_config {
    const char *hosts_file; /* NULL: none; changes are followed, looked for once a second at most */
    const struct endpoint *servers; /* len 0: those of resolv.conf, followed when it changes */
    unsigned servers_len;
    const char *resolv_conf; /* NULL: /etc/resolv.conf; its domains complete names without a dot */
    uint64_t timeout_ns;     /* of one try */
    uint64_t total_ns;       /* of the whole query: resolve-timeout */
    uint32_t cache;          /* names */
};

/* How it asks its owner to watch sockets, level-triggered: want 1 read | 2 write; 0: forget the fd
 * (it will be closed).  May be called inside any of the functions below. */
typedef void (*resolve_watch_fn)(void *owner, int fd, unsigned want);

/* NULL when memory is out.  Copies the settings.  c-ares starts with the first name that needs DNS.
 */
struct resolver *resolver_new(const struct resolve_config *c, resolve_watch_fn watch, void *owner);
void resolver_free(struct resolver *r); /* pending queries end without a callback */
/* Takes over changed settings and forgets what it knows; pending queries go on with the old ones.
 * Without memory the old settings stay. */
void resolver_set(struct resolver *r, const struct resolve_config *c);

/* The owner's calls: a socket is ready (1 read | 2 write; both after an error); time passed.
 * Callbacks run inside these two only; they may find and cancel. */
void resolver_event(struct resolver *r, int fd, unsigned ready, uint64_t now_ns);
void resolver_tick(struct resolver *r, uint64_t now_ns);
/* When resolver_tick is wanted next; 0: at once; UINT64_MAX: no need.  Ask again after each call.
 */
uint64_t resolver_deadline_ns(const struct resolver *r);

typedef void (*resolve_fn)(void *arg, const struct resolve_answer *answer);

/* Looks `name` up (lower case, no trailing dot, 253 bytes at most).  An answer at hand fills
 * *answer and returns its status; else RESOLVE_WAIT, *query is set, and `fn` is called once unless
 * cancelled.  Equal names asked at the same time share one query, and its deadline. */
struct resolve_query;
enum resolve_status resolver_find(struct resolver *r, struct span name, uint64_t now_ns,
                                  resolve_fn fn, void *arg, struct resolve_query **query,
                                  struct resolve_answer *answer);
/* The callback will not come.  Once a query, before its callback began. */
void resolver_cancel(struct resolve_query *q);
