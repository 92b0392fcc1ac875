/* wire/pcapng.h - writes capture files (pcapng, draft-ietf-opsawg-pcapng), block by block.
 *
 * One section, one interface of raw IP packets (LINKTYPE_RAW), times in nanoseconds.  Nothing of a
 * file is kept but what is held back on purpose; no heap, no file: bytes go out by a function of
 * the caller's.  One thread at a time. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"

/* Takes the next bytes of the file; false: they could not be written, and no more will come. */
typedef bool (*pcapng_sink_fn)(void *owner, const void *bytes, size_t len);

/* What a file is made from; pcapng_open copies it. */
struct pcapng_options {
    pcapng_sink_fn sink;
    void *owner;
    const char *application;   /* "viaduct 0.1.0", or NULL */
    uint32_t snaplen;          /* bytes of a packet that are kept, 0: all */
    uint64_t mono_ns, wall_ns; /* one moment on both clocks: packets come with monotonic times */
    char *hold;                /* the caller's memory for what is held back, or NULL */
    size_t hold_cap;           /* its bytes; 256 KiB are enough for 64 handshakes at once */
};

struct pcapng {
    struct pcapng_options options;
    size_t held;      /* bytes in options.hold */
    unsigned holders; /* how many wait for secrets */
    uint64_t packets; /* written or held */
    bool failed;      /* the sink refused: sticky */
};

/* Writes the section's and the interface's header.  False: the sink refused. */
bool pcapng_open(struct pcapng *p, const struct pcapng_options *options);

/* Adds a packet: `parts` after each other are its bytes, from the IP header on.  `comment` may be
 * NULL.  False: the sink refused, now or before. */
bool pcapng_packet(struct pcapng *p, uint64_t at_ns, const struct span *parts, unsigned n,
                   const char *comment);

/* Adds lines of a TLS key log (NSS format; one or more, with their newlines).  Readers want them
 * before the packets that they open, and a library knows them only after it was fed those: so hold,
 * and release when the handshake is over. */
bool pcapng_secrets(struct pcapng *p, struct span lines);

/* From hold to release packets wait in memory while secrets go ahead of them.  May be nested, one
 * pair for each handshake; when the memory is full, all that is held is written. */
void pcapng_hold(struct pcapng *p);
bool pcapng_release(struct pcapng *p);

/* Writes what is held.  At the end of the file; the sink's own buffers are the caller's affair. */
bool pcapng_flush(struct pcapng *p);
