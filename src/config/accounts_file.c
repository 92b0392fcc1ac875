#include "config/accounts_file.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/util.h"
#include "config/lexer.h"
#include "policy/password.h"

#define NAME_MAX_LEN 255u

enum setting_id { S_REALM, S_SHA256, S_SHA512_256, S_MD5, S_HASH, S_DISABLED, S_COUNT };

static const char *const setting_names[] = {
    [S_REALM] = "realm", [S_SHA256] = "sha-256", [S_SHA512_256] = "sha-512-256",
    [S_MD5] = "md5",     [S_HASH] = "hash",      [S_DISABLED] = "disabled",
};
static_assert(ARRAY_LEN(setting_names) == S_COUNT, "a setting has no name");

enum { SCOPE_TOP, SCOPE_USER };

static bool is_name(int scope, struct span word)
{
    if (scope == SCOPE_TOP)
        return span_equal(word, SPAN_LIT("user"));
    for (unsigned i = 0; i < S_COUNT; i++)
        if (span_equal(word, span_of(setting_names[i])))
            return true;
    return false;
}

/* One file being read. */
struct reader {
    struct lexer lexer;
    struct config_report *report;
    struct accounts *accounts;
    struct span *names; /* seen so far, with their lines: duplicates are found by a table */
    int *lines;
    uint32_t *table; /* position + 1 */
    unsigned len, cap;
    bool failed; /* out of memory */
};

static struct place place_of(const struct reader *r, const struct word *w)
{
    return lexer_word_place(&r->lexer, w);
}

const char *accounts_file_name_fault(struct span name)
{
    if (name.len == 0)
        return "a name is not empty";
    if (name.len > NAME_MAX_LEN)
        return "a name has at most 255 bytes";
    if (!authn_is_text(name))
        return "a name is UTF-8 without control characters";
    return span_find(name, ':') >= 0 ? "a name has no colon" : NULL;
}

static bool read_text(const struct reader *r, const struct statement *s, char **to)
{
    if (s->words[1].text.len == 0 || !authn_is_text(s->words[1].text)) {
        report_error(r->report, place_of(r, &s->words[1]),
                     "%.*s: UTF-8 without control characters is needed, and not nothing",
                     (int)s->words[0].text.len, s->words[0].text.ptr);
        return false;
    }
    *to = span_dup(s->words[1].text);
    return *to != NULL;
}

/* The digits themselves are as good as a password: no message shows them. */
static void read_digest(const struct reader *r, const struct statement *s, struct account *a,
                        enum digest_algorithm algorithm)
{
    unsigned char bytes[DIGEST_LEN_MAX];
    size_t len = digest_len(algorithm);

    if (!digest_parse_hex(s->words[1].text, bytes, len)) {
        report_error(r->report, place_of(r, &s->words[1]), "%s: %zu hexadecimal digits are needed",
                     digest_name(algorithm), 2 * len);
        return;
    }
    digest_write_hex(bytes, len, a->ha1[algorithm]);
    a->has[algorithm] = true;
}

static void read_hash(const struct reader *r, const struct statement *s, struct account *a)
{
    if (!read_text(r, s, &a->hash) || password_is_known(a->hash))
        return;
    report_error(r->report, place_of(r, &s->words[1]),
                 "hash: of an unknown kind; bcrypt, $6$, $5$, $1$, $y$, apr1 and {SHA} are known");
}

static int find_setting(struct span name)
{
    for (int i = 0; i < S_COUNT; i++)
        if (span_equal(name, span_of(setting_names[i])))
            return i;
    return -1;
}

static void read_value(const struct reader *r, const struct statement *s, enum setting_id id,
                       struct account *a)
{
    switch (id) {
    case S_REALM:
        read_text(r, s, &a->realm);
        break;
    case S_SHA256:
        read_digest(r, s, a, DIGEST_SHA256);
        break;
    case S_SHA512_256:
        read_digest(r, s, a, DIGEST_SHA512_256);
        break;
    case S_MD5:
        read_digest(r, s, a, DIGEST_MD5);
        break;
    case S_HASH:
        read_hash(r, s, a);
        break;
    case S_DISABLED:
        a->disabled = true;
        break;
    case S_COUNT:
        break;
    }
}

