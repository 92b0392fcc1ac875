/* capture/source.h - packets, whatever they come from: capture files, a text, a live interface.
 *
 * Files are read once, in pieces, compressed or not, several in the order of time (by the packets'
 * times: captures of the same hour are merged).  pcapng is read block by block, because libpcap
 * refuses files with several link types.  A file that is no capture is read as tcpdump's text
 * (capture/text.h).  Fragments are put together on the way.  One thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "wire/packet.h"

struct capture_source;

struct capture_options {
    const char *const *paths; /* "-": standard input; each once */
    size_t paths_len;
    const char *interface; /* live, then `paths` is empty; NULL */
    const char *filter;    /* BPF, of a live interface; NULL: none */
    /* lines of a key log that a capture brings along (pcapng's secrets); NULL */
    void (*secrets)(void *owner, struct span lines);
    void *owner;
};

/* What was read, for the reader to tell. */
struct capture_seen {
    uint64_t packets, tcp, other, bad; /* bad: lying lengths, or of an unknown link type */
    uint64_t cut;                      /* packets of which the capture kept less than there was */
    uint64_t dropped; /* by the kernel or the capturing program, as far as the file says */
    uint32_t snaplen; /* the smallest limit that cut one, 0: none was cut */
    uint64_t first_ns, last_ns; /* wall clock */
    uint32_t back_steps;        /* times that the clock ran back by more than a second */
    bool is_text;
    bool truncated;    /* a file ends in the middle of a packet: it was read that far */
    char trouble[256]; /* what is wrong with a file, for people; "": nothing is */
};

/* Opens all of them; *err names the file that cannot be read, or is no capture at all. */
struct capture_source *capture_source_open(const struct capture_options *o, struct err *err);

/* The next packet (its spans hold until the next call): each of a capture, whatever its kind.  The
 * fragment that completes an IP packet comes as that packet, the others as they are.  1: here it
 * is; 0: there are no more; -EAGAIN: live, and nothing came for 100 ms; another -errno: reading
 * failed, seen()->trouble says what.  A broken file ends like one that ends (0), with `truncated`
 * and `trouble`. */
int capture_source_next(struct capture_source *s, struct packet *out);

const struct capture_seen *capture_source_get_seen(const struct capture_source *s);

/* The path as it was given, of packet.file. */
const char *capture_source_get_path(const struct capture_source *s, unsigned file);

/* The name that stands for this address in a text, NULL for other addresses. */
const char *capture_source_find_name(const struct capture_source *s, const struct addr *a);

/* Stops a live capture at once, and files before their next packet; safe in a signal handler. */
void capture_source_stop(struct capture_source *s);

void capture_source_free(struct capture_source *s);
