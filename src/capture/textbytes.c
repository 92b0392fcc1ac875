#include "capture/textbytes.h"

#include <string.h>
#include <sys/socket.h>

#include "base/util.h"
#include "capture/texthead.h"

enum {
    LINES_MAX = 500,
    WRAPPED_LEN = 50, /* no program wraps a shorter line */
};

/* Numbers of the link layers that -xx and -XX print, and of none (-x, -X). */
enum { LINK_ETHERNET = 1, LINK_RAW = 101, LINK_LOOP = 108, LINK_COOKED = 113, LINK_COOKED2 = 276 };

size_t textbytes_take_hex(struct textlines *l, struct buf *bytes)
{
    struct span line;
    uint32_t offset;
    uint8_t row[16];
    unsigned n;

    buf_consume(bytes, bytes->len);
    while (textlines_peek(l, 0, &line) && (n = dumptext_parse_hex(line, &offset, row)) > 0) {
        if (offset != bytes->len || !buf_append(bytes, row, n))
            break;
        textlines_skip(l, 1);
    }
    return bytes->len;
}

static bool is_end(const struct dumptext_end *printed, const struct endpoint *e, bool with_port)
{
    return (printed->at.addr.family == 0 || addr_is_equal(&printed->at.addr, &e->addr)) &&
           (!with_port || printed->at.port == 0 || printed->at.port == e->port);
}

bool textbytes_parse_hex(struct span bytes, const struct dumptext *d, struct packet *out)
{
    static const uint32_t links[] = {LINK_RAW, LINK_ETHERNET, LINK_COOKED, LINK_COOKED2, LINK_LOOP};
    enum packet_kind want = d->kind == DUMPTEXT_ICMP ? PACKET_ICMP : PACKET_TCP;

    for (size_t i = 0; i < ARRAY_LEN(links); i++) {
        *out = (struct packet){0};
        packet_parse(links[i], bytes, (uint32_t)bytes.len, out);
        if (out->kind != want || !is_end(&d->from, &out->from, want == PACKET_TCP) ||
            !is_end(&d->to, &out->to, want == PACKET_TCP))
            continue;
        if (want == PACKET_ICMP || !d->has_length || out->payload_len == d->length)
            return true;
    }
    return false;
}

/* --- characters --- */

/* Bytes of the IP header without options. */
static size_t ip_header_len(const struct dumptext *d)
{
    return d->is_v6 ? 40 : 20;
}

/* Bytes of IP and TCP header, 0: not known. */
static size_t header_len(const struct dumptext *d)
{
    size_t ip = ip_header_len(d);

    if (d->ip_len > d->length + ip && d->ip_len - d->length <= ip + 60)
        return d->ip_len - d->length;
    return d->options_len <= 40 ? ip + 20 + d->options_len : 0;
}

static char printed(unsigned byte)
{
    return (byte > ' ' && byte < 0x7f) || byte == ' ' || byte == '\t' || byte == '\n' ? (char)byte
                                                                                      : '.';
}

static bool is_number_at(struct span s, size_t at, size_t value)
{
    return s.ptr[at] == printed((unsigned)(value >> 8 & 0xff)) &&
           s.ptr[at + 1] == printed((unsigned)(value & 0xff));
}

static bool is_address_at(struct span s, size_t at, const struct addr *a)
{
    size_t len = a->family == AF_INET ? 4 : a->family == AF_INET6 ? 16 : 0;

    for (size_t i = 0; i < len; i++)
        if (s.ptr[at + i] != printed(a->bytes[i]))
            return false;
    return true;
}

/* TCP's number and ICMP's are no characters, ICMPv6's is one. */
static char printed_protocol(const struct dumptext *d)
{
    return d->is_v6 && d->kind == DUMPTEXT_ICMP ? ':' : '.';
}

/* Whether these are the characters of the packet's IP header: its length, protocol, addresses. */
static bool is_header(struct span s, const struct dumptext *d, size_t whole)
{
    if (d->is_v6)
        return s.ptr[0] == '`' && is_number_at(s, 4, whole - 40) &&
               s.ptr[6] == printed_protocol(d) && is_address_at(s, 8, &d->from.at.addr) &&
               is_address_at(s, 24, &d->to.at.addr);
    return s.ptr[0] == 'E' && (whole > UINT16_MAX || is_number_at(s, 2, whole)) &&
           s.ptr[9] == '.' && is_address_at(s, 12, &d->from.at.addr) &&
           is_address_at(s, 16, &d->to.at.addr);
}

static size_t count_blanks(struct span line, size_t most)
{
    size_t n = 0;

    while (n < most && n < line.len && (line.ptr[n] == ' ' || line.ptr[n] == '\t'))
        n++;
    return n;
}

/* What was put in front of a line of a quoted text, `most` characters at most. */
static size_t count_quotes(struct span line, size_t most)
{
    size_t n = 0;

    while (n < line.len && n < most &&
           (line.ptr[n] == '>' || (n > 0 && line.ptr[n - 1] == '>' && line.ptr[n] == ' ')))
        n++;
    return n;
}

