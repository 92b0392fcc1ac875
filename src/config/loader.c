#include "config/loader.h"

#include <assert.h>
#include <string.h>

#include "config/rules.h"
#include "config/upstream.h"
#include "config/value.h"

bool loader_is_name(int scope, struct span word)
{
    return directive_find((enum scope)scope, word) != NULL;
}

void loader_report_open(struct loader *l, const char *block, struct place open)
{
    report_error(l->report, lexer_place(&l->lexer),
                 "a } is missing: the block %s of line %d is still open", block, open.line);
}

/* Remembers the words for config_show; paths from the root on. */
static void record(struct loader *l, const struct setting *s)
{
    struct config_value *value = &l->config->values->of[directive_index(s->what)];
    struct arena *a = &l->config->values->arena;
    struct word words[4];
    const char *path = NULL;

    if (s->what->scope == SCOPE_LISTEN || s->what->scope == SCOPE_ACCESS || !s->what->apply)
        return;
    if (s->what->path)
        memcpy(&path, (const char *)s->object + s->what->field, sizeof(path));
    if (!path || s->len > 4) {
        value->text = values_write_words(a, s->words + 1, s->len - 1);
        return;
    }
    memcpy(words, s->words, s->len * sizeof(*words));
    words[s->what->path].text = span_of(values_absolute_path(a, path));
    value->text = values_write_words(a, words + 1, s->len - 1);
}

static void *object_of(struct config *c, enum scope scope)
{
    return scope == SCOPE_LISTEN ? (void *)&c->listeners[c->listeners_len - 1] : (void *)c;
}

static void apply(struct loader *l, const struct directive *d, const struct statement *s,
                  bool block, bool is_default)
{
    struct setting setting = {
        .what = d,
        .words = s->words,
        .len = s->len,
        .object = object_of(l->config, d->scope),
        .config = l->config,
        .file = l->file,
        .block = block,
        .is_default = is_default,
        .report = l->report,
    };

    if (!d->apply || d->apply(&setting))
        record(l, &setting);
}

void loader_apply_defaults(struct loader *l)
{
    for (unsigned i = 0; i < directive_count(); i++) {
        const struct directive *d = directive_get(i);
        struct word words[4] = {{.text = span_of(d->name)}};
        struct span rest = span_of(d->value);
        unsigned n = 1;

        if (!d->value)
            continue;
        while (rest.len > 0) {
            assert(n < 4);
            words[n++].text = span_cut(&rest, ' ');
        }
        apply(l, d, &(struct statement){words, n}, false, true);
    }
    l->config->console.on = true;
}

static bool has_right_count(struct loader *l, const struct directive *d, const struct statement *s)
{
    unsigned found = s->len - 1;
    char word[REPORT_WORD_MAX];

    if (found >= d->least && found <= d->most)
        return true;
    if (found < d->least) {
        report_error(l->report, lexer_word_place(&l->lexer, &s->words[0]), "%s takes %s, found %s",
                     d->name, d->takes, found == 0 ? "nothing" : "less");
        return false;
    }
    const struct word *extra = &s->words[d->most + 1];
    bool is_setting = directive_find(d->scope, extra->text) != NULL;
    if (d->takes)
        report_error(l->report, lexer_word_place(&l->lexer, extra), "%s takes %s: %s is too much%s",
                     d->name, d->takes,
                     is_setting ? report_word(extra->text, word)
                                : lexer_show_word(&l->lexer, extra, word),
                     is_setting ? " (is a ; missing before it?)" : "");
    else
        report_error(l->report, lexer_word_place(&l->lexer, extra),
                     "%s takes only a block { }, found %s", d->name,
                     lexer_show_word(&l->lexer, extra, word));
    return false;
}

static bool has_right_end(struct loader *l, const struct directive *d, const struct statement *s,
                          bool block)
{
    struct place at = lexer_word_place(&l->lexer, &s->words[0]);

    if (block && d->block == SCOPE_MAIN)
        report_error(l->report, at, "%s takes no block", d->name);
    else if (!block && d->block != SCOPE_MAIN && !d->block_optional)
        report_error(l->report, at, "%s needs a block { }", d->name);
    else
        return true;
    return false;
}

/* False, reported, when a setting that stands once is here again. */
static bool is_first(struct loader *l, const struct directive *d, const struct statement *s)
{
    struct config_value *value = &l->config->values->of[directive_index(d)];

    if (!d->repeats && value->line > 0) {
        report_error(l->report, lexer_word_place(&l->lexer, &s->words[0]),
                     "%s stands on line %d already", d->name, value->line);
        return false;
    }
    value->line = s->words[0].line;
    value->column = s->words[0].column;
    return true;
}

