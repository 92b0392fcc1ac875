/* From the outside in: link layer, tags, IP, then TCP or ICMP.  What is left of the packet is one
 * struct, `rest`, that every layer shortens: by what it read, and by the length that it says.  A
 * length that is more than what is on the wire is no contradiction but a capture that was cut and
 * does not say so; so IP is believed, not the file. */
#include "wire/packet.h"

#include <stddef.h>
#include <string.h>
#include <sys/socket.h>

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
    TYPE_LENGTHS = 0x0600, /* below: the length of an 802.3 frame */
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

#define SCALE_MAX 14      /* RFC 7323 2.3 */
#define TCP_NEEDED 16     /* up to the window: without them a segment says too little */
#define OPTION_JUMBO 0xc2 /* RFC 2675 2 */
#define FRAGMENT_UNIT 8
#define LENGTH_MAX                                                                                 \
    (1u << 20) /* of a packet whose IP header gives no length: twice an offload giant */

/* What is left of a packet from where we are. */
struct rest {
    const uint8_t *at;
    size_t have;   /* bytes that were captured */
    uint32_t wire; /* bytes on the wire, never fewer */
};

static uint16_t get16(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

static uint32_t get32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* True: there are no n bytes here, and the packet's kind says why. */
static bool lacks(const struct rest *r, size_t n, struct packet *out)
{
    if (r->have >= n)
        return false;
    out->kind = r->wire < n ? PACKET_BAD : PACKET_CUT;
    return true;
}

static void step(struct rest *r, size_t n)
{
    r->at += n;
    r->have -= n;
    r->wire -= (uint32_t)n;
}

/* A header says how long the rest is: what is behind it is padding. */
static void set_length(struct rest *r, uint32_t len)
{
    r->wire = len;
    if (r->have > len)
        r->have = len;
}

static struct span as_span(const struct rest *r)
{
    return (struct span){(const char *)r->at, r->have};
}

/* --- TCP (RFC 9293 3.1) ---------------------------------------------------------------------- */

static void read_sacks(const uint8_t *p, size_t len, struct packet *out)
{
    for (; len >= 8 && out->sacks_len < PACKET_SACKS_MAX; p += 8, len -= 8)
        out->sacks[out->sacks_len++] = (struct packet_sack){get32(p), get32(p + 4)};
}

/* One option; `len` is that of its value.  A length that is not the option's own is left. */
static void read_option(uint8_t kind, const uint8_t *value, size_t len, struct packet *out)
{
    bool is_syn = out->flags & PACKET_SYN;

    if (kind == 2 && len == 2 && is_syn) {
        out->mss = get16(value);
    } else if (kind == 3 && len == 1 && is_syn) {
        out->has_scale = true;
        out->scale = value[0] < SCALE_MAX ? value[0] : SCALE_MAX;
    } else if (kind == 4 && len == 0 && is_syn) {
        out->sack_permitted = true;
    } else if (kind == 5) {
        read_sacks(value, len, out);
    } else if (kind == 8 && len == 8) {
        out->has_times = true;
        out->time_value = get32(value);
        out->time_echo = get32(value + 4);
    }
}

/* Ends at the first option that cannot be: without its length nobody knows where the next is. */
static void read_options(const uint8_t *p, size_t len, struct packet *out)
{
    /* what most segments have: two times NOP, then timestamps (RFC 7323, appendix A) */
    if (len == 12 && get32(p) == 0x0101080a) {
        read_option(8, p + 4, 8, out);
        return;
    }
    while (len > 0 && *p != 0) {
        size_t n = 1;

        if (*p != 1) {
            if (len < 2 || p[1] < 2 || p[1] > len)
                return;
            n = p[1];
            read_option(*p, p + 2, n - 2, out);
        }
        p += n;
        len -= n;
    }
}

static void parse_tcp(struct rest *r, struct packet *out)
{
    const uint8_t *p = r->at;
    size_t header, have;

    if (lacks(r, TCP_NEEDED, out))
        return;
    header = (size_t)(p[12] >> 4) * 4;
    if (header < 20 || header > r->wire) {
        out->kind = PACKET_BAD;
        return;
    }
    out->kind = PACKET_TCP;
    out->from.port = get16(p);
    out->to.port = get16(p + 2);
    out->seq = get32(p + 4);
    out->ack = get32(p + 8);
    out->flags = p[13] & 0x3f;
    out->window = get16(p + 14);
    have = header < r->have ? header : r->have;
    out->options_cut = have < header && header > 20;
    if (have > 20)
        read_options(p + 20, have - 20, out);
    out->payload_len = r->wire - (uint32_t)header;
    out->payload = (struct span){(const char *)p + have, r->have - have};
}

/* --- headers of IP: shared by packets and by what ICMP quotes -------------------------------- */

struct ip {
    struct addr from, to;
    uint32_t len;  /* of the packet, from its header on; 0: it does not say */
    size_t header; /* bytes */
    uint8_t protocol, ttl;
};

static void set_addr(struct addr *a, uint8_t family, const uint8_t *bytes)
{
    a->family = family;
    memcpy(a->bytes, bytes, family == AF_INET ? 4 : 16);
}

/* `out` is zeroed but for the endpoints' addresses, which this sets. */
static void set_ends(struct endpoint *from, struct endpoint *to, uint8_t family, const uint8_t *p)
{
    set_addr(&from->addr, family, p);
    set_addr(&to->addr, family, p + (family == AF_INET ? 4 : 16));
}

/* True for an extension header that is stepped over; *len is its length.  Eight bytes are there. */
static bool is_extension(uint8_t protocol, const uint8_t *p, size_t *len)
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

static bool may_be_extension(uint8_t protocol)
{
    size_t len;

    return is_extension(protocol, (const uint8_t[8]){0}, &len);
}

/* --- ICMP (RFC 792, 4443): errors about TCP -------------------------------------------------- */

static void read_quoted_tcp(const struct rest *r, struct packet *out)
{
    if (r->have < 8) {
        out->kind = r->wire < 8 ? PACKET_OTHER : PACKET_CUT;
        return;
    }
    out->kind = PACKET_ICMP;
    out->about_from.port = get16(r->at);
    out->about_to.port = get16(r->at + 2);
    out->about_seq = get32(r->at + 4);
}

static void read_quoted_ipv4(struct rest *r, struct packet *out)
{
    const uint8_t *p = r->at;
    size_t header;

    if (lacks(r, 20, out))
        return;
    header = (size_t)(p[0] & 15) * 4;
    out->kind = PACKET_OTHER;
    if (p[0] >> 4 != 4 || header < 20 || p[9] != PROTOCOL_TCP || (get16(p + 6) & 0x1fff))
        return; /* not TCP, or not its beginning */
    out->about_len = get16(p + 2);
    set_ends(&out->about_from, &out->about_to, AF_INET, p + 12);
    if (lacks(r, header, out))
        return;
    step(r, header);
    read_quoted_tcp(r, out);
}

static void read_quoted_ipv6(struct rest *r, struct packet *out)
{
    uint8_t next;

    if (lacks(r, 40, out))
        return;
    out->kind = PACKET_OTHER;
    if (r->at[0] >> 4 != 6)
        return;
    next = r->at[6];
    out->about_len = 40u + get16(r->at + 4);
    set_ends(&out->about_from, &out->about_to, AF_INET6, r->at + 8);
    step(r, 40);
    for (size_t len; may_be_extension(next) || next == PROTOCOL_FRAGMENT; step(r, len)) {
        if (lacks(r, 8, out))
            return;
        if (!is_extension(next, r->at, &len)) {
            len = 8;
            if (get16(r->at + 2) & 0xfff8)
                return; /* not the beginning of the TCP packet */
        }
        next = r->at[0];
        if (lacks(r, len, out))
            return;
    }
    if (next == PROTOCOL_TCP)
        read_quoted_tcp(r, out);
}

static bool is_error(bool is_v6, uint8_t type)
{
    if (is_v6)
        return type >= 1 && type <= 4; /* unreachable, too big, time exceeded, parameter problem */
    return type == 3 || type == 11 || type == 12;
}

static void parse_icmp(bool is_v6, struct rest *r, struct packet *out)
{
    const uint8_t *p = r->at;

    if (lacks(r, 8, out))
        return;
    out->kind = PACKET_OTHER;
    if (!is_error(is_v6, p[0]))
        return;
    out->is_v6 = is_v6;
    out->icmp_type = p[0];
    out->icmp_code = p[1];
    if (is_v6 && p[0] == 2)
        out->icmp_mtu = get32(p + 4);
    else if (!is_v6 && p[0] == 3 && p[1] == 4)
        out->icmp_mtu = get16(p + 6);
    step(r, 8);
    if (is_v6)
        read_quoted_ipv6(r, out);
    else
        read_quoted_ipv4(r, out);
    if (out->kind == PACKET_BAD)
        out->kind = PACKET_OTHER; /* it quotes too little: that is not forbidden to it */
}

static void parse_protocol(uint8_t protocol, struct rest *r, struct packet *out)
{
    if (protocol == PROTOCOL_TCP)
        parse_tcp(r, out);
    else if (protocol == PROTOCOL_ICMP && out->from.addr.family == AF_INET)
        parse_icmp(false, r, out);
    else if (protocol == PROTOCOL_ICMPV6 && out->from.addr.family == AF_INET6)
        parse_icmp(true, r, out);
    else
        out->kind = PACKET_OTHER;
}

/* --- IP -------------------------------------------------------------------------------------- */

static void set_fragment(uint8_t protocol, uint32_t id, uint16_t place, struct rest *r,
                         struct packet *out)
{
    out->kind = PACKET_FRAGMENT;
    out->fragment_protocol = protocol;
    out->fragment_id = id;
    out->fragment_offset = (uint32_t)(place >> 3) * FRAGMENT_UNIT;
    out->fragment_more = place & 1;
    out->fragment_len = r->wire;
    out->fragment = as_span(r);
    if ((out->fragment_more && r->wire % FRAGMENT_UNIT) || r->wire == 0 ||
        out->fragment_offset + r->wire > UINT16_MAX)
        out->kind = PACKET_BAD;
}

/* RFC 791 3.1 */
static void parse_ipv4(struct rest *r, struct packet *out)
{
    const uint8_t *p = r->at;
    uint32_t header, len;
    uint16_t place;

    if (lacks(r, 20, out))
        return;
    header = (uint32_t)(p[0] & 15) * 4;
    len = get16(p + 2);
    if (len == 0)
        len = r->wire; /* larger than the field: the network card cuts it up later */
    if (p[0] >> 4 != 4 || header < 20 || len < header || len > LENGTH_MAX) {
        out->kind = PACKET_BAD;
        return;
    }
    set_length(r, len);
    out->ip_len = len;
    out->ttl = p[8];
    out->ip_id = get16(p + 4);
    place = get16(p + 6);
    out->has_ip_id = out->ip_id != 0 || !(place & 0x4000);
    set_ends(&out->from, &out->to, AF_INET, p + 12);
    if (lacks(r, header, out))
        return;
    step(r, header);
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
            return get32(p + i + 2);
    return 0;
}

/* Steps over extension headers, `*protocol` is the first one's and then that of what is behind
 * them.  False: the packet's kind is told already.  `is_jumbo`: the IP header gives no length. */
static bool pass_extensions(uint8_t *protocol, bool is_jumbo, struct rest *r, struct packet *out)
{
    uint32_t passed = 0;
    size_t len;

    while (may_be_extension(*protocol) || *protocol == PROTOCOL_FRAGMENT) {
        const uint8_t *p = r->at;

        if (lacks(r, 8, out))
            return false;
        if (!is_extension(*protocol, p, &len))
            len = 8;
        if (lacks(r, len, out))
            return false;
        uint32_t jumbo = is_jumbo && *protocol == PROTOCOL_HOP_BY_HOP ? find_jumbo(p, len) : 0;

        if (jumbo > passed + len && jumbo <= LENGTH_MAX) {
            set_length(r, jumbo - passed);
            out->ip_len = jumbo + 40;
        }
        passed += (uint32_t)len;
        step(r, len);
        if (*protocol == PROTOCOL_FRAGMENT && (get16(p + 2) & 0xfff9)) {
            set_fragment(p[0], get32(p + 4), get16(p + 2) & 0xfff9, r, out);
            return false;
        }
        *protocol = p[0];
    }
    return true;
}

/* RFC 8200 3, 4 */
static void parse_ipv6(struct rest *r, struct packet *out)
{
    const uint8_t *p = r->at;
    uint8_t protocol;
    uint16_t len;

    if (lacks(r, 40, out))
        return;
    if (p[0] >> 4 != 6) {
        out->kind = PACKET_BAD;
        return;
    }
    len = get16(p + 4);
    protocol = p[6];
    out->ttl = p[7];
    set_ends(&out->from, &out->to, AF_INET6, p + 8);
    step(r, 40);
    if (len > 0)
        set_length(r, len);
    if (r->wire > LENGTH_MAX) {
        out->kind = PACKET_BAD;
        return;
    }
    out->ip_len = r->wire + 40;
    if (pass_extensions(&protocol, len == 0, r, out))
        parse_protocol(protocol, r, out);
}

/* The version is in the first half byte. */
static void parse_ip(struct rest *r, struct packet *out)
{
    if (lacks(r, 1, out))
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
static void parse_mpls(struct rest *r, struct packet *out)
{
    bool is_last = false;

    while (!is_last) {
        if (lacks(r, 4, out))
            return;
        is_last = r->at[2] & 1;
        step(r, 4);
    }
    if (r->have > 0 && r->at[0] >> 4 != 4 && r->at[0] >> 4 != 6)
        out->kind = PACKET_OTHER;
    else
        parse_ip(r, out);
}

/* RFC 2516 4, then the protocol of PPP */
static void parse_pppoe(struct rest *r, struct packet *out)
{
    if (lacks(r, 8, out))
        return;
    uint16_t protocol = get16(r->at + 6);

    step(r, 8);
    if (protocol == 0x0021 || protocol == 0x0057)
        parse_ip(r, out);
    else
        out->kind = PACKET_OTHER;
}

/* What an EtherType says comes next; tags may be stacked. */
static void parse_type(uint16_t type, struct rest *r, struct packet *out)
{
    while (type == TYPE_VLAN || type == TYPE_QINQ || type == TYPE_QINQ_OLD ||
           type == TYPE_QINQ_OLDER) {
        if (lacks(r, 4, out))
            return;
        type = get16(r->at + 2);
        step(r, 4);
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
static void parse_typed(size_t len, size_t type_at, struct rest *r, struct packet *out)
{
    if (lacks(r, len, out))
        return;
    uint16_t type = get16(r->at + type_at);

    step(r, len);
    parse_type(type, r, out);
}

/* Of some devices the "protocol" of a cooked header is no EtherType. */
static bool is_other_device(uint16_t arphrd)
{
    return arphrd == 824 /* netlink */ || arphrd == 778 /* GRE */ || arphrd == 770 /* FRAD */ ||
           (arphrd >= 801 && arphrd <= 803) /* 802.11 */;
}

static void parse_cooked(size_t len, size_t type_at, size_t device_at, struct rest *r,
                         struct packet *out)
{
    if (lacks(r, len, out))
        return;
    if (is_other_device(get16(r->at + device_at)))
        out->kind = PACKET_OTHER;
    else
        parse_typed(len, type_at, r, out);
}

/* A family of addresses, in the byte order of whoever captured it. */
static void parse_loopback(struct rest *r, struct packet *out)
{
    if (lacks(r, 4, out))
        return;
    uint32_t family = get32(r->at);

    if (family > UINT16_MAX)
        family = __builtin_bswap32(family);
    step(r, 4);
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

static void parse_link(uint32_t linktype, struct rest *r, struct packet *out)
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

/* Fields that are not the reader's stand together, at the end. */
static void clear_from(struct packet *out, size_t offset)
{
    memset((char *)out + offset, 0, sizeof *out - offset);
}

void packet_parse(uint32_t linktype, struct span bytes, uint32_t wire_len, struct packet *out)
{
    struct rest r = {(const uint8_t *)bytes.ptr, bytes.len, wire_len};

    if (r.have > wire_len)
        r.have = wire_len;
    out->kind = PACKET_BAD;
    clear_from(out, offsetof(struct packet, from));
    parse_link(linktype, &r, out);
}

void packet_parse_payload(struct span bytes, uint32_t wire_len, uint8_t protocol,
                          struct packet *whole)
{
    struct rest r = {(const uint8_t *)bytes.ptr, bytes.len, wire_len};

    if (r.have > wire_len)
        r.have = wire_len;
    whole->kind = PACKET_BAD;
    clear_from(whole, offsetof(struct packet, flags));
    if (whole->from.addr.family != AF_INET6 || pass_extensions(&protocol, false, &r, whole))
        parse_protocol(protocol, &r, whole);
}
