/* The part of a line behind the addresses: a TCP segment, as tcpdump 4 prints it ("Flags [P.], seq
 * …"), as tcpdump 3 did ("P 1:118(117) ack 1 win 5840 <nop>"), and with -q ("tcp 117"). */
#include "base/num.h"
#include "base/util.h"
#include "wire/dumptext_private.h"

static bool take_label(struct span *s, struct span label)
{
    if (!dumptext_begins(*s, label))
        return false;
    *s = dumptext_after(*s, label.len);
    return true;
}

/* A number that stands for itself: not the beginning of a word. */
static bool take_value(struct span *s, uint64_t max, uint64_t *out)
{
    struct span rest = *s;

    if (!dumptext_take_number(&rest, max, out))
        return false;
    if (rest.len > 0 && !memchr(" \t,:;[](){}<>#", rest.ptr[0], 14) &&
        dumptext_remark_len(rest, NULL) == 0)
        return false;
    *s = rest;
    return true;
}

/* Flags as letters.  False: something else. */
static bool read_flags(struct span letters, uint8_t *out)
{
    static const struct {
        char letter;
        uint8_t flag;
    } flags[] = {
        {'F', PACKET_FIN}, {'S', PACKET_SYN}, {'R', PACKET_RST},
        {'P', PACKET_PSH}, {'.', PACKET_ACK}, {'U', PACKET_URG},
        {'E', 0},          {'W', 0},          {'e', 0},
    };

    *out = 0;
    if (span_equal(letters, SPAN_LIT("none")))
        return true;
    for (size_t i = 0; i < letters.len; i++) {
        size_t at = 0;

        while (at < ARRAY_LEN(flags) && flags[at].letter != letters.ptr[i])
            at++;
        if (at == ARRAY_LEN(flags))
            return false;
        *out |= flags[at].flag;
    }
    return letters.len > 0;
}

/* --- options --- */

static unsigned read_sacks(struct span s, struct dumptext *out)
{
    unsigned seen = 0;

    while (s.len > 0) {
        uint64_t begin, end;

        if (s.ptr[0] != '{') {
            s = dumptext_after(s, 1);
            continue;
        }
        s = dumptext_after(s, 1);
        if (!dumptext_take_number(&s, UINT32_MAX, &begin) || !take_label(&s, SPAN_LIT(":")) ||
            !dumptext_take_number(&s, UINT32_MAX, &end))
            continue;
        seen++;
        if (out->sacks_len < PACKET_SACKS_MAX)
            out->sacks[out->sacks_len++] = (struct packet_sack){(uint32_t)begin, (uint32_t)end};
    }
    return seen;
}

static bool read_times(struct span s, struct dumptext *out)
{
    uint64_t value, echo;

    if (!dumptext_take_number(&s, UINT32_MAX, &value))
        return false;
    s = dumptext_skip_blanks(s);
    take_label(&s, SPAN_LIT("ecr "));
    if (!dumptext_take_number(&s, UINT32_MAX, &echo))
        return false;
    out->has_times = true;
    out->time_value = (uint32_t)value;
    out->time_echo = (uint32_t)echo;
    return true;
}

/* One option; returns the bytes it takes in a header, 0: not known here. */
static unsigned read_option(struct span s, struct dumptext *out)
{
    uint64_t n;

    if (take_label(&s, SPAN_LIT("mss "))) {
        if (take_value(&s, UINT16_MAX, &n))
            out->mss = (uint16_t)n;
        return 4;
    }
    if (take_label(&s, SPAN_LIT("wscale "))) {
        if (take_value(&s, 255, &n)) {
            out->has_scale = true;
            out->scale = (uint8_t)n;
        }
        return 3;
    }
    if (span_begins_nocase(s, SPAN_LIT("sackOK"))) {
        out->sack_permitted = true;
        return 2;
    }
    if (take_label(&s, SPAN_LIT("sack "))) {
        unsigned blocks = read_sacks(s, out);

        return blocks ? 2 + 8 * blocks : 0;
    }
    if (take_label(&s, SPAN_LIT("TS val ")) || take_label(&s, SPAN_LIT("timestamp ")))
        return read_times(s, out) ? 10 : 0;
    return span_equal(s, SPAN_LIT("nop")) || span_equal(s, SPAN_LIT("eol")) ? 1 : 0;
}

static void read_options(struct span in, struct dumptext *out)
{
    unsigned len = 0;
    bool known = true;

    out->has_options = true;
    while (in.len > 0) {
        struct span one = span_trim(span_cut(&in, ','));
        unsigned n = one.len ? read_option(one, out) : 0;

        if (one.len > 0 && one.ptr[0] == '[')
            out->options_cut = true; /* "[|tcp]" */
        if (n == 0)
            known = false;
        len += n;
    }
    out->options_len = known && len <= 40 ? (uint8_t)((len + 3) & ~3u) : DUMPTEXT_UNKNOWN_LEN;
}

/* --- fields --- */

