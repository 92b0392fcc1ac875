/* A configuration from outside: whatever it says, it is refused with a reason or it loads; what
 * loads is shown in words that load to the same again. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/config.h"
#include "fuzz.h"

static char *show(const struct config *c, size_t *len)
{
    char *text = NULL;
    FILE *out = open_memstream(&text, len);

    if (!out)
        abort();
    config_show(c, out);
    fclose(out);
    return text;
}

/* Loads `text`; NULL when it is refused. */
static char *load_and_show(const char *name, struct span text, struct config *previous, size_t *len)
{
    struct config_report report = {0};
    struct config *c = config_load_text(name, text, previous, &report);
    char *shown = NULL;

    if (c)
        shown = show(c, len);
    if (!c && (report.errors == 0 || report.len == 0))
        abort(); /* refused without a word */
    config_unref(c);
    config_report_fini(&report);
    return shown;
}

/* Up to the comment that says where a value comes from. */
static size_t line_len(const char *line)
{
    const char *end = strchr(line, '\n'), *origin = NULL;
    size_t len = end ? (size_t)(end - line) : strlen(line);

    for (size_t i = 0; i + 4 <= len; i++)
        if (memcmp(line + i, "  # ", 4) == 0)
            origin = line + i;
    return origin ? (size_t)(origin - line) : len;
}

static void compare(const char *a, const char *b)
{
    while (*a && *b) {
        size_t n = line_len(a);

        if (n != line_len(b) || memcmp(a, b, n) != 0)
            abort();
        a += strcspn(a, "\n");
        b += strcspn(b, "\n");
        a += *a == '\n';
        b += *b == '\n';
    }
    if (*a || *b)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t len = 0, again_len = 0;
    char *text = malloc(size + 1);

    if (!text)
        return 0;
    memcpy(text, data, size);
    char *shown = load_and_show("/nowhere/f", (struct span){text, size}, NULL, &len);
    if (shown) {
        char *again = load_and_show("/nowhere/f", (struct span){shown, len}, NULL, &again_len);

        if (!again)
            abort();
        compare(shown, again);
        free(again);
    }
    free(shown);
    free(text);
    return 0;
}
