#include "wire/authn.h"

#include "base/util.h"

#define COLON SPAN_LIT(":")

/* --- Computing --- */

size_t authn_ha1(enum digest_algorithm a, struct span user, struct span realm, struct span password,
                 char out[DIGEST_HEX_MAX])
{
    struct span parts[] = {user, COLON, realm, COLON, password};

    return digest_hex_of(a, parts, ARRAY_LEN(parts), out);
}

size_t authn_userhash(enum digest_algorithm a, struct span user, struct span realm,
                      char out[DIGEST_HEX_MAX])
{
    struct span parts[] = {user, COLON, realm};

    return digest_hex_of(a, parts, ARRAY_LEN(parts), out);
}

size_t authn_prove(const struct authn_proof *p, struct span ha1, char out[DIGEST_HEX_MAX])
{
    char session[DIGEST_HEX_MAX], ha2[DIGEST_HEX_MAX];
    struct span a1[] = {ha1, COLON, p->nonce, COLON, p->cnonce};
    struct span a2[] = {p->method, COLON, p->uri, COLON, p->body};
    bool whole = p->qop == AUTHN_QOP_AUTH_INT;
    struct span second = {ha2, digest_hex_of(p->algorithm, a2, whole ? 5 : 3, ha2)};

    if (p->sess)
        ha1 = (struct span){session, digest_hex_of(p->algorithm, a1, ARRAY_LEN(a1), session)};
    if (p->qop == AUTHN_QOP_NONE) {
        struct span old[] = {ha1, COLON, p->nonce, COLON, second};

        return digest_hex_of(p->algorithm, old, ARRAY_LEN(old), out);
    }
    struct span all[] = {
        ha1,       COLON,  p->nonce,
        COLON,     p->nc,  COLON,
        p->cnonce, COLON,  whole ? SPAN_LIT("auth-int") : SPAN_LIT("auth"),
        COLON,     second,
    };
    return digest_hex_of(p->algorithm, all, ARRAY_LEN(all), out);
}

/* --- Writing --- */

/* Appends until the room ends, and remembers that it did. */
struct writer {
    char *out;
    size_t cap, len;
    bool full;
};

static void put(struct writer *w, struct span s)
{
    if (w->full || s.len > w->cap - w->len) {
        w->full = true;
        return;
    }
    if (s.len > 0)
        memcpy(w->out + w->len, s.ptr, s.len);
    w->len += s.len;
}

static void put_text(struct writer *w, const char *text)
{
    put(w, span_of(text));
}

/* `before` and the value as a quoted-string (RFC 9110 section 5.6.4). */
static void put_quoted(struct writer *w, const char *before, struct span value)
{
    put_text(w, before);
    put_text(w, "\"");
    for (size_t i = 0; i < value.len; i++) {
        if (value.ptr[i] == '"' || value.ptr[i] == '\\')
            put_text(w, "\\");
        put(w, (struct span){value.ptr + i, 1});
    }
    put_text(w, "\"");
}

static void put_algorithm(struct writer *w, enum digest_algorithm a, bool sess)
{
    static const char *const names[] = {
        [DIGEST_SHA256] = "SHA-256", [DIGEST_MD5] = "MD5", [DIGEST_SHA512_256] = "SHA-512-256"};

    put_text(w, ", algorithm=");
    put_text(w, names[a]);
    put_text(w, sess ? "-sess" : "");
}

static void put_count(struct writer *w, uint32_t nc, struct span *text, char digits[8])
{
    unsigned char bytes[] = {(unsigned char)(nc >> 24), (unsigned char)(nc >> 16),
                             (unsigned char)(nc >> 8), (unsigned char)nc};

    digest_write_hex(bytes, sizeof bytes, digits);
    *text = (struct span){digits, 8};
    put_text(w, ", nc=");
    put(w, *text);
}

static size_t finish(const struct writer *w)
{
    return w->full ? 0 : w->len;
}

static void put_digest_challenge(struct writer *w, const struct authn_offer *o,
                                 enum digest_algorithm a)
{
    put_quoted(w, "Proxy-Authenticate: Digest realm=", o->realm);
    put_text(w, ", qop=\"auth\"");
    put_algorithm(w, a, false);
    put_quoted(w, ", nonce=", o->nonce);
    put_text(w, o->stale ? ", stale=true" : "");
    put_text(w, ", charset=UTF-8, userhash=true\r\n");
}

size_t authn_write_offer(const struct authn_offer *o, char *out, size_t cap)
{
    struct writer w = {out, cap, 0, false};

    for (unsigned i = 0; i < o->schemes_len; i++) {
        if (o->schemes[i] == AUTHN_BASIC) {
            put_quoted(&w, "Proxy-Authenticate: Basic realm=", o->realm);
            put_text(&w, ", charset=\"UTF-8\"\r\n"); /* quoted: RFC 7617 section 2.1 */
            continue;
        }
        for (unsigned k = 0; k < o->algorithms_len; k++)
            put_digest_challenge(&w, o, (enum digest_algorithm)o->algorithms[k]);
    }
    return finish(&w);
}

