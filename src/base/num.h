/* base/num.h - bounded parsing of numbers, sizes and durations: the whole span or nothing.
 *
 * No sign, no space, no locale, no overflow.  Any thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"

/* Decimal digits only; false when empty, not a number, or above `max`. */
bool num_parse_u64(struct span text, uint64_t max, uint64_t *out);

/* Hexadecimal digits without prefix; at most 16. */
bool num_parse_hex(struct span text, uint64_t max, uint64_t *out);

/* A number with an optional k, m or g (of 1024), in bytes. */
bool num_parse_size(struct span text, uint64_t max, uint64_t *out);

/* A number with ms, s, m, h or d; a bare number counts seconds.  In nanoseconds. */
bool num_parse_duration(struct span text, uint64_t max_ns, uint64_t *out_ns);
