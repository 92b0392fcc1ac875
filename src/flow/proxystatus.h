/* flow/proxystatus.h - Proxy-Status as others send it (RFC 9209, a List of RFC 8941).
 *
 * A member an intermediary, origin side first.  Tolerant: a member that is no structured field is
 * read as far as it goes and stepped over at the next comma outside quotes.  Pure; any thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"
#include "flow/verdict.h"

/* Spans borrow from the field's value; the text of a string is as it came, escapes and all. */
struct proxystatus {
    struct span name;         /* of the intermediary */
    struct span error;        /* type, empty: none */
    struct span details;      /* empty: none */
    struct span next_hop;     /* empty: none */
    struct span rcode;        /* DNS answer code, empty: none */
    unsigned received_status; /* what the next hop answered, 0: not said */
};

/* Takes the next member off the front of *rest; false: there is none left. */
bool proxystatus_next(struct span *rest, struct proxystatus *out);

/* The verdict that an error type means (RFC 9209 2.3), or VERDICT_COUNT: a type that is unknown, or
 * that leaves it to the status (http_request_error, http_request_denied with 407, …). */
enum verdict proxystatus_verdict(const struct proxystatus *m, unsigned status);
