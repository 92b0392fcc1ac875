#include "policy/login.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/util.h"

#define ROUNDS_MAX 5 /* 407s a try: whoever asks more often asks for ever */

bool login_init(struct login *l, const char *user, const char *password, enum login_wish wish)
{
    *l = (struct login){.wish = wish, .challenge.scheme = AUTHN_OTHER};
    if (!user)
        return true;
    l->user = strdup(user);
    l->password = strdup(password ? password : "");
    if (l->user && l->password)
        return true;
    login_fini(l);
    return false;
}

void login_fini(struct login *l)
{
    if (l->password)
        explicit_bzero(l->password, strlen(l->password));
    free(l->password);
    free(l->user);
    explicit_bzero(l, sizeof *l);
    l->challenge.scheme = AUTHN_OTHER;
}

/* ---- the challenge that is kept */

static struct span realm_of(const struct login_challenge *c)
{
    return (struct span){c->text, c->realm_len};
}

static struct span nonce_of(const struct login_challenge *c)
{
    return (struct span){c->text + c->realm_len, c->nonce_len};
}

static struct span opaque_of(const struct login_challenge *c)
{
    return (struct span){c->has_opaque ? c->text + c->realm_len + c->nonce_len : NULL,
                         c->opaque_len};
}

/* Puts the three texts, none of which may lie in *c itself; false when they are too long. */
static bool put_texts(struct login_challenge *c, struct span realm, struct span nonce,
                      struct span opaque)
{
    struct span all[] = {realm, nonce, opaque};
    size_t len = 0;

    if (realm.len + nonce.len + opaque.len > sizeof c->text)
        return false;
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        if (all[i].len > 0)
            memcpy(c->text + len, all[i].ptr, all[i].len);
        len += all[i].len;
    }
    c->realm_len = (uint16_t)realm.len;
    c->nonce_len = (uint16_t)nonce.len;
    c->opaque_len = (uint16_t)opaque.len;
    c->has_opaque = opaque.ptr != NULL;
    return true;
}

static bool keep_challenge(const struct authn_challenge *from, struct login_challenge *to)
{
    to->scheme = from->scheme;
    to->algorithm = from->algorithm;
    to->sess = from->sess;
    to->stale = from->stale;
    to->userhash = from->userhash;
    to->has_qop = from->has_qop;
    to->auth = from->auth;
    if (from->scheme == AUTHN_BASIC) /* its realm is nothing to us */
        return put_texts(to, SPAN_LIT(""), SPAN_LIT(""), (struct span){0});
    return put_texts(to, from->realm, from->nonce, from->opaque);
}

/* A nonce was put: counts begin anew. */
static void begin_nonce(struct login *l)
{
    unsigned char random[LOGIN_CNONCE_LEN / 2];

    hash_random(random, sizeof random);
    digest_write_hex(random, sizeof random, l->cnonce);
    l->count = 0;
    l->generation++;
}

static void take(struct login *l, const struct login_challenge *c)
{
    l->challenge = *c;
    if (c->scheme != AUTHN_DIGEST)
        return;
    authn_ha1(c->algorithm, span_of(l->user), realm_of(c), span_of(l->password), l->ha1);
    begin_nonce(l);
}

/* ---- writing */

void login_share(struct login *l, struct trial *t, uint64_t mark)
{
    l->trial = t;
    l->mark = mark;
}

bool login_is_proved(const struct login *l)
{
    return l->proved || (l->trial && trial_is_proved(l->trial, l->mark));
}

bool login_is_held(const struct login *l, uint64_t now_ns)
{
    return now_ns < l->held_until_ns || (l->trial && trial_is_held(l->trial, l->mark, now_ns));
}

/* Basic is known without a challenge where it is wished for. */
static enum authn_scheme scheme_of(const struct login *l)
{
    if (l->challenge.scheme == AUTHN_OTHER && l->wish == LOGIN_BASIC)
        return AUTHN_BASIC;
    return l->challenge.scheme;
}

