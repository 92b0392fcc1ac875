#include "policy/accounts.h"

#include <assert.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/util.h"
#include "policy/password.h"
#include "wire/authority.h"

#define INDEXES (DIGEST_COUNT + 1u) /* by the hash of each algorithm, and by name */
#define BY_NAME DIGEST_COUNT

struct accounts {
    _Atomic uint32_t refs;
    struct account *of;
    unsigned len, cap;
    uint32_t *index[INDEXES]; /* open addressing: position + 1, 0 is free */
    uint32_t mask;
    unsigned char (*hashed)[DIGEST_COUNT][DIGEST_LEN_MAX]; /* userhash of each */
    uint32_t *slow; /* positions of the accounts with a password hash; NULL: there are none */
    uint32_t slow_len;
};

struct accounts *accounts_new(void)
{
    struct accounts *s = calloc(1, sizeof *s);

    if (s)
        atomic_init(&s->refs, 1);
    return s;
}

static void fini_account(struct account *a)
{
    free(a->name);
    free(a->realm);
    free(a->hash);
    explicit_bzero(a, sizeof *a);
}

static bool grow(struct accounts *s)
{
    unsigned cap = s->cap ? s->cap * 2 : 16;
    struct account *more = calloc(cap, sizeof *more);

    if (!more)
        return false;
    if (s->len > 0) {
        memcpy(more, s->of, s->len * sizeof *more);
        explicit_bzero(s->of, s->len * sizeof *more); /* digests do not stay behind */
    }
    free(s->of);
    s->of = more;
    s->cap = cap;
    return true;
}

bool accounts_add(struct accounts *s, const struct account *a)
{
    struct account copy = *a;

    if (s->len == s->cap && !grow(s))
        return false;
    copy.name = strdup(a->name);
    copy.realm = a->realm ? strdup(a->realm) : NULL;
    copy.hash = a->hash ? strdup(a->hash) : NULL;
    if (!copy.name || !copy.realm != !a->realm || !copy.hash != !a->hash) {
        fini_account(&copy);
        return false;
    }
    s->of[s->len++] = copy;
    return true;
}

/* What stands for account `i` in index `by`. */
static struct span key_of(const struct accounts *s, unsigned by, unsigned i)
{
    if (by == BY_NAME)
        return span_of(s->of[i].name);
    return (struct span){(char *)s->hashed[i][by], digest_len((enum digest_algorithm)by)};
}

static void fill_index(struct accounts *s, unsigned by)
{
    for (unsigned i = 0; i < s->len; i++) {
        struct span key = key_of(s, by, i);
        uint32_t at = (uint32_t)hash_bytes(key.ptr, key.len) & s->mask;

        while (s->index[by][at])
            at = (at + 1) & s->mask;
        s->index[by][at] = i + 1;
    }
}

static void hash_names(struct accounts *s)
{
    for (unsigned i = 0; i < s->len; i++)
        for (unsigned a = 0; a < DIGEST_COUNT; a++) {
            struct span parts[] = {span_of(s->of[i].name), SPAN_LIT(":"), span_of(s->of[i].realm)};

            digest_of((enum digest_algorithm)a, parts, ARRAY_LEN(parts), s->hashed[i][a]);
        }
}

static bool find_slow(struct accounts *s)
{
    uint32_t n = 0;

    for (unsigned i = 0; i < s->len; i++)
        n += s->of[i].hash != NULL;
    if (n == 0)
        return true;
    s->slow = calloc(n, sizeof *s->slow);
    if (!s->slow)
        return false;
    for (unsigned i = 0; i < s->len; i++)
        if (s->of[i].hash)
            s->slow[s->slow_len++] = i;
    return true;
}

bool accounts_seal(struct accounts *s)
{
    assert(!s->hashed);
    for (s->mask = 15; s->mask < s->len * 2; s->mask = s->mask * 2 + 1)
        ;
    s->hashed = calloc(s->len + 1, sizeof *s->hashed);
    if (!s->hashed)
        return false;
    hash_names(s);
    for (unsigned by = 0; by < INDEXES; by++) {
        s->index[by] = calloc(s->mask + 1, sizeof *s->index[by]);
        if (!s->index[by])
            return false;
        fill_index(s, by);
    }
    return find_slow(s);
}

