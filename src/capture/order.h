/* capture/order.h - hands the bytes of a connection on in the order in which they were sent.
 *
 * What a side acknowledged came before its packet: so where acknowledged bytes are missing, the
 * other direction waits as well, until they come or the patience is over and they are a hole.  The
 * same goes for the first moments of a connection that was met in the middle, whose SYN may only be
 * late, and for an RST ahead of bytes.  Private to the core (conn_private.h).  One thread. */
#pragma once

#include "capture/conn_private.h"

/* Ends the waits that took long enough by `now_ns`; UINT64_MAX: all of them. */
void order_settle(struct conn_core *k, struct conn *c, uint64_t now_ns);

/* The packet acknowledged bytes of the other side that have not been handed on. */
void order_prove(struct conn_turn *t);

/* Hands on bytes that are the next, when nothing waits. */
void order_hand_on(struct conn_core *k, struct conn *c, enum dir dir, const struct stream_piece *p);

/* Takes bytes that begin at `seq` and are not simply the next, or that others wait for; uses *p up.
 */
void order_put(struct conn_turn *t, struct stream_piece *p, uint32_t seq);

/* Hands on what waits and need not any more.  `filler`: the packet in direction `dir` that it
 * waited for, or NULL. */
void order_drain(struct conn_core *k, struct conn *c, enum dir dir, const struct packet *filler);

/* Tells the listener of FIN and RST, if they came and nothing is before them any more. */
void order_tell_end(struct conn_core *k, struct conn *c, enum dir dir);
/* Tells of the RST, whatever may be before it. */
void order_tell_rst(struct conn_core *k, struct conn *c, enum dir dir);

/* The connection is over: hands on all that its other side can have got. */
void order_finish(struct conn_core *k, struct conn *c);

/* Takes n bytes off the front. */
void order_cut(struct stream_piece *p, uint32_t *seq, uint32_t n);
