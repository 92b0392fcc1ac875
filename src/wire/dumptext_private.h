/* wire/dumptext_private.h - what the files of wire/dumptext share; nobody else includes it. */
#pragma once

#include "wire/dumptext.h"

/* Blanks off the front. */
static inline struct span dumptext_skip_blanks(struct span s)
{
    while (s.len > 0 && (s.ptr[0] == ' ' || s.ptr[0] == '\t'))
        s.ptr++, s.len--;
    return s;
}

static inline bool dumptext_is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Takes `n` bytes off the front. */
static inline struct span dumptext_after(struct span s, size_t n)
{
    return (struct span){s.ptr + n, s.len - n};
}

static inline bool dumptext_begins(struct span s, struct span head)
{
    return s.len >= head.len && memcmp(s.ptr, head.ptr, head.len) == 0;
}

/* The next word, up to a blank; *rest goes behind it and the blanks. */
struct span dumptext_take_word(struct span *rest);

/* How many decimal digits stand in front. */
static inline size_t dumptext_digits_len(struct span s)
{
    size_t n = 0;

    while (n < s.len && dumptext_is_digit(s.ptr[n]))
        n++;
    return n;
}

/* A time and the blank behind it, if that is what stands here. */
void dumptext_take_time(struct span *rest, struct dumptext *out);

/* Decimal digits off the front, at most `max`.  False: none, or too large; *rest stays. */
bool dumptext_take_number(struct span *rest, uint64_t max, uint64_t *out);

/* Length of the bracket that opens at s.ptr[0], its end included; s.len where it never closes. */
size_t dumptext_bracket_len(struct span s);

/* What may stand in an address or a name, also in one that was made unreadable ("x.x.x.7", "***").
 */
bool dumptext_is_host(struct span text);

/* Splits "host.port" as printed.  False: nothing that a host may look like. */
bool dumptext_parse_end(struct span text, bool with_port, struct dumptext_end *out);

/* What stands behind "from > to: ".  False: no TCP. */
bool dumptext_parse_tcp(struct span rest, struct dumptext *out);

/* The same for an ICMP error; false: none, or not an error. */
bool dumptext_parse_icmp(struct span rest, struct dumptext *out);