/* "1:118" or "1" behind "seq"; with `old`, "1:118(117)". */
static bool read_range(struct span *s, bool old, struct dumptext *out)
{
    struct span rest = *s;
    uint64_t begin, end, len;

    if (!take_value(&rest, UINT32_MAX, &begin))
        return false;
    if (rest.len > 1 && rest.ptr[0] == ':') {
        rest = dumptext_after(rest, 1);
        if (!take_value(&rest, UINT32_MAX, &end))
            return false;
        out->has_end = true;
        out->end = (uint32_t)end;
    }
    if (old) {
        if (!out->has_end || !take_label(&rest, SPAN_LIT("(")) ||
            !take_value(&rest, UINT32_MAX, &len))
            return false;
        out->has_length = out->is_whole = true;
        out->length = (uint32_t)len;
        take_label(&rest, SPAN_LIT(")"));
    }
    out->has_seq = true;
    out->seq = (uint32_t)begin;
    *s = rest;
    return true;
}

/* What stands behind "length N": the first line of HTTP, or that it was HTTP. */
static void read_http(struct span s, struct dumptext *out)
{
    if (!take_label(&s, SPAN_LIT(": HTTP")))
        return;
    out->is_http = true;
    if (take_label(&s, SPAN_LIT(": ")))
        out->http = s;
}

static void read_number(struct span *s, bool *has, uint32_t *value)
{
    uint64_t n;

    if (!take_value(s, UINT32_MAX, &n))
        return;
    *has = true;
    *value = (uint32_t)n;
}

/* One field off the front.  False: the last one was read. */
static bool read_field(struct span *s, bool old, struct dumptext *out)
{
    uint64_t n;

    if (take_label(s, SPAN_LIT("seq "))) {
        read_range(s, false, out);
    } else if (take_label(s, SPAN_LIT("ack "))) {
        read_number(s, &out->has_ack, &out->ack);
    } else if (take_label(s, SPAN_LIT("win "))) {
        out->has_win = take_value(s, UINT16_MAX, &n);
        out->win = out->has_win ? (uint16_t)n : 0;
        if (old && out->has_win)
            out->is_whole = true;
    } else if (dumptext_begins(*s, SPAN_LIT("options ["))) {
        size_t len = dumptext_bracket_len(dumptext_after(*s, 8));
        bool closed = s->ptr[8 + len - 1] == ']' && len > 1;

        read_options((struct span){s->ptr + 9, len - 1 - closed}, out);
        out->options_cut |= !closed;
        *s = dumptext_after(*s, 8 + len);
    } else if (old && s->ptr[0] == '<') {
        size_t len = dumptext_bracket_len(*s);

        read_options((struct span){s->ptr + 1, len - 1 - (s->ptr[len - 1] == '>')}, out);
        *s = dumptext_after(*s, len);
    } else if (!old && take_label(s, SPAN_LIT("length "))) {
        read_number(s, &out->has_length, &out->length);
        out->is_whole = out->has_length;
        if (out->has_length)
            read_http(*s, out);
        return false;
    } else if (dumptext_remark_len(*s, NULL) > 0) { /* also "(correct)", "(DF)" */
        *s = dumptext_after(*s, dumptext_remark_len(*s, NULL));
    } else if (!old || out->has_seq || !read_range(s, true, out)) {
        dumptext_take_word(s);
    }
    return true;
}

static void read_fields(struct span s, bool old, struct dumptext *out)
{
    for (;;) {
        while (s.len > 0 && (s.ptr[0] == ' ' || s.ptr[0] == '\t' || s.ptr[0] == ','))
            s = dumptext_after(s, 1);
        if (s.len == 0 || !read_field(&s, old, out))
            return;
    }
}

/* tcpdump 3: flags are a word of letters, and something that only it prints follows. */
static bool read_old(struct span rest, struct dumptext *out)
{
    struct span word = dumptext_take_word(&rest);

    if (word.len > 0 && word.ptr[word.len - 1] == ',')
        word.len--;
    if (word.len > 6 || !read_flags(word, &out->flags))
        return false;
    out->flags &= (uint8_t)~PACKET_ACK; /* '.' stands for no flag at all here */
    read_fields(rest, true, out);
    if (!out->has_seq && !(out->has_ack && out->has_win))
        return false;
    out->is_whole = true;
    return true;
}

bool dumptext_parse_tcp(struct span rest, struct dumptext *out)
{
    struct span bracket;
    uint64_t n;

    if (take_label(&rest, SPAN_LIT("tcp "))) {
        if (!take_value(&rest, UINT32_MAX, &n))
            return false;
        out->length = (uint32_t)n;
        out->has_length = out->is_whole = true;
        return true;
    }
    if (!take_label(&rest, SPAN_LIT("Flags "))) {
        if (!read_old(rest, out))
            return false;
    } else {
        if (rest.len == 0 || rest.ptr[0] != '[')
            return false;
        bracket = (struct span){rest.ptr, dumptext_bracket_len(rest)};
        if (bracket.len < 3 || bracket.ptr[bracket.len - 1] != ']' ||
            !read_flags((struct span){bracket.ptr + 1, bracket.len - 2}, &out->flags))
            return false;
        read_fields(dumptext_after(rest, bracket.len), false, out);
    }
    out->has_flags = true;
    if (out->has_ack)
        out->flags |= PACKET_ACK;
    return true;
}
