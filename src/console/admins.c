#include "console/admins.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <openssl/evp.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/hash.h"
#include "base/num.h"
#include "base/util.h"
#include "config/lexer.h"
#include "config/save.h"

#define NAME_CHARACTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-@+"
#define FILE_MAX (256u * 1024)
#define ENTRIES_MAX 256
#define SALT_LEN 16
#define HASH_LEN 32
#define LINKS 8

/* 32 MiB and some 50 ms: OWASP's choice for scrypt at this memory. */
#define LOG2N 15
#define COST_R 8
#define COST_P 3
#define MEMORY_MAX (256ull << 20) /* what a file may ask for */

struct entry {
    char name[ADMINS_NAME_MAX + 1];
    bool is_token;
    unsigned log2n, r, p;
    unsigned char salt[SALT_LEN], hash[HASH_LEN];
};

struct link {
    unsigned char hash[HASH_LEN];
    uint64_t until_ns; /* 0: none */
};

struct admins {
    char *path;
    struct timespec changed; /* of the file as it was read */
    off_t size;
    bool was_read;
    struct entry entries[ENTRIES_MAX];
    unsigned len;
    struct link links[LINKS];
    unsigned char no_salt[SALT_LEN]; /* for names that are not there */
};

struct admins *admins_new(const char *path)
{
    struct admins *a = calloc(1, sizeof *a);

    if (!a)
        return NULL;
    a->path = strdup(path);
    if (!a->path) {
        free(a);
        return NULL;
    }
    hash_random(a->no_salt, sizeof a->no_salt);
    return a;
}

void admins_free(struct admins *a)
{
    if (!a)
        return;
    free(a->path);
    explicit_bzero(a, sizeof *a);
    free(a);
}

/* --- the file --------------------------------------------------------------------------------- */

static bool parse_number(const struct word *w, uint64_t most, unsigned *out)
{
    uint64_t n;

    if (!num_parse_u64(w->text, most, &n) || n == 0)
        return false;
    *out = (unsigned)n;
    return true;
}

static bool is_scrypt(const struct statement *st, struct entry *e)
{
    return st->len == 6 && span_equal(st->words[0].text, SPAN_LIT("scrypt")) &&
           parse_number(&st->words[1], 24, &e->log2n) && parse_number(&st->words[2], 32, &e->r) &&
           parse_number(&st->words[3], 16, &e->p) && (128ull * e->r << e->log2n) <= MEMORY_MAX &&
           digest_parse_hex(st->words[4].text, e->salt, SALT_LEN) &&
           digest_parse_hex(st->words[5].text, e->hash, HASH_LEN);
}

static bool is_sha256(const struct statement *st, struct entry *e)
{
    return st->len == 2 && span_equal(st->words[0].text, SPAN_LIT("sha-256")) &&
           digest_parse_hex(st->words[1].text, e->hash, HASH_LEN);
}

static struct entry *find(struct admins *a, struct span name, bool is_token)
{
    for (unsigned i = 0; i < a->len; i++)
        if (a->entries[i].is_token == is_token && span_equal(span_of(a->entries[i].name), name))
            return &a->entries[i];
    return NULL;
}

/* Names stand in logs, in the file and in its quotes. */
static bool is_name(struct span name)
{
    for (size_t i = 0; i < name.len; i++)
        if (!name.ptr[i] || !strchr(NAME_CHARACTERS, name.ptr[i]))
            return false;
    return name.len > 0 && name.len <= ADMINS_NAME_MAX;
}

static bool begin_entry(struct admins *a, const struct statement *st, struct entry *e,
                        struct config_report *report, struct place at)
{
    char shown[REPORT_WORD_MAX];
    struct span kind = st->words[0].text;

