/* wire/packet.h - one captured packet: link layer, IP and TCP or ICMP (RFC 791, 8200, 9293, 792,
 * 4443).
 *
 * Bytes in, a struct out; every length is checked against what was captured and against what the
 * headers say.  Checksums are not looked at: offload leaves them wrong on the sender's side.  No
 * allocation, no I/O; any thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/endpoint.h"
#include "base/span.h"

/* What a packet is, as far as viaduct cares. */
enum packet_kind {
    PACKET_OTHER,    /* whole, but neither TCP nor an ICMP error about TCP */
    PACKET_TCP,      /* a segment; its payload may be cut by the snaplen */
    PACKET_ICMP,     /* an ICMP or ICMPv6 error that quotes a TCP packet */
    PACKET_FRAGMENT, /* a part of an IP packet (capture/fragment puts them together) */
    PACKET_CUT,      /* the capture kept too few bytes to say which connection it belongs to */
    PACKET_BAD,      /* its lengths contradict each other */
};

enum {
    PACKET_FIN = 1,
    PACKET_SYN = 2,
    PACKET_RST = 4,
    PACKET_PSH = 8,
    PACKET_ACK = 16,
    PACKET_URG = 32,
};

#define PACKET_SACKS_MAX 4

struct packet_sack {
    uint32_t begin, end; /* sequence numbers, [begin, end) */
};

struct packet {
    enum packet_kind kind;
    /* said by who reads the capture, not by packet_parse */
    uint64_t at_ns;   /* on a line that never runs backwards: what all durations are made of */
    uint64_t wall_ns; /* as the capture has it, since 1970 (a text without date: since midnight) */
    uint32_t number;  /* Wireshark's frame.number: the file's first is 1; of a text: its line */
    uint16_t file;    /* which file of several, the first is 0 */
    uint16_t interface; /* of a pcapng with several; 0 */
    bool is_text;       /* a line of tcpdump's text: seq and ack were made to add up */
    bool flags_unseen;  /* of a text: its line has none, as with -q */
    /* IP */
    struct endpoint from, to; /* addresses, and of TCP the ports; an addr.family of ADDR_NAMED
                               * stands for a name of a text (capture_name) */
    uint8_t ttl;              /* or hop limit; 0 unknown */
    bool has_ip_id;           /* IPv4; a zero with DF set is no identification */
    uint16_t ip_id;
    bool was_fragmented; /* it was put together of fragments */
    uint32_t ip_len;     /* bytes of the IP packet; where the header says 0 (offload), the captured
                            length of the wire */
    /* TCP */
    uint8_t flags; /* PACKET_FIN … */
    uint32_t seq, ack;
    uint16_t window;      /* not scaled; 65535 where it is not in the capture */
    uint32_t payload_len; /* bytes on the wire */
    struct span payload;  /* as many of them as were captured; borrows from the bytes */
    bool options_cut;     /* the options are not (all) in the capture */
    uint16_t mss;         /* option of a SYN, 0: none */
    bool has_scale;
    uint8_t scale;
    bool sack_permitted;
    uint8_t sacks_len;
    struct packet_sack sacks[PACKET_SACKS_MAX];
    bool has_times;
    uint32_t time_value, time_echo; /* RFC 7323 */
    /* ICMP: `from` is who complains.  The quoted packet: */
    bool is_v6;
    uint8_t icmp_type, icmp_code;
    uint32_t icmp_mtu;                    /* of "fragmentation needed" and "packet too big", 0 */
    struct endpoint about_from, about_to; /* of the quoted packet, with ports */
    uint32_t about_seq;
    uint32_t about_len; /* its IP length */
    /* FRAGMENT: where its bytes go */
    uint8_t fragment_protocol; /* the next header of the whole */
    uint32_t fragment_id;
    uint32_t fragment_offset; /* bytes */
    bool fragment_more;
    struct span fragment;  /* the part behind the IP header, as captured */
    uint32_t fragment_len; /* as on the wire */
};

/* Link types of pcap files that are understood (LINKTYPE_…). */
bool packet_knows_link(uint32_t linktype);

/* Takes a packet apart.  `wire_len` is its length on the wire, `bytes` what was captured (never
 * more).  Where IP says more than `wire_len`, IP is believed: then the capture was cut and does not
 * say so.  A link type that is not known makes PACKET_BAD.  Sets all of *out but the fields that
 * the reader says.  VLAN and QinQ tags, IPv6 extension headers and IPv4 options are stepped over;
 * of a "cooked" packet the direction is not looked at.
 */
void packet_parse(uint32_t linktype, struct span bytes, uint32_t wire_len, struct packet *out);

/* The same from the IP header's payload on, for a packet that was put together: `whole` has the
 * addresses, `protocol` is 6, 1 or 58. */
void packet_parse_payload(struct span bytes, uint32_t wire_len, uint8_t protocol,
                          struct packet *whole);
