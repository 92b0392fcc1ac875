/* What IP carries: a segment, or an error about one. */
#include "wire/packet_private.h"

#define SCALE_MAX 14  /* RFC 7323 2.3 */
#define TCP_NEEDED 14 /* up to the flags: without them a segment says too little */

/* --- TCP (RFC 9293 3.1) ---------------------------------------------------------------------- */

static void read_sacks(const uint8_t *p, size_t len, struct packet *out)
{
    for (; len >= 8 && out->sacks_len < PACKET_SACKS_MAX; p += 8, len -= 8)
        out->sacks[out->sacks_len++] = (struct packet_sack){packet_get32(p), packet_get32(p + 4)};
}

/* One option; `len` is that of its value.  A length that is not the option's own is left. */
static void read_option(uint8_t kind, const uint8_t *value, size_t len, struct packet *out)
{
    bool is_syn = out->flags & PACKET_SYN;

    if (kind == 2 && len == 2 && is_syn) {
        out->mss = packet_get16(value);
    } else if (kind == 3 && len == 1 && is_syn) {
        out->has_scale = true;
        out->scale = value[0] < SCALE_MAX ? value[0] : SCALE_MAX;
    } else if (kind == 4 && len == 0 && is_syn) {
        out->sack_permitted = true;
    } else if (kind == 5) {
        read_sacks(value, len, out);
    } else if (kind == 8 && len == 8) {
        out->has_times = true;
        out->time_value = packet_get32(value);
        out->time_echo = packet_get32(value + 4);
    }
}

/* Ends at the first option that cannot be: without its length nobody knows where the next is. */
static void read_options(const uint8_t *p, size_t len, struct packet *out)
{
    /* what most segments have: two times NOP, then timestamps (RFC 7323, appendix A) */
    if (len == 12 && packet_get32(p) == 0x0101080a) {
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

void packet_read_tcp(struct packet_rest *r, struct packet *out)
{
    const uint8_t *p = r->at;
    size_t header, have;

    if (packet_lacks(r, TCP_NEEDED, out))
        return;
    header = (size_t)(p[12] >> 4) * 4;
    if (header < 20 || header > r->wire) {
        out->kind = PACKET_BAD;
        return;
    }
    out->kind = PACKET_TCP;
    out->from.port = packet_get16(p);
    out->to.port = packet_get16(p + 2);
    out->seq = packet_get32(p + 4);
    out->ack = packet_get32(p + 8);
    out->flags = p[13] & 0x3f;
    out->window = r->have >= 16 ? packet_get16(p + 14) : UINT16_MAX; /* not a closed one */
    have = header < r->have ? header : r->have;
    out->options_cut = have < header && header > 20;
    if (have > 20)
        read_options(p + 20, have - 20, out);
    out->payload_len = r->wire - (uint32_t)header;
    out->payload = (struct span){(const char *)p + have, r->have - have};
}

/* --- ICMP (RFC 792, 4443): errors about TCP -------------------------------------------------- */

static void read_quoted_tcp(const struct packet_rest *r, struct packet *out)
{
    if (r->have < 8) {
        out->kind = r->wire < 8 ? PACKET_OTHER : PACKET_CUT;
        return;
    }
    out->kind = PACKET_ICMP;
    out->about_from.port = packet_get16(r->at);
    out->about_to.port = packet_get16(r->at + 2);
    out->about_seq = packet_get32(r->at + 4);
}

static void read_quoted_ipv4(struct packet_rest *r, struct packet *out)
{
    const uint8_t *p = r->at;
    size_t header;

    if (packet_lacks(r, 20, out))
        return;
    header = (size_t)(p[0] & 15) * 4;
    out->kind = PACKET_OTHER;
    if (p[0] >> 4 != 4 || header < 20 || p[9] != PROTOCOL_TCP || (packet_get16(p + 6) & 0x1fff))
        return; /* not TCP, or not its beginning */
    out->about_len = packet_get16(p + 2);
    packet_set_ends(&out->about_from, &out->about_to, AF_INET, p + 12);
    if (packet_lacks(r, header, out))
        return;
    packet_step(r, header);
    read_quoted_tcp(r, out);
}

static void read_quoted_ipv6(struct packet_rest *r, struct packet *out)
{
    uint8_t next;

    if (packet_lacks(r, 40, out))
        return;
    out->kind = PACKET_OTHER;
    if (r->at[0] >> 4 != 6)
        return;
    next = r->at[6];
    out->about_len = 40u + packet_get16(r->at + 4);
    packet_set_ends(&out->about_from, &out->about_to, AF_INET6, r->at + 8);
    packet_step(r, 40);
    for (size_t len; packet_may_extend(next) || next == PROTOCOL_FRAGMENT; packet_step(r, len)) {
        if (packet_lacks(r, 8, out))
            return;
        if (!packet_is_extension(next, r->at, &len)) {
            len = 8;
            if (packet_get16(r->at + 2) & 0xfff8)
                return; /* not the beginning of the TCP packet */
        }
        next = r->at[0];
        if (packet_lacks(r, len, out))
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

void packet_read_icmp(bool is_v6, struct packet_rest *r, struct packet *out)
{
    const uint8_t *p = r->at;

    if (packet_lacks(r, 8, out))
        return;
    out->kind = PACKET_OTHER;
    if (!is_error(is_v6, p[0]))
        return;
    out->is_v6 = is_v6;
    out->icmp_type = p[0];
    out->icmp_code = p[1];
    if (is_v6 && p[0] == 2)
        out->icmp_mtu = packet_get32(p + 4);
    else if (!is_v6 && p[0] == 3 && p[1] == 4)
        out->icmp_mtu = packet_get16(p + 6);
    packet_step(r, 8);
    if (is_v6)
        read_quoted_ipv6(r, out);
    else
        read_quoted_ipv4(r, out);
    if (out->kind == PACKET_BAD)
        out->kind = PACKET_OTHER; /* it quotes too little: that is not forbidden to it */
}
