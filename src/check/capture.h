/* check/capture.h - the check's own packets as a pcapng file, and its TLS secrets as a key log.
 *
 * Packets are made of the bytes and times that the probes saw (wire/tap): what `explain` and
 * Wireshark read.  With a key log the secrets are inside the capture, too.  One thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/err.h"
#include "base/span.h"
#include "wire/pcapng.h"

struct capture {
    FILE *packets, *secrets; /* NULL: not wanted */
    const char *packets_path, *secrets_path;
    struct pcapng file;
    char *hold; /* packets that wait for their secrets */
    bool failed;
};

/* Opens what has a path (the other may be NULL), mode 0600; the paths are borrowed.  Times of
 * packets are monotonic; `mono_ns` and `wall_ns` are one moment.  False with *err. */
bool capture_open(struct capture *c, const char *packets, const char *secrets, uint64_t mono_ns,
                  uint64_t wall_ns, struct err *err);

/* A line of a key log, without its end. */
void capture_secret(struct capture *c, const char *line);

/* Writes what waits and closes.  False with *err: not all could be written. */
bool capture_close(struct capture *c, struct err *err);
