/* capture/ngfile.h - reads pcapng (draft-ietf-opsawg-pcapng) block by block: any number of
 * sections and interfaces, each with its own link type and clock.
 *
 * Packets come out, secrets go to who wants them, drop counts are added up; all other blocks are
 * stepped over.  A block whose lengths contradict each other ends the file, as nobody knows where
 * the next one begins.  One thread. */
#pragma once

#include "base/err.h"
#include "capture/record.h"
#include "capture/unpack.h"

struct ngfile_interface; /* private */

struct ngfile {
    void (*secrets)(void *owner, struct span lines); /* NULL: not wanted */
    void *owner;
    bool is_swapped;
    struct ngfile_interface *interfaces; /* heap: of this section */
    unsigned interfaces_len, interfaces_cap;
    unsigned interfaces_before; /* of the sections before */
    uint64_t dropped;           /* of the sections before, and of packets' own counts */
    uint64_t last_ns;           /* for packets without a time */
    size_t behind;              /* bytes of the block that was given out last */
};

/* These four bytes are how such a file begins. */
bool ngfile_is_magic(const char magic[4]);

/* Makes it ready for a file of which nothing was taken yet; allocates nothing. */
void ngfile_init(struct ngfile *f, void (*secrets)(void *owner, struct span lines), void *owner);
void ngfile_fini(struct ngfile *f);

/* The next packet. */
enum record_next ngfile_next(struct ngfile *f, struct unpack *u, struct record *out,
                             struct err *err);

/* Packets that who captured could not keep, so far. */
uint64_t ngfile_get_dropped(const struct ngfile *f);
