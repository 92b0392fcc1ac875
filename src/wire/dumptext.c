/* A line, from the left: what people put in front (quotes, prompts, prefixes of logs), the time,
 * the interface of "-i any" or the link header of -e, "IP", the header of -v in parentheses, both
 * ends, and what the packet is.  Where it begins is found by trying word after word. */
#include "wire/dumptext.h"

#include "base/num.h"
#include "base/util.h"
#include "wire/dumptext_private.h"

enum { PREFIX_MAX = 160, PREFIX_WORDS_MAX = 16 };

struct span dumptext_take_word(struct span *rest)
{
    struct span word = {rest->ptr, 0};

    while (word.len < rest->len && rest->ptr[word.len] != ' ' && rest->ptr[word.len] != '\t')
        word.len++;
    *rest = dumptext_skip_blanks(dumptext_after(*rest, word.len));
    return word;
}

bool dumptext_take_number(struct span *rest, uint64_t max, uint64_t *out)
{
    size_t n = dumptext_digits_len(*rest);

    if (!num_parse_u64((struct span){rest->ptr, n}, max, out))
        return false;
    *rest = dumptext_after(*rest, n);
    return true;
}

size_t dumptext_bracket_len(struct span s)
{
    char open = s.ptr[0], close = open == '(' ? ')' : open == '[' ? ']' : open == '{' ? '}' : '>';
    unsigned depth = 0;

    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] == open)
            depth++;
        else if (s.ptr[i] == close && --depth == 0)
            return i + 1;
    }
    return s.len;
}

/* --- the link layer --- */

static bool is_word(struct span word, struct span want)
{
    return span_equal(word, want);
}

static bool is_mac(struct span s)
{
    if (s.len < 17)
        return false;
    for (unsigned i = 0; i < 17; i++) {
        uint64_t n;

        if (i % 3 == 2 ? s.ptr[i] != ':' : !num_parse_hex((struct span){s.ptr + i, 1}, 15, &n))
            return false;
    }
    return true;
}

static bool is_direction(struct span word)
{
    static const struct span names[] = {SPAN_INIT("In"),    SPAN_INIT("Out"), SPAN_INIT("B"),
                                        SPAN_INIT("M"),     SPAN_INIT("P"),   SPAN_INIT("Bcast"),
                                        SPAN_INIT("Mcast"), SPAN_INIT("?")};

    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (is_word(word, names[i]))
            return true;
    return false;
}

/* The end of the last "ethertype " in a link header, 0: none (before "Flags" or a verbose header).
 */
static size_t find_ethertype(struct span s)
{
    static const struct span mark = SPAN_INIT("ethertype ");
    size_t found = 0;

    for (size_t i = 0; i + mark.len < s.len && i < 300; i++) {
        if (s.ptr[i] == '[')
            break;
        if (dumptext_begins(dumptext_after(s, i), mark))
            found = i + mark.len;
    }
    return found;
}

/* Steps over -e's header: "MAC > MAC, ethertype IPv4 (0x0800), length 74: ", also with tags of
 * VLANs in it, and that of a cooked capture.  False: there is none. */
static bool take_link(struct span *rest, struct dumptext *out)
{
    struct span s = *rest;
    size_t at;
    uint64_t n;

    if (!is_mac(s) && !dumptext_begins(s, SPAN_LIT("ifindex ")) &&
        !dumptext_begins(s, SPAN_LIT("ethertype ")))
        return false;
    at = find_ethertype(s);
    if (at == 0)
        return false;
    s = dumptext_after(s, at);
    if (!dumptext_begins(s, SPAN_LIT("IPv4")) && !dumptext_begins(s, SPAN_LIT("IPv6"))) {
        *rest = (struct span){s.ptr, 0}; /* ARP and the like */
        return true;
    }
    out->is_v6 = s.ptr[3] == '6';
    s = dumptext_after(s, 4);
    if (dumptext_begins(s, SPAN_LIT(" (0x")))
        s = dumptext_after(s, 1 + dumptext_bracket_len(dumptext_after(s, 1)));
    if (dumptext_begins(s, SPAN_LIT(", length "))) {
        s = dumptext_after(s, 9);
        dumptext_take_number(&s, UINT32_MAX, &n);
    }
    if (s.len > 0 && (s.ptr[0] == ':' || s.ptr[0] == ','))
        s = dumptext_after(s, 1);
    *rest = dumptext_skip_blanks(s);
    return true;
}

