/*
 * capture-gen - captures of a size that nobody wants to keep, on standard output.
 *
 *   flows N BYTES [LIVE]  N tunnels through a proxy, BYTES in all, LIVE of them at once (all)
 *   open N                N tunnels, one after the other begun, with a request and its answer; when
 *                         the last one has its own they end, one after the other
 *   burst N               the same, but each step is done by all of them before any does the next
 *   flood N               N SYNs of which one in four is answered, and none goes on
 *   head BYTES            a request head that does not end
 *   holes BYTES           transfers of which every second segment is not in the capture, and
 *                         unacknowledged
 *
 * pcap with Ethernet, IPv4 and TCP with timestamps; checksums are 0.  A tunnel has its handshake,
 * CONNECT and 200, TLS hellos as a browser's (with a post-quantum key share), records of encrypted
 * data both ways, close_notify and both FINs; transfers have other sizes each.  The same arguments
 * give the same bytes.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MSS 1448u /* with timestamps */
#define HEAD (16 + 14 + 20 + 32)
#define RECORD 16384u
#define OVERHEAD 7500u /* of a flow, beside its transfer: headers, handshakes, ACKs */
#define PROXY 0x0a000002u
#define PROXY_PORT 3128

enum { FIN = 1, SYN = 2, RST = 4, PSH = 8, ACK = 16 };

static uint64_t state = 88172645463325252ull;
static uint64_t now_us = 1700000000000000ull;
static unsigned char hello[1800], answer[1400];
static size_t hello_len, answer_len;

/* xorshift64 (Marsaglia). */
static uint64_t pick(uint64_t below)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state % below;
}

static void put(const void *bytes, size_t len)
{
    if (fwrite(bytes, 1, len, stdout) != len) {
        perror("capture-gen");
        exit(1);
    }
}

static unsigned char *put_16(unsigned char *at, unsigned n)
{
    at[0] = (unsigned char)(n >> 8);
    at[1] = (unsigned char)n;
    return at + 2;
}

static unsigned char *put_32(unsigned char *at, uint32_t n)
{
    return put_16(put_16(at, n >> 16), n & 0xffff);
}

/* --- one packet */

struct side {
    uint32_t seq, address;
    uint16_t port, ip_id;
};

static void begin_file(void)
{
    static const uint32_t head[] = {0xa1b2c3d4, 4u << 16 | 2, 0, 0, 262144, 1};

    put(head, sizeof head);
}

static void send_packet(struct side *from, const struct side *to, unsigned flags,
                        const void *payload, uint32_t len)
{
    unsigned char p[HEAD] = {0}, *at = p;
    uint32_t wire = HEAD - 16 + len,
             times[4] = {(uint32_t)(now_us / 1000000), (uint32_t)(now_us % 1000000), wire, wire};

    memcpy(at, times, 16);
    at = put_32(put_32(put_32(at + 16, 0x02000000), 0x00010200), 0x00000002); /* addresses */
    at = put_16(at, 0x0800);
    at = put_16(put_16(at, 0x4500), 20 + 32 + len);
    at = put_16(put_16(at, from->ip_id++), 0x4000);
    at = put_16(put_16(at, 64 << 8 | 6), 0);
    at = put_32(put_32(at, from->address), to->address);
    at = put_16(put_16(at, from->port), to->port);
    at = put_32(put_32(at, from->seq), flags & ACK ? to->seq : 0);
    at = put_16(put_16(at, 8u << 12 | flags), 502);
    at = put_32(at, 0);
    if (flags & SYN) { /* MSS, window scale, SACK permitted, padding */
        at = put_32(at, 0x020405b4);
        at = put_32(at, 0x01030307);
        put_32(at, 0x04020101);
    } else {
        at = put_32(at, 0x0101080a);
        put_32(put_32(at, (uint32_t)(now_us / 1000)), (uint32_t)(now_us / 1000 - 1));
    }
    put(p, sizeof p);
    if (len)
        put(payload, len);
    from->seq += len + (flags & (SYN | FIN) ? 1 : 0);
    now_us += 1 + pick(20);
}

/* --- what is said */

static unsigned char *put_extension(unsigned char *at, unsigned type, const void *bytes,
                                    unsigned len)
{
    at = put_16(put_16(at, type), len);
    memcpy(at, bytes, len);
    return at + len;
}

