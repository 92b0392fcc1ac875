/* capture/textlines.h - the lines of a text, some of them ahead, without what the way into a ticket
 * did to them.
 *
 * Carriage returns, a byte order mark, no-break spaces and the entities of web pages are gone; what
 * a line says is not looked at.  Bounded: 600 lines or 512 KiB ahead.
 * One thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/span.h"
#include "capture/text.h"

#define TEXTLINES_AHEAD 600

struct textlines {
    text_line_fn next;
    void *owner;
    struct buf bytes; /* of the lines ahead, one behind the other */
    struct {
        uint32_t len, number; /* 1 is the text's first */
    } ahead[TEXTLINES_AHEAD];
    unsigned head, len; /* of `ahead`, a ring */
    uint32_t fetched;   /* lines so far */
    bool ended;         /* no more will come */
    bool has_entities;  /* "&gt;" stands for ">" */
};

void textlines_init(struct textlines *l, text_line_fn next, void *owner);
void textlines_fini(struct textlines *l);

/* The line `i` places ahead, 0 is the next; it holds until the next call.  False: there is none, or
 * it is too far ahead. */
bool textlines_peek(struct textlines *l, unsigned i, struct span *out);

/* The number of the next line, 0: there is none. */
uint32_t textlines_get_number(struct textlines *l);

/* Steps over `n` lines that were peeked at. */
void textlines_skip(struct textlines *l, unsigned n);

/* Puts the lines from the `from`-th ahead on, up to the text's end, in front of the others; they
 * keep their numbers.  False, and nothing moves: the end is not in sight, or memory is out. */
bool textlines_move_to_front(struct textlines *l, unsigned from);
