/* proxy/door.h - a running proxy, as one other thread of the process (the console's) may use it.
 *
 * The server's main thread keeps it up to date and carries orders out; the other side asks.  A lock
 * between these two, which no worker takes. */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "base/endpoint.h"
#include "base/err.h"
#include "config/config.h"
#include "flow/live.h"
#include "flow/totals.h"

struct live;
struct proxy_shared;

struct door {
    struct proxy_shared *shared;
    struct live *live;
    int order_fd; /* eventfd: the main thread waits for it among others */
    pthread_mutex_t lock;
    pthread_cond_t told;
    struct config *config;   /* in force; a reference */
    uint64_t orders, served; /* reloads that were asked for, and that came to an end */
    bool served_well;
    char trouble[512]; /* what the last one failed at */
    bool draining;
    struct stat accounts;  /* the accounts file as it was read last; zeroed: none was there */
    bool accounts_refused; /* and those of before stayed */
    struct endpoint at;    /* the first listener, as bound; port 0: none */
    bool tls;              /* which speaks TLS */
    uint64_t start_ns;     /* wall clock */
    uint64_t began_ns;     /* the same moment, monotonic */
};

struct door_state {
    bool draining;
    uint64_t start_ns;  /* wall clock, when the proxy started */
    uint64_t uptime_ns; /* since then, whatever became of that clock */
    unsigned workers;
    uint32_t connections, connections_max; /* of clients, open now and at most */
    uint64_t flows_dropped;                /* that never came to the log: its queue was full */
    uint64_t history_lost;                 /* flows that are not in the history although it is on */
    struct endpoint at;                    /* the first listener, as bound; port 0: none */
    bool tls;                              /* which speaks TLS */
};

/* For the server: once its workers are there, until they have ended. */
bool door_init(struct door *d, struct proxy_shared *shared, struct config *config, struct err *err);
void door_fini(struct door *d); /* safe on a zeroed one */
void door_set_config(struct door *d, struct config *config);
void door_set_listener(struct door *d, const struct endpoint *at, bool tls);
void door_set_draining(struct door *d);
/* The accounts file was read, as `seen`; `refused`: it is of no use. */
void door_set_accounts(struct door *d, const struct stat *seen, bool refused);
/* Whether a reload was ordered since the last time; then door_tell is owed. */
bool door_take_order(struct door *d);
void door_tell(struct door *d, bool well, const char *trouble);

/* For the other thread. */

/* As live_ask and live_end, a second at most. */
bool door_ask(struct door *d, const struct live_query *q, struct live_page *page);
enum live_end door_end(struct door *d, uint64_t id, const char *who, const char *why);

/* What ended flows came to (totals_free); false: out of memory. */
bool door_read_totals(struct door *d, struct totals *out);

/* The configuration in force: a reference that is the caller's. */
struct config *door_get_config(struct door *d);

/* Has the files read anew, as SIGHUP does, and waits for the outcome.  False with *err: what is
 * wrong; the configuration in force stays. */
bool door_reload(struct door *d, struct err *err);

/* Has what ended so far in the history, a quarter of a second at most; false: not all of it is. */
bool door_flush_history(struct door *d);

/* Whether the accounts file that is at `path` now is the one that was read last and taken; or that
 * was refused.  Neither: it will be read in a moment. */
void door_look_at_accounts(struct door *d, const char *path, bool *taken, bool *refused);

void door_get_state(struct door *d, struct door_state *out);
