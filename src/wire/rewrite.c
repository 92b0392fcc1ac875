#include "wire/rewrite.h"

#include <assert.h>
#include <stdint.h>

#include "base/num.h"
#include "base/util.h"

#define BIT(id) (1ull << (id))

/* What Connection cannot take away: fields that frame, route, count hops or log in. */
#define PROTECTED                                                                                  \
    (BIT(FIELD_HOST) | BIT(FIELD_CONTENT_LENGTH) | BIT(FIELD_TRANSFER_ENCODING) | BIT(FIELD_VIA) | \
     BIT(FIELD_MAX_FORWARDS) | BIT(FIELD_EXPECT) | BIT(FIELD_FORWARDED) |                          \
     BIT(FIELD_X_FORWARDED_FOR) | BIT(FIELD_AUTHORIZATION))

/* Room that is filled from the front; `end` NULL: it was too small. */
struct out {
    char *at, *end;
};

static inline void put(struct out *o, const char *bytes, size_t len)
{
    if (!o->end || len > (size_t)(o->end - o->at)) {
        o->end = NULL;
        return;
    }
    if (len > 0)
        memcpy(o->at, bytes, len);
    o->at += len;
}

static void put_span(struct out *o, struct span s)
{
    put(o, s.ptr, s.len);
}

static inline void put_text(struct out *o, const char *text)
{
    put(o, text, strlen(text)); /* of a literal the compiler knows the length */
}

static void put_number(struct out *o, uint64_t n)
{
    char digits[20];
    size_t at = sizeof digits;

    do
        digits[--at] = (char)('0' + n % 10);
    while ((n /= 10) > 0);
    put(o, digits + at, sizeof digits - at);
}

static void put_field(struct out *o, const struct http1_field *f)
{
    const char *end = f->name.ptr + f->name.len;

    if (f->value.ptr == end + 2 &&
        end[1] == ' ') { /* as nearly every sender writes it: in one piece */
        put(o, f->name.ptr, f->name.len + 2 + f->value.len);
    } else {
        put_span(o, f->name);
        put_text(o, ": ");
        put_span(o, f->value);
    }
    put_text(o, "\r\n");
}

/* Opens the one line in which a list goes on: `label`, then the elements that came, each with a
 * comma. */
static void put_list_start(struct out *o, const struct http1_head *h, enum field_id id,
                           const char *label)
{
    put_text(o, label);
    if (!(h->seen & BIT(id)))
        return;
    for (unsigned i = 0; i < h->fields_len; i++) {
        if (h->fields[i].id == id && h->fields[i].value.len > 0) {
            put_span(o, h->fields[i].value);
            put_text(o, ", ");
        }
    }
}

/* The version is that of the message as we received it (RFC 9110 7.6.3). */
static void put_via(struct out *o, const struct http1_head *h, const struct rewrite *r)
{
    if (!r->via)
        return;
    put_list_start(o, h, FIELD_VIA, "Via: ");
    put_text(o, h->minor == 1 ? "1.1 " : "1.0 ");
    put_text(o, r->via);
    put_text(o, "\r\n");
}

/* The field whose list we lengthen, FIELD_OTHER: none. */
static enum field_id forwarded_field(const struct rewrite *r)
{
    if (!r->client || r->forwarded == FORWARDED_OFF)
        return FIELD_OTHER;
    return r->forwarded == FORWARDED_APPEND ? FIELD_FORWARDED : FIELD_X_FORWARDED_FOR;
}

static void put_forwarded(struct out *o, const struct http1_head *h, const struct rewrite *r)
{
    enum field_id id = forwarded_field(r);
    char text[ENDPOINT_TEXT_MAX];
    size_t len;

    if (id == FIELD_OTHER)
        return;
    len = addr_write(r->client, text);
    put_list_start(o, h, id, id == FIELD_FORWARDED ? "Forwarded: " : "X-Forwarded-For: ");
    if (id == FIELD_FORWARDED) {
        bool quoted = r->client->family == AF_INET6; /* RFC 7239 6 */

        put_text(o, quoted ? "for=\"[" : "for=");
        put(o, text, len);
        put_text(o, quoted ? "]\"" : "");
    } else {
        put(o, text, len);
    }
    put_text(o, "\r\n");
}

/* The fields that end here because Connection names them. */
struct named {
    uint64_t ids;
    bool others; /* names that are not in field.def, too */
};

static struct named find_named(const struct http1_head *h)
{
    struct named named = {0};

    if (!(h->seen & BIT(FIELD_CONNECTION)))
        return named;
    for (unsigned i = 0; i < h->fields_len; i++) {
        struct span rest = h->fields[i].value, option;

        while (h->fields[i].id == FIELD_CONNECTION && field_list_next(&rest, &option)) {
            enum field_id id = field_find(option);

            if (id != FIELD_OTHER)
                named.ids |= BIT(id);
            else if (!span_equal_nocase(option, SPAN_LIT("close")))
                named.others = true;
        }
    }
    named.ids &= ~PROTECTED;
    return named;
}

