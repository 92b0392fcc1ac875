/* wire/authority.h - request targets: host:port and absolute-form (RFC 3986 3.2, RFC 9112 3.2).
 *
 * Hosts are lower-cased, one trailing dot is dropped.  A host of digits and dots that is no plain
 * dotted quad (127.1, 0x7f.1, 2130706433, 1.2.3.04) is bad, so are userinfo, an empty host, a port
 * of 0 or above 65535, a bracketless IPv6 literal, a zone, characters outside letters, digits, '-',
 * '.', '_', labels of 0 or above 63 bytes, more than 253 bytes.  Percent-encoding in a host is bad.
 * A port has no leading zero; "host:" with nothing behind is bad.  Pure. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/endpoint.h"
#include "base/span.h"

#define AUTHORITY_HOST_MAX 254

struct authority {
    char host[AUTHORITY_HOST_MAX]; /* terminated; an address in canonical form, without brackets */
    uint16_t host_len;
    uint16_t port;
    struct addr addr;   /* family 0: the host is a name */
    bool has_port;      /* false: the scheme's default was put in */
    struct span path;   /* absolute-form: path and query, borrows from the text; "/" where both are
                         * empty, but a query without a path begins with its '?' */
    struct span scheme; /* absolute-form, as it came; compare without case */
    size_t bad_offset;  /* where it is bad */
    const char *bad_what; /* a few words, static */
};

/* Each returns false when the text is bad; then only bad_offset and bad_what are of use. */

/* "host:port", the port is required (CONNECT). */
bool authority_parse(struct span text, struct authority *a);

/* "host" or "host:port" with this default. */
bool authority_parse_default(struct span text, uint16_t default_port, struct authority *a);

/* "http://host[:port][/path][?query]"; any scheme parses (the caller judges it), http gets port 80,
 * https and wss 443, ws 80, ftp 21, others need a port.  A fragment is bad.  "http://host" with
 * method OPTIONS becomes path "*" (RFC 9112 3.2.4): pass `options`. */
bool authority_parse_absolute(struct span text, bool options, struct authority *a);

/* Prints "host:port" with brackets where needed; returns the length. */
#define AUTHORITY_TEXT_MAX (AUTHORITY_HOST_MAX + 10)
size_t authority_write(const struct authority *a, char out[AUTHORITY_TEXT_MAX]);

/* The port that "scheme" implies, without case; 0: none known. */
uint16_t authority_default_port(struct span scheme);
