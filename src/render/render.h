/* render/render.h - a flow in, bytes out: the formats in which viaduct shows a flow.
 *
 * Every text of a flow may come from outside: JSON is escaped (invalid UTF-8 becomes U+FFFD), text
 * shows control characters as \xNN, HTML escapes.  False when the buf's maximum was reached:
 * nothing was added. */
#pragma once

#include <stdbool.h>

#include "base/buf.h"
#include "flow/flow.h"

/* One object on one line with its newline, the keys of INTERFACES (all of them, in its order). */
bool render_json(struct buf *out, const struct flow *f);

/* One line for people: time, client, user, method, target, status, bytes, duration, verdict in
 * phase by whom, rule, reason. */
bool render_text(struct buf *out, const struct flow *f);

/* Squid's native access.log line (logformat squid): "%ts.%03tu %6tr %>a %Ss/%03>Hs %<st %rm %ru %un
 * %Sh/%<a %mt". */
bool render_squid(struct buf *out, const struct flow *f);

/* The text ladder: phases with start, duration and bars, steps, evidence, warnings, cause and
 * advice. */
bool render_ladder(struct buf *out, const struct flow *f, bool colour);

/* The same of a flow that is still under way at `now_ns`, on its own clock: its header and the
 * phases so far, the open one last. */
bool render_ladder_so_far(struct buf *out, const struct flow *f, uint64_t now_ns, bool colour);