static unsigned char *put_noise(unsigned char *at, size_t len)
{
    while (len-- > 0)
        *at++ = (unsigned char)pick(256);
    return at;
}

/* RFC 8446 4.1.2: as a browser's of today, 1.7 kB. */
static void make_hello(void)
{
    static const unsigned char suites[] = {0, 6, 0x13, 1, 0x13, 2, 0x13, 3, 1, 0};
    static const unsigned char sni[] = "\0\x16\0\0\x13updates.example.net";
    unsigned char share[4 + 2 + 1216] = {4, 0xc4, 0x11, 0xec, 4, 0xc0};
    unsigned char *at = hello + 9, *extensions;

    at = put_16(at, 0x0303);
    at = put_noise(at, 32);
    *at++ = 32;
    at = put_noise(at, 32);
    memcpy(at, suites, sizeof suites);
    extensions = at += sizeof suites;
    at += 2;
    put_noise(share + 6, 1216);
    at = put_extension(at, 0, sni, sizeof sni - 1);
    at = put_extension(at, 16, "\0\x0c\x02h2\x08http/1.1", 14);
    at = put_extension(at, 43, "\x04\x03\x04\x03\x03", 5);
    at = put_extension(at, 10, "\0\x04\x11\xec\0\x1d", 6);
    at = put_extension(at, 13, "\0\x08\x04\x03\x08\x04\x04\x01\x08\x05", 10);
    at = put_extension(at, 51, share, sizeof share);
    memset(at + 4, 0, 230);
    at = put_16(put_16(at, 21), 230) + 230;
    put_16(extensions, (unsigned)(at - extensions - 2));
    hello_len = (size_t)(at - hello);
    put_16(hello + 7, (unsigned)(hello_len - 9));
    hello[5] = 1;
    hello[0] = 22;
    put_16(hello + 1, 0x0301);
    put_16(hello + 3, (unsigned)(hello_len - 5));
}

/* RFC 8446 4.1.3, and what follows it in the clear: ChangeCipherSpec. */
static void make_answer(void)
{
    unsigned char share[4 + 1120] = {0x11, 0xec, 4, 0x60};
    unsigned char *at = answer + 9, *extensions;

    at = put_noise(put_16(at, 0x0303), 32);
    *at++ = 32;
    at = put_noise(at, 32);
    at = put_16(at, 0x1301);
    *at++ = 0;
    extensions = at;
    at += 2;
    put_noise(share + 4, 1120);
    at = put_extension(at, 43, "\x03\x04", 2);
    at = put_extension(at, 51, share, sizeof share);
    put_16(extensions, (unsigned)(at - extensions - 2));
    answer[0] = 22;
    put_16(answer + 1, 0x0303);
    put_16(answer + 3, (unsigned)(at - answer - 5));
    answer[5] = 2;
    put_16(answer + 7, (unsigned)(at - answer - 9));
    memcpy(at, "\x14\x03\x03\0\x01\x01", 6);
    answer_len = (size_t)(at + 6 - answer);
}

/* The bytes of encrypted data from `from` on: records of 16 KiB, the last one shorter. */
static const void *get_data(uint32_t from, uint32_t len, uint32_t total)
{
    static unsigned char bytes[65536];

    memset(bytes, 0x5a, len);
    for (uint32_t begin = from / (RECORD + 5) * (RECORD + 5); begin < from + len;
         begin += RECORD + 5) {
        uint32_t left = total - begin - 5, size = left < RECORD ? left : RECORD;
        unsigned char head[5] = {23, 3, 3, (unsigned char)(size >> 8), (unsigned char)size};

        for (uint32_t i = 0; i < 5; i++)
            if (begin + i >= from && begin + i < from + len)
                bytes[begin + i - from] = head[i];
    }
    return bytes;
}

/* --- a tunnel, packet by packet */

struct flow {
    struct side client, proxy;
    uint32_t step, sent, total; /* of the transfer */
};

static void begin_flow(struct flow *f, uint32_t number, uint32_t mean)
{
    *f = (struct flow){
        .client = {(uint32_t)pick(UINT32_MAX), 0x0a010000u + number / 50000,
                   (uint16_t)(10000 + number % 50000), 1},
        .proxy = {(uint32_t)pick(UINT32_MAX), PROXY, PROXY_PORT, 1},
        .total = 60 + (uint32_t)pick(2 * (uint64_t)mean),
    };
    if (f->total % (RECORD + 5) < 30 && f->total > RECORD) /* each record has something in it */
        f->total += 30;
}

