/* capture/textseq.h - the numbers of a text, made to add up: connections, sequence numbers, ACKs.
 *
 * tcpdump prints the first numbers of a connection as they are and the others relative to them, or
 * none; people leave lines out and change what is left.  As long as a direction's numbers are all
 * there they are taken as they are, holes included.  Once bytes came without numbers (a bare head,
 * "length 517"), that direction is loose: a range that was there before is still the same range,
 * all else follows what came before, and nothing is missing.  One thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/endpoint.h"
#include "base/list.h"
#include "wire/dumptext.h"
#include "wire/packet.h"

#define TEXTSEQ_RANGES 32

/* What was printed and what was made of it. */
struct textseq_range {
    uint32_t begin, end; /* as printed */
    uint32_t own;        /* of its first byte, as handed out */
};

/* One direction. */
struct textseq_side {
    bool begun;    /* its numbers have a beginning */
    bool is_guess; /* … which no printed number confirms yet */
    bool syn, fin; /* were seen */
    bool loose;    /* its printed numbers are not to be relied upon */
    bool http;     /* its bytes are text (HTTP) up to here, in a head or behind one */
    bool in_head;  /* the head that they are in is not complete */
    bool has_given_ack;
    uint32_t shift;              /* what a printed absolute number lacks */
    uint32_t base;               /* what a printed relative number counts from */
    uint32_t next;               /* behind the last byte (or SYN, FIN) */
    uint32_t acked;              /* up to where the other side acknowledged */
    uint32_t given_ack;          /* the last number that the OTHER side printed for it */
    uint32_t last_seq, last_len; /* of its last segment with bytes */
    uint16_t window;
    uint64_t promised; /* bytes of a body that a bare head announced and no line shows */
    uint32_t isn;      /* as printed */
    struct textseq_range ranges[TEXTSEQ_RANGES]; /* a ring */
    uint16_t ranges_at, ranges_len;
};

struct textseq_conn {
    struct endpoint ends[2]; /* 0: who sent the first line */
    struct textseq_side sides[2];
    int opener;                     /* who sent the SYN, or asked; -1: unknown */
    bool is_tunnel;                 /* CONNECT was answered by 2xx: no text any more */
    bool asked_connect, asked_head; /* the last request */
    bool asked_secure;              /* CONNECT, to port 443 */
    uint16_t generation;
    struct textseq_conn *chain; /* private: of the table */
    struct list age;            /* private: oldest first */
};

struct textseq;

/* NULL: out of memory. */
struct textseq *textseq_new(void);
void textseq_free(struct textseq *t);

/* The connection of these ends, made if it is not there; *dir says which end `from` is.  A SYN that
 * begins a new one between the same ends clears what was known.  NULL: out of memory. */
struct textseq_conn *textseq_open(struct textseq *t, const struct endpoint *from,
                                  const struct endpoint *to, const struct dumptext *d, int *dir);

/* The same without making one; NULL.  A port of 0 fits any. */
struct textseq_conn *textseq_find(struct textseq *t, const struct endpoint *from,
                                  const struct endpoint *to, int *dir);

/* The newest connection with a sender of this address (any port), and its other end at `to` unless
 * that has no family.  NULL: none. */
struct textseq_conn *textseq_find_sender(struct textseq *t, const struct addr *from,
                                         const struct addr *to, int *dir);

/* Who opened it, by the SYN, the request or else by the ports: 0 or 1. */
int textseq_get_opener(const struct textseq_conn *c);

/* Sets seq, ack, flags, payload_len, window and SACKs of *out, and what follows from them, for a
 * segment of `len` bytes from side `dir` with the numbers of `d`. */
void textseq_place(struct textseq_conn *c, int dir, const struct dumptext *d, uint32_t len,
                   struct packet *out);

/* The same for bytes that no line has: what was written without its packet. */
void textseq_follow(struct textseq_conn *c, int dir, uint32_t len, struct packet *out);

/* What a printed number of `side` means, and changes nothing. */
uint32_t textseq_map(const struct textseq_side *side, uint32_t given);
