#include "cli/upstream_form.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/nearest.h"
#include "base/num.h"
#include "base/util.h"
#include "cli/problems.h"
#include "cli/secret.h"
#include "config/report.h"
#include "config/upstream_file.h"
#include "render/escape.h"

#define WORDS_MAX 256u
#define ANSWER_MAX 4096

/* Where one field is judged by itself, no other is missing. */
#define COMPLETE "iprep_proxy { ENABLED off; PROXY_HOST 127.0.0.1; PROXY_PORT 1; }"

static const struct {
    const char *name, *prompt;
} fields[] = {
    [FORM_ENABLED] = {"ENABLED", "Enabled, on or off"},
    [FORM_HOST] = {"PROXY_HOST", "Address or name of the proxy"},
    [FORM_PORT] = {"PROXY_PORT", "Port"},
    [FORM_USER] = {"PROXY_USER", "User name at the proxy"},
    [FORM_PASSWORD] = {"PROXY_PASSWORD", "Password"},
    [FORM_TLS] = {"PROXY_TLS", "TLS to the proxy itself, on or off"},
    [FORM_CA] = {"PROXY_CA", "File of certificates to trust for that"},
    [FORM_NO_PROXY] = {"NO_PROXY", "Targets without the proxy"},
    [FORM_SMART_LICENSING] = {"SMART_LICENSING", "Smart licensing, on or off"},
};
static_assert(ARRAY_LEN(fields) == FORM_COUNT, "a field has no name");

static void wipe(char **text)
{
    if (*text)
        explicit_bzero(*text, strlen(*text));
    free(*text);
    *text = NULL;
}

void form_fini(struct form *f)
{
    for (unsigned i = 0; i < FORM_COUNT; i++)
        wipe(&f->of[i]);
}

bool form_is_empty(const struct form *f)
{
    for (unsigned i = 0; i < FORM_COUNT; i++)
        if (f->of[i])
            return false;
    return true;
}

/* A relative path means the folder in which the command was given. */
static char *make_absolute(struct span path)
{
    char *folder = path.len > 0 && path.ptr[0] != '/' ? getcwd(NULL, 0) : NULL, *out = NULL;

    if (!folder)
        return span_dup(path);
    if (asprintf(&out, "%s/%.*s", folder, (int)path.len, path.ptr) < 0)
        out = NULL;
    free(folder);
    return out;
}

bool form_set(struct form *f, enum form_field field, struct span text)
{
    wipe(&f->of[field]);
    f->of[field] = field == FORM_CA ? make_absolute(text) : span_dup(text);
    return f->of[field] != NULL;
}

static bool set(struct form *f, enum form_field field, struct span text, struct err *err)
{
    if (form_set(f, field, text))
        return true;
    err_set(err, "out of memory");
    return false;
}

static const char forbidden[] =
    "a password does not belong on the command line, for ps shows it to "
    "everybody: --password-file FILE or --password-stdin";

static int hex_digit(char c)
{
    const char *digits = "0123456789abcdef", *at = c ? strchr(digits, span_lower(c)) : NULL;

    return at ? (int)(at - digits) : -1;
}

/* The user of a URL, %XX taken back (RFC 3986 2.1); false: a % without its two digits, or %00. */
static bool decode(struct span text, char *out)
{
    size_t n = 0;

    for (size_t i = 0; i < text.len; i++) {
        out[n] = text.ptr[i];
        if (text.ptr[i] == '%') {
            int high = i + 2 < text.len ? hex_digit(text.ptr[i + 1]) : -1;
            int low = high >= 0 ? hex_digit(text.ptr[i + 2]) : -1;

            if (low < 0 || high * 16 + low == 0)
                return false;
            out[n] = (char)(high * 16 + low);
            i += 2;
        }
        n++;
    }
    out[n] = '\0';
    return true;
}

static bool take_user(struct form *f, struct span user, struct err *err)
{
    char *decoded = malloc(user.len + 1);
    bool ok = false;

    if (span_find(user, ':') >= 0)
        err_set(err, "%s", forbidden);
    else if (!decoded)
        err_set(err, "out of memory");
    else if (!decode(user, decoded))
        err_set(err, "the user name of the URL has a %% without two hexadecimal digits behind it");
    else
        ok = set(f, FORM_USER, span_of(decoded), err);
    free(decoded);
    return ok;
}

