/* render/escape.h - texts from outside, made harmless for where they are shown.
 *
 * Every byte is hostile: control characters (C0, DEL, C1), characters that turn the reading
 * direction or hide (U+200B-200F, U+2028-202E, U+2060-2069, U+FEFF) and bytes that are no UTF-8
 * never come out as they went in. */
#pragma once

#include <stdint.h>

#include "base/span.h"
#include "render/pen.h"

/* The inside of a JSON string: \uNNNN, bytes that are no UTF-8 become U+FFFD. */
void escape_json(struct pen *p, struct span text);

/* For terminals and text logs: each byte of what may not pass as \xNN. */
void escape_text(struct pen *p, struct span text);

/* Element content or a quoted attribute of HTML; what may not pass becomes U+FFFD. */
void escape_html(struct pen *p, struct span text);

/* Printable ASCII; any other byte becomes '?'. */
void escape_ascii(struct pen *p, struct span text);

/* An RFC 8941 string with its quotes: printable ASCII, \" and \\ escaped, any other byte '?'. */
void escape_sf_string(struct pen *p, struct span text);

/* One word of a log that splits at spaces: spaces, controls and non-ASCII as %NN; "-" when empty.
 */
void escape_word(struct pen *p, struct span text);
