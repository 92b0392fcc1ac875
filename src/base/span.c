#include "base/span.h"

#include <stdlib.h>

bool span_equal_nocase(struct span a, struct span b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++)
        if (span_lower(a.ptr[i]) != span_lower(b.ptr[i]))
            return false;
    return true;
}

bool span_begins_nocase(struct span s, struct span head)
{
    return s.len >= head.len && span_equal_nocase((struct span){s.ptr, head.len}, head);
}

bool span_ends_with(struct span s, struct span tail)
{
    if (s.len < tail.len)
        return false;
    return tail.len == 0 || memcmp(s.ptr + s.len - tail.len, tail.ptr, tail.len) == 0;
}

struct span span_trim(struct span s)
{
    while (s.len > 0 && (s.ptr[0] == ' ' || s.ptr[0] == '\t'))
        s.ptr++, s.len--;
    while (s.len > 0 && (s.ptr[s.len - 1] == ' ' || s.ptr[s.len - 1] == '\t'))
        s.len--;
    return s;
}

struct span span_cut(struct span *rest, char sep)
{
    long at = span_find(*rest, sep);
    struct span taken = {rest->ptr, at < 0 ? rest->len : (size_t)at};
    size_t step = at < 0 ? rest->len : (size_t)at + 1;

    if (step > 0)
        rest->ptr += step;
    rest->len -= step;
    return taken;
}

long span_find(struct span s, char c)
{
    const char *hit = s.len ? memchr(s.ptr, c, s.len) : NULL;

    return hit ? hit - s.ptr : -1;
}

char *span_dup(struct span s)
{
    char *copy = malloc(s.len + 1);

    if (!copy)
        return NULL;
    if (s.len)
        memcpy(copy, s.ptr, s.len);
    copy[s.len] = '\0';
    return copy;
}
