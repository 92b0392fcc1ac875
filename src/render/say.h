/* render/say.h - sentences with values in them, in the reader's language.
 *
 * A msgid has {1} to {9} where its values stand, so that a translation may turn them round.  The
 * sentence is ours and written as it is; the values may come from outside and are escaped for where
 * they are shown.  Pure but for the environment's language; any thread. */
#pragma once

#include "render/pen.h"

typedef void (*say_escape_fn)(struct pen *p, struct span text); /* escape_text, escape_html */

/* The msgid's translation (flow/words.h) with its values, which end with NULL.  A place without a
 * value is left empty. */
void say_words(struct pen *p, say_escape_fn escape, const char *msgid, ...)
    __attribute__((sentinel));

#define SAY_NUMBER_MAX 24
/* A number as such a value: decimal, in `out`, which is returned. */
const char *say_number(char out[SAY_NUMBER_MAX], uint64_t n);

/* The columns that a text takes on a terminal: two for what East Asia writes wide. */
size_t say_columns(struct span text);

/* The msgid's translation, and blanks up to `width` columns; one at least. */
void say_label(struct pen *p, const char *msgid, size_t width);
