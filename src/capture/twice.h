/* capture/twice.h - tells packets that the capture has twice from those that were sent twice.
 *
 * The "any" interface sees a packet where it comes in and where it goes out, a mirror port at two
 * of its ports: a moment later the same, but for TTL and checksums.  What is sent again has another
 * IP ID or timestamp, or comes later.  Remembers the packets of the last moment, in fixed memory.
 * One thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "wire/packet.h"

#define TWICE_SLOTS 8192u /* a power of two */

struct twice {
    struct twice_slot {
        uint64_t mark; /* of a packet; 0: none */
        uint64_t at_ns;
    } slots[TWICE_SLOTS];
};

/* True: the capture had this packet just before.  `hash` is that of its connection's ends. */
bool twice_is_copy(struct twice *t, uint64_t hash, const struct packet *p);