/* One statement of a user's block; `seen` has a bit a setting. */
static void read_setting(const struct reader *r, const struct statement *s, unsigned *seen,
                         struct account *a)
{
    char shown[REPORT_WORD_MAX], hint[REPORT_HINT_MAX];
    int id = find_setting(s->words[0].text);
    unsigned want = id == S_DISABLED ? 1 : 2;

    if (id < 0)
        report_error(r->report, place_of(r, &s->words[0]), "unknown setting %s%s",
                     lexer_show_name(&r->lexer, &s->words[0],
                                     report_hint(s->words[0].text, setting_names, S_COUNT, hint),
                                     shown),
                     hint);
    else if (*seen & 1u << id)
        report_error(r->report, place_of(r, &s->words[0]), "%s stands twice", setting_names[id]);
    else if (s->len != want)
        report_error(r->report, place_of(r, &s->words[0]), "%s takes %s", setting_names[id],
                     want == 1 ? "no value" : "one value");
    else
        read_value(r, s, (enum setting_id)id, a);
    if (id >= 0)
        *seen |= 1u << id;
}

static bool has_digest(const struct account *a)
{
    return a->has[DIGEST_SHA256] || a->has[DIGEST_MD5] || a->has[DIGEST_SHA512_256];
}

/* The block behind `user NAME {`; `at` is where the name stands. */
static void read_block(struct reader *r, struct place at, struct account *a)
{
    struct statement s;
    unsigned seen = 0;

    for (;;) {
        switch (lexer_next(&r->lexer, is_name, SCOPE_USER, &s)) {
        case STATEMENT_PLAIN:
            read_setting(r, &s, &seen, a);
            continue;
        case STATEMENT_BLOCK:
            if (s.len > 0)
                report_error(r->report, place_of(r, &s.words[0]), "no block stands inside user");
            lexer_skip_block(&r->lexer);
            continue;
        case STATEMENT_EOF:
            report_error(r->report, at, "the block of this user is not closed: a } is missing");
            return;
        case STATEMENT_CLOSE:
            break;
        }
        break;
    }
    if (has_digest(a) && !(seen & 1u << S_REALM))
        report_error(r->report, at, "realm is missing: the digests are made with it");
}

static bool grow(struct reader *r)
{
    unsigned cap = r->cap ? r->cap * 2 : 64;
    struct span *names = reallocarray(r->names, cap, sizeof *names);
    int *lines = names ? reallocarray(r->lines, cap, sizeof *lines) : NULL;
    uint32_t *table = lines ? calloc(cap * 2, sizeof *table) : NULL;

    r->names = names ? names : r->names;
    r->lines = lines ? lines : r->lines;
    if (!table)
        return false;
    free(r->table);
    r->table = table;
    r->cap = cap;
    for (unsigned i = 0; i < r->len; i++) {
        uint64_t at = hash_bytes(names[i].ptr, names[i].len);

        while (table[at % (cap * 2)])
            at++;
        table[at % (cap * 2)] = i + 1;
    }
    return true;
}

/* The line where the name stood before, 0: it is new, and noted.  Names live as long as the lexer.
 */
static int note_name(struct reader *r, const struct word *w)
{
    if (r->len == r->cap && !grow(r)) {
        r->failed = true;
        return 0;
    }
    uint64_t at = hash_bytes(w->text.ptr, w->text.len);

    for (; r->table[at % (r->cap * 2)]; at++) {
        unsigned i = r->table[at % (r->cap * 2)] - 1;

        if (span_equal(r->names[i], w->text))
            return r->lines[i];
    }
    r->names[r->len] = w->text;
    r->lines[r->len] = w->line;
    r->table[at % (r->cap * 2)] = ++r->len;
    return 0;
}

