#include "cli/problems.h"

#include <string.h>

/* Behind "NAME:LINE:COLUMN: ". */
static const char *skip_place(const char *text, const char *name)
{
    size_t len = strlen(name), digits;

    if (strncmp(text, name, len) != 0)
        return text;
    digits = strspn(text + len, ":0123456789");
    return text[len + digits] == ' ' ? text + len + digits + 1 : text;
}

void problems_print(const struct config_report *r, const char *unplaced, bool warnings)
{
    for (unsigned i = 0; i < r->len; i++) {
        const struct config_problem *p = &r->items[i];
        const char *text = unplaced ? skip_place(p->text, unplaced) : p->text;

        if (!p->warning || warnings)
            fprintf(stderr, "%s%s\n", p->warning ? "warning: " : "", text);
    }
}
