/* proxy/flush.h - one thread asks another to have done with what it was given, and waits for it.
 *
 * Orders are numbered.  The working thread looks at the newest one before it takes what is there,
 * and tells it as done behind that; the other waits until its own, or a later one, is told. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct flush {
    _Atomic uint64_t asked, told, well; /* orders; well: the last one that came to a good end */
    int done_fd;                        /* eventfd: something was told */
};

bool flush_init(struct flush *f); /* false: no descriptor is to be had */
void flush_fini(struct flush *f); /* safe on a zeroed one, and after flush_init failed */

/* For who asks, one thread at a time: the order's number; wake the other thread behind it. */
uint64_t flush_begin(struct flush *f);
/* Whether it came to a good end before `until_ns` (monotonic). */
bool flush_wait(struct flush *f, uint64_t order, uint64_t until_ns);

/* For who works: the newest order that is not told yet, 0: there is none. */
uint64_t flush_order(struct flush *f);
/* Tells it as done; `well`: nothing of what was there is left.  0: nothing happens. */
void flush_done(struct flush *f, uint64_t order, bool well);
