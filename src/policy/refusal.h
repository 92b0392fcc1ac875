/* policy/refusal.h - what a proxy's answer says went wrong, judged from outside.
 *
 * Words come before numbers: Proxy-Status (RFC 9209), then X-Squid-Error, then the status of an
 * answer to CONNECT, which is inferred.  Any other request's status may be the target's own: it
 * says nothing without words.  Pure; any thread. */
#pragma once

#include <stdbool.h>

#include "flow/verdict.h"
#include "wire/http1.h"

struct refusal {
    enum verdict verdict;
    enum certainty certainty;
    char words[96]; /* what says so, terminated: "Proxy-Status error=dns_error", "status 403" */
};

/* Reads the final head of an answer of 400 or more.  False: it says nothing of a proxy, *out is
 * untouched. */
bool refusal_read(const struct http1_head *h, bool connect, struct refusal *out);
