#include "policy/access_build.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/nearest.h"
#include "base/util.h"
#include "policy/access_rules.h"
#include "policy/access_term.h"

#define RULE_NAME_MAX 64

struct access_builder {
    const struct access *previous;
    struct access_list *lists;
    unsigned lists_len;
    struct access_build_rule **rules; /* in the file's order */
    unsigned rules_len;
};

/* The rules that are there without being written. */
#define TERM_WORDS_MAX 5
struct ready_rule {
    const char *name, *file;
    bool allow;
    struct {
        struct span words[TERM_WORDS_MAX];
        unsigned n;
    } terms[2];
};

static const struct ready_rule built_in[] = {
    {"private",
     "(built in)",
     false,
     {{{SPAN_INIT("to"), SPAN_INIT("loopback"), SPAN_INIT("link-local"), SPAN_INIT("private"),
        SPAN_INIT("multicast")},
       5}}},
    {"ports",
     "(built in)",
     false,
     {{{SPAN_INIT("method"), SPAN_INIT("CONNECT")}, 2},
      {{SPAN_INIT("port"), SPAN_INIT("not"), SPAN_INIT("443")}, 3}}},
};

static const struct ready_rule local_clients = {
    "local", "(default)", true, {{{SPAN_INIT("from"), SPAN_INIT("loopback")}, 2}}};
static const struct ready_rule local_users = {
    "local", "(default)", true, {{{SPAN_INIT("authenticated")}, 1}}};

void *access_grow(void *items, unsigned len, size_t size)
{
    if (len & (len - 1))
        return items;
    return reallocarray(items, len ? (size_t)len * 2 : 1, size);
}

static bool no_memory(struct err *err)
{
    err_set(err, "out of memory");
    return false;
}

static bool word_is(struct span word, const char *text)
{
    return span_equal(word, span_of(text));
}

struct access_builder *access_builder_new(const struct access *previous)
{
    struct access_builder *b = calloc(1, sizeof *b);

    if (b)
        b->previous = previous;
    return b;
}

static void build_rule_free(struct access_build_rule *r)
{
    if (!r)
        return;
    for (unsigned i = 0; i < r->refs_len; i++)
        free(r->refs[i].name);
    free(r->refs);
    conditions_free(r->rule.conditions);
    free(r);
}

void access_builder_free(struct access_builder *b)
{
    if (!b)
        return;
    for (unsigned i = 0; i < b->lists_len; i++) {
        free(b->lists[i].name);
        listfile_unref(b->lists[i].file);
    }
    for (unsigned i = 0; i < b->rules_len; i++)
        build_rule_free(b->rules[i]);
    free(b->lists);
    free(b->rules);
    free(b);
}

/* A rule's name goes into status lines and logs: short, and of harmless characters. */
static bool name_check(struct span name, struct err *err)
{
    bool good = name.len > 0 && name.len <= RULE_NAME_MAX;

    for (size_t i = 0; i < name.len && good; i++) {
        char c = span_lower(name.ptr[i]);

        good = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
    }
    if (!good)
        err_set(err, "\"%.*s\": a name has 1 to 64 letters, digits, '-', '_' and '.'",
                (int)name.len, name.ptr);
    return good;
}

static struct listfile *find_previous(const struct access *previous, const char *path)
{
    for (unsigned i = 0; previous && i < previous->lists_len; i++)
        if (strcmp(previous->lists[i].file->path, path) == 0)
            return previous->lists[i].file;
    return NULL;
}

bool access_builder_add_list(struct access_builder *b, struct span name, const char *path,
                             struct err *err)
{
    if (!name_check(name, err))
        return false;
    for (unsigned i = 0; i < b->lists_len; i++) {
        if (word_is(name, b->lists[i].name)) {
            err_set(err, "there is a list \"%s\" already", b->lists[i].name);
            return false;
        }
    }
    struct access_list *lists = access_grow(b->lists, b->lists_len, sizeof *lists);
    if (!lists)
        return no_memory(err);
    b->lists = lists;
    lists[b->lists_len] = (struct access_list){span_dup(name), NULL};
    if (!lists[b->lists_len].name)
        return no_memory(err);
    lists[b->lists_len].file = listfile_load(path, find_previous(b->previous, path), err);
    b->lists_len++; /* also without a file: its name is known, so that only one error comes of it */
    return lists[b->lists_len - 1].file != NULL;
}