struct accounts *accounts_ref(struct accounts *s)
{
    atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
    return s;
}

void accounts_unref(struct accounts *s)
{
    if (!s || atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) > 1)
        return;
    for (unsigned i = 0; i < s->len; i++)
        fini_account(&s->of[i]);
    for (unsigned by = 0; by < INDEXES; by++)
        free(s->index[by]);
    free(s->slow);
    free(s->hashed);
    free(s->of);
    free(s);
}

unsigned accounts_count(const struct accounts *s)
{
    return s->len;
}

bool accounts_has_hash(const struct accounts *s)
{
    return s->slow_len > 0;
}

const struct account *accounts_get(const struct accounts *s, unsigned i)
{
    return &s->of[i];
}

static const struct account *look_up(const struct accounts *s, unsigned by, struct span key)
{
    uint32_t at = (uint32_t)hash_bytes(key.ptr, key.len) & s->mask;

    for (; s->index[by][at]; at = (at + 1) & s->mask)
        if (span_equal(key_of(s, by, s->index[by][at] - 1), key))
            return &s->of[s->index[by][at] - 1];
    return NULL;
}

const struct account *accounts_find(const struct accounts *s, struct span name)
{
    return look_up(s, BY_NAME, name);
}

const struct account *accounts_find_hashed(const struct accounts *s, enum digest_algorithm a,
                                           struct span hash)
{
    unsigned char bytes[DIGEST_LEN_MAX];

    if (!digest_parse_hex(hash, bytes, digest_len(a)))
        return NULL;
    return look_up(s, a, (struct span){(char *)bytes, digest_len(a)});
}

const char *accounts_outcome_text(enum accounts_outcome o)
{
    static const char *const texts[] = {
        [ACCOUNTS_OK] = "logged in",
        [ACCOUNTS_UNKNOWN_USER] = "unknown user",
        [ACCOUNTS_UNKNOWN_HASH] =
            "the hash of an unknown user, or of one whose account has no digests",
        [ACCOUNTS_WRONG_PASSWORD] = "wrong password",
        [ACCOUNTS_DISABLED] = "the account is disabled",
        [ACCOUNTS_NO_DIGEST] = "the account has no digest for this algorithm",
        [ACCOUNTS_WRONG_REALM] = "the realm is not the one that was offered, or not the account's",
        [ACCOUNTS_WRONG_URI] = "the uri is not the request's target",
        [ACCOUNTS_WRONG_METHOD] = "computed with another method than the request's",
        [ACCOUNTS_STALE_NONCE] = "stale nonce",
        [ACCOUNTS_FOREIGN_NONCE] = "the nonce is not ours",
        [ACCOUNTS_REPLAYED_COUNT] = "replayed count",
        [ACCOUNTS_UNKNOWN_ALGORITHM] = "the algorithm was not offered",
    };

    static_assert(ARRAY_LEN(texts) == ACCOUNTS_OUTCOME_COUNT, "an outcome has no text");
    return texts[o];
}

bool accounts_is_stale(enum accounts_outcome o)
{
    return o == ACCOUNTS_STALE_NONCE || o == ACCOUNTS_FOREIGN_NONCE || o == ACCOUNTS_REPLAYED_COUNT;
}

/* Stands in for an account that is not there: no password makes these digests. */
static const struct account nobody = {
    .name = (char[]){""},
    .realm = (char[]){"viaduct"},
    .has = {true, true, true},
    .ha1 = {"----------------------------------------------------------------",
            "----------------------------------------------------------------",
            "----------------------------------------------------------------"},
};

static struct span ha1_of(const struct account *a, enum digest_algorithm algorithm)
{
    return (struct span){a->ha1[algorithm], 2 * digest_len(algorithm)};
}

/* The strongest digest that the account has; SHA-256 where it has none. */
static enum digest_algorithm strongest(const struct account *a)
{
    static const enum digest_algorithm order[] = {DIGEST_SHA256, DIGEST_SHA512_256, DIGEST_MD5};

    for (size_t i = 0; i < ARRAY_LEN(order); i++)
        if (a->has[order[i]])
            return order[i];
    return DIGEST_SHA256;
}

/* The hash that is computed for a name that has none.  Kinds differ in cost a thousandfold: each
 * name has its own, always the same, so that names without an account cost what accounts do. */
