/* render/date.h - wall-clock nanoseconds as text.
 *
 * Each thread keeps the second it wrote last, as records of one moment come in crowds.  Any thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "render/pen.h"

void date_write_rfc3339(struct pen *p, uint64_t wall_ns); /* "2026-11-23T05:00:00.123456Z" */
/* The same; a time of tcpdump's text that has no date (it is taken for one of the first days of
 * 1970) as "14:02:11.310022". */
void date_write_moment(struct pen *p, uint64_t wall_ns);
void date_write_http(struct pen *p, uint64_t wall_ns);  /* "Mon, 23 Nov 2026 05:00:00 GMT" */
void date_write_local(struct pen *p, uint64_t wall_ns); /* "2026-11-23 06:00:00.123", local time */

/* Reads a moment of RFC 3339: "2026-11-23T05:00:00.123456Z", also with a blank for the T, without a
 * fraction, or with an offset ("+01:00").  False: it is none, or not of the years 1970 to 2261. */
bool date_parse_rfc3339(struct span text, uint64_t *wall_ns);
