#include "capture/texthead.h"

#include "base/num.h"
#include "base/util.h"
#include "flow/ownwords.h"
#include "wire/dumptext.h"
#include "wire/field.h"

static struct span after(struct span s, size_t n)
{
    return (struct span){s.ptr + n, s.len - n};
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* Without quotes (">", "|"), the marks of "curl -v" ("> ", "< ") and indentation. */
static struct span unquote(struct span s)
{
    while (s.len > 0 && (is_blank(s.ptr[0]) || s.ptr[0] == '>' || s.ptr[0] == '|'))
        s = after(s, 1);
    if (s.len > 1 && s.ptr[0] == '<' && s.ptr[1] == ' ')
        s = after(s, 2);
    return s;
}

static struct span trim(struct span s)
{
    while (s.len > 0 && is_blank(s.ptr[s.len - 1]))
        s.len--;
    return s;
}

/* Where a remark behind the line begins: a '#', or a bracket that closes at the very end.  With
 * `comments`, parentheses are HTTP's own. */
static struct span cut_remark(struct span s, bool comments)
{
    for (size_t i = 1; i < s.len; i++) {
        char close = s.ptr[i] == '[' ? ']' : s.ptr[i] == '(' && !comments ? ')' : '\0';

        bool is_wide = (unsigned char)s.ptr[i] >= 0x80; /* Japanese goes without blanks */

        if (!is_blank(s.ptr[i - 1]) && !is_wide)
            continue;
        if (s.ptr[i] == '#' || (is_wide && dumptext_remark_len(after(s, i), NULL) > 0) ||
            (close && trim(s).ptr[trim(s).len - 1] == close)) {
            s.len = i;
            break;
        }
    }
    return trim(s);
}

/* "HTTP/1.1" */
static bool is_version(struct span s)
{
    return s.len >= 8 && memcmp(s.ptr, "HTTP/1.", 7) == 0 && (s.ptr[7] == '0' || s.ptr[7] == '1') &&
           (s.len == 8 || is_blank(s.ptr[8]) || dumptext_remark_len(after(s, 8), NULL) > 0);
}

static bool is_method(struct span s)
{
    if (s.len < 3 || s.len > 20)
        return false;
    for (size_t i = 0; i < s.len; i++)
        if ((s.ptr[i] < 'A' || s.ptr[i] > 'Z') && s.ptr[i] != '-')
            return false;
    return true;
}

/* The phrase of viaduct's status lines has its verdict in parentheses: that is no remark. */
static struct span cut_phrase(struct span line)
{
    struct span why;
    size_t end = line.len;

    for (size_t i = 9; i < line.len; i++) {
        if (line.ptr[i] != '(')
            continue;
        while (end > i && line.ptr[end - 1] != ')')
            end--;
        line.len = end > i ? end : line.len;
        if (ownwords_read_phrase(after(line, 13 < line.len ? 13 : line.len), &why) != VERDICT_COUNT)
            return line;
        break;
    }
    return cut_remark(line, false);
}

static bool is_status(struct span s)
{
    uint64_t n;

    return s.len >= 3 && num_parse_u64((struct span){s.ptr, 3}, 999, &n) && n >= 100 &&
           (s.len == 3 || is_blank(s.ptr[3]));
}

enum texthead_kind texthead_parse_first(struct span *line)
{
    struct span s = unquote(*line), rest = s, method, target;

    if (is_version(s)) {
        if (s.len < 12 || !is_status(after(s, 9)))
            return TEXTHEAD_NONE;
        *line = s.len > 13 ? cut_phrase(s) : trim(s);
        return TEXTHEAD_RESPONSE;
    }
    method = span_cut(&rest, ' ');
    target = span_cut(&rest, ' ');
    if (!is_method(method) || target.len == 0 || !is_version(rest))
        return TEXTHEAD_NONE;
    *line = (struct span){s.ptr, (size_t)(rest.ptr - s.ptr) + 8};
    return TEXTHEAD_REQUEST;
}

/* Fields with comments of their own (RFC 9110: 7.6.3, 10.1.2, 10.1.5, 10.2.4), or with any text. */
static bool has_comments(struct span name)
{
    static const struct span names[] = {
        SPAN_INIT("User-Agent"), SPAN_INIT("Server"),        SPAN_INIT("Via"),
        SPAN_INIT("From"),       SPAN_INIT("X-Squid-Error"), SPAN_INIT("Proxy-Status"),
        SPAN_INIT("X-Cache"),    SPAN_INIT("Proxy-Agent"),   SPAN_INIT("Warning"),
    };

    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (span_equal_nocase(name, names[i]))
            return true;
    return false;
}

bool texthead_parse_field(struct span *line)
{
    struct span s = unquote(*line);
    size_t name = field_token_len(s);

    if (name == 0 || name >= s.len || s.ptr[name] != ':' || s.ptr[0] == '#')
        return false;
    *line = cut_remark(s, has_comments((struct span){s.ptr, name}));
    return true;
}

bool texthead_is_remark(struct span line)
{
    struct span s = trim(unquote(line));
    bool closed;

    return s.len > 0 && dumptext_remark_len(s, &closed) == s.len &&
           (closed || (s.ptr[0] != '(' && s.ptr[0] != '['));
}

bool texthead_is_blank(struct span line)
{
    struct span s = unquote(line);

    return s.len == 0 || (s.len == 1 && s.ptr[0] == '<');
}

static struct span take_line(struct span *rest)
{
    struct span line = span_cut(rest, '\n');

    if (line.len > 0 && line.ptr[line.len - 1] == '\r')
        line.len--;
    return line;
}

struct texthead texthead_read(struct span head)
{
    struct span first = take_line(&head);
    struct texthead h = {.kind = texthead_parse_first(&first)};
    uint64_t n;

    h.is_connect = span_begins_nocase(first, SPAN_LIT("CONNECT "));
    h.is_secure = h.is_connect && memmem(first.ptr, first.len, ":443 ", 5) != NULL;
    h.is_head = span_begins_nocase(first, SPAN_LIT("HEAD "));
    if (h.kind == TEXTHEAD_RESPONSE && num_parse_u64((struct span){first.ptr + 9, 3}, 999, &n))
        h.status = (uint16_t)n;
    while (head.len > 0) {
        struct span line = take_line(&head), name = span_cut(&line, ':');

        if (span_equal_nocase(name, SPAN_LIT("Content-Length")) &&
            num_parse_u64(span_trim(line), UINT64_MAX, &n))
            h.length = n;
    }
    return h;
}
