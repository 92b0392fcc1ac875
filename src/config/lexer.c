#include "config/lexer.h"

#include <stdio.h>
#include <stdlib.h>

#define WORDS_FIRST 16u

void lexer_init(struct lexer *lx, const char *file, struct span text, struct config_report *report)
{
    *lx = (struct lexer){.file = file, .report = report, .text = text, .line = 1, .column = 1};
    if (text.len >= 3 && memcmp(text.ptr, "\xef\xbb\xbf", 3) == 0)
        lx->at = 3; /* a byte order mark, as some editors leave one */
}

void lexer_fini(struct lexer *lx)
{
    free(lx->store);
    free(lx->words);
    *lx = (struct lexer){0};
}

struct place lexer_place(const struct lexer *lx)
{
    return (struct place){lx->file, lx->line, lx->column};
}

struct place lexer_word_place(const struct lexer *lx, const struct word *w)
{
    return (struct place){lx->file, w->line, w->column};
}

/* Whether nothing but blanks stands before it on its line. */
static bool is_first_on_line(const struct lexer *lx, const struct word *w)
{
    const char *p = w->text.ptr, *from = lx->text.ptr;

    if (w->quoted)
        return false;
    while (p > from && (p[-1] == ' ' || p[-1] == '\t'))
        p--;
    return p == from || p[-1] == '\n';
}

const char *lexer_show_word(const struct lexer *lx, const struct word *w, char out[REPORT_WORD_MAX])
{
    char cut[REPORT_WORD_MAX];

    if (!lx->guards)
        return report_word(w->text, out);
    if (!is_first_on_line(lx, w))
        return report_word(SPAN_LIT("…"), out);
    for (size_t i = 0; i < w->text.len; i++)
        if (w->text.ptr[i] == '=' || w->text.ptr[i] == ':') {
            snprintf(cut, sizeof cut, "%.*s…", (int)i + 1, w->text.ptr);
            return report_word(span_of(cut), out);
        }
    return report_word(w->text, out);
}

static bool is_like_a_name(struct span text)
{
    for (size_t i = 0; i < text.len; i++)
        if (!strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-",
                    text.ptr[i]) ||
            !text.ptr[i])
            return false;
    return true;
}

const char *lexer_show_name(const struct lexer *lx, const struct word *w, const char *hint,
                            char out[REPORT_WORD_MAX])
{
    if (*hint && !w->quoted && is_like_a_name(w->text))
        return report_word(w->text, out);
    return lexer_show_word(lx, w, out);
}

