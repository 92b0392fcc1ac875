/* wire/field.h - the names of header fields, and the lists in their values (RFC 9110 5).
 *
 * Names are compared without case.  Pure; any thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/span.h"

/* Fields that a proxy has to know.  FIELD_OTHER: any other. */
enum field_id {
#define F(id, name, hop) FIELD_##id,
#include "wire/field.def"
#undef F
    FIELD_COUNT
};

/* The id of a name in any case; FIELD_OTHER when it is none of field.def. */
enum field_id field_find(struct span name);

/* The name in lower case; empty for FIELD_OTHER. */
struct span field_get_name(enum field_id id);

/* Whether such a field ends at the next hop (RFC 9110 7.6.1). */
bool field_is_hop(enum field_id id);

/* How many bytes at the front are token characters (RFC 9110 5.6.2). */
size_t field_token_len(struct span text);

/* Takes the next element of a comma-separated list (RFC 9110 5.6.1) off the front of *rest, without
 * the white space around it; empty elements are stepped over.  False: there is none left. */
bool field_list_next(struct span *rest, struct span *item);
