/* Words.  A text is cut at all that is neither a letter, a digit, one of . - _ nor above ASCII.  A
 * piece is a word as a whole, and so are its parts between dots, hyphens and underscores; one with
 * dots is found by what follows each dot, too: "updates.example.net" by itself, "example.net",
 * "net", "updates", "example".  Numbers with dots that are no addresses ("0.2") are left out:
 * nobody looks for them, and there is always a new one.
 *
 * Each term that only one flow of a block has costs as much as a row of its own.  So a target is
 * not written twice: what is asked for as a word is looked for as a host and as a domain, too
 * (clauses.c), and a URL's beginning, which is the target again, is skipped. */
#include "store/terms.h"

#include <stdio.h>

#include "base/num.h"

#define VALUE_MAX (TERM_MAX - 1)
#define DIGEST_LEN 16 /* hexadecimal digits that stand for the rest of a long value */

static bool add_term(struct terms *t, const char *term, size_t len)
{
    if (t->len + 1u + len > sizeof t->bytes)
        return false;
    t->bytes[t->len] = (char)len;
    memcpy(t->bytes + t->len + 1, term, len);
    t->len = (uint16_t)(t->len + 1 + len);
    return true;
}

/* FNV-1a (Fowler, Noll, Vo): it is kept in files, so it never changes. */
static uint64_t checksum(struct span s)
{
    uint64_t h = 0xcbf29ce484222325ull;

    for (size_t i = 0; i < s.len; i++)
        h = (h ^ (unsigned char)s.ptr[i]) * 0x100000001b3ull;
    return h;
}

size_t terms_write(enum term_kind kind, struct span value, char out[TERM_MAX])
{
    bool lower = kind == TERM_DOMAIN || kind == TERM_HOST;
    size_t kept = value.len <= VALUE_MAX ? value.len : VALUE_MAX - DIGEST_LEN;

    out[0] = (char)kind;
    for (size_t i = 0; i < kept; i++)
        out[1 + i] = lower ? span_lower(value.ptr[i]) : value.ptr[i];
    if (kept < value.len) {
        char digits[DIGEST_LEN + 1];

        snprintf(digits, sizeof digits, "%016llx", (unsigned long long)checksum(value));
        memcpy(out + 1 + kept, digits, DIGEST_LEN);
        kept += DIGEST_LEN;
    }
    return 1 + kept;
}

static void add_value(struct terms *t, enum term_kind kind, struct span value)
{
    char term[TERM_MAX];

    add_term(t, term, terms_write(kind, value, term));
}

struct span terms_cut_host(struct span authority, struct span *port)
{
    struct span host = authority;
    long colon = -1;

    *port = (struct span){NULL, 0};
    for (size_t i = 0; i < authority.len; i++) {
        if (authority.ptr[i] == ':' && colon >= 0 && authority.ptr[0] != '[') {
            colon = -1; /* a bare IPv6 address */
            break;
        }
        if (authority.ptr[i] == ':' || authority.ptr[i] == ']')
            colon = authority.ptr[i] == ':' ? (long)i : -1;
    }
    if (colon >= 0) {
        host.len = (size_t)colon;
        *port = (struct span){authority.ptr + colon + 1, authority.len - (size_t)colon - 1};
    }
    if (host.len >= 2 && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']')
        host = (struct span){host.ptr + 1, host.len - 2};
    if (host.len > 1 && host.ptr[host.len - 1] == '.')
        host.len--;
    return host;
}

/* What a byte does in a text. */
enum { BETWEEN, LETTER, DIGIT, DOT, JOINT };

static inline unsigned class_of(char c)
{
    char lower = (char)(c | 0x20);

    if ((lower >= 'a' && lower <= 'z') || (unsigned char)c >= 0x80)
        return LETTER;
    if (c >= '0' && c <= '9')
        return DIGIT;
    return c == '.' ? DOT : c == '-' || c == '_' ? JOINT : BETWEEN;
}

/* Takes the next piece off *rest, without dots and joints at its ends; empty at the end. */
static struct span cut_piece(struct span *rest)
{
    const char *at = rest->ptr ? rest->ptr : "", *end = at + rest->len, *from;

    while (at < end && class_of(*at) != LETTER && class_of(*at) != DIGIT)
        at++;
    from = at;
    while (at < end && class_of(*at) != BETWEEN)
        at++;
    *rest = (struct span){at, (size_t)(end - at)};
    while (at > from && class_of(at[-1]) > DIGIT)
        at--;
    return (struct span){from, (size_t)(at - from)};
}

static size_t write_word(struct span word, char out[TERM_MAX])
{
    size_t len = word.len < VALUE_MAX ? word.len : VALUE_MAX;

    out[0] = TERM_WORD;
    for (size_t i = 0; i < len; i++)
        out[1 + i] = span_lower(word.ptr[i]);
    return 1 + len;
}

static bool add_word(struct terms *t, struct span word)
{
    char *at = t->bytes + t->len;

    if (word.len == 0)
        return true;
    if (t->len + 1u + TERM_MAX > sizeof t->bytes)
        return false;
    at[0] = (char)write_word(word, at + 1);
    t->len = (uint16_t)(t->len + 1 + (unsigned char)at[0]);
    return true;
}

/* Which classes of bytes a piece has, as bits, and its dots. */
static unsigned look_at(struct span piece, unsigned *dots)
{
    unsigned seen = 0;

    *dots = 0;
    for (size_t i = 0; i < piece.len; i++) {
        unsigned class = class_of(piece.ptr[i]);

        seen |= 1u << class;
        *dots += class == DOT;
    }
    return seen;
}

