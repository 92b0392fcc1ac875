#include "flow/offer.h"

#include <stdio.h>

#define NAME_SHOWN 32

static void add_scheme(struct offer *o, struct span name)
{
    size_t len = strlen(o->names);
    int n = snprintf(o->names + len, sizeof o->names - len, "%s%.*s", o->any ? ", " : "",
                     (int)(name.len < NAME_SHOWN ? name.len : NAME_SHOWN), name.ptr);

    if (n < 0 || (size_t)n >= sizeof o->names - len)
        o->names[len] = '\0';
    o->any = true;
    o->usable |=
        span_equal_nocase(name, SPAN_LIT("basic")) || span_equal_nocase(name, SPAN_LIT("digest"));
}

/* Takes an element of a list whose strings may have commas in them. */
static struct span cut_element(struct span *rest)
{
    size_t at = 0;
    bool quoted = false;

    for (; at < rest->len && (quoted || rest->ptr[at] != ','); at++) {
        if (quoted && rest->ptr[at] == '\\' && at + 1 < rest->len)
            at++;
        else if (rest->ptr[at] == '"')
            quoted = !quoted;
    }
    struct span element = {rest->ptr, at};
    rest->ptr += at + (at < rest->len);
    rest->len -= at + (at < rest->len);
    return span_trim(element);
}

/* Challenges and their parameters stand in one list (RFC 9110 11.6.1): an element that begins with
 * "name=" goes on with the challenge before it, any other begins one. */
void offer_add(struct offer *o, struct span value)
{
    while (value.len > 0) {
        struct span element = cut_element(&value);
        size_t n = 0;

        while (n < element.len && !memchr(" \t=\"", element.ptr[n], 4))
            n++;
        struct span name = {element.ptr, n};
        struct span rest = span_trim((struct span){element.ptr + n, element.len - n});

        if (n > 0 && (rest.len == 0 || *rest.ptr != '='))
            add_scheme(o, name);
        o->stale |= span_begins_nocase(element, SPAN_LIT("stale=true")) ||
                    span_begins_nocase(rest, SPAN_LIT("stale=true"));
    }
}
