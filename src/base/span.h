/* base/span.h - borrowed bytes: a pointer and a length, never terminated, never owned.
 *
 * A span must not outlive the buffer it points into; who keeps one says what it borrows from.
 * Letters are ASCII: comparison without case never asks the locale.  Any thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct span {
    const char *ptr;
    size_t len;
};

#define SPAN_LIT(literal) ((struct span)SPAN_INIT(literal))
#define SPAN_INIT(literal)                                                                         \
    {                                                                                              \
        (literal), sizeof(literal) - 1                                                             \
    } /* in static tables */

/* A span over a terminated string; NULL gives the empty span. */
static inline struct span span_of(const char *text)
{
    return (struct span){text, text ? strlen(text) : 0};
}

static inline bool span_equal(struct span a, struct span b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

/* ASCII lower case of one byte. */
static inline char span_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

bool span_equal_nocase(struct span a, struct span b);
bool span_begins_nocase(struct span s, struct span head);
bool span_ends_with(struct span s, struct span tail);

/* Without the spaces and tabs at both ends (OWS of RFC 9110 5.6.3). */
struct span span_trim(struct span s);

/* Takes the bytes before the first `sep` off the front of *rest and steps over the separator.
 * Without one, takes all.  Returns what was taken. */
struct span span_cut(struct span *rest, char sep);

/* Position of the first `c`, or -1. */
long span_find(struct span s, char c);

/* A terminated heap copy that the caller frees; NULL when out of memory. */
char *span_dup(struct span s);