/* By how much all lines were moved to the right: an IP header begins with another character. */
static size_t count_indent(struct span first, const struct dumptext *d)
{
    size_t n = count_blanks(first, d->prefix_len);

    return n < first.len && first.ptr[n] == (d->is_v6 ? '`' : 'E') ? n : 0;
}

/* The lines up to the next packet's, joined; what quotes put in front of them is off. */
static void collect(struct textlines *l, const struct dumptext *d, struct buf *work)
{
    size_t enough = (size_t)(d->length > d->ip_len ? d->length : d->ip_len) + 200;
    size_t indent = 0;
    struct span line;

    buf_consume(work, work->len);
    for (unsigned i = 0; i < LINES_MAX && work->len < enough && textlines_peek(l, i, &line); i++) {
        struct dumptext next;
        size_t quotes;

        if (i == 0)
            indent = count_indent(line, d);
        quotes = indent ? count_blanks(line, indent) : count_quotes(line, d->prefix_len);
        if (dumptext_parse(line, &next) || (i > 0 && !buf_append(work, "\n", 1)) ||
            !buf_append(work, line.ptr + quotes, line.len - quotes))
            break;
    }
}

static bool begins_head(struct span s)
{
    struct span line = span_cut(&s, '\n');

    return texthead_parse_first(&line) != TEXTHEAD_NONE;
}

/* The same, where tcpdump left a CR out: it prints none before a LF, whatever bytes these are (a
 * checksum that ends in 0d, before an address that begins with 10). */
static bool is_header_without_cr(struct span s, const struct dumptext *d, size_t whole, size_t ip)
{
    char full[40];

    for (size_t i = 1; i < ip; i++) {
        if (s.ptr[i] != '\n')
            continue;
        memcpy(full, s.ptr, i);
        full[i] = '.';
        memcpy(full + i + 1, s.ptr + i, ip - i - 1);
        if (is_header((struct span){full, ip}, d, whole))
            return true;
    }
    return false;
}

/* How many characters the IP header has of a packet of `whole` bytes; 0: these are not its. */
static size_t printed_ip_len(struct span s, const struct dumptext *d, size_t whole)
{
    size_t ip = ip_header_len(d);

    if (s.len < ip || whole < ip)
        return 0;
    if (is_header(s, d, whole))
        return ip;
    return is_header_without_cr(s, d, whole, ip) ? ip - 1 : 0;
}

/* How many characters less than `len` the headers have, as what is behind them tells: a method that
 * everybody knows, as "OST" and "\tPOST" may be names of methods, too. */
static size_t count_lost(struct span s, size_t len)
{
    static const struct span begins[] = {
        SPAN_INIT("CONNECT "), SPAN_INIT("GET "),     SPAN_INIT("POST "),
        SPAN_INIT("HEAD "),    SPAN_INIT("PUT "),     SPAN_INIT("DELETE "),
        SPAN_INIT("PATCH "),   SPAN_INIT("OPTIONS "), SPAN_INIT("HTTP/1."),
    };

    for (size_t lost = 0; lost <= 2; lost++) {
        struct span rest = {s.ptr + len - lost, s.len - len + lost};

        for (size_t i = 0; i < ARRAY_LEN(begins); i++)
            if (rest.len >= begins[i].len && memcmp(rest.ptr, begins[i].ptr, begins[i].len) == 0 &&
                begins_head(rest))
                return lost;
    }
    return 0;
}

/* How many characters the packet's headers have; 0: these are not its. */
static size_t printed_header_len(struct span s, const struct dumptext *d)
{
    size_t len = header_len(d), ip;

    if (len == 0 || s.len < len || (ip = printed_ip_len(s, d, len + d->length)) == 0)
        return 0;
    len -= ip_header_len(d) - ip;
    if (memchr(s.ptr + ip, '\n', len - ip)) /* CRs may be lost in TCP's, too */
        len -= count_lost(s, len);
    return len;
}

/* Bytes of a link's header, which -AA prints. */
static const size_t link_lens[] = {0, 14, 16, 18, 20};

/* Where the content begins, behind the headers and perhaps a link's; 0: it is not here. */
static size_t find_content(struct span s, const struct dumptext *d)
{
    for (size_t i = 0; i < ARRAY_LEN(link_lens); i++) {
        size_t link = link_lens[i], len = 0;

        if (s.len > link)
            len = printed_header_len((struct span){s.ptr + link, s.len - link}, d);
        if (len > 0)
            return link + len;
    }
    return 0;
}

bool textbytes_has_ascii(struct textlines *l, const struct dumptext *d, struct buf *work)
{
    collect(l, d, work);
    return find_content(buf_span(work), d) > 0;
}

/* Takes as many lines as the first `n` characters of what was collected stand on. */
static void take_lines(struct textlines *l, struct span work, size_t n)
{
    unsigned lines = 1;

    for (size_t i = 0; i < n && i < work.len; i++)
        lines += work.ptr[i] == '\n' && i + 1 < n;
    textlines_skip(l, lines);
}