/* With -e the packet that an ICMP error quotes has no "IP" in front of its header. */
static bool is_verbose(struct span s)
{
    return dumptext_begins(s, SPAN_LIT("(tos 0x")) || dumptext_begins(s, SPAN_LIT("(flowlabel 0x"));
}

/* What stands between the time and the addresses: the interface, the link header, "IP".  False: the
 * line is none of tcpdump's. */
static bool take_key(struct span *rest, struct dumptext *out)
{
    struct span after = *rest, word = dumptext_take_word(&after);

    if (is_direction(word) && is_mac(after)) { /* -e of an old "-i any" */
        *rest = after = dumptext_after(after, 17);
        *rest = dumptext_skip_blanks(*rest);
        return out->is_keyed = take_link(rest, out);
    }
    if (word.len > 0 && word.len < 16) {
        struct span behind = after;

        if (is_direction(dumptext_take_word(&behind))) {
            out->interface = word;
            *rest = after = behind;
            word = dumptext_take_word(&after);
        }
    }
    if (is_verbose(*rest))
        return out->is_keyed = true;
    if (is_word(word, SPAN_LIT("IP")) || is_word(word, SPAN_LIT("IP6"))) {
        out->is_v6 = word.len == 3;
        out->is_keyed = true;
        *rest = after;
        return true;
    }
    if (take_link(rest, out))
        return out->is_keyed = true;
    return out->interface.len == 0;
}

/* --- the network layer --- */

static bool take_label(struct span *s, struct span label)
{
    if (!dumptext_begins(*s, label))
        return false;
    *s = dumptext_after(*s, label.len);
    return true;
}

/* "(tos 0x0, ttl 64, id 64041, offset 0, flags [DF], proto TCP (6), length 60)" or IPv6's. */
static void read_verbose(struct span in, struct dumptext *out)
{
    uint64_t n;

    while (in.len > 0) {
        if (take_label(&in, SPAN_LIT("ttl ")) || take_label(&in, SPAN_LIT("hlim "))) {
            if (dumptext_take_number(&in, UINT8_MAX, &n))
                out->ttl = (uint8_t)n;
        } else if (take_label(&in, SPAN_LIT("id "))) {
            if (dumptext_take_number(&in, UINT16_MAX, &n)) {
                out->has_ip_id = true;
                out->ip_id = (uint16_t)n;
            }
        } else if (take_label(&in, SPAN_LIT("payload length: "))) {
            if (dumptext_take_number(&in, UINT16_MAX, &n))
                out->ip_len = (uint32_t)n + 40;
        } else if (take_label(&in, SPAN_LIT("length "))) {
            if (dumptext_take_number(&in, UINT16_MAX, &n))
                out->ip_len = (uint32_t)n;
        } else {
            in = dumptext_after(in, 1);
        }
    }
}

/* The header of -v, if it is there.  False: it does not end on this line. */
static bool take_verbose(struct span *rest, struct dumptext *out)
{
    size_t n;

    if (rest->len == 0 || rest->ptr[0] != '(')
        return true;
    n = dumptext_bracket_len(*rest);
    if (rest->ptr[n - 1] != ')')
        return false;
    out->is_verbose = true;
    read_verbose((struct span){rest->ptr + 1, n - 2}, out);
    *rest = dumptext_skip_blanks(dumptext_after(*rest, n));
    return true;
}

/* "truncated-ip - 20 bytes missing! " stands before the addresses of a packet that was cut. */
static void skip_truncated(struct span *rest)
{
    long at;

    if (!dumptext_begins(*rest, SPAN_LIT("truncated-ip")))
        return;
    at = span_find(*rest, '!');
    if (at > 0)
        *rest = dumptext_skip_blanks(dumptext_after(*rest, (size_t)at + 1));
}

