/* wire/packet: every link layer to the same segment, options, extension headers, fragments, what
 * ICMP quotes, and lengths that lie. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/util.h"
#include "wire/packet.h"

#define ETHERNET 1
#define RAW 101

#define MACS "020000000002 020000000001 "
#define ENDS4 "c0000201 c0000202 "
#define ENDS6 "20010db8000000000000000000000001 20010db8000000000000000000000002 "
/* ports 49152 to 80, seq 1000, ack 2000; then header length, flags, window 512, checksum, urgent */
#define TCP "c0000050 000003e8 000007d0 5010 0200 0000 0000 "
#define TCP_8 "c0000050 000003e8 "
#define IP4(len, protocol) "4500" len "1234 0000 40" protocol "0000 " ENDS4
#define IP6(len, next) "60000000" len next "40 " ENDS6
#define SEEN "192.0.2.1:49152>192.0.2.2:80 . seq 1000 ack 2000 win 512 "
#define SEEN6 "[2001:db8::1]:49152>[2001:db8::2]:80 . seq 1000 ack 2000 win 512 "

struct sample {
    const char *name;
    uint32_t linktype;
    const char *hex;
    uint32_t wire_len; /* 0: just the bytes */
    const char *want;
};

static size_t unhex(const char *hex, uint8_t *out, size_t cap)
{
    size_t n = 0;

    for (const char *p = hex; *p;) {
        char pair[3] = {p[0], p[1], '\0'};

        if (*p == ' ') {
            p++;
            continue;
        }
        assert_true(n < cap && p[1]);
        out[n++] = (uint8_t)strtoul(pair, NULL, 16);
        p += 2;
    }
    return n;
}

#define ADD(...) at += snprintf(at, (size_t)(end - at), __VA_ARGS__)

static char *put_options(const struct packet *p, char *at, const char *end)
{
    if (p->mss)
        ADD(" mss %u", p->mss);
    if (p->has_scale)
        ADD(" scale %u", p->scale);
    if (p->sack_permitted)
        ADD(" sackok");
    for (unsigned i = 0; i < p->sacks_len; i++)
        ADD(" sack %u-%u", p->sacks[i].begin, p->sacks[i].end);
    if (p->has_times)
        ADD(" times %u/%u", p->time_value, p->time_echo);
    if (p->options_cut)
        ADD(" options-cut");
    return at;
}

static char *put_tcp(const struct packet *p, char *at, const char *end)
{
    static const char flags[] = "FSRP.U";
    char from[ENDPOINT_TEXT_MAX], to[ENDPOINT_TEXT_MAX];

    endpoint_write(&p->from, from);
    endpoint_write(&p->to, to);
    ADD("%s>%s ", from, to);
    for (int i = 0; i < 6; i++)
        if (p->flags & 1 << i)
            ADD("%c", flags[i]);
    ADD(" seq %u ack %u win %u len %u/%zu ip %u", p->seq, p->ack, p->window, p->payload_len,
        p->payload.len, p->ip_len);
    return put_options(p, at, end);
}

static void put_icmp(const struct packet *p, char *at, const char *end)
{
    char from[ENDPOINT_TEXT_MAX], about[ENDPOINT_TEXT_MAX], about_to[ENDPOINT_TEXT_MAX];

    addr_write(&p->from.addr, from);
    endpoint_write(&p->about_from, about);
    endpoint_write(&p->about_to, about_to);
    ADD("icmp%s %s %u/%u mtu %u about %s>%s seq %u ip %u", p->is_v6 ? "6" : "", from, p->icmp_type,
        p->icmp_code, p->icmp_mtu, about, about_to, p->about_seq, p->about_len);
}

