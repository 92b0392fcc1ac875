/* wire/packet_private.h - what the files of wire/packet share; nobody else includes it. */
#pragma once

#include <string.h>
#include <sys/socket.h>

#include "wire/packet.h"

enum protocol {
    PROTOCOL_HOP_BY_HOP = 0,
    PROTOCOL_ICMP = 1,
    PROTOCOL_TCP = 6,
    PROTOCOL_ROUTING = 43,
    PROTOCOL_FRAGMENT = 44,
    PROTOCOL_AH = 51,
    PROTOCOL_ICMPV6 = 58,
    PROTOCOL_DESTINATION = 60,
    PROTOCOL_MOBILITY = 135,
    PROTOCOL_HIP = 139,
    PROTOCOL_SHIM6 = 140,
};

/* What is left of a packet from where we are. */
struct packet_rest {
    const uint8_t *at;
    size_t have;   /* bytes that were captured */
    uint32_t wire; /* bytes on the wire, never fewer */
};

static inline uint16_t packet_get16(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

static inline uint32_t packet_get32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* True: there are no n bytes here, and the packet's kind says why. */
static inline bool packet_lacks(const struct packet_rest *r, size_t n, struct packet *out)
{
    if (r->have >= n)
        return false;
    out->kind = r->wire < n ? PACKET_BAD : PACKET_CUT;
    return true;
}

static inline void packet_step(struct packet_rest *r, size_t n)
{
    r->at += n;
    r->have -= n;
    r->wire -= (uint32_t)n;
}

/* A header says how long the rest is: what is behind it is padding. */
static inline void packet_set_length(struct packet_rest *r, uint32_t len)
{
    r->wire = len;
    if (r->have > len)
        r->have = len;
}

static inline struct span packet_as_span(const struct packet_rest *r)
{
    return (struct span){(const char *)r->at, r->have};
}

static inline void packet_set_addr(struct addr *a, uint8_t family, const uint8_t *bytes)
{
    a->family = family;
    memcpy(a->bytes, bytes, family == AF_INET ? 4 : 16);
}

/* Both addresses, which stand behind each other in either version's header. */
static inline void packet_set_ends(struct endpoint *from, struct endpoint *to, uint8_t family,
                                   const uint8_t *p)
{
    packet_set_addr(&from->addr, family, p);
    packet_set_addr(&to->addr, family, p + (family == AF_INET ? 4 : 16));
}

/* True for an extension header that is stepped over; *len is its length.  Eight bytes are there. */
static inline bool packet_is_extension(uint8_t protocol, const uint8_t *p, size_t *len)
{
    switch (protocol) {
    case PROTOCOL_HOP_BY_HOP:
    case PROTOCOL_ROUTING:
    case PROTOCOL_DESTINATION:
    case PROTOCOL_MOBILITY:
    case PROTOCOL_HIP:
    case PROTOCOL_SHIM6:
        *len = ((size_t)p[1] + 1) * 8;
        return true;
    case PROTOCOL_AH:
        *len = ((size_t)p[1] + 2) * 4;
        return true;
    default:
        return false;
    }
}

static inline bool packet_may_extend(uint8_t protocol)
{
    size_t len;

    return packet_is_extension(protocol, (const uint8_t[8]){0}, &len);
}

/* Where a segment begins, or a message: the kind is set, and all that was read.  `out` is zeroed
 * from `flags` on, and the addresses are there. */
void packet_read_tcp(struct packet_rest *r, struct packet *out);
void packet_read_icmp(bool is_v6, struct packet_rest *r, struct packet *out);
