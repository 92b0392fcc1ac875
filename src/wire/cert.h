/* wire/cert.h - what a certificate says: whom it names, who made it, from when to when (RFC 5280).
 *
 * Reads one certificate, by OpenSSL; whether it is to be trusted is for who verified its chain.
 * Texts come from outside as they are, but for NUL, which becomes '?': renderers escape.  Any
 * thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"

#define CERT_DER_MAX 65536 /* bytes; longer ones are refused */
#define CERT_TEXT_MAX 256  /* bytes of a name with its terminator; longer ones are cut */
#define CERT_NAMES_MAX 512 /* the same of the list of names */

struct cert {
    char subject[CERT_TEXT_MAX];   /* "CN=a.test, O=Example"; parts that it has not are left out */
    char issuer[CERT_TEXT_MAX];    /* the same of who signed it */
    char names[CERT_NAMES_MAX];    /* alternative names: "a.test, *.a.test, 192.0.2.1" */
    unsigned names_len;            /* how many there are */
    unsigned names_shown;          /* how many of them had room in `names` */
    int64_t not_before, not_after; /* seconds since 1970, UTC */
    bool self_signed;              /* signed with its own key: checked */
    bool ca;                       /* it may sign others */
    bool is_for_host;              /* it names the host that was asked for */
    unsigned char fingerprint[32]; /* SHA-256 of the whole */
};

/* Reads a certificate in DER.  `host` is the name or address (without brackets) that it should be
 * for, NULL: is_for_host stays false.  Alternative names count, and the common name only where
 * there are none; wildcards stand for one whole label (RFC 9525).  False: it is no certificate, or
 * out of memory; *out is zeroed then. */
bool cert_read(struct span der, const char *host, struct cert *out);

/* Whether `at` (seconds since 1970) lies within its dates, both included. */
bool cert_is_current(const struct cert *c, int64_t at);
