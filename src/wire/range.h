/* wire/range.h - parts of a representation, and what tells that two are of the same one (RFC 9110
 * 14, 8.8, 13.1.5).
 *
 * No allocation, no I/O.  Any thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"

#define RANGE_UNKNOWN UINT64_MAX

struct range_content {
    bool satisfied; /* false: the answer to a range that is not there, of which it has but the total
                     */
    uint64_t first, last; /* of the bytes that come, when satisfied: first <= last */
    uint64_t total;       /* of the whole, RANGE_UNKNOWN: an asterisk */
};

/* A Content-Range field's value in bytes (RFC 9110 14.4): "bytes 7-19/20", with an asterisk for
 * what is not known of it or, before the slash, not there.  False when it is anything else, another
 * unit, or contradicts itself. */
bool range_parse_content(struct span value, struct range_content *out);

/* What may stand in If-Range for bytes that came with these fields (empty: not there): a strong
 * entity tag, else a Last-Modified that differs from Date and so is strong enough (RFC 9110
 * 8.8.2.2).  Empty when there is neither; borrows from the arguments. */
struct span range_find_validator(struct span etag, struct span last_modified, struct span date);

/* Whether a text can be sent as If-Range: an entity tag in quotes, or a date's characters. */
bool range_is_validator(struct span text);
