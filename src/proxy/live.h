/* proxy/live.h - what the workers are doing right now, asked by another thread; and ends one flow.
 *
 * A question goes to every worker's mailbox; each looks through its own sessions in its own turn,
 * so nothing of them is locked or shared.  Two rounds make a page: all answer with a number to sort
 * by for each flow that matches, then the few that are shown are copied.  One asking thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "flow/flow.h"

#define LIVE_ROWS_MAX 100

struct live;
struct live_call;
struct proxy_shared;
struct worker;

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

/* Which flows, and which of them in what order.  The texts are parts that a flow's must have,
 * without case; "": any. */
struct live_query {
    enum live_order order;
    bool descending;
    uint32_t offset, limit; /* limit: LIVE_ROWS_MAX at most */
    char client[ENDPOINT_TEXT_MAX], user[128], target[256], rule[128];
    uint64_t id; /* this one only; 0: any */
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
};

/* For a server whose workers are there (`shared` outlives it); NULL: out of memory or descriptors.
 * Free it when the workers have ended. */
struct live *live_new(struct proxy_shared *shared);
void live_free(struct live *l);

/* Asks, and waits `timeout_ms` at most.  False: out of memory; *page is empty then.  The rows are
 * the caller's: live_page_fini. */
bool live_ask(struct live *l, const struct live_query *q, int timeout_ms, struct live_page *page);
void live_page_fini(struct live_page *page);

enum live_end { LIVE_ENDED, LIVE_NOT_FOUND, LIVE_UNKNOWN /* a worker did not answer in time */ };

/* Ends a flow: one without answer gets 403 (acl-denied), any other is reset (reset-by-proxy). `who`
 * and `why` land in its record. */
enum live_end live_end(struct live *l, uint64_t id, const char *who, const char *why,
                       int timeout_ms);

/* For workers: answers a question that came by mail. */
void live_answer(struct worker *w, struct live_call *call);
void live_call_unref(struct live_call *call); /* NULL is fine */
