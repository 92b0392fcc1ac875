/* No parser of HTML: what is between `<` and `>` goes, with all of the elements that show nothing.
 * A page that is cut off inside one has no more text. */
#include "flow/page.h"

#include <stdbool.h>
#include <string.h>

#include "base/util.h"

struct line {
    char *out;
    size_t len;
    bool blank; /* white space came since the last character */
};

static bool is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool is_letter(char c)
{
    return span_lower(c) >= 'a' && span_lower(c) <= 'z';
}

static bool begins(struct span s, struct span with)
{
    return s.len >= with.len && span_equal_nocase((struct span){s.ptr, with.len}, with);
}

/* Position of `needle` in `s` without case, or s.len. */
static size_t find(struct span s, struct span needle)
{
    for (size_t at = 0; at + needle.len <= s.len; at++)
        if (begins((struct span){s.ptr + at, s.len - at}, needle))
            return at;
    return s.len;
}

static void skip(struct span *s, size_t n)
{
    n = n < s->len ? n : s->len;
    s->ptr += n;
    s->len -= n;
}

/* Behind the first `needle`, or at the end. */
static void skip_past(struct span *s, struct span needle)
{
    size_t at = find(*s, needle);

    skip(s, at < s->len ? at + needle.len : s->len);
}

static void put(struct line *l, char c)
{
    if (is_blank(c)) {
        l->blank = true;
        return;
    }
    if (l->blank && l->len > 0 && l->len < PAGE_LINE_MAX)
        l->out[l->len++] = ' ';
    l->blank = false;
    if (l->len < PAGE_LINE_MAX)
        l->out[l->len++] = c;
}

/* Elements whose content nobody sees, to where it ends. */
static const struct {
    struct span begin, end;
    bool is_head; /* counts where there is nothing else */
} hidden[] = {
    {SPAN_INIT("<!--"), SPAN_INIT("-->"), false},
    {SPAN_INIT("<script"), SPAN_INIT("</script"), false},
    {SPAN_INIT("<style"), SPAN_INIT("</style"), false},
    {SPAN_INIT("<head"), SPAN_INIT("</head"), true},
};

/* A name ends there: <head> and <head lang=…>, not <header>. */
static bool is_element(struct span s, struct span begin)
{
    return begins(s, begin) &&
           (s.len == begin.len || !is_letter(begin.ptr[1]) || !is_letter(s.ptr[begin.len]));
}

static bool skip_tag(struct span *s, bool with_head)
{
    if (s->len < 2 || !(is_letter(s->ptr[1]) || memchr("/!?", s->ptr[1], 3)))
        return false;
    for (size_t i = 0; i < ARRAY_LEN(hidden); i++) {
        if (!is_element(*s, hidden[i].begin) || (hidden[i].is_head && with_head))
            continue;
        skip_past(s, hidden[i].end);
        if (hidden[i].end.ptr[0] == '-')
            return true;
        break;
    }
    skip_past(s, SPAN_LIT(">"));
    return true;
}

static bool put_entity(struct line *l, struct span *s)
{
    static const struct {
        struct span entity;
        char c;
    } entities[] = {
        {SPAN_INIT("&amp;"), '&'},  {SPAN_INIT("&lt;"), '<'},   {SPAN_INIT("&gt;"), '>'},
        {SPAN_INIT("&quot;"), '"'}, {SPAN_INIT("&#39;"), '\''}, {SPAN_INIT("&nbsp;"), ' '},
    };

    for (size_t i = 0; i < ARRAY_LEN(entities); i++) {
        if (!begins(*s, entities[i].entity))
            continue;
        put(l, entities[i].c);
        skip(s, entities[i].entity.len);
        return true;
    }
    return false;
}

static void write_text(struct line *l, struct span s, bool with_head)
{
    while (s.len > 0 && l->len < PAGE_LINE_MAX) {
        if (*s.ptr == '<' && skip_tag(&s, with_head)) {
            l->blank = true;
            continue;
        }
        if (*s.ptr == '&' && put_entity(l, &s))
            continue;
        put(l, *s.ptr);
        skip(&s, 1);
    }
}

/* The room is full: the last character may be one half of its bytes. */
static size_t cut(const char *out)
{
    size_t n = PAGE_LINE_MAX - 1;

    while (n > 0 && ((unsigned char)out[n] & 0xc0) == 0x80)
        n--;
    return n;
}

size_t page_write(struct span body, char out[PAGE_LINE_MAX])
{
    struct line l = {.out = out};

    if (body.len > 0 && !memchr(body.ptr, '\0', body.len)) {
        write_text(&l, body, false);
        if (l.len == 0)
            write_text(&l, body, true);
    }
    if (l.len == PAGE_LINE_MAX)
        l.len = cut(out);
    out[l.len] = '\0';
    return l.len;
}
