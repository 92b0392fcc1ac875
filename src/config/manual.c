/* The lists of settings for viaduct.conf(5) and upstream.conf(5), as mdoc. */
#include <stdio.h>
#include <string.h>

#include "config/config.h"
#include "config/directive.h"
#include "config/value.h"
#include "policy/access_build.h"

#define LINE_LEN 72

/* Plain text, filled: nothing in it may be read as a request or an escape; a new sentence begins a
 * new line. */
static void print_text(FILE *out, const char *text)
{
    size_t column = 0;

    for (const char *word = text; *word;) {
        size_t len = strcspn(word, " ");

        if (column > 0 && column + len > LINE_LEN)
            column = (fputc('\n', out), 0);
        if (column > 0)
            fputc(' ', out);
        else if (*word == '.' || *word == '\'')
            fputs("\\&", out);
        for (size_t i = 0; i < len; i++) {
            if (word[i] == '\\')
                fputs("\\e", out);
            else
                fputc(word[i], out);
        }
        column += len + 1;
        if (word[len - (len > 0)] == '.')
            column = (fputc('\n', out), 0);
        word += len;
        word += strspn(word, " ");
    }
    if (column > 0)
        fputc('\n', out);
}

static bool has_bounds(const struct directive *d)
{
    return d->apply == value_number || d->apply == value_size || d->apply == value_size32 ||
           d->apply == value_time || d->apply == value_workers;
}

static void print_item(FILE *out, const char *name, const char *takes, const char *block)
{
    fprintf(out, ".It Ic %s", name);
    if (takes)
        fprintf(out, " Ar \"%s\"", takes);
    fprintf(out, "%s\n", block);
}

static void print_scope(FILE *out, enum scope scope);

static void print_directive(FILE *out, const struct directive *d)
{
    char bounds[VALUE_BOUNDS_MAX];
    bool rules = d->block == SCOPE_ACCESS && d->scope == SCOPE_ACCESS;
    const char *block = d->block == SCOPE_MAIN ? ""
                        : d->block_optional    ? " Op { ... }"
                                               : " { ... }";

    print_item(out, d->name, d->takes, block);
    print_text(out, d->help);
    if (has_bounds(d))
        fprintf(out, "From %s.\n", value_write_bounds(d, bounds));
    if (d->value)
        fprintf(out, "The default is\n.Ql \"%s\" .\n", d->value);
    if (d->block != SCOPE_MAIN && !rules)
        print_scope(out, d->block);
}

static void print_terms(FILE *out)
{
    unsigned n;
    const struct access_keyword *all = access_builder_keywords(&n);

    fputs(".It Xo\nInside a rule:\n.Xc\n.Bl -tag -width Ds\n", out);
    for (unsigned i = 0; i < n; i++) {
        print_item(out, all[i].name, all[i].takes, "");
        print_text(out, all[i].help);
        if (all[i].condition)
            fprintf(out, ".Pq negated as a whole: Ql \"%s not\"\n", all[i].name);
    }
    fputs(".El\n", out);
}

static void print_scope(FILE *out, enum scope scope)
{
    fputs(".Bl -tag -width Ds\n", out);
    for (unsigned i = 0; i < directive_count(); i++)
        if (directive_get(i)->scope == scope)
            print_directive(out, directive_get(i));
    if (scope == SCOPE_ACCESS)
        print_terms(out);
    fputs(".El\n", out);
}

void config_print_manual(FILE *out)
{
    print_scope(out, SCOPE_MAIN);
}

void config_print_upstream_manual(FILE *out)
{
    print_scope(out, SCOPE_UPSTREAM_FILE);
}
