#include "capture/text_private.h"

enum {
    JOINED_LINES = 6,     /* of a packet's line that was wrapped */
    LENGTH_MAX = 1 << 20, /* no segment is longer, offloaded or not */
};

struct span text_skip_quotes(struct span s)
{
    while (s.len > 0 && (s.ptr[0] == ' ' || s.ptr[0] == '\t' || s.ptr[0] == '>' || s.ptr[0] == '|'))
        s.ptr++, s.len--;
    return s;
}

/* Whether the line `next` may be the rest of the one that `d` was read from. */
static bool may_join(struct span next, const struct dumptext *d)
{
    struct dumptext other;
    uint32_t offset;
    uint8_t row[16];
    struct span first = next;

    if (texthead_is_blank(next) || texthead_is_remark(next) ||
        texthead_parse_first(&first) != TEXTHEAD_NONE || dumptext_parse_hex(next, &offset, row) > 0)
        return false;
    if (!dumptext_parse(next, &other))
        return true;
    return d->kind == DUMPTEXT_BEGUN && other.time_form == DUMPTEXT_TIME_NONE && !other.is_keyed;
}

/* A line that says all but what it was of HTTP: "length 117: HTTP, length:", "length 117: HTTP:",
 * or "HTTP: CONNECT t.example:443", and the rest on the next line. */
static bool misses_http(const struct dumptext *d, struct span line, struct span next)
{
    struct span first = d->http;
    struct dumptext other;

    if (d->kind != DUMPTEXT_TCP || line.len < TEXT_WRAPPED_LEN || texthead_is_blank(next) ||
        dumptext_parse(next, &other))
        return false;
    if (line.ptr[line.len - 1] == ':' || line.ptr[line.len - 1] == ',')
        return true;
    next = span_trim(text_skip_quotes(next));
    return first.len > 0 && texthead_parse_first(&first) == TEXTHEAD_NONE && next.len == 8 &&
           memcmp(next.ptr, "HTTP/1.", 7) == 0;
}

static bool is_joinable(const struct dumptext *d, struct span line)
{
    if (d->kind == DUMPTEXT_BEGUN)
        return true;
    return !d->is_whole &&
           (line.len >= TEXT_WRAPPED_LEN || (line.len > 0 && line.ptr[line.len - 1] == ','));
}

unsigned text_read_line(struct text_capture *t, struct dumptext *d)
{
    struct span line, next;
    unsigned whole = 1, n = 1;
    size_t whole_len;

    text_empty(&t->line);
    if (!textlines_peek(&t->lines, 0, &line) || !dumptext_parse(line, d) ||
        !buf_append(&t->line, line.ptr, line.len))
        return 0;
    whole_len = t->line.len;
    dumptext_parse(buf_span(&t->line), d); /* the lines ahead may move */
    while (n < JOINED_LINES && textlines_peek(&t->lines, n, &next)) {
        enum dumptext_kind before = d->kind;

        if (!(is_joinable(d, buf_span(&t->line)) && may_join(next, d)) &&
            !misses_http(d, buf_span(&t->line), next))
            break;
        next = span_trim(text_skip_quotes(next));
        if (!buf_append(&t->line, " ", 1) || !buf_append(&t->line, next.ptr, next.len) ||
            !dumptext_parse(buf_span(&t->line), d))
            break;
        n++;
        if (d->is_whole || (before == DUMPTEXT_BEGUN && d->kind != DUMPTEXT_BEGUN) ||
            (before == DUMPTEXT_PACKET && d->kind != DUMPTEXT_PACKET)) {
            whole = n;
            whole_len = t->line.len;
        }
    }
    t->line.len = (uint32_t)whole_len;
    dumptext_parse(buf_span(&t->line), d);
    return whole;
}

uint32_t text_get_length(const struct dumptext *d)
{
    uint32_t len = d->has_length ? d->length : d->has_end ? d->end - d->seq : 0;

    return len <= LENGTH_MAX ? len : 0;
}
