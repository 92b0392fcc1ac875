/* capture/head.h - HTTP/1 heads as they are met with: sloppy, or cut by the capture.
 *
 * wire/http1 refuses what two parsers could read differently, as a proxy must; who explains what
 * others did reads what they meant.  Bare LF ends a line, white space stands anywhere, a field that
 * cannot be read is left out.  No allocation, no I/O; any thread. */
#pragma once

#include "base/parse.h"
#include "base/span.h"
#include "wire/http1.h"

/* Whether bytes begin with a request (empty lines in front are stepped over).  PARSE_OK: surely, by
 * a known method or a whole request line; PARSE_MORE: it may become one. */
enum parse head_guess_request(struct span bytes);

/* The same of a response: "HTTP/1.1 200". */
enum parse head_guess_response(struct span bytes);

/* The length of a head with its empty line, 0: its end is not among the bytes.  `from`: so many
 * were searched before. */
size_t head_find_end(struct span bytes, size_t from);

/* Reads as much of a head as there is: whole lines, and of an unfinished first line the method or
 * status.  Sets what http1_parse_request does, but for what is said of bad ones; has_line tells
 * whether the target is whole.  Spans borrow from the bytes. */
void head_read_request(struct span bytes, struct http1_head *out);
void head_read_response(struct span bytes, struct http1_head *out);

/* Takes out of a URL, in place, who it names with a password ("http://me:secret@…"), wherever in it
 * that stands. */
void head_hide_user(char *url);

/* The same of an authority: what stands behind the last '@'. */
struct span head_skip_user(struct span authority);