static bool ends_here(const struct http1_head *h, const struct http1_field *f,
                      const struct named *named)
{
    if (f->id == FIELD_OTHER)
        return named->others && http1_has_token(h, FIELD_CONNECTION, f->name);
    return field_is_hop(f->id) || (named->ids & BIT(f->id));
}

/* What the new head's framing fields are. */
enum framing { FRAMING_NONE, FRAMING_LENGTH, FRAMING_CHUNKED };

/* All fields that go on in their order, those of `skip` left out. */
static void put_fields(struct out *o, const struct http1_head *h, uint64_t skip,
                       enum framing framing, bool count_down)
{
    struct named named = find_named(h);
    bool length = framing == FRAMING_LENGTH;

    if (framing != FRAMING_CHUNKED)
        skip |= BIT(FIELD_TRAILER);
    for (unsigned i = 0; i < h->fields_len; i++) {
        const struct http1_field *f = &h->fields[i];
        uint64_t hops;

        if (f->id == FIELD_CONTENT_LENGTH) { /* once, in its canonical form */
            if (length) {
                put_text(o, "Content-Length: ");
                put_number(o, h->length);
                put_text(o, "\r\n");
            }
            length = false;
        } else if (ends_here(h, f, &named) || (skip & BIT(f->id))) {
            continue;
        } else if (count_down && f->id == FIELD_MAX_FORWARDS &&
                   num_parse_u64(f->value, UINT64_MAX, &hops)) {
            put_text(o, "Max-Forwards: ");
            put_number(o, hops > 0 ? hops - 1 : 0);
            put_text(o, "\r\n");
        } else {
            put_field(o, f);
        }
    }
    if (framing == FRAMING_CHUNKED)
        put_text(o, "Transfer-Encoding: chunked\r\n");
}

/* "Upgrade: …" and what Connection has to say, in one line or none. */
static void put_connection(struct out *o, const struct http1_head *h, bool upgrade,
                           const char *options[2])
{
    const char *sep = "Connection: ";

    for (unsigned i = 0; upgrade && i < h->fields_len; i++)
        if (h->fields[i].id == FIELD_UPGRADE)
            put_field(o, &h->fields[i]);
    for (size_t i = 0; i < 3; i++) {
        const char *option = i < 2 ? options[i] : upgrade ? "upgrade" : NULL;

        if (!option)
            continue;
        put_text(o, sep);
        put_text(o, option);
        sep = ", ";
    }
    if (*sep == ',')
        put_text(o, "\r\n");
}

/* Ends the head. */
static size_t finish(struct out *o, const struct rewrite *r, const char *start)
{
    if (r->extra)
        put_text(o, r->extra);
    put_text(o, "\r\n");
    return o->end ? (size_t)(o->at - start) : 0;
}

/* host[:port], the port left out where the scheme implies it (CONNECT implies none). */
static void put_authority(struct out *o, const struct authority *a, bool connect)
{
    static const struct span http = SPAN_INIT("http");
    char text[AUTHORITY_TEXT_MAX];
    size_t len = authority_write(a, text);

    if (!connect && authority_default_port(a->scheme.len ? a->scheme : http) == a->port)
        while (text[--len] != ':')
            continue;
    put(o, text, len);
}

static void put_scheme(struct out *o, struct span scheme)
{
    for (size_t i = 0; i < scheme.len; i++) {
        char c = span_lower(scheme.ptr[i]);

        put(o, &c, 1);
    }
    put_text(o, "://");
}

/* A path for a parent.  Quotes and backslashes are no part of a URI (RFC 3986), and proxies do not
 * agree what they are in the quoted uri of Digest: as they stand, a client's odd path looks like a
 * wrong password. */
static void put_escaped(struct out *o, struct span path)
{
    for (size_t i = 0; i < path.len; i++) {
        const char c = path.ptr[i];

        if (c == '"' || c == '\\')
            put_text(o, c == '"' ? "%22" : "%5C");
        else
            put(o, &c, 1);
    }
}

static void put_request_line(struct out *o, const struct http1_head *h, const struct authority *a,
                             bool absolute)
{
    bool star = span_equal(a->path, SPAN_LIT("*"));

    put_span(o, h->method_text);
    put_text(o, " ");
    if (h->method == METHOD_CONNECT) {
        put_authority(o, a, true);
    } else {
        if (absolute) {
            put_scheme(o, a->scheme.len ? a->scheme : SPAN_LIT("http"));
            put_authority(o, a, false);
        }
        if (a->path.len == 0 || a->path.ptr[0] == '?')
            put_text(o, "/");
        if (!absolute)
            put_span(o, a->path);
        else if (!star) /* RFC 9112 3.2.4: to a proxy, "*" is an empty path */
            put_escaped(o, a->path);
    }
    put_text(o, " HTTP/1.1\r\n");
}

