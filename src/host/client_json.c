/* A record: "viaduct-clients created=1 folders=0 above=0 mode=0 old=0 new=64\n", the old bytes, the
 * new. */
#include "host/client_json.h"

#include <stdio.h>

#include "base/num.h"

#define DEPTH_MAX 64u

/* Where the parser stands. */
struct cursor {
    const char *at, *end;
};

static void skip_space(struct cursor *c)
{
    while (c->at < c->end && (*c->at == ' ' || *c->at == '\t' || *c->at == '\n' || *c->at == '\r'))
        c->at++;
}

/* Steps over `want`, and what space is in front of it. */
static bool skip_char(struct cursor *c, char want)
{
    skip_space(c);
    if (c->at == c->end || *c->at != want)
        return false;
    c->at++;
    return true;
}

static bool skip_string(struct cursor *c)
{
    if (!skip_char(c, '"'))
        return false;
    for (; c->at < c->end && *c->at != '"'; c->at++)
        if ((unsigned char)*c->at < ' ' || (*c->at == '\\' && ++c->at == c->end))
            return false;
    return skip_char(c, '"');
}

static bool skip_value(struct cursor *c, unsigned depth);

/* An object or an array, from behind its bracket. */
static bool skip_items(struct cursor *c, char end, unsigned depth)
{
    if (skip_char(c, end))
        return true;
    do {
        if (end == '}' && !(skip_string(c) && skip_char(c, ':')))
            return false;
        if (!skip_value(c, depth))
            return false;
    } while (skip_char(c, ','));
    return skip_char(c, end);
}

/* A number or one of the three words: docker says what is wrong with one of these. */
static bool skip_scalar(struct cursor *c)
{
    const char *from = c->at;

    while (c->at < c->end && *c->at && strchr("+-.0123456789abcdefghijklmnopqrstuvwxyzE", *c->at))
        c->at++;
    return c->at > from;
}

static bool skip_value(struct cursor *c, unsigned depth)
{
    skip_space(c);
    if (depth >= DEPTH_MAX || c->at == c->end)
        return false;
    switch (*c->at) {
    case '"':
        return skip_string(c);
    case '{':
        c->at++;
        return skip_items(c, '}', depth + 1);
    case '[':
        c->at++;
        return skip_items(c, ']', depth + 1);
    default:
        return skip_scalar(c);
    }
}

/* What find_member tells. */
struct member {
    struct span all, value; /* `all`: from its name's quote to the end of its value */
    const char *open;       /* behind the object's bracket */
    const char *comma;      /* the one before the member, else the one behind it, else NULL */
    bool first, empty;      /* no member before it; no member at all */
};

static bool read_member(struct cursor *c, struct member *m, const char *name)
{
    const char *from, *value;

    skip_space(c);
    from = c->at;
    if (!skip_string(c))
        return false;
    bool hit = span_equal((struct span){from + 1, (size_t)(c->at - from) - 2}, span_of(name));
    if (!skip_char(c, ':'))
        return false;
    skip_space(c);
    value = c->at;
    if (!skip_value(c, 1))
        return false;
    if (hit && !m->all.ptr) {
        m->all = (struct span){from, (size_t)(c->at - from)};
        m->value = (struct span){value, (size_t)(c->at - value)};
    }
    return true;
}

static bool find_member(struct span text, const char *name, struct member *m)
{
    struct cursor c = {text.ptr, text.ptr + text.len};
    const char *comma = NULL;

    *m = (struct member){.first = true, .empty = true};
    if (!skip_char(&c, '{'))
        return false;
    m->open = c.at;
    if (!skip_char(&c, '}')) {
        for (m->empty = false;;) {
            bool had = m->all.ptr != NULL;

            if (!read_member(&c, m, name))
                return false;
            if (m->all.ptr && !had) {
                m->first = comma == NULL;
                m->comma = comma;
            }
            if (!skip_char(&c, ','))
                break;
            comma = c.at - 1;
            if (m->all.ptr && !m->comma)
                m->comma = comma;
        }
        if (!skip_char(&c, '}'))
            return false;
    }
    skip_space(&c);
    return c.at == c.end;
}

bool client_json_find(struct span text, const char *name, struct span *value, unsigned *line)
{
    struct member m;

    if (!find_member(text, name, &m))
        return false;
    *value = m.value;
    if (line) {
        *line = 1;
        for (const char *c = text.ptr; m.all.ptr && c < m.all.ptr; c++)
            *line += *c == '\n';
    }
    return true;
}

static bool is_space_only(struct span text)
{
    struct cursor c = {text.ptr, text.ptr + text.len};

    skip_space(&c);
    return c.at == c.end;
}

static bool append(struct buf *out, struct span s)
{
    return buf_append(out, s.ptr, s.len);
}

/* Appends `text` with the bytes `old`, a part of it, replaced. */
static bool splice(struct span text, struct span old, struct span new, struct buf *out)
{
    const char *behind = old.ptr + old.len;

    return buf_append(out, text.ptr, (size_t)(old.ptr - text.ptr)) && append(out, new) &&
           buf_append(out, behind, (size_t)(text.ptr + text.len - behind));
}

