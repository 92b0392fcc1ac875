#include "base/nearest.h"

#include <stdio.h>

#define WORD_MAX 64

static unsigned min3(unsigned a, unsigned b, unsigned c)
{
    unsigned m = a < b ? a : b;

    return m < c ? m : c;
}

/* Optimal string alignment distance; both at most WORD_MAX bytes.  Three rows of the usual matrix:
 * the one before last is needed for swapped neighbours. */
static unsigned distance(struct span a, struct span b)
{
    unsigned rows[3][WORD_MAX + 1];

    for (unsigned j = 0; j <= b.len; j++)
        rows[0][j] = j;
    for (unsigned i = 1; i <= a.len; i++) {
        unsigned *now = rows[i % 3], *last = rows[(i + 2) % 3], *before = rows[(i + 1) % 3];

        now[0] = i;
        for (unsigned j = 1; j <= b.len; j++) {
            char x = span_lower(a.ptr[i - 1]), y = span_lower(b.ptr[j - 1]);

            now[j] = min3(last[j] + 1, now[j - 1] + 1, last[j - 1] + (x != y));
            if (i > 1 && j > 1 && x == span_lower(b.ptr[j - 2]) && y == span_lower(a.ptr[i - 2]) &&
                before[j - 2] + 1 < now[j])
                now[j] = before[j - 2] + 1;
        }
    }
    return rows[a.len % 3][b.len];
}

const char *nearest_find(struct span word, const char *const *names, unsigned n)
{
    unsigned best = (unsigned)(word.len < 6 ? 1 : word.len / 3) + 1;
    const char *found = NULL;

    if (word.len == 0 || word.len > WORD_MAX)
        return NULL;
    for (unsigned i = 0; i < n; i++) {
        struct span name = span_of(names[i]);

        if (name.len == 0 || name.len > WORD_MAX)
            continue;
        unsigned edits = distance(word, name);
        if (edits < best && edits < name.len) {
            best = edits;
            found = names[i];
        }
    }
    return found;
}

void nearest_write_hint(struct span word, const char *const *names, unsigned n,
                        char out[NEAREST_HINT_MAX])
{
    const char *near = nearest_find(word, names, n);

    out[0] = '\0';
    if (near)
        snprintf(out, NEAREST_HINT_MAX, " (did you mean %s?)", near);
}
