/* flow/anonymize.h - names, addresses, users and URLs as stand-ins, so that a report can be handed
 * on.
 *
 * The same text has the same stand-in as long as the object lives: host-1.example, 192.0.2.1,
 * 2001:db8::1, user-1, /path-1, text-1.  Ports, sizes, times, statuses and packet numbers stay.
 * What is not known is not let through: of a text that may hold something from outside only the
 * words stay that viaduct itself says (made from its sources by vocabulary.py), and figures.
 * Remembers a hash of each original, never the original.  One thread. */
#pragma once

#include "flow/flow.h"

struct anonymize;

/* NULL: out of memory. */
struct anonymize *anonymize_new(void);
void anonymize_free(struct anonymize *a); /* NULL is fine */

/* From now on `original` (a file's name) is written as `stand_in` wherever it stands in a text.
 * Both are borrowed.  The first 64 count; beyond, such a name is masked like any other text. */
void anonymize_add(struct anonymize *a, const char *original, const char *stand_in);

/* Replaces all that tells who it was, in place.  Out of memory: the text concerned is taken away.
 */
void anonymize_flow(struct anonymize *a, struct flow *f);

/* The same of a text that stands beside the flows: a message about a file.  A heap copy that the
 * caller frees; NULL: out of memory. */
char *anonymize_text(struct anonymize *a, const char *text);
