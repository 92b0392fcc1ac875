/* capture/signs.h - from what was seen of packets to the symptoms that flow/judge knows.
 *
 * For the ending only.  Pure; one thread. */
#pragma once

#include "capture/look.h"
#include "flow/judge.h"

/* Fills *s (zeroed) from the client's leg, and from the proxy's own where that is known.  `end` is
 * how the stream really ended, by FIN, RST, loss or the capture's end; whether a silence counts is
 * for the caller. */
void signs_gather(const struct look *l, struct symptoms *s);

/* The paths of one connection: what the sockets at both its ends would have told. `until_ns` is how
 * long it was watched. */
void signs_read_paths(const struct conn *c, uint64_t until_ns, struct symptoms *s);

/* Whether bytes of it were sent again and again to somebody who does not answer. */
bool signs_is_lost(const struct stream *s);

/* Whether a request waits for its reply, as far as can be told. */
bool signs_is_asking(const struct look *l);

/* Whether an RST may have come behind a good-bye that the capture does not have. */
bool signs_is_fin_unseen(const struct look *l);
