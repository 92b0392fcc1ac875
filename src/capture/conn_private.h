/* capture/conn_private.h - what the modules behind capture/conn.h share.
 *
 *   conn_table   which connection a packet belongs to, and when one is over
 *   conn_store   finds them, and keeps them in line
 *   conn_open    handshakes
 *   conn         one connection: takes its packets
 *   order        what was sent first, and what comes next
 *   stream       the facts of one direction
 *   flight       segments that are not acknowledged yet
 *   waiting      bytes that have to wait for their turn
 *   half_open    those that are not established, small
 *   twice        packets that the capture has twice
 */
#pragma once

#include "base/clock.h"
#include "capture/conn.h"
#include "capture/objects.h"

/* How long it takes until a capture's packets are sure to be in order: one that is missing by then
 * is not in it. */
#define CONN_PATIENCE_NS (20 * NS_PER_MS)

/* The lines that connections stand in, each ordered by last packet: how long one may be quiet there
 * differs. */
enum conn_shelf {
    CONN_SHELF_LIVE,    /* for ever */
    CONN_SHELF_EMBRYO,  /* data came with its SYN, no answer yet: give_up_ns */
    CONN_SHELF_CLOSING, /* FINs came, but not their last ACK */
    CONN_SHELF_CLOSED,  /* late packets are still its own */
    CONN_SHELF_COUNT
};

/* What a connection waits for before it hands anything on; the first two and the last two are
 * shifted by the direction. */
enum conn_pending {
    CONN_PENDING_GAP = 1,   /* acknowledged bytes that may still come */
    CONN_PENDING_START = 4, /* it was met in the middle: its SYN may still come */
    CONN_PENDING_SYN = 8,   /* data came with the SYN: whether it counts is not known yet */
    CONN_PENDING_RST = 16,  /* an RST ahead of bytes that may still come */
};

/* What all connections of a table share. */
struct conn_core {
    struct conn_events events;
    struct conn_options options; /* without zeroes */
    struct conn_counts counts;
    uint64_t waiting_used;   /* of options.waiting_max */
    uint64_t series_left;    /* of options.series_max */
    struct objects waitings; /* of struct conn_waiting */
    struct objects flights;  /* of many struct flight_part (capture/flight.h) */
};

/* A packet on its way into its connection. */
struct conn_turn {
    struct conn_core *core;
    struct conn *c;
    const struct packet *p;
    struct stream *s, *o; /* of who sent it, of the other side */
    enum dir dir;
};

/* Zeroed and counted; NULL: out of memory. */
void *conn_core_alloc(struct conn_core *k, size_t len);
void conn_core_free(struct conn_core *k, void *ptr, size_t len);
/* Memory that came from elsewhere. */
void conn_core_count(struct conn_core *k, size_t len);

/* conn.c */

/* The same for both orders of the ends; secret to those who make captures. */
uint64_t conn_hash(const struct endpoint *a, const struct endpoint *b);

/* Takes the connection's next packet. */
void conn_take(struct conn_core *k, struct conn *c, enum dir dir, const struct packet *p);

/* Tells the listener that the handshake is through. */
void conn_establish(struct conn_core *k, struct conn *c);

/* Frees what hangs on it, but not itself; the listener's part is the listener's. */
void conn_fini(struct conn_core *k, struct conn *c);

enum conn_shelf conn_find_shelf(const struct conn *c);

/* stream.c: the facts of a packet, in this order. */
void stream_take_any(struct conn_turn *t);
void stream_take_syn(struct conn_turn *t);
void stream_take_ack(struct conn_turn *t);
/* False: it is a probe of keep-alive or of a closed window, not data. */
bool stream_take_data(struct conn_turn *t, uint32_t seq, uint32_t len);
void stream_take_fin(struct conn_turn *t, uint32_t seq);
/* False: it cannot be meant for this connection. */
bool stream_take_rst(struct conn_turn *t);

/* Sets where its payload begins. */
void stream_place(struct stream *s, uint32_t first);

/* What has been handed on grew: a hole that data showed may be filled. */
void stream_pass_hole(struct stream *s);
/* Data stands behind a gap: a hole in what the other side got, unless it acknowledged it. */
void stream_show_gap(struct conn_turn *t, uint32_t behind);

/* NULL: out of memory. */
struct stream_rare *stream_make_rare(struct conn_core *k, struct stream *s);
