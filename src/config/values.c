#include "config/values.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int values_get_line(const struct config_values *v, enum scope scope, const char *name)
{
    const struct directive *d = directive_find(scope, span_of(name));

    return d ? v->of[directive_index(d)].line : 0;
}

const char *values_absolute_path(struct arena *a, const char *path)
{
    char *folder = path[0] == '/' ? NULL : getcwd(NULL, 0);
    const char *absolute = folder ? arena_printf(a, "%s/%s", folder, path) : path;

    free(folder);
    return absolute ? absolute : path;
}

static bool needs_quotes(const struct word *w)
{
    static const char special[] = " \t\r\n;{}\"#";

    for (size_t i = 0; i < w->text.len; i++)
        if (memchr(special, w->text.ptr[i], sizeof(special) - 1))
            return true;
    return w->text.len == 0 || w->quoted;
}

/* Room for the word in its worst case: each byte escaped, quotes, a space. */
static size_t written_max(const struct word *words, unsigned n)
{
    size_t len = 1;

    for (unsigned i = 0; i < n; i++)
        len += words[i].text.len * 2 + 3;
    return len;
}

static char *write_word(char *out, const struct word *w)
{
    bool quotes = needs_quotes(w);

    if (quotes)
        *out++ = '"';
    for (size_t i = 0; i < w->text.len; i++) {
        char c = w->text.ptr[i];

        if (quotes && (c == '"' || c == '\\' || c == '\n'))
            *out++ = '\\';
        *out++ = quotes && c == '\n' ? 'n' : c;
    }
    if (quotes)
        *out++ = '"';
    return out;
}

char *values_write_words(struct arena *a, const struct word *words, unsigned n)
{
    char *text = arena_get(a, written_max(words, n));
    char *end = text;

    for (unsigned i = 0; text && i < n; i++) {
        if (i > 0)
            *end++ = ' ';
        end = write_word(end, &words[i]);
    }
    return text; /* zeroed: terminated */
}
