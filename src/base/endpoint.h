/* base/endpoint.h - an IP address with a port, small and comparable: parse, print, convert.
 *
 * Pure data; any thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/span.h"

/* Longest text: "[ffff:…:255.255.255.255%4294967295]:65535" and its terminator. */
#define ENDPOINT_TEXT_MAX 72

/* The family of an address that is only known by a name (tcpdump's text): `bytes` begin with a
 * number that its source knows, in network order; it is compared, and printed as "name-N". */
#define ADDR_NAMED 0xfe

struct addr {
    uint8_t bytes[16]; /* network order; IPv4 uses the first four, the others are zero */
    uint8_t family;    /* AF_INET, AF_INET6, ADDR_NAMED, 0: none */
};

struct endpoint {
    struct addr addr;
    uint16_t port;  /* host order */
    uint32_t scope; /* IPv6 zone index, 0: none */
};

/* Plain dotted quads and IPv6 without brackets only, whole span; an IPv6 zone is refused. */
bool addr_parse(struct span text, struct addr *out);
bool addr_is_equal(const struct addr *a, const struct addr *b);

/* Prints without brackets, RFC 5952 form; returns the length. */
size_t addr_write(const struct addr *a, char out[ENDPOINT_TEXT_MAX]);

/* "192.0.2.1:80" or "[2001:db8::1]:80"; both parts are required. */
bool endpoint_parse(struct span text, struct endpoint *out);
size_t endpoint_write(const struct endpoint *e,
                      char out[ENDPOINT_TEXT_MAX]); /* "" when family is 0 */

/* From and to the kernel's form.  IPv4-mapped addresses of a dual-stack socket come back as IPv4.
 */
void endpoint_from_sockaddr(struct endpoint *e, const struct sockaddr *sa);
socklen_t endpoint_to_sockaddr(const struct endpoint *e, struct sockaddr_storage *out);