bool login_is_ready(const struct login *l, uint64_t now_ns)
{
    return !l->user || login_is_held(l, now_ns) || scheme_of(l) != AUTHN_OTHER;
}

/* Without qop auth only auth-int is left, which covers the body. */
static bool needs_body(bool has_qop, bool auth)
{
    return has_qop && !auth;
}

/* What the other side must answer to prove that it knows the password, too. */
static void note_rspauth(const struct login *l, struct login_try *t, struct span uri)
{
    const struct login_challenge *c = &l->challenge;
    unsigned char count[] = {(unsigned char)(t->count >> 24), (unsigned char)(t->count >> 16),
                             (unsigned char)(t->count >> 8), (unsigned char)t->count};
    char nc[8];
    struct authn_proof p = {.algorithm = c->algorithm,
                            .sess = c->sess,
                            .qop = AUTHN_QOP_AUTH,
                            .uri = uri,
                            .nonce = nonce_of(c),
                            .cnonce = {l->cnonce, sizeof l->cnonce},
                            .nc = {nc, sizeof nc}};

    t->rspauth_len = 0;
    if (!c->auth)
        return;
    digest_write_hex(count, sizeof count, nc);
    t->rspauth_len =
        (uint8_t)authn_prove(&p, (struct span){l->ha1, 2 * digest_len(c->algorithm)}, t->rspauth);
}

static size_t write_digest(struct login *l, struct login_try *t, struct span method,
                           struct span uri, char *out, size_t cap)
{
    const struct login_challenge *c = &l->challenge;
    struct authn_challenge ch = {.scheme = AUTHN_DIGEST,
                                 .realm = realm_of(c),
                                 .nonce = nonce_of(c),
                                 .opaque = opaque_of(c),
                                 .algorithm = c->algorithm,
                                 .sess = c->sess,
                                 .userhash = c->userhash,
                                 .has_qop = c->has_qop,
                                 .auth = c->auth,
                                 .auth_int = !c->auth,
                                 .usable = true};
    char empty[DIGEST_HEX_MAX]; /* H("") */
    struct authn_answer a = {.user = span_of(l->user),
                             .ha1 = {l->ha1, 2 * digest_len(c->algorithm)},
                             .method = method,
                             .uri = uri,
                             .cnonce = {l->cnonce, sizeof l->cnonce}};
    size_t n;

    if (l->count == UINT32_MAX || (needs_body(c->has_qop, c->auth) && t->has_body))
        return 0;
    if (needs_body(c->has_qop, c->auth))
        a.body = (struct span){empty, digest_hex_of(c->algorithm, NULL, 0, empty)};
    a.nc = l->count + 1;
    n = authn_write_digest(&ch, &a, out, cap);
    if (n == 0)
        return 0;
    l->count++;
    t->own &= t->generation == l->generation;
    t->generation = l->generation;
    t->count = l->count;
    note_rspauth(l, t, uri);
    return n;
}

size_t login_write(struct login *l, struct login_try *t, struct span method, struct span uri,
                   uint64_t now_ns, char *out, size_t cap)
{
    static const struct span name = SPAN_INIT("Proxy-Authorization: ");
    size_t n = 0, room;

    t->sent = false;
    if (!l->user || login_is_held(l, now_ns) || cap < name.len + 2)
        return 0;
    room = cap - name.len - 2;
    switch (scheme_of(l)) {
    case AUTHN_BASIC:
        n = authn_write_basic(span_of(l->user), span_of(l->password), out + name.len, room);
        break;
    case AUTHN_DIGEST:
        n = write_digest(l, t, method, uri, out + name.len, room);
        break;
    case AUTHN_OTHER:
        break;
    }
    if (n == 0)
        return 0;
    t->sent = true;
    t->scheme = scheme_of(l);
    memcpy(out, name.ptr, name.len);
    memcpy(out + name.len + n, "\r\n", 2);
    return name.len + n + 2;
}

/* ---- a 407 */