/* Both ends, up to the colon.  1: here they are; 0: the line ends before; -1: no. */
static int take_ends(struct span *rest, struct dumptext *out, struct span ends[2])
{
    ends[0] = dumptext_take_word(rest);
    if (ends[0].len == 0 || rest->len == 0)
        return dumptext_is_host(ends[0]) || ends[0].len == 0 ? 0 : -1;
    if (!is_word(dumptext_take_word(rest), SPAN_LIT(">")))
        return -1;
    if (rest->len == 0)
        return dumptext_is_host(ends[0]) ? 0 : -1;
    ends[1] = dumptext_take_word(rest);
    if (ends[1].len < 2 || ends[1].ptr[ends[1].len - 1] != ':')
        return -1;
    ends[1].len--;
    return dumptext_is_host(ends[0]) && dumptext_is_host(ends[1]) ? 1 : -1;
}

static bool parse_ends(struct span ends[2], bool with_port, struct dumptext *out)
{
    return dumptext_parse_end(ends[0], with_port, &out->from) &&
           dumptext_parse_end(ends[1], with_port, &out->to);
}

/* A line whose rest does not stand on it: only what surely began counts. */
static enum dumptext_kind begun(const struct dumptext *out)
{
    bool sure = out->is_keyed &&
                (out->time_form != DUMPTEXT_TIME_NONE || out->is_verbose || out->interface.len > 0);

    return sure ? DUMPTEXT_BEGUN : DUMPTEXT_OTHER;
}

static enum dumptext_kind parse_network(struct span rest, struct dumptext *out)
{
    struct span ends[2];

    if (!take_verbose(&rest, out)) {
        out->is_verbose = true;
        return begun(out);
    }
    skip_truncated(&rest);
    switch (take_ends(&rest, out, ends)) {
    case 1:
        break;
    case 0:
        return begun(out);
    default:
        return DUMPTEXT_OTHER;
    }
    if (rest.len == 0)
        return begun(out);
    if (dumptext_parse_icmp(rest, out))
        return parse_ends(ends, false, out) ? out->kind : DUMPTEXT_OTHER;
    if (dumptext_parse_tcp(rest, out) && parse_ends(ends, true, out))
        return DUMPTEXT_TCP;
    return out->is_keyed ? DUMPTEXT_PACKET : DUMPTEXT_OTHER;
}

/* Reads a line that begins at `s`.  `is_bare`: nothing but blanks and quotes stood before. */
static enum dumptext_kind parse_at(struct span s, bool is_bare, struct dumptext *out)
{
    enum dumptext_kind kind;
    bool has_time;

    *out = (struct dumptext){0};
    dumptext_take_time(&s, out);
    has_time = out->time_form != DUMPTEXT_TIME_NONE;
    if (has_time && dumptext_begins(s, SPAN_LIT("ARP,")))
        return DUMPTEXT_PACKET;
    if (!take_key(&s, out))
        return DUMPTEXT_OTHER;
    if (out->is_keyed && s.len == 0)
        return has_time ? DUMPTEXT_PACKET : DUMPTEXT_OTHER;
    kind = parse_network(s, out);
    if (!has_time && !is_bare && kind != DUMPTEXT_TCP && kind != DUMPTEXT_ICMP)
        return DUMPTEXT_OTHER; /* prose */
    if (!has_time && !is_bare && !out->is_keyed)
        return DUMPTEXT_OTHER;
    if (kind == DUMPTEXT_PACKET && !has_time && !out->is_verbose && out->interface.len == 0)
        return DUMPTEXT_OTHER; /* "IP a > b: …" alone is not enough */
    return kind;
}

/* --- what stands in front --- */

static bool is_quote(char c)
{
    return c == '>' || c == '|' || c == ' ' || c == '\t';
}

/* A word of letters alone is a word of a sentence; prefixes of logs have digits and signs. */
static bool is_prose_word(struct span word)
{
    for (size_t i = 0; i < word.len; i++) {
        unsigned char c = (unsigned char)word.ptr[i];

        if (c < 0x80 && !((c | 0x20) >= 'a' && (c | 0x20) <= 'z'))
            return false;
    }
    return true;
}

