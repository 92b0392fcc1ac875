/* capture/text.h - tcpdump's text, as pasted into a ticket, as packets.
 *
 * Lines as tcpdump prints them (-t to -ttttt, -e, -n or names, -v, -A, -X, -S), bare HTTP heads
 * between them (they belong to the connection above), remarks in brackets or behind '#': never
 * evidence.  Sequence numbers of a text are relative, left out or wrong: what comes from here adds
 * up, as far as the lines allow: a range that was there before is a retransmission, all else
 * follows what came before.  wire/dumptext reads one line; this joins them.  One thread. */
#pragma once

#include <stdbool.h>

#include "base/span.h"
#include "wire/packet.h"

struct text_capture;

/* Hands out the next line, without its end; false: there is none left.  The span holds until the
 * next call.  A line longer than 64 KiB comes in pieces. */
typedef bool (*text_line_fn)(void *owner, struct span *line);

struct text_capture *text_new(text_line_fn line, void *owner);
void text_free(struct text_capture *t);

/* 1: *out is the next packet (number: its line; payload as far as the text has it); 0: no more.
 * at_ns and wall_ns are both set; midnight is passed. */
int text_next(struct text_capture *t, struct packet *out);

/* The name that an address of family ADDR_NAMED stands for, or NULL. */
const char *text_find_name(const struct text_capture *t, const struct addr *a);

/* Lines that were read as packets or heads, and those that were not (remarks, nonsense). */
unsigned text_get_lines(const struct text_capture *t, unsigned *others);