/* The parts between dots, hyphens and underscores. */
static bool add_parts(struct terms *t, struct span piece)
{
    size_t from = 0;

    for (size_t i = 0; i <= piece.len; i++) {
        if (i < piece.len && class_of(piece.ptr[i]) <= DIGIT)
            continue;
        if (!add_word(t, (struct span){piece.ptr + from, i - from}))
            return false;
        from = i + 1;
    }
    return true;
}

/* What follows each dot, as long as there is a dot in it. */
static bool add_ends(struct terms *t, struct span piece, unsigned dots)
{
    for (; dots > 1; dots--) {
        span_cut(&piece, '.');
        if (!add_word(t, piece))
            return false;
    }
    return true;
}

/* A number with dots that is no address: no word of a flow. */
static bool is_left_out(unsigned seen, unsigned dots)
{
    return !(seen & 1u << LETTER) && dots > 0 && dots != 3;
}

/* False: there is no more room. */
static bool add_words(struct terms *t, struct span text)
{
    struct span piece;
    unsigned dots;

    while ((piece = cut_piece(&text)).len > 0) {
        unsigned seen = look_at(piece, &dots);

        if (is_left_out(seen, dots))
            continue;
        if (!add_word(t, piece))
            return false;
        if (!(seen & 1u << LETTER) || !(seen & (1u << DOT | 1u << JOINT)))
            continue;
        if (!add_parts(t, piece) || !add_ends(t, piece, dots))
            return false;
    }
    return true;
}

/* The host, each domain above it, and its labels as words; an address has but itself. */
static void add_target(struct terms *t, struct span target)
{
    struct span port, host = terms_cut_host(target, &port), rest = host;
    struct addr address;

    add_value(t, TERM_HOST, host);
    add_words(t, port);
    if (addr_parse(host, &address))
        return;
    add_parts(t, host);
    for (span_cut(&rest, '.'); rest.len > 0; span_cut(&rest, '.'))
        add_value(t, TERM_DOMAIN, rest);
}

bool terms_is_target(struct span target, struct span meant)
{
    bool below = meant.len > 1 && meant.ptr[0] == '.';
    struct span port, host = terms_cut_host(target, &port), wanted_port, wanted;
    struct addr address;

    if (below)
        meant = (struct span){meant.ptr + 1, meant.len - 1};
    wanted = terms_cut_host(meant, &wanted_port);
    if (wanted_port.ptr && !span_equal(port, wanted_port))
        return false;
    if (span_equal_nocase(host, wanted))
        return true;
    if (!below || wanted.len == 0 || host.len <= wanted.len || addr_parse(host, &address))
        return false;
    return host.ptr[host.len - wanted.len - 1] == '.' &&
           span_equal_nocase((struct span){host.ptr + host.len - wanted.len, wanted.len}, wanted);
}

/* What of a URL is not in the target. */
static struct span skip_authority(const char *url)
{
    struct span rest = span_of(url);
    const char *at = url ? strstr(url, "://") : NULL;

    if (!at)
        return rest;
    at += 3;
    at += strcspn(at, "/?#");
    return (struct span){at, (size_t)(url + rest.len - at)};
}

bool terms_is_failure(const struct flow *f)
{
    return !verdict_is_success(f->verdict) && !f->superseded_by;
}

static void add_notes(struct terms *t, const struct flow *f, enum note_kind kind)
{
    const char *text;
    uint32_t at = 0;

    while ((text = flow_next_note(f, kind, NULL, &at)))
        add_words(t, span_of(text));
}

void terms_of_flow(struct terms *t, const struct flow *f)
{
    char text[ENDPOINT_TEXT_MAX];

    t->len = 0;
    add_value(t, TERM_VERDICT, span_of(verdict_get_info(f->verdict)->name));
    if (terms_is_failure(f))
        add_value(t, TERM_FAILED, SPAN_LIT(""));
    add_value(t, TERM_IN, span_of(phase_name(f->ended_in)));
    add_value(t, TERM_BY, span_of(verdict_side_name(f->ended_by)));
    if (f->client.addr.family)
        add_value(t, TERM_CLIENT, (struct span){text, addr_write(&f->client.addr, text)});
    if (f->target)
        add_target(t, span_of(f->target));
    if (f->user)
        add_value(t, TERM_USER, span_of(f->user));
    if (f->rule)
        add_value(t, TERM_RULE, span_of(f->rule));
    add_words(t, span_of(f->user));
    add_words(t, span_of(f->rule));
    add_words(t, span_of(f->reason));
    add_notes(t, f, NOTE_EVIDENCE);
    add_notes(t, f, NOTE_WARNING);
    add_words(t, skip_authority(f->url)); /* last: it may be as long as a request allows */
}

size_t terms_next_word(struct span *rest, char out[TERM_MAX], bool *prefix)
{
    struct span piece = cut_piece(rest);
    size_t len = piece.len > 0 ? write_word(piece, out) : 0;
    unsigned dots, seen = look_at(piece, &dots);

    *prefix = len > 0 && rest->len > 0 && rest->ptr[0] == '*';
    if (*prefix)
        len = write_word((struct span){piece.ptr, (size_t)(rest->ptr - piece.ptr)}, out);
    if (!*prefix && is_left_out(seen, dots)) { /* the beginning of an address */
        if (len < TERM_MAX)
            out[len++] = '.';
        *prefix = true;
    }
    return len;
}

bool terms_next(struct span all, size_t *at, struct span *term)
{
    size_t len;

    if (*at >= all.len)
        return false;
    len = (unsigned char)all.ptr[*at];
    if (len == 0 || len > TERM_MAX || len > all.len - *at - 1)
        return false;
    *term = (struct span){all.ptr + *at + 1, len};
    *at += 1 + len;
    return true;
}
