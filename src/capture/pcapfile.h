/* capture/pcapfile.h - reads classic capture files (pcap, draft-ietf-opsawg-pcap): microseconds or
 * nanoseconds, either byte order, also with the longer record heads that old Linux kits wrote.
 *
 * The header's snaplen is not believed, a record's own lengths are, as far as they can be.  One
 * thread. */
#pragma once

#include "base/err.h"
#include "capture/record.h"
#include "capture/unpack.h"

struct pcapfile {
    bool is_swapped;
    uint32_t unit_ns;  /* of a fraction */
    uint32_t head_len; /* of a record's */
    uint32_t linktype, snaplen;
    size_t behind; /* bytes of the record that was given out last */
};

/* These four bytes are how such a file begins. */
bool pcapfile_is_magic(const char magic[4]);

/* Reads the file's header.  False, with the cause: it is not whole, or of an unknown version. */
bool pcapfile_open(struct pcapfile *f, struct unpack *u, struct err *err);

/* The next record. */
enum record_next pcapfile_next(struct pcapfile *f, struct unpack *u, struct record *out,
                               struct err *err);
