/* capture/issuers.h - who made the certificates that a capture shows (TLS 1.2).
 *
 * One issuer that is no public one, behind targets that have nothing to do with each other, is an
 * inspecting proxy.  Remembers some hundred issuers, each with the first target that it was seen
 * at.  For the ending only.  One thread. */
#pragma once

#include "base/span.h"

#define ISSUERS_MAX 256

struct issuer {
    char *issuer, *target; /* heap */
};

struct issuers {
    struct issuer items[ISSUERS_MAX];
    unsigned len;
};

/* Notes that `issuer` made the certificate of `target` ("host:port").  Returns another target, that
 * has another owner, with a certificate of the same issuer when that issuer is no public one; else
 * NULL.  What it returns holds until issuers_fini. */
const char *issuers_add(struct issuers *i, const char *issuer, const char *target);

/* Whether the name of a public CA is in the text, as far as they are known here. */
bool issuers_is_public(struct span issuer);

void issuers_fini(struct issuers *i);