static void read_user(struct reader *r, const struct statement *s)
{
    struct account a = {.line = s->words[0].line};
    char shown[REPORT_WORD_MAX];

    if (s->len != 2) {
        report_error(r->report, place_of(r, &s->words[0]), "user takes one name");
        lexer_skip_block(&r->lexer);
        return;
    }
    struct place at = place_of(r, &s->words[1]);
    const char *fault = accounts_file_name_fault(s->words[1].text);
    struct span rest = s->words[1].text; /* behind a colon stands what htdigest keeps there */
    if (fault)
        report_error(r->report, at, "%s: %s", report_word(span_cut(&rest, ':'), shown), fault);
    int before = note_name(r, &s->words[1]);
    if (before)
        report_error(r->report, at, "user %s stands twice, first on line %d",
                     report_word(s->words[1].text, shown), before);
    a.name = span_dup(s->words[1].text);
    read_block(r, at, &a);
    if (!a.name || !accounts_add(r->accounts, &a))
        r->failed = true;
    free(a.name);
    free(a.realm);
    free(a.hash);
    explicit_bzero(&a, sizeof a);
}

static void read_all(struct reader *r)
{
    static const char *const known[] = {"user"};
    char shown[REPORT_WORD_MAX], hint[REPORT_HINT_MAX];
    struct statement s;

    for (;;) {
        enum statement_end end = lexer_next(&r->lexer, is_name, SCOPE_TOP, &s);

        if (end == STATEMENT_EOF)
            return;
        if (end == STATEMENT_CLOSE) {
            report_error(r->report, lexer_place(&r->lexer), "a } without a block before it");
            continue;
        }
        bool user = s.len > 0 && !s.words[0].quoted && is_name(SCOPE_TOP, s.words[0].text);
        if (user && end == STATEMENT_BLOCK) {
            read_user(r, &s);
            continue;
        }
        if (user)
            report_error(r->report, place_of(r, &s.words[0]), "a block { } is missing after user");
        else if (s.len > 0)
            report_error(
                r->report, place_of(r, &s.words[0]), "unknown setting %s%s",
                lexer_show_name(&r->lexer, &s.words[0],
                                report_hint(s.words[0].text, known, ARRAY_LEN(known), hint), shown),
                hint);
        if (end == STATEMENT_BLOCK)
            lexer_skip_block(&r->lexer);
    }
}

struct accounts *accounts_file_parse(const char *name, struct span text,
                                     struct config_report *report)
{
    struct reader r = {.report = report, .accounts = accounts_new()};
    unsigned errors = report->errors, from = report->len;

    lexer_init(&r.lexer, name, text, report);
    r.lexer.guards = true;
    if (r.accounts)
        read_all(&r);
    if (!r.accounts || r.failed || r.lexer.failed ||
        (report->errors == errors && !accounts_seal(r.accounts)))
        report_error(report, (struct place){.file = name}, "out of memory");
    lexer_fini(&r.lexer);
    free(r.names);
    free(r.lines);
    free(r.table);
    report_sort(report, from);
    if (report->errors == errors)
        return r.accounts;
    accounts_unref(r.accounts);
    return NULL;
}

/* The whole file, or NULL with errno. */
static char *read_file(const char *path, size_t *len)
{
    struct stat st;
    char *text = NULL;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO must not hold anything up */

    *len = 0;
    if (fd < 0)
        return NULL;
    if (fstat(fd, &st) == 0) {
        errno = S_ISREG(st.st_mode) ? EFBIG : EINVAL;
        if (S_ISREG(st.st_mode) && st.st_size <= ACCOUNTS_FILE_MAX)
            text = malloc((size_t)st.st_size + 1);
    }
    while (text && *len < (size_t)st.st_size) {
        ssize_t n = read(fd, text + *len, (size_t)st.st_size - *len);

        if (n == 0)
            break; /* cut short meanwhile: what is there is judged */
        if (n < 0 && errno != EINTR) {
            free(text);
            text = NULL;
        }
        *len += n > 0 ? (size_t)n : 0;
    }
    int saved = errno;
    close(fd);
    errno = saved;
    return text;
}

struct accounts *accounts_file_load(const char *path, struct config_report *report)
{
    size_t len;
    char *text = read_file(path, &len);