/* The last '@' ends the user, the last ':' behind the host begins the port. */
static bool take_url(struct form *f, struct span rest, bool tls, struct err *err)
{
    struct span host = rest;
    long at = -1, colon = -1;

    for (size_t i = 0; i < rest.len; i++)
        at = rest.ptr[i] == '@' ? (long)i : at;
    if (at >= 0 && !take_user(f, (struct span){rest.ptr, (size_t)at}, err))
        return false;
    host = (struct span){rest.ptr + at + 1, rest.len - (size_t)(at + 1)};
    if (span_ends_with(host, SPAN_LIT("/")))
        host.len--;
    if (span_find(host, '/') >= 0 || span_find(host, '?') >= 0 || span_find(host, '#') >= 0) {
        err_set(err, "the URL of a proxy has no path: http://HOST:PORT");
        return false;
    }
    for (size_t i = 0; i < host.len; i++)
        colon = host.ptr[i] == ':' ? (long)i : host.ptr[i] == ']' ? -1 : colon;
    if (colon < 0) {
        err_set(err, "the URL has no port: %s://HOST:PORT", tls ? "https" : "http");
        return false;
    }
    struct span port = {host.ptr + colon + 1, host.len - (size_t)(colon + 1)};
    host.len = (size_t)colon;
    return set(f, FORM_HOST, host, err) && set(f, FORM_PORT, port, err) &&
           set(f, FORM_TLS, tls ? SPAN_LIT("on") : SPAN_LIT(""), err);
}

static bool starts_with(const char *text, const char *head)
{
    return strncasecmp(text, head, strlen(head)) == 0;
}

/* The field that the word names, FORM_COUNT: none. */
static enum form_field find_field(struct span name)
{
    const char *known = upstream_file_find_name(name);
    unsigned i = 0;

    while (i < FORM_COUNT && (!known || strcmp(fields[i].name, known) != 0))
        i++;
    return (enum form_field)i;
}

static void write_hint(struct span name, char out[NEAREST_HINT_MAX])
{
    const char *names[FORM_COUNT];

    for (unsigned i = 0; i < FORM_COUNT; i++)
        names[i] = fields[i].name;
    nearest_write_hint(name, names, FORM_COUNT, out);
}

bool form_take_word(struct form *f, const char *word, struct err *err)
{
    struct span value = span_of(word), name = span_cut(&value, '=');
    bool has_value = name.len < strlen(word);
    enum form_field field = has_value ? find_field(name) : FORM_COUNT;
    char shown[REPORT_WORD_MAX], hint[NEAREST_HINT_MAX] = "";

    if (starts_with(word, "http://"))
        return take_url(f, span_of(word + strlen("http://")), false, err);
    if (starts_with(word, "https://"))
        return take_url(f, span_of(word + strlen("https://")), true, err);
    if (field == FORM_PASSWORD && value.len > 0) {
        err_set(err, "%s", forbidden);
        return false;
    }
    if (field < FORM_COUNT)
        return set(f, field, value, err);
    /* there may be a password in it: what stands before an @ or behind a = is not shown */
    if (has_value)
        write_hint(name, hint);
    err_set(err, "%s%s: neither NAME=VALUE with a setting of upstream.conf nor http://HOST:PORT%s",
            report_word(span_find(name, '@') >= 0 ? SPAN_LIT("…@…") : name, shown),
            has_value ? "=…" : "", hint);
    return false;
}

/* The first line of a file. */
static bool read_secret(const char *path, char out[SECRET_MAX], struct err *err)
{
    FILE *in = fopen(path, "re");
    bool ok = false;

    if (!in) {
        err_set(err, "cannot open %s: %s", path, strerror(errno));
        return false;
    }
    setvbuf(in, NULL, _IONBF, 0); /* no copy is left in a buffer */
    if (!fgets(out, SECRET_MAX, in)) {
        err_set(err, "%s: %s", path, ferror(in) ? strerror(errno) : "there is no password in it");
    } else if (strlen(out) == SECRET_MAX - 1 && out[SECRET_MAX - 2] != '\n') {
        err_set(err, "%s: a password has at most %d bytes", path, SECRET_MAX - 1);
    } else {
        out[strcspn(out, "\r\n")] = '\0';
        ok = *out != '\0';
        if (!ok)
            err_set(err, "%s: its first line, the password, is empty", path);
    }
    fclose(in);
    return ok;
}

