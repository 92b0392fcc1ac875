/* capture/texthead.h - HTTP heads as people paste them: bare lines, with remarks of their own.
 *
 * A head begins with a request or status line and has fields; what stands in brackets, in
 * parentheses or behind '#' is a remark, but for the comments that HTTP itself has, and for
 * viaduct's own words in a status line.  Pure; any thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/span.h"

enum texthead_kind {
    TEXTHEAD_NONE, /* neither begins a head */
    TEXTHEAD_REQUEST,
    TEXTHEAD_RESPONSE,
};

/* A first line; *line is cut to what is none of a remark.  Quotes and the marks of "curl -v" may
 * stand in front. */
enum texthead_kind texthead_parse_first(struct span *line);

/* A field's line, the same way; false: it is none. */
bool texthead_parse_field(struct span *line);

/* A line that is nothing but a remark: '#', or all in brackets. */
bool texthead_is_remark(struct span line);

/* Nothing but blanks and quotes. */
bool texthead_is_blank(struct span line);

/* What a complete head says of the body behind it. */
struct texthead {
    enum texthead_kind kind;
    bool is_connect, is_head; /* a request's method */
    bool is_secure;           /* CONNECT to port 443: what follows is TLS */
    uint16_t status;          /* of a response */
    uint64_t length;          /* Content-Length, 0: none */
};

/* Reads a head that texthead_parse_… took, lines with CRLF.  `head` need not be complete. */
struct texthead texthead_read(struct span head);