    e->is_token = span_equal(kind, SPAN_LIT("token"));
    if (!e->is_token && !span_equal(kind, SPAN_LIT("admin"))) {
        report_error(report, at, "%s: only admin and token stand here", report_word(kind, shown));
        return false;
    }
    if (st->len != 2 || !is_name(st->words[1].text)) {
        report_error(report, at, "one name of at most %u letters, digits and . _ - @ + stands here",
                     ADMINS_NAME_MAX);
        return false;
    }
    memcpy(e->name, st->words[1].text.ptr, st->words[1].text.len);
    if (find(a, st->words[1].text, e->is_token) || a->len == ENTRIES_MAX) {
        report_error(report, at, "a name that was there before, or more than %u", ENTRIES_MAX);
        return false;
    }
    return true;
}

static void parse_entry(struct admins *a, struct lexer *lx, const struct statement *head,
                        struct config_report *report)
{
    struct place at = lexer_word_place(lx, &head->words[0]);
    struct entry e = {0};
    struct statement st;
    bool whole = false;

    if (!begin_entry(a, head, &e, report, at)) {
        lexer_skip_block(lx);
        return;
    }
    for (;;) {
        enum statement_end end = lexer_next(lx, NULL, 0, &st);

        if (end == STATEMENT_EOF)
            report_error(report, at, "this block has no }");
        if (end == STATEMENT_CLOSE || end == STATEMENT_EOF)
            break;
        if (end == STATEMENT_BLOCK)
            lexer_skip_block(lx);
        else if (st.len && !whole && (e.is_token ? is_sha256(&st, &e) : is_scrypt(&st, &e)))
            whole = true;
        else if (st.len)
            report_error(report, lexer_word_place(lx, &st.words[0]),
                         e.is_token ? "sha-256 with 64 hex digits stands here, once"
                                    : "scrypt with five values stands here, once");
    }
    if (whole)
        a->entries[a->len++] = e;
    else
        report_error(report, at, "%s has no hash", e.name);
}

static bool parse(struct admins *a, struct span text, struct err *err)
{
    struct config_report report = {0};
    struct statement st;
    struct lexer lx;
    bool ok;

    a->len = 0;
    lexer_init(&lx, a->path, text, &report);
    lx.guards = true;
    for (;;) {
        enum statement_end end = lexer_next(&lx, NULL, 0, &st);

        if (end == STATEMENT_EOF)
            break;
        if (end == STATEMENT_BLOCK && st.len)
            parse_entry(a, &lx, &st, &report);
        else if (end == STATEMENT_BLOCK)
            lexer_skip_block(&lx);
        else if (st.len)
            report_error(&report, lexer_word_place(&lx, &st.words[0]), "a block stands here");
    }
    ok = report.errors == 0 && !lx.failed;
    if (!ok)
        err_set(err, "%s", report.len ? report.items[0].text : "out of memory");
    lexer_fini(&lx);
    config_report_fini(&report);
    return ok;
}

/* Brings what is known up to the file.  A file that is not there has nobody. */
static bool refresh(struct admins *a, struct err *err)
{
    struct save file = {.lock_fd = -1};
    struct stat st;
    bool ok = false;

    err_set(err, "%s", "");
    if (stat(a->path, &st) != 0) {
        a->len = 0;
        a->was_read = false;
        return true;
    }
    if (a->was_read && st.st_mtim.tv_sec == a->changed.tv_sec &&
        st.st_mtim.tv_nsec == a->changed.tv_nsec && st.st_size == a->size)
        return true;
    a->was_read = false;
    if (st.st_mode & 077)
        err_set(err, "%s: others may read or write it: chmod 600", a->path);
    else if (save_read(&file, a->path, FILE_MAX, err))
        ok = parse(a, (struct span){file.text, file.len}, err);
    save_end(&file);
    if (!ok) {
        a->len = 0;
        return false;
    }
    a->changed = st.st_mtim;
    a->size = st.st_size;
    return a->was_read = true;
}