bool form_take_password(struct form *f, const char *path, struct err *err)
{
    char secret[SECRET_MAX];
    bool ok = strcmp(path, "-") == 0 ? secret_read("Password at the proxy", true, secret, err)
                                     : read_secret(path, secret, err);

    ok = ok && set(f, FORM_PASSWORD, span_of(secret), err);
    explicit_bzero(secret, sizeof secret);
    return ok;
}

/* Words behind the name: NO_PROXY has many, spaces or commas between them. */
static bool apply_field(const struct form *f, enum form_field field, struct span text,
                        struct buf *out)
{
    const char *words[WORDS_MAX] = {f->of[field]};
    struct upstream_edit e = {fields[field].name, words, *f->of[field] != '\0'};
    char *copy = NULL, *rest = NULL;

    if (field == FORM_NO_PROXY) {
        copy = strdup(f->of[field]);
        if (!copy)
            return false;
        e.len = 0;
        for (char *word = strtok_r(copy, " ,\t\r\n", &rest); word && e.len < WORDS_MAX;
             word = strtok_r(NULL, " ,\t\r\n", &rest))
            words[e.len++] = word;
    }
    bool ok = upstream_file_edit(text, &e, out);
    free(copy);
    return ok;
}

/* Tells what is wrong with one answer by itself; true: nothing. */
static bool check_answer(const struct form *f, enum form_field field)
{
    struct config_report report = {.language = ""};
    struct config *c = NULL;
    struct buf text;

    buf_init(&text, UPSTREAM_FILE_MAX);
    if (apply_field(f, field, SPAN_LIT(COMPLETE), &text))
        c = config_load_upstream("", buf_span(&text), &report);
    problems_print(&report, "", false);
    config_report_fini(&report);
    config_unref(c);
    buf_wipe(&text);
    buf_fini(&text);
    return c != NULL;
}

bool form_settle(struct form *f, const struct config_upstream *now, struct err *err)
{
    const char *user = f->of[FORM_USER], *old = now ? now->user : NULL;

    if (!user || f->of[FORM_PASSWORD] || (old && strcmp(user, old) == 0))
        return true;
    if (!*user) /* nobody logs in: the password goes, too */
        return set(f, FORM_PASSWORD, SPAN_LIT(""), err);
    if (!check_answer(f, FORM_USER)) {
        err_set(err, "nothing is changed");
        return false;
    }
    if (isatty(STDIN_FILENO))
        return form_take_password(f, "-", err);
    err_set(err,
            "the password of the new user is missing: --password-file FILE, --password-stdin, or "
            "PROXY_PASSWORD= where there is none");
    return false;
}

bool form_apply(const struct form *f, struct span text, struct buf *out)
{
    struct buf from, to;
    bool ok;

    buf_init(&from, UPSTREAM_FILE_MAX);
    buf_init(&to, UPSTREAM_FILE_MAX);
    ok = buf_append(&from, text.ptr, text.len);
    for (unsigned i = 0; ok && i < FORM_COUNT; i++) {
        struct buf empty = from;

        if (!f->of[i])
            continue;
        ok = apply_field(f, (enum form_field)i, buf_span(&from), &to);
        from = to;
        to = empty;
        buf_wipe(&to);
    }
    ok = ok && buf_append(out, buf_span(&from).ptr, from.len);
    buf_wipe(&from);
    buf_wipe(&to);
    buf_fini(&from);
    buf_fini(&to);
    return ok;
}

