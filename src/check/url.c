#include "check/url.h"

#include <stdio.h>
#include <stdlib.h>

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
    err_set(err, "%.*s: only http:// and https:// URLs can be checked", (int)u->at.scheme.len,
            u->at.scheme.ptr);
bad:
    url_fini(u);
    return false;
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

bool url_join(struct url *u, const struct url *base, struct span location, struct err *err)
{
    char target[AUTHORITY_TEXT_MAX];
    const char *scheme = base->tls ? "https" : "http";
    struct span path = base->at.path;
    char *whole = NULL;
    int n;

    if (find_scheme(location))
        return url_parse(u, location, err);
    if (find_bad_byte(location) >= 0 || location.len > URL_MAX) {
        err_set(err, "the Location is no URL");
        return false;
    }
    if (span_find(location, '#') >= 0)
        location.len = (size_t)span_find(location, '#');
    url_write_target(base, target);
    if (location.len > 1 && location.ptr[0] == '/' && location.ptr[1] == '/') {
        n = asprintf(&whole, "%s:%.*s", scheme, (int)location.len, location.ptr);
    } else if (location.len > 0 && location.ptr[0] == '/') {
        n = asprintf(&whole, "%s://%s%.*s", scheme, target, (int)location.len, location.ptr);
    } else {
        path = span_cut(&path, '?');
        while (path.len > 0 && path.ptr[path.len - 1] != '/')
            path.len--;
        n = asprintf(&whole, "%s://%s%.*s%.*s", scheme, target, (int)(path.len ? path.len : 1),
                     path.len ? path.ptr : "/", (int)location.len, location.ptr);
    }
    return take(u, n < 0 ? NULL : whole, err);
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