static struct access_build_rule *build_rule_new(bool allow, bool report, struct span name,
                                                const char *file, int line)
{
    struct access_build_rule *r = calloc(1, sizeof *r);
    struct access_conditions *c = calloc(1, sizeof *c);

    if (!r || !c || !(c->name = span_dup(name)) || !(c->file = strdup(file))) {
        conditions_free(c);
        free(r);
        return NULL;
    }
    c->is_private = !allow && word_is(name, "private");
    r->rule = (struct access_rule){.name = c->name,
                                   .file = c->file,
                                   .line = line,
                                   .allow = allow,
                                   .report = report,
                                   .conditions = c};
    return r;
}

static struct access_build_rule *rule_find(const struct access_builder *b, bool allow,
                                           struct span name)
{
    for (unsigned i = 0; i < b->rules_len; i++)
        if (b->rules[i]->rule.allow == allow && word_is(name, b->rules[i]->rule.name))
            return b->rules[i];
    return NULL;
}

static bool is_built_in(bool allow, struct span name)
{
    for (size_t i = 0; i < ARRAY_LEN(built_in); i++)
        if (!allow && word_is(name, built_in[i].name))
            return true;
    return false;
}

/* Whether a rule of this kind and name can still come. */
static bool rule_check(const struct access_builder *b, bool allow, struct span name, bool off,
                       struct err *err)
{
    const struct access_build_rule *same = rule_find(b, allow, name);

    if (!name_check(name, err))
        return false;
    if (same)
        err_set(err, "duplicate: %s %s stands at %s:%d already", allow ? "allow" : "deny",
                same->rule.name, same->rule.file, same->rule.line);
    else if (off && !is_built_in(allow, name))
        err_set(err, "only deny private and deny ports can be off: leave \"%.*s\" out instead",
                (int)name.len, name.ptr);
    else
        return true;
    return false;
}

struct access_build_rule *access_builder_add_rule(struct access_builder *b, bool allow, bool report,
                                                  struct span name, bool off, const char *file,
                                                  int line, struct err *err)
{
    if (!rule_check(b, allow, name, off, err))
        return NULL;
    struct access_build_rule **rules = access_grow(b->rules, b->rules_len, sizeof *rules);
    struct access_build_rule *r = build_rule_new(allow, report, name, file, line);
    if (rules)
        b->rules = rules;
    if (!rules || !r) {
        build_rule_free(r);
        no_memory(err);
        return NULL;
    }
    r->off = off;
    rules[b->rules_len++] = r;
    return r;
}

bool access_builder_add_term(struct access_builder *b, struct access_build_rule *rule,
                             const struct span *words, unsigned n, unsigned *bad, struct err *err)
{
    if (!rule->off)
        return access_term_add(rule, words, n, bad, err);
    *bad = 0;
    err_set(err, "a rule that is off has no conditions");
    return false;
}

const struct access_keyword *access_builder_keywords(unsigned *n)
{
    return access_term_keywords(n);
}

bool access_builder_needs_user(const struct access_builder *b)
{
    for (unsigned i = 0; i < b->rules_len; i++)
        if (access_term_needs_user(b->rules[i]))
            return true;
    return false;
}

/* Adds a rule that nobody wrote; its words are known to be good, so only memory can fail. */
static struct access_build_rule *add_ready(struct access_builder *b, const struct ready_rule *ready)
{
    unsigned bad;
    struct access_build_rule *r = access_builder_add_rule(
        b, ready->allow, false, span_of(ready->name), false, ready->file, 0, NULL);

    for (size_t i = 0; r && i < ARRAY_LEN(ready->terms) && ready->terms[i].n > 0; i++)
        if (!access_term_add(r, ready->terms[i].words, ready->terms[i].n, &bad, NULL))
            return NULL;
    return r;
}

static bool add_missing(struct access_builder *b, bool has_block, bool authenticated)
{
    for (size_t i = 0; i < ARRAY_LEN(built_in); i++)
        if (!rule_find(b, false, span_of(built_in[i].name)) && !add_ready(b, &built_in[i]))
            return false;
    return has_block || add_ready(b, authenticated ? &local_users : &local_clients);
}

/* What finish tells of. */
struct problems {
    void (*tell)(void *arg, const char *file, int line, const char *text);
    void *arg;
    unsigned count;
};

