/* render/jsonw.h - a JSON writer over a pen: commas and escapes, nothing else.
 *
 * Members and elements come in the order in which they are written; what is opened is closed by the
 * caller.  One thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "render/escape.h"
#include "render/pen.h"

struct jsonw {
    struct pen *pen;
    bool comma; /* something stands before in this object or array */
};

/* What comes before a value. */
static inline void jsonw_next(struct jsonw *w)
{
    if (w->comma)
        pen_char(w->pen, ',');
    w->comma = true;
}

static inline void jsonw_open(struct jsonw *w, char bracket)
{
    jsonw_next(w);
    pen_char(w->pen, bracket);
    w->comma = false;
}

static inline void jsonw_close(struct jsonw *w, char bracket)
{
    pen_char(w->pen, bracket);
    w->comma = true;
}

/* The name of a member, of our own: written as it is, with one look at the room for all of it. */
__attribute__((always_inline)) static inline void jsonw_key(struct jsonw *w, const char *name)
{
    struct pen *p = w->pen;
    size_t len = strlen(name);
    char *at;

    if (pen_left(p) < len + 4 && !pen_grow(p, len + 4))
        return;
    at = p->at;
    *at = ',';
    at += w->comma;
    *at++ = '"';
    memcpy(at, name, len);
    at[len] = '"';
    at[len + 1] = ':';
    p->at = at + len + 2;
    w->comma = false;
}

static inline void jsonw_null(struct jsonw *w)
{
    jsonw_next(w);
    pen_bytes(w->pen, "null", 4);
}

static inline void jsonw_bool(struct jsonw *w, bool is_true)
{
    jsonw_next(w);
    pen_text(w->pen, is_true ? "true" : "false");
}

static inline void jsonw_u64(struct jsonw *w, uint64_t n)
{
    jsonw_next(w);
    pen_u64(w->pen, n);
}

static inline void jsonw_span(struct jsonw *w, struct span text)
{
    jsonw_next(w);
    pen_char(w->pen, '"');
    if (text.len > 0)
        escape_json(w->pen, text);
    pen_char(w->pen, '"');
}

/* A name of our own vocabulary, written as it is. */
static inline void jsonw_name(struct jsonw *w, const char *name)
{
    jsonw_next(w);
    pen_char(w->pen, '"');
    pen_text(w->pen, name);
    pen_char(w->pen, '"');
}

/* A string from a terminated text; NULL becomes null. */
static inline void jsonw_text(struct jsonw *w, const char *text)
{
    if (text)
        jsonw_span(w, span_of(text));
    else
        jsonw_null(w);
}

/* Member and value in one. */
static inline void jsonw_member_text(struct jsonw *w, const char *name, const char *text)
{
    jsonw_key(w, name);
    jsonw_text(w, text);
}

static inline void jsonw_member_name(struct jsonw *w, const char *key, const char *name)
{
    jsonw_key(w, key);
    jsonw_name(w, name);
}

static inline void jsonw_member_u64(struct jsonw *w, const char *name, uint64_t n)
{
    jsonw_key(w, name);
    jsonw_u64(w, n);
}
