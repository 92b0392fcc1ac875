/* net/dnsclient.h - one question to the DNS at a time: c-ares behind one call and one callback.
 *
 * The only file that includes c-ares, which keeps retries, identifiers and the move to TCP; it
 * starts with the first question.  A server that answers "I cannot" hands the question on to the
 * next one.  Knows no cache.  One owner, one thread; time is an argument but for c-ares' own
 * time-outs, which read the clock. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/endpoint.h"
#include "base/list.h"
#include "base/span.h"
#include "net/dnsmsg.h"
#include "net/resolve.h"

#define DNSCLIENT_DETAIL_MAX 256

struct dnsclient_channel;
struct dnsclient_ask;

struct dnsclient {
    resolve_watch_fn watch;
    void *owner;
    const struct endpoint *servers; /* borrowed from the owner, as are the next three */
    unsigned servers_len;           /* 0: those of resolv.conf */
    const char *resolv_conf;        /* NULL: /etc/resolv.conf */
    uint64_t timeout_ns;            /* of one try */
    struct list channels; /* those that take questions, and retired ones that end theirs */
    uint64_t ares_ns;     /* when c-ares wants to look at its time-outs */
    uint64_t look_ns;     /* when to look at resolv.conf again */
    uint64_t changed_ns;  /* time stamp of the resolv.conf that is in use */
};

/* What became of a question; borrowed for the call. */
struct dnsclient_result {
    enum resolve_status status;   /* RESOLVE_OK: at least one address */
    const struct dnsmsg *message; /* NULL: none came, or none that says how long it holds */
    const char *detail;           /* "NXDOMAIN from 192.0.2.53"; "" with RESOLVE_OK */
};
typedef void (*dnsclient_fn)(void *arg, enum dnsmsg_type type,
                             const struct dnsclient_result *result);

/* Starts on a zeroed one whose settings are filled in. */
void dnsclient_init(struct dnsclient *c, resolve_watch_fn watch, void *owner);
/* Open questions end without a callback. */
void dnsclient_fini(struct dnsclient *c);

/* The settings have changed: questions that are open go on with the old ones. */
void dnsclient_renew(struct dnsclient *c);
/* Looks at resolv.conf, if it is in use and a second has passed.  True when it changed:
 * dnsclient_renew was called, and what is known may no longer be right. */
bool dnsclient_follow(struct dnsclient *c, uint64_t now_ns);

/* Asks for one type of `name` (253 bytes at most, no NUL).  *slot is the question until its end,
 * then NULL; it must stay where it is.  Calls `fn` once, maybe inside.  False when memory is out or
 * c-ares does not start: then nothing is called. */
bool dnsclient_send(struct dnsclient *c, struct span name, enum dnsmsg_type type, uint64_t now_ns,
                    dnsclient_fn fn, void *arg, struct dnsclient_ask **slot);
/* Nobody wants the answer any more; c-ares cannot drop a single question, so it ends by itself. */
void dnsclient_let_go(struct dnsclient_ask *a);
/* Whom it was asked, for people: "192.0.2.1 or 127.0.0.1:5353". */
const char *dnsclient_get_servers(const struct dnsclient_ask *a);

/* A socket is ready (1 read | 2 write); c->ares_ns has come. */
void dnsclient_event(struct dnsclient *c, int fd, unsigned ready);
void dnsclient_tick(struct dnsclient *c, uint64_t now_ns);
/* Closes what has served its last question; not inside a callback. */
void dnsclient_sweep(struct dnsclient *c);
