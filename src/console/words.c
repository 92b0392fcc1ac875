#include "console/words.h"

#include <stdlib.h>
#include <string.h>

struct words {
    char *texts[JOBS_ARGS_MAX];
    unsigned len;
};

struct words *words_new(void)
{
    return calloc(1, sizeof(struct words));
}

void words_free(void *words)
{
    struct words *w = words;

    for (unsigned i = 0; w && i < w->len; i++)
        free(w->texts[i]);
    free(w);
}

bool words_add(struct words *w, struct span text)
{
    if (w->len + 1 >= JOBS_ARGS_MAX)
        return false;
    w->texts[w->len] = span_dup(text);
    return w->texts[w->len] && ++w->len;
}

bool words_add_all(struct words *w, const char *const *texts)
{
    for (; *texts; texts++)
        if (!words_add(w, span_of(*texts)))
            return false;
    return true;
}

void words_give(const struct words *w, const char *args[JOBS_ARGS_MAX])
{
    for (unsigned i = 0; i < w->len; i++)
        args[i] = w->texts[i];
    args[w->len] = NULL;
}