/* A part of the transfer, and an acknowledgement for every second. */
static bool send_data(struct flow *f)
{
    uint32_t len = f->total - f->sent < MSS ? f->total - f->sent : MSS;

    if (len == 0)
        return false;
    send_packet(&f->proxy, &f->client, ACK | (len < MSS ? PSH : 0u),
                get_data(f->sent, len, f->total), len);
    f->sent += len;
    if (f->sent / MSS % 2 == 0 || f->sent == f->total)
        send_packet(&f->client, &f->proxy, ACK, NULL, 0);
    return true;
}

#define LAST_OF_HANDSHAKE 2u
#define LAST_OPEN 14u /* nobody closes before the step behind it */

/* The next packets; false: it is over. */
static bool step_flow(struct flow *f)
{
    static const char request[] =
        "CONNECT updates.example.net:443 HTTP/1.1\r\nHost: updates.example.net:443\r\n"
        "User-Agent: bench/1\r\nProxy-Connection: Keep-Alive\r\n\r\n";
    static const char accepted[] = "HTTP/1.1 200 Connection established\r\n\r\n";
    static const unsigned char finished[80] = {0x14, 3, 3, 0, 1, 1, 0x17, 3, 3, 0, 69};
    static const unsigned char asks[300] = {0x17, 3, 3, 1, 39}, notify[24] = {0x17, 3, 3, 0, 19};
    static const unsigned char certificate[2800] = {0x17, 3, 3, 0x0a, 0xeb};
    struct side *c = &f->client, *p = &f->proxy;

    if (f->step == 6 || f->step == 7) /* each has a random of its own */
        put_32(hello + 11, f->client.address * 65536 + f->client.port);
    switch (f->step++) {
    case 0:
        send_packet(c, p, SYN, NULL, 0);
        break;
    case 1:
        send_packet(p, c, SYN | ACK, NULL, 0);
        break;
    case 2:
        send_packet(c, p, ACK, NULL, 0);
        break;
    case 3:
        send_packet(c, p, ACK | PSH, request, sizeof request - 1);
        break;
    case 4:
        send_packet(p, c, ACK, NULL, 0);
        break;
    case 5:
        send_packet(p, c, ACK | PSH, accepted, sizeof accepted - 1);
        break;
    case 6:
        send_packet(c, p, ACK, hello, MSS);
        break;
    case 7:
        send_packet(c, p, ACK | PSH, hello + MSS, (uint32_t)hello_len - MSS);
        break;
    case 8:
        send_packet(p, c, ACK, answer, (uint32_t)answer_len);
        break;
    case 9:
        send_packet(p, c, ACK, certificate, 1400);
        break;
    case 10:
        send_packet(p, c, ACK | PSH, certificate + 1400, 1400);
        break;
    case 11:
        send_packet(c, p, ACK | PSH, finished, sizeof finished);
        break;
    case 12:
        send_packet(c, p, ACK | PSH, asks, sizeof asks);
        break;
    case 13:
        send_packet(p, c, ACK, NULL, 0);
        break;
    case 14:
        if (send_data(f))
            f->step--;
        break;
    case 15:
        send_packet(c, p, ACK | PSH, notify, sizeof notify);
        break;
    case 16:
        send_packet(c, p, ACK | FIN, NULL, 0);
        break;
    case 17:
        send_packet(p, c, ACK | PSH, notify, sizeof notify);
        break;
    case 18:
        send_packet(p, c, ACK | FIN, NULL, 0);
        break;
    case 19:
        send_packet(c, p, ACK, NULL, 0);
        return false;
    }
    return true;
}

static void make_flows(uint32_t count, uint64_t bytes, uint32_t live)
{
    uint64_t each = bytes / count;
    uint32_t mean = each > OVERHEAD + 200
                        ? (uint32_t)((each - OVERHEAD) * MSS / (MSS + HEAD + HEAD / 2))
                        : 100,
             begun = live;
    struct flow *flows = calloc(live, sizeof *flows);

    if (!flows || !live)
        exit(1);
    for (uint32_t i = 0; i < live; i++)
        begin_flow(&flows[i], i, mean);
    while (live > 0) {
        struct flow *f = &flows[pick(live)];

        if (step_flow(f))
            continue;
        if (begun < count)
            begin_flow(f, begun++, mean);
        else
            *f = flows[--live];
    }
    free(flows);
}

