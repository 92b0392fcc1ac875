/* flow/live.h - flows that are under way: what one asks for, and what comes back.
 *
 * Data only; the proxy answers (proxy/live.h), the console shows. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "flow/flow.h"

#define LIVE_ROWS_MAX 100

enum live_order {
    LIVE_BY_AGE,
    LIVE_BY_IDLE,
    LIVE_BY_UP,
    LIVE_BY_DOWN,
    LIVE_BY_CLIENT, /* texts by their first 16 bytes, without case */
    LIVE_BY_USER,
    LIVE_BY_TARGET,
    LIVE_BY_RULE,
    LIVE_BY_PHASE,
    LIVE_ORDER_COUNT
};

/* Which flows, and which of them in what order.  The texts are met as a search of the history meets
 * them: the client's address (here with its port, too), the user and the rule by their whole names,
 * the target by its host, "host:port" or ".domain"; "": any. */
struct live_query {
    enum live_order order;
    bool descending;
    uint32_t offset, limit; /* limit: LIVE_ROWS_MAX at most */
    char client[ENDPOINT_TEXT_MAX], user[128], target[256], rule[128];
    uint64_t id;          /* this one only; 0: any */
    uint64_t begun_by_ns; /* flow.begin_ns at most; 0: any */
};

struct live_row {
    struct flow flow; /* a copy, as open: duration and legs are those of now */
    uint64_t idle_ns; /* since bytes last moved */
};

/* Zeroed: empty. */
struct live_page {
    struct live_row rows[LIVE_ROWS_MAX];
    unsigned len;
    uint64_t matching; /* flows that the query fits */
    uint64_t open;     /* flows of all workers; connections without a request are none */
    uint64_t tunnels;  /* of them */
    uint64_t bytes_up, bytes_down; /* moved so far by all that are open */
    bool whole;                    /* every worker answered in time */
    uint64_t next_ns; /* by age: when the last one of this page began, for begun_by_ns of the next
                       * page, also where it has ended since; 0: there was none */
};

enum live_end { LIVE_ENDED, LIVE_NOT_FOUND, LIVE_UNKNOWN /* a worker did not answer in time */ };