static bool write_entry(struct buf *out, const struct entry *e)
{
    char salt[2 * SALT_LEN + 1] = "", hash[2 * HASH_LEN + 1] = "";

    digest_write_hex(e->salt, SALT_LEN, salt);
    digest_write_hex(e->hash, HASH_LEN, hash);
    if (e->is_token)
        return buf_printf(out, "token \"%s\" { sha-256 %s; }\n", e->name, hash);
    return buf_printf(out, "admin \"%s\" { scrypt %u %u %u %s %s; }\n", e->name, e->log2n, e->r,
                      e->p, salt, hash);
}

/* What is known becomes the file. */
static bool write_all(struct admins *a, struct save *file, struct err *err)
{
    struct buf out = {.max = FILE_MAX};
    bool ok = buf_printf(&out, "# Who may use the console, and whose tokens may read its metrics; "
                               "written by viaduct.\n");

    for (unsigned i = 0; i < a->len && ok; i++)
        ok = write_entry(&out, &a->entries[i]);
    if (!ok)
        err_set(err, "out of memory");
    ok = ok && save_write(file, buf_span(&out), file->uid, file->gid, err);
    buf_wipe(&out);
    buf_fini(&out);
    a->was_read = false;
    return ok;
}

/* --- passwords -------------------------------------------------------------------------------- */

static bool scrypt(const struct entry *e, const unsigned char *salt, struct span password,
                   unsigned char out[HASH_LEN])
{
    return EVP_PBE_scrypt(password.ptr, password.len, salt, SALT_LEN, 1ull << e->log2n, e->r, e->p,
                          MEMORY_MAX + (1u << 20), out, HASH_LEN) == 1;
}

int admins_count(struct admins *a, struct err *err)
{
    int n = 0;

    if (!refresh(a, err))
        return -1;
    for (unsigned i = 0; i < a->len; i++)
        n += !a->entries[i].is_token;
    return n;
}

bool admins_check(struct admins *a, struct span name, struct span password, struct err *err)
{
    static const struct entry nobody = {.log2n = LOG2N, .r = COST_R, .p = COST_P};
    const struct entry *e;
    unsigned char hash[HASH_LEN];
    bool ok;

    if (!refresh(a, err))
        return false;
    if (password.len > ADMINS_PASSWORD_MAX)
        return false;
    e = find(a, name, false);
    ok = scrypt(e ? e : &nobody, e ? e->salt : a->no_salt, password, hash);
    ok = ok && e && digest_equal(hash, e->hash, HASH_LEN);
    explicit_bzero(hash, sizeof hash);
    return ok;
}

bool admins_has(struct admins *a, struct span name)
{
    struct err err;

    return !refresh(a, &err) || find(a, name, false);
}

bool admins_is_fit(struct span name, struct span password, struct err *err)
{
    size_t characters = 0;

    if (name.len == 0 || name.len > ADMINS_NAME_MAX) {
        err_set(err, "a name has 1 to %u characters", ADMINS_NAME_MAX);
        return false;
    }
    if (!is_name(name)) {
        err_set(err, "a name is of letters, digits and . _ - @ +");
        return false;
    }
    for (size_t i = 0; i < password.len; i++)
        characters += ((unsigned char)password.ptr[i] & 0xc0) != 0x80;
    if (characters >= ADMINS_PASSWORD_MIN && password.len <= ADMINS_PASSWORD_MAX)
        return true;
    err_set(err, "a password has %u characters at least, %u bytes at most", ADMINS_PASSWORD_MIN,
            ADMINS_PASSWORD_MAX);
    return false;
}

/* Locks the file, brings us up to it, and finds or makes the entry. */
static struct entry *edit(struct admins *a, struct save *file, struct span name, bool is_token,
                          struct err *err)
{
    struct entry *e;

    if (!save_begin(file, a->path, FILE_MAX, err) || !refresh(a, err))
        return NULL;
    e = find(a, name, is_token);
    if (e)
        return e;
    if (a->len == ENTRIES_MAX) {
        err_set(err, "%s has %u entries, which is all it may have", a->path, ENTRIES_MAX);
        return NULL;
    }
    e = &a->entries[a->len++];
    *e = (struct entry){.is_token = is_token};
    memcpy(e->name, name.ptr, name.len);
    return e;
}

