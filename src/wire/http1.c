/* A head is read line by line.  The search for a line's end is also the check for characters that
 * have no business in a head: the first control character must be the CR of a CRLF.  Each line is
 * judged when it is complete; what needs the whole head (Host, Connection) is judged at the empty
 * line.  Between calls only two offsets are kept, so a head that dribbles in costs what one in a
 * piece does. */
#include "wire/http1.h"

#include <assert.h>
#include <endian.h>

#include "base/num.h"
#include "base/util.h"
#include "wire/authority.h"

#define BIT(id) (1ull << (id))
#define EACH_BYTE(b) (~0ull / 255 * (b))

static size_t offset_of(const struct http1_head *h, const char *at)
{
    return (size_t)(at - h->base);
}

static enum parse bad(struct http1_head *h, size_t offset, uint16_t status, const char *what)
{
    h->bad_offset = offset;
    h->bad_status = status;
    h->bad_what = what;
    return PARSE_BAD;
}

/* The bytes may have moved since the last call: let the spans follow. */
static void rebase(struct http1_head *h, const char *base)
{
    ptrdiff_t by = (ptrdiff_t)((uintptr_t)base - (uintptr_t)h->base);

    if (h->has_line && by != 0) {
        struct span *spans[] = {&h->method_text, &h->target, &h->reason};

        for (size_t i = 0; i < ARRAY_LEN(spans); i++)
            if (spans[i]->ptr)
                spans[i]->ptr = (const char *)((uintptr_t)spans[i]->ptr + (uintptr_t)by);
        for (unsigned i = 0; i < h->fields_len; i++) {
            struct http1_field *f = &h->fields[i];

            f->name.ptr = (const char *)((uintptr_t)f->name.ptr + (uintptr_t)by);
            f->value.ptr = (const char *)((uintptr_t)f->value.ptr + (uintptr_t)by);
        }
    }
    h->base = base;
}

static bool is_control(unsigned char c)
{
    return (c < 0x20 && c != '\t') || c == 0x7f;
}

/* A mark in each byte that is below 0x20 or 0x7f, tabs among them; exact up to the first mark in
 * memory. */
static uint64_t mark_controls(const char *eight)
{
    uint64_t bytes, del;

    memcpy(&bytes, eight, sizeof bytes);
    bytes = le64toh(bytes);
    del = bytes ^ EACH_BYTE(0x7f);
    return (((bytes - EACH_BYTE(0x20)) & ~bytes) | ((del - EACH_BYTE(1)) & ~del)) & EACH_BYTE(0x80);
}

/* Position of the first control character other than a tab at or after `at`, or bytes.len. */
static size_t find_control(struct span bytes, size_t at)
{
    while (bytes.len - at >= 8) {
        uint64_t marks = mark_controls(bytes.ptr + at);

        if (!marks) {
            at += 8;
            continue;
        }
        at += (size_t)__builtin_ctzll(marks) / 8;
        if (bytes.ptr[at] != '\t')
            return at;
        at++;
    }
    while (at < bytes.len && !is_control((unsigned char)bytes.ptr[at]))
        at++;
    return at;
}

static const char *control_name(unsigned char c, size_t at)
{
    switch (c) {
    case '\0':
        return "NUL";
    case '\r':
        return "bare CR";
    case '\n':
        return "bare LF";
    case 0x16:
        return at == 0 ? "TLS on a plain port" : "control character";
    default:
        return "control character";
    }
}

/* Takes the next complete line, without its CRLF. */
static enum parse next_line(struct http1_head *h, struct span bytes, struct span *line)
{
    size_t at = find_control(bytes, h->searched);

    h->searched = at;
    if (at == bytes.len)
        return PARSE_MORE;
    if (bytes.ptr[at] == '\r') {
        if (at + 1 == bytes.len)
            return PARSE_MORE;
        if (bytes.ptr[at + 1] == '\n') {
            *line = (struct span){bytes.ptr + h->scanned, at - h->scanned};
            h->scanned = h->searched = at + 2;
            return PARSE_OK;
        }
    }
    return bad(h, at, 400, control_name((unsigned char)bytes.ptr[at], at));
}

