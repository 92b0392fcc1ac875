/* capture/http2.h - HTTP/2 as somebody on the way reads it: frames, and the heads in them (RFC
 * 9113, RFC 7541).
 *
 * Both directions are followed from their first byte.  Header compression is nghttp2's, fed piece
 * by piece, so that nothing waits in memory for a frame's end.  Of heads only what an answer needs
 * is looked at.  One thread. */
#pragma once

#include "capture/answers.h"
#include "capture/conn.h"

struct http2;

/* Answers go to `a`, which outlives it.  NULL: out of memory. */
struct http2 *http2_new(struct answers *a);
void http2_free(struct http2 *h);

/* The next bytes of one direction, and the packet that they came with.  False: it is not HTTP/2, or
 * cannot be followed any more; then it is over with both directions. */
bool http2_feed(struct http2 *h, enum dir dir, struct span bytes, uint64_t at_ns, uint32_t number);

size_t http2_get_memory(const struct http2 *h); /* bytes, roughly */
