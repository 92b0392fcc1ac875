/* flow/offer.h - what log-in a 407 offers, by the names of its schemes.
 *
 * For who only has to know whether there is one among them that is spoken here; wire/authn reads
 * challenges to answer them.  Pure; any thread. */
#pragma once

#include <stdbool.h>

#include "base/span.h"

#define OFFER_NAMES_MAX 128 /* bytes, terminator included */

/* Zeroed: nothing is offered. */
struct offer {
    char names[OFFER_NAMES_MAX]; /* "NTLM, Negotiate"; those that do not fit are left out */
    bool any;                    /* a scheme was offered */
    bool usable;                 /* Basic or Digest was */
    bool stale;                  /* a challenge says that only the nonce was too old */
};

/* Takes the value of one Proxy-Authenticate or WWW-Authenticate field. */
void offer_add(struct offer *o, struct span value);
