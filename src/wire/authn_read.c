#include "wire/authn.h"

#include <assert.h>

#include "base/num.h"
#include "base/util.h"

/* --- Reading: the list of parameters (RFC 9110 section 11.2) --- */

static bool is_token_char(char c)
{
    return (c >= '0' && c <= '9') || (span_lower(c) >= 'a' && span_lower(c) <= 'z') ||
           (c && strchr("!#$%&'*+-.^_`|~", c));
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static void skip(struct span *rest, size_t n)
{
    rest->ptr += n;
    rest->len -= n;
}

static void skip_blanks(struct span *rest)
{
    while (rest->len > 0 && is_blank(rest->ptr[0]))
        skip(rest, 1);
}

/* Blanks, and the commas of empty list elements. */
static void skip_commas(struct span *rest)
{
    while (rest->len > 0 && (is_blank(rest->ptr[0]) || rest->ptr[0] == ','))
        skip(rest, 1);
}

static struct span take_token(struct span *rest)
{
    struct span token = {rest->ptr, 0};

    while (token.len < rest->len && is_token_char(rest->ptr[token.len]))
        token.len++;
    skip(rest, token.len);
    return token;
}

static bool store_byte(struct authn_store *s, char c)
{
    if (s->len == sizeof s->bytes)
        return false;
    s->bytes[s->len++] = c;
    return true;
}

/* Length of the quoted-string at the front, with its quotes; 0: it has no end. */
static size_t quoted_len(struct span s, bool *escaped)
{
    *escaped = false;
    for (size_t i = 1; i < s.len; i++) {
        if (s.ptr[i] == '"')
            return i + 1;
        if (s.ptr[i] == '\\') {
            *escaped = true;
            i++;
        }
    }
    return 0;
}

static bool take_quoted(struct span *rest, struct authn_store *store, struct span *out)
{
    bool escaped;
    size_t len = quoted_len(*rest, &escaped), from = store->len;

    if (len == 0)
        return false;
    *out = (struct span){rest->ptr + 1, len - 2};
    skip(rest, len);
    if (!escaped)
        return true;
    for (size_t i = 0; i < out->len; i++) {
        i += out->ptr[i] == '\\';
        if (!store_byte(store, out->ptr[i]))
            return false;
    }
    *out = (struct span){store->bytes + from, store->len - from};
    return true;
}

/* name "=" value; a value without quotes may have whatever cannot be taken for the next thing. */
static bool take_param(struct span *rest, struct authn_store *store, struct span *name,
                       struct span *value)
{
    *name = take_token(rest);
    skip_blanks(rest);
    if (name->len == 0 || rest->len == 0 || rest->ptr[0] != '=')
        return false;
    skip(rest, 1);
    skip_blanks(rest);
    if (rest->len > 0 && rest->ptr[0] == '"') {
        if (!take_quoted(rest, store, value))
            return false;
    } else {
        *value = (struct span){rest->ptr, 0};
        while (value->len < rest->len && !is_blank(rest->ptr[value->len]) &&
               rest->ptr[value->len] != ',' && rest->ptr[value->len] != '"')
            value->len++;
        skip(rest, value->len);
    }
    skip_blanks(rest);
    return rest->len == 0 || rest->ptr[0] == ',';
}

/* The parameters that are known, of all the fields. */
enum param {
    P_USERNAME,
    P_USERNAME_STAR,
    P_REALM,
    P_NONCE,
    P_URI,
    P_RESPONSE,
    P_ALGORITHM,
    P_CNONCE,
    P_OPAQUE,
    P_QOP,
    P_NC,
    P_USERHASH,
    P_STALE,
    P_CHARSET,
    P_NEXTNONCE,
    P_RSPAUTH,
    P_COUNT,
};

static const char *const param_names[] = {
    [P_USERNAME] = "username",
    [P_USERNAME_STAR] = "username*",
    [P_REALM] = "realm",
    [P_NONCE] = "nonce",
    [P_URI] = "uri",
    [P_RESPONSE] = "response",
    [P_ALGORITHM] = "algorithm",
    [P_CNONCE] = "cnonce",
    [P_OPAQUE] = "opaque",
    [P_QOP] = "qop",
    [P_NC] = "nc",
    [P_USERHASH] = "userhash",
    [P_STALE] = "stale",
    [P_CHARSET] = "charset",
    [P_NEXTNONCE] = "nextnonce",
    [P_RSPAUTH] = "rspauth",
};
static_assert(ARRAY_LEN(param_names) == P_COUNT, "a parameter has no name");

struct params {
    struct span of[P_COUNT]; /* ptr NULL: not there */
    bool doubled;
};

static void params_add(struct params *p, struct span name, struct span value)
{
    for (unsigned i = 0; i < P_COUNT; i++) {
        if (!span_equal_nocase(name, span_of(param_names[i])))
            continue;
        p->doubled |= p->of[i].ptr != NULL;
        p->of[i] = value;
        return;
    }
}

static bool params_read(struct span rest, struct authn_store *store, struct params *p)
{
    struct span name, value;

    for (skip_commas(&rest); rest.len > 0; skip_commas(&rest)) {
        if (!take_param(&rest, store, &name, &value))
            return false;
        params_add(p, name, value);
    }
    return true;
}

static enum authn_scheme find_scheme(struct span name)
{
    if (span_equal_nocase(name, SPAN_LIT("Basic")))
        return AUTHN_BASIC;
    return span_equal_nocase(name, SPAN_LIT("Digest")) ? AUTHN_DIGEST : AUTHN_OTHER;
}

/* "SHA-256-sess"; absent is MD5. */
static bool read_algorithm(struct span text, enum digest_algorithm *a, bool *sess)
{
    static const struct span tail = SPAN_INIT("-sess");
    int found;

    *sess = text.len > tail.len &&
            span_equal_nocase((struct span){text.ptr + text.len - tail.len, tail.len}, tail);
    if (*sess)
        text.len -= tail.len;
    found = text.ptr ? digest_find(text) : DIGEST_MD5;
    *a = found < 0 ? DIGEST_MD5 : (enum digest_algorithm)found;
    return found >= 0;
}

static bool read_qop(struct span text, enum authn_qop *qop)
{
    if (span_equal_nocase(text, SPAN_LIT("auth")))
        *qop = AUTHN_QOP_AUTH;
    else if (span_equal_nocase(text, SPAN_LIT("auth-int")))
        *qop = AUTHN_QOP_AUTH_INT;
    else
        return false;
    return true;
}

/* Bytes of the UTF-8 character at the front, 0 when there is none (RFC 3629 section 4). */
static size_t utf8_len(struct span s)
{
    static const struct {
        unsigned char first, last, low, high, len; /* of the first byte; of the second; of all */
    } rows[] = {
        {0x00, 0x7f, 0, 0, 1},       {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3},
        {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
        {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
    };
    const unsigned char *p = (const unsigned char *)s.ptr;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (p[0] < rows[i].first || p[0] > rows[i].last)
            continue;
        if (s.len < rows[i].len || (rows[i].len > 1 && (p[1] < rows[i].low || p[1] > rows[i].high)))
            return 0;
        for (size_t k = 2; k < rows[i].len; k++)
            if ((p[k] & 0xc0) != 0x80)
                return 0;
        return rows[i].len;
    }
    return 0;
}

/* C0, DEL, and C1 (U+0080-009F), with which terminals take orders, too. */
static bool is_control(struct span s, size_t len)
{
    unsigned char c = (unsigned char)s.ptr[0];

    return len == 1 ? c < ' ' || c == 0x7f : c == 0xc2 && (unsigned char)s.ptr[1] < 0xa0;
}

bool authn_is_text(struct span s)
{
    while (s.len > 0) {
        size_t len = utf8_len(s);

        if (len == 0 || is_control(s, len))
            return false;
        skip(&s, len);
    }
    return true;
}

static enum authn_result refuse(struct authn_credentials *c, enum authn_result result,
                                const char *what)
{
    c->bad_what = what;
    return result;
}

/* RFC 7617 section 2. */
static enum authn_result read_basic(struct span rest, struct authn_credentials *c)
{
    long len = digest_parse_base64(span_trim(rest), c->store.bytes, sizeof c->store.bytes);
    struct span text = {c->store.bytes, len < 0 ? 0 : (size_t)len};

    if (len < 0)
        return refuse(c, AUTHN_BAD, "the credentials are no base64, or too long");
    c->store.len = text.len;
    if (span_find(text, ':') < 0)
        return refuse(c, AUTHN_BAD, "no colon between name and password");
    if (!authn_is_text(text))
        return refuse(c, AUTHN_BAD, "name or password is not UTF-8, or has control characters");
    c->user = span_cut(&text, ':');
    c->password = text;
    return AUTHN_OK;
}

/* username*: UTF-8'language'percent-encoded (RFC 8187 section 3.2). */
static bool read_extended(struct span text, struct authn_store *store, struct span *out)
{
    struct span charset = span_cut(&text, '\'');
    size_t from = store->len;

    if (!span_equal_nocase(charset, SPAN_LIT("UTF-8")) || span_find(text, '\'') < 0)
        return false;
    span_cut(&text, '\''); /* the language */
    while (text.len > 0) {
        unsigned char c = (unsigned char)text.ptr[0];
        bool coded = c == '%';

        if (coded && (text.len < 3 || !digest_parse_hex((struct span){text.ptr + 1, 2}, &c, 1)))
            return false;
        if (!coded && !is_token_char((char)c))
            return false;
        if (!store_byte(store, (char)c))
            return false;
        skip(&text, coded ? 3 : 1);
    }
    *out = (struct span){store->bytes + from, store->len - from};
    return true;
}

/* The name, in one of its three forms (RFC 7616 sections 3.4 and 3.4.4). */
static const char *read_user(const struct params *p, struct authn_credentials *c)
{
    struct span hashed = p->of[P_USERHASH];

    c->userhash = span_equal_nocase(hashed, SPAN_LIT("true"));
    if (hashed.ptr && !c->userhash && !span_equal_nocase(hashed, SPAN_LIT("false")))
        return "userhash is neither true nor false";
    if (p->of[P_USERNAME].ptr && p->of[P_USERNAME_STAR].ptr)
        return "both username and username*";
    if (p->of[P_USERNAME_STAR].ptr && c->userhash)
        return "username* with userhash";
    if (!p->of[P_USERNAME_STAR].ptr)
        c->user = p->of[P_USERNAME];
    else if (!read_extended(p->of[P_USERNAME_STAR], &c->store, &c->user))
        return "username* is not as RFC 8187 writes it";
    if (!c->user.ptr)
        return "no username";
    return authn_is_text(c->user) ? NULL : "the username is not UTF-8, or has control characters";
}

static const char *find_missing(const struct params *p)
{
    static const struct {
        enum param param;
        const char *what;
    } needed[] = {
        {P_REALM, "no realm"}, {P_NONCE, "no nonce"},
        {P_URI, "no uri"},     {P_RESPONSE, "no response"},
        {P_QOP, "no qop"},     {P_CNONCE, "no cnonce"},
        {P_NC, "no nc"},
    };

    for (size_t i = 0; i < ARRAY_LEN(needed); i++)
        if (!p->of[needed[i].param].ptr)
            return needed[i].what;
    return NULL;
}

static enum authn_result read_digest(struct span rest, struct authn_credentials *c)
{
    struct params p = {0};
    const char *what;
    uint64_t nc;

    if (!params_read(rest, &c->store, &p))
        return refuse(c, AUTHN_BAD, "malformed list of parameters");
    if (p.doubled)
        return refuse(c, AUTHN_BAD, "a parameter stands twice");
    if ((what = read_user(&p, c)) || (what = find_missing(&p)))
        return refuse(c, AUTHN_BAD, what);
    c->realm = p.of[P_REALM];
    c->nonce = p.of[P_NONCE];
    c->uri = p.of[P_URI];
    c->cnonce = p.of[P_CNONCE];
    c->opaque = p.of[P_OPAQUE];
    c->nc_text = p.of[P_NC];
    if (c->nc_text.len != 8 || !num_parse_hex(c->nc_text, UINT32_MAX, &nc) || nc == 0)
        return refuse(c, AUTHN_BAD, "nc is not a count of 8 hexadecimal digits");
    c->nc = (uint32_t)nc;
    if (!read_algorithm(p.of[P_ALGORITHM], &c->algorithm, &c->sess))
        return refuse(c, AUTHN_UNKNOWN, "unknown algorithm");
    if (!read_qop(p.of[P_QOP], &c->qop))
        return refuse(c, AUTHN_UNKNOWN, "unknown qop");
    if (!digest_parse_hex(p.of[P_RESPONSE], c->response, digest_len(c->algorithm)))
        return refuse(c, AUTHN_BAD, "the response does not have the algorithm's length");
    return AUTHN_OK;
}

/* All but the store's bytes is cleared. */
static void begin(struct authn_credentials *c)
{
    memset(c, 0, offsetof(struct authn_credentials, store));
    c->store.len = 0;
}

enum authn_result authn_parse_credentials(struct span value, struct authn_credentials *out)
{
    struct span rest = span_trim(value), name = take_token(&rest);

    begin(out);
    if (name.len == 0 || (rest.len > 0 && !is_blank(rest.ptr[0])))
        return refuse(out, AUTHN_BAD, "no scheme");
    out->scheme = find_scheme(name);
    switch (out->scheme) {
    case AUTHN_BASIC:
        return read_basic(rest, out);
    case AUTHN_DIGEST:
        return read_digest(rest, out);
    case AUTHN_OTHER:
        break;
    }
    return refuse(out, AUTHN_UNKNOWN, "neither Basic nor Digest");
}

/* --- Reading a parent's challenges --- */

/* Whether a parameter comes next, not the next challenge's scheme. */
static bool is_param_next(struct span rest)
{
    struct span name = take_token(&rest);

    skip_blanks(&rest);
    return name.len > 0 && rest.len > 0 && rest.ptr[0] == '=';
}

/* A token68 goes up to a comma: none of our schemes has one. */
static void skip_element(struct span *rest)
{
    while (rest->len > 0 && rest->ptr[0] != ',') {
        bool escaped;
        size_t len = rest->ptr[0] == '"' ? quoted_len(*rest, &escaped) : 1;

        skip(rest, len > 0 ? len : rest->len);
    }
}

/* The parameters up to the next challenge; false when they cannot be read. */
static bool read_challenge_params(struct span *rest, struct authn_store *store, struct params *p)
{
    struct span name, value;

    for (skip_blanks(rest); rest->len > 0; skip_commas(rest)) {
        if (!is_param_next(*rest)) {
            if (rest->ptr[0] == ',') /* "Negotiate, Basic …" */
                continue;
            return true;
        }
        if (!take_param(rest, store, &name, &value)) {
            skip_element(rest);
            return false;
        }
        params_add(p, name, value);
    }
    return true;
}

/* "auth,auth-int", in any order and among others. */
static void read_qops(struct span text, struct authn_challenge *c)
{
    c->has_qop = text.ptr != NULL;
    while (text.len > 0) {
        struct span one = span_trim(span_cut(&text, ','));

        c->auth |= span_equal_nocase(one, SPAN_LIT("auth"));
        c->auth_int |= span_equal_nocase(one, SPAN_LIT("auth-int"));
    }
}

static const char *read_challenge(const struct params *p, bool readable, struct authn_challenge *c)
{
    bool known = read_algorithm(p->of[P_ALGORITHM], &c->algorithm, &c->sess);

    c->realm = p->of[P_REALM];
    c->nonce = p->of[P_NONCE];
    c->opaque = p->of[P_OPAQUE];
    c->stale = span_equal_nocase(p->of[P_STALE], SPAN_LIT("true"));
    c->userhash = span_equal_nocase(p->of[P_USERHASH], SPAN_LIT("true"));
    c->utf8 = span_equal_nocase(p->of[P_CHARSET], SPAN_LIT("UTF-8"));
    read_qops(p->of[P_QOP], c);
    if (!readable)
        return "malformed list of parameters";
    if (p->doubled)
        return "a parameter stands twice";
    if (c->scheme == AUTHN_BASIC)
        return NULL;
    if (!c->realm.ptr || !c->nonce.ptr)
        return "no realm or no nonce";
    if (!known)
        return "unknown algorithm";
    return c->has_qop && !c->auth && !c->auth_int ? "unknown qop" : NULL;
}

bool authn_next_challenge(struct span *rest, struct authn_challenge *out)
{
    struct params p = {0};
    bool readable = true;

    memset(out, 0, offsetof(struct authn_challenge, store));
    out->store.len = 0;
    for (skip_commas(rest); rest->len > 0; skip_commas(rest)) {
        out->name = take_token(rest);
        if (out->name.len > 0 && (rest->len == 0 || is_blank(rest->ptr[0]) || rest->ptr[0] == ','))
            break;
        skip_element(rest); /* no scheme: a parameter or garbage */
        out->name.len = 0;
    }
    if (out->name.len == 0)
        return false;
    out->scheme = find_scheme(out->name);
    skip_blanks(rest);
    if (rest->len > 0 && rest->ptr[0] != ',') {
        struct span after = *rest;

        skip_element(&after);
        if (out->scheme == AUTHN_OTHER && !is_param_next(*rest))
            *rest = after; /* a token68 */
        else if (out->scheme == AUTHN_OTHER && after.ptr[-1] == '=')
            *rest = after; /* one that ends in padding */
        else if (is_param_next(*rest))
            readable = read_challenge_params(rest, &out->store, &p);
        else {
            *rest = after;
            readable = false;
        }
    }
    if (out->scheme != AUTHN_OTHER)
        out->bad_what = read_challenge(&p, readable, out);
    out->usable = out->scheme != AUTHN_OTHER && !out->bad_what;
    return true;
}

int authn_rank(const struct authn_challenge *c)
{
    static const int ranks[DIGEST_COUNT] = {
        [DIGEST_SHA256] = 4, [DIGEST_SHA512_256] = 3, [DIGEST_MD5] = 2};

    if (!c->usable)
        return 0;
    return c->scheme == AUTHN_BASIC ? 1 : ranks[c->algorithm];
}

/* --- Reading Proxy-Authentication-Info --- */

bool authn_parse_info(struct span value, struct authn_info *out)
{
    struct params p = {0};

    memset(out, 0, offsetof(struct authn_info, store));
    out->store.len = 0;
    if (!params_read(value, &out->store, &p) || p.doubled)
        return false;
    if (p.of[P_QOP].ptr && !read_qop(p.of[P_QOP], &out->qop))
        return false;
    out->nextnonce = p.of[P_NEXTNONCE];
    out->rspauth = p.of[P_RSPAUTH];
    out->cnonce = p.of[P_CNONCE];
    out->nc = p.of[P_NC];
    return true;
}
