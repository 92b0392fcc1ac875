/* capture/live.h - packets of a network interface, as they go by; the only one who knows libpcap.
 *
 * One thread, but for live_stop. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "capture/record.h"

struct live;

/* Begins to capture on `interface` ("any": all of them) what `filter` (BPF; NULL: everything)
 * lets through.  NULL, with the cause and what would help: no permission, no such interface, not
 * up, a filter that is wrong. */
struct live *live_open(const char *interface, const char *filter, struct err *err);

/* The next packet, whose bytes hold until the next call.  1: here it is; -EAGAIN: nothing came for
 * 100 ms; 0: it was stopped; -EIO: capturing failed, live_get_trouble says how. */
int live_next(struct live *l, struct record *out);

/* Why capturing failed; "" where it did not. */
const char *live_get_trouble(const struct live *l);

/* Packets that the kernel or the interface could not keep, so far. */
uint64_t live_get_dropped(struct live *l);

/* Ends it at once, also while live_next waits; safe in a signal handler. */
void live_stop(struct live *l);

void live_free(struct live *l);