static void describe(const struct packet *p, char *at, size_t cap)
{
    const char *end = at + cap;

    switch (p->kind) {
    case PACKET_OTHER:
        ADD("other");
        break;
    case PACKET_TCP:
        put_tcp(p, at, end);
        break;
    case PACKET_ICMP:
        put_icmp(p, at, end);
        break;
    case PACKET_FRAGMENT:
        ADD("fragment %u of %u id %u at %u%s len %u/%zu", p->fragment_protocol, p->ip_len,
            p->fragment_id, p->fragment_offset, p->fragment_more ? "+" : "", p->fragment_len,
            p->fragment.len);
        break;
    case PACKET_CUT:
        ADD("cut");
        break;
    case PACKET_BAD:
        ADD("bad");
        break;
    }
}

/* Whatever stood there before, the same comes out. */
static void check_cleared(const struct sample *s, struct span bytes, const struct packet *p)
{
    static struct packet other;
    size_t begin = offsetof(struct packet, from);
    size_t end = offsetof(struct packet, fragment_len) + sizeof other.fragment_len;

    memset(&other, 0, sizeof other);
    packet_parse(s->linktype, bytes, s->wire_len ? s->wire_len : (uint32_t)bytes.len, &other);
    assert_memory_equal((const char *)p + begin, (const char *)&other + begin, end - begin);
}

static void check(const struct sample *s)
{
    static struct packet p;
    uint8_t bytes[512], *copy;
    size_t len = unhex(s->hex, bytes, sizeof bytes);
    char got[512] = "";

    copy = malloc(len + 1); /* of its size: a sanitizer sees a read too far */
    assert_non_null(copy);
    memcpy(copy + 1, bytes, len);
    memset(&p, 0xa5, sizeof p); /* nothing of an earlier packet may stay */
    packet_parse(s->linktype, (struct span){(char *)copy + 1, len},
                 s->wire_len ? s->wire_len : (uint32_t)len, &p);
    describe(&p, got, sizeof got);
    check_cleared(s, (struct span){(char *)copy + 1, len}, &p);
    free(copy);
    if (strcmp(got, s->want) != 0)
        fail_msg("%s: got \"%s\", not \"%s\"", s->name, got, s->want);
}

static void check_all(const struct sample *samples, size_t n)
{
    for (size_t i = 0; i < n; i++)
        check(&samples[i]);
}

