/* capture/waiting.h - bytes of one direction that have to wait: behind a hole, or for what came
 * before them.
 *
 * In the order of the sequence space, each byte once: those that came first stay.  Bounded: per
 * stream by bytes and by parts, in all by bytes.  One thread. */
#pragma once

#include "capture/conn_private.h"
#include "capture/flight.h"

struct waiting_part {
    struct waiting_part *next;
    uint64_t at_ns; /* of its packet */
    uint32_t seq, len;
    uint32_t have; /* of len bytes that many are here */
    uint32_t number;
    uint32_t ack; /* bytes of the other side up to there came before it */
    uint16_t file;
    char bytes[];
};

/* What a stream has only while something of it is under way: pooled, and counted with the bytes
 * that wait (waiting_max). */
struct conn_waiting {
    struct waiting_part *first, *last;
    uint32_t used; /* bytes of memory of the parts */
    uint16_t parts;
    /* a gap that was acknowledged (CONN_PENDING_GAP): up to where, by which packet */
    uint16_t proved_file;
    uint32_t proved_seq, proved_number;
    uint64_t proved_ns;
    struct flight flight;
};

/* The stream's, made if need be; NULL: out of memory, or too much waits already. */
struct conn_waiting *waiting_get(struct conn_core *k, struct conn *c, enum dir dir);

/* Gives it back when nothing is under way any more; with `all`, whatever is. */
void waiting_put(struct conn_core *k, struct conn *c, enum dir dir, bool all);

/* Keeps a copy of what of it is not here yet: its bytes begin at `seq`, and its sender had what the
 * other side sent up to `ack`.  False: there is no room (some of it may be here). */
bool waiting_add(struct conn_core *k, struct conn_waiting *w, const struct stream_piece *p,
                 uint32_t seq, uint32_t ack);

/* Takes the first out; waiting_free is the caller's to call. */
struct waiting_part *waiting_pop(struct conn_waiting *w);
void waiting_free(struct conn_core *k, struct waiting_part *part);

/* True: the byte at `seq` is here. */
bool waiting_has(const struct conn_waiting *w, uint32_t seq);

/* Where the bytes that follow each other from `seq` on end. */
uint32_t waiting_get_end(const struct conn_waiting *w, uint32_t seq);

/* Makes room for one more of the flight's parts, if it can. */
void waiting_widen(struct conn_core *k, struct conn_waiting *w);

/* Once, before any of it; and at the end, when all was put back or will not be. */
void waiting_init(struct conn_core *k);
void waiting_fini(struct conn_core *k);
