/* The effective configuration, and the manual's list, both printed from the table of settings. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/config.h"
#include "config/directive.h"
#include "config/upstream.h"
#include "config/value.h"
#include "config/values.h"

struct show {
    const struct config *config;
    FILE *out;
    unsigned depth;
};

static void indent(const struct show *s)
{
    fprintf(s->out, "%*s", (int)(s->depth * 4), "");
}

/* The comment that ends each line. */
static void origin(const struct show *s, const char *file, int line)
{
    if (line > 0)
        fprintf(s->out, "  # %s:%d\n", file, line);
    else
        fputs("  # default\n", s->out);
}

static void close_block(struct show *s)
{
    s->depth--;
    indent(s);
    fputs("}\n", s->out);
}

static void show_path(const struct show *s, const char *name, const char *path)
{
    struct arena a = {0};

    if (path) {
        struct word w = {.text = span_of(values_absolute_path(&a, path)), .quoted = true};
        char *text = values_write_words(&a, &w, 1);

        indent(s);
        fprintf(s->out, "%s %s;\n", name, text ? text : "\"\"");
    }
    arena_fini(&a);
}

static void show_listeners(struct show *s)
{
    for (unsigned i = 0; i < s->config->listeners_len; i++) {
        const struct config_listener *l = &s->config->listeners[i];
        char at[ENDPOINT_TEXT_MAX];
        bool block = l->tls_certificate || l->mss > 0;

        endpoint_write(&l->at, at);
        fprintf(s->out, "listen %s%s", at, block ? " {" : ";");
        origin(s, l->file, l->line);
        if (!block)
            continue;
        s->depth++;
        show_path(s, "tls-certificate", l->tls_certificate);
        show_path(s, "tls-key", l->tls_key);
        if (l->mss > 0) {
            indent(s);
            fprintf(s->out, "mss %u;\n", l->mss);
        }
        close_block(s);
    }
}

static void show_rule(const struct show *s, const struct shown_rule *r)
{
    indent(s);
    fputs(r->head, s->out);
    if (r->block) {
        fputs(" {", s->out);
        for (unsigned i = 0; i < r->terms_len; i++)
            fprintf(s->out, " %s;", r->terms[i]);
        fputs(" }", s->out);
    } else {
        fputc(';', s->out);
    }
    origin(s, s->config->path, r->line);
}

static bool is_rule(const struct shown_rule *r, const char *name)
{
    return strcmp(r->kind, "deny") == 0 && r->name && strcmp(r->name, name) == 0;
}

static const char *const built_in[][2] = {
    {"private", "to loopback link-local private multicast;"},
    {"ports", "method CONNECT; port not 443;"},
};

static const char *default_terms(const struct config *c)
{
    return c->authentication.present ? "authenticated;" : "from loopback;";
}

void config_show_rule(const struct config *c, const char *name, FILE *out)
{
    const struct config_values *v = c->values;

    for (unsigned i = 0; i < v->rules_len; i++) {
        const struct shown_rule *r = &v->rules[i];

        if (strcmp(r->kind, "list") == 0 || !r->name || strcmp(r->name, name) != 0)
            continue;
        for (unsigned n = 0; n < r->terms_len; n++)
            fprintf(out, "%s%s;", n ? " " : "", r->terms[n]);
        return;
    }
    for (unsigned b = 0; b < 2; b++)
        if (strcmp(built_in[b][0], name) == 0)
            fputs(built_in[b][1], out);
    if (strcmp(name, "local") == 0)
        fputs(default_terms(c), out);
}

/* The rules in the order in which they are tried: the two built-in ones, or what took their place,
 * first. */
static void show_access(struct show *s)
{
    const struct config_values *v = s->config->values;
    int line = values_get_line(v, SCOPE_MAIN, "access");

    fputs("access {", s->out);
    origin(s, s->config->path, line);
    s->depth++;
    for (unsigned b = 0; b < 2; b++) {
        unsigned i = 0;

        while (i < v->rules_len && !is_rule(&v->rules[i], built_in[b][0]))
            i++;
        if (i < v->rules_len)
            show_rule(s, &v->rules[i]);
        else
            fprintf(s->out, "%*sdeny %s { %s }  # built in\n", (int)(s->depth * 4), "",
                    built_in[b][0], built_in[b][1]);
    }
    for (unsigned i = 0; i < v->rules_len; i++)
        if (!is_rule(&v->rules[i], "private") && !is_rule(&v->rules[i], "ports"))
            show_rule(s, &v->rules[i]);
    if (line == 0) {
        indent(s);
        fprintf(s->out, "allow local { %s }  # default\n", default_terms(s->config));
    }
    close_block(s);
}

static void show_scope(struct show *s, enum scope scope, const char *file);

static void show_block(struct show *s, const struct directive *d, const char *file)
{
    const struct config_value *value = &s->config->values->of[directive_index(d)];

    if (d->block == SCOPE_AUTHENTICATION && !s->config->authentication.present)
        return;
    indent(s);
    if ((d->block == SCOPE_CONSOLE && !s->config->console.on) ||
        (d->block == SCOPE_HISTORY && !s->config->history)) {
        fprintf(s->out, "%s off;", d->name);
        origin(s, file, value->line);
        return;
    }
    fprintf(s->out, "%s%s%s {", d->name, value->text && value->text[0] ? " " : "",
            value->text ? value->text : "");
    origin(s, file, value->line);
    s->depth++;
    show_scope(s, d->block, file);
    close_block(s);
}

static void show_plain(struct show *s, const struct directive *d, const char *file)
{
    const struct config_value *value = &s->config->values->of[directive_index(d)];
    const char *text = d->apply == upstream_password ? "\"••••••\"" : value->text;

    if (!value->text)
        return;
    indent(s);
    fprintf(s->out, "%s %s;", d->name, text);
    origin(s, file, value->line);
}

static void show_scope(struct show *s, enum scope scope, const char *file)
{
    for (unsigned i = 0; i < directive_count(); i++) {
        const struct directive *d = directive_get(i);

        if (d->scope != scope)
            continue;
        if (d->apply == value_listen)
            show_listeners(s);
        else if (scope == SCOPE_MAIN && d->block == SCOPE_ACCESS)
            show_access(s);
        else if (d->block != SCOPE_MAIN)
            show_block(s, d, file);
        else
            show_plain(s, d, file);
    }
}

/* Another file's statements: shown as a comment, so that what is printed is a viaduct.conf. */
static void show_upstream(const struct config *c, FILE *out)
{
    char *text = NULL, *line, *rest;
    size_t len = 0;
    struct show s = {.config = c, .out = open_memstream(&text, &len)};

    if (!s.out)
        return;
    show_scope(&s, SCOPE_UPSTREAM_FILE, c->upstream_file);
    if (fclose(s.out) == 0) {
        fprintf(out, "\n# the upstream file %s:\n", c->upstream_file);
        for (line = rest = text; rest[0]; line = rest) {
            rest += strcspn(rest, "\n");
            if (rest[0])
                *rest++ = '\0';
            fprintf(out, "# %s\n", line);
        }
    }
    free(text);
}

void config_show(const struct config *c, FILE *out)
{
    struct show s = {.config = c, .out = out};

    show_scope(&s, SCOPE_MAIN, c->path);
    if (c->upstream.present)
        show_upstream(c, out);
}