/* Appends as much as fits; always terminated. */
__attribute__((format(printf, 3, 4))) static void say(char *what, size_t cap, const char *fmt, ...)
{
    size_t len = strlen(what);
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(what + len, cap - len, fmt, ap);
    va_end(ap);
}

/* "Digest SHA-256-sess", as RFC 7616 writes them. */
static void say_scheme(char *what, size_t cap, enum authn_scheme scheme,
                       enum digest_algorithm algorithm, bool sess)
{
    static const char *const names[] = {
        [DIGEST_SHA256] = "SHA-256", [DIGEST_MD5] = "MD5", [DIGEST_SHA512_256] = "SHA-512-256"};

    static_assert(ARRAY_LEN(names) == DIGEST_COUNT, "an algorithm has no name");
    if (scheme == AUTHN_BASIC)
        say(what, cap, "Basic");
    else
        say(what, cap, "Digest %s%s", names[algorithm], sess ? "-sess" : "");
}

static void say_offer(char *what, size_t cap, const struct authn_challenge *c)
{
    say(what, cap, "%s", what[0] ? ", " : "offers ");
    if (c->usable)
        say_scheme(what, cap, c->scheme, c->algorithm, c->sess);
    else if (c->bad_what)
        say(what, cap, "%.*s (%s)", (int)c->name.len, c->name.ptr, c->bad_what);
    else
        say(what, cap, "%.*s", (int)c->name.len, c->name.ptr);
}

static bool is_wished(const struct login *l, const struct login_try *t,
                      const struct authn_challenge *c)
{
    if (t->has_body && c->scheme == AUTHN_DIGEST && needs_body(c->has_qop, c->auth))
        return false;
    switch (l->wish) {
    case LOGIN_ANY:
        return true;
    case LOGIN_DIGEST:
        return c->scheme == AUTHN_DIGEST;
    case LOGIN_BASIC:
        return c->scheme == AUTHN_BASIC;
    }
    return false;
}

/* The strongest challenge that may be answered, the first among equals; false: none.  `what` lists
 * all that is offered. */
static bool choose(const struct login *l, const struct login_try *t, const struct http1_head *h,
                   struct login_challenge *best, char *what, size_t cap)
{
    struct login_challenge next;
    struct authn_challenge c;
    int rank = 0;

    for (unsigned i = 0; i < h->fields_len; i++) {
        struct span rest = h->fields[i].value;

        if (h->fields[i].id != FIELD_PROXY_AUTHENTICATE)
            continue;
        while (authn_next_challenge(&rest, &c)) {
            say_offer(what, cap, &c);
            if (authn_rank(&c) <= rank || !is_wished(l, t, &c))
                continue;
            if (!keep_challenge(&c, &next)) {
                say(what, cap, " (with more than is kept of a challenge)");
                continue;
            }
            *best = next;
            rank = authn_rank(&c);
        }
    }
    if (!what[0])
        say(what, cap, "offers no scheme%s",
            h->seen & 1ull << FIELD_WWW_AUTHENTICATE
                ? ": WWW-Authenticate, which is a web server's, instead of Proxy-Authenticate"
                : ": no Proxy-Authenticate");
    return rank > 0;
}

static bool is_same_secret(const struct login_challenge *a, const struct login_challenge *b)
{
    return a->scheme == b->scheme &&
           (a->scheme == AUTHN_BASIC ||
            (a->algorithm == b->algorithm && span_equal(realm_of(a), realm_of(b))));
}

static enum login_next refuse(struct login *l, const struct login_challenge *c, uint64_t now_ns,
                              char *what, size_t cap)
{
    what[0] = '\0';
    say_scheme(what, cap, c->scheme, c->algorithm, c->sess);
    say(what, cap, ": not accepted");
    l->held_until_ns = now_ns + LOGIN_HOLD_NS;
    if (l->trial)
        trial_refuse(l->trial, l->mark, l->held_until_ns);
    l->proved = false;
    l->challenge.scheme = AUTHN_OTHER;
    return LOGIN_REFUSED;
}