bool admins_set(struct admins *a, struct span name, struct span password, struct err *err)
{
    struct save file = {.lock_fd = -1};
    struct entry *e;
    bool ok = false;

    if (!admins_is_fit(name, password, err))
        return false;
    e = edit(a, &file, name, false, err);
    if (e) {
        e->log2n = LOG2N;
        e->r = COST_R;
        e->p = COST_P;
        hash_random(e->salt, SALT_LEN);
        ok = scrypt(e, e->salt, password, e->hash);
        if (!ok)
            err_set(err, "out of memory");
        ok = ok && write_all(a, &file, err);
    }
    save_end(&file);
    a->was_read = false;
    return ok;
}

const char *admins_get_name(const struct admins *a, unsigned i)
{
    for (unsigned k = 0; k < a->len; k++)
        if (!a->entries[k].is_token && i-- == 0)
            return a->entries[k].name;
    return NULL;
}

/* --- tokens and links ------------------------------------------------------------------------- */

static void hash_token(struct span token, unsigned char out[HASH_LEN])
{
    digest_of(DIGEST_SHA256, &token, 1, out);
}

static void draw_token(char out[ADMINS_TOKEN_HEX + 1])
{
    unsigned char bytes[ADMINS_TOKEN_HEX / 2];

    hash_random(bytes, sizeof bytes);
    digest_write_hex(bytes, sizeof bytes, out);
    out[ADMINS_TOKEN_HEX] = '\0';
    explicit_bzero(bytes, sizeof bytes);
}

bool admins_make_token(struct admins *a, struct span name, char out[ADMINS_TOKEN_HEX + 1],
                       struct err *err)
{
    struct save file = {.lock_fd = -1};
    struct entry *e;
    bool ok = false;

    if (!admins_is_fit(name, SPAN_LIT("0123456789"), err))
        return false;
    e = edit(a, &file, name, true, err);
    if (e) {
        draw_token(out);
        hash_token(span_of(out), e->hash);
        ok = write_all(a, &file, err);
    }
    save_end(&file);
    a->was_read = false;
    return ok;
}

bool admins_has_token(struct admins *a, struct span token)
{
    unsigned char hash[HASH_LEN];
    bool found = false;
    struct err err;

    if (token.len != ADMINS_TOKEN_HEX || !refresh(a, &err))
        return false;
    hash_token(token, hash);
    for (unsigned i = 0; i < a->len; i++)
        found |= a->entries[i].is_token && digest_equal(hash, a->entries[i].hash, HASH_LEN);
    return found;
}

void admins_make_link(struct admins *a, uint64_t now_ns, char out[ADMINS_TOKEN_HEX + 1])
{
    struct link *oldest = &a->links[0];

    for (unsigned i = 0; i < LINKS; i++)
        if (a->links[i].until_ns < oldest->until_ns)
            oldest = &a->links[i];
    draw_token(out);
    hash_token(span_of(out), oldest->hash);
    oldest->until_ns = now_ns + ADMINS_LINK_S * NS_PER_S;
}

static struct link *find_link(const struct admins *a, struct span token, uint64_t now_ns)
{
    unsigned char hash[HASH_LEN];
    const struct link *found = NULL;

    hash_token(token, hash);
    for (unsigned i = 0; i < LINKS; i++)
        if (a->links[i].until_ns > now_ns && digest_equal(hash, a->links[i].hash, HASH_LEN))
            found = &a->links[i];
    return (struct link *)(uintptr_t)found;
}

bool admins_has_link(const struct admins *a, struct span token, uint64_t now_ns)
{
    return find_link(a, token, now_ns) != NULL;
}

bool admins_use_link(struct admins *a, struct span token, uint64_t now_ns)
{
    struct link *l = find_link(a, token, now_ns);

    if (l)
        *l = (struct link){0};
    return l != NULL;
}
