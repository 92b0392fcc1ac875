#include "check/url.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ONLY_HTTP "%.*s: only http:// and https:// URLs can be checked"
#define URL_MAX 8192 /* bytes: more is refused by most targets */

void url_fini(struct url *u)
{
    free(u->text);
    *u = (struct url){0};
}

/* Where "scheme:" ends, 0: there is none ("host:80" has none either). */
static size_t find_scheme(struct span text)
{
    for (size_t i = 0; i + 2 < text.len; i++) {
        if (text.ptr[i] == ':')
            return text.ptr[i + 1] == '/' && text.ptr[i + 2] == '/' ? i : 0;
        if (!((text.ptr[i] | 0x20) >= 'a' && (text.ptr[i] | 0x20) <= 'z'))
            return 0;
    }
    return 0;
}

/* The same of a Location, where "host:80" is none: what stands before a colon is a scheme. */
static size_t find_any_scheme(struct span location)
{
    for (size_t i = 0; i < location.len; i++) {
        char c = span_lower(location.ptr[i]);

        if (c == ':')
            return i;
        if (!((c >= 'a' && c <= 'z') || (i > 0 && memchr("0123456789+-.", c, 13))))
            return 0;
    }
    return 0;
}

/* The first byte that a request line cannot carry, or -1. */
static long find_bad_byte(struct span text)
{
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.ptr[i] <= ' ' || text.ptr[i] == 0x7f)
            return (long)i;
    return -1;
}

/* Takes over `text`, a whole URL on the heap. */
static bool take(struct url *u, char *text, struct err *err)
{
    *u = (struct url){.text = text};
    if (!text) {
        err_set(err, "out of memory");
        return false;
    }
    if (!authority_parse_absolute(span_of(text), false, &u->at)) {
        /* never the URL itself: it may hold a password */
        err_set(err, "the URL has %s at byte %zu", u->at.bad_what, u->at.bad_offset + 1);
        goto bad;
    }
    u->tls = span_equal_nocase(u->at.scheme, SPAN_LIT("https"));
    if (u->tls || span_equal_nocase(u->at.scheme, SPAN_LIT("http")))
        return true;
    err_set(err, ONLY_HTTP, (int)u->at.scheme.len, u->at.scheme.ptr);
bad:
    url_fini(u);
    return false;
}

/* Takes "." and ".." out of a path that begins with a slash, in place (RFC 3986 5.2.4); returns
 * what its length is then. */
static size_t remove_dots(char *path, size_t len)
{
    size_t out = 0;

    for (size_t at = 0, end; at < len; at = end) {
        for (end = at + 1; end < len && path[end] != '/';)
            end++;
        struct span name = {path + at + 1, end - at - 1};
        bool up = span_equal(name, SPAN_LIT("..")), dots = up || span_equal(name, SPAN_LIT("."));

        while (up && out > 0 && path[--out] != '/')
            ;
        if (!dots) {
            memmove(path + out, path + at, end - at);
            out += end - at;
        } else if (end == len) {
            path[out++] = '/';
        }
    }
    return out;
}

/* Not left to the target: it may refuse a path that leads out of its root.  Always true. */
static bool clean_path(struct url *u)
{
    struct span rest = u->at.path, path = span_cut(&rest, '?');
    char *begin;
    size_t len;

    if (path.len < 2 || path.ptr[0] != '/') /* one of its own borrows from u->text */
        return true;
    begin = u->text + (path.ptr - u->text);
    len = remove_dots(begin, path.len);
    memmove(begin + len, begin + path.len, strlen(begin + path.len) + 1);
    u->at.path.len -= path.len - len;
    return true;
}

bool url_parse(struct url *u, struct span text, struct err *err)
{
    long bad = find_bad_byte(text);
    char *whole = NULL;

    if (bad >= 0 || text.len > URL_MAX || text.len == 0) {
        if (bad >= 0)
            err_set(err, "the URL has a blank or a control character at byte %ld", bad + 1);
        else
            err_set(err, "the URL has %zu bytes, 1 to %d can be", text.len, URL_MAX);
        return false;
    }
    if (span_find(text, '#') >= 0)
        text.len = (size_t)span_find(text, '#');
    if (asprintf(&whole, "%s%.*s", find_scheme(text) ? "" : "http://", (int)text.len, text.ptr) < 0)
        whole = NULL;
    return take(u, whole, err);
}

/* How much of the base's path and query stays in front of the location (RFC 3986 5.2.2). */
static struct span find_kept(struct span path, struct span location)
{
    struct span rest = path, before = span_cut(&rest, '?');

    if (location.len == 0)
        return path;
    if (location.ptr[0] == '?')
        return before;
    if (location.ptr[0] == '/')
        return (struct span){path.ptr, 0};
    while (before.len > 0 && before.ptr[before.len - 1] != '/')
        before.len--;
    return before;
}

bool url_join(struct url *u, const struct url *base, struct span location, struct err *err)
{
    char target[AUTHORITY_TEXT_MAX];
    const char *scheme = base->tls ? "https" : "http";
    struct span kept, first;
    char *whole = NULL;
    bool rooted;
    int n;

    if (find_scheme(location))
        return url_parse(u, location, err) && clean_path(u);
    if (find_bad_byte(location) >= 0 || location.len > URL_MAX) {
        err_set(err, "the Location is no URL");
        return false;
    }
    if (find_any_scheme(location)) {
        err_set(err, ONLY_HTTP, (int)find_any_scheme(location), location.ptr);
        return false;
    }
    if (span_find(location, '#') >= 0)
        location.len = (size_t)span_find(location, '#');
    if (location.len > 1 && location.ptr[0] == '/' && location.ptr[1] == '/') {
        n = asprintf(&whole, "%s:%.*s", scheme, (int)location.len, location.ptr);
        return take(u, n < 0 ? NULL : whole, err) && clean_path(u);
    }
    kept = find_kept(base->at.path, location);
    first = kept.len > 0 ? kept : location;
    rooted = first.len > 0 && first.ptr[0] == '/';
    url_write_target(base, target);
    n = asprintf(&whole, "%s://%s%s%.*s%.*s", scheme, target, rooted ? "" : "/", (int)kept.len,
                 kept.ptr, (int)location.len, location.ptr);
    if (!take(u, n < 0 ? NULL : whole, err))
        return false;
    return location.len == 0 || location.ptr[0] == '?' || clean_path(u);
}

size_t url_write_target(const struct url *u, char out[AUTHORITY_TEXT_MAX])
{
    return authority_write(&u->at, out);
}

size_t url_write_host(const struct url *u, char out[AUTHORITY_TEXT_MAX])
{
    size_t n = authority_write(&u->at, out);

    if (u->at.port == (u->tls ? 443 : 80)) {
        while (out[n - 1] != ':')
            n--;
        out[--n] = '\0';
    }
    return n;
}
