#include "capture/exchange.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "capture/inside.h"
#include "capture/series.h"

const struct exchange_rare *exchange_get_rare(const struct exchange *x)
{
    static const struct exchange_rare none;

    return x->rare ? x->rare : &none;
}

struct exchange_rare *exchange_make_rare(struct exchange *x)
{
    if (!x->rare)
        x->rare = calloc(1, sizeof *x->rare);
    return x->rare;
}

const char *exchange_get_method(const struct exchange *x)
{
    if (x->method == METHOD_OTHER)
        return exchange_get_rare(x)->method;
    return http1_method_name((enum http1_method)x->method);
}

/* ---- names */

static struct span get_host(const struct exchange *x)
{
    const char *colon = x->target ? strrchr(x->target, ':') : NULL;

    return colon ? (struct span){x->target, (size_t)(colon - x->target)} : SPAN_LIT("");
}

void exchange_set_names(struct exchange *x, struct span sni, struct span alpn)
{
    char *names = NULL;

    x->sni_is_host = sni.len > 0 && span_equal(sni, get_host(x));
    if (x->sni_is_host)
        sni.len = 0;
    if (sni.len + alpn.len > 0)
        names = calloc(1, sni.len + alpn.len + 2);
    if (names) {
        memcpy(names, sni.ptr, sni.len);
        memcpy(names + sni.len + 1, alpn.ptr, alpn.len);
    }
    free(x->names); /* of which the spans may be */
    x->names = names;
}

struct span exchange_get_sni(const struct exchange *x)
{
    if (x->sni_is_host)
        return get_host(x);
    return x->names ? span_of(x->names) : SPAN_LIT("");
}

struct span exchange_get_alpn(const struct exchange *x)
{
    return x->names ? span_of(x->names + strlen(x->names) + 1) : SPAN_LIT("");
}

/* ---- URL */

#define SCHEME "http://"

/* How much of a target is the beginning of that text; 0: it begins with something else. */
static size_t find_authority(const struct exchange *x, const char *text, bool *has_port)
{
    size_t whole = x->target ? strlen(x->target) : 0, host = get_host(x).len;

    *has_port = whole > 0 && strncmp(text, x->target, whole) == 0;
    if (*has_port)
        return whole;
    return host > 0 && strncmp(text, x->target, host) == 0 ? host : 0;
}

/* Most URLs say the target once more: of those only the rest is kept, in one piece with it. */
static bool set_url_behind(struct exchange *x, const char *url)
{
    size_t target, rest, same;
    bool has_port;
    char *grown;

    if (strncmp(url, SCHEME, strlen(SCHEME)) != 0)
        return false;
    url += strlen(SCHEME);
    same = find_authority(x, url, &has_port);
    if (same == 0)
        return false;
    target = strlen(x->target) + 1;
    rest = strlen(url + same) + 1;
    grown = realloc(x->target, target + rest);
    if (!grown)
        return false;
    memcpy(grown + target, url + same, rest);
    x->target = grown;
    x->url_has_port = has_port;
    return true;
}

void exchange_set_url(struct exchange *x, const char *url)
{
    x->url_behind = set_url_behind(x, url);
    if (x->rare)
        flow_set_text(&x->rare->url, NULL);
    if (!x->url_behind && exchange_make_rare(x))
        flow_set_text(&x->rare->url, url);
}

void exchange_copy_url(const struct exchange *x, char **url)
{
    const char *rest;
    size_t same, len;

    flow_set_text(url, exchange_get_rare(x)->url);
    if (!x->url_behind)
        return;
    same = strlen(x->target);
    rest = x->target + same + 1;
    if (!x->url_has_port)
        same = get_host(x).len;
    len = strlen(SCHEME) + same + strlen(rest) + 1;
    *url = malloc(len);
    if (*url)
        snprintf(*url, len, SCHEME "%.*s%s", (int)same, x->target, rest);
}

/* ---- moments */

void exchange_mark(struct exchange *x, enum mark m, uint64_t at_ns, uint32_t number)
{
    uint64_t us = at_ns > x->begin_ns ? (at_ns - x->begin_ns) / NS_PER_US : 0;

    assert(m < MARK_COUNT);
    if (m == MARK_CLOSE && x->late_ns[m - MARK_LAST])
        return;
    if (m >= MARK_LAST) {
        x->late_ns[m - MARK_LAST] = at_ns;
    } else {
        if (x->marks_us[m])
            return;
        x->marks_us[m] = us < UINT32_MAX ? (uint32_t)us + 1 : UINT32_MAX;
    }
    x->packets[m] = number;
}

void exchange_unmark(struct exchange *x, enum mark m)
{
    assert(m < MARK_LAST);
    x->marks_us[m] = 0;
    x->packets[m] = 0;
}

uint64_t exchange_get_ns(const struct exchange *x, enum mark m)
{
    assert(m < MARK_COUNT);
    if (m >= MARK_LAST)
        return x->late_ns[m - MARK_LAST];
    return x->marks_us[m] ? x->begin_ns + (x->marks_us[m] - 1) * NS_PER_US : 0;
}

/* ---- beyond its connection's life */

/* A connection as it is now, with all that an ending looks at. */
struct kept_conn {
    struct conn conn;
    struct stream_rare rare[2];
    struct conn_icmp icmp;
};

static void copy_conn(struct kept_conn *to, const struct conn *from)
{
    to->conn = *from;
    for (unsigned d = UP; d <= DOWN; d++) {
        struct stream *s = &to->conn.streams[d];

        if (s->rare) {
            to->rare[d] = *s->rare;
            s->rare = &to->rare[d];
        }
        to->conn.waiting[d] = NULL;
    }
    if (from->icmp) {
        to->icmp = *from->icmp;
        to->conn.icmp = &to->icmp;
    }
    to->conn.plot = NULL;
    to->conn.dialog = NULL;
    to->conn.chain = to->conn.older = to->conn.younger = NULL;
}

/* A plot goes along with the last exchange of its connection. */
struct exchange *exchange_take(struct exchange *x)
{
    struct exchange *out = malloc(sizeof *out);
    struct kept_conn *kept = malloc(sizeof *kept);

    assert(x->conn && !x->conn_owned);
    if (!out || !kept) {
        free(out);
        free(kept);
        return NULL;
    }
    copy_conn(kept, x->conn);
    if (x->is_last) {
        kept->conn.plot = x->conn->plot;
        x->conn->plot = NULL;
    }
    *out = *x;
    out->conn = &kept->conn;
    out->conn_owned = true;
    *x = (struct exchange){0};
    return out;
}

static void free_rare(struct exchange_rare *r)
{
    if (!r)
        return;
    free(r->judged);
    free(r->notes.bytes);
    if (r->inside)
        inside_free(r->inside);
    free(r->method);
    free(r->url);
    free(r->user);
    free(r);
}

void exchange_fini(struct exchange *x)
{
    if (x->upstream) {
        exchange_fini(x->upstream);
        free(x->upstream);
    }
    if (x->conn_owned) {
        series_free(&x->conn->plot, NULL);
        free(x->conn); /* the first member of what exchange_take made */
    }
    free_rare(x->rare);
    free(x->target);
    free(x->names);
    *x = (struct exchange){0};
}