static const char *decoy_of(const struct accounts *s, struct span user)
{
    return s->of[s->slow[hash_bytes(user.ptr, user.len) % s->slow_len]].hash;
}

void accounts_check_basic(const struct accounts *s, struct span user, struct span password,
                          struct accounts_result *out)
{
    const struct account *found = accounts_find(s, user), *a = found ? found : &nobody;
    enum digest_algorithm algorithm = strongest(a);
    char hex[DIGEST_HEX_MAX];
    size_t len =
        authn_ha1(algorithm, user, span_of(a->realm ? a->realm : nobody.realm), password, hex);
    bool right = digest_equal(hex, ha1_of(a, algorithm).ptr, len) && found && a->has[algorithm];

    *out = (struct accounts_result){.account = found, .outcome = ACCOUNTS_WRONG_PASSWORD};
    if (!found)
        out->outcome = ACCOUNTS_UNKNOWN_USER;
    else if (right)
        out->outcome = a->disabled ? ACCOUNTS_DISABLED : ACCOUNTS_OK;
    explicit_bzero(hex, sizeof hex);
    if (right || s->slow_len == 0)
        return;
    out->decoy = !found || !a->hash;
    out->hash = out->decoy ? decoy_of(s, user) : a->hash;
}

void accounts_finish_basic(struct accounts_result *r, struct span password)
{
    bool right = r->hash && password_check(r->hash, password);

    if (right && !r->decoy)
        r->outcome = r->account->disabled ? ACCOUNTS_DISABLED : ACCOUNTS_OK;
    r->hash = NULL;
}

/* "2001:db8::1:443", as some clients write it, with the brackets it needs. */
static bool parse_bare_address(struct span text, struct authority *a)
{
    char with[AUTHORITY_TEXT_MAX + 2];
    size_t port = text.len;

    while (port > 0 && text.ptr[port - 1] != ':')
        port--;
    if (port < 2 || text.len > AUTHORITY_TEXT_MAX - 1)
        return false;
    with[0] = '[';
    memcpy(with + 1, text.ptr, port - 1);
    with[port] = ']';
    memcpy(with + port + 1, text.ptr + port - 1, text.len - port + 1);
    return authority_parse((struct span){with, text.len + 2}, a);
}

static bool parse_target(struct span text, struct authority *a)
{
    return authority_parse_absolute(text, false, a) || authority_parse(text, a) ||
           parse_bare_address(text, a);
}

bool accounts_is_same_target(struct span uri, struct span target)
{
    struct authority x, y;

    if (span_equal(uri, target))
        return true;
    if (uri.len > 0 && uri.ptr[0] == '/')
        return authority_parse_absolute(target, false, &y) && span_equal(uri, y.path);
    return parse_target(uri, &x) && parse_target(target, &y) && strcmp(x.host, y.host) == 0 &&
           x.port == y.port && span_equal_nocase(x.scheme, y.scheme) && span_equal(x.path, y.path);
}

static bool proves(const struct account *a, const struct authn_credentials *c, struct span method,
                   struct span body)
{
    struct authn_proof p = {.algorithm = c->algorithm,
                            .sess = c->sess,
                            .qop = c->qop,
                            .method = method,
                            .uri = c->uri,
                            .nonce = c->nonce,
                            .cnonce = c->cnonce,
                            .nc = c->nc_text,
                            .body = body};
    unsigned char want[DIGEST_LEN_MAX];
    char hex[DIGEST_HEX_MAX];
    size_t len = authn_prove(&p, ha1_of(a, c->algorithm), hex);

    return digest_parse_hex((struct span){hex, len}, want, len / 2) &&
           digest_equal(want, c->response, len / 2);
}

/* Clients that take a tunnel's CONNECT for the request inside it, or the reverse, exist; and
 * scripts that keep a proof for another request.  All are tried, whichever fits: it takes the same
 * time. */
static bool proves_otherwise(const struct account *a, const struct authn_credentials *c,
                             struct span body)
{
    static const struct span methods[] = {
        SPAN_INIT("GET"), SPAN_INIT("CONNECT"), SPAN_INIT("HEAD"),  SPAN_INIT("POST"),
        SPAN_INIT("PUT"), SPAN_INIT("DELETE"),  SPAN_INIT("PATCH"), SPAN_INIT("OPTIONS"),
    };
    bool any = false;

