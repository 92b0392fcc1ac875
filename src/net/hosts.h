/* net/hosts.h - the hosts file (hosts(5)): parsed once, followed when it changes.
 *
 * Knows no DNS.  One owner, one thread; time is an argument. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/endpoint.h"
#include "base/span.h"

#define HOSTS_FILE_MAX (64u << 20) /* bytes; a larger file is not read */

struct hosts {
    const char *path; /* borrowed from the owner; NULL: no file */
    char *text;       /* the file, names in lower case */
    struct hosts_row *rows;
    uint32_t rows_len, rows_cap;
    uint32_t *buckets;   /* row number + 1, 0: none */
    uint32_t mask;       /* buckets, a power of two, less one */
    uint64_t look_ns;    /* when to look at the file again */
    struct hosts_stamp { /* of the file that was read; zeroed: there is none */
        uint64_t changed_ns, inode, size;
    } stamp;
};

/* Starts on a zeroed or finished one; reads nothing yet. */
void hosts_init(struct hosts *h, const char *path);
void hosts_fini(struct hosts *h);

/* The addresses of `name` (lower case), in the file's order, each once; returns how many, `max` at
 * most. Looks at the file's time stamp at most once a second, reads it again when that changed; a
 * file that cannot be read counts as empty. */
unsigned hosts_find(struct hosts *h, struct span name, uint64_t now_ns, struct addr *out,
                    unsigned max);