static void every_link_layer_is_stepped_over(void **state)
{
#define PLAIN IP4("002a", "06") TCP "4142"
#define WANT SEEN "len 2/2 ip 42"
    static const struct sample cases[] = {
        {"ethernet", ETHERNET, MACS "0800" PLAIN, 0, WANT},
        {"ethernet, padded", ETHERNET, MACS "0800" PLAIN "000000000000 deadbeef", 0, WANT},
        {"vlan", ETHERNET, MACS "8100 0005 0800" PLAIN, 0, WANT},
        {"qinq", ETHERNET, MACS "88a8 0005 8100 0006 0800" PLAIN, 0, WANT},
        {"old qinq", ETHERNET, MACS "9100 0005 8100 0006 0800" PLAIN, 0, WANT},
        {"three tags", ETHERNET, MACS "8100 0005 8100 0006 8100 0007 0800" PLAIN, 0, WANT},
        {"mpls", ETHERNET, MACS "8847 00010040 00011140" PLAIN, 0, WANT},
        {"mpls, not ip", ETHERNET, MACS "8847 00011140 00000000", 0, "other"},
        {"mpls without an end", ETHERNET, MACS "8847 00010040", 0, "bad"},
        {"pppoe", ETHERNET, MACS "8864 11000001002c 0021" PLAIN, 0, WANT},
        {"pppoe, lcp", ETHERNET, MACS "8864 11000001002c c021 0000", 0, "other"},
        {"pppoe discovery", ETHERNET, MACS "8863 11090000 0000", 0, "other"},
        {"802.3", ETHERNET, MACS "0026 424203" PLAIN, 0, "other"},
        {"arp", ETHERNET, MACS "0806 0001", 0, "other"},
        {"cut in its header", ETHERNET, MACS, 60, "cut"},
        {"cut in a tag", ETHERNET, MACS "8100 00", 60, "cut"},
        {"shorter than its header", ETHERNET, MACS, 0, "bad"},
        {"nothing", ETHERNET, "", 0, "bad"},
        {"cooked", 113, "0000 0001 0006 020000000001 0000 0800" PLAIN, 0, WANT},
        {"cooked, vlan", 113, "0000 0001 0006 020000000001 0000 8100 0005 0800" PLAIN, 0, WANT},
        {"cooked, netlink", 113, "0000 0338 0006 020000000001 0000 0800" PLAIN, 0, "other"},
        {"cooked 2", 276, "0800 0000 00000002 0001 00 06 0200000000010000" PLAIN, 0, WANT},
        {"cooked 2, cut", 276, "0800 0000 00000002 0001 00 06 02000000000100", 100, "cut"},
        {"raw", RAW, PLAIN, 0, WANT},
        {"raw of bsd", 12, PLAIN, 0, WANT},
        {"raw of openbsd", 14, PLAIN, 0, WANT},
        {"ipv4", 228, PLAIN, 0, WANT},
        {"ipv6", 229, IP6("0014", "06") TCP, 0, SEEN6 "len 0/0 ip 60"},
        {"raw, neither", RAW, "35", 0, "bad"},
        {"null, little", 0, "02000000" PLAIN, 0, WANT},
        {"null, big", 0, "00000002" PLAIN, 0, WANT},
        {"loop", 108, "00000002" PLAIN, 0, WANT},
        {"null, ipv6 of macos", 0, "1e000000" IP6("0014", "06") TCP, 0, SEEN6 "len 0/0 ip 60"},
        {"null, ipv6 of freebsd", 0, "0000001c" IP6("0014", "06") TCP, 0, SEEN6 "len 0/0 ip 60"},
        {"null, appletalk", 0, "10000000" PLAIN, 0, "other"},
        {"unknown", 147, PLAIN, 0, "bad"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_int_equal(packet_knows_link(cases[i].linktype), cases[i].linktype != 147);
    check_all(cases, ARRAY_LEN(cases));
}

static void ip_is_read_by_its_lengths(void **state)
{
    static const struct sample cases[] = {
        {"options", RAW, "4600 002e 1234 0000 40 06 0000" ENDS4 "94040000" TCP "4142", 0,
         SEEN "len 2/2 ip 46"},
        {"cut in the options", RAW, "4600 002e 1234 0000 40 06 0000" ENDS4 "94", 46, "cut"},
        {"header shorter than allowed", RAW, "4400 002a 1234 0000 40 06 0000" ENDS4, 0, "bad"},
        {"total below header", RAW, "4500 0013 1234 0000 40 06 0000" ENDS4, 0, "bad"},
        {"header beyond total", RAW, "4f00 0020 1234 0000 40 06 0000" ENDS4 TCP, 0, "bad"},
        {"offload giant", RAW, IP4("0000", "06") TCP "4142", 70000, SEEN "len 69960/2 ip 70000"},
        {"giant of gigabytes", RAW, IP4("0000", "06") TCP "4142", 70000000, "bad"},
        {"snaplen", RAW, IP4("05dc", "06") TCP "4142", 1500, SEEN "len 1460/2 ip 1500"},
        {"snaplen, untold", RAW, IP4("05dc", "06") TCP "4142", 0, SEEN "len 1460/2 ip 1500"},
        {"cut in ip", RAW, "4500 002a 1234", 42, "cut"},
        {"udp", RAW, IP4("001c", "11") TCP_8, 0, "other"},
        {"icmpv6 in ipv4", RAW, IP4("0024", "3a") TCP_8 TCP_8, 0, "other"},
        {"wrong version", ETHERNET, MACS "0800" IP6("0014", "06") TCP, 0, "bad"},
        {"wrong version", ETHERNET, MACS "86dd" IP4("0028", "06") TCP, 0, "bad"},
        {"all extensions", RAW,
         IP6("0044", "00") "2b00 050200000000 "                    /* hop by hop */
                           "3c00 000000000000 "                    /* routing */
                           "3301 010400000000 0000000000000000 "   /* destination */
                           "0602 0000 00000001 00000001 00000000 " /* authentication */
         TCP,
         0, SEEN6 "len 0/0 ip 108"},
        {"atomic fragment", RAW, IP6("001c", "2c") "0600 0000 00000007" TCP, 0,
         SEEN6 "len 0/0 ip 68"},
        {"no next header", RAW, IP6("0000", "3b"), 0, "other"},
        {"esp", RAW, IP6("0014", "32") TCP, 0, "other"},
        {"extension beyond the packet", RAW, IP6("0008", "00") "06ff 050200000000", 0, "bad"},
        {"extension beyond the capture", RAW, IP6("0808", "00") "06ff 050200000000", 2096, "cut"},
        {"half an extension", RAW, IP6("0004", "00") "0600 0502", 0, "bad"},
        {"payload 0", RAW, IP6("0000", "06") TCP "4142", 70000, SEEN6 "len 69940/2 ip 70000"},
        {"jumbo", RAW, IP6("0000", "00") "0600 c204 0001 1178" TCP "4142", 80000,
         SEEN6 "len 69980/2 ip 70048"},
        {"jumbo behind another option", RAW,
         IP6("0000", "00") "0601 0106 c204 0001 ffff c204 0001 1180" TCP "4142", 80000,
         SEEN6 "len 69980/2 ip 70056"},
        {"jumbo of gigabytes", RAW, IP6("0000", "00") "0600 c204 ffff ffff" TCP "4142", 0,
         SEEN6 "len 2/2 ip 70"},
        {"cut in ipv6", RAW, "60000000 0014 06", 60, "cut"},
    };

    (void)state;
    check_all(cases, ARRAY_LEN(cases));
}

static void identifications_and_hops_are_kept(void **state)
{
    static const struct {
        const char *hex;
        uint16_t id;
        uint8_t ttl;
        bool has_id;
    } cases[] = {
        {"4500 0028 1234 4000 39 06 0000" ENDS4 TCP, 0x1234, 57, true},
        {"4500 0028 0000 4000 40 06 0000" ENDS4 TCP, 0, 64, false},
        {"4500 0028 0000 0000 40 06 0000" ENDS4 TCP, 0, 64, true},
        {"60000000 0014 06 ff" ENDS6 TCP, 0, 255, false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        uint8_t bytes[128];
        size_t len = unhex(cases[i].hex, bytes, sizeof bytes);
        struct packet p;

        packet_parse(RAW, (struct span){(char *)bytes, len}, (uint32_t)len, &p);
        assert_int_equal(p.kind, PACKET_TCP);
        assert_int_equal(p.ip_id, cases[i].id);
        assert_int_equal(p.ttl, cases[i].ttl);
        assert_int_equal(p.has_ip_id, cases[i].has_id);
    }
}

static void tcp_options_are_read_as_far_as_they_make_sense(void **state)
{
#define HEAD(len, offset, flags)                                                                   \
    IP4(len, "06") "c0000050 000003e8 000007d0 " offset flags "0200 0000 0000 "
#define SYN "192.0.2.1:49152>192.0.2.2:80 S seq 1000 ack 2000 win 512 len 0/0 "
    static const struct sample cases[] = {
        {"syn", RAW, HEAD("003c", "a0", "02") "020405b4 0402 080a 00000001 00000002 01 030307", 0,
         SYN "ip 60 mss 1460 scale 7 sackok times 1/2"},
        {"times", RAW, HEAD("0034", "80", "10") "0101 080a 00000001 00000002", 0,
         SEEN "len 0/0 ip 52 times 1/2"},
        {"sacks", RAW,
         HEAD("0048", "d0", "10") "0101 050a 00000001 00000002"
                                  "0101 0512 00000003 00000004 00000005 00000006",
         0, SEEN "len 0/0 ip 72 sack 1-2 sack 3-4 sack 5-6"},
        {"syn's options in data", RAW, HEAD("0034", "80", "10") "020405b4 0402 030307 010101", 0,
         SEEN "len 0/0 ip 52"},
        {"scale of 200", RAW, HEAD("002c", "60", "02") "0303c8 00", 0, SYN "ip 44 scale 14"},
        {"behind the end", RAW, HEAD("0030", "70", "02") "00 000000 020405b4", 0, SYN "ip 48"},
        {"length 0", RAW, HEAD("0030", "70", "02") "0200 0000 020405b4", 0, SYN "ip 48"},
        {"length 1", RAW, HEAD("0030", "70", "02") "0801 0000 020405b4", 0, SYN "ip 48"},
        {"length 1 of sacks", RAW, HEAD("0030", "70", "10") "0501 0000 020405b4", 0,
         SEEN "len 0/0 ip 48"},
        {"beyond the header", RAW, HEAD("0030", "70", "02") "020405b4 01010108", 0,
         SYN "ip 48 mss 1460"},
        {"longer than the header", RAW, HEAD("0030", "70", "02") "020405b4 0809 0000", 0,
         SYN "ip 48 mss 1460"},
        {"mss of 3", RAW, HEAD("002c", "60", "02") "0203 0501", 0, SYN "ip 44"},
        {"unknown", RAW, HEAD("0034", "80", "02") "fd06 00000000 02040218 01 00", 0,
         SYN "ip 52 mss 536"},
        {"cut", RAW, HEAD("003c", "a0", "02") "020405b4 04", 60, SYN "ip 60 mss 1460 options-cut"},
        {"cut before", RAW, IP4("0028", "06") "c0000050 000003e8 000007d0 5010 0200", 40,
         SEEN "len 0/0 ip 40"},
        {"cut behind the flags", RAW, IP4("0028", "06") "c0000050 000003e8 000007d0 501002", 40,
         "192.0.2.1:49152>192.0.2.2:80 . seq 1000 ack 2000 win 65535 len 0/0 ip 40"},
        {"cut too early", RAW, IP4("0028", "06") "c0000050 000003e8 000007d0 50", 40, "cut"},
        {"header of 16", RAW, HEAD("0028", "40", "10"), 0, "bad"},
        {"header beyond the packet", RAW, HEAD("0028", "60", "10"), 0, "bad"},
        {"shorter than a header", RAW, IP4("001c", "06") TCP_8, 0, "bad"},
        {"flags", RAW, HEAD("0028", "5f", "ff"), 0,
         "192.0.2.1:49152>192.0.2.2:80 FSRP.U seq 1000 ack 2000 win 512 len 0/0 ip 40"},
    };

    (void)state;
    check_all(cases, ARRAY_LEN(cases));
}

static void fragments_say_where_they_belong(void **state)
{
#define PART4(len, place) "4500" len "1234" place "40 06 0000 " ENDS4
    static const struct sample cases[] = {
        {"first", RAW, PART4("001c", "2000") TCP_8, 0, "fragment 6 of 28 id 4660 at 0+ len 8/8"},
        {"last", RAW, PART4("001a", "00b9") "414243444546", 0,
         "fragment 6 of 26 id 4660 at 1480 len 6/6"},
        {"cut", RAW, PART4("05dc", "20b9") "4142", 1500,
         "fragment 6 of 1500 id 4660 at 1480+ len 1480/2"},
        {"not of eights", RAW, PART4("001d", "2000") TCP_8 "41", 0, "bad"},
        {"beyond the largest", RAW, PART4("001c", "1fff") TCP_8, 0, "bad"},
        {"empty", RAW, PART4("0014", "2000"), 0, "bad"},
        {"df only", RAW, PART4("0028", "4000") TCP, 0, SEEN "len 0/0 ip 40"},
        {"ipv6", RAW, IP6("0010", "2c") "0600 0009 00000007" TCP_8, 0,
         "fragment 6 of 56 id 7 at 8+ len 8/8"},
        {"ipv6, first", RAW, IP6("0010", "2c") "0600 0001 00000007" TCP_8, 0,
         "fragment 6 of 56 id 7 at 0+ len 8/8"},
        {"ipv6, last", RAW, IP6("000a", "2c") "0600 05a8 00000007 4142", 0,
         "fragment 6 of 50 id 7 at 1448 len 2/2"},
    };

    (void)state;
    check_all(cases, ARRAY_LEN(cases));
}

static void icmp_errors_name_the_connection(void **state)
{
#define QUOTE4 IP4("05dc", "06") TCP_8
#define QUOTE6 IP6("05b4", "06") TCP_8
#define ICMP4(len) IP4(len, "01")
#define ABOUT "about 192.0.2.1:49152>192.0.2.2:80 seq 1000 ip 1500"
#define ABOUT6 "about [2001:db8::1]:49152>[2001:db8::2]:80 seq 1000 ip 1500"
    static const struct sample cases[] = {
        {"needs fragmentation", RAW, ICMP4("0038") "0304 0000 0000 0514" QUOTE4, 0,
         "icmp 192.0.2.1 3/4 mtu 1300 " ABOUT},
        {"port unreachable", RAW, ICMP4("0038") "0303 0000 0000 0514" QUOTE4, 0,
         "icmp 192.0.2.1 3/3 mtu 0 " ABOUT},
        {"time exceeded", RAW, ICMP4("0038") "0b00 0000 00000000" QUOTE4, 0,
         "icmp 192.0.2.1 11/0 mtu 0 " ABOUT},
        {"parameter problem", RAW, ICMP4("0038") "0c00 0000 14000000" QUOTE4, 0,
         "icmp 192.0.2.1 12/0 mtu 0 " ABOUT},
        {"quoted options", RAW,
         ICMP4("003c") "0b00 0000 00000000 4600 05dc 1234 0000 40 06 0000" ENDS4 "94040000" TCP_8,
         0, "icmp 192.0.2.1 11/0 mtu 0 " ABOUT},
        {"echo", RAW, ICMP4("0038") "0800 0000 00000000" QUOTE4, 0, "other"},
        {"redirect", RAW, ICMP4("0038") "0501 0000 00000000" QUOTE4, 0, "other"},
        {"about udp", RAW, ICMP4("0038") "0303 0000 00000000" IP4("05dc", "11") TCP_8, 0, "other"},
        {"about a later fragment", RAW,
         ICMP4("0038") "0b01 0000 00000000" PART4("05dc", "00b9") TCP_8, 0, "other"},
        {"quotes too little", RAW, ICMP4("0030") "0303 0000 00000000" IP4("05dc", "06"), 0,
         "other"},
        {"quotes nearly nothing", RAW, ICMP4("0020") "0303 0000 00000000 45000000", 0, "other"},
        {"cut in the quotation", RAW, ICMP4("0038") "0303 0000 00000000" IP4("05dc", "06"), 56,
         "cut"},
        {"cut in its header", RAW, ICMP4("0038") "0303", 56, "cut"},
        {"packet too big", RAW, IP6("0038", "3a") "0200 0000 00000500" QUOTE6, 0,
         "icmp6 2001:db8::1 2/0 mtu 1280 " ABOUT6},
        {"no route", RAW, IP6("0038", "3a") "0100 0000 00000000" QUOTE6, 0,
         "icmp6 2001:db8::1 1/0 mtu 0 " ABOUT6},
        {"hop limit", RAW, IP6("0038", "3a") "0300 0000 00000000" QUOTE6, 0,
         "icmp6 2001:db8::1 3/0 mtu 0 " ABOUT6},
        {"quoted extensions", RAW,
         IP6("0048", "3a") "0401 0000 00000028" IP6("05b4", "00") "2c00 050200000000"
                                                                  "0600 0001 00000007" TCP_8,
         0, "icmp6 2001:db8::1 4/1 mtu 0 " ABOUT6},
        {"quoted later fragment", RAW,
         IP6("0048", "3a") "0401 0000 00000028" IP6("05b4", "2c") "0600 05a8 00000007" TCP_8, 0,
         "other"},
        {"neighbour", RAW, IP6("0038", "3a") "8700 0000 00000000" QUOTE6, 0, "other"},
        {"icmp in ipv6", RAW, IP6("0038", "01") "0303 0000 00000000" QUOTE4, 0, "other"},
    };

    (void)state;
    check_all(cases, ARRAY_LEN(cases));
}

static void what_was_put_together_is_read_on(void **state)
{
    uint8_t bytes[64];
    size_t len = unhex(TCP "41424344", bytes, sizeof bytes);
    struct packet p = {.number = 7, .ip_len = 44, .was_fragmented = true, .about_seq = 9};
    char got[256];

    (void)state;
    addr_parse(SPAN_LIT("192.0.2.1"), &p.from.addr);
    addr_parse(SPAN_LIT("192.0.2.2"), &p.to.addr);
    packet_parse_payload((struct span){(char *)bytes, len}, (uint32_t)len + 2, 6, &p);
    describe(&p, got, sizeof got);
    assert_string_equal(got, SEEN "len 6/4 ip 44");
    assert_true(p.number == 7 && p.was_fragmented && p.about_seq == 0);
    packet_parse_payload((struct span){(char *)bytes, len}, (uint32_t)len, 17, &p);
    assert_int_equal(p.kind, PACKET_OTHER);
}

/* Of each length that a capture may keep: never a byte too far (by a sanitizer), never more. */
static void any_part_is_a_cut_packet(void **state)
{
    static const char *const packets[] = {
        MACS "88a8 0005 8100 0006 0800 4600 0040 1234 0000 40 06 0000" ENDS4
             "94040000 c0000050 000003e8 000007d0 8010 0200 0000 0000 0101 080a 00000001 00000002 "
             "4142434445464748",
        MACS "86dd" IP6("0060", "3a") "0401 0000 00000028" IP6(
            "05b4", "00") "2c00 050200000000 0600 0001 00000007" TCP TCP_8 "00000000",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(packets); i++) {
        uint8_t bytes[256];
        size_t whole = unhex(packets[i], bytes, sizeof bytes);

        for (size_t len = 0; len <= whole; len++) {
            char *copy = malloc(len + 1);
            struct packet p;

            assert_non_null(copy);
            memcpy(copy + 1, bytes, len);
            packet_parse(ETHERNET, (struct span){copy + 1, len}, (uint32_t)whole, &p);
            assert_true(p.kind == PACKET_CUT || p.kind == PACKET_TCP || p.kind == PACKET_ICMP);
            assert_true(len < whole || p.kind != PACKET_CUT);
            if (p.kind == PACKET_TCP) {
                assert_int_equal(p.payload_len, 8);
                assert_true(p.payload.len <= 8 && p.options_cut == !p.has_times);
            }
            free(copy);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_link_layer_is_stepped_over),
        cmocka_unit_test(ip_is_read_by_its_lengths),
        cmocka_unit_test(identifications_and_hops_are_kept),
        cmocka_unit_test(tcp_options_are_read_as_far_as_they_make_sense),
        cmocka_unit_test(fragments_say_where_they_belong),
        cmocka_unit_test(icmp_errors_name_the_connection),
        cmocka_unit_test(what_was_put_together_is_read_on),
        cmocka_unit_test(any_part_is_a_cut_packet),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
