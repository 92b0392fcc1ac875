/* console/door.h - the proxy as the console sees it: what it may ask of it, and order.
 *
 * cli/cmd_serve fills it in from the server, so that the console knows no source of flows.  All are
 * called on the console's thread, and return within a second or two (reload: 30 s). */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/endpoint.h"
#include "base/err.h"
#include "config/config.h"
#include "flow/live.h"
#include "flow/totals.h"

struct console_state {
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

struct console_door {
    void *owner;
    /* Flows under way; the rows are the caller's.  False: out of memory. */
    bool (*ask)(void *owner, const struct live_query *q, struct live_page *page);
    enum live_end (*end)(void *owner, uint64_t id, const char *who, const char *why);
    /* What ended flows came to since the start; totals_free.  False: out of memory. */
    bool (*totals)(void *owner, struct totals *out);
    struct config *(*config)(void *owner); /* the one in force: a reference */
    bool (*reload)(void *owner, struct err *err);
    void (*state)(void *owner, struct console_state *out);
    /* Has what ended so far in the history, if that takes no longer than a quarter of a second. */
    void (*settle)(void *owner);
    /* Whether the accounts file at `path`, as it is now, was read and taken, or refused; neither:
     * it is read in a moment. */
    void (*accounts)(void *owner, const char *path, bool *taken, bool *refused);
};
