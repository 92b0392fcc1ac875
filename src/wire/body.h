/* wire/body.h - where a message's body ends: length, chunks, or the connection's end (RFC 9112
 * 6-7).
 *
 * Strict about chunks: hex digits without sign or prefix, at most 16; CRLF only; extensions and
 * trailer fields are checked like header fields (framing and routing fields in a trailer are bad,
 * and so is Proxy-Authorization) and bounded (line 8 KiB, trailers 32 KiB).  No allocation, no I/O.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/parse.h"
#include "base/span.h"
#include "wire/http1.h"

enum body_kind { BODY_NONE, BODY_LENGTH, BODY_CHUNKED, BODY_CLOSE };

#define BODY_LINE_MAX 8192     /* bytes of one framing line */
#define BODY_TRAILER_MAX 32768 /* bytes of all trailer fields */

/* Small, as many are alive at once. */
struct body {
    uint64_t left;        /* LENGTH: bytes to come; CHUNKED: of this chunk */
    uint64_t payload;     /* bytes of content so far, without framing */
    uint64_t total;       /* LENGTH: Content-Length */
    const char *bad_what; /* PARSE_BAD: a few words */
    uint16_t line;        /* private: bytes of the framing line so far */
    uint16_t trailer;     /* private */
    uint16_t names;       /* private: bad ones that a trailer field's name may still become */
    enum body_kind kind : 3;
    bool done : 1; /* the body is complete */
    uint8_t state; /* private */
};

/* The framing that a head announces.  A response needs the request's method (HEAD, and 2xx to
 * CONNECT) and knows 1xx, 204, 304.  A body of nothing is done at once. */
void body_of_request(struct body *b, const struct http1_head *h);
void body_of_response(struct body *b, const struct http1_head *h, enum http1_method asked);

/* Takes a prefix of `in`: *used bytes, of which *data (maybe empty) is content.  PARSE_OK: the body
 * ended with them; PARSE_MORE: call again with what follows; PARSE_BAD: bad_what says why,
 * nothing of this call is to be used, and it stays bad.  To forward framing and all, add up *used
 * until `in` is empty or the body is done. */
enum parse body_read(struct body *b, struct span in, size_t *used, struct span *data);

/* Tells that `n` bytes of content passed elsewhere (splice): LENGTH and CLOSE only. */
void body_skip(struct body *b, uint64_t n);

/* The connection ended.  True when that is a proper end (BODY_CLOSE, or done). */
bool body_finish(struct body *b);
