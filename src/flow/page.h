/* flow/page.h - the page that came with an answer, as a line that people read.
 *
 * For evidence: what a proxy wrote for a browser stands in a report, whatever product wrote it.
 * Pure; any thread. */
#pragma once

#include <stddef.h>

#include "base/span.h"

#define PAGE_LINE_MAX 400 /* bytes, terminator included */

/* Writes the visible text of a body (HTML or plain) on one line, cut where the room ends: tags,
 * scripts, styles, comments and the head go (of a page that has nothing else its head counts),
 * white space becomes one blank, the entities of Latin punctuation their character.  Control
 * characters stay, for the one who shows it to escape.  Its length without the terminator; 0: there
 * is no text (nothing, or bytes that are no text). */
size_t page_write(struct span body, char out[PAGE_LINE_MAX]);