/* One line of standard input, without its end: byte by byte, for a password may be next. */
static bool read_answer(char out[ANSWER_MAX], struct err *err)
{
    size_t len = 0;

    for (;;) {
        char c;
        ssize_t n = read(STDIN_FILENO, &c, 1);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            err_set(err, "the input ended: nothing is changed");
            return false;
        }
        if (c == '\n')
            break;
        if (len < ANSWER_MAX - 1)
            out[len++] = c;
    }
    out[len] = '\0';
    return true;
}

static void join(const struct config_upstream *u, char *out, size_t cap)
{
    size_t len = 0;

    out[0] = '\0';
    for (unsigned i = 0; i < u->no_proxy_len && len < cap; i++)
        len += (size_t)snprintf(out + len, cap - len, "%s%s", i ? " " : "", u->no_proxy[i]);
}

/* The field as it stands, "" where it does not. */
static void write_now(const struct config_upstream *u, enum form_field field, char out[ANSWER_MAX])
{
    const char *text = "";
    char port[8];

    switch (field) {
    case FORM_ENABLED:
        text = !u->present || u->enabled ? "on" : "off";
        break;
    case FORM_HOST:
        text = u->host;
        break;
    case FORM_PORT:
        snprintf(port, sizeof port, "%u", u->port);
        text = u->port ? port : "";
        break;
    case FORM_USER:
        text = u->user;
        break;
    case FORM_TLS:
        text = u->tls ? "on" : "off";
        break;
    case FORM_CA:
        text = u->ca;
        break;
    case FORM_NO_PROXY:
        join(u, out, ANSWER_MAX);
        return;
    case FORM_SMART_LICENSING:
        text = u->smart_licensing ? "on" : "off";
        break;
    case FORM_PASSWORD:
    case FORM_COUNT:
        break;
    }
    struct pen p;
    pen_init_fixed(&p, out, ANSWER_MAX - 1);
    escape_text(&p, span_of(text)); /* for a terminal */
    *p.at = '\0';
}

static bool ask_field(struct form *f, const struct config_upstream *now, enum form_field field,
                      struct err *err)
{
    char old[ANSWER_MAX], answer[ANSWER_MAX];

    write_now(now, field, old);
    for (;;) {
        fprintf(stderr, "%s [%s]: ", fields[field].prompt, old);
        if (!read_answer(answer, err))
            return false;
        if (!*answer)
            return true;
        struct span given = span_trim(span_of(answer));
        if (span_equal(given, SPAN_LIT("-")))
            given.len = 0;
        if (!set(f, field, given, err))
            return false;
        if (check_answer(f, field))
            return true;
        wipe(&f->of[field]);
    }
}

/* A user who stays keeps the password, or having none. */
static bool ask_password(struct form *f, const struct config_upstream *now, struct err *err)
{
    const char *user = f->of[FORM_USER] ? f->of[FORM_USER] : now->user;
    bool same = now->user && user && strcmp(user, now->user) == 0;
    char answer[ANSWER_MAX] = "y";

    if (!user || !*user)
        return form_settle(f, now, err);
    if (same) {
        fputs("A new password, yes or no [no]: ", stderr);
        if (!read_answer(answer, err))
            return false;
    }
    while (*answer == 'y' || *answer == 'Y') {
        if (!form_take_password(f, "-", err))
            return false;
        if (check_answer(f, FORM_PASSWORD))
            break;
    }
    return true;
}

bool form_ask(struct form *f, const struct config_upstream *now, struct err *err)
{
    static const enum form_field order[] = {FORM_ENABLED, FORM_HOST,     FORM_PORT,
                                            FORM_USER,    FORM_PASSWORD, FORM_TLS,
                                            FORM_CA,      FORM_NO_PROXY, FORM_SMART_LICENSING};

    fputs("Enter keeps what stands in brackets, - takes it out.\n", stderr);
    for (size_t i = 0; i < ARRAY_LEN(order); i++) {
        bool tls = f->of[FORM_TLS] ? strcmp(f->of[FORM_TLS], "on") == 0 : now->tls;
        bool ok = true;

        if (order[i] == FORM_PASSWORD)
            ok = ask_password(f, now, err);
        else if (order[i] != FORM_CA || tls)
            ok = ask_field(f, now, order[i], err);
        if (!ok)
            return false;
    }
    return true;
}
