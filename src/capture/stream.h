/* capture/stream.h - one direction of a TCP connection, as somebody on the way saw it.
 *
 * Follows sequence numbers, puts the bytes in order, and keeps the facts that a judge wants: what
 * was sent again, what was never acknowledged, who stopped reading.  Knows nothing of what the
 * bytes mean.  What a capture lacks is a hole, not an error.  Offload giants count as pieces of one
 * MSS. All sequence arithmetic is modulo 2^32.  One thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "wire/packet.h"

/* Bytes in order, each once.  The first `bytes.len` of `len` are there; the others were sent (they
 * were acknowledged, or a snaplen cut them) but are not in the capture. */
struct stream_piece {
    struct span bytes; /* borrows: during the call */
    uint32_t len;
    uint64_t at_ns;  /* when the packet was seen with which they were complete */
    uint32_t number; /* of that packet */
    uint16_t file;
};

/* The first segment that is not acknowledged.  len 0: there is none. */
struct stream_stuck {
    uint64_t first_ns, last_ns; /* when it was sent first, and last */
    uint32_t seq;
    uint32_t first_number, last_number; /* packets */
    uint16_t len;       /* bytes of the segment when it was first sent (of a giant: one MSS) */
    uint8_t sends;      /* times it was seen, 255 at most */
    bool backs_off;     /* it was sent three times or more, and the gaps grew (by half, or more) */
    bool same_size;     /* it was sent again in the same size each time */
    uint16_t again_len; /* private: the smallest size in which it was sent again */
    uint32_t gap_us;    /* private: between the last two times */
};

/* What most streams never have: made when the first of it shows. */
struct stream_rare {
    uint32_t retransmissions; /* segments with bytes that were seen before */
    uint32_t repeated_number; /* packet of the first retransmission */
    uint32_t out_of_order;    /* segments beyond a hole that the capture (or the net) had */
    uint32_t duplicate_acks;  /* sent by this side */
    uint64_t missing;         /* bytes that were handed on as holes: not in the capture */
    /* a hole in what the other side got: SACKs (or, at the receiver, data) behind it */
    uint64_t hole_ns;     /* since when; 0: there is none (any more) */
    uint32_t hole_number; /* packet that showed it */
    uint32_t hole_behind; /* bytes known to have arrived behind it (of duplicate ACKs alone: one
                           * byte for each) */
    uint32_t hole_seq;    /* private: where it begins */
    bool hole_by_data;    /* private: data behind it showed it, not the other side */
    uint8_t acks_run;     /* private: duplicate ACKs in a row, sent by this side */
    /* this side's window */
    uint64_t closed_ns;       /* since when it is 0; 0: it is open */
    uint64_t closed_total_ns; /* time that it was closed, ended closures only */
    uint32_t closed_number;   /* packet that closed it (the last time) */
    uint32_t closures;
    /* its RST */
    uint64_t rst_ns; /* 0: none */
    uint32_t rst_number;
    uint16_t rst_ip_id;
    uint8_t rst_ttl;
    bool rst_is_odd;  /* its TTL is not like its other packets': a box between made it */
    uint32_t rst_seq; /* private */
};

/* Some 130 bytes, as two of them belong to each live connection. */
struct stream {
    struct stream_rare *rare; /* heap; NULL: nothing of it (stream_get_rare) */
    /* positions in the sequence space */
    uint32_t first; /* of the first payload byte (SYN + 1), or of the first that was seen */
    uint32_t next;  /* up to where bytes were handed on */
    uint32_t top;   /* behind the last byte seen sent (a FIN does not count) */
    uint32_t acked; /* up to where the other side acknowledged; valid with has_acks */
    /* what was seen of this side's sending */
    bool begun : 1;    /* a packet of this side was seen */
    bool has_acks : 1; /* an ACK of the other side was seen */
    bool syn : 1, fin : 1, rst : 1;
    bool fin_acked : 1;
    bool sack_permitted : 1;
    bool has_times : 1;
    bool giant : 1;        /* a packet had more than one MSS: offload */
    bool placed : 1;       /* private: `first` and `next` are known */
    bool fin_told : 1;     /* private */
    bool rst_told : 1;     /* private */
    bool rst_outlived : 1; /* private: it sent new data after its RST */
    uint8_t scale;         /* of this side's windows; 255: unknown */
    uint8_t ttl;           /* of its packets; 0: unknown */
    uint16_t mss;          /* announced in its SYN: bounds what the OTHER side sends; 0: unknown */
    uint16_t last_ip_id;
    uint16_t largest;       /* payload of its largest segment */
    uint16_t largest_acked; /* the largest that was acknowledged, cumulatively or by SACK */
    uint16_t window;        /* of its last packet, not scaled */
    uint32_t last_time;     /* its newest timestamp option (has_times) */
    uint32_t first_time;    /* private: its first timestamp option */
    uint32_t last_data_number;
    uint64_t last_ns; /* any packet; 0: none */
    uint64_t bytes;   /* payload sent, each byte once (beyond what was handed on, too) */
    struct stream_stuck stuck;
    uint64_t last_data_ns; /* new bytes, not those sent again; 0: none */
    uint64_t fin_ns;       /* 0: none */
    uint32_t fin_number;
    uint32_t fin_seq; /* private: behind its last byte */
};

/* Never NULL: zeroes where nothing of it was seen. */
const struct stream_rare *stream_get_rare(const struct stream *s);

static inline bool stream_is_before(uint32_t a, uint32_t b)
{
    return (int32_t)(a - b) < 0;
}

/* Bytes that the other side has not acknowledged; 0 where no acknowledgement was ever seen. */
static inline uint32_t stream_unacked(const struct stream *s)
{
    return s->has_acks && stream_is_before(s->acked, s->top) ? s->top - s->acked : 0;
}