size_t rewrite_request(const struct http1_head *h, const struct authority *a,
                       const struct rewrite *r, char *out, size_t cap)
{
    struct out o = {out, out + cap};
    bool connect = h->method == METHOD_CONNECT;
    bool te = !connect && h->minor == 1 && http1_has_token(h, FIELD_TE, SPAN_LIT("trailers"));
    bool upgrade = r->upgrade && h->upgrade;
    const char *options[2] = {r->keep_alive || upgrade ? NULL : "close", te ? "TE" : NULL};
    uint64_t skip = BIT(FIELD_HOST) | (r->via ? BIT(FIELD_VIA) : 0);
    enum framing framing = r->chunked      ? FRAMING_CHUNKED
                           : h->has_length ? FRAMING_LENGTH
                                           : FRAMING_NONE;

    if (forwarded_field(r) != FIELD_OTHER)
        skip |= BIT(forwarded_field(r));
    if (h->minor == 0)
        skip |= BIT(FIELD_EXPECT); /* RFC 9110 10.1.1: ignored from a 1.0 client */
    put_request_line(&o, h, a, r->absolute);
    put_text(&o, "Host: ");
    put_authority(&o, a, connect);
    put_text(&o, "\r\n");
    put_fields(&o, h, skip, connect ? FRAMING_NONE : framing,
               h->method == METHOD_TRACE || h->method == METHOD_OPTIONS);
    if (te)
        put_text(&o, "TE: trailers\r\n");
    put_connection(&o, h, upgrade, options);
    put_via(&o, h, r);
    put_forwarded(&o, h, r);
    return finish(&o, r, out);
}

/* RFC 9110 8.6, RFC 9112 6.1: neither 1xx nor 204 has a framing field. */
static enum framing response_framing(const struct http1_head *h, const struct rewrite *r)
{
    bool chunked = r->no_framing ? h->chunked : r->chunked;

    if (h->status < 200 || h->status == 204)
        return FRAMING_NONE;
    if (chunked && !r->client_is_10)
        return FRAMING_CHUNKED;
    return h->has_length && !chunked ? FRAMING_LENGTH : FRAMING_NONE;
}

size_t rewrite_response(const struct http1_head *h, const struct rewrite *r, char *out, size_t cap)
{
    struct out o = {out, out + cap};
    bool interim = h->status < 200;
    bool upgrade = r->upgrade && h->seen & BIT(FIELD_UPGRADE);
    const char *options[2] = {NULL, NULL};

    if (!interim && !r->keep_alive)
        options[0] = "close";
    else if (!interim && r->client_is_10)
        options[0] = "keep-alive";
    put_text(&o, "HTTP/1.1 ");
    put_number(&o, h->status);
    put_text(&o, " ");
    put_span(&o, h->reason);
    put_text(&o, "\r\n");
    put_fields(&o, h, r->via ? BIT(FIELD_VIA) : 0, response_framing(h, r), false);
    put_connection(&o, h, upgrade, options);
    put_via(&o, h, r);
    return finish(&o, r, out);
}

bool rewrite_check(struct http1_head *h)
{
    if (!(h->seen & BIT(FIELD_CONNECTION)))
        return true;
    for (unsigned i = 0; i < h->fields_len; i++) {
        struct span rest = h->fields[i].value, option;

        while (h->fields[i].id == FIELD_CONNECTION && field_list_next(&rest, &option)) {
            if (BIT(field_find(option)) & PROTECTED) {
                h->bad_offset = (size_t)(option.ptr - h->base);
                h->bad_status = 400;
                h->bad_what = "Connection names an end-to-end field";
                return false;
            }
        }
    }
    return true;
}

/* The second word of "1.1 received-by (comment)" (RFC 9110 7.6.3). */
static struct span received_by(struct span via)
{
    size_t n = 0;

    while (via.len > 0 && *via.ptr != ' ' && *via.ptr != '\t')
        via.ptr++, via.len--;
    via = span_trim(via);
    while (n < via.len && via.ptr[n] != ' ' && via.ptr[n] != '\t' && via.ptr[n] != '(')
        n++;
    return (struct span){via.ptr, n};
}

/* Commas in comments count too: a comment that a hostile sender left open must not hide what
 * follows it, and that somebody puts our pseudonym in a comment is no accident. */
bool rewrite_has_via(const struct http1_head *h, struct span pseudonym)
{
    if (!(h->seen & BIT(FIELD_VIA)))
        return false;
    for (unsigned i = 0; i < h->fields_len; i++) {
        struct span rest = h->fields[i].value, via;

        while (h->fields[i].id == FIELD_VIA && field_list_next(&rest, &via))
            if (span_equal_nocase(received_by(via), pseudonym))
                return true;
    }
    return false;
}
