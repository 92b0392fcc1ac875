/* proxy/hop.h - the parent proxy as one worker knows it: where it is, how it is spoken to, and our
 * login there.
 *
 * A reload that changes the settings makes a new one, with a login that knows nothing; flows under
 * way keep theirs, so no secret goes to a parent it was not meant for.  Counted without atomics:
 * one worker. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "config/config.h"
#include "policy/login.h"

struct tls_context;

struct hop {
    unsigned refs;
    uint32_t serial;         /* 1 or more; a link of one hop is never taken for another's */
    char *host;              /* name or address, without brackets */
    char *text;              /* "host:port", for the record */
    struct addr addr;        /* family 0: a name */
    uint16_t port;           /* host order */
    bool by_tls;             /* it is an https:// proxy: */
    struct tls_context *tls; /* a reference of its own */
    struct login login;
    const void *prover; /* the session whose credentials are the first to be sent; NULL: none */
    uint64_t proves_until_ns; /* how long other workers wait for it */
};

/* Loads what TLS to the configured parent needs: *out is a reference, NULL where none is needed.
 * False with *err: the CA file cannot be read.  Before privileges are dropped. */
bool hop_load_tls(const struct config *c, struct tls_context **out, struct err *err);

/* The parent of `c`, which has one; takes a reference to `tls`.  `trial` is what all workers know
 * of credentials, and outlives it.  NULL when memory is out. */
struct hop *hop_new(const struct config *c, struct tls_context *tls, uint32_t serial,
                    struct trial *trial);

struct hop *hop_ref(struct hop *h);
void hop_unref(struct hop *h); /* wipes and frees with the last one; NULL is fine */

/* Whether the settings of `c` lead to this parent, with these credentials. */
bool hop_is_same(const struct hop *h, const struct config *c);

/* Whether session `s` is the one of all workers that tries the credentials, which nobody saw
 * accepted yet; others wait until `until_ns` at most, or until it calls hop_end_proof. */
bool hop_may_prove(struct hop *h, const void *s, uint64_t now_ns, uint64_t until_ns);
void hop_end_proof(struct hop *h, const void *s); /* nothing where it is another */

/* From now on new connections use these certificates; takes a reference. */
void hop_set_tls(struct hop *h, struct tls_context *tls);
