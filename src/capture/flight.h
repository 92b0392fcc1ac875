/* capture/flight.h - segments that are not acknowledged yet: which is the first, how often it was
 * sent, and how large those are that get through.
 *
 * The first stands in the stream itself (stream.stuck), which is all that most streams ever need.
 * Of those behind it the next few are kept, ten at most; where there are more, the last of them
 * stands for the rest.  An offload giant is taken as pieces of one MSS.  Pure; one thread. */
#pragma once

#include "capture/stream.h"

#define FLIGHT_FEW 2 /* parts for which there is always room */
#define FLIGHT_MANY 10

struct flight_part {
    uint64_t at_ns; /* when it was sent */
    uint32_t seq, len;
    uint32_t number; /* packet */
    uint16_t piece;  /* bytes of a segment: less than len where it is a giant */
};

struct flight {
    struct flight_part *many; /* FLIGHT_MANY, not owned, or NULL (flight_widen) */
    struct flight_part few[FLIGHT_FEW];
    uint8_t len;
};

/* True: the next one has a place only where flight_widen makes it one. */
static inline bool flight_is_narrow(const struct flight *f)
{
    return f->len == FLIGHT_FEW && !f->many;
}

/* Gives it room for FLIGHT_MANY. */
void flight_widen(struct flight *f, struct flight_part *many);

/* True: flight_add needs a place for it (a NULL there keeps less). */
static inline bool flight_is_wanted(const struct stream *s)
{
    return s->stuck.len && s->has_acks;
}

/* New bytes were sent. */
void flight_add(struct stream *s, struct flight *f, const struct flight_part *part);

/* Bytes were sent again. */
void flight_repeat(struct stream *s, struct flight *f, const struct flight_part *part);

/* stream.acked moved on. */
void flight_acknowledge(struct stream *s, struct flight *f);

/* The other side has [begin, end), behind a hole. */
void flight_sack(struct stream *s, struct flight *f, uint32_t begin, uint32_t end);