void textbytes_skip_ascii(struct textlines *l, const struct dumptext *d, struct buf *work)
{
    size_t whole = d->ip_len ? d->ip_len : d->has_length ? d->length + ip_header_len(d) : 0;
    struct span s;

    collect(l, d, work);
    s = buf_span(work);
    for (size_t i = 0; i < ARRAY_LEN(link_lens); i++) {
        size_t link = link_lens[i];

        if (s.len <= link || !printed_ip_len((struct span){s.ptr + link, s.len - link}, d, whole))
            continue;
        take_lines(l, s, link + whole);
        return;
    }
}

/* Turns characters into bytes: a line of a head ended with CRLF; of a body, with CRLF where bytes
 * are missing else.  Returns how many characters that took. */
static size_t restore(struct span s, size_t len, bool in_head, struct buf *out)
{
    size_t at = 0, line = 0, spare;

    for (; at < s.len && out->len < len && in_head; at++) {
        bool ends = s.ptr[at] == '\n';

        if (!buf_append(out, ends ? "\r\n" : s.ptr + at, ends ? 2 : 1))
            return at;
        if (ends) {
            in_head = at > line;
            line = at + 1;
        }
    }
    spare = len > out->len + (s.len - at) ? len - out->len - (s.len - at) : 0;
    for (; at < s.len && out->len < len; at++) {
        bool lost = s.ptr[at] == '\n' && spare > 0;

        spare -= lost;
        if (!buf_append(out, lost ? "\r\n" : s.ptr + at, lost ? 2 : 1))
            break;
    }
    return at;
}

/* The empty line at a head's end gets lost where blank lines are: its two bytes are missing. */
static void complete(size_t len, struct buf *out)
{
    if (len == (size_t)out->len + 2 || len == (size_t)out->len + 4)
        buf_append(out, "\r\n\r\n", len - out->len);
}

bool textbytes_take_ascii(struct textlines *l, const struct dumptext *d, struct buf *work,
                          enum textbytes_state before, struct buf *out)
{
    struct span all = buf_span(work);
    size_t header = find_content(all, d), taken;
    struct span s = {all.ptr + header, all.len - header};
    bool in_head = before == TEXTBYTES_HEAD || begins_head(s);

    buf_consume(out, out->len);
    taken = restore(s, d->length, in_head, out);
    if (in_head && taken == s.len)
        complete(d->length, out);
    if (out->len > d->length)
        out->len = d->length;
    take_lines(l, all, header + taken);
    if (in_head || before == TEXTBYTES_BODY)
        return true;
    buf_consume(out, out->len);
    return false;
}

/* --- lines of HTTP --- */

/* The line without what quotes put in front of it, from its tab on; empty: it has none. */
static struct span from_tab(struct span line)
{
    while (line.len > 0 && (line.ptr[0] == '>' || line.ptr[0] == '|' || line.ptr[0] == ' '))
        line.ptr++, line.len--;
    return line.len > 0 && line.ptr[0] == '\t' ? line : (struct span){"", 0};
}

static bool is_packet_line(struct span line)
{
    struct dumptext d;
    uint32_t offset;
    uint8_t row[16];

    return dumptext_parse(line, &d) || dumptext_parse_hex(line, &offset, row) > 0;
}

/* The line `i` ahead as one of HTTP: with its tab, or (where the one before was long) the rest of
 * such a line that was wrapped. */
static bool peek_http(struct textlines *l, unsigned i, bool was_long, struct span *out,
                      bool *is_rest)
{
    struct span line, next;

    if (!textlines_peek(l, i, &line) || is_packet_line(line))
        return false;
    *is_rest = from_tab(line).len == 0;
    if (!*is_rest) {
        *out = from_tab(line);
        out->ptr++, out->len--;
        return true;
    }
    if (!was_long || texthead_is_blank(line) || !textlines_peek(l, i + 1, &next) ||
        is_packet_line(next) || from_tab(next).len == 0 || !textlines_peek(l, i, &line))
        return false;
    *out = span_trim(line);
    return true;
}

bool textbytes_take_lines(struct textlines *l, size_t len, struct buf *work, struct buf *out)
{
    struct span line;
    unsigned n = 0;
    bool is_rest, is_long = false;

    buf_consume(work, work->len);
    buf_consume(out, out->len);
    while (n < LINES_MAX && work->len < len && peek_http(l, n, is_long, &line, &is_rest)) {
        if (n == 0 && !begins_head(line))
            return false;
        if ((n > 0 && !buf_append(work, is_rest ? " " : "\n", 1)) ||
            !buf_append(work, line.ptr, line.len))
            break;
        is_long = line.len >= WRAPPED_LEN;
        n++;
    }
    if (n == 0)
        return false;
    buf_append(work, "\n", 1); /* each line was printed with its end */
    restore(buf_span(work), len, true, out);
    if (out->len > len)
        out->len = (uint32_t)len;
    textlines_skip(l, n);
    return true;
}
