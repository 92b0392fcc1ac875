/* capture/look.h - an exchange that is over, as the ending looks at it: who is who, how it went
 * away, how long it was quiet, and how packets are named to people.
 *
 * For the ending and its parts only (signs, moments, remarks).  Pure; one thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "capture/exchange.h"
#include "capture/source.h"
#include "flow/judge.h"

#define LOOK_TEXT_MAX 160 /* bytes of a packet's name with its terminator */

struct look {
    /* told by who looks */
    const struct exchange *x;
    enum conn_end how;
    uint64_t now_ns;                     /* of the capture, when the exchange was given up */
    const struct capture_source *source; /* NULL: unknown */
    uint64_t patience_ns;                /* silence that counts as a stop; not 0 */
    struct flow *f;                      /* what is made of it */
    /* found by look_init */
    const struct exchange_rare *rare;     /* of x; never NULL */
    const struct outside_verdict *judged; /* of x; NULL */
    const struct inside_sight *sight;     /* what keys opened; NULL */
    const struct conn *c;                 /* the client's leg */
    const struct conn *up;                /* the proxy's own leg, NULL: not in the capture */
    enum side far;                        /* who is at the other end of the client's leg */
    enum side beyond;                     /* and of the proxy's own: the target, or a parent */
    bool closed;                          /* FIN or RST was seen, and it was this exchange's */
    bool by_rst;                          /* and what counts is an RST: not one behind both FINs */
    enum dir closer;                      /* who sent it first */
    uint64_t close_ns;                    /* when */
    uint32_t close_number;
    uint64_t last_ns;  /* last byte of payload, or the last thing that happened before it */
    uint64_t until_ns; /* as long as it was watched: up to the close, or the end of the capture */
    uint64_t quiet_ns; /* between them; 0 where the clock does not allow to tell */
    bool unseen[2];    /* nothing of what ends[UP], ends[DOWN] sent is in the capture */
};

/* Finds the rest, from what the caller has set. */
void look_init(struct look *l);

/* The party that sends in that direction of the client's leg. */
enum side look_side(const struct look *l, enum dir dir);

/* The moment, or 0 (exchange_get_ns). */
uint64_t look_get(const struct look *l, enum mark m);

/* "packet 12 at 3.210 s": by number and time since the flow began; of a text "line 12".  at_ns 0:
 * without the time.  Returns `out`. */
const char *look_name_packet(const struct look *l, uint32_t number, uint64_t at_ns,
                             char out[LOOK_TEXT_MAX]);

/* "packets 1 to 3", "packet 4", "lines 5 to 9"; 0 where nothing is known gives "". */
const char *look_name_packets(const struct look *l, uint32_t first, uint32_t last,
                              char out[LOOK_TEXT_MAX]);

/* An end of the client's leg for people and for tcpdump: a name where a text gave one, else the
 * address. */
const char *look_name_host(const struct look *l, const struct endpoint *e, char out[LOOK_TEXT_MAX]);

/* An ending, with its few words as the flow's reason (none where they are ""). */
struct ending look_conclude(const struct look *l, enum verdict v, enum side by, enum certainty c,
                            const char *fmt, ...) __attribute__((format(printf, 5, 6)));

/* Whether it was quiet for so long that it counts; where a text ends, nothing is known of time. */
bool look_is_waiting(const struct look *l);

/* Whether a part of the request's body has still to come, and nobody answered it before. */
bool look_is_upload(const struct look *l);

/* The familiar timer, in seconds, that a silence looks like; 0: none. */
unsigned look_find_timer(uint64_t quiet_ns);