/* Bytes of the UTF-8 sequence at `p`, 0 when it is none (RFC 3629 section 4). */
static size_t utf8_len(const unsigned char *p, size_t n)
{
    static const struct {
        unsigned char first, last, low, high; /* the first byte; the second one's bounds */
        unsigned char len;
    } rows[] = {
        {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3}, {0xe1, 0xec, 0x80, 0xbf, 3},
        {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3}, {0xf0, 0xf0, 0x90, 0xbf, 4},
        {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (p[0] < rows[i].first || p[0] > rows[i].last)
            continue;
        if (n < rows[i].len || p[1] < rows[i].low || p[1] > rows[i].high)
            return 0;
        for (size_t k = 2; k < rows[i].len; k++)
            if ((p[k] & 0xc0) != 0x80)
                return 0;
        return rows[i].len;
    }
    return 0;
}

/* The next byte, -1 at the end. */
static int peek(const struct lexer *lx)
{
    return lx->at < lx->text.len ? (unsigned char)lx->text.ptr[lx->at] : -1;
}

/* Over one character; tells of those that no configuration has. */
static void step(struct lexer *lx)
{
    const unsigned char *p = (const unsigned char *)lx->text.ptr + lx->at;
    size_t len = 1;

    if (*p >= 0x80) {
        len = utf8_len(p, lx->text.len - lx->at);
        if (len == 0) {
            report_error(lx->report, lexer_place(lx), "the byte \\x%02x is not UTF-8", *p);
            len = 1;
        }
    } else if ((*p < ' ' && *p != '\t' && *p != '\n' && *p != '\r') || *p == 0x7f) {
        report_error(lx->report, lexer_place(lx), "the control character \\x%02x", *p);
    }
    lx->at += len;
    lx->column++;
    if (*p == '\n') {
        lx->line++;
        lx->column = 1;
    }
}

static bool is_space(int c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static void skip_space(struct lexer *lx)
{
    for (int c = peek(lx); is_space(c) || c == '#'; c = peek(lx)) {
        if (c == '#')
            while (peek(lx) >= 0 && peek(lx) != '\n')
                step(lx);
        else
            step(lx);
    }
}

/* One character of a quote into the store. */
static void take_quoted(struct lexer *lx)
{
    size_t from = lx->at;

    if (peek(lx) == '\\') {
        struct place at = lexer_place(lx);

        step(lx);
        switch (peek(lx)) {
        case 'n':
            lx->store[lx->stored++] = '\n';
            step(lx);
            return;
        case '"':
        case '\\':
            from = lx->at;
            break;
        default:
            report_error(lx->report, at, "unknown escape: \\\" \\\\ and \\n are known");
            return;
        }
    }
    step(lx);
    memcpy(lx->store + lx->stored, lx->text.ptr + from, lx->at - from);
    lx->stored += lx->at - from;
}

static struct span take_quote(struct lexer *lx)
{
    struct place open = lexer_place(lx);

    if (!lx->store)
        lx->store = malloc(lx->text.len); /* unescaped is never longer */
    if (!lx->store) {
        lx->failed = true;
        lx->at = lx->text.len;
        return (struct span){"", 0};
    }
    size_t from = lx->stored;
    step(lx);
    while (peek(lx) != '"' && peek(lx) != '\n' && peek(lx) >= 0)
        take_quoted(lx);
    if (peek(lx) == '"')
        step(lx);
    else
        report_error(lx->report, open, "the quote is not closed on its line");
    return (struct span){lx->store + from, lx->stored - from};
}

static struct span take_bare(struct lexer *lx)
{
    size_t from = lx->at;

    for (int c = peek(lx); c >= 0 && !is_space(c) && (c == 0 || !strchr(";{}\"#", c)); c = peek(lx))
        step(lx);
    return (struct span){lx->text.ptr + from, lx->at - from};
}

static void take_word(struct lexer *lx)
{
    struct word w = {.line = lx->line, .column = lx->column, .quoted = peek(lx) == '"'};

    w.text = w.quoted ? take_quote(lx) : take_bare(lx);
    if (lx->words_len == lx->words_cap) {
        unsigned cap = lx->words_cap ? lx->words_cap * 2 : WORDS_FIRST;
        struct word *more = reallocarray(lx->words, cap, sizeof(*more));

        if (!more) {
            lx->failed = true;
            return;
        }
        lx->words = more;
        lx->words_cap = cap;
    }
    lx->words[lx->words_len++] = w;
}

/* Whether the last word begins the next statement: a ; was left out. */
static bool is_next_name(const struct lexer *lx, lexer_is_name_fn is_name, int scope)
{
    if (!is_name || lx->words_len < 2)
        return false;

    const struct word *w = &lx->words[lx->words_len - 1];
    return !w->quoted && w->line > w[-1].line && is_name(scope, w->text);
}

static void report_missing(const struct lexer *lx, lexer_is_name_fn is_name, int scope)
{
    const struct word *name = &lx->words[0], *last = &lx->words[lx->words_len - 1];
    bool known = is_name && !name->quoted && is_name(scope, name->text);
    char shown[REPORT_WORD_MAX];

    if (lx->guards && known)
        report_error(lx->report, lexer_word_place(lx, last), "a ; is missing at the end of %.*s",
                     (int)name->text.len, name->text.ptr);
    else
        report_error(lx->report, lexer_word_place(lx, last), "a ; is missing after %s",
                     lexer_show_word(lx, last, shown));
}

/* Takes words up to what ends the statement, which is left to be read. */
static void take_words(struct lexer *lx, lexer_is_name_fn is_name, int scope)
{
    lx->words_len = 0;
    for (;;) {
        skip_space(lx);

        int c = peek(lx);
        if (c < 0 || c == ';' || c == '{' || c == '}')
            break;

        size_t at = lx->at;
        int line = lx->line, column = lx->column;
        take_word(lx);
        if (is_next_name(lx, is_name, scope)) {
            lx->words_len--;
            lx->at = at;
            lx->line = line;
            lx->column = column;
            break;
        }
    }
}

enum statement_end lexer_next(struct lexer *lx, lexer_is_name_fn is_name, int scope,
                              struct statement *out)
{
    for (;;) {
        take_words(lx, is_name, scope);
        *out = (struct statement){lx->words, lx->words_len};

        struct place at = lexer_place(lx);
        int c = peek(lx);
        if (c == ';' || c == '{' || (c == '}' && out->len == 0))
            step(lx);
        else if (out->len > 0)
            report_missing(lx, is_name, scope);
        switch (c) {
        case '{':
            if (out->len == 0)
                report_error(lx->report, at, "a { without a name before it");
            return STATEMENT_BLOCK;
        case ';':
            if (out->len == 0) {
                report_error(lx->report, at, "a ; without a setting before it");
                continue;
            }
            return STATEMENT_PLAIN;
        case '}':
            return out->len > 0 ? STATEMENT_PLAIN : STATEMENT_CLOSE;
        default: /* the end, or the next name */
            return out->len > 0 ? STATEMENT_PLAIN : STATEMENT_EOF;
        }
    }
}

void lexer_skip_block(struct lexer *lx)
{
    struct statement s;
    int line = lx->line;

    for (unsigned depth = 1; depth > 0;) {
        switch (lexer_next(lx, NULL, 0, &s)) {
        case STATEMENT_BLOCK:
            depth++;
            break;
        case STATEMENT_CLOSE:
            depth--;
            break;
        case STATEMENT_EOF:
            report_error(lx->report, lexer_place(lx), "a } is missing for the { on line %d", line);
            return;
        case STATEMENT_PLAIN:
            break;
        }
    }
}
