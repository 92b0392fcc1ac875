#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "base/util.h"
#include "policy/accounts.h"
#include "policy/login.h"

#define NOW_NS 5000000000u
#define NOW_MS 1800000000000u
#define LIFETIME_MS 300000u
#define TARGET "a.example:443"
#define PASSWORD "sesame, \"open\""

static const unsigned schemes[] = {AUTHN_DIGEST, AUTHN_BASIC},
                      algorithms[] = {DIGEST_SHA256, DIGEST_MD5, DIGEST_SHA512_256};

/* Our own side as a proxy: what a login says is judged by the code that judges clients. */
struct side {
    struct accounts *accounts;
    struct nonce_table *nonces;
    uint64_t now_ms;
};

static void side_init(struct side *p, const char *user)
{
    static const unsigned char key[NONCE_KEY_LEN] = "key";
    char name[32], realm[] = "viaduct";
    struct account a = {.name = name, .realm = realm};

    snprintf(name, sizeof name, "%s", user);
    for (unsigned i = 0; i < DIGEST_COUNT; i++) {
        authn_ha1((enum digest_algorithm)i, span_of(user), SPAN_LIT("viaduct"), SPAN_LIT(PASSWORD),
                  a.ha1[i]);
        a.has[i] = true;
    }
    p->now_ms = NOW_MS;
    p->accounts = accounts_new();
    p->nonces = nonce_table_new(key, 8, NOW_MS - 1);
    assert_true(p->accounts && p->nonces && accounts_add(p->accounts, &a));
    assert_true(accounts_seal(p->accounts));
}

static void side_fini(struct side *p)
{
    accounts_unref(p->accounts);
    nonce_table_free(p->nonces);
}

/* A 407 with these lines, or a 200. */
static const struct http1_head *head_of(const char *line, const char *fields)
{
    static char text[16384];
    static struct http1_head h;
    int n = snprintf(text, sizeof text, "HTTP/1.1 %s\r\n%s\r\n", line, fields);

    http1_head_reset(&h);
    assert_int_equal(http1_parse_response((struct span){text, (size_t)n}, &h), PARSE_OK);
    return &h;
}

static const struct http1_head *ask(const struct side *p, bool stale)
{
    char nonce[NONCE_TEXT_LEN], out[2048];
    struct authn_offer o = {.realm = SPAN_LIT("viaduct"),
                            .nonce = {nonce, sizeof nonce},
                            .schemes = schemes,
                            .schemes_len = ARRAY_LEN(schemes),
                            .algorithms = algorithms,
                            .algorithms_len = ARRAY_LEN(algorithms),
                            .stale = stale};

    nonce_make(p->nonces, p->now_ms, nonce);
    out[authn_write_offer(&o, out, sizeof out - 1)] = '\0';
    return head_of("407 Proxy Authentication Required", out);
}

/* Reads what login_write wrote. */
static bool read_line(const char *line, size_t n, struct authn_credentials *c)
{
    static const struct span name = SPAN_INIT("Proxy-Authorization: ");

    assert_true(n > name.len + 2);
    assert_memory_equal(line, name.ptr, name.len);
    assert_memory_equal(line + n - 2, "\r\n", 2);
    return authn_parse_credentials((struct span){line + name.len, n - name.len - 2}, c) == AUTHN_OK;
}

/* What the proxy makes of the line; *c is what it read. */
static enum accounts_outcome judge(const struct side *p, const char *line, size_t n,
                                   struct authn_credentials *c)
{
    struct accounts_request r = {.method = SPAN_LIT("CONNECT"),
                                 .target = SPAN_LIT(TARGET),
                                 .realm = SPAN_LIT("viaduct"),
                                 .algorithms = algorithms,
                                 .algorithms_len = ARRAY_LEN(algorithms),
                                 .now_ms = p->now_ms,
                                 .nonce_lifetime_ms = LIFETIME_MS};
    struct accounts_result out;
    char body[DIGEST_HEX_MAX];

