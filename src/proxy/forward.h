/* proxy/forward.h - what both directions of a plain-HTTP exchange share: its deadlines and its
 * ends.
 *
 * The request side is step_forward.c, the response side response.c.  One worker. */
#pragma once

#include "proxy/session.h"

/* Whether the flow was ended, or went on as something else: then the exchange is gone. */
bool forward_is_over(const struct session *s);

/* While the answer is awaited: response-timeout; else idle-timeout; the lifetime where that ends
 * sooner. */
void forward_set_deadline(struct session *s);

/* Ends of the flow.  The response broke after its head went out (`end` as the judge has it); the
 * target broke before it answered (`err` 0: FIN; may ask again instead); either socket failed with
 * a positive errno; the target spoke nonsense (`what`: a few words). */
enum step forward_end_transfer(struct session *s, enum stream_end end, enum side first);
enum step forward_end_unanswered(struct session *s, int err);
enum step forward_target_broke(struct session *s, int err);
enum step forward_client_broke(struct session *s, int err);
enum step forward_end_nonsense(struct session *s, const char *what);
