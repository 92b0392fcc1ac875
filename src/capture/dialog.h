/* capture/dialog.h - reads what two ends of a connection say to each other: HTTP, and TLS.
 *
 * The listener of capture/conn: it cuts a connection into exchanges (requests on a kept-alive
 * connection, a 407 and its retry), marks their moments, and hands each out when it is over.  Heads
 * and hellos that are not complete are kept, up to 64 KiB a direction and 32 MiB in all; beyond,
 * the exchange goes on without their content.  One thread. */
#pragma once

#include "capture/conn.h"
#include "capture/exchange.h"

struct dialogs;
struct secrets; /* capture/secrets.h */

struct dialogs_options {
    struct endpoint proxies[16]; /* -x; port 0, family 0: any */
    unsigned proxies_len;
    struct secrets *secrets; /* key log; NULL: none */
    /* What an exchange asks for is known, or as much as ever will be: a request's head is through,
     * a ClientHello (hello_hash is new each time), bytes without content went by.  NULL: nobody
     * cares.  `x` stays where it is until it is over. */
    void (*learnt)(void *owner, struct exchange *x, uint64_t now_ns);
    /* An exchange is over.  `x` (with x->conn) is the listener's until it returns, then it is gone:
     * what is to be kept is taken out of it. */
    void (*over)(void *owner, struct exchange *x, enum conn_end how, uint64_t now_ns);
    void *owner;
};

struct dialogs *dialogs_new(const struct dialogs_options *o);
void dialogs_free(struct dialogs *d);

/* Time passed (packets of others count): answers that were acknowledged a while ago are over, too,
 * though their connection is kept. */
void dialogs_tick(struct dialogs *d, uint64_t now_ns);

/* What conn_table_new wants. */
struct conn_events dialogs_get_events(struct dialogs *d);

/* True: this address was used as a proxy (-x, or by content so far). */
bool dialogs_is_proxy(const struct dialogs *d, const struct endpoint *e);

/* The same of a host, whatever the port. */
bool dialogs_is_proxy_host(const struct dialogs *d, const struct addr *a);

uint64_t dialogs_get_memory(const struct dialogs *d);
