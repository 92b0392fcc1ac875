/* wire/http1.h - HTTP/1 message heads: bytes in, structs out (RFC 9112 2-5).
 *
 * Strict: whatever two parsers could read differently is PARSE_BAD, with the byte offset: bare CR,
 * bare LF, NUL and other controls, obs-fold, space before a colon, empty or non-token names, more
 * than one space in the request line, a version other than HTTP/1.0 and HTTP/1.1 (status 505 for
 * another major one), several differing Content-Length (a list of equal ones counts as one),
 * Content-Length with Transfer-Encoding, a Transfer-Encoding other than exactly "chunked" as the
 * last coding (501 for an unknown coding; in HTTP/1.0: bad), Host missing in a 1.1 request, or
 * given twice, or invalid.  Also bad: CONNECT with a body announced (RFC 9110 9.3.6: all that
 * follows its head is the tunnel's).  Empty lines (CRLF) before a request line are skipped, two at
 * most.  No allocation, no I/O. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/parse.h"
#include "base/span.h"
#include "wire/field.h"

#define HTTP1_FIELDS_MAX 128 /* more fields: PARSE_BAD, status 431 */
#define HTTP1_METHOD_MAX 32  /* bytes; longer: PARSE_BAD */
#define HTTP1_OPTIONS_MAX 32 /* elements of Connection and Proxy-Connection; more: PARSE_BAD */

struct http1_field {
    struct span name, value; /* value without white space around it */
    enum field_id id;
};

enum http1_method {
    METHOD_OTHER,
    METHOD_CONNECT,
    METHOD_GET,
    METHOD_HEAD,
    METHOD_POST,
    METHOD_PUT,
    METHOD_DELETE,
    METHOD_OPTIONS,
    METHOD_TRACE,
    METHOD_PATCH
};

/* A parsed head, some 5 KiB.  Spans borrow from the bytes that were parsed.  Start with
 * http1_head_reset; call again with the same bytes and more behind them until it is not PARSE_MORE
 * (the bytes may have moved in between, then the spans move along). */
struct http1_head {
    size_t head_len; /* bytes of the head with its empty line, and the empty lines before it */
    bool has_line;   /* the first line is complete: a head too large is 431 then, before it 414 */
    uint8_t minor;   /* 0 or 1: HTTP/1.x */
    /* request */
    enum http1_method method;
    struct span method_text, target;
    /* response */
    uint16_t status;
    struct span reason;
    /* both */
    unsigned fields_len;
    uint64_t seen; /* bit 1 << enum field_id: such a field is there */
    bool chunked;
    bool has_length;
    uint64_t length;      /* Content-Length */
    bool keep_alive;      /* of this message: version and Connection/Proxy-Connection say so */
    bool upgrade;         /* Connection: upgrade together with Upgrade, in HTTP/1.1 */
    bool expect_continue; /* Expect: 100-continue, in HTTP/1.1 */
    /* PARSE_BAD */
    size_t bad_offset;    /* byte of the head */
    uint16_t bad_status;  /* 400, 414, 431, 501, 505; for a response the caller makes it 502 */
    const char *bad_what; /* a few words: "bare CR", static */
    /* private: where the parser resumes */
    const char *base;    /* the bytes of the last call */
    size_t scanned;      /* first byte of the first line that is not complete */
    size_t searched;     /* no line end before this one */
    uint8_t empty_lines; /* before the first line */
    /* up to fields_len; the others are never read */
    struct http1_field fields[HTTP1_FIELDS_MAX];
};

/* Makes a head ready for a new message; the table of fields is left as it is, unlike by zeroing. */
static inline void http1_head_reset(struct http1_head *h)
{
    memset(h, 0, offsetof(struct http1_head, fields));
}

/* Lines that are complete are checked even while the head is not, so that a stream that is no HTTP
 * is refused at its first bytes (a TLS ClientHello: "TLS on a plain port"; the HTTP/2 preface:
 * 505). */
enum parse http1_parse_request(struct span bytes, struct http1_head *h);
enum parse http1_parse_response(struct span bytes, struct http1_head *h);

/* The first field of that id (not FIELD_OTHER), or NULL. */
const struct http1_field *http1_find_field(const struct http1_head *h, enum field_id id);

/* Whether a comma-separated list (all fields of that id together) has the token, without case. */
bool http1_has_token(const struct http1_head *h, enum field_id id, struct span token);

/* Whether the request method is safe to send twice (RFC 9110 9.2.2). */
bool http1_is_idempotent(enum http1_method m);

/* A method by its name, which is case-sensitive (RFC 9110 9.1), or METHOD_OTHER; and back, "" for
 * METHOD_OTHER. */
enum http1_method http1_find_method(struct span text);
const char *http1_method_name(enum http1_method m);
