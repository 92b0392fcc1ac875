/* render/human.h - figures and endings in the words people read; shared by the text formats. */
#pragma once

#include <stdbool.h>

#include "flow/flow.h"
#include "render/pen.h"

void human_bytes(struct pen *p, uint64_t n);     /* "1834 B", "1.8 KiB", "2.0 GiB" */
void human_duration(struct pen *p, uint64_t ns); /* "79 us", "4.2 ms", "12.3 s", "1:02:03" */
void human_endpoint(struct pen *p, const struct endpoint *e); /* "-" when there is none */

/* A party's endpoint (client, proxy, or as SIDE_TARGET the target's address), by the name that a
 * text has for it where there is one; "-" when neither is known.  The name is escaped for text. */
void human_side(struct pen *p, const struct flow *f, enum side side);
bool human_has_side(const struct flow *f, enum side side);

/* "CONNECT updates.example.net:443", or method and URL; "-" for what is not known. */
void human_request(struct pen *p, const struct flow *f);

/* The same for a heading: without a method (TLS without a proxy) the target alone, "no request
 * seen" where nothing is known. */
void human_asked(struct pen *p, const struct flow *f);

/* "mtu-blackhole in tls by network (inferred)"; the certainty of an open or good flow is left out.
 */
void human_ending(struct pen *p, const struct flow *f);