    assert_true(read_line(line, n, c));
    if (c->scheme == AUTHN_BASIC) {
        accounts_check_basic(p->accounts, c->user, c->password, &out);
        return out.outcome;
    }
    r.body = (struct span){body, digest_hex_of(c->algorithm, NULL, 0, body)};
    accounts_check_digest(p->accounts, p->nonces, c, &r, &out);
    return out.outcome;
}

static size_t write_at(struct login *l, struct login_try *t, uint64_t now_ns, char out[2048])
{
    return login_write(l, t, SPAN_LIT("CONNECT"), SPAN_LIT(TARGET), now_ns, out, 2048);
}

static enum login_next take(struct login *l, struct login_try *t, const struct http1_head *h,
                            char what[LOGIN_WHAT_MAX])
{
    return login_take_challenges(l, t, h, NOW_NS, what, LOGIN_WHAT_MAX);
}

/* A nonce is asked for once, then counted up, also in other tries. */
static void one_nonce_for_many(void **state)
{
    struct side p;
    struct login l;
    char out[2048], what[LOGIN_WHAT_MAX];

    (void)state;
    side_init(&p, "alice");
    assert_true(login_init(&l, "alice", PASSWORD, LOGIN_ANY));
    for (uint32_t i = 1; i < 40; i++) {
        struct login_try t = {0};
        struct authn_credentials c;
        size_t n = write_at(&l, &t, NOW_NS, out);

        assert_int_equal(n > 0, i > 1);
        assert_int_equal(login_is_ready(&l, NOW_NS), i > 1);
        if (i == 1) {
            assert_int_equal(take(&l, &t, ask(&p, false), what), LOGIN_AGAIN);
            n = write_at(&l, &t, NOW_NS, out);
        }
        assert_int_equal(judge(&p, out, n, &c), ACCOUNTS_OK);
        assert_int_equal(c.nc, i);
        assert_int_equal(c.algorithm, DIGEST_SHA256);
        assert_true(c.userhash);
    }
    login_fini(&l);
    side_fini(&p);
}

