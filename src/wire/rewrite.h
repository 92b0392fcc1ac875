/* wire/rewrite.h - the heads a proxy sends on: from a parsed head to the bytes of the next hop's
 * (RFC 9110 7.6, RFC 9112 3.2, 6).
 *
 * Drops what ends at this hop: fields of hop 1 in field.def and those that Connection names (never
 * letting it name Content-Length, Host, Via or other fields that frame, route or log in end to end:
 * then it is a bad request, told by rewrite_check).  Adds Via unless off.  Pure; writes into the
 * caller's room. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "wire/authority.h"
#include "wire/http1.h"

enum rewrite_forwarded {
    FORWARDED_OFF,    /* as it came */
    FORWARDED_APPEND, /* Forwarded: for= (RFC 7239) */
    FORWARDED_X       /* X-Forwarded-For */
};

struct rewrite {
    const char *via; /* our pseudonym; NULL: no Via */
    enum rewrite_forwarded forwarded;
    const struct addr *client; /* for Forwarded and X-Forwarded-For; NULL: none is added */
    bool absolute;             /* request: keep absolute-form (to a parent) */
    bool keep_alive;           /* request: towards the target; response: towards the client */
    bool upgrade;              /* hand Upgrade on: a request that asked, a 101 that answers */
    bool client_is_10;         /* response: de-chunked, no Transfer-Encoding */
    bool chunked;              /* the body is (to be) chunked: Content-Length is left out */
    bool no_framing;   /* response without a body: the framing fields as they came (HEAD, 304) */
    const char *extra; /* whole lines to add, each ended by CRLF; NULL: none */
};

/* False when Connection names a field that is not for it to drop; then bad_offset, bad_status and
 * bad_what of the head say so, as after parsing.  To be asked before a head is rewritten; a
 * rewritten head has such fields all the same. */
bool rewrite_check(struct http1_head *h);

/* True when Via has our pseudonym as a received-by, whole and without case: a loop. */
bool rewrite_has_via(const struct http1_head *h, struct span pseudonym);

/* Writes the head; returns its length, or 0 when it does not fit in `cap`.
 * Request: origin-form (path of `a`; "*" for OPTIONS; CONNECT has host:port), Host from `a`
 * whatever the client's said (port left out when the scheme implies it), "TE: trailers" handed on
 * when the client sent it, Max-Forwards less one for TRACE and OPTIONS, Expect handed on (not from
 * HTTP/1.0), fields in their order, Via and Forwarded lists joined in one line behind them,
 * "Connection: upgrade" with Upgrade when `upgrade`.  Trailer stays only when `chunked`. */
size_t rewrite_request(const struct http1_head *h, const struct authority *a,
                       const struct rewrite *r, char *out, size_t cap);

/* Response: version HTTP/1.1, status and reason as they came, "Connection: close" unless keep_alive
 * (for a 1.0 client that asked for keep-alive: "Connection: keep-alive").  Proxy-Authenticate is
 * dropped.  1xx and 204 have no framing fields, 1xx but 101 no Connection either. */
size_t rewrite_response(const struct http1_head *h, const struct rewrite *r, char *out, size_t cap);
