/* capture/conn.h - the TCP connections of a capture: found by their addresses, followed, given up.
 *
 * A table of connections, with 128 bytes for one that is not established and less than a KiB for
 * one that is, beside the bytes that wait for their turn, which have a ceiling of their own.  Who
 * listens is told by calls: what is in order, what ended.  One thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "capture/stream.h"

/* The direction of a packet: sent by ends[UP] (who opened the connection), or by ends[DOWN]. */
enum dir { UP, DOWN };

struct dialog;       /* what the listener hangs on a connection (capture/dialog.h) */
struct conn_waiting; /* private: bytes behind a hole */

/* What ICMP said of it: the last error; "too big" stays whatever comes behind it. */
struct conn_icmp { /* heap, as it is rare */
    uint8_t type, code, count;
    bool is_v6;
    bool about_down; /* it complains of a packet of ends[DOWN] */
    uint16_t mtu;
    uint32_t number; /* packet; 0: none came */
    uint32_t about_len;
    struct addr from;
};

/* In the order in which a packet needs it: where there are many connections, memory is what takes
 * time. */
struct conn {
    struct conn *chain;           /* private: of the table */
    uint32_t hash;                /* private: of its ends */
    uint32_t last_number;         /* packet: the last of it (during a call: the one it is about) */
    struct endpoint ends[2];      /* UP: who opened it, or seems to have */
    struct conn *older, *younger; /* private: by last packet */
    uint64_t last_ns;
    struct conn_waiting *waiting[2];
    struct dialog *dialog; /* the listener's; NULL */
    struct series *plot;   /* capture/series.h; NULL: not wanted */
    uint8_t shelf;         /* private: enum conn_shelf */
    uint8_t pending;       /* private: bits of enum conn_pending */
    bool has_rival : 1;    /* private: a SYN came that may begin it anew */
    bool established : 1;  /* the handshake was seen whole, or data */
    bool mid_stream : 1;   /* its beginning is not in the capture: the opener is a guess (below) */
    bool is_text : 1;
    bool flags_unseen : 1; /* its lines have none: no FIN and no RST would show */
    bool fragmented : 1;   /* IP fragments were put together for it */
    bool clock_jumped : 1; /* the TCP timestamps contradict the capture's clock: silences are not
                            * told */
    bool one_sided : 1;    /* set at the end: one direction is not in the capture at all */
    bool overflowed : 1;   /* bytes that waited were given up: holes where there may be none */
    uint8_t syns;          /* SYNs sent */
    uint16_t file;
    struct stream streams[2];   /* sent by ends[UP], by ends[DOWN] */
    uint64_t begin_ns, wall_ns; /* of its first packet, on both lines */
    uint64_t rtt_ns;        /* of the handshake as seen here: SYN to SYN-ACK, SYN-ACK to ACK; 0 */
    struct conn_icmp *icmp; /* heap; NULL: none came */
    uint32_t begin_number;
    uint32_t duplicates; /* packets that the capture has twice */
};

enum conn_end {
    CONN_END_CLOSED,  /* both FINs (and their ACKs), or RST, and nothing came for a while; one that
                       * was never established: nothing came for give_up_ns */
    CONN_END_REUSED,  /* the same addresses began anew */
    CONN_END_CAPTURE, /* the capture is over */
    CONN_END_EVICTED, /* too many connections: the one that was quiet longest */
};

/* The listener.  `owner` is handed through.  Times are the packets'.  Calls come in the order of
 * what happened: where the capture has packets out of order, or lacks some, up to 20 ms pass until
 * it is clear what came first.  So bytes that a packet acknowledges come before that packet's. */
struct conn_events {
    void *owner;
    /* The handshake is through (c->last_ns, last_number: its last ACK), or the first data of one
     * whose beginning is not here.  Comes once, before all else. */
    void (*established)(void *owner, struct conn *c);
    /* The next bytes of one direction, in order (the packet's facts are in c->streams already). */
    void (*bytes)(void *owner, struct conn *c, enum dir dir, const struct stream_piece *p);
    /* A side sent FIN (all its bytes were handed on before), or RST. */
    void (*fin)(void *owner, struct conn *c, enum dir dir, uint64_t at_ns, uint32_t number);
    void (*reset)(void *owner, struct conn *c, enum dir dir, uint64_t at_ns, uint32_t number);
    /* Nothing more will come: the last call for this connection, also for one that was never
     * established: a SYN or SYN-ACK with what answered it (then *c is there for this call only;
     * packets without data that belong to nothing are not told).  `now_ns` is the time of the
     * capture. */
    void (*ended)(void *owner, struct conn *c, enum conn_end how, uint64_t now_ns);
    /* A proxy's address is known already (-x, or an earlier flow): which end of a connection whose
     * beginning is not here is the opener.  Returns true for a proxy; NULL: nobody knows. */
    bool (*is_proxy)(void *owner, const struct endpoint *e);
};

struct conn_options {
    uint32_t max;         /* established connections, 0: 262144 */
    uint32_t half_open;   /* 0: 65536 */
    uint64_t waiting_max; /* bytes behind holes, of all, 0: 64 MiB; of one: 1 MiB */
    uint64_t give_up_ns;  /* quiet time after which a half-open one is explained, 0: 130 s */
    bool series;          /* make plots (capture/series.h) */
    uint64_t series_max;  /* bytes of all of them, 0: 96 MiB */
};

struct conn_counts {
    uint64_t connections;    /* that were told to the listener */
    uint64_t half_open_lost; /* SYNs that were only counted: the table was full */
    uint64_t evicted;
    uint64_t duplicates;          /* packets that the capture has twice */
    uint64_t icmp_unmatched;      /* errors about connections that are not here */
    uint64_t bad;                 /* packets left out: no memory, or numbers that fit nowhere */
    uint64_t memory, memory_peak; /* bytes, all that the table owns */
};

struct conn_attempts {
    bool asking, refused;
};

struct conn_table;

/* NULL: out of memory. */
struct conn_table *conn_table_new(const struct conn_options *o, const struct conn_events *events);
void conn_table_free(struct conn_table *t); /* ends nothing: conn_table_finish first */

/* Takes a packet (TCP or ICMP; others are left).  Out of memory: the packet is left out and
 * counted as bad. */
void conn_table_add(struct conn_table *t, const struct packet *p);

/* Time passed without a packet (a live capture): ends what is over. */
void conn_table_tick(struct conn_table *t, uint64_t now_ns);

/* The capture is over: ends all that is left, oldest first. */
void conn_table_finish(struct conn_table *t, uint64_t now_ns);

/* The connection with these ends, in either direction, or NULL. */
struct conn *conn_table_find(struct conn_table *t, const struct endpoint *a,
                             const struct endpoint *b);

/* Whether that address may have connections that were not answered yet, or were refused a moment
 * ago; a few times it has not. */
struct conn_attempts conn_table_get_attempts(const struct conn_table *t, const struct addr *opener);

const struct conn_counts *conn_table_get_counts(const struct conn_table *t);
