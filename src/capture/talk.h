/* capture/talk.h - what is said inside a tunnel whose TLS is open: HTTP/1, or HTTP/2
 * (capture/http2).
 *
 * Which one is told by ALPN, else by the first bytes.  Another protocol, or HTTP that cannot be
 * followed any more, ends it quietly: what was read stays.  One thread. */
#pragma once

#include "capture/inside.h"

struct talk;

/* Answers go to `sight`, which outlives it, and whose `alpn` is looked at before the first byte.
 * NULL: out of memory. */
struct talk *talk_new(struct inside_sight *sight);
void talk_free(struct talk *t);

/* The next bytes of one direction, as they were in the clear, and the packet that they came with.
 */
void talk_feed(struct talk *t, enum dir dir, struct span bytes, uint64_t at_ns, uint32_t number);

size_t talk_get_memory(const struct talk *t); /* bytes, roughly */
