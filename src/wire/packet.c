/* From the outside in: link layer, tags, IP, then TCP or ICMP.  What is left of the packet is one
 * struct, `rest`, that every layer shortens: by what it read, and by the length that it says.  A
 * length that is more than what is on the wire is no contradiction but a capture that was cut and
 * does not say so; so IP is believed, not the file. */
#include "wire/packet_private.h"

#include <stddef.h>

enum link {
    LINK_NULL = 0,
    LINK_ETHERNET = 1,
    LINK_RAW_BSD = 12,
    LINK_RAW_OPENBSD = 14,
    LINK_RAW = 101,
    LINK_LOOP = 108,
    LINK_COOKED = 113,
    LINK_IPV4 = 228,
    LINK_IPV6 = 229,
    LINK_COOKED_2 = 276,
};

enum ethertype {
    TYPE_IPV4 = 0x0800,
    TYPE_VLAN = 0x8100,
    TYPE_IPV6 = 0x86dd,
    TYPE_MPLS = 0x8847,
    TYPE_MPLS_MULTICAST = 0x8848,
    TYPE_PPPOE = 0x8864,
    TYPE_QINQ = 0x88a8,
    TYPE_QINQ_OLD = 0x9100,
    TYPE_QINQ_OLDER = 0x9200,
};

#define OPTION_JUMBO 0xc2 /* RFC 2675 2 */
#define FRAGMENT_UNIT 8
#define LENGTH_MAX                                                                                 \
    (1u << 20) /* of a packet whose IP header gives no length: twice an offload giant */

static void parse_protocol(uint8_t protocol, struct packet_rest *r, struct packet *out)
{
    if (protocol == PROTOCOL_TCP)
        packet_read_tcp(r, out);
    else if (protocol == PROTOCOL_ICMP && out->from.addr.family == AF_INET)
        packet_read_icmp(false, r, out);
    else if (protocol == PROTOCOL_ICMPV6 && out->from.addr.family == AF_INET6)
        packet_read_icmp(true, r, out);
    else
        out->kind = PACKET_OTHER;
}

/* --- IP -------------------------------------------------------------------------------------- */

static void set_fragment(uint8_t protocol, uint32_t id, uint16_t place, struct packet_rest *r,
                         struct packet *out)
{
    out->kind = PACKET_FRAGMENT;
    out->fragment_protocol = protocol;
    out->fragment_id = id;
    out->fragment_offset = (uint32_t)(place >> 3) * FRAGMENT_UNIT;
    out->fragment_more = place & 1;
    out->fragment_len = r->wire;
    out->fragment = packet_as_span(r);
    if ((out->fragment_more && r->wire % FRAGMENT_UNIT) || r->wire == 0 ||
        out->fragment_offset + r->wire > UINT16_MAX)
        out->kind = PACKET_BAD;
}

/* RFC 791 3.1 */
static void parse_ipv4(struct packet_rest *r, struct packet *out)
{
    const uint8_t *p = r->at;
    uint32_t header, len;
    uint16_t place;

    if (packet_lacks(r, 20, out))
        return;
    header = (uint32_t)(p[0] & 15) * 4;
    len = packet_get16(p + 2);
    if (len == 0)
        len = r->wire; /* larger than the field: the network card cuts it up later */
    if (p[0] >> 4 != 4 || header < 20 || len < header || len > LENGTH_MAX) {
        out->kind = PACKET_BAD;
        return;
    }
    packet_set_length(r, len);
    out->ip_len = len;
    out->ttl = p[8];
    out->ip_id = packet_get16(p + 4);
    place = packet_get16(p + 6);
    out->has_ip_id = out->ip_id != 0 || !(place & 0x4000);
    packet_set_ends(&out->from, &out->to, AF_INET, p + 12);
    if (packet_lacks(r, header, out))
        return;
    packet_step(r, header);
    if (place & 0x3fff) /* as IPv6 has it: offset, then "more" in the lowest bit */
        set_fragment(p[9], out->ip_id, (uint16_t)(place << 3 | (place >> 13 & 1)), r, out);
    else
        parse_protocol(p[9], r, out);
}

/* The length in a hop-by-hop header of `len` bytes (RFC 2675), or 0. */
static uint32_t find_jumbo(const uint8_t *p, size_t len)
{
    for (size_t i = 2; i + 1 < len; i += p[i] == 0 ? 1 : (size_t)p[i + 1] + 2)
        if (p[i] == OPTION_JUMBO && p[i + 1] == 4 && i + 6 <= len)
            return packet_get32(p + i + 2);
    return 0;
}

