/* net/dnsmsg.h - what the answer to a question for addresses says: addresses and how long they
 * hold.
 *
 * Read only and bounds-checked (RFC 1035 4.1); knows no sockets and no names: the owner names of
 * records are not compared, for the resolver that was asked could as well have written another one.
 * Pure; any thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/endpoint.h"

#define DNSMSG_ADDRS_MAX 16      /* what is beyond is dropped */
#define DNSMSG_NEGATIVE_TTL_S 10 /* of an answer without addresses and without SOA */

enum dnsmsg_type { DNSMSG_A = 1, DNSMSG_AAAA = 28 };
enum dnsmsg_rcode { DNSMSG_NOERROR = 0, DNSMSG_SERVFAIL = 2, DNSMSG_NXDOMAIN = 3 };

struct dnsmsg {
    unsigned rcode; /* enum dnsmsg_rcode, or another number of RFC 1035 4.1.1 */
    unsigned len;
    struct addr
        addrs[DNSMSG_ADDRS_MAX]; /* of the type asked for, in the message's order, each once */
    uint32_t
        ttl_s; /* least of the CNAMEs and addresses; without addresses, RFC 2308 5: of the SOA */
};

/* Reads a whole message.  False when it is cut or malformed: *out is not to be used then. */
bool dnsmsg_parse(const uint8_t *bytes, size_t len, enum dnsmsg_type type, struct dnsmsg *out);
