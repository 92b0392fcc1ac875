#include "host/client_text.h"

#include <stdlib.h>

#include "base/endpoint.h"
#include "base/num.h"
#include "base/util.h"

#define LIST_MAX 65536u
#define WORD_MAX 1024 /* bytes that are looked through for a password's end */
#define DOTS "••••"

typedef bool writer(const struct client_proxy *p, const char *url, const char *list,
                    struct buf *out);

void client_wipe(struct buf *b)
{
    if (b->ptr)
        explicit_bzero(b->ptr, b->cap);
    buf_fini(b);
}

static bool write_encoded(const char *text, struct buf *out)
{
    static const char unreserved[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                     "0123456789-._~";

    for (; *text; text++)
        if (strchr(unreserved, *text) ? !buf_append(out, text, 1)
                                      : !buf_printf(out, "%%%02X", (unsigned char)*text))
            return false;
    return true;
}

bool client_text_url(const struct client_proxy *p, struct buf *out)
{
    bool brackets = strchr(p->host, ':') != NULL;
    bool ok = buf_printf(out, "%s://", p->tls ? "https" : "http");

    if (p->user)
        ok = ok && write_encoded(p->user, out) &&
             (!p->password || (buf_append(out, ":", 1) && write_encoded(p->password, out))) &&
             buf_append(out, "@", 1);
    return ok && buf_printf(out, brackets ? "[%s]:%u" : "%s:%u", p->host, p->port);
}

/* The names that are loopback's go direct on every machine; then the settings' own. */
static const char *const loopback[] = {"localhost", "127.0.0.1", "::1"};

static const char *exception_at(const struct client_proxy *p, unsigned i)
{
    return i < ARRAY_LEN(loopback) ? loopback[i] : p->no_proxy[i - ARRAY_LEN(loopback)];
}

static unsigned exceptions_len(const struct client_proxy *p)
{
    return ARRAY_LEN(loopback) + p->no_proxy_len;
}

static bool is_loopback(const char *name)
{
    for (unsigned i = 0; i < ARRAY_LEN(loopback); i++)
        if (strcmp(loopback[i], name) == 0)
            return true;
    return false;
}

/* "localhost,127.0.0.1,::1,.internal.example,10.0.0.0/8": the way NO_PROXY is read everywhere;
 * nobody but us knows "*.name", all know ".name". */
static bool write_list(const struct client_proxy *p, struct buf *out)
{
    for (unsigned i = 0; i < exceptions_len(p); i++) {
        const char *name = exception_at(p, i);

        if (i >= ARRAY_LEN(loopback) && is_loopback(name))
            continue;
        if (!buf_printf(out, "%s%s", i > 0 ? "," : "", *name == '*' ? name + 1 : name))
            return false;
    }
    return true;
}

/* Lower case is what most read and all that curl reads; upper case is for the few others. */
static const struct {
    const char *name;
    bool list;
} variables[] = {
    {"http_proxy", false}, {"https_proxy", false}, {"no_proxy", true},
    {"HTTP_PROXY", false}, {"HTTPS_PROXY", false}, {"NO_PROXY", true},
};

static bool write_environment(const struct client_proxy *p, const char *url, const char *list,
                              struct buf *out)
{
    for (size_t i = 0; i < ARRAY_LEN(variables); i++)
        if (!buf_printf(out, "%s=%s\n", variables[i].name, variables[i].list ? list : url))
            return false;
    return true;
}

/* Neither an encoded URL nor a list of names has a quote. */
static bool write_shell(const struct client_proxy *p, const char *url, const char *list,
                        struct buf *out)
{
    for (size_t i = 0; i < ARRAY_LEN(variables); i++)
        if (!buf_printf(out, "export %s='%s'\n", variables[i].name, variables[i].list ? list : url))
            return false;
    return true;
}

/* systemd expands specifiers: a percent sign is written twice (systemd.unit(5)). */
static bool write_settings(const char *setting, const char *url, const char *list, struct buf *out)
{
    for (size_t i = 0; i < ARRAY_LEN(variables); i++) {
        if (!buf_printf(out, "%s=\"%s=", setting, variables[i].name))
            return false;
        for (const char *c = variables[i].list ? list : url; *c; c++)
            if (!buf_append(out, *c == '%' ? "%%" : c, *c == '%' ? 2 : 1))
                return false;
        if (!buf_append(out, "\"\n", 2))
            return false;
    }
    return true;
}

static bool write_unit(const struct client_proxy *p, const char *url, const char *list,
                       struct buf *out)
{
    return buf_printf(out, "[Service]\n") && write_settings("Environment", url, list, out);
}

static bool write_manager(const struct client_proxy *p, const char *url, const char *list,
                          struct buf *out)
{
    return buf_printf(out, "[Manager]\n") && write_settings("DefaultEnvironment", url, list, out);
}

/* apt excepts whole host names only, and takes "::" for its own separator. */
static bool write_apt(const struct client_proxy *p, const char *url, const char *list,
                      struct buf *out)
{
    bool ok =
        buf_printf(out, "Acquire::http::Proxy \"%s\";\nAcquire::https::Proxy \"%s\";\n", url, url);

    for (unsigned i = 0; ok && i < exceptions_len(p); i++) {
        const char *name = exception_at(p, i);

        if (!strpbrk(name, ":/*") && *name != '.')
            ok = buf_printf(out,
                            "Acquire::http::Proxy::%s \"DIRECT\";\n"
                            "Acquire::https::Proxy::%s \"DIRECT\";\n",
                            name, name);
    }
    return ok;
}

/* Which scheme the proxy wants is not known here: curl shall see what is offered. */
static bool write_curl(const struct client_proxy *p, const char *url, const char *list,
                       struct buf *out)
{
    return buf_printf(out, "proxy = \"%s\"\n%snoproxy = \"%s\"\n", url,
                      p->user ? "proxy-anyauth\n" : "", list);
}

static bool write_wget(const struct client_proxy *p, const char *url, const char *list,
                       struct buf *out)
{
    return buf_printf(out, "use_proxy = on\nhttp_proxy = %s\nhttps_proxy = %s\nno_proxy = %s\n",
                      url, url, list);
}

static bool write_git_exception(const char *prefix, const char *host, struct buf *out)
{
    bool brackets = strchr(host, ':') != NULL;

    for (unsigned tls = 0; tls < 2; tls++)
        if (!buf_printf(out, "[http \"http%s://%s%s%s%s/\"]\n\tproxy =\n", tls ? "s" : "", prefix,
                        brackets ? "[" : "", host, brackets ? "]" : ""))
            return false;
    return true;
}

/* git knows no list but an empty proxy for a URL; it has no networks. */
static bool write_git(const struct client_proxy *p, const char *url, const char *list,
                      struct buf *out)
{
    bool ok = buf_printf(out, "[http]\n\tproxy = %s\n", url);

    for (unsigned i = 0; ok && i < exceptions_len(p); i++) {
        const char *name = exception_at(p, i);
        bool below = *name == '.' || *name == '*';
        const char *bare = *name == '*' ? name + 2 : below ? name + 1 : name;

        if (strchr(name, '/') || (i >= ARRAY_LEN(loopback) && is_loopback(name)))
            continue;
        ok = (*name == '*' || write_git_exception("", bare, out)) &&
             (!below || write_git_exception("*.", bare, out));
    }
    return ok;
}

static bool write_npm(const struct client_proxy *p, const char *url, const char *list,
                      struct buf *out)
{
    return buf_printf(out, "proxy=%s\nhttps-proxy=%s\nnoproxy=%s\n", url, url, list);
}

static bool write_pip(const struct client_proxy *p, const char *url, const char *list,
                      struct buf *out)
{
    return buf_printf(out, "proxy = %s\n", url);
}

/* In the order in which docker itself writes them: client_json compares with what docker made of
 * it. */
static bool write_docker(const struct client_proxy *p, const char *url, const char *list,
                         struct buf *out)
{
    return buf_printf(out,
                      "\"proxies\": {\n\t\t\"default\": {\n\t\t\t\"httpProxy\": \"%s\",\n"
                      "\t\t\t\"httpsProxy\": \"%s\",\n\t\t\t\"noProxy\": \"%s\"\n\t\t}\n\t}",
                      url, url, list);
}

static writer *const writers[CLIENT_FORMATS] = {
    [CLIENT_ENVIRONMENT] = write_environment,
    [CLIENT_SHELL] = write_shell,
    [CLIENT_UNIT] = write_unit,
    [CLIENT_MANAGER] = write_manager,
    [CLIENT_APT] = write_apt,
    [CLIENT_CURL] = write_curl,
    [CLIENT_WGET] = write_wget,
    [CLIENT_GIT] = write_git,
    [CLIENT_NPM] = write_npm,
    [CLIENT_PIP] = write_pip,
    [CLIENT_DOCKER] = write_docker,
};

bool client_text_write(enum client_format format, const struct client_proxy *p, struct buf *out,
                       struct err *err)
{
    struct buf url, list;
    bool ok;

    if (format == CLIENT_WGET && p->tls) {
        err_set(err, "wget cannot reach a proxy by TLS: give it a local relay by --proxy "
                     "http://127.0.0.1:3128");
        return false;
    }
    buf_init(&url, LIST_MAX);
    buf_init(&list, LIST_MAX);
    ok = client_text_url(p, &url) && write_list(p, &list) && buf_append(&url, "", 1) &&
         buf_append(&list, "", 1) &&
         writers[format](p, buf_span(&url).ptr, buf_span(&list).ptr, out);
    if (!ok)
        err_set(err, "the settings take too much memory");
    client_wipe(&url);
    buf_fini(&list);
    return ok;
}

/* The password of "user:password@host", with a scheme in front or not, in the word at `at`: from
 * *from to what is returned; NULL when there is none.  Rather too much than too little. */
static const char *find_password(const char *at, const char *end, const char **from)
{
    const char *found = NULL, *colon;

    if (end - at > WORD_MAX)
        end = at + WORD_MAX;
    if (end - at > 3 && memcmp(at, "://", 3) == 0)
        at += 3;
    else if (*at == ':')
        return NULL; /* its user's name is behind us */
    colon = at;
    while (colon < end && !strchr(": \t\r\"'@=", *colon))
        colon++;
    if (colon == end || *colon != ':' || (end - colon > 3 && memcmp(colon, "://", 3) == 0))
        return NULL;
    for (at = colon + 1; at < end && !strchr(" \t\r\"'", *at); at++)
        if (*at == '@')
            found = at;
    *from = colon + 1;
    return found;
}

/* A word behind which a secret may stand, found at `at`. */
static bool is_secret_word(struct span rest)
{
    static const char *const words[] = {"passw", "token", "secret", "auth", "user"};

    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        size_t len = strlen(words[i]);

        if (rest.len >= len && span_equal_nocase((struct span){rest.ptr, len}, span_of(words[i])))
            return true;
    }
    return false;
}