    if (!text) {
        report_error(report, (struct place){.file = path}, "cannot read it: %s", strerror(errno));
        return NULL;
    }
    struct accounts *s = accounts_file_parse(path, (struct span){text, len}, report);
    explicit_bzero(text, len);
    free(text);
    return s;
}

static bool is_bare(struct span word)
{
    for (size_t i = 0; i < word.len; i++)
        if (strchr(" \t;{}\"#\\", word.ptr[i]))
            return false;
    return word.len > 0;
}

static bool write_word(struct buf *out, struct span word)
{
    if (is_bare(word))
        return buf_append(out, word.ptr, word.len);
    bool ok = buf_append(out, "\"", 1);
    for (size_t i = 0; ok && i < word.len; i++) {
        if (word.ptr[i] == '"' || word.ptr[i] == '\\')
            ok = buf_append(out, "\\", 1);
        ok = ok && buf_append(out, word.ptr + i, 1);
    }
    return ok && buf_append(out, "\"", 1);
}

static bool write_setting(struct buf *out, const char *name, struct span value)
{
    return buf_printf(out, "    %s ", name) && write_word(out, value) && buf_append(out, ";\n", 2);
}

bool accounts_file_write(const struct account *a, struct buf *out)
{
    static const enum digest_algorithm order[] = {DIGEST_SHA256, DIGEST_SHA512_256, DIGEST_MD5};
    bool ok =
        buf_printf(out, "user ") && write_word(out, span_of(a->name)) && buf_printf(out, " {\n");

    if (a->realm)
        ok = ok && write_setting(out, "realm", span_of(a->realm));
    for (size_t i = 0; i < ARRAY_LEN(order); i++)
        if (a->has[order[i]])
            ok = ok && write_setting(out, digest_name(order[i]),
                                     (struct span){a->ha1[order[i]], 2 * digest_len(order[i])});
    if (a->hash)
        ok = ok && write_setting(out, "hash", span_of(a->hash));
    if (a->disabled)
        ok = ok && buf_printf(out, "    disabled;\n");
    return ok && buf_printf(out, "}\n");
}

/* From `user` to behind its }.  False: no such statement. */
static bool find_block(struct span text, struct span name, size_t *from, size_t *to)
{
    struct config_report ignored = {0};
    struct lexer lx;
    struct statement s;
    bool found = false;

    lexer_init(&lx, "", text, &ignored);
    while (!found && lexer_next(&lx, is_name, SCOPE_TOP, &s) == STATEMENT_BLOCK) {
        found = s.len == 2 && span_equal(s.words[1].text, name);
        /* The name of a statement is never quoted: it points into the text. */
        *from = s.len > 0 && !s.words[0].quoted ? (size_t)(s.words[0].text.ptr - text.ptr) : 0;
        lexer_skip_block(&lx);
    }
    *to = lx.at;
    lexer_fini(&lx);
    config_report_fini(&ignored);
    return found;
}

/* `to`, or behind the line's end where nothing else stands before it. */
static size_t skip_line_end(struct span text, size_t to)
{
    size_t at = to;

    while (at < text.len && (text.ptr[at] == ' ' || text.ptr[at] == '\t' || text.ptr[at] == '\r'))
        at++;
    if (at == text.len)
        return at;
    return text.ptr[at] == '\n' ? at + 1 : to;
}

bool accounts_file_replace(struct span text, const struct account *a, struct buf *out)
{
    size_t from, to;
    bool found = find_block(text, span_of(a->name), &from, &to);
    bool open = !found && text.len > 0 && text.ptr[text.len - 1] != '\n';

    if (!found)
        from = to = text.len;
    else
        to = skip_line_end(text, to);
    return buf_append(out, text.ptr, from) && (!open || buf_append(out, "\n", 1)) &&
           accounts_file_write(a, out) && buf_append(out, text.ptr + to, text.len - to);
}

bool accounts_file_remove(struct span text, struct span name, struct buf *out)
{
    size_t from, to;

    if (!find_block(text, name, &from, &to))
        return false;
    to = skip_line_end(text, to);
    return buf_append(out, text.ptr, from) && buf_append(out, text.ptr + to, text.len - to);
}
