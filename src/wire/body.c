/* Chunked framing is read byte by byte with one small machine, content in pieces as large as they
 * come:
 *
 *     SIZE -> (EXTENSION ->) SIZE_LF -> DATA -> DATA_CR -> DATA_LF -> SIZE ...
 *                               |
 *                               +-- size 0 --> TRAILER -> NAME -> VALUE -> VALUE_LF -> TRAILER ...
 *                                                 +-----> END_LF, done */
#include "wire/body.h"

#include <assert.h>

#include "base/util.h"

enum state {
    STATE_SIZE,  /* hex digits */
    STATE_SPACE, /* between the size and a ';' */
    STATE_EXTENSION,
    STATE_SIZE_LF,
    STATE_DATA,
    STATE_DATA_CR,
    STATE_DATA_LF,
    STATE_TRAILER, /* at the start of a trailer line */
    STATE_NAME,
    STATE_VALUE,
    STATE_VALUE_LF,
    STATE_END_LF, /* of the empty line */
};

#define SIZE_DIGITS_MAX 16

static void begin(struct body *b, enum body_kind kind, uint64_t length)
{
    *b = (struct body){.kind = kind, .left = length, .total = length};
    b->done = kind == BODY_NONE || (kind == BODY_LENGTH && length == 0);
}

void body_of_request(struct body *b, const struct http1_head *h)
{
    if (h->method == METHOD_CONNECT)
        begin(b, BODY_NONE, 0);
    else if (h->chunked)
        begin(b, BODY_CHUNKED, 0);
    else if (h->has_length)
        begin(b, BODY_LENGTH, h->length);
    else
        begin(b, BODY_NONE, 0);
}

/* RFC 9112 6.3, rules 1 to 8 in their order. */
void body_of_response(struct body *b, const struct http1_head *h, enum http1_method asked)
{
    bool none = asked == METHOD_HEAD || h->status < 200 || h->status == 204 || h->status == 304 ||
                (asked == METHOD_CONNECT && h->status < 300);

    if (none)
        begin(b, BODY_NONE, 0);
    else if (h->chunked)
        begin(b, BODY_CHUNKED, 0);
    else if (h->has_length)
        begin(b, BODY_LENGTH, h->length);
    else
        begin(b, BODY_CLOSE, 0);
}

static bool bad(struct body *b, const char *what)
{
    b->bad_what = what;
    return false;
}