static void check_tls_pair(struct loader *l, struct place at, const char *certificate,
                           const char *key)
{
    if (certificate && !key)
        report_error(l->report, at, "tls-certificate needs tls-key");
    else if (key && !certificate)
        report_error(l->report, at, "tls-key needs tls-certificate");
}

static bool is_loopback(const struct addr *a)
{
    static const struct addr v6 = {.bytes = {[15] = 1}, .family = AF_INET6};

    return (a->family == AF_INET && a->bytes[0] == 127) || addr_is_equal(a, &v6);
}

/* What only a whole block can tell. */
static void check_block(struct loader *l, enum scope block, struct place at)
{
    struct config *c = l->config;

    if (block == SCOPE_LISTEN) {
        const struct config_listener *listener = &c->listeners[c->listeners_len - 1];

        check_tls_pair(l, at, listener->tls_certificate, listener->tls_key);
    } else if (block == SCOPE_CONSOLE) {
        const struct config_console *console = &c->console;

        check_tls_pair(l, at, console->tls_certificate, console->tls_key);
        if (!console->tls_certificate && !console->tls_key && !is_loopback(&console->listen.addr))
            report_error(
                l->report, at,
                "a console elsewhere than on a loopback address needs tls-certificate and tls-key");
    } else if (block == SCOPE_UPSTREAM) {
        upstream_check(c, at, l->report);
    }
}

/* Each listener's block begins anew. */
static void forget_lines(struct loader *l, enum scope scope)
{
    for (unsigned i = 0; i < directive_count(); i++)
        if (directive_get(i)->scope == scope)
            l->config->values->of[i].line = 0;
}

static void read_block(struct loader *l, enum scope scope, struct place open);

/* The inside of a block; blocks nest no deeper than the table says. */
static void read_inside(struct loader *l, const struct directive *d, struct place at)
{
    if (d->block == SCOPE_ACCESS) {
        rules_read(l, at);
        return;
    }
    if (d->block == SCOPE_LISTEN && l->config->listeners_len == 0) {
        lexer_skip_block(&l->lexer); /* out of memory, remembered in the arena */
        return;
    }
    if (d->block == SCOPE_LISTEN)
        forget_lines(l, SCOPE_LISTEN);
    read_block(l, d->block, at);
    check_block(l, d->block, at);
}

static void read_statement(struct loader *l, enum scope scope, const struct statement *s,
                           bool block)
{
    const struct directive *d = s->len > 0 ? directive_find(scope, s->words[0].text) : NULL;
    struct place at = s->len > 0 ? lexer_word_place(&l->lexer, &s->words[0]) : (struct place){0};

    if (!d && s->len > 0)
        directive_report_unknown(&l->lexer, scope, &s->words[0]);
    if (!d || !is_first(l, d, s)) {
        if (block)
            lexer_skip_block(&l->lexer);
        return;
    }
    bool fits = has_right_count(l, d, s), ends = has_right_end(l, d, s, block);
    if (fits && ends)
        apply(l, d, s, block, false);
    if (!block)
        return;
    if (d->block == SCOPE_MAIN || (d->block == SCOPE_LISTEN && !fits))
        lexer_skip_block(&l->lexer); /* there is no listener that it could describe */
    else
        read_inside(l, d, at);
}

static void read_block(struct loader *l, enum scope scope, struct place open)
{
    bool is_file = scope == SCOPE_MAIN || scope == SCOPE_UPSTREAM_FILE;
    struct statement s;

    for (;;) {
        struct place at = lexer_place(&l->lexer);
        enum statement_end end = lexer_next(&l->lexer, loader_is_name, (int)scope, &s);

        if (end == STATEMENT_EOF) {
            if (!is_file)
                loader_report_open(l, directive_scope_name(scope), open);
            return;
        }
        if (end == STATEMENT_CLOSE && !is_file)
            return;
        if (end == STATEMENT_CLOSE) {
            at = lexer_place(&l->lexer);
            at.column--; /* the brace just read */
            report_error(l->report, at, "a } without a block");
        } else {
            read_statement(l, scope, &s, end == STATEMENT_BLOCK);
        }
    }
}

void loader_read(struct loader *l, const char *file, enum scope scope, struct span text)
{
    l->file = file;
    lexer_init(&l->lexer, file, text, l->report);
    l->lexer.guards = scope == SCOPE_UPSTREAM_FILE;
    read_block(l, scope, (struct place){file, 1, 1});
    l->config->values->arena.failed |= l->lexer.failed;
    lexer_fini(&l->lexer);
}