/* Every kind of challenge that we can answer is answered rightly. */
static void every_challenge_is_answered(void **state)
{
    static const struct {
        const char *fields; /* %s is the nonce */
        const char *user;
        enum authn_scheme scheme;
        enum digest_algorithm algorithm;
        bool sess;
        enum authn_qop qop;
    } cases[] = {
        {"Proxy-Authenticate: Digest realm=\"viaduct\", nonce=\"%s\", qop=\"auth\"\r\n", "alice",
         AUTHN_DIGEST, DIGEST_MD5, false, AUTHN_QOP_AUTH},
        {"Proxy-Authenticate: Digest realm=\"viaduct\", nonce=\"%s\", qop=\"auth\", "
         "algorithm=MD5-sess\r\n",
         "alice", AUTHN_DIGEST, DIGEST_MD5, true, AUTHN_QOP_AUTH},
        {"Proxy-Authenticate: digest realm=viaduct, nonce=\"%s\", qop=\"auth,auth-int\", "
         "algorithm=\"SHA-256\"\r\n",
         "alice", AUTHN_DIGEST, DIGEST_SHA256, false, AUTHN_QOP_AUTH},
        {"Proxy-Authenticate: DIGEST realm=\"viaduct\", nonce=\"%s\", qop=\"auth\", "
         "algorithm=sha-256-SESS, opaque=\"o\"\r\n",
         "alice", AUTHN_DIGEST, DIGEST_SHA256, true, AUTHN_QOP_AUTH},
        {"Proxy-Authenticate: Digest realm=\"viaduct\", nonce=\"%s\", qop=\"auth\", "
         "algorithm=SHA-512-256, userhash=true\r\n",
         "alice", AUTHN_DIGEST, DIGEST_SHA512_256, false, AUTHN_QOP_AUTH},
        {"Proxy-Authenticate: Digest realm=\"viaduct\", nonce=\"%s\", qop=\"auth\", "
         "algorithm=SHA-512-256-sess, charset=UTF-8\r\n",
         "J\xc3\xa4s", AUTHN_DIGEST, DIGEST_SHA512_256, true, AUTHN_QOP_AUTH},
        {"Proxy-Authenticate: Digest realm=\"viaduct\", nonce=\"%s\", qop=\"auth-int\"\r\n",
         "alice", AUTHN_DIGEST, DIGEST_MD5, false, AUTHN_QOP_AUTH_INT},
        {"Proxy-Authenticate: Negotiate, NTLM, bAsIc realm=\"x, y\", Digest realm=\"viaduct\", "
         "nonce=\"%s\", qop=\"auth\", Digest realm=\"viaduct\", nonce=\"%1$s\", qop=\"auth\", "
         "algorithm=SHA-256, Digest realm=\"viaduct\", nonce=\"%1$s\", algorithm=SHA-512\r\n",
         "alice", AUTHN_DIGEST, DIGEST_SHA256, false, AUTHN_QOP_AUTH},
        {"Proxy-Authenticate: NTLM\r\nProxy-Authenticate: basic realm=\"%s\"\r\n", "J\xc3\xa4s",
         AUTHN_BASIC, DIGEST_SHA256, false, AUTHN_QOP_NONE},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char nonce[NONCE_TEXT_LEN + 1] = "", fields[1024], out[2048], what[LOGIN_WHAT_MAX];
        const char *at = cases[i].fields;
        struct authn_credentials c;
        struct login_try t = {0};
        struct side p;
        struct login l;
        size_t len = 0;

        side_init(&p, cases[i].user);
        nonce_make(p.nonces, p.now_ms, nonce);
        for (const char *to; (to = strchr(at, '%')); at = to + (to[1] == '1' ? 4 : 2))
            len += (size_t)snprintf(fields + len, sizeof fields - len, "%.*s%s", (int)(to - at), at,
                                    nonce);
        snprintf(fields + len, sizeof fields - len, "%s", at);
        assert_true(login_init(&l, cases[i].user, PASSWORD, LOGIN_ANY));
        assert_int_equal(take(&l, &t, head_of("407 No", fields), what), LOGIN_AGAIN);
        len = write_at(&l, &t, NOW_NS, out);
        assert_int_equal(judge(&p, out, len, &c), ACCOUNTS_OK);
        assert_int_equal(c.scheme, cases[i].scheme);
        assert_int_equal(c.algorithm, cases[i].scheme == AUTHN_BASIC ? 0 : cases[i].algorithm);
        assert_int_equal(c.sess, cases[i].sess);
        assert_int_equal(c.qop, cases[i].qop);
        login_fini(&l);
        side_fini(&p);
    }
}

static void two_stale_rounds_at_most(void **state)
{
    struct login_try t = {0}, other = {0};
    struct side p;
    struct login l;
    char out[2048], what[LOGIN_WHAT_MAX];

    (void)state;
    side_init(&p, "alice");
    assert_true(login_init(&l, "alice", PASSWORD, LOGIN_ANY));
    assert_int_equal(take(&l, &t, ask(&p, false), what), LOGIN_AGAIN);
    for (int i = 0; i < LOGIN_STALE_ROUNDS; i++) {
        struct authn_credentials c;

        p.now_ms += LIFETIME_MS + 1;
        assert_int_equal(judge(&p, out, write_at(&l, &t, NOW_NS, out), &c), ACCOUNTS_STALE_NONCE);
        assert_int_equal(take(&l, &t, ask(&p, true), what), LOGIN_AGAIN);
        assert_string_equal(what, "Digest SHA-256: stale nonce");
    }
    assert_true(write_at(&l, &t, NOW_NS, out) > 0);
    assert_int_equal(take(&l, &t, ask(&p, true), what), LOGIN_REFUSED);
    assert_string_equal(what, "Digest SHA-256: stale nonce for the third time");
    /* no word against the password: others go on */
    assert_true(write_at(&l, &other, NOW_NS, out) > 0);
    login_fini(&l);
    side_fini(&p);
}

