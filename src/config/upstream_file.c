#include "config/upstream_file.h"

#include <stdlib.h>

#include "base/util.h"
#include "config/directive.h"
#include "config/loader.h"
#include "config/upstream.h"
#include "config/values.h"

#define BLOCK "iprep_proxy"

/* Where a setting, or room for it, was found: offsets in the text. */
struct spot {
    bool block, setting; /* found */
    size_t from, to;     /* of the statement with its ; */
    size_t close;        /* of the block's } */
};

/* Past blanks and comments, to where the next statement begins. */
static size_t skip_blank(struct span text, size_t at)
{
    while (at < text.len && strchr(" \t\r\n#", text.ptr[at])) {
        if (text.ptr[at] == '#')
            while (at < text.len && text.ptr[at] != '\n')
                at++;
        else
            at++;
    }
    return at;
}

/* The inside of the block, up to its }. */
static void find_setting(struct lexer *lx, const char *name, struct spot *spot)
{
    struct statement s;

    for (;;) {
        size_t from = skip_blank(lx->text, lx->at);

        switch (lexer_next(lx, loader_is_name, SCOPE_UPSTREAM, &s)) {
        case STATEMENT_PLAIN:
            if (!span_equal(s.words[0].text, span_of(name)))
                continue;
            spot->setting = true;
            spot->from = from;
            spot->to = lx->at;
            continue;
        case STATEMENT_BLOCK: /* no file without errors has one */
            lexer_skip_block(lx);
            continue;
        case STATEMENT_CLOSE:
        case STATEMENT_EOF:
            spot->close = lx->at > 0 ? lx->at - 1 : 0;
            return;
        }
    }
}

static bool find(struct span text, const char *name, struct spot *spot)
{
    struct config_report ignored = {0};
    struct lexer lx;
    struct statement s;

    *spot = (struct spot){0};
    lexer_init(&lx, "", text, &ignored);
    if (lexer_next(&lx, loader_is_name, SCOPE_UPSTREAM_FILE, &s) == STATEMENT_BLOCK) {
        spot->block = true;
        find_setting(&lx, name, spot);
    }
    bool ok = !lx.failed;
    lexer_fini(&lx);
    config_report_fini(&ignored);
    return ok;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* Where the line of `at` begins when only blanks stand before `at` on it, else `at`. */
static size_t line_start(struct span text, size_t at)
{
    size_t from = at;

    while (from > 0 && is_blank(text.ptr[from - 1]))
        from--;
    return from == 0 || text.ptr[from - 1] == '\n' ? from : at;
}

/* Behind the line's end when only blanks stand from `at` on, else `at`. */
static size_t line_end(struct span text, size_t at)
{
    size_t to = at;

    while (to < text.len && is_blank(text.ptr[to]))
        to++;
    if (to == text.len)
        return to;
    return text.ptr[to] == '\n' ? to + 1 : at;
}

/* "PROXY_HOST 10.10.10.1;" */
static bool write_statement(const char *name, const char *text, struct buf *out)
{
    return buf_printf(out, "%s ", name) && buf_append(out, text, strlen(text)) &&
           buf_append(out, ";", 1);
}

static bool write_edit(const struct upstream_edit *e, struct buf *out)
{
    struct arena a = {0};
    struct word *words = arena_get(&a, e->len * sizeof(*words));
    const char *text = NULL;

    for (unsigned i = 0; words && i < e->len; i++)
        words[i].text = span_of(e->words[i]);
    if (words)
        text = values_write_words(&a, words, e->len);
    bool ok = text && write_statement(e->name, text, out);
    arena_fini(&a);
    return ok;
}

static bool take_out(struct span text, const struct spot *spot, struct buf *out)
{
    size_t from = line_start(text, spot->from), to = line_end(text, spot->to);

    if (from == spot->from || to == spot->to) { /* something else stands on the line */
        from = spot->from;
        to = spot->to;
        while (to < text.len && text.ptr[to] == ' ')
            to++;
    }
    return buf_append(out, text.ptr, from) && buf_append(out, text.ptr + to, text.len - to);
}

/* Before the block's }, on a line of its own where the } has one. */
static bool add(struct span text, const struct spot *spot, const struct upstream_edit *e,
                struct buf *out)
{
    size_t at = line_start(text, spot->close);
    bool own = at != spot->close || at == 0 || text.ptr[at - 1] == '\n';

    return buf_append(out, text.ptr, at) && (!own || buf_append(out, "    ", 4)) &&
           write_edit(e, out) && buf_append(out, own ? "\n" : " ", 1) &&
           buf_append(out, text.ptr + at, text.len - at);
}

static bool add_block(struct span text, const struct upstream_edit *e, struct buf *out)
{
    bool open = text.len > 0 && text.ptr[text.len - 1] != '\n';

    return buf_append(out, text.ptr, text.len) && (!open || buf_append(out, "\n", 1)) &&
           buf_append(out, BLOCK " {\n    ", sizeof(BLOCK " {\n    ") - 1) && write_edit(e, out) &&
           buf_append(out, "\n}\n", 3);
}

bool upstream_file_edit(struct span text, const struct upstream_edit *e, struct buf *out)
{
    struct spot spot;

    if (!find(text, e->name, &spot))
        return false;
    if (!spot.setting && e->len == 0)
        return buf_append(out, text.ptr, text.len);
    if (!spot.block)
        return add_block(text, e, out);
    if (!spot.setting)
        return add(text, &spot, e, out);
    if (e->len == 0)
        return take_out(text, &spot, out);
    return buf_append(out, text.ptr, spot.from) && write_edit(e, out) &&
           buf_append(out, text.ptr + spot.to, text.len - spot.to);
}

bool upstream_file_write(const struct config *c, bool password, struct buf *out)
{
    bool ok = buf_printf(out, BLOCK " {\n");

    for (unsigned i = 0; ok && i < directive_count(); i++) {
        const struct directive *d = directive_get(i);
        const struct config_value *value = &c->values->of[i];

        if (d->scope != SCOPE_UPSTREAM || value->line == 0 || !value->text)
            continue;
        ok = buf_append(out, "    ", 4);
        if (d->apply == upstream_password && !password)
            ok = ok && buf_printf(out, "# %s is left out\n", d->name);
        else
            ok = ok && write_statement(d->name, value->text, out) && buf_append(out, "\n", 1);
    }
    return ok && buf_printf(out, "}\n");
}

static bool is_same_name(struct span word, struct span name)
{
    if (word.len != name.len)
        return false;
    for (size_t i = 0; i < word.len; i++)
        if ((word.ptr[i] == '-' ? '_' : span_lower(word.ptr[i])) != span_lower(name.ptr[i]))
            return false;
    return true;
}

const char *upstream_file_find_name(struct span word)
{
    static const struct span prefix = SPAN_INIT("PROXY_");

    for (unsigned i = 0; i < directive_count(); i++) {
        struct span name = span_of(directive_get(i)->name), tail = name;

        if (directive_get(i)->scope != SCOPE_UPSTREAM)
            continue;
        if (name.len > prefix.len && memcmp(name.ptr, prefix.ptr, prefix.len) == 0)
            tail = (struct span){name.ptr + prefix.len, name.len - prefix.len};
        if (is_same_name(word, name) || is_same_name(word, tail))
            return name.ptr;
    }
    return NULL;
}
