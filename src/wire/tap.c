#include "wire/tap.h"

#include <arpa/inet.h>
#include <assert.h>
#include <string.h>

#include "base/util.h"

enum flag { FIN = 1, SYN = 2, RST = 4, PSH = 8, ACK = 16 };

#define PROTOCOL_TCP 6
#define TTL 64
#define WINDOW 65535
#define MSS_MAX 65495 /* with both headers it fills an IPv4 packet */
#define WINDOW_SCALE 10
#define IPV4_LEN 20
#define IPV6_LEN 40
#define TCP_LEN 20
#define SYN_OPTIONS_LEN 8

/* First sequence numbers: any would do; these tell the ends apart in a dump. */
static const uint32_t first_sequence[2] = {[TAP_NEAR] = 0x10000000, [TAP_FAR] = 0x20000000};

static enum tap_end other(enum tap_end end)
{
    return end == TAP_NEAR ? TAP_FAR : TAP_NEAR;
}

static void put16(uint8_t *at, unsigned value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

static void put32(uint8_t *at, uint32_t value)
{
    put16(at, value >> 16);
    put16(at + 2, value & 0xffff);
}

/* --- checksums (RFC 1071) -------------------------------------------------------------------- */

/* Adds bytes that begin at an even place. */
static uint64_t sum(uint64_t so_far, const void *bytes, size_t len)
{
    const uint8_t *b = bytes;

    for (; len > 1; b += 2, len -= 2)
        so_far += (uint64_t)b[0] << 8 | b[1];
    return len ? so_far + ((uint64_t)b[0] << 8) : so_far;
}

static uint16_t fold(uint64_t total)
{
    while (total >> 16)
        total = (total & 0xffff) + (total >> 16);
    return (uint16_t)~total;
}

/* --- one packet ------------------------------------------------------------------------------ */

static size_t addr_len(const struct tap *t)
{
    return t->ends[TAP_NEAR].addr.family == AF_INET ? 4 : 16;
}

/* RFC 791; returns the header's length. */
static size_t write_ipv4(struct tap *t, enum tap_end from, size_t payload, uint8_t out[IPV4_LEN])
{
    memset(out, 0, IPV4_LEN);
    out[0] = 0x45;
    put16(out + 2, (unsigned)(IPV4_LEN + payload));
    put16(out + 4, t->ip_id[from]++);
    put16(out + 6, 0x4000); /* don't fragment */
    out[8] = TTL;
    out[9] = PROTOCOL_TCP;
    memcpy(out + 12, t->ends[from].addr.bytes, 4);
    memcpy(out + 16, t->ends[other(from)].addr.bytes, 4);
    put16(out + 10, fold(sum(0, out, IPV4_LEN)));
    return IPV4_LEN;
}

/* RFC 8200 */
static size_t write_ipv6(const struct tap *t, enum tap_end from, size_t payload,
                         uint8_t out[IPV6_LEN])
{
    memset(out, 0, IPV6_LEN);
    out[0] = 0x60;
    put16(out + 4, (unsigned)payload);
    out[6] = PROTOCOL_TCP;
    out[7] = TTL;
    memcpy(out + 8, t->ends[from].addr.bytes, 16);
    memcpy(out + 24, t->ends[other(from)].addr.bytes, 16);
    return IPV6_LEN;
}

/* RFC 9293 3.1, but for the checksum; returns the header's length. */
static size_t write_tcp(const struct tap *t, enum tap_end from, unsigned flags,
                        uint8_t out[TCP_LEN + SYN_OPTIONS_LEN])
{
    size_t len = TCP_LEN + (flags & SYN ? SYN_OPTIONS_LEN : 0);

    memset(out, 0, len);
    put16(out, t->ends[from].port);
    put16(out + 2, t->ends[other(from)].port);
    put32(out + 4, t->next[from]);
    if (flags & ACK)
        put32(out + 8, t->acked[from]);
    out[12] = (uint8_t)(len / 4 << 4);
    out[13] = (uint8_t)flags;
    put16(out + 14, WINDOW);
    if (flags & SYN) {
        out[20] = 2; /* maximum segment size */
        out[21] = 4;
        put16(out + 22, t->mss);
        out[24] = 1; /* no operation */
        out[25] = 3; /* window scale (RFC 7323) */
        out[26] = 3;
        out[27] = WINDOW_SCALE;
    }
    return len;
}

static uint16_t tcp_checksum(const struct tap *t, const uint8_t *tcp, size_t len, struct span data)
{
    uint64_t total = PROTOCOL_TCP + len + data.len; /* the rest of the pseudo header */

    for (unsigned i = 0; i < ARRAY_LEN(t->ends); i++)
        total = sum(total, t->ends[i].addr.bytes, addr_len(t));
    return fold(sum(sum(total, tcp, len), data.ptr, data.len));
}

/* Writes one packet and moves the sequence number on; what is acknowledged was set before. */
static void send_packet(struct tap *t, uint64_t at_ns, enum tap_end from, unsigned flags,
                        struct span data)
{
    uint8_t ip[IPV6_LEN], tcp[TCP_LEN + SYN_OPTIONS_LEN];
    size_t tcp_len = write_tcp(t, from, flags, tcp), ip_len;

    put16(tcp + 16, tcp_checksum(t, tcp, tcp_len, data));
    ip_len = addr_len(t) == 4 ? write_ipv4(t, from, tcp_len + data.len, ip)
                              : write_ipv6(t, from, tcp_len + data.len, ip);
    pcapng_packet(t->out, at_ns,
                  (const struct span[]){{(char *)ip, ip_len}, {(char *)tcp, tcp_len}, data}, 3,
                  NULL);
    t->next[from] += (uint32_t)data.len + (flags & (SYN | FIN) ? 1 : 0);
}

/* The same with the acknowledgement of all that came. */
static void send_acking(struct tap *t, uint64_t at_ns, enum tap_end from, unsigned flags,
                        struct span data)
{
    t->acked[from] = t->next[other(from)];
    send_packet(t, at_ns, from, flags | ACK, data);
}

static const struct span nothing = {"", 0};

/* Or never begun. */
static bool is_over(const struct tap *t)
{
    return !t->out || (t->closed[TAP_NEAR] && t->closed[TAP_FAR]);
}

/* --- a connection ---------------------------------------------------------------------------- */

static bool is_drawable(const struct endpoint *near, const struct endpoint *far)
{
    return near->addr.family == far->addr.family &&
           (near->addr.family == AF_INET || near->addr.family == AF_INET6);
}

void tap_open(struct tap *t, struct pcapng *out, const struct endpoint *near,
              const struct endpoint *far, uint16_t mss, uint64_t at_ns)
{
    *t = (struct tap){.out = out, .ends = {*near, *far}};
    if (!is_drawable(near, far)) {
        t->closed[TAP_NEAR] = t->closed[TAP_FAR] = true;
        return;
    }
    memcpy(t->next, first_sequence, sizeof t->next);
    t->mss = mss > MSS_MAX ? MSS_MAX
             : mss         ? mss
                           : (uint16_t)(1500 - TCP_LEN - (addr_len(t) == 4 ? IPV4_LEN : IPV6_LEN));
    send_packet(t, at_ns, TAP_NEAR, SYN, nothing);
}

void tap_established(struct tap *t, uint64_t at_ns)
{
    if (is_over(t) || t->established)
        return;
    t->established = true;
    send_acking(t, at_ns, TAP_FAR, SYN, nothing);
    send_acking(t, at_ns, TAP_NEAR, 0, nothing);
}

void tap_refused(struct tap *t, uint64_t at_ns)
{
    if (is_over(t))
        return;
    t->next[TAP_FAR] = 0; /* RFC 9293 3.10.7.1: it has no numbers of its own */
    send_acking(t, at_ns, TAP_FAR, RST, nothing);
    t->closed[TAP_NEAR] = t->closed[TAP_FAR] = true;
}

void tap_data(struct tap *t, uint64_t at_ns, enum tap_end from, struct span bytes)
{
    if (!t->established || t->closed[from])
        return;
    while (bytes.len > 0) {
        size_t n = bytes.len < t->mss ? bytes.len : t->mss;

        send_acking(t, at_ns, from, n == bytes.len ? PSH : 0, (struct span){bytes.ptr, n});
        bytes = (struct span){bytes.ptr + n, bytes.len - n};
    }
    if (from == TAP_FAR)
        tap_ack(t, at_ns, TAP_NEAR);
}

void tap_ack(struct tap *t, uint64_t at_ns, enum tap_end by)
{
    if (t->established && t->acked[by] != t->next[other(by)])
        send_acking(t, at_ns, by, 0, nothing);
}

void tap_close(struct tap *t, uint64_t at_ns, enum tap_end by, bool reset)
{
    if (is_over(t) || (t->closed[by] && !reset))
        return;
    if (!t->established && !reset)
        return; /* a SYN given up leaves no packet */
    send_acking(t, at_ns, by, reset ? RST : FIN, nothing);
    t->closed[by] = true;
    if (reset)
        t->closed[other(by)] = true;
    else if (by == TAP_FAR || is_over(t))
        tap_ack(t, at_ns, other(by));
}