bool client_json_put(struct span text, const char *name, struct span member,
                     const struct client_origin *origin, struct buf *out, struct buf *record,
                     struct err *err)
{
    struct member m;
    struct span old = text;
    struct buf new;
    bool ok;

    buf_init(&new, out->max);
    if (is_space_only(text)) {
        ok = buf_printf(&new, "{\n\t") && append(&new, member) && buf_printf(&new, "\n}\n");
    } else if (!find_member(text, name, &m)) {
        err_set(err, "is no JSON object: mend it first");
        return false;
    } else if (m.all.ptr) {
        old = m.all;
        ok = append(&new, member);
    } else {
        old = (struct span){m.open, 0};
        ok = buf_printf(&new, "\n\t") && append(&new, member) &&
             buf_printf(&new, m.empty ? "\n" : ",");
    }
    ok = ok && splice(text, old, buf_span(&new), out) &&
         buf_printf(
             record, "viaduct-clients created=%d folders=%u above=%u mode=%u old=%zu new=%u\n",
             origin->created, origin->folders, origin->above, origin->mode, old.len, new.len) &&
         append(record, old) && append(record, buf_span(&new));
    if (!ok)
        err_set(err, "out of memory");
    client_wipe(&new);
    return ok;
}

/* Equal but for space between the tokens.  Strings of ours have no space. */
static bool is_same_value(struct span a, struct span b)
{
    struct cursor x = {a.ptr, a.ptr + a.len}, y = {b.ptr, b.ptr + b.len};

    for (;;) {
        skip_space(&x);
        skip_space(&y);
        if (x.at == x.end || y.at == y.end)
            return x.at == x.end && y.at == y.end;
        if (*x.at++ != *y.at++)
            return false;
    }
}

/* Our member's value, in what was put in: "\n\t\"name\": value,". */
static struct span value_in(struct span new)
{
    const char *quote = new.len > 0 ? memchr(new.ptr, '"', new.len) : NULL;
    struct cursor c = {quote, new.ptr + new.len};
    const char *from;

    if (!quote || !skip_string(&c) || !skip_char(&c, ':'))
        return (struct span){0};
    skip_space(&c);
    from = c.at;
    return skip_value(&c, 1) ? (struct span){from, (size_t)(c.at - from)} : (struct span){0};
}

/* Takes the member out of a file that was written anew: with its comma, or what stood in its
 * place before comes back. */
static bool take_member(struct span text, const struct member *m, struct span old, struct buf *out)
{
    struct span cut = m->all;
    const char *end;

    if (old.len > 0 && !is_space_only(old))
        return splice(text, cut, old, out);
    if (m->comma && !m->first) {
        end = cut.ptr + cut.len;
        cut = (struct span){m->comma, (size_t)(end - m->comma)};
    } else if (m->comma) {
        cut.len = (size_t)(m->comma + 1 - cut.ptr);
    }
    return splice(text, cut, (struct span){0}, out);
}

bool client_json_take(struct span text, const char *name, const struct client_record *record,
                      bool force, struct buf *out, struct err *err)
{
    const char *at = memmem(text.ptr, text.len, record->new.ptr, record->new.len);
    struct span ours = value_in(record->new);
    struct member m;
    bool ok;

    if (at && record->new.len > 0) {
        ok = splice(text, (struct span){at, record->new.len}, record->old, out);
    } else if (!find_member(text, name, &m)) {
        err_set(err, "is no JSON object: mend it first");
        return false;
    } else if (!m.all.ptr) {
        ok = append(out, text);
    } else if (!force && !is_same_value(m.value, ours)) {
        err_set(err,
                "somebody changed \"%s\" since viaduct wrote it: move out what shall stay, then "
                "say --force",
                name);
        return false;
    } else {
        ok = take_member(text, &m, record->old, out);
    }
    if (!ok)
        err_set(err, "out of memory");
    return ok;
}

static bool read_field(struct span *rest, const char *name, uint64_t max, uint64_t *out)
{
    struct span word = span_cut(rest, ' '), key = span_cut(&word, '=');

    return span_equal(key, span_of(name)) && num_parse_u64(word, max, out);
}

bool client_json_read_record(struct span text, struct client_record *out)
{
    struct span rest = text, line = span_cut(&rest, '\n'), head = span_cut(&line, ' ');
    uint64_t created, folders, above, mode, old, new;

    if (!span_equal(head, SPAN_LIT("viaduct-clients")) ||
        !read_field(&line, "created", 1, &created) || !read_field(&line, "folders", 16, &folders) ||
        !read_field(&line, "above", 16, &above) || !read_field(&line, "mode", 07777, &mode) ||
        !read_field(&line, "old", rest.len, &old) ||
        !read_field(&line, "new", rest.len - old, &new) || old + new != rest.len)
        return false;
    out->origin =
        (struct client_origin){created, (unsigned)folders, (unsigned)above, (unsigned)mode};
    out->old = (struct span){rest.ptr, old};
    out->new = (struct span){rest.ptr + old, new};
    return true;
}
