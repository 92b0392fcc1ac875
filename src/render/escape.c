#include "render/escape.h"

#include <stdbool.h>
#include <string.h>

static const char hex[] = "0123456789abcdef";
static const char replacement[] = "\xef\xbf\xbd"; /* U+FFFD */

/* Decodes the UTF-8 character at `s` (RFC 3629: shortest form, no surrogates, up to U+10FFFF).
 * Returns its bytes, 0 when there is none. */
static size_t decode_utf8(struct span s, uint32_t *code)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    unsigned char first = (unsigned char)s.ptr[0];
    size_t n = first < 0x80   ? 1
               : first < 0xc2 ? 0
               : first < 0xe0 ? 2
               : first < 0xf0 ? 3
               : first < 0xf5 ? 4
                              : 0;

    if (n == 0 || n > s.len)
        return 0;
    *code = n == 1 ? first : first & (0x7fu >> n);
    for (size_t i = 1; i < n; i++) {
        unsigned char c = (unsigned char)s.ptr[i];

        if ((c & 0xc0) != 0x80)
            return 0;
        *code = *code << 6 | (c & 0x3fu);
    }
    if (*code < least[n] || *code > 0x10ffff || (*code >= 0xd800 && *code <= 0xdfff))
        return 0;
    return n;
}

/* A control character, or one that hides or turns what stands beside it. */
static bool is_unsafe(uint32_t c)
{
    return c < 0x20 || (c >= 0x7f && c <= 0x9f) || (c >= 0x200b && c <= 0x200f) ||
           (c >= 0x2028 && c <= 0x202e) || (c >= 0x2060 && c <= 0x2069) || c == 0xfeff ||
           c == 0x61c;
}

static bool is_printable(char c)
{
    return c >= 0x20 && c < 0x7f;
}

/* What a place does with one character that does not pass as it is: `code` is what `bytes` decode
 * to; `valid` is false for a byte that is no UTF-8. */
typedef void (*substitute_fn)(struct pen *p, struct span bytes, uint32_t code, bool valid);

/* Copies runs of what passes and hands the rest, character by character, to `substitute`.
 * `special` are the printable ASCII characters that do not pass. */
__attribute__((always_inline)) static inline void
escape(struct pen *p, struct span s, const char special[5], substitute_fn substitute)
{
    size_t run = 0; /* where the bytes begin that pass and are not written yet */

    for (size_t i = 0; i < s.len;) {
        char c = s.ptr[i];
        uint32_t code = 0;
        size_t n = 1;

        if (is_printable(c) && c != special[0] && c != special[1] && c != special[2] &&
            c != special[3] && c != special[4]) {
            i++;
            continue;
        }
        n = decode_utf8((struct span){s.ptr + i, s.len - i}, &code);
        if (n > 1 && !is_unsafe(code)) {
            i += n;
            continue;
        }
        pen_bytes(p, s.ptr + run, i - run);
        substitute(p, (struct span){s.ptr + i, n ? n : 1}, code, n > 0);
        i += n ? n : 1;
        run = i;
    }
    pen_bytes(p, s.ptr + run, s.len - run);
}

static void substitute_json(struct pen *p, struct span bytes, uint32_t code, bool valid)
{
    static const char letters[0x20] = {
        ['\b'] = 'b', ['\f'] = 'f', ['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't'};

    if (!valid) {
        pen_text(p, replacement);
        return;
    }
    pen_char(p, '\\');
    if (code == '"' || code == '\\') {
        pen_char(p, (char)code);
    } else if (code < 0x20 && letters[code]) {
        pen_char(p, letters[code]);
    } else { /* all unsafe ones lie below U+10000: no surrogate pair is needed */
        pen_char(p, 'u');
        for (int shift = 12; shift >= 0; shift -= 4)
            pen_char(p, hex[code >> shift & 15]);
    }
}

/* Whether one of eight bytes is a quote, a backslash, or none of printable ASCII: each test sets
 * the high bit of its byte (of a lower one's carry, at worst too many are set). */
static bool has_special(uint64_t eight)
{
    const uint64_t ones = 0x0101010101010101ull, high = 0x80 * ones;
    uint64_t quote = eight ^ '"' * ones, backslash = eight ^ '\\' * ones, del = eight ^ 0x7f * ones;

    return (((quote - ones) | (backslash - ones) | (del - ones) | (eight - 0x20 * ones) | eight) &
            high) != 0;
}

void escape_json(struct pen *p, struct span text)
{
    size_t plain = 0;

    while (text.len - plain >= sizeof(uint64_t)) {
        uint64_t eight;

        memcpy(&eight, text.ptr + plain, sizeof eight);
        if (has_special(eight))
            break;
        plain += sizeof eight;
    }
    pen_bytes(p, text.ptr, plain);
    escape(p, (struct span){text.ptr + plain, text.len - plain}, "\"\\\"\"", substitute_json);
}

static void substitute_text(struct pen *p, struct span bytes, uint32_t code, bool valid)
{
    for (size_t i = 0; i < bytes.len; i++) {
        unsigned char c = (unsigned char)bytes.ptr[i];
        char out[] = {'\\', 'x', hex[c >> 4], hex[c & 15]};

        pen_bytes(p, out, sizeof out);
    }
}

void escape_text(struct pen *p, struct span text)
{
    escape(p, text, "\0\0\0\0", substitute_text);
}

static void substitute_html(struct pen *p, struct span bytes, uint32_t code, bool valid)
{
    pen_text(p, !valid         ? replacement
                : code == '&'  ? "&amp;"
                : code == '<'  ? "&lt;"
                : code == '>'  ? "&gt;"
                : code == '"'  ? "&quot;"
                : code == '\'' ? "&#39;"
                               : replacement);
}

void escape_html(struct pen *p, struct span text)
{
    escape(p, text, "&<>\"'", substitute_html);
}

void escape_ascii(struct pen *p, struct span text)
{
    for (size_t i = 0; i < text.len; i++)
        pen_char(p, is_printable(text.ptr[i]) ? text.ptr[i] : '?');
}

void escape_sf_string(struct pen *p, struct span text)
{
    pen_char(p, '"');
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];

        if (c == '"' || c == '\\')
            pen_char(p, '\\');
        pen_char(p, is_printable(c) ? c : '?');
    }
    pen_char(p, '"');
}

void escape_word(struct pen *p, struct span text)
{
    if (text.len == 0)
        pen_char(p, '-');
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        char out[] = {'%', hex[c >> 4], hex[c & 15]};

        if (c > ' ' && c < 0x7f)
            pen_char(p, (char)c);
        else
            pen_bytes(p, out, sizeof out);
    }
}
