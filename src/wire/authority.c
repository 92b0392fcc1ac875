#include "wire/authority.h"

#include "base/num.h"
#include "base/util.h"

#define NAME_MAX_LEN 253
#define LABEL_MAX_LEN 63

static bool bad(struct authority *a, size_t offset, const char *what)
{
    a->bad_offset = offset;
    a->bad_what = what;
    return false;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_alpha(char c)
{
    return span_lower(c) >= 'a' && span_lower(c) <= 'z';
}

static bool is_name_char(char c)
{
    return is_alpha(c) || is_digit(c) || c == '-' || c == '_';
}

/* Whether some resolver would take the label for a number: digits, or 0x and hex digits. */
static bool is_numeric(struct span label)
{
    bool hex = label.len >= 2 && label.ptr[0] == '0' && span_lower(label.ptr[1]) == 'x';
    uint64_t n;

    for (size_t i = hex ? 2 : 0; i < label.len; i++)
        if (!(hex ? num_parse_hex((struct span){label.ptr + i, 1}, 15, &n)
                  : is_digit(label.ptr[i])))
            return false;
    return true;
}

static const char *name_char_fault(char c)
{
    switch (c) {
    case '@':
        return "user information in the target";
    case '%':
        return "percent-encoding in a host";
    case ':':
        return "IPv6 address without brackets";
    default:
        return "bad character in a host";
    }
}

/* Labels of letters, digits, '-' and '_', put into a->host in lower case. */
static bool take_name(struct authority *a, struct span host, size_t offset, struct span *last)
{
    size_t label = 0; /* where the current label begins */

    if (host.len > NAME_MAX_LEN)
        return bad(a, offset, "host of more than 253 bytes");
    for (size_t i = 0; i <= host.len; i++) {
        if (i == host.len || host.ptr[i] == '.') {
            if (i == label)
                return bad(a, offset + i, "empty label in a host");
            if (i - label > LABEL_MAX_LEN)
                return bad(a, offset + label, "label of more than 63 bytes");
            *last = (struct span){a->host + label, i - label};
            label = i + 1;
        } else if (!is_name_char(host.ptr[i])) {
            return bad(a, offset + i, name_char_fault(host.ptr[i]));
        }
        a->host[i] = i < host.len ? span_lower(host.ptr[i]) : '\0';
    }
    a->host_len = (uint16_t)host.len;
    return true;
}

/* A name or a dotted quad; what looks like another way to write an IPv4 address is bad. */
static bool take_host(struct authority *a, struct span host, size_t offset)
{
    struct span last = {0};

    if (host.len == 0)
        return bad(a, offset, "empty host");
    if (host.len > 1 && host.ptr[host.len - 1] == '.')
        host.len--;
    if (!take_name(a, host, offset, &last))
        return false;
    if (!is_numeric(last))
        return true;
    if (!addr_parse((struct span){a->host, a->host_len}, &a->addr) || a->addr.family != AF_INET)
        return bad(a, offset, "number that is no dotted quad");
    return true; /* there is only one way to write it, so the text is canonical */
}

static bool take_literal(struct authority *a, struct span inside, size_t offset)
{
    char text[ENDPOINT_TEXT_MAX];

    if (span_find(inside, '%') >= 0)
        return bad(a, offset + (size_t)span_find(inside, '%'), "IPv6 zone in a host");
    if (!addr_parse(inside, &a->addr) || a->addr.family != AF_INET6)
        return bad(a, offset, "bad IPv6 address");
    a->host_len = (uint16_t)addr_write(&a->addr, text);
    memcpy(a->host, text, a->host_len + 1u);
    return true;
}

static bool take_port(struct authority *a, struct span digits, size_t offset)
{
    uint64_t port;

    if (!num_parse_u64(digits, UINT16_MAX, &port) || digits.ptr[0] == '0')
        return bad(a, offset, "bad port");
    a->port = (uint16_t)port;
    a->has_port = true;
    return true;
}

/* "[v6]" or "[v6]:port"; `offset` is where the text begins in what was given. */
static bool take_bracketed(struct authority *a, struct span text, size_t offset)
{
    long end = span_find(text, ']');
    size_t host_len = (size_t)end + 1;

    if (end < 0)
        return bad(a, offset, "no end of an IPv6 address");
    if (!take_literal(a, (struct span){text.ptr + 1, host_len - 2}, offset + 1))
        return false;
    if (host_len == text.len)
        return true;
    if (text.ptr[host_len] != ':')
        return bad(a, offset + host_len, "bad character after an IPv6 address");
    return take_port(a, (struct span){text.ptr + host_len + 1, text.len - host_len - 1},
                     offset + host_len + 1);
}

/* The same for "host" and "host:port" too. */
static bool take_authority(struct authority *a, struct span text, size_t offset)
{
    struct span port = text, host;

    if (text.len > 0 && text.ptr[0] == '[')
        return take_bracketed(a, text, offset);
    if (span_find(text, '@') >= 0) /* "user:password@host": say so, not "bad port" */
        return bad(a, offset + (size_t)span_find(text, '@'), name_char_fault('@'));
    host = span_cut(&port, ':');
    if (span_find(port, ':') >= 0)
        return bad(a, offset + host.len, name_char_fault(':'));
    if (!take_host(a, host, offset))
        return false;
    return host.len == text.len || take_port(a, port, offset + host.len + 1);
}

/* The host's bytes are written as they are found: all but them is cleared. */
static void begin(struct authority *a)
{
    a->host[0] = '\0';
    memset((char *)a + sizeof a->host, 0, sizeof *a - sizeof a->host);
}

bool authority_parse(struct span text, struct authority *a)
{
    begin(a);
    if (!take_authority(a, text, 0))
        return false;
    return a->has_port || bad(a, text.len, "no port");
}

bool authority_parse_default(struct span text, uint16_t default_port, struct authority *a)
{
    begin(a);
    if (!take_authority(a, text, 0))
        return false;
    if (!a->has_port)
        a->port = default_port;
    return true;
}

uint16_t authority_default_port(struct span scheme)
{
    static const struct {
        struct span scheme;
        uint16_t port;
    } known[] = {
        {SPAN_INIT("http"), 80}, {SPAN_INIT("https"), 443}, {SPAN_INIT("ws"), 80},
        {SPAN_INIT("wss"), 443}, {SPAN_INIT("ftp"), 21},
    };

    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (span_equal_nocase(scheme, known[i].scheme))
            return known[i].port;
    return 0;
}

/* scheme "://" (RFC 3986 3.1); takes both off the front of *rest. */
static bool take_scheme(struct authority *a, struct span *rest)
{
    size_t n = 0;

    while (n < rest->len && (is_alpha(rest->ptr[n]) || is_digit(rest->ptr[n]) ||
                             rest->ptr[n] == '+' || rest->ptr[n] == '-' || rest->ptr[n] == '.'))
        n++;
    if (n == 0 || !is_alpha(rest->ptr[0]))
        return bad(a, 0, "no scheme");
    if (rest->len - n < 3 || memcmp(rest->ptr + n, "://", 3) != 0)
        return bad(a, n, "no \"://\" after the scheme");
    a->scheme = (struct span){rest->ptr, n};
    *rest = (struct span){rest->ptr + n + 3, rest->len - n - 3};
    return true;
}

/* Path and query: no fragment, no space, no control character. */
static bool take_path(struct authority *a, struct span path, size_t offset, bool options)
{
    for (size_t i = 0; i < path.len; i++) {
        unsigned char c = (unsigned char)path.ptr[i];

        if (c == '#')
            return bad(a, offset + i, "fragment in the target");
        if (c <= ' ' || c == 0x7f)
            return bad(a, offset + i, "bad character in the path");
    }
    if (path.len == 0)
        path = options ? SPAN_LIT("*") : SPAN_LIT("/");
    a->path = path;
    return true;
}

bool authority_parse_absolute(struct span text, bool options, struct authority *a)
{
    struct span rest = text;
    size_t n = 0, offset;

    begin(a);
    if (!take_scheme(a, &rest))
        return false;
    offset = text.len - rest.len;
    while (n < rest.len && rest.ptr[n] != '/' && rest.ptr[n] != '?' && rest.ptr[n] != '#')
        n++;
    if (!take_authority(a, (struct span){rest.ptr, n}, offset))
        return false;
    if (!a->has_port)
        a->port = authority_default_port(a->scheme);
    if (a->port == 0)
        return bad(a, offset + n, "no port, and none known for the scheme");
    return take_path(a, (struct span){rest.ptr + n, rest.len - n}, offset + n, options);
}

size_t authority_write(const struct authority *a, char out[AUTHORITY_TEXT_MAX])
{
    char digits[5];
    size_t n = 0, d = 0;
    unsigned port = a->port;
    bool brackets = a->addr.family == AF_INET6;

    if (brackets)
        out[n++] = '[';
    memcpy(out + n, a->host, a->host_len);
    n += a->host_len;
    if (brackets)
        out[n++] = ']';
    out[n++] = ':';
    do
        digits[d++] = (char)('0' + port % 10);
    while ((port /= 10) > 0);
    while (d > 0)
        out[n++] = digits[--d];
    out[n] = '\0';
    return n;
}
