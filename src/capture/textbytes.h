/* capture/textbytes.h - the bytes below a line: hex of -x and -X, characters of -A.
 *
 * Hex is the packet itself, and better than its line.  Characters are the truth only where every
 * byte can be printed: of HTTP heads, and of bodies near enough.  Pure but for the lines it takes;
 * one thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "capture/textlines.h"
#include "wire/dumptext.h"
#include "wire/packet.h"

#define TEXTBYTES_MAX 66000 /* of one packet, and of what is kept */

/* Takes the hex lines that come next into `bytes` (emptied first); how many bytes, 0: no hex. */
size_t textbytes_take_hex(struct textlines *l, struct buf *bytes);

/* Takes the packet apart, whatever link layer stands in front of it, if it is the one of the line
 * `d`.  False: it is not, or it is neither TCP nor an ICMP error. */
bool textbytes_parse_hex(struct span bytes, const struct dumptext *d, struct packet *out);

/* Takes the text that -v prints of HTTP, each line behind a tab, into `out` (emptied first), as far
 * as the `len` bytes of the payload go.  False: there is none. */
bool textbytes_take_lines(struct textlines *l, size_t len, struct buf *work, struct buf *out);

/* Leaves out the characters of an ICMP error, if they come next: what it quotes was sent before. */
void textbytes_skip_ascii(struct textlines *l, const struct dumptext *d, struct buf *work);

/* Whether characters of the packet `d` come next: its header begins there, as -A prints it. */
bool textbytes_has_ascii(struct textlines *l, const struct dumptext *d, struct buf *work);

/* What the bytes before said of those that come. */
enum textbytes_state {
    TEXTBYTES_UNKNOWN, /* a head, if they begin like one */
    TEXTBYTES_HEAD,    /* they go on with a head */
    TEXTBYTES_BODY,    /* they are text behind a head, or the next head */
};

/* Takes them: the payload with its line ends into `out` (emptied first).  False: they are not text,
 * and `out` is empty.  Call behind textbytes_has_ascii, with the same `work`. */
bool textbytes_take_ascii(struct textlines *l, const struct dumptext *d, struct buf *work,
                          enum textbytes_state before, struct buf *out);
