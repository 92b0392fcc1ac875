#include "capture/head.h"

#include "base/num.h"
#include "base/util.h"

#define LINE_MAX_LEN 8192 /* a request line that is longer is none */
#define EMPTY_MAX 8       /* bytes of empty lines before a request */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static struct span skip_empty_lines(struct span bytes)
{
    size_t n = 0;

    while (n < bytes.len && n < EMPTY_MAX && (bytes.ptr[n] == '\r' || bytes.ptr[n] == '\n'))
        n++;
    return (struct span){bytes.ptr + n, bytes.len - n};
}

/* Takes a line off the front, without its end; false: no line end is there. */
static bool take_line(struct span *rest, struct span *line)
{
    const char *end = rest->len > 0 ? memchr(rest->ptr, '\n', rest->len) : NULL;

    if (!end)
        return false;
    *line = (struct span){rest->ptr, (size_t)(end - rest->ptr)};
    rest->ptr = end + 1;
    rest->len -= line->len + 1;
    if (line->len > 0 && line->ptr[line->len - 1] == '\r')
        line->len--;
    return true;
}

/* Takes the next word off the front. */
static struct span take_word(struct span *rest)
{
    size_t n = 0;
    struct span word;

    *rest = span_trim(*rest);
    while (n < rest->len && !is_blank(rest->ptr[n]))
        n++;
    word = (struct span){rest->ptr, n};
    *rest = (struct span){rest->ptr + n, rest->len - n};
    return word;
}

/* A whole first line: does its last word say HTTP, version 0 or 1? */
static bool is_request_line(struct span line)
{
    struct span rest = line, word, last = {0};
    unsigned words = 0;

    while ((word = take_word(&rest)).len > 0) {
        last = word;
        words++;
    }
    if (words < 3)
        return false;
    return last.len >= 6 && span_begins_nocase(last, SPAN_LIT("HTTP/")) &&
           (last.ptr[5] == '0' || last.ptr[5] == '1');
}

enum parse head_guess_request(struct span bytes)
{
    struct span text = skip_empty_lines(bytes), rest = text, line;
    size_t n = field_token_len(text);

    if (text.len == 0)
        return bytes.len <= EMPTY_MAX ? PARSE_MORE : PARSE_BAD;
    if (n == 0 || n > HTTP1_METHOD_MAX || (n < text.len && text.ptr[n] != ' '))
        return PARSE_BAD;
    if (n == text.len)
        return PARSE_MORE;
    if (take_line(&rest, &line))
        return is_request_line(line) ? PARSE_OK : PARSE_BAD;
    if (http1_find_method((struct span){text.ptr, n}) != METHOD_OTHER)
        return PARSE_OK;
    return text.len < LINE_MAX_LEN ? PARSE_MORE : PARSE_BAD;
}

enum parse head_guess_response(struct span bytes)
{
    static const struct span start = SPAN_INIT("HTTP/");
    struct span rest, code;
    size_t n = bytes.len < start.len ? bytes.len : start.len;

    if (!span_begins_nocase(start, (struct span){bytes.ptr, n}))
        return PARSE_BAD;
    if (bytes.len <= start.len)
        return PARSE_MORE;
    rest = (struct span){bytes.ptr + start.len, bytes.len - start.len};
    for (n = 0; n < rest.len && (is_digit(rest.ptr[n]) || rest.ptr[n] == '.'); n++)
        ;
    if (n > 8 || (n < rest.len && !is_blank(rest.ptr[n])))
        return PARSE_BAD;
    rest = (struct span){rest.ptr + n, rest.len - n};
    while (rest.len > 0 && is_blank(*rest.ptr))
        rest = (struct span){rest.ptr + 1, rest.len - 1};
    code = (struct span){rest.ptr, rest.len < 3 ? rest.len : 3};
    for (size_t i = 0; i < code.len; i++)
        if (!is_digit(code.ptr[i]))
            return PARSE_BAD;
    if (code.len < 3)
        return bytes.len < 32 ? PARSE_MORE : PARSE_BAD;
    return code.ptr[0] == '0' ? PARSE_BAD : PARSE_OK;
}

size_t head_find_end(struct span bytes, size_t from)
{
    size_t at = from > 3 ? from - 3 : 0; /* the end may have begun before */
    size_t lead = bytes.len - skip_empty_lines(bytes).len;

    if (at < lead)
        at = lead;
    while (at < bytes.len) {
        const char *lf = memchr(bytes.ptr + at, '\n', bytes.len - at);

        if (!lf)
            return 0;
        at = (size_t)(lf - bytes.ptr) + 1;
        if (at < bytes.len && bytes.ptr[at] == '\n')
            return at + 1;
        if (at + 1 < bytes.len && bytes.ptr[at] == '\r' && bytes.ptr[at + 1] == '\n')
            return at + 2;
    }
    return 0;
}

