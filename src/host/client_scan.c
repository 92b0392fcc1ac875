#include "host/client_scan.h"

#include "base/util.h"

#define BYTE_ORDER_MARK "\xef\xbb\xbf"

/* ASCII blanks, and the CR of a CRLF. */
static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '\f' || c == '\v';
}

static struct span trim(struct span s)
{
    while (s.len > 0 && is_blank(*s.ptr))
        s.ptr++, s.len--;
    while (s.len > 0 && is_blank(s.ptr[s.len - 1]))
        s.len--;
    return s;
}

/* The word up to the first byte of `ends`. */
static struct span word_until(struct span s, const char *ends)
{
    size_t n = 0;

    while (n < s.len && (!s.ptr[n] || !strchr(ends, s.ptr[n])))
        n++;
    return (struct span){s.ptr, n};
}

static bool is_one_of(struct span word, const char *const *names, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (span_equal_nocase(word, span_of(names[i])))
            return true;
    return false;
}

/* "export http_proxy=…", "Environment=\"HTTPS_PROXY=…\"": a variable's name, whole, and '='. */
static bool sets_variable(const struct client_scan *s, struct span text)
{
    static const char *const names[] = {"http_proxy", "https_proxy", "ftp_proxy", "all_proxy",
                                        "no_proxy"};

    for (size_t i = 0; i < text.len; i++) {
        struct span word = word_until((struct span){text.ptr + i, text.len - i}, " \t\"';&=");

        if (word.len > 0 && i + word.len < text.len && text.ptr[i + word.len] == '=' &&
            is_one_of(word, names, ARRAY_LEN(names)))
            return true;
        i += word.len;
    }
    return false;
}

/* Acquire::http::Proxy "…"; or Proxy "…"; in a block: the word at the end of its scope. */
static bool sets_apt(const struct client_scan *s, struct span text)
{
    for (size_t i = 0; i < text.len; i++) {
        struct span word = word_until((struct span){text.ptr + i, text.len - i}, " \t:{};\"");

        if (span_equal_nocase(word, SPAN_LIT("proxy")) &&
            (i + word.len == text.len || strchr(" \t\"", text.ptr[i + word.len])))
            return true;
        i += word.len;
    }
    return false;
}

/* "proxy = x", "--proxy x", "-x x", "-xx". */
static bool sets_curl(const struct client_scan *s, struct span text)
{
    static const char *const names[] = {"proxy",   "proxy1.0",        "preproxy",
                                        "noproxy", "socks4",          "socks5",
                                        "socks4a", "socks5-hostname", "proxy-user"};
    struct span word = word_until(text, " \t=:");

    if (client_starts_with(text, "-x") || client_starts_with(text, "-U"))
        return true;
    if (client_starts_with(word, "--"))
        word = (struct span){word.ptr + 2, word.len - 2};
    return is_one_of(word, names, ARRAY_LEN(names));
}

/* wget takes "HTTP-Proxy" for http_proxy. */
static bool sets_wget(const struct client_scan *s, struct span text)
{
    static const char *const names[] = {"httpproxy", "httpsproxy", "ftpproxy",    "noproxy",
                                        "useproxy",  "proxyuser",  "proxypasswd", "proxypassword"};
    struct span word = word_until(text, " \t=");
    char bare[32];
    size_t n = 0;

    for (size_t i = 0; i < word.len; i++)
        if (word.ptr[i] != '-' && word.ptr[i] != '_' && n < sizeof(bare))
            bare[n++] = word.ptr[i];
    return is_one_of((struct span){bare, n}, names, ARRAY_LEN(names));
}

static bool is_key(struct span text, const char *ends, const char *const *names, size_t n)
{
    return is_one_of(trim(word_until(text, ends)), names, n);
}

/* [http] and [http "URL"]; also where the setting stands behind its header. */
static bool sets_git(const struct client_scan *s, struct span text)
{
    static const char *const names[] = {"proxy"};
    struct span name = word_until(s->section, " \t\".]");
    long end = *text.ptr == '[' ? span_find(text, ']') : -1;

    if (*text.ptr == '[' && end < 0)
        return false;
    text = trim((struct span){text.ptr + end + 1, text.len - (size_t)(end + 1)});
    return span_equal_nocase(name, SPAN_LIT("http")) && is_key(text, "=#;", names, 1);
}