    for (size_t i = 0; i < ARRAY_LEN(methods); i++)
        any |= proves(a, c, methods[i], body);
    return any;
}

static bool is_offered(const struct accounts_request *r, enum digest_algorithm a)
{
    for (unsigned i = 0; i < r->algorithms_len; i++)
        if (r->algorithms[i] == a)
            return true;
    return false;
}

/* What a response that is right but for nonce and count comes to. */
static enum accounts_outcome check_nonce(struct nonce_table *nonces,
                                         const struct authn_credentials *c,
                                         const struct accounts_request *r, uint64_t *made_ms)
{
    struct nonce n;
    enum nonce_state state = nonce_check(nonces, c->nonce, r->now_ms, r->nonce_lifetime_ms, &n);

    *made_ms = n.made_ms;
    if (state == NONCE_GOOD)
        state = nonce_use(nonces, &n, c->nc);
    switch (state) {
    case NONCE_GOOD:
        return ACCOUNTS_OK;
    case NONCE_STALE:
        return ACCOUNTS_STALE_NONCE;
    case NONCE_FOREIGN:
        return ACCOUNTS_FOREIGN_NONCE;
    case NONCE_REPLAYED:
        return ACCOUNTS_REPLAYED_COUNT;
    }
    return ACCOUNTS_FOREIGN_NONCE;
}

/* Known and unknown alike have been computed before; here is only judged. */
static enum accounts_outcome judge(const struct account *found, const struct authn_credentials *c,
                                   const struct accounts_request *r, bool right, bool otherwise)
{
    if (!is_offered(r, c->algorithm))
        return ACCOUNTS_UNKNOWN_ALGORITHM;
    if (!span_equal(c->realm, r->realm))
        return ACCOUNTS_WRONG_REALM;
    if (!found)
        return c->userhash ? ACCOUNTS_UNKNOWN_HASH : ACCOUNTS_UNKNOWN_USER;
    if (!found->has[c->algorithm])
        return ACCOUNTS_NO_DIGEST;
    if (!span_equal(span_of(found->realm), r->realm))
        return ACCOUNTS_WRONG_REALM;
    if (!accounts_is_same_target(c->uri, r->target))
        return ACCOUNTS_WRONG_URI;
    if (!right)
        return otherwise ? ACCOUNTS_WRONG_METHOD : ACCOUNTS_WRONG_PASSWORD;
    return found->disabled ? ACCOUNTS_DISABLED : ACCOUNTS_OK;
}

void accounts_check_digest(const struct accounts *s, struct nonce_table *nonces,
                           const struct authn_credentials *c, const struct accounts_request *r,
                           struct accounts_result *out)
{
    const struct account *found =
        c->userhash ? accounts_find_hashed(s, c->algorithm, c->user) : accounts_find(s, c->user);
    const struct account *a = found && found->has[c->algorithm] ? found : &nobody;
    bool right = proves(a, c, r->method, r->body) && a == found;
    bool otherwise = !right && proves_otherwise(a, c, r->body) && a == found;

    *out = (struct accounts_result){.account = found};
    out->outcome = judge(found, c, r, right, otherwise);
    if (out->outcome == ACCOUNTS_OK)
        out->outcome = check_nonce(nonces, c, r, &out->nonce_made_ms);
}

size_t accounts_write_info(const struct account *a, const struct authn_credentials *c,
                           struct span nextnonce, char *out, size_t cap)
{
    struct authn_proof p = {.algorithm = c->algorithm,
                            .sess = c->sess,
                            .qop = c->qop,
                            .uri = c->uri,
                            .nonce = c->nonce,
                            .cnonce = c->cnonce,
                            .nc = c->nc_text};
    struct authn_info info;
    char hex[DIGEST_HEX_MAX];

    memset(&info, 0, offsetof(struct authn_info, store));
    info.nextnonce = nextnonce;
    if (c->qop == AUTHN_QOP_AUTH) {
        info.rspauth = (struct span){hex, authn_prove(&p, ha1_of(a, c->algorithm), hex)};
        info.qop = c->qop;
        info.cnonce = c->cnonce;
        info.nc = c->nc_text;
    }
    return authn_write_info(&info, out, cap);
}
