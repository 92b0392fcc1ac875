#include "config/config.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/loader.h"
#include "config/upstream.h"
#include "config/value.h"
#include "policy/access.h"

#define FILE_MAX_LEN (1024u * 1024u)
#define DEFAULT_PATH "/etc/viaduct/viaduct.conf"

const char *config_default_path(void)
{
    return access(DEFAULT_PATH, F_OK) == 0 ? DEFAULT_PATH : NULL;
}

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

/* Puts each row's default in, through the same readers that files go through. */
static void apply_defaults(struct loader *l)
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
                     d->name, d->takes, report_word(extra->text, word),
                     is_setting ? " (is a ; missing before it?)" : "");
    else
        report_error(l->report, lexer_word_place(&l->lexer, extra),
                     "%s takes only a block { }, found %s", d->name,
                     report_word(extra->text, word));
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
        directive_report_unknown(l->report, scope, at, s->words[0].text);
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

static void read_text(struct loader *l, const char *file, enum scope scope, struct span text)
{
    l->file = file;
    lexer_init(&l->lexer, file, text, l->report);
    read_block(l, scope, (struct place){file, 1, 1});
    l->config->values->arena.failed |= l->lexer.failed;
    lexer_fini(&l->lexer);
}

/* The whole file on the heap; false with errno, EFBIG for more than a file may have. */
static bool read_file(const char *path, char **text, size_t *len)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    char *bytes = fd >= 0 ? malloc(FILE_MAX_LEN + 1) : NULL;
    ssize_t n = 0;

    *len = 0;
    while (bytes && *len <= FILE_MAX_LEN) {
        n = read(fd, bytes + *len, FILE_MAX_LEN + 1 - *len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        *len += (size_t)n;
    }
    int failure = !bytes || n < 0 ? errno : *len > FILE_MAX_LEN ? EFBIG : 0;
    if (fd >= 0)
        close(fd);
    if (failure) {
        free(bytes);
        errno = failure;
        return false;
    }
    *text = bytes;
    return true;
}

static const char *file_problem(int failure)
{
    return failure == EFBIG ? "it has more than 1 MiB" : strerror(failure);
}

static void read_upstream(struct loader *l)
{
    struct config *c = l->config;
    int line = values_get_line(c->values, SCOPE_MAIN, "upstream");
    char *text = NULL;
    size_t len;

    if (!c->upstream_file) /* out of memory, or its statement was wrong */
        return;
    if (read_file(c->upstream_file, &text, &len)) {
        read_text(l, c->upstream_file, SCOPE_UPSTREAM_FILE, (struct span){text, len});
        free(text);
    } else if (errno != ENOENT) {
        report_error(l->report, (struct place){c->upstream_file, 0, 0}, "cannot be read: %s",
                     file_problem(errno));
    } else if (line > 0) {
        report_warning(l->report, (struct place){l->file, line, 0},
                       "%s is not there: targets are connected directly", c->upstream_file);
    }
}

/* What the lines of the files say beside their values. */
static void settle(struct loader *l)
{
    struct config *c = l->config;
    const struct config_values *v = c->values;

    c->user_given = values_get_line(v, SCOPE_MAIN, "user") > 0;
    c->mtu_healing_given = values_get_line(v, SCOPE_MAIN, "mtu-healing") > 0;
    c->history_given = values_get_line(v, SCOPE_LOG, "history") > 0;
    c->console.present = values_get_line(v, SCOPE_MAIN, "console") > 0;
    c->authentication.present = values_get_line(v, SCOPE_MAIN, "authentication") > 0;
    if (c->listeners_len == 0) {
        c->listeners = arena_get(&c->values->arena, sizeof(*c->listeners));
        if (c->listeners)
            c->listeners[c->listeners_len++] = (struct config_listener){
                .at = {.addr = {.bytes = {127, 0, 0, 1}, .family = AF_INET}, .port = 3128}};
    }
}

static void free_config(struct config *c)
{
    access_free(c->access);
    if (c->values)
        arena_fini(&c->values->arena);
    free(c->values);
    free(c);
}

static void load(struct loader *l, struct span text)
{
    struct config *c = l->config;
    unsigned first = l->report->len;

    apply_defaults(l);
    if (c->path)
        read_text(l, l->file, SCOPE_MAIN, text);
    settle(l);
    rules_finish(l);
    report_sort(l->report, first);
    read_upstream(l);
    c->upstream.enabled = c->upstream.enabled && c->upstream.present;
    if (c->upstream.enabled && l->first_by_address.line)
        report_warning(l->report, l->first_by_address,
                       "through a parent proxy names are not resolved: this allow does not match "
                       "them by address");
}

struct config *config_load_text(const char *name, struct span text, struct config *previous,
                                struct config_report *report)
{
    struct loader l = {.report = report};
    unsigned errors = report->errors;
    struct config *c = calloc(1, sizeof(*c));

    if (c)
        c->values = calloc(1, sizeof(*c->values));
    if (c && c->values)
        l.rules = access_builder_new(previous ? previous->access : NULL);
    if (l.rules) {
        atomic_init(&c->refs, 1);
        c->path = name ? arena_text(&c->values->arena, span_of(name)) : NULL;
        l.config = c;
        l.file = c->path ? c->path : "default";
        load(&l, text);
    }
    if (!l.rules || c->values->arena.failed)
        report_error(report, (struct place){name ? name : "default", 0, 0}, "out of memory");
    access_builder_free(l.rules);
    if (c && report->errors > errors) {
        free_config(c);
        c = NULL;
    }
    return c;
}

struct config *config_load(const char *path, struct config *previous, struct config_report *report)
{
    char *text = NULL;
    size_t len = 0;

    if (path && !read_file(path, &text, &len)) {
        report_error(report, (struct place){path, 0, 0}, "cannot be read: %s", file_problem(errno));
        return NULL;
    }
    struct config *c = config_load_text(path, (struct span){text, len}, previous, report);
    free(text);
    return c;
}

struct config *config_ref(struct config *c)
{
    atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
    return c;
}

void config_unref(struct config *c)
{
    if (c && atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) == 1)
        free_config(c);
}

bool config_refuse_unserved(const struct config *c, struct err *err)
{
    int authentication = values_get_line(c->values, SCOPE_MAIN, "authentication");

    if (authentication > 0)
        err_set(err, "%s:%d: authentication is not served by this version", c->path,
                authentication);
    else if (c->upstream.enabled)
        err_set(err,
                "%s:%d: an upstream proxy is not served by this version (ENABLED off; connects "
                "directly)",
                c->upstream_file, values_get_line(c->values, SCOPE_UPSTREAM_FILE, "iprep_proxy"));
    else
        return true;
    return false;
}

void config_warn_unserved(const struct config *c)
{
    static const struct {
        enum scope scope;
        const char *name;
    } rows[] = {{SCOPE_MAIN, "console"}, {SCOPE_LOG, "history"}, {SCOPE_MAIN, "mtu-healing"}};

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int line = values_get_line(c->values, rows[i].scope, rows[i].name);

        if (line > 0)
            log_warning("%s:%d: %s is not served by this version", c->path, line, rows[i].name);
    }
}