static const struct span method_names[] = {
    [METHOD_OTHER] = SPAN_INIT(""),        [METHOD_CONNECT] = SPAN_INIT("CONNECT"),
    [METHOD_GET] = SPAN_INIT("GET"),       [METHOD_HEAD] = SPAN_INIT("HEAD"),
    [METHOD_POST] = SPAN_INIT("POST"),     [METHOD_PUT] = SPAN_INIT("PUT"),
    [METHOD_DELETE] = SPAN_INIT("DELETE"), [METHOD_OPTIONS] = SPAN_INIT("OPTIONS"),
    [METHOD_TRACE] = SPAN_INIT("TRACE"),   [METHOD_PATCH] = SPAN_INIT("PATCH"),
};

enum http1_method http1_find_method(struct span text)
{
    for (size_t i = METHOD_CONNECT; i < ARRAY_LEN(method_names); i++)
        if (span_equal(text, method_names[i]))
            return (enum http1_method)i;
    return METHOD_OTHER;
}

const char *http1_method_name(enum http1_method m)
{
    return method_names[m].ptr;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* "HTTP/1.0" or "HTTP/1.1" (RFC 9112 2.3). */
static enum parse parse_version(struct http1_head *h, struct span text)
{
    bool http = text.len >= 6 && memcmp(text.ptr, "HTTP/", 5) == 0 && is_digit(text.ptr[5]);

    if (http && text.len == 8 && text.ptr[5] == '1' && text.ptr[6] == '.' &&
        (text.ptr[7] == '0' || text.ptr[7] == '1')) {
        h->minor = (uint8_t)(text.ptr[7] - '0');
        return PARSE_OK;
    }
    if (http && text.ptr[5] != '1')
        return bad(h, offset_of(h, text.ptr), 505, "not HTTP version 1");
    return bad(h, offset_of(h, text.ptr), 400, "not an HTTP version");
}

/* The beginning of a request line, complete or not: a method, then a space. */
static enum parse check_request_start(struct http1_head *h, struct span text)
{
    size_t n = field_token_len(text);

    if (n > HTTP1_METHOD_MAX)
        return bad(h, offset_of(h, text.ptr) + HTTP1_METHOD_MAX, 400, "no method");
    if (n < text.len && text.ptr[n] != '\r' && (n == 0 || text.ptr[n] != ' '))
        return bad(h, offset_of(h, text.ptr) + n, 400, "not an HTTP request");
    return PARSE_MORE;
}

static enum parse parse_request_line(struct http1_head *h, struct span line)
{
    struct span rest = line;

    if (line.len == 0) {
        if (++h->empty_lines > 2)
            return bad(h, offset_of(h, line.ptr), 400, "empty lines before the request");
        return PARSE_OK;
    }
    if (check_request_start(h, line) == PARSE_BAD)
        return PARSE_BAD;
    h->method_text = span_cut(&rest, ' ');
    h->target = span_cut(&rest, ' ');
    if (h->method_text.len == line.len || h->target.len == 0)
        return bad(h, offset_of(h, h->method_text.ptr) + h->method_text.len, 400,
                   "not \"method target version\"");
    if (span_find(h->target, '\t') >= 0)
        return bad(h, offset_of(h, h->target.ptr), 400, "tab in the target");
    if (span_find(rest, ' ') >= 0 || span_find(rest, '\t') >= 0)
        return bad(h, offset_of(h, rest.ptr), 400, "more than two spaces");
    h->method = http1_find_method(h->method_text);
    h->has_line = true;
    return parse_version(h, rest);
}

/* The beginning of a status line, complete or not. */
static enum parse check_response_start(struct http1_head *h, struct span text)
{
    static const char start[] = "HTTP/";

    for (size_t i = 0; i < text.len && i < sizeof start - 1; i++)
        if (text.ptr[i] != start[i])
            return bad(h, offset_of(h, text.ptr) + i, 400, "not an HTTP response");
    return PARSE_MORE;
}

/* "HTTP/1.1 200 reason"; the space before an absent reason may be missing (RFC 9112 4). */
static enum parse parse_status_line(struct http1_head *h, struct span line)
{
    struct span rest = line, version, code;
    uint64_t status;

    if (check_response_start(h, line) == PARSE_BAD)
        return PARSE_BAD;
    version = span_cut(&rest, ' ');
    if (parse_version(h, version) == PARSE_BAD)
        return PARSE_BAD;
    code = span_cut(&rest, ' ');
    if (code.len != 3 || !num_parse_u64(code, 999, &status) || status < 100)
        return bad(h, offset_of(h, version.ptr) + version.len, 400, "not a status code");
    h->status = (uint16_t)status;
    h->reason = rest;
    h->has_line = true;
    return PARSE_OK;
}

/* One value, or a list of equal ones (RFC 9110 8.6). */
static enum parse take_length(struct http1_head *h, struct span value)
{
    struct span rest = value;
    uint64_t length;

    if (h->seen & BIT(FIELD_TRANSFER_ENCODING))
        return bad(h, offset_of(h, value.ptr), 400, "Content-Length with Transfer-Encoding");
    do {
        if (!num_parse_u64(span_trim(span_cut(&rest, ',')), INT64_MAX, &length))
            return bad(h, offset_of(h, value.ptr), 400, "bad Content-Length");
        if (h->has_length && length != h->length)
            return bad(h, offset_of(h, value.ptr), 400, "differing Content-Length");
        h->has_length = true;
        h->length = length;
    } while (rest.len > 0);
    if (value.ptr[value.len - 1] == ',')
        return bad(h, offset_of(h, value.ptr), 400, "bad Content-Length");
    return PARSE_OK;
}

/* Only "chunked" is spoken here; it can stand nowhere but at the end (RFC 9112 6.1). */
static enum parse take_coding(struct http1_head *h, struct span value)
{
    size_t offset = offset_of(h, value.ptr);
    struct span rest = value, coding;

    if (h->minor == 0)
        return bad(h, offset, 400, "Transfer-Encoding in HTTP/1.0");
    if (h->has_length)
        return bad(h, offset, 400, "Content-Length with Transfer-Encoding");
    if (h->seen & BIT(FIELD_TRANSFER_ENCODING))
        return bad(h, offset, 400, "Transfer-Encoding given twice");
    h->chunked = span_equal_nocase(value, SPAN_LIT("chunked"));
    if (h->chunked)
        return PARSE_OK;
    if (value.len == 0)
        return bad(h, offset, 400, "empty Transfer-Encoding");
    while (field_list_next(&rest, &coding))
        if (rest.len > 0 && span_equal_nocase(coding, SPAN_LIT("chunked")))
            return bad(h, offset, 400, "chunked is not the last coding");
    return bad(h, offset, 501, "unknown transfer coding");
}

/* Empty is allowed (RFC 9112 3.2): the target's authority counts. */
static enum parse take_host(struct http1_head *h, struct span value)
{
    struct authority a;

    if (h->seen & BIT(FIELD_HOST))
        return bad(h, offset_of(h, value.ptr), 400, "Host given twice");
    if (value.len > 0 && !authority_parse_default(value, 80, &a))
        return bad(h, offset_of(h, value.ptr) + a.bad_offset, 400, "bad Host");
    return PARSE_OK;
}

/* The fields whose value is judged at once; only a request has a Host. */
static enum parse take_field(struct http1_head *h, const struct http1_field *f)
{
    if (f->id == FIELD_CONTENT_LENGTH)
        return take_length(h, f->value);
    if (f->id == FIELD_TRANSFER_ENCODING)
        return take_coding(h, f->value);
    if (f->id == FIELD_HOST && h->status == 0)
        return take_host(h, f->value);
    return PARSE_OK;
}

static enum parse parse_field(struct http1_head *h, struct span line)
{
    size_t n = field_token_len(line), offset = offset_of(h, line.ptr);
    struct http1_field *f = &h->fields[h->fields_len];

    if (line.ptr[0] == ' ' || line.ptr[0] == '\t')
        return bad(h, offset, 400, "folded line");
    if (n == line.len)
        return bad(h, offset + n, 400, "field without a colon");
    if (line.ptr[n] != ':')
        return bad(h, offset + n, 400,
                   line.ptr[n] == ' ' || line.ptr[n] == '\t' ? "space before the colon"
                                                             : "bad character in a field name");
    if (n == 0)
        return bad(h, offset, 400, "empty field name");
    if (h->fields_len == HTTP1_FIELDS_MAX)
        return bad(h, offset, 431, "too many fields");
    f->name = (struct span){line.ptr, n};
    f->value = span_trim((struct span){line.ptr + n + 1, line.len - n - 1});
    f->id = field_find(f->name);
    if (take_field(h, f) == PARSE_BAD)
        return PARSE_BAD;
    h->seen |= BIT(f->id);
    h->fields_len++;
    return PARSE_OK;
}

/* What Connection says of this message (RFC 9112 9.3); "close" wins. */
static enum parse read_connection(struct http1_head *h)
{
    bool closes = false, stays = h->minor == 1;
    unsigned options = 0;

    for (unsigned i = 0; i < h->fields_len; i++) {
        struct span rest = h->fields[i].value, option;

        if (h->fields[i].id != FIELD_CONNECTION && h->fields[i].id != FIELD_PROXY_CONNECTION)
            continue;
        while (field_list_next(&rest, &option)) {
            if (++options > HTTP1_OPTIONS_MAX)
                return bad(h, offset_of(h, option.ptr), 400, "too many connection options");
            if (span_equal_nocase(option, SPAN_LIT("close")))
                closes = true;
            else if (span_equal_nocase(option, SPAN_LIT("keep-alive")))
                stays = true;
            else if (h->minor == 1 && span_equal_nocase(option, SPAN_LIT("upgrade")))
                h->upgrade = (h->seen & BIT(FIELD_UPGRADE)) != 0;
        }
    }
    h->keep_alive = stays && !closes;
    return PARSE_OK;
}

static enum parse finish_head(struct http1_head *h)
{
    h->keep_alive = h->minor == 1;
    if (h->seen & (BIT(FIELD_CONNECTION) | BIT(FIELD_PROXY_CONNECTION)))
        if (read_connection(h) == PARSE_BAD)
            return PARSE_BAD;
    h->head_len = h->scanned;
    return PARSE_OK;
}

static enum parse finish_request(struct http1_head *h)
{
    size_t end = h->scanned - 2; /* the empty line */

    if (h->minor == 1 && !(h->seen & BIT(FIELD_HOST)))
        return bad(h, end, 400, "no Host");
    if (h->method == METHOD_CONNECT && (h->chunked || h->length > 0))
        return bad(h, end, 400, "CONNECT with a body");
    if (h->minor == 1 && h->seen & BIT(FIELD_EXPECT))
        h->expect_continue = http1_has_token(h, FIELD_EXPECT, SPAN_LIT("100-continue"));
    return finish_head(h);
}

enum parse http1_parse_request(struct span bytes, struct http1_head *h)
{
    struct span line;
    enum parse got;

    rebase(h, bytes.ptr);
    while ((got = next_line(h, bytes, &line)) == PARSE_OK) {
        if (!h->has_line)
            got = parse_request_line(h, line);
        else if (line.len > 0)
            got = parse_field(h, line);
        else
            return finish_request(h);
        if (got == PARSE_BAD)
            return got;
    }
    if (got == PARSE_MORE && !h->has_line)
        return check_request_start(h,
                                   (struct span){bytes.ptr + h->scanned, bytes.len - h->scanned});
    return got;
}

enum parse http1_parse_response(struct span bytes, struct http1_head *h)
{
    struct span line;
    enum parse got;

    rebase(h, bytes.ptr);
    while ((got = next_line(h, bytes, &line)) == PARSE_OK) {
        if (!h->has_line)
            got = parse_status_line(h, line);
        else if (line.len > 0)
            got = parse_field(h, line);
        else
            return finish_head(h);
        if (got == PARSE_BAD)
            return got;
    }
    if (got == PARSE_MORE && !h->has_line)
        return check_response_start(h, bytes);
    return got;
}

const struct http1_field *http1_find_field(const struct http1_head *h, enum field_id id)
{
    assert(id != FIELD_OTHER && id < FIELD_COUNT);
    if (!(h->seen & BIT(id)))
        return NULL;
    for (unsigned i = 0; i < h->fields_len; i++)
        if (h->fields[i].id == id)
            return &h->fields[i];
    return NULL;
}

bool http1_has_token(const struct http1_head *h, enum field_id id, struct span token)
{
    if (!(h->seen & BIT(id)))
        return false;
    for (unsigned i = 0; i < h->fields_len; i++) {
        struct span rest = h->fields[i].value, item;

        while (h->fields[i].id == id && field_list_next(&rest, &item))
            if (span_equal_nocase(item, token))
                return true;
    }
    return false;
}

bool http1_is_idempotent(enum http1_method m)
{
    switch (m) {
    case METHOD_GET:
    case METHOD_HEAD:
    case METHOD_PUT:
    case METHOD_DELETE:
    case METHOD_OPTIONS:
    case METHOD_TRACE:
        return true;
    case METHOD_OTHER:
    case METHOD_CONNECT:
    case METHOD_POST:
    case METHOD_PATCH:
        return false;
    }
    return false;
}