/* What stands at `at` and must not be shown ends at the place returned; *from is where it begins.
 * NULL: nothing. */
static const char *find_secret(const char *line, const char *at, const char *end, const char **from)
{
    const char *stop = find_password(at, end, from);
    bool starts = at == line || at[-1] == ' ' || at[-1] == '\t';

    if (!stop && starts && end - at > 2 && *at == '-' && span_lower(at[1]) == 'u') {
        *from = at + 2; /* curl's -U user:password */
        return end;
    }
    if (stop)
        return stop;
    if (is_secret_word((struct span){at, (size_t)(end - at)}))
        for (stop = at; stop < end; stop++)
            if (strchr("=: \t", *stop)) {
                *from = stop + 1;
                return end;
            }
    return NULL;
}

bool client_text_mask(struct span text, struct buf *out)
{
    while (text.len > 0) {
        const char *nl = memchr(text.ptr, '\n', text.len);
        const char *end = nl ? nl : text.ptr + text.len;

        for (const char *at = text.ptr; at < end;) {
            const char *from, *stop = find_secret(text.ptr, at, end, &from);

            if (stop && from < stop) {
                if (!buf_append(out, at, (size_t)(from - at)) || !buf_printf(out, DOTS))
                    return false;
                at = stop;
            } else if (!buf_append(out, at++, 1)) {
                return false;
            }
        }
        if (nl && !buf_append(out, nl++, 1))
            return false;
        text = nl ? (struct span){nl, text.len - (size_t)(nl - text.ptr)} : (struct span){0};
    }
    return true;
}
