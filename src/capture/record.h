/* capture/record.h - a packet as a capture file has it, before it is taken apart.
 *
 * Pure data. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"

/* Captured bytes of one packet: twice what an offload giant has.  More is no packet but a length
 * that lies. */
#define RECORD_MAX (1u << 20)

/* A link type that no packet_parse knows: of a record whose interface is not described. */
#define RECORD_NO_LINK UINT32_MAX

enum record_next {
    RECORD_OK,  /* here is one */
    RECORD_END, /* the file is over */
    RECORD_CUT, /* the file ends in the middle of something */
    RECORD_BAD, /* it cannot be read on from here: the error says why */
};

struct record {
    struct span bytes; /* into the file's buffer: until its next record is read */
    uint32_t wire_len; /* never less than bytes.len */
    uint32_t linktype;
    uint64_t wall_ns;   /* since 1970 */
    uint16_t interface; /* of a pcapng, through all its sections; 0 */
};
