/* wire/dumptext.h - reads one line of tcpdump's text.
 *
 * All forms that tcpdump 3.9 to 4.99 prints of TCP and of ICMP errors: -t to -ttttt, -n or names,
 * -e, -v (whose two lines come joined by a space), -q, -S, "-i any", -#, hex lines of -x.  What
 * people add is stepped over: quotes and prompts in front, remarks in brackets, behind '#' or
 * behind the line.  Knows nothing of other lines: numbers come as they are printed.  No allocation,
 * no I/O; any thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/endpoint.h"
#include "base/span.h"
#include "wire/packet.h"

#define DUMPTEXT_UNKNOWN_LEN 255 /* of the options: one of them is not known here */

enum dumptext_kind {
    DUMPTEXT_OTHER,  /* no packet: a remark, a head, bytes of -A, nonsense */
    DUMPTEXT_BEGUN,  /* the first of -v's two lines, or of a line that was wrapped */
    DUMPTEXT_TCP,    /* a segment */
    DUMPTEXT_ICMP,   /* an ICMP error */
    DUMPTEXT_PACKET, /* a packet that is neither */
};

enum dumptext_time {
    DUMPTEXT_TIME_NONE,  /* -t */
    DUMPTEXT_TIME_CLOCK, /* of the day, or -ttt and -ttttt */
    DUMPTEXT_TIME_DELTA, /* signed, or six digits: a difference for sure */
    DUMPTEXT_TIME_EPOCH, /* -tt, -tttt (whose zone is not known: taken for UTC) */
};

/* One end of a packet. */
struct dumptext_end {
    struct endpoint at;  /* addr.family 0: `name` stands for it; port 0: unknown */
    struct span name;    /* as printed, without the port */
    struct span service; /* a port's name that is not in the table here; empty */
};

/* The spans borrow from the line. */
struct dumptext {
    enum dumptext_kind kind;
    bool is_whole;       /* it went as far as "length N" (or what an old tcpdump ends with) */
    unsigned prefix_len; /* bytes in front of it that are none of tcpdump's, blanks included */
    bool is_keyed;       /* "IP", "IP6" or a link header stood in front of the addresses */
    bool is_verbose;     /* -v: "(tos 0x0, …)" was there */
    enum dumptext_time time_form;
    uint64_t time_ns;      /* CLOCK: since midnight; EPOCH: since 1970 */
    bool is_negative;      /* DELTA */
    struct span interface; /* of "-i any"; empty */
    bool is_v6;
    struct dumptext_end from, to;
    uint8_t ttl;     /* -v; 0: unknown */
    bool has_ip_id;  /* -v, IPv4 */
    uint16_t ip_id;  /*   and is it */
    uint32_t ip_len; /* -v; 0: unknown */
    /* TCP: as printed, relative or not */
    uint8_t flags; /* PACKET_FIN … */
    bool has_flags;
    bool has_seq, has_end, has_ack, has_win, has_length;
    uint32_t seq, end, ack; /* end: of "seq N:M" */
    uint16_t win;
    uint32_t length; /* payload bytes; of ICMP, with its header */
    bool has_options, options_cut;
    uint8_t options_len; /* bytes that they take in the header; DUMPTEXT_UNKNOWN_LEN */
    uint16_t mss;
    bool has_scale, sack_permitted, has_times;
    uint8_t scale, sacks_len;
    uint32_t time_value, time_echo;
    struct packet_sack sacks[PACKET_SACKS_MAX]; /* as printed */
    bool is_http;                               /* tcpdump took it for HTTP … */
    struct span http; /*   … and this is its first line; empty: not printed */
    /* ICMP */
    uint8_t icmp_type, icmp_code;
    uint32_t icmp_mtu;
    struct dumptext_end about; /* the target that is named in it, with its TCP port; empty: none */
};

/* Reads a line (without its end).  False: DUMPTEXT_OTHER.  A number that does not fit, "X" or
 * rubbish counts as not printed. */
bool dumptext_parse(struct span line, struct dumptext *out);

/* Bytes of a remark that begins here: a bracket with all that is in it, ASCII or Japanese, or all
 * of `s` behind a sign that begins one ('#', "//"); 0: none begins here.  *closed (or NULL): the
 * bracket ends within `s`. */
size_t dumptext_remark_len(struct span s, bool *closed);

/* A line of -x, -X, -xx, -XX: "0x0010:  4500 003c …".  Sets *offset, writes up to 16 bytes and
 * returns how many; 0: no such line. */
unsigned dumptext_parse_hex(struct span line, uint32_t *offset, uint8_t out[16]);

/* The number of a port's name; 0: it is not among those that proxies and web servers use. */
uint16_t dumptext_find_service(struct span name);
