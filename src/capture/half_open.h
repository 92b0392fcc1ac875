/* capture/half_open.h - connections that are not established: small, and many in a flood.
 *
 * A fixed number of them, each with its place in the table in 128 bytes; numbers, 1 is the first,
 * stand for pointers.  Two lines, ordered by last packet: those that nobody answered, or not to the
 * end, and those that were refused.  One thread. */
#pragma once

#include "capture/conn_private.h"

#define HALF_OPEN_OPENERS 256u

enum half_open_line { HALF_OPEN_ASKING, HALF_OPEN_REFUSED, HALF_OPEN_LINES };

/* What is there twice goes by enum dir.  Microseconds count from begin_ns, 71 minutes at most. */
struct half_open {
    uint64_t begin_ns, wall_ns;
    struct conn_icmp *icmp; /* heap; NULL */
    uint8_t addresses[2][16];
    uint32_t begin_number, last_number, rst_number; /* packets; rst_number 0: no RST */
    uint32_t last_us, syn_us, rst_us;               /* last packet, last SYN, RST */
    uint32_t seqs[2];                               /* of the first payload byte */
    uint32_t chain, older, younger;                 /* private: numbers of others */
    uint16_t ports[2];
    uint16_t mss[2];
    uint16_t file;
    uint8_t ttls[2];
    uint8_t syns, answers; /* SYNs, SYN-ACKs */
    uint8_t rst_ttl;
    uint8_t scales; /* four bits each; 15: unknown */
    uint8_t family_up : 2, family_down : 2;
    bool sack_up : 1, sack_down : 1;
    bool is_text : 1, fragmented : 1;
    bool rst_by_opener : 1;
    bool is_refused : 1; /* private: which line it stands in */
};

struct half_opens {
    struct conn_core *core;
    struct half_open **blocks;
    uint32_t *buckets, mask;
    uint32_t made; /* records that have memory */
    uint32_t used;
    uint32_t spare; /* number of one that nobody has; 0: none */
    uint32_t oldest[HALF_OPEN_LINES], youngest[HALF_OPEN_LINES];
    uint32_t by_opener[HALF_OPEN_LINES][HALF_OPEN_OPENERS]; /* how many, by the address's hash */
};

/* False: out of memory.  The most that are kept: core->options.half_open. */
bool half_open_init(struct half_opens *h, struct conn_core *core);
void half_open_fini(struct half_opens *h);

/* That of a packet; *dir is who sent it.  NULL: none. */
struct half_open *half_open_find(struct half_opens *h, uint64_t hash, const struct packet *p,
                                 enum dir *dir);

/* Zeroed but for its ends, in the line of those that ask; NULL: all are in use, or no memory. */
struct half_open *half_open_add(struct half_opens *h, uint64_t hash, const struct endpoint *opener,
                                const struct endpoint *listener);

/* To the young end of the line where it belongs now. */
void half_open_move(struct half_opens *h, struct half_open *r, enum half_open_line line);

struct half_open *half_open_get_oldest(struct half_opens *h, enum half_open_line line);
void half_open_remove(struct half_opens *h, struct half_open *r);

/* A packet of it came: time, number. */
void half_open_note(struct half_open *r, const struct packet *p);
/* It is a SYN or SYN-ACK of that side, the side's first: keeps what it says. */
void half_open_note_syn(struct half_open *r, enum dir dir, const struct packet *p);

/* How many that address has in that line; others that share its hash are counted in. */
unsigned half_open_count(const struct half_opens *h, enum half_open_line line,
                         const struct addr *opener);

uint64_t half_open_get_last_ns(const struct half_open *r);

/* Makes a connection (zeroed) of it, which takes over what is on the heap. */
void half_open_fill(struct half_open *r, struct conn_core *core, struct conn *c);