static bool sets_npm(const struct client_scan *s, struct span text)
{
    static const char *const names[] = {"proxy", "http-proxy", "https-proxy", "noproxy"};

    return s->section.len == 0 && is_key(text, "=", names, ARRAY_LEN(names));
}

static bool sets_pip(const struct client_scan *s, struct span text)
{
    static const char *const names[] = {"proxy"};

    return is_key(text, "=:", names, 1);
}

static const struct language {
    bool (*sets)(const struct client_scan *s, struct span text); /* whether a line sets a proxy */
    const char *comments;                                        /* what a comment begins with */
    bool sections;                                               /* [name] begins one */
    bool continues; /* a backslash at the end of a line takes the next one along */
} languages[CLIENT_FORMATS] = {
    [CLIENT_ENVIRONMENT] = {sets_variable, "#", false},
    [CLIENT_SHELL] = {sets_variable, "#", false, true},
    [CLIENT_UNIT] = {sets_variable, "#;", true, true},
    [CLIENT_MANAGER] = {sets_variable, "#;", true, true},
    [CLIENT_APT] = {sets_apt, "#/", false},
    [CLIENT_CURL] = {sets_curl, "#", false},
    [CLIENT_WGET] = {sets_wget, "#", false},
    [CLIENT_GIT] = {sets_git, "#;", true, true},
    [CLIENT_NPM] = {sets_npm, "#;", true},
    [CLIENT_PIP] = {sets_pip, "#;", true},
    [CLIENT_DOCKER] = {sets_variable, "", false}, /* never read by lines */
};

static struct span skip_byte_order_mark(struct span s)
{
    return client_starts_with(s, BYTE_ORDER_MARK) ? (struct span){s.ptr + 3, s.len - 3} : s;
}

void client_scan_init(struct client_scan *s, enum client_format format, struct span text)
{
    *s = (struct client_scan){.format = format, .rest = text};
}

static struct span take_line(struct client_scan *s)
{
    long nl = span_find(s->rest, '\n');
    struct span line = {s->rest.ptr, nl < 0 ? s->rest.len : (size_t)nl + 1};

    s->rest = (struct span){s->rest.ptr + line.len, s->rest.len - line.len};
    s->number++;
    return line;
}

/* A deeper line goes on with the setting above it, as configparser has it. */
static bool is_continuation(struct client_scan *s, struct span line, struct span text)
{
    struct span indent = {line.ptr, (size_t)(text.ptr - line.ptr)};

    if (s->continues)
        return true;
    if (s->format != CLIENT_PIP)
        return false;
    if (s->indent.ptr && indent.len > s->indent.len)
        return true;
    s->indent = indent;
    return false;
}

static void read_setting(struct client_scan *s, struct client_line *line, struct span text)
{
    const struct language *l = &languages[s->format];

    if (is_continuation(s, line->text, text)) {
        line->proxy = s->proxy;
        return;
    }
    line->header = l->sections && *text.ptr == '[';
    if (line->header) {
        s->section = (struct span){text.ptr + 1, text.len - 1};
        s->indent.ptr = NULL;
    }
    s->proxy = line->proxy = l->sets(s, text);
}

bool client_scan_next(struct client_scan *s, struct client_line *line)
{
    struct span text;
    bool begins;

    if (s->rest.len == 0)
        return false;
    *line = (struct client_line){.text = take_line(s)};
    line->number = s->number;
    text = s->number == 1 ? skip_byte_order_mark(line->text) : line->text;
    begins = client_starts_with(text, CLIENT_MARK_BEGIN);
    line->ours = s->inside || begins;
    s->inside = line->ours && !client_starts_with(text, CLIENT_MARK_END);
    if (line->ours) {
        line->text = text; /* a byte order mark before it is not ours */
        return true;
    }
    text = trim(text);
    line->blank =
        text.len == 0 || (!s->continues && strchr(languages[s->format].comments, *text.ptr));
    if (!line->blank)
        read_setting(s, line, text);
    s->continues = languages[s->format].continues && !line->blank && text.ptr[text.len - 1] == '\\';
    return true;
}

unsigned client_scan_foreign(enum client_format format, struct span text, struct client_line *line)
{
    struct client_scan s;
    struct client_line next;

    client_scan_init(&s, format, text);
    while (client_scan_next(&s, &next))
        if (next.proxy) {
            if (line)
                *line = next;
            return next.number;
        }
    return 0;
}
