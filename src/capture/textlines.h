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
    uint32_t lens[TEXTLINES_AHEAD];
    unsigned head, len; /* of `lens`, a ring */
    uint32_t number;    /* of the first line ahead, 1 is the text's first */
    bool ended;         /* no more will come */
    bool has_entities;  /* "&gt;" stands for ">" */
};

void textlines_init(struct textlines *l, text_line_fn next, void *owner);
void textlines_fini(struct textlines *l);

/* The line `i` places ahead, 0 is the next; it holds until the next call.  False: there is none, or
 * it is too far ahead. */
bool textlines_peek(struct textlines *l, unsigned i, struct span *out);

/* Steps over `n` lines that were peeked at. */
void textlines_skip(struct textlines *l, unsigned n);