static void a_wrong_password_is_not_sent_again(void **state)
{
    static const enum login_wish wishes[] = {LOGIN_ANY, LOGIN_DIGEST, LOGIN_BASIC};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(wishes); i++) {
        struct login_try t = {0}, next = {0}, last = {0};
        struct authn_credentials c;
        struct side p;
        struct login l;
        char out[2048], what[LOGIN_WHAT_MAX];

        side_init(&p, "alice");
        assert_true(login_init(&l, "alice", "wrong", wishes[i]));
        if (wishes[i] != LOGIN_BASIC)
            assert_int_equal(take(&l, &t, ask(&p, false), what), LOGIN_AGAIN);
        assert_int_equal(judge(&p, out, write_at(&l, &t, NOW_NS, out), &c),
                         ACCOUNTS_WRONG_PASSWORD);
        assert_int_equal(take(&l, &t, ask(&p, false), what), LOGIN_REFUSED);
        assert_string_equal(what, i == 2 ? "Basic: not accepted" : "Digest SHA-256: not accepted");
        assert_int_equal(write_at(&l, &t, NOW_NS, out), 0);

        assert_int_equal(write_at(&l, &next, NOW_NS + 1, out), 0);
        assert_int_equal(take(&l, &next, ask(&p, false), what), LOGIN_HELD);
        assert_null(strstr(what, "wrong"));
        assert_int_equal(write_at(&l, &next, NOW_NS + 1, out), 0);

        login_take_challenges(&l, &last, ask(&p, false), NOW_NS + LOGIN_HOLD_NS, what, sizeof what);
        assert_true(write_at(&l, &last, NOW_NS + LOGIN_HOLD_NS, out) > 0);
        login_fini(&l);
        side_fini(&p);
    }
}

/* A proxy that started anew knows no nonce and may not say stale: the password is not blamed, but
 * it is when it is refused with a nonce of the same try. */
static void a_forgotten_nonce_is_asked_for_again(void **state)
{
    struct login_try t = {0}, next = {0};
    struct side p;
    struct login l;
    char out[2048], what[LOGIN_WHAT_MAX];

    (void)state;
    side_init(&p, "alice");
    assert_true(login_init(&l, "alice", PASSWORD, LOGIN_ANY));
    assert_int_equal(take(&l, &t, ask(&p, false), what), LOGIN_AGAIN);
    assert_true(write_at(&l, &t, NOW_NS, out) > 0);
    assert_true(login_take_info(&l, &t, head_of("200 OK", "")));
    assert_true(write_at(&l, &next, NOW_NS, out) > 0);
    assert_int_equal(take(&l, &next, ask(&p, false), what), LOGIN_AGAIN);
    assert_true(write_at(&l, &next, NOW_NS, out) > 0);
    assert_int_equal(take(&l, &next, ask(&p, false), what), LOGIN_REFUSED);
    login_fini(&l);
    side_fini(&p);
}

/* As long as no answer proved the password, whose nonce it was is no excuse. */
static void a_shared_nonce_excuses_no_wrong_password(void **state)
{
    struct login_try a = {0}, b = {0};
    struct side p;
    struct login l;
    char out[2048], what[LOGIN_WHAT_MAX];

    (void)state;
    side_init(&p, "alice");
    assert_true(login_init(&l, "alice", "wrong", LOGIN_ANY));
    assert_int_equal(take(&l, &a, ask(&p, false), what), LOGIN_AGAIN);
    assert_int_equal(take(&l, &b, ask(&p, false), what), LOGIN_AGAIN);
    assert_true(write_at(&l, &b, NOW_NS, out) > 0);
    assert_int_equal(take(&l, &b, ask(&p, false), what), LOGIN_REFUSED);
    assert_int_equal(write_at(&l, &a, NOW_NS, out), 0);
    login_fini(&l);
    side_fini(&p);
}

