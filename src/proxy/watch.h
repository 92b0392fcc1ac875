/* proxy/watch.h - what a tunnel's first bytes tell: TLS or not, both hellos, alerts.
 *
 * Looks only, holds nothing back.  One worker; freed once a tunnel turns out not to be TLS. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/span.h"
#include "flow/flow.h"
#include "flow/judge.h"
#include "wire/tlsrec.h"

struct watch {
    struct tlsrec up, down;          /* `lost` once bytes passed unseen */
    struct buf hello_up, hello_down; /* hellos that have not come whole */
    bool decided;                    /* is_tls is known */
    bool is_tls;
    bool hello_client, hello_target; /* they are through */
    bool through;                    /* the client spoke after the ServerHello: bulk may begin */
    bool is_13;                      /* the ServerHello chose TLS 1.3 */
};

struct watch *watch_new(void);    /* NULL: out of memory */
void watch_free(struct watch *w); /* NULL is fine */

/* Bytes of the client, or of the target; findings go into the flow. */
void watch_see_up(struct watch *w, struct span bytes, struct flow *f);
void watch_see_down(struct watch *w, struct span bytes, struct flow *f);

/* Puts SNI, ALPN and version of a ClientHello into the flow. */
void watch_take_client_hello(struct flow *f, const struct tls_hello *h);

/* The symptoms that the records tell. */
void watch_gather(const struct watch *w, struct symptoms *y);