/* Handshakes come one after the other; then each tunnel goes on as far as nobody closes, or all do
 * a step before any does the next. */
static void make_open(uint32_t count, bool is_burst)
{
    struct flow *flows = calloc(count, sizeof *flows);

    if (!flows)
        exit(1);
    for (uint32_t i = 0; i < count; i++) {
        begin_flow(&flows[i], i, 100);
        while (flows[i].step <= (is_burst ? LAST_OF_HANDSHAKE : LAST_OPEN))
            step_flow(&flows[i]);
    }
    while (is_burst && flows[0].step <= LAST_OPEN)
        for (uint32_t i = 0; i < count; i++)
            step_flow(&flows[i]);
    for (uint32_t i = 0; i < count; i++)
        while (step_flow(&flows[i]))
            ;
    free(flows);
}

/* --- what is hostile */

static void make_flood(uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        struct side from = {(uint32_t)pick(UINT32_MAX), 0x0b000000u + (uint32_t)pick(1u << 24),
                            (uint16_t)(1024 + pick(60000)), 1};
        struct side to = {(uint32_t)pick(UINT32_MAX), PROXY, PROXY_PORT, 1};

        send_packet(&from, &to, SYN, NULL, 0);
        if (i % 4 == 0)
            send_packet(&to, &from, SYN | ACK, NULL, 0);
    }
}

static void begin_connection(struct side *from, struct side *to, uint16_t port)
{
    *from = (struct side){(uint32_t)pick(UINT32_MAX), 0x0a010001u, port, 1};
    *to = (struct side){(uint32_t)pick(UINT32_MAX), PROXY, PROXY_PORT, 1};
    send_packet(from, to, SYN, NULL, 0);
    send_packet(to, from, SYN | ACK, NULL, 0);
    send_packet(from, to, ACK, NULL, 0);
}

static void make_head(uint64_t bytes)
{
    static const char first[] = "CONNECT updates.example.net:443 HTTP/1.1\r\n";
    struct side from, to;
    char more[MSS];

    for (unsigned i = 0; i < sizeof more; i++)
        more[i] = "X-Filler: abcdefghijklmn\r\n"[i % 26];
    begin_connection(&from, &to, 40000);
    send_packet(&from, &to, ACK | PSH, first, sizeof first - 1);
    for (uint64_t i = 0; i < bytes; i += 2 * (sizeof more + HEAD)) {
        send_packet(&from, &to, ACK, more, 26 * (sizeof more / 26));
        send_packet(&from, &to, ACK, more, 26 * (sizeof more / 26));
        send_packet(&to, &from, ACK, NULL, 0);
    }
}

static void make_holes(uint64_t bytes)
{
    static char data[MSS];
    struct side from = {0}, to = {0};
    unsigned part = 0;

    for (uint64_t i = 0; i < bytes; i += MSS + HEAD, part++) {
        if (part % 2000 == 0)
            begin_connection(&from, &to, (uint16_t)(10000 + part / 2000 % 50000));
        from.seq += MSS; /* this one is not there */
        send_packet(&from, &to, ACK, data, MSS);
    }
}

int main(int argc, char **argv)
{
    static char buffer[1 << 20];
    const char *what = argc > 2 ? argv[1] : "";
    uint64_t first = argc > 2 ? strtoull(argv[2], NULL, 0) : 0,
             second = argc > 3 ? strtoull(argv[3], NULL, 0) : 0;

    setvbuf(stdout, buffer, _IOFBF, sizeof buffer);
    make_hello();
    make_answer();
    begin_file();
    if (strcmp(what, "flows") == 0 && first && second)
        make_flows((uint32_t)first, second,
                   argc > 4 ? (uint32_t)strtoul(argv[4], NULL, 0) : (uint32_t)first);
    else if (strcmp(what, "open") == 0 || strcmp(what, "burst") == 0)
        make_open((uint32_t)first, strcmp(what, "burst") == 0);
    else if (strcmp(what, "flood") == 0)
        make_flood((uint32_t)first);
    else if (strcmp(what, "head") == 0)
        make_head(first);
    else if (strcmp(what, "holes") == 0)
        make_holes(first);
    else
        return 2;
    return fflush(stdout) != 0;
}
