/* capture/unpack.h - the bytes of a file or a pipe, unpacked on the way (gzip, RFC 1952; zstd, RFC
 * 8878).
 *
 * Read once, in large pieces; what is given out points into one buffer, so nothing is copied and
 * nothing is kept.  A broken compressed file gives what came before the damage.  Does not know what
 * the bytes are.  One thread. */
#pragma once

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/span.h"

#define UNPACK_MAX (2u << 20) /* bytes that can be asked for in one piece */

enum unpack_how { UNPACK_PLAIN, UNPACK_GZIP, UNPACK_ZSTD };

struct unpack {
    char *buf; /* heap; [begin, end) was read and not taken */
    size_t begin, end, cap;
    uint64_t taken; /* bytes, unpacked, before `begin` */
    bool is_open, is_over;
    bool is_regular; /* a file that can be opened again */
    int fd;
    int error;                         /* -errno of a read that failed; 0 */
    const char *trouble;               /* what is wrong with the compressed data: static; NULL */
    const volatile sig_atomic_t *stop; /* where it is set, a read that is interrupted is the end */
    enum unpack_how how;
    bool frame_open; /* a compressed piece has begun and not ended */
    char *packed;    /* heap; [packed_begin, packed_end) was read and not unpacked */
    size_t packed_begin, packed_end;
    void *library; /* z_stream, ZSTD_DStream */
};

/* Opens `path` ("-": standard input) with a buffer of `size` bytes, which grows to UNPACK_MAX where
 * that much is asked for, and looks whether it is compressed.  `stop` may be NULL.  False, with the
 * cause and, where a name is nearly right, the nearest: it is not there, may not be read, is a
 * directory, or memory is out.  unpack_fini is safe after either. */
bool unpack_open(struct unpack *u, const char *path, size_t size, const volatile sig_atomic_t *stop,
                 struct err *err);
void unpack_fini(struct unpack *u);

/* private: reads until `n` bytes are there */
const char *unpack_fill(struct unpack *u, size_t n);

/* The next bytes, at least `n` of them (all that are there: u->end - u->begin), without taking
 * them; they hold until the next call of any function here.  NULL: fewer are left, or n is above
 * UNPACK_MAX; u->error and u->trouble say whether that is just the end. */
static inline const char *unpack_peek(struct unpack *u, size_t n)
{
    return u->end - u->begin >= n ? u->buf + u->begin : unpack_fill(u, n);
}

/* Takes `n` bytes that were seen by unpack_peek; they stay where they are until it is called. */
static inline void unpack_take(struct unpack *u, size_t n)
{
    u->begin += n;
    u->taken += n;
}

/* Steps over `n` bytes, any number.  False: the end came before. */
bool unpack_skip(struct unpack *u, uint64_t n);

/* The next line without its end, or a piece of one that has more than 64 KiB.  False: there is none
 * left.  Holds until the next call. */
bool unpack_line(struct unpack *u, struct span *line);
