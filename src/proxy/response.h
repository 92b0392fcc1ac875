/* proxy/response.h - the response side of a plain-HTTP exchange.
 *
 * One worker. */
#pragma once

#include "proxy/session.h"

/* Moves one piece of the response, its head included.  STEP_AGAIN: more may be there; STEP_WAIT:
 * nothing now, or the response is whole; forward_is_over() tells whether the flow was ended. */
enum step response_move(struct session *s);

/* Writes a whole "Date: …" line with its end, terminated. */
#define RESPONSE_DATE_MAX 64
void response_write_date(uint64_t wall_ns, char *out, size_t cap);