/* ---- what the fields say */

static void take_length(struct http1_head *h, struct span value)
{
    uint64_t length;

    if (!h->has_length && num_parse_u64(span_trim(span_cut(&value, ',')), INT64_MAX, &length)) {
        h->has_length = true;
        h->length = length;
    }
}

static void take_coding(struct http1_head *h, struct span value)
{
    struct span coding;

    while (field_list_next(&value, &coding))
        h->chunked |= span_equal_nocase(coding, SPAN_LIT("chunked"));
}

static void take_connection(struct http1_head *h, struct span value)
{
    struct span option;

    while (field_list_next(&value, &option)) {
        if (span_equal_nocase(option, SPAN_LIT("close")))
            h->keep_alive = false;
        else if (span_equal_nocase(option, SPAN_LIT("keep-alive")))
            h->keep_alive = true;
        else if (span_equal_nocase(option, SPAN_LIT("upgrade")))
            h->upgrade = true;
    }
}

static void take_field(struct http1_head *h, struct span line)
{
    struct http1_field *f = &h->fields[h->fields_len];
    long colon = span_find(line, ':');

    if (colon <= 0 || is_blank(line.ptr[0]) || h->fields_len == HTTP1_FIELDS_MAX)
        return;
    f->name = span_trim((struct span){line.ptr, (size_t)colon});
    f->value = span_trim((struct span){line.ptr + colon + 1, line.len - (size_t)colon - 1});
    f->id = field_find(f->name);
    if (f->id == FIELD_CONTENT_LENGTH)
        take_length(h, f->value);
    else if (f->id == FIELD_TRANSFER_ENCODING)
        take_coding(h, f->value);
    else if (f->id == FIELD_CONNECTION || f->id == FIELD_PROXY_CONNECTION)
        take_connection(h, f->value);
    else if (f->id == FIELD_EXPECT)
        h->expect_continue = span_begins_nocase(f->value, SPAN_LIT("100-continue"));
    h->seen |= 1ull << f->id;
    h->fields_len++;
}

static void take_fields(struct http1_head *h, struct span rest)
{
    struct span line;

    while (take_line(&rest, &line) && line.len > 0)
        take_field(h, line);
    if (h->chunked)
        h->has_length = false; /* RFC 9112 6.3 */
    h->head_len = (size_t)(rest.ptr - h->base);
}

static void read_version(struct http1_head *h, struct span word)
{
    h->minor = word.len == 8 && word.ptr[7] >= '1' && word.ptr[5] >= '1';
    h->keep_alive = h->minor == 1;
}

void head_read_request(struct span bytes, struct http1_head *out)
{
    struct span rest = skip_empty_lines(bytes), line;

    http1_head_reset(out);
    out->base = bytes.ptr;
    out->has_line = take_line(&rest, &line);
    if (!out->has_line) {
        line = rest;
        rest = (struct span){rest.ptr + rest.len, 0};
    }
    out->method_text = take_word(&line);
    out->method = http1_find_method(out->method_text);
    out->target = take_word(&line);
    read_version(out, take_word(&line));
    take_fields(out, rest);
}

void head_read_response(struct span bytes, struct http1_head *out)
{
    struct span rest = bytes, line, code;
    uint64_t status;

    http1_head_reset(out);
    out->base = bytes.ptr;
    out->has_line = take_line(&rest, &line);
    if (!out->has_line) {
        line = rest;
        rest = (struct span){rest.ptr + rest.len, 0};
    }
    read_version(out, take_word(&line));
    code = take_word(&line);
    if (code.len >= 3 && num_parse_u64((struct span){code.ptr, 3}, 999, &status) && status >= 100)
        out->status = (uint16_t)status;
    out->reason = span_trim(line);
    take_fields(out, rest);
}

struct span head_skip_user(struct span authority)
{
    const char *at = authority.len > 0 ? memrchr(authority.ptr, '@', authority.len) : NULL;

    if (!at)
        return authority;
    return (struct span){at + 1, authority.len - (size_t)(at + 1 - authority.ptr)};
}

void head_hide_user(char *url)
{
    for (char *at = url; (at = strstr(at, "//"));) {
        struct span authority = {at + 2, strcspn(at + 2, "/?# ")};
        struct span rest = head_skip_user(authority);

        at += 2;
        memmove(at, rest.ptr, strlen(rest.ptr) + 1);
    }
}