static void complain(struct problems *p, const struct access_rule *rule, const char *text)
{
    p->count++;
    p->tell(p->arg, rule ? rule->file : "(built in)", rule ? rule->line : 0, text);
}

static const struct access_list *list_find(const struct access_builder *b, const char *name)
{
    for (unsigned i = 0; i < b->lists_len; i++)
        if (strcmp(b->lists[i].name, name) == 0)
            return &b->lists[i];
    return NULL;
}

static void complain_of_list(const struct access_builder *b, const struct access_rule *rule,
                             const char *name, struct problems *p)
{
    const char **names = calloc(b->lists_len + 1, sizeof *names);
    char hint[NEAREST_HINT_MAX] = "";
    struct err err;

    for (unsigned i = 0; names && i < b->lists_len; i++)
        names[i] = b->lists[i].name;
    if (names)
        nearest_write_hint(span_of(name), names, b->lists_len, hint);
    err_set(&err, "unknown list \"%s\"%s", name, hint);
    complain(p, rule, err.text);
    free(names);
}

/* Gives a rule its lists. */
static void resolve_lists(const struct access_builder *b, struct access_build_rule *r,
                          struct problems *p)
{
    for (unsigned i = 0; i < r->refs_len; i++) {
        struct conditions_places *places = r->refs[i].places;
        const struct access_list *list = list_find(b, r->refs[i].name);

        if (!list) {
            complain_of_list(b, &r->rule, r->refs[i].name, p);
            continue;
        }
        struct listfile **lists =
            access_grow(places->lists, places->lists_len, sizeof(struct listfile *));
        if (!lists) {
            complain(p, &r->rule, "out of memory");
            continue;
        }
        places->lists = lists;
        if (list->file) /* else it did not load, which was told */
            lists[places->lists_len++] = listfile_ref(list->file);
    }
}

static bool places_seal(struct conditions_places *places)
{
    cidr_seal(&places->networks);
    places->by_address = places->classes != 0 || !cidr_is_empty(&places->networks);
    for (unsigned i = 0; i < places->lists_len; i++)
        places->by_address |= !cidr_is_empty(&places->lists[i]->networks);
    return places->names.added == 0 || domains_seal(&places->names);
}

static void finish_rule(const struct access_builder *b, struct access_build_rule *r,
                        struct problems *p)
{
    struct access_conditions *c = r->rule.conditions;

    resolve_lists(b, r, p);
    if (!places_seal(&c->from) || !places_seal(&c->to))
        complain(p, &r->rule, "out of memory");
}

static void move_rule(struct access *a, struct access_build_rule *r)
{
    if (r->off)
        return;
    a->rules[a->rules_len++] = r->rule;
    r->rule.conditions = NULL;
}

/* The built-in ones, or those that took their places, then all others in the file's order. */
static void move_rules(struct access_builder *b, struct access *a)
{
    for (size_t i = 0; i < ARRAY_LEN(built_in); i++)
        move_rule(a, rule_find(b, false, span_of(built_in[i].name)));
    for (unsigned i = 0; i < b->rules_len; i++)
        if (!is_built_in(b->rules[i]->rule.allow, span_of(b->rules[i]->rule.name)))
            move_rule(a, b->rules[i]);
}

/* Whether no list failed to load. */
static bool has_all_files(const struct access_builder *b)
{
    for (unsigned i = 0; i < b->lists_len; i++)
        if (!b->lists[i].file)
            return false;
    return true;
}

struct access *access_builder_finish(struct access_builder *b, bool has_block, bool authenticated,
                                     void (*problem)(void *arg, const char *file, int line,
                                                     const char *text),
                                     void *arg)
{
    struct problems p = {problem, arg, 0};
    struct access *a = NULL;

    if (!add_missing(b, has_block, authenticated))
        complain(&p, NULL, "out of memory");
    for (unsigned i = 0; i < b->rules_len; i++)
        finish_rule(b, b->rules[i], &p);
    if (p.count > 0 || !has_all_files(b))
        return NULL;
    a = calloc(1, sizeof *a);
    if (a)
        a->rules = calloc(b->rules_len, sizeof *a->rules);
    if (!a || !a->rules) {
        complain(&p, NULL, "out of memory");
        free(a);
        return NULL;
    }
    move_rules(b, a);
    a->lists = b->lists;
    a->lists_len = b->lists_len;
    b->lists = NULL;
    b->lists_len = 0;
    return a;
}
