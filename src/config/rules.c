#include "config/rules.h"

#include <assert.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/util.h"
#include "config/value.h"

#define KEYWORDS_MAX 32

static struct arena *arena_of(struct loader *l)
{
    return &l->config->values->arena;
}

static struct shown_rule *show_rule(struct loader *l, const struct statement *s, bool block)
{
    struct config_values *v = l->config->values;
    struct shown_rule *grown = arena_grow(arena_of(l), v->rules, v->rules_len, sizeof(*grown));

    if (!grown)
        return NULL;
    v->rules = grown;
    v->rules[v->rules_len] = (struct shown_rule){
        .kind = arena_text(arena_of(l), s->words[0].text),
        .head = values_write_words(arena_of(l), s->words, s->len),
        .line = s->words[0].line,
        .block = block,
    };
    return &v->rules[v->rules_len++];
}

static void show_term(struct loader *l, struct shown_rule *shown, const struct statement *s)
{
    const char **grown =
        shown ? arena_grow(arena_of(l), shown->terms, shown->terms_len, sizeof(*grown)) : NULL;

    if (!grown)
        return;
    shown->terms = grown;
    shown->terms[shown->terms_len++] = values_write_words(arena_of(l), s->words, s->len);
}

static bool is_term_name(int scope, struct span word)
{
    unsigned n;
    const struct access_keyword *all = access_builder_keywords(&n);

    for (unsigned i = 0; i < n; i++)
        if (span_equal(word, span_of(all[i].name)))
            return true;
    return false;
}

static void report_unknown_term(struct loader *l, const struct word *w)
{
    const char *names[KEYWORDS_MAX];
    char shown[REPORT_WORD_MAX], hint[REPORT_HINT_MAX];
    unsigned n;
    const struct access_keyword *all = access_builder_keywords(&n);

    assert(n <= KEYWORDS_MAX);
    for (unsigned i = 0; i < n; i++)
        names[i] = all[i].name;
    report_error(l->report, lexer_word_place(&l->lexer, w), "unknown setting %s in a rule%s",
                 report_word(w->text, shown), report_hint(w->text, names, n, hint));
}

/* Keeps the place of each `list NAME`: whether there is such a list is known at the end. */
static void note_lists(struct loader *l, struct place rule, const struct statement *s)
{
    for (unsigned i = 1; i + 1 < s->len; i++) {
        if (!span_equal(s->words[i].text, SPAN_LIT("list")))
            continue;

        struct list_use *grown = arena_grow(arena_of(l), l->uses, l->uses_len, sizeof(*grown));
        if (!grown)
            return;
        l->uses = grown;
        l->uses[l->uses_len++] =
            (struct list_use){rule.line, lexer_word_place(&l->lexer, &s->words[i + 1]),
                              arena_text(arena_of(l), s->words[i + 1].text)};
    }
}

/* Notes what the whole file is judged by later: who asks for a login, what goes by address. */
static void note_term(struct loader *l, bool allow, const struct statement *s)
{
    static const char *const classes[] = {"loopback", "link-local", "private", "multicast"};
    struct place at = lexer_word_place(&l->lexer, &s->words[0]);
    struct span name = s->words[0].text;

    if (span_equal(name, SPAN_LIT("user")) || span_equal(name, SPAN_LIT("authenticated"))) {
        if (!l->first_user.line)
            l->first_user = at;
        return;
    }
    if (!allow || !span_equal(name, SPAN_LIT("to")) || l->first_by_address.line)
        return;
    for (unsigned i = 1; i < s->len; i++) {
        bool by_address = span_find(s->words[i].text, '/') >= 0;

        for (size_t k = 0; k < ARRAY_LEN(classes); k++)
            by_address = by_address || span_equal(s->words[i].text, span_of(classes[k]));
        if (by_address)
            l->first_by_address = at;
    }
}

static void read_term(struct loader *l, struct access_build_rule *rule, const struct statement *s)
{
    unsigned bad = 0;
    struct err err;

    if (!is_term_name(0, s->words[0].text)) {
        report_unknown_term(l, &s->words[0]);
        return;
    }
    struct span *words = rule ? arena_get(arena_of(l), s->len * sizeof(*words)) : NULL;
    if (!words) /* a rule that was refused: nothing to put it into */
        return;
    for (unsigned i = 0; i < s->len; i++)
        words[i] = s->words[i].text;
    if (access_builder_add_term(l->rules, rule, words, s->len, &bad, &err))
        return;

    const struct word *w = &s->words[bad < s->len ? bad : s->len - 1];
    report_error(l->report, lexer_word_place(&l->lexer, w), "%s", err.text);
}

static void read_terms(struct loader *l, struct access_build_rule *rule, unsigned shown, bool allow,
                       struct place open)
{
    struct config_values *v = l->config->values;
    struct statement s;

    for (;;) {
        switch (lexer_next(&l->lexer, is_term_name, 0, &s)) {
        case STATEMENT_EOF:
            loader_report_open(l, "rule", open);
            return;
        case STATEMENT_CLOSE:
            return;
        case STATEMENT_BLOCK:
            if (s.len > 0)
                report_error(l->report, lexer_word_place(&l->lexer, &s.words[0]),
                             "a condition takes no block");
            lexer_skip_block(&l->lexer);
            break;
        case STATEMENT_PLAIN:
            note_term(l, allow, &s);
            note_lists(l, open, &s);
            show_term(l, shown < v->rules_len ? &v->rules[shown] : NULL, &s);
            read_term(l, rule, &s);
            break;
        }
    }
}

