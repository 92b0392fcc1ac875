#include "wire/range.h"

#include "base/num.h"

/* Takes the decimal number before `end` off the front of *rest. */
static bool take_number(struct span *rest, char end, uint64_t *out)
{
    long at = span_find(*rest, end);
    struct span digits;

    if (at < 0)
        return false;
    digits = span_cut(rest, end);
    return num_parse_u64(digits, INT64_MAX, out);
}

bool range_parse_content(struct span value, struct range_content *out)
{
    static const char unit[] = "bytes ";
    size_t unit_len = sizeof unit - 1;
    bool total_known;

    *out = (struct range_content){.total = RANGE_UNKNOWN};
    if (value.len < unit_len ||
        !span_equal_nocase((struct span){value.ptr, unit_len}, span_of(unit)))
        return false;
    value = span_trim((struct span){value.ptr + unit_len, value.len - unit_len});
    out->satisfied = !(value.len >= 2 && value.ptr[0] == '*' && value.ptr[1] == '/');
    if (!out->satisfied)
        value = (struct span){value.ptr + 2, value.len - 2};
    else if (!take_number(&value, '-', &out->first) || !take_number(&value, '/', &out->last) ||
             out->first > out->last)
        return false;
    total_known = !span_equal(value, SPAN_LIT("*"));
    if (total_known && !num_parse_u64(value, INT64_MAX, &out->total))
        return false;
    return out->satisfied ? !total_known || out->last < out->total : total_known;
}

/* An opaque-tag (RFC 9110 8.8.3): quotes, and no quote, space or control between them. */
static bool is_strong_tag(struct span text)
{
    if (text.len < 2 || text.ptr[0] != '"' || text.ptr[text.len - 1] != '"')
        return false;
    for (size_t i = 1; i + 1 < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];

        if (c <= ' ' || c == '"' || c == 0x7f)
            return false;
    }
    return true;
}

/* The characters of "Sun, 06 Nov 1994 08:49:37 GMT" and its older forms; the sender reads it. */
static bool is_like_date(struct span text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = span_lower(text.ptr[i]);

        if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= ':') && c != ' ' && c != ',' && c != '-')
            return false;
    }
    return text.len >= 24 && text.len <= 40;
}

bool range_is_validator(struct span text)
{
    return is_strong_tag(text) || is_like_date(text);
}

struct span range_find_validator(struct span etag, struct span last_modified, struct span date)
{
    if (etag.len > 0)
        return is_strong_tag(etag) ? etag : (struct span){"", 0};
    if (!is_like_date(last_modified) || date.len == 0 || span_equal(last_modified, date))
        return (struct span){"", 0};
    return last_modified;
}