/* Credentials were sent and came back. */
static enum login_next take_again(struct login *l, struct login_try *t,
                                  const struct login_challenge *c, uint64_t now_ns, char *what,
                                  size_t cap)
{
    bool is_new = t->scheme != c->scheme;

    if (t->scheme == AUTHN_DIGEST && c->scheme == AUTHN_DIGEST && c->stale) {
        what[0] = '\0';
        say_scheme(what, cap, c->scheme, c->algorithm, c->sess);
        say(what, cap, ": stale nonce");
        if (t->stale_rounds++ >= LOGIN_STALE_ROUNDS) {
            say(what, cap, " for the third time");
            return LOGIN_REFUSED;
        }
        is_new = true;
    } else if (t->scheme == AUTHN_DIGEST) {
        /* a nonce of an earlier try may have been forgotten; else it is the password, which Basic
         * would only send again */
        is_new = !t->own && l->proved;
    }
    if (!is_new)
        return refuse(l, c, now_ns, what, cap);
    take(l, c);
    t->own = true;
    t->generation = l->generation;
    return LOGIN_AGAIN;
}

enum login_next login_take_challenges(struct login *l, struct login_try *t,
                                      const struct http1_head *h, uint64_t now_ns, char *what,
                                      size_t cap)
{
    struct login_challenge best = {.scheme = AUTHN_OTHER};

    what[0] = '\0';
    t->rounds++;
    if (!choose(l, t, h, &best, what, cap))
        return LOGIN_UNSUPPORTED;
    if (!l->user)
        return LOGIN_REQUIRED;
    if (login_is_held(l, now_ns)) {
        what[0] = '\0';
        say(what, cap, "refused less than %.0f s ago: not sent again yet",
            (double)LOGIN_HOLD_NS / 1e9);
        return t->sent ? LOGIN_REFUSED : LOGIN_HELD;
    }
    if (t->rounds > ROUNDS_MAX) {
        say(what, cap, ": asked %u times", t->rounds);
        return LOGIN_REFUSED;
    }
    if (t->sent)
        return take_again(l, t, &best, now_ns, what, cap);
    if (is_same_secret(&l->challenge, &best) && l->count < UINT32_MAX)
        return LOGIN_AGAIN; /* another flow has a nonce already: one is enough */
    take(l, &best);
    t->own = true;
    t->generation = l->generation;
    return LOGIN_AGAIN;
}

/* ---- Proxy-Authentication-Info */

static bool is_proved(const struct login_try *t, const struct authn_info *i)
{
    unsigned char theirs[DIGEST_LEN_MAX], ours[DIGEST_LEN_MAX];
    size_t len = t->rspauth_len / 2;

    if (i->rspauth.len == 0 || i->qop != AUTHN_QOP_AUTH || len == 0)
        return true; /* it says nothing that could be checked */
    return digest_parse_hex((struct span){t->rspauth, t->rspauth_len}, ours, len) &&
           digest_parse_hex(i->rspauth, theirs, len) && digest_equal(ours, theirs, len);
}

bool login_take_info(struct login *l, struct login_try *t, const struct http1_head *h)
{
    const struct http1_field *f = http1_find_field(h, FIELD_PROXY_AUTHENTICATION_INFO);
    struct login_challenge next = l->challenge;
    struct authn_info i;

    l->proved |= t->sent;
    if (t->sent && l->trial)
        trial_prove(l->trial, l->mark);
    if (!f || !t->sent || t->scheme != AUTHN_DIGEST || !authn_parse_info(f->value, &i))
        return true;
    if (!is_proved(t, &i))
        return false;
    if (i.nextnonce.len == 0 || l->challenge.scheme != AUTHN_DIGEST)
        return true;
    if (put_texts(&next, realm_of(&l->challenge), i.nextnonce, opaque_of(&l->challenge))) {
        l->challenge = next;
        begin_nonce(l);
    }
    return true;
}