/* Tries that are asked at the same time share the first nonce. */
static void parallel_first_challenges_share_a_nonce(void **state)
{
    struct login_try a = {0}, b = {0};
    struct authn_credentials c;
    struct side p;
    struct login l;
    char out[2048], what[LOGIN_WHAT_MAX];

    (void)state;
    side_init(&p, "alice");
    assert_true(login_init(&l, "alice", PASSWORD, LOGIN_ANY));
    assert_int_equal(take(&l, &a, ask(&p, false), what), LOGIN_AGAIN);
    assert_int_equal(take(&l, &b, ask(&p, false), what), LOGIN_AGAIN);
    assert_int_equal(judge(&p, out, write_at(&l, &b, NOW_NS, out), &c), ACCOUNTS_OK);
    assert_int_equal(c.nc, 1);
    assert_int_equal(judge(&p, out, write_at(&l, &a, NOW_NS, out), &c), ACCOUNTS_OK);
    assert_int_equal(c.nc, 2);
    login_fini(&l);
    side_fini(&p);
}

static void what_cannot_be_answered(void **state)
{
    static const struct {
        const char *user, *fields;
        enum login_wish wish;
        bool has_body;
        enum login_next want;
        const char *what;
    } cases[] = {
        {"u", "Proxy-Authenticate: NTLM\r\nProxy-Authenticate: Negotiate abc==\r\n", LOGIN_ANY,
         false, LOGIN_UNSUPPORTED, "offers NTLM, Negotiate"},
        {NULL, "Proxy-Authenticate: NTLM\r\n", LOGIN_ANY, false, LOGIN_UNSUPPORTED, "offers NTLM"},
        {NULL, "Proxy-Authenticate: Basic realm=x\r\n", LOGIN_ANY, false, LOGIN_REQUIRED,
         "offers Basic"},
        {"u", "Proxy-Authenticate: Basic realm=x\r\n", LOGIN_DIGEST, false, LOGIN_UNSUPPORTED,
         "offers Basic"},
        {"u", "Proxy-Authenticate: Digest realm=x, nonce=n\r\n", LOGIN_BASIC, false,
         LOGIN_UNSUPPORTED, "offers Digest MD5"},
        {"u", "Proxy-Authenticate: Digest realm=x, nonce=n, algorithm=SHA-3\r\n", LOGIN_ANY, false,
         LOGIN_UNSUPPORTED, "offers Digest (unknown algorithm)"},
        {"u", "Proxy-Authenticate: Digest realm=x, nonce=n, qop=\"auth-int\"\r\n", LOGIN_ANY, true,
         LOGIN_UNSUPPORTED, "offers Digest MD5"},
        {"u", "Proxy-Authenticate: Digest realm=\"x\r\n", LOGIN_ANY, false, LOGIN_UNSUPPORTED,
         "offers Digest (malformed list of parameters)"},
        {"u", "WWW-Authenticate: Basic realm=x\r\n", LOGIN_ANY, false, LOGIN_UNSUPPORTED,
         "offers no scheme: WWW-Authenticate, which is a web server's, instead of "
         "Proxy-Authenticate"},
        {"u", "", LOGIN_ANY, false, LOGIN_UNSUPPORTED, "offers no scheme: no Proxy-Authenticate"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct login_try t = {.has_body = cases[i].has_body};
        char what[LOGIN_WHAT_MAX];
        struct login l;

        assert_true(login_init(&l, cases[i].user, "p", cases[i].wish));
        assert_int_equal(take(&l, &t, head_of("407 No", cases[i].fields), what), cases[i].want);
        assert_string_equal(what, cases[i].what);
        login_fini(&l);
    }
}

/* Longer than we keep, and endlessly: said, not followed. */
static void floods_end(void **state)
{
    struct login_try t = {0};
    struct login l;
    char fields[8192], what[LOGIN_WHAT_MAX], nonce[LOGIN_TEXT_MAX + 1];
    enum login_next next = LOGIN_AGAIN;
    int rounds = 0;

    (void)state;
    assert_true(login_init(&l, "u", "p", LOGIN_ANY));
    memset(nonce, 'n', sizeof nonce);
    snprintf(fields, sizeof fields, "Proxy-Authenticate: Digest realm=\"r\", nonce=\"%.*s\"\r\n",
             (int)sizeof nonce, nonce);
    assert_int_equal(take(&l, &t, head_of("407 No", fields), what), LOGIN_UNSUPPORTED);
    assert_string_equal(what, "offers Digest MD5 (with more than is kept of a challenge)");
    while (next == LOGIN_AGAIN && rounds++ < 100) /* never sent: the room is too small */
        next = take(&l, &t, head_of("407 No", "Proxy-Authenticate: Basic realm=r\r\n"), what);
    assert_int_equal(next, LOGIN_REFUSED);
    assert_true(rounds < 10);
    login_fini(&l);
}

/* nextnonce is used from then on; a wrong rspauth is told. */
static void info_is_honoured(void **state)
{
    char fields[512], next[NONCE_TEXT_LEN], out[2048], what[LOGIN_WHAT_MAX];
    static const char name[] = "Proxy-Authentication-Info: ";
    struct authn_credentials c;
    struct login_try t = {0};
    struct side p;
    struct login l;
    size_t len;

    (void)state;
    side_init(&p, "alice");
    assert_true(login_init(&l, "alice", PASSWORD, LOGIN_ANY));
    assert_true(login_take_info(&l, &t, head_of("200 OK", "")));
    assert_int_equal(take(&l, &t, ask(&p, false), what), LOGIN_AGAIN);
    assert_int_equal(judge(&p, out, write_at(&l, &t, NOW_NS, out), &c), ACCOUNTS_OK);
    nonce_make(p.nonces, p.now_ms + 1000, next);
    memcpy(fields, name, sizeof name);
    len = sizeof name - 1;
    len += accounts_write_info(accounts_get(p.accounts, 0), &c, (struct span){next, sizeof next},
                               fields + len, sizeof fields - len - 3);
    snprintf(fields + len, sizeof fields - len, "\r\n");
    assert_true(login_take_info(&l, &t, head_of("200 OK", fields)));
    assert_int_equal(judge(&p, out, write_at(&l, &t, NOW_NS, out), &c), ACCOUNTS_OK);
    assert_true(span_equal(c.nonce, (struct span){next, sizeof next}));
    assert_int_equal(c.nc, 1);
    assert_false(login_take_info(&l, &t, head_of("200 OK", fields))); /* of the answer before */
    assert_true(login_take_info(&l, &t, head_of("200 OK", "Proxy-Authentication-Info: \"\r\n")));
    login_fini(&l);
    side_fini(&p);
}

static void basic_is_sent_unasked_where_wished(void **state)
{
    struct login_try t = {0};
    struct authn_credentials c;
    struct login l;
    char out[2048];
    size_t n;

    (void)state;
    assert_true(login_init(&l, "Aladdin", "open sesame", LOGIN_BASIC));
    assert_true(login_is_ready(&l, NOW_NS));
    n = write_at(&l, &t, NOW_NS, out);
    assert_true(read_line(out, n, &c));
    assert_true(span_equal(c.password, SPAN_LIT("open sesame")));
    assert_int_equal(login_write(&l, &t, SPAN_LIT("GET"), SPAN_LIT("http://a/"), 0, out, n - 1), 0);
    login_fini(&l);
    login_fini(&l);
    assert_true(login_init(&l, NULL, NULL, LOGIN_BASIC));
    assert_int_equal(write_at(&l, &t, NOW_NS, out), 0);
    login_fini(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_nonce_for_many),
        cmocka_unit_test(every_challenge_is_answered),
        cmocka_unit_test(two_stale_rounds_at_most),
        cmocka_unit_test(a_wrong_password_is_not_sent_again),
        cmocka_unit_test(a_forgotten_nonce_is_asked_for_again),
        cmocka_unit_test(a_shared_nonce_excuses_no_wrong_password),
        cmocka_unit_test(parallel_first_challenges_share_a_nonce),
        cmocka_unit_test(what_cannot_be_answered),
        cmocka_unit_test(floods_end),
        cmocka_unit_test(info_is_honoured),
        cmocka_unit_test(basic_is_sent_unasked_where_wished),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