/* Steps over extension headers, `*protocol` is the first one's and then that of what is behind
 * them.  False: the packet's kind is told already.  `is_jumbo`: the IP header gives no length. */
static bool pass_extensions(uint8_t *protocol, bool is_jumbo, struct packet_rest *r,
                            struct packet *out)
{
    uint32_t passed = 0;
    size_t len;

    while (packet_may_extend(*protocol) || *protocol == PROTOCOL_FRAGMENT) {
        const uint8_t *p = r->at;

        if (packet_lacks(r, 8, out))
            return false;
        if (!packet_is_extension(*protocol, p, &len))
            len = 8;
        if (packet_lacks(r, len, out))
            return false;
        uint32_t jumbo = is_jumbo && *protocol == PROTOCOL_HOP_BY_HOP ? find_jumbo(p, len) : 0;

        if (jumbo > passed + len && jumbo <= LENGTH_MAX) {
            packet_set_length(r, jumbo - passed);
            out->ip_len = jumbo + 40;
        }
        passed += (uint32_t)len;
        packet_step(r, len);
        if (*protocol == PROTOCOL_FRAGMENT && (packet_get16(p + 2) & 0xfff9)) {
            set_fragment(p[0], packet_get32(p + 4), packet_get16(p + 2) & 0xfff9, r, out);
            return false;
        }
        *protocol = p[0];
    }
    return true;
}

/* RFC 8200 3, 4 */
static void parse_ipv6(struct packet_rest *r, struct packet *out)
{
    const uint8_t *p = r->at;
    uint8_t protocol;
    uint16_t len;

    if (packet_lacks(r, 40, out))
        return;
    if (p[0] >> 4 != 6) {
        out->kind = PACKET_BAD;
        return;
    }
    len = packet_get16(p + 4);
    protocol = p[6];
    out->ttl = p[7];
    packet_set_ends(&out->from, &out->to, AF_INET6, p + 8);
    packet_step(r, 40);
    if (len > 0)
        packet_set_length(r, len);
    if (r->wire > LENGTH_MAX) {
        out->kind = PACKET_BAD;
        return;
    }
    out->ip_len = r->wire + 40;
    if (pass_extensions(&protocol, len == 0, r, out))
        parse_protocol(protocol, r, out);
}

/* The version is in the first half byte. */
static void parse_ip(struct packet_rest *r, struct packet *out)
{
    if (packet_lacks(r, 1, out))
        return;
    switch (r->at[0] >> 4) {
    case 4:
        parse_ipv4(r, out);
        break;
    case 6:
        parse_ipv6(r, out);
        break;
    default:
        out->kind = PACKET_BAD;
    }
}

/* --- link layers ----------------------------------------------------------------------------- */

/* Labels, the last of which says so (RFC 3032 2.1); what is behind them is mostly IP. */
static void parse_mpls(struct packet_rest *r, struct packet *out)
{
    bool is_last = false;

    while (!is_last) {
        if (packet_lacks(r, 4, out))
            return;
        is_last = r->at[2] & 1;
        packet_step(r, 4);
    }
    if (r->have > 0 && r->at[0] >> 4 != 4 && r->at[0] >> 4 != 6)
        out->kind = PACKET_OTHER;
    else
        parse_ip(r, out);
}

/* RFC 2516 4, then the protocol of PPP */
static void parse_pppoe(struct packet_rest *r, struct packet *out)
{
    if (packet_lacks(r, 8, out))
        return;
    uint16_t protocol = packet_get16(r->at + 6);

    packet_step(r, 8);
    if (protocol == 0x0021 || protocol == 0x0057)
        parse_ip(r, out);
    else
        out->kind = PACKET_OTHER;
}

/* What an EtherType says comes next; tags may be stacked. */
static void parse_type(uint16_t type, struct packet_rest *r, struct packet *out)
{
    while (type == TYPE_VLAN || type == TYPE_QINQ || type == TYPE_QINQ_OLD ||
           type == TYPE_QINQ_OLDER) {
        if (packet_lacks(r, 4, out))
            return;
        type = packet_get16(r->at + 2);
        packet_step(r, 4);
    }
    if (type == TYPE_IPV4)
        parse_ipv4(r, out);
    else if (type == TYPE_IPV6)
        parse_ipv6(r, out);
    else if (type == TYPE_MPLS || type == TYPE_MPLS_MULTICAST)
        parse_mpls(r, out);
    else if (type == TYPE_PPPOE)
        parse_pppoe(r, out);
    else
        out->kind = PACKET_OTHER;
}

