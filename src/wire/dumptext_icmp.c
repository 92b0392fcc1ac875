/* The part of a line behind the addresses: an ICMP or ICMPv6 error, as sentences (RFC 792, 4443).
 */
#include "base/num.h"
#include "base/util.h"
#include "wire/dumptext_private.h"

/* Where `text` stands in `s`, -1: nowhere. */
static long find_text(struct span s, struct span text)
{
    for (size_t i = 0; i + text.len <= s.len; i++)
        if (memcmp(s.ptr + i, text.ptr, text.len) == 0)
            return (long)i;
    return -1;
}

static bool has_text(struct span s, struct span text)
{
    return find_text(s, text) >= 0;
}

/* What is said, the first that fits; in IPv6 and in IPv4. */
struct sentence {
    struct span text;
    uint8_t type, code;
};

static const struct sentence v4[] = {
    {SPAN_INIT("need to frag"), 3, 4},
    {SPAN_INIT("admin prohibited filter"), 3, 13},
    {SPAN_INIT("host admin prohibited"), 3, 10},
    {SPAN_INIT("net admin prohibited"), 3, 9},
    {SPAN_INIT("admin prohibited"), 3, 10},
    {SPAN_INIT("source route failed"), 3, 5},
    {SPAN_INIT("tcp port "), 3, 3},
    {SPAN_INIT("protocol "), 3, 2},
    {SPAN_INIT("net "), 3, 0},
    {SPAN_INIT("unreachable"), 3, 1},
    {SPAN_INIT("time exceeded in-transit"), 11, 0},
    {SPAN_INIT("reassembly time exceeded"), 11, 1},
    {SPAN_INIT("parameter problem"), 12, 0},
    {SPAN_INIT("source quench"), 4, 0},
};

static const struct sentence v6[] = {
    {SPAN_INIT("packet too big"), 2, 0},          {SPAN_INIT("unreachable route"), 1, 0},
    {SPAN_INIT("unreachable prohibited"), 1, 1},  {SPAN_INIT("beyond scope"), 1, 2},
    {SPAN_INIT("unreachable address"), 1, 3},     {SPAN_INIT("tcp port "), 1, 4},
    {SPAN_INIT("destination unreachable"), 1, 0}, {SPAN_INIT("time exceeded"), 3, 0},
    {SPAN_INIT("parameter problem"), 4, 0},
};

static bool find_sentence(struct span s, const struct sentence *table, size_t len,
                          struct dumptext *out)
{
    for (size_t i = 0; i < len; i++) {
        if (has_text(s, table[i].text)) {
            out->icmp_type = table[i].type;
            out->icmp_code = table[i].code;
            return true;
        }
    }
    return false;
}

/* The number behind "mtu ", 0: none. */
static uint32_t read_mtu(struct span s)
{
    long at = find_text(s, SPAN_LIT("mtu "));
    uint64_t mtu = 0;

    if (at < 0)
        return 0;
    s = dumptext_after(s, (size_t)at + 4);
    return dumptext_take_number(&s, UINT32_MAX, &mtu) ? (uint32_t)mtu : 0;
}

static bool is_keyword(struct span word)
{
    static const struct span words[] = {
        SPAN_INIT("host"),        SPAN_INIT("net"),    SPAN_INIT("destination"),
        SPAN_INIT("unreachable"), SPAN_INIT("route"),  SPAN_INIT("address"),
        SPAN_INIT("prohibited"),  SPAN_INIT("packet"), SPAN_INIT("too"),
        SPAN_INIT("big"),         SPAN_INIT("time"),   SPAN_INIT("exceeded"),
        SPAN_INIT("port"),        SPAN_INIT("beyond"), SPAN_INIT("in-transit"),
    };

    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (span_equal(word, words[i]))
            return true;
    return false;
}

/* The target that the error names, and its port: "host 192.0.2.1 unreachable", "192.0.2.1 tcp port
 * https unreachable", "unreachable route 2001:db8::1". */
static void read_about(struct span s, struct dumptext *out)
{
    long at = find_text(s, SPAN_LIT("tcp port "));
    struct span rest = s;

    for (unsigned i = 0; i < 6 && rest.len > 0; i++) {
        struct span word = dumptext_take_word(&rest);

        if (word.len > 0 && word.ptr[word.len - 1] == ',')
            word.len--;
        if (span_equal(word, SPAN_LIT("-")))
            break;
        if (is_keyword(word))
            continue;
        if (!span_equal(word, SPAN_LIT("length")) && !span_equal(word, SPAN_LIT("mtu")))
            dumptext_parse_end(word, false, &out->about);
        break;
    }
    if (at >= 0) {
        uint64_t port;

        rest = dumptext_after(s, (size_t)at + 9);
        rest = dumptext_take_word(&rest);
        if (rest.len > 0 && rest.ptr[rest.len - 1] == ',')
            rest.len--;
        if (num_parse_u64(rest, UINT16_MAX, &port))
            out->about.at.port = (uint16_t)port;
        else if (!(out->about.at.port = dumptext_find_service(rest)))
            out->about.service = rest;
    }
}

/* Without what people wrote behind it, and without its length, which goes into *out. */
static struct span cut_sentence(struct span s, struct dumptext *out)
{
    static const struct span words = SPAN_INIT(", length ");
    long length = find_text(s, words);
    uint64_t n;

    out->is_whole = length >= 0;
    if (length >= 0) {
        struct span rest = dumptext_after(s, (size_t)length + words.len);

        out->has_length = num_parse_u64(dumptext_take_word(&rest), UINT16_MAX, &n);
        out->length = out->has_length ? (uint32_t)n : 0;
        s.len = (size_t)length;
    }
    for (size_t i = 1; i < s.len; i++) {
        struct span at = dumptext_after(s, i);

        if (s.ptr[i - 1] == ' ' && !dumptext_begins(at, SPAN_LIT("(mtu ")) &&
            dumptext_remark_len(at, NULL) > 0) {
            s.len = i - 1;
            break;
        }
    }
    return s;
}

bool dumptext_parse_icmp(struct span rest, struct dumptext *out)
{
    bool six;

    if (rest.len > 0 && rest.ptr[0] == '[') /* "[icmp6 sum ok]" */
        rest = dumptext_skip_blanks(dumptext_after(rest, dumptext_bracket_len(rest)));
    six = dumptext_begins(rest, SPAN_LIT("ICMP6, "));
    if (!six && !dumptext_begins(rest, SPAN_LIT("ICMP ")))
        return false;
    out->is_v6 = six;
    rest = cut_sentence(dumptext_after(rest, six ? 7 : 5), out);
    out->kind = DUMPTEXT_PACKET;
    if (has_text(rest, SPAN_LIT("udp port ")) || has_text(rest, SPAN_LIT("echo re")) ||
        !(six ? find_sentence(rest, v6, ARRAY_LEN(v6), out)
              : find_sentence(rest, v4, ARRAY_LEN(v4), out)))
        return true;
    out->kind = DUMPTEXT_ICMP;
    out->icmp_mtu = read_mtu(rest);
    read_about(rest, out);
    if (six && out->is_verbose) /* no length is printed there */
        out->is_whole |= out->icmp_mtu > 0 || out->about.at.addr.family || out->about.name.len > 0;
    return true;
}
