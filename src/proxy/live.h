/* proxy/live.h - what the workers are doing right now, asked by another thread; and ends one flow.
 *
 * A question goes to every worker's mailbox; each looks through its own sessions in its own turn,
 * so nothing of them is locked or shared.  Two rounds make a page: all answer with a number to sort
 * by for each flow that matches, then the few that are shown are copied.  One asking thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "flow/live.h"

struct live;
struct live_call;
struct proxy_shared;
struct worker;

/* For a server whose workers are there (`shared` outlives it); NULL: out of memory or descriptors.
 * Free it when the workers have ended. */
struct live *live_new(struct proxy_shared *shared);
void live_free(struct live *l);

/* Asks, and waits `timeout_ms` at most.  False: out of memory; *page is empty then.  The rows are
 * the caller's: live_page_fini. */
bool live_ask(struct live *l, const struct live_query *q, int timeout_ms, struct live_page *page);
void live_page_fini(struct live_page *page);

/* Ends a flow: one without answer gets 403 (acl-denied), any other is reset (reset-by-proxy). `who`
 * and `why` land in its record. */
enum live_end live_end(struct live *l, uint64_t id, const char *who, const char *why,
                       int timeout_ms);

/* For workers: answers a question that came by mail. */
void live_answer(struct worker *w, struct live_call *call);
void live_call_unref(struct live_call *call); /* NULL is fine */
