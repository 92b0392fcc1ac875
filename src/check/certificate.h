/* check/certificate.h - what the target's certificate says of itself and of who made it.
 *
 * Fills a flow's TLS facts and its evidence, and keeps what it takes to see one issuer behind
 * unrelated targets.  One thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "flow/flow.h"

struct tls;
struct tls_facts;

#define CERTIFICATE_ISSUER_MAX 256

struct certificate {
    bool known; /* one was shown */
    bool verified;
    bool is_local;         /* it verifies by a CA that somebody added to this machine */
    const char *inspector; /* static: the product that made it, NULL: none that is known */
    char issuer[CERTIFICATE_ISSUER_MAX];
    unsigned char fingerprint[32]; /* SHA-256 of the leaf */
};

/* The flow's TLS facts, made where there are none; NULL without memory. */
struct flow_tls *certificate_tls_of(struct flow *f);

/* Reads the leaf and the root of what was shown; sets the flow's issuer. */
void certificate_read(struct tls *t, const char *host, const struct tls_facts *facts,
                      struct certificate *out, struct flow *f);

/* Notes what one has to know when it does not verify, as evidence: whose it is, who made it, for
 * which names, until when.  `now_s` is wall time in seconds. */
void certificate_note(struct tls *t, const char *host, int64_t now_s, struct flow *f);
