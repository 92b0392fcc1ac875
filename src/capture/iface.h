/* capture/iface.h - packets of a network interface, as they go by; the only one who knows libpcap.
 *
 * One thread, but for iface_stop. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "capture/record.h"

struct iface;

/* Begins to capture on `interface` ("any": all of them) what `filter` (BPF; NULL: everything)
 * lets through.  NULL, with the cause and what would help: no permission, no such interface, not
 * up, a filter that is wrong. */
struct iface *iface_open(const char *interface, const char *filter, struct err *err);

/* The next packet, whose bytes hold until the next call.  1: here it is; -EAGAIN: nothing came for
 * 100 ms; 0: it was stopped; -EIO: capturing failed, iface_get_trouble says how. */
int iface_next(struct iface *l, struct record *out);

/* Why capturing failed; "" where it did not. */
const char *iface_get_trouble(const struct iface *l);

/* Packets that the kernel or the interface could not keep, so far. */
uint64_t iface_get_dropped(struct iface *l);

/* Ends it at once, also while iface_next waits; safe in a signal handler. */
void iface_stop(struct iface *l);

void iface_free(struct iface *l);