size_t authn_write_basic(struct span user, struct span password, char *out, size_t cap)
{
    char plain[AUTHN_STORE_MAX];
    struct writer w = {plain, sizeof plain, 0, false};
    static const struct span scheme = SPAN_INIT("Basic ");
    size_t len = 0;

    put(&w, user);
    put(&w, COLON);
    put(&w, password);
    if (!w.full && span_find(user, ':') < 0 && cap >= scheme.len + DIGEST_BASE64_LEN(w.len)) {
        memcpy(out, scheme.ptr, scheme.len);
        len = scheme.len + digest_write_base64(plain, w.len, out + scheme.len);
    }
    explicit_bzero(plain, sizeof plain);
    return len;
}

/* username*=UTF-8''… : all but letters, digits and -._~ percent-encoded. */
static void put_extended(struct writer *w, struct span user)
{
    put_text(w, "username*=UTF-8''");
    for (size_t i = 0; i < user.len; i++) {
        char c = user.ptr[i], coded[3] = {'%'};
        bool plain = (span_lower(c) >= 'a' && span_lower(c) <= 'z') || (c >= '0' && c <= '9') ||
                     c == '-' || c == '.' || c == '_' || c == '~';

        digest_write_hex(&c, 1, coded + 1);
        put(w, plain ? (struct span){&c, 1} : (struct span){coded, sizeof coded});
    }
}

static bool is_ascii(struct span s)
{
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char)s.ptr[i] >= 0x80)
            return false;
    return true;
}

static void put_user(struct writer *w, const struct authn_challenge *c, struct span user)
{
    char hash[DIGEST_HEX_MAX];

    if (c->userhash)
        put_quoted(w, "username=",
                   (struct span){hash, authn_userhash(c->algorithm, user, c->realm, hash)});
    else if (is_ascii(user))
        put_quoted(w, "username=", user);
    else
        put_extended(w, user);
    put_text(w, c->userhash ? ", userhash=true" : "");
}

/* auth where it is offered: it needs no body. */
static enum authn_qop choose_qop(const struct authn_challenge *c)
{
    if (!c->has_qop)
        return AUTHN_QOP_NONE;
    return c->auth ? AUTHN_QOP_AUTH : AUTHN_QOP_AUTH_INT;
}

size_t authn_write_digest(const struct authn_challenge *c, const struct authn_answer *a, char *out,
                          size_t cap)
{
    struct writer w = {out, cap, 0, false};
    struct authn_proof p = {.algorithm = c->algorithm,
                            .sess = c->sess,
                            .qop = choose_qop(c),
                            .method = a->method,
                            .uri = a->uri,
                            .nonce = c->nonce,
                            .cnonce = a->cnonce,
                            .body = a->body};
    char digits[8], response[DIGEST_HEX_MAX];

    if (!c->usable || c->scheme != AUTHN_DIGEST)
        return 0;
    if (p.qop == AUTHN_QOP_AUTH_INT && a->body.len == 0)
        return 0;
    put_text(&w, "Digest ");
    put_user(&w, c, a->user);
    put_quoted(&w, ", realm=", c->realm);
    put_quoted(&w, ", nonce=", c->nonce);
    put_quoted(&w, ", uri=", a->uri);
    put_algorithm(&w, c->algorithm, c->sess);
    if (p.qop != AUTHN_QOP_NONE) {
        put_text(&w, p.qop == AUTHN_QOP_AUTH ? ", qop=auth" : ", qop=auth-int");
        put_count(&w, a->nc, &p.nc, digits);
    }
    if (p.qop != AUTHN_QOP_NONE || c->sess)
        put_quoted(&w, ", cnonce=", a->cnonce);
    put_quoted(&w, ", response=", (struct span){response, authn_prove(&p, a->ha1, response)});
    if (c->opaque.ptr)
        put_quoted(&w, ", opaque=", c->opaque);
    return finish(&w);
}

/* --- Proxy-Authentication-Info --- */

static const char *separator(const struct writer *w)
{
    return w->len > 0 ? ", " : "";
}

size_t authn_write_info(const struct authn_info *i, char *out, size_t cap)
{
    struct writer w = {out, cap, 0, false};

    if (i->nextnonce.len > 0)
        put_quoted(&w, "nextnonce=", i->nextnonce);
    if (i->rspauth.len == 0)
        return finish(&w);
    put_text(&w, separator(&w));
    put_text(&w, i->qop == AUTHN_QOP_AUTH_INT ? "qop=auth-int" : "qop=auth");
    put_quoted(&w, ", rspauth=", i->rspauth);
    put_quoted(&w, ", cnonce=", i->cnonce);
    put_text(&w, ", nc=");
    put(&w, i->nc);
    return finish(&w);
}
