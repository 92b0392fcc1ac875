/* capture/infile.h - one file of a capture, whatever it is: pcap, pcapng or tcpdump's text.
 *
 * Finds out what it is, and hands out its packets one by one, numbered, on a line of time of its
 * own; each is taken apart when it is asked for only, so that several files can be put in order
 * without it.  One thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "capture/ngfile.h"
#include "capture/pcapfile.h"
#include "capture/record.h"
#include "capture/text.h"
#include "capture/timeline.h"
#include "capture/unpack.h"
#include "wire/packet.h"

enum infile_format { INFILE_PCAP, INFILE_PCAPNG, INFILE_TEXT };

struct infile_options {
    uint16_t index;                                  /* packet.file */
    size_t buffer;                                   /* bytes */
    const volatile sig_atomic_t *stop;               /* NULL */
    void (*secrets)(void *owner, struct span lines); /* NULL */
    void *owner;
};

struct infile {
    const char *path; /* the caller's */
    struct infile_options options;
    struct unpack in;
    enum infile_format format;
    struct pcapfile pcap;
    struct ngfile ng;
    struct text_capture *text;
    struct timeline line;
    uint32_t number;        /* of the packet at hand; of a text: how many */
    uint64_t at_ns;         /* its place on the line */
    struct record record;   /* the packet at hand, but of a text: */
    struct packet *packet;  /* heap */
    uint64_t unknown_links; /* packets of a link type that nobody here knows */
    uint32_t unknown_link;  /*   the first of them */
    int error;              /* -errno of a read that failed, 0 */
    bool truncated;         /* it ends in the middle of something */
    struct err trouble;     /* what is wrong with it, without its name; "" */
};

/* Opens `path` ("-": standard input).  False, with the cause and the path: it cannot be read, is
 * empty, or nothing that is known; infile_fini is safe after either. */
bool infile_open(struct infile *f, const char *path, const struct infile_options *o,
                 struct err *err);
void infile_fini(struct infile *f);

/* Goes on to the next packet.  False: there are no more; `error`, `truncated` and `trouble` say
 * whether it ended well. */
bool infile_next(struct infile *f);

/* The packet at hand, taken apart; its spans hold until infile_next. */
void infile_get(struct infile *f, struct packet *out);