size_t dumptext_remark_len(struct span s, bool *closed)
{
    static const struct {
        struct span open, close;
    } wide[] = {
        {SPAN_INIT("\xef\xbc\x88"), SPAN_INIT("\xef\xbc\x89")}, /* full-width parentheses */
        {SPAN_INIT("\xef\xbc\xbb"), SPAN_INIT("\xef\xbc\xbd")}, /* full-width square brackets */
        {SPAN_INIT("\xe3\x80\x90"), SPAN_INIT("\xe3\x80\x91")}, /* black lenticular brackets */
        {SPAN_INIT("\xe3\x80\x8c"), SPAN_INIT("\xe3\x80\x8d")}, /* corner brackets */
    };
    static const struct span signs[] = {SPAN_INIT("#"), SPAN_INIT("//"),
                                        SPAN_INIT("\xef\xbc\x83"),  /* full-width number sign */
                                        SPAN_INIT("\xe2\x80\xbb")}; /* reference mark */
    bool unused;

    if (!closed)
        closed = &unused;
    *closed = false;
    for (size_t i = 0; i < ARRAY_LEN(signs); i++)
        if (dumptext_begins(s, signs[i]))
            return s.len;
    if (s.len > 0 && (s.ptr[0] == '(' || s.ptr[0] == '[')) {
        size_t n = dumptext_bracket_len(s);

        *closed = n > 1 && s.ptr[n - 1] == (s.ptr[0] == '(' ? ')' : ']');
        return n;
    }
    for (size_t i = 0; i < ARRAY_LEN(wide); i++) {
        const char *end;

        if (!dumptext_begins(s, wide[i].open))
            continue;
        end = memmem(s.ptr, s.len, wide[i].close.ptr, wide[i].close.len);
        *closed = end != NULL;
        return end ? (size_t)(end - s.ptr) + wide[i].close.len : s.len;
    }
    return 0;
}

bool dumptext_parse(struct span line, struct dumptext *out)
{
    struct span s = line;
    unsigned prose = 0, signs = 0;
    bool is_bare = true, closed = false;

    while (s.len > 0 && is_quote(s.ptr[0]))
        s = dumptext_after(s, 1);
    for (unsigned words = 0; words < PREFIX_WORDS_MAX && s.len > 0; words++) {
        size_t before = line.len - s.len;
        enum dumptext_kind kind;

        size_t remark = is_verbose(s) ? 0 : dumptext_remark_len(s, &closed);

        if (before > PREFIX_MAX || (remark > 0 && !closed))
            break;
        if (remark > 0) {
            s = dumptext_skip_blanks(dumptext_after(s, remark));
            signs++;
            is_bare = false;
            continue;
        }
        kind = prose > signs ? DUMPTEXT_OTHER : parse_at(s, is_bare, out);
        if (kind != DUMPTEXT_OTHER) {
            out->kind = kind;
            out->prefix_len = (unsigned)before;
            return true;
        }
        if (is_prose_word(dumptext_take_word(&s)))
            prose++;
        else
            signs++;
        is_bare = false;
    }
    *out = (struct dumptext){0};
    return false;
}

/* --- bytes --- */

unsigned dumptext_parse_hex(struct span line, uint32_t *offset, uint8_t out[16])
{
    struct span s = line;
    size_t digits = 0;
    uint64_t n, unused;
    unsigned len = 0;

    while (s.len > 2 && !(s.ptr[0] == '0' && s.ptr[1] == 'x')) {
        if (line.len - s.len > PREFIX_MAX || s.ptr[0] == '#')
            return 0;
        s = dumptext_after(s, 1);
    }
    if (s.len < 3)
        return 0;
    s = dumptext_after(s, 2);
    while (digits < s.len && digits < 8 && num_parse_hex((struct span){s.ptr + digits, 1}, 15, &n))
        digits++;
    if (digits < 4 || digits >= s.len || s.ptr[digits] != ':' ||
        !num_parse_hex((struct span){s.ptr, digits}, UINT32_MAX, &n))
        return 0;
    *offset = (uint32_t)n;
    s = dumptext_skip_blanks(dumptext_after(s, digits + 1));
    while (len < 16 && s.len >= 2 && num_parse_hex((struct span){s.ptr, 2}, UINT8_MAX, &n)) {
        if (s.len > 2 && s.ptr[2] != ' ' && s.ptr[2] != '\t' &&
            (len % 2 == 1 || s.len < 4 ||
             !num_parse_hex((struct span){s.ptr + 2, 2}, UINT8_MAX, &unused)))
            break; /* a word of the column of characters */
        out[len++] = (uint8_t)n;
        s = dumptext_after(s, 2);
        if (len % 2 == 1)
            continue; /* the other half of a group, or none */
        if (s.len < 2 || (s.ptr[0] == ' ' && s.ptr[1] == ' '))
            break;
        s = dumptext_after(s, 1);
    }
    return len;
}
