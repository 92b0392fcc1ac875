#include "render/say.h"

#include <stdarg.h>
#include <stdio.h>

#include "flow/words.h"

#define VALUES_MAX 9

void say_words(struct pen *p, say_escape_fn escape, const char *msgid, ...)
{
    const char *values[VALUES_MAX] = {0}, *text = words_local(msgid);
    va_list ap;

    va_start(ap, msgid);
    for (unsigned i = 0; i < VALUES_MAX && (values[i] = va_arg(ap, const char *)); i++)
        ;
    va_end(ap);
    while (*text) {
        size_t run = strcspn(text, "{");

        pen_bytes(p, text, run);
        text += run;
        if (text[0] == '{' && text[1] >= '1' && text[1] <= '9' && text[2] == '}') {
            escape(p, span_of(values[text[1] - '1']));
            text += 3;
        } else if (*text) {
            pen_char(p, *text++);
        }
    }
}

const char *say_number(char out[SAY_NUMBER_MAX], uint64_t n)
{
    snprintf(out, SAY_NUMBER_MAX, "%llu", (unsigned long long)n);
    return out;
}

/* By a character's first byte in UTF-8: from U+3000 on, as far as our words go, all are wide. */
size_t say_columns(struct span text)
{
    size_t columns = 0;

    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];

        if ((c & 0xc0) != 0x80)
            columns += c >= 0xe3 ? 2 : 1;
    }
    return columns;
}

void say_label(struct pen *p, const char *msgid, size_t width)
{
    const char *text = words_local(msgid);
    size_t columns = say_columns(span_of(text));

    pen_text(p, text);
    pen_pad(p, ' ', columns < width ? width - columns : 1);
}