static bool is_word(const struct statement *s, unsigned i, const char *text)
{
    return i < s->len && !s->words[i].quoted && span_equal(s->words[i].text, span_of(text));
}

/* `allow|deny [report] NAME { … }`, `deny NAME off;` */
static void read_rule(struct loader *l, const struct statement *s, bool block)
{
    bool allow = is_word(s, 0, "allow"), report = is_word(s, 1, "report");
    unsigned name = report ? 2 : 1;
    bool off = !block && is_word(s, name + 1, "off");
    struct place open = lexer_word_place(&l->lexer, &s->words[0]);
    struct access_build_rule *rule = NULL;
    const char *kind = allow ? "allow" : "deny";
    struct err err;

    if (name >= s->len)
        report_error(l->report, open, "%s takes a name: %s %sNAME { }", kind, kind,
                     report ? "report " : "");
    else if (s->len > name + 1u + off)
        report_error(l->report, lexer_word_place(&l->lexer, &s->words[name + 1]),
                     "%s takes one name: the conditions stand in its block { }", kind);
    else if (!block && !off)
        report_error(l->report, open, "%s needs a block of conditions { }", kind);
    else if (!(rule = access_builder_add_rule(l->rules, allow, report, s->words[name].text, off,
                                              l->file, open.line, &err)))
        report_error(l->report, lexer_word_place(&l->lexer, &s->words[name]), "%s", err.text);

    struct shown_rule *shown = show_rule(l, s, block);
    if (shown)
        shown->name = name < s->len ? arena_text(arena_of(l), s->words[name].text) : "";
    if (block)
        read_terms(l, rule, l->config->values->rules_len - (shown != NULL), allow, open);
}

static void read_list(struct loader *l, const struct statement *s)
{
    struct place at = lexer_word_place(&l->lexer, &s->words[0]);
    struct word words[4];
    struct stat st;
    struct err err;

    if (s->len != 4 || !is_word(s, 2, "file")) {
        report_error(l->report, at, "a list is written: list NAME file FILE;");
        return;
    }
    char *path = value_resolve_path(arena_of(l), l->file, s->words[3].text);
    if (!path)
        return;
    memcpy(words, s->words, sizeof(words));
    words[3].text = span_of(values_absolute_path(arena_of(l), path));
    struct shown_rule *shown = show_rule(l, &(struct statement){words, 4}, false);
    if (shown)
        shown->path = path;
    at = lexer_word_place(&l->lexer, &s->words[1]);
    if (stat(path, &st) == 0 && !S_ISREG(st.st_mode))
        report_error(l->report, at, "%s is no regular file", path);
    else if (!access_builder_add_list(l->rules, s->words[1].text, path, &err))
        report_error(l->report, at, "%s", err.text);
}

static void read_statement(struct loader *l, const struct statement *s, bool block)
{
    struct place at = s->len > 0 ? lexer_word_place(&l->lexer, &s->words[0]) : (struct place){0};

    if (is_word(s, 0, "allow") || is_word(s, 0, "deny")) {
        read_rule(l, s, block);
        return;
    }
    if (is_word(s, 0, "list")) {
        if (block)
            report_error(l->report, at, "list takes no block");
        else
            read_list(l, s);
    } else if (s->len > 0) {
        directive_report_unknown(&l->lexer, SCOPE_ACCESS, &s->words[0]);
    }
    if (block)
        lexer_skip_block(&l->lexer);
}

void rules_read(struct loader *l, struct place open)
{
    struct statement s;

    l->has_access = true;
    for (;;) {
        enum statement_end end = lexer_next(&l->lexer, loader_is_name, SCOPE_ACCESS, &s);

        if (end == STATEMENT_EOF)
            loader_report_open(l, "access", open);
        if (end == STATEMENT_EOF || end == STATEMENT_CLOSE)
            return;
        read_statement(l, &s, end == STATEMENT_BLOCK);
    }
}

/* The builder knows the rule's line; the place of the name is found among the noted ones. */
static void report_problem(void *arg, const char *file, int line, const char *text)
{
    struct loader *l = arg;
    struct place at = {file ? file : l->file, line, 0};
    char quoted[REPORT_WORD_MAX];

    for (unsigned i = 0; i < l->uses_len; i++) {
        const struct list_use *use = &l->uses[i];

        if (use->rule_line == line && use->name &&
            strstr(text, report_word(span_of(use->name), quoted)))
            at = use->at;
    }
    report_error(l->report, at, "%s", text);
}

void rules_finish(struct loader *l)
{
    struct config *c = l->config;

    if (!c->authentication.present && l->first_user.line)
        report_warning(l->report, l->first_user,
                       "without an authentication block nobody is ever logged in here");
    if (c->authentication.present && l->has_access && !l->first_user.line)
        report_warning(
            l->report,
            (struct place){l->file, values_get_line(c->values, SCOPE_MAIN, "authentication"), 0},
            "no rule asks for a user: credentials are never asked for");
    c->access = access_builder_finish(l->rules, l->has_access, c->authentication.present,
                                      report_problem, l);
}