/* A header of `len` bytes with the EtherType at `type_at`. */
static void parse_typed(size_t len, size_t type_at, struct packet_rest *r, struct packet *out)
{
    if (packet_lacks(r, len, out))
        return;
    uint16_t type = packet_get16(r->at + type_at);

    packet_step(r, len);
    parse_type(type, r, out);
}

/* Of some devices the "protocol" of a cooked header is no EtherType. */
static bool is_other_device(uint16_t arphrd)
{
    return arphrd == 824 /* netlink */ || arphrd == 778 /* GRE */ || arphrd == 770 /* FRAD */ ||
           (arphrd >= 801 && arphrd <= 803) /* 802.11 */;
}

static void parse_cooked(size_t len, size_t type_at, size_t device_at, struct packet_rest *r,
                         struct packet *out)
{
    if (packet_lacks(r, len, out))
        return;
    if (is_other_device(packet_get16(r->at + device_at)))
        out->kind = PACKET_OTHER;
    else
        parse_typed(len, type_at, r, out);
}

/* A family of addresses, in the byte order of whoever captured it. */
static void parse_loopback(struct packet_rest *r, struct packet *out)
{
    if (packet_lacks(r, 4, out))
        return;
    uint32_t family = packet_get32(r->at);

    if (family > UINT16_MAX)
        family = __builtin_bswap32(family);
    packet_step(r, 4);
    if (family == 2)
        parse_ipv4(r, out);
    else if (family == 10 || family == 24 || family == 28 || family == 30)
        parse_ipv6(r, out); /* Linux, NetBSD and OpenBSD, FreeBSD, macOS */
    else
        out->kind = PACKET_OTHER;
}

bool packet_knows_link(uint32_t linktype)
{
    switch (linktype) {
    case LINK_NULL:
    case LINK_ETHERNET:
    case LINK_RAW_BSD:
    case LINK_RAW_OPENBSD:
    case LINK_RAW:
    case LINK_LOOP:
    case LINK_COOKED:
    case LINK_IPV4:
    case LINK_IPV6:
    case LINK_COOKED_2:
        return true;
    default:
        return false;
    }
}

static void parse_link(uint32_t linktype, struct packet_rest *r, struct packet *out)
{
    switch (linktype) {
    case LINK_ETHERNET:
        parse_typed(14, 12, r, out); /* an 802.3 length is no EtherType that is known */
        break;
    case LINK_COOKED:
        parse_cooked(16, 14, 2, r, out);
        break;
    case LINK_COOKED_2:
        parse_cooked(20, 0, 8, r, out);
        break;
    case LINK_NULL:
    case LINK_LOOP:
        parse_loopback(r, out);
        break;
    case LINK_RAW_BSD:
    case LINK_RAW_OPENBSD:
    case LINK_RAW:
    case LINK_IPV4:
    case LINK_IPV6:
        parse_ip(r, out);
        break;
    default:
        out->kind = PACKET_BAD;
    }
}

/* The fields from one up to another.  Not more than 64 bytes at a time: for more, compilers take
 * string instructions, which cost more here than all the rest. */
#define CLEAR(out, begin, end)                                                                     \
    memset((char *)(out) + offsetof(struct packet, begin), 0,                                      \
           offsetof(struct packet, end) - offsetof(struct packet, begin))

/* What is said of TCP, ICMP and fragments. */
static void clear_payload(struct packet *out)
{
    CLEAR(out, flags, sacks);
    CLEAR(out, sacks, is_v6);
    CLEAR(out, is_v6, about_to);
    CLEAR(out, about_to, fragment_protocol);
    CLEAR(out, fragment_protocol, fragment_len);
    out->fragment_len = 0;
}

void packet_parse(uint32_t linktype, struct span bytes, uint32_t wire_len, struct packet *out)
{
    struct packet_rest r = {(const uint8_t *)bytes.ptr, bytes.len, wire_len};

    if (r.have > wire_len)
        r.have = wire_len;
    out->kind = PACKET_BAD;
    CLEAR(out, from, flags);
    clear_payload(out);
    parse_link(linktype, &r, out);
}

void packet_parse_payload(struct span bytes, uint32_t wire_len, uint8_t protocol,
                          struct packet *whole)
{
    struct packet_rest r = {(const uint8_t *)bytes.ptr, bytes.len, wire_len};

    if (r.have > wire_len)
        r.have = wire_len;
    whole->kind = PACKET_BAD;
    clear_payload(whole);
    if (whole->from.addr.family != AF_INET6 || pass_extensions(&protocol, false, &r, whole))
        parse_protocol(protocol, &r, whole);
}