/* Tab, space, visible and high bytes: what may stand in an extension or a value. */
static bool is_text(char c)
{
    unsigned char u = (unsigned char)c;

    return u == '\t' || (u >= 0x20 && u != 0x7f);
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = span_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool take_size(struct body *b, char c)
{
    int digit = hex_value(c);

    if (digit >= 0) {
        if (b->line == SIZE_DIGITS_MAX || b->left > INT64_MAX >> 4)
            return bad(b, "chunk size too large");
        b->left = b->left << 4 | (uint64_t)digit;
        return true;
    }
    if (b->line == 0)
        return bad(b, "no chunk size");
    if (c == '\r')
        b->state = STATE_SIZE_LF;
    else if (c == ';')
        b->state = STATE_EXTENSION;
    else if (c == ' ' || c == '\t')
        b->state = STATE_SPACE;
    else
        return bad(b, c == '\n' ? "bare LF after a chunk size" : "bad chunk size");
    return true;
}

/* Fields that would frame or route the message a second time, and credentials that are for us and
 * must not travel on: trailers do (RFC 9110 6.5.1). */
static const uint8_t forbidden[] = {
    FIELD_CONTENT_LENGTH, FIELD_TRANSFER_ENCODING,
    FIELD_HOST,           FIELD_CONNECTION,
    FIELD_UPGRADE,        FIELD_TE,
    FIELD_TRAILER,        FIELD_EXPECT,
    FIELD_MAX_FORWARDS,   FIELD_PROXY_AUTHORIZATION,
};
static_assert(ARRAY_LEN(forbidden) <= 16, "body.names has one bit for each");

/* The names that go on with `c` where b->line says: no name has to be kept. */
static void narrow_names(struct body *b, char c)
{
    if (b->line == 0)
        b->names = (1u << ARRAY_LEN(forbidden)) - 1;
    for (unsigned i = 0; b->names >> i; i++) {
        struct span name = field_get_name(forbidden[i]);

        if (b->line >= name.len || name.ptr[b->line] != span_lower(c))
            b->names &= (uint16_t) ~(1u << i);
    }
}

/* Whether the name that ends here is one of them. */
static bool is_forbidden_trailer(const struct body *b)
{
    for (unsigned i = 0; b->names >> i; i++)
        if (b->names >> i & 1 && field_get_name(forbidden[i]).len == b->line)
            return true;
    return false;
}

static bool take_name(struct body *b, char c)
{
    if (c == ':') {
        if (is_forbidden_trailer(b))
            return bad(b, "field in a trailer that belongs in the head");
        b->state = STATE_VALUE;
        return true;
    }
    if (field_token_len((struct span){&c, 1}) == 0)
        return bad(b, b->line == 0 ? "bad trailer line" : "bad character in a trailer's name");
    narrow_names(b, c);
    b->state = STATE_NAME;
    return true;
}

/* The byte that must come next, and the state after it. */
static bool expect(struct body *b, char c, char want, enum state next, const char *what)
{
    if (c != want)
        return bad(b, what);
    b->state = (uint8_t)next;
    return true;
}

/* One byte of framing; false: bad. */
static bool take_framing(struct body *b, char c)
{
    switch ((enum state)b->state) {
    case STATE_SIZE:
        return take_size(b, c);
    case STATE_SPACE:
        if (c == ';')
            b->state = STATE_EXTENSION;
        return c == ' ' || c == '\t' || c == ';' || bad(b, "space after a chunk size");
    case STATE_EXTENSION:
        if (c == '\r')
            b->state = STATE_SIZE_LF;
        return c == '\r' || is_text(c) || bad(b, "control character in a chunk extension");
    case STATE_SIZE_LF:
        return expect(b, c, '\n', b->left ? STATE_DATA : STATE_TRAILER,
                      "bare CR after a chunk size");
    case STATE_DATA:
        break;
    case STATE_DATA_CR:
        return expect(b, c, '\r', STATE_DATA_LF, "chunk longer than its size");
    case STATE_DATA_LF:
        return expect(b, c, '\n', STATE_SIZE, "bare CR after a chunk");
    case STATE_TRAILER:
        if (c == '\r') {
            b->state = STATE_END_LF;
            return true;
        }
        return c == ':' ? bad(b, "empty trailer name") : take_name(b, c);
    case STATE_NAME:
        return take_name(b, c);
    case STATE_VALUE:
        if (c == '\r')
            b->state = STATE_VALUE_LF;
        return c == '\r' || is_text(c) || bad(b, "control character in a trailer");
    case STATE_VALUE_LF:
        return expect(b, c, '\n', STATE_TRAILER, "bare CR in a trailer");
    case STATE_END_LF:
        b->done = c == '\n';
        return b->done || bad(b, "bare CR after the last chunk");
    }
    assert(!"content is not framing");
    return false;
}

/* Counts the byte that was just taken against the ceilings. */
static bool count_framing(struct body *b, enum state before)
{
    bool ended = before == STATE_SIZE_LF || before == STATE_DATA_LF || before == STATE_VALUE_LF;

    b->line = ended ? 0 : (uint16_t)(b->line + 1);
    if (b->line > BODY_LINE_MAX)
        return bad(b, "framing line too long");
    if (before >= STATE_TRAILER && ++b->trailer > BODY_TRAILER_MAX)
        return bad(b, "trailers too large");
    return true;
}

static void take_content(struct body *b, struct span rest, struct span *data)
{
    uint64_t n = rest.len;

    if (b->kind != BODY_CLOSE && n > b->left)
        n = b->left;
    *data = (struct span){rest.ptr, (size_t)n};
    b->payload += n;
    if (b->kind != BODY_CLOSE)
        b->left -= n;
    if (b->kind == BODY_LENGTH)
        b->done = b->left == 0;
    else if (b->kind == BODY_CHUNKED && b->left == 0)
        b->state = STATE_DATA_CR;
}

enum parse body_read(struct body *b, struct span in, size_t *used, struct span *data)
{
    *used = 0;
    *data = (struct span){in.ptr, 0};
    if (b->bad_what)
        return PARSE_BAD;
    while (b->kind == BODY_CHUNKED && !b->done && b->state != STATE_DATA && *used < in.len) {
        enum state before = b->state;

        if (!take_framing(b, in.ptr[*used]) || !count_framing(b, before))
            return PARSE_BAD;
        ++*used;
    }
    if (!b->done && *used < in.len) {
        take_content(b, (struct span){in.ptr + *used, in.len - *used}, data);
        *used += data->len;
    }
    return b->done ? PARSE_OK : PARSE_MORE;
}

void body_skip(struct body *b, uint64_t n)
{
    assert(b->kind == BODY_LENGTH || b->kind == BODY_CLOSE);
    assert(b->kind == BODY_CLOSE || n <= b->left);
    b->payload += n;
    if (b->kind == BODY_LENGTH) {
        b->left -= n;
        b->done = b->left == 0;
    }
}

bool body_finish(struct body *b)
{
    if (b->kind == BODY_CLOSE)
        b->done = true;
    return b->done;
}
