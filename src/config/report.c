#include "config/report.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/nearest.h"
#include "flow/words.h"

/* Whether the byte is, or is part of, a control character: C0, DEL, C1 (U+0080-009F in UTF-8),
 * which terminals obey. */
static bool is_control(struct span text, size_t at)
{
    unsigned char c = (unsigned char)text.ptr[at];
    unsigned char before = at > 0 ? (unsigned char)text.ptr[at - 1] : 0;
    unsigned char after = at + 1 < text.len ? (unsigned char)text.ptr[at + 1] : 0;

    return c < ' ' || c == 0x7f || (c == 0xc2 && after >= 0x80 && after < 0xa0) ||
           (c >= 0x80 && c < 0xa0 && before == 0xc2);
}

/* Of a path, or of a text from elsewhere. */
static void disarm(char *text)
{
    struct span s = span_of(text);
    bool control = s.len > 0 && is_control(s, 0);

    for (size_t i = 0; i < s.len; i++) {
        bool next = i + 1 < s.len && is_control(s, i + 1); /* before its neighbour is changed */

        if (control)
            text[i] = '?';
        control = next;
    }
}

/* "file:line:column: text" on the heap, NULL when memory is out. */
__attribute__((format(printf, 2, 0))) static char *place_text(struct place at, const char *fmt,
                                                              va_list args)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);

    if (!out)
        return NULL;
    fprintf(out, "%s:", at.file);
    if (at.line > 0)
        fprintf(out, "%d:", at.line);
    if (at.column > 0)
        fprintf(out, "%d:", at.column);
    fputc(' ', out);
    vfprintf(out, fmt, args);
    if (fclose(out) != 0) {
        free(text);
        return NULL;
    }
    disarm(text);
    return text;
}

__attribute__((format(printf, 4, 0))) static void add(struct config_report *r, struct place at,
                                                      bool warning, const char *fmt, va_list args)
{
    r->errors += !warning;
    if (r->len == REPORT_ITEMS_MAX)
        return;
    if (!r->items)
        r->items = calloc(REPORT_ITEMS_MAX, sizeof(*r->items));
    if (!r->items)
        return;

    char *text = place_text(at, fmt, args);
    if (text)
        r->items[r->len++] = (struct config_problem){text, at.line, at.column, warning};
}

void report_error(struct config_report *r, struct place at, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    add(r, at, false, fmt, args);
    va_end(args);
}

void report_warning(struct config_report *r, struct place at, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    add(r, at, true, fmt, args);
    va_end(args);
}

const char *report_words(const struct config_report *r, const char *msgid)
{
    if (!r->language)
        return msgid;
    return *r->language ? words_in(msgid, r->language) : words_local(msgid);
}

static bool is_before(const struct config_problem *a, const struct config_problem *b)
{
    return a->line != b->line ? a->line < b->line : a->column < b->column;
}

void report_sort(struct config_report *r, unsigned from)
{
    for (unsigned i = from + 1; i < r->len; i++) {
        for (unsigned j = i; j > from && is_before(&r->items[j], &r->items[j - 1]); j--) {
            struct config_problem swap = r->items[j];

            r->items[j] = r->items[j - 1];
            r->items[j - 1] = swap;
        }
    }
}

void config_report_fini(struct config_report *r)
{
    for (unsigned i = 0; i < r->len; i++)
        free(r->items[i].text);
    free(r->items);
    *r = (struct config_report){0};
}

const char *report_word(struct span word, char out[REPORT_WORD_MAX])
{
    const size_t limit =
        REPORT_WORD_MAX - 12; /* an escape or the rest of a character, …, quote, end */
    size_t used = 0, i = 0;

    out[used++] = '"';
    for (; i < word.len && (used < limit || (word.ptr[i] & 0xc0) == 0x80); i++) {
        unsigned char c = (unsigned char)word.ptr[i];

        if (used >= limit + 4) /* not UTF-8: continuation bytes without end */
            break;
        if (!is_control(word, i))
            out[used++] = (char)c;
        else
            used += (size_t)snprintf(out + used, REPORT_WORD_MAX - used, "\\x%02x", c);
    }
    snprintf(out + used, REPORT_WORD_MAX - used, "%s\"", i < word.len ? "…" : "");
    return out;
}

const char *report_hint(struct span word, const char *const *names, unsigned n,
                        char out[REPORT_HINT_MAX])
{
    const char *near = nearest_find(word, names, n);

    out[0] = '\0';
    if (near)
        snprintf(out, REPORT_HINT_MAX, " (did you mean \"%s\"?)", near);
    return out;
}
