/* capture/pair.h - joins the two legs of one request: client to proxy, and proxy to target.
 *
 * A capture that was taken on the proxy, or on both sides of it, has each request twice.  They are
 * one where the same ClientHello goes through both, or the same request within a second; a CONNECT
 * that nothing was said behind, where the proxy opened exactly one connection to the port asked for
 * between it and its answer.  Else they are not joined.  The far leg becomes x->upstream of the
 * near one, and is not told by itself.  A leg to a parent proxy is joined likewise (to_parent).
 * Bounded: 4096 recent requests, 1024 that wait.  One thread. */
#pragma once

#include "capture/dialog.h"

struct pairs;

struct pairs_options {
    const struct dialogs *dialogs; /* who is a proxy */
    /* An exchange is over, and so is its other leg, if it has one.  As in dialogs_options. */
    void (*over)(void *owner, struct exchange *x, enum conn_end how, uint64_t now_ns);
    /* What that address still tries; a failure whose far leg may come later waits for it.  NULL:
     * nobody knows. */
    struct conn_attempts (*attempts)(void *owner, const struct addr *opener);
    void *owner;
};

/* NULL: out of memory. */
struct pairs *pairs_new(const struct pairs_options *o);
void pairs_free(struct pairs *p); /* what waits is gone: pairs_finish first */

/* What dialogs_options.learnt and .over say. */
void pairs_learn(struct pairs *p, struct exchange *x, uint64_t now_ns);
void pairs_end(struct pairs *p, struct exchange *x, enum conn_end how, uint64_t now_ns);

/* True: it is the far leg of another, and will not be told. */
bool pairs_is_upstream(const struct exchange *x);

/* Time passed: who waited in vain is told. */
void pairs_tick(struct pairs *p, uint64_t now_ns);
void pairs_finish(struct pairs *p);

uint64_t pairs_get_memory(const struct pairs *p);
