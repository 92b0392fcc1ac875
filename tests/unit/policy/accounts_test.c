#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/util.h"
#include "policy/accounts.h"
#include "policy/password.h"

#define NOW 1800000000000u
#define TARGET "a.example:443"

static const unsigned algorithms[] = {DIGEST_SHA256, DIGEST_MD5, DIGEST_SHA512_256};
static const unsigned char key[NONCE_KEY_LEN] = "key";

static void add(struct accounts *s, const char *name, const char *password, bool disabled,
                const char *hash)
{
    struct account a = {.disabled = disabled};
    char text[64], secret[128], realm[] = "viaduct";

    snprintf(text, sizeof text, "%s", name);
    a.name = text;
    if (password) {
        a.realm = realm;
        for (unsigned i = 0; i < DIGEST_COUNT; i++) {
            authn_ha1((enum digest_algorithm)i, span_of(name), SPAN_LIT("viaduct"),
                      span_of(password), a.ha1[i]);
            a.has[i] = true;
        }
    }
    if (hash) {
        snprintf(secret, sizeof secret, "%s", hash);
        a.hash = secret;
    }
    assert_true(accounts_add(s, &a));
}

static struct accounts *sample(bool hashes)
{
    struct accounts *s = accounts_new();

    assert_non_null(s);
    add(s, "alice", "sesame", false, NULL);
    add(s, "J\xc3\xa4s", "p\xc3\xa4ss", false, NULL);
    add(s, "off", "gone", true, NULL);
    if (hashes)
        add(s, "old", NULL, false, "$apr1$lZL6V/ci$sQw6g73nRuoOIj/gnD18Z.");
    for (int i = 0; i < 100; i++) {
        char name[16];

        snprintf(name, sizeof name, "user%d", i);
        add(s, name, "x", false, NULL);
    }
    assert_true(accounts_seal(s));
    return s;
}

static void found_by_name_and_by_hash(void **state)
{
    struct accounts *s = sample(false);
    char hex[DIGEST_HEX_MAX];

    (void)state;
    assert_null(accounts_find(s, SPAN_LIT("Alice")));
    for (unsigned i = 0; i < accounts_count(s); i++) {
        const struct account *a = accounts_get(s, i);

        assert_ptr_equal(accounts_find(s, span_of(a->name)), a);
        for (unsigned k = 0; k < DIGEST_COUNT; k++) {
            enum digest_algorithm kind = (enum digest_algorithm)k;
            size_t len = authn_userhash(kind, span_of(a->name), span_of(a->realm), hex);

            assert_ptr_equal(accounts_find_hashed(s, kind, (struct span){hex, len}), a);
        }
    }
    accounts_unref(s);
}

static void basic(void **state)
{
    static const struct {
        const char *user, *password;
        enum accounts_outcome want;
    } cases[] = {
        {"alice", "sesame", ACCOUNTS_OK},         {"alice", "Sesame", ACCOUNTS_WRONG_PASSWORD},
        {"alice", "", ACCOUNTS_WRONG_PASSWORD},   {"J\xc3\xa4s", "p\xc3\xa4ss", ACCOUNTS_OK},
        {"off", "gone", ACCOUNTS_DISABLED},       {"off", "here", ACCOUNTS_WRONG_PASSWORD},
        {"bob", "sesame", ACCOUNTS_UNKNOWN_USER}, {"", "", ACCOUNTS_UNKNOWN_USER},
        {"old", "myPassword", ACCOUNTS_OK},       {"old", "mypassword", ACCOUNTS_WRONG_PASSWORD},
    };
    struct accounts *s[] = {sample(false), sample(true)};

    (void)state;
    for (size_t k = 0; k < ARRAY_LEN(s); k++)
        for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
            struct accounts_result r;
            bool old = strcmp(cases[i].user, "old") == 0;

            accounts_check_basic(s[k], span_of(cases[i].user), span_of(cases[i].password), &r);
            if (k == 0)
                assert_null(r.hash);
            else if (cases[i].want != ACCOUNTS_OK && cases[i].want != ACCOUNTS_DISABLED)
                assert_non_null(r.hash); /* every failure costs one */
            accounts_finish_basic(&r, span_of(cases[i].password));
            assert_int_equal(r.outcome, k == 0 && old ? ACCOUNTS_UNKNOWN_USER : cases[i].want);
        }
    accounts_unref(s[0]);
    accounts_unref(s[1]);
}

/* The right password of the account whose hash is the decoy lets nobody else in. */
static void a_decoy_never_opens(void **state)
{
    struct accounts *s = sample(true);
    struct accounts_result r;

    (void)state;
    accounts_check_basic(s, SPAN_LIT("bob"), SPAN_LIT("myPassword"), &r);
    assert_true(r.decoy && r.hash);
    accounts_finish_basic(&r, SPAN_LIT("myPassword"));
    assert_int_equal(r.outcome, ACCOUNTS_UNKNOWN_USER);
    accounts_check_basic(s, SPAN_LIT("alice"), SPAN_LIT("myPassword"), &r);
    accounts_finish_basic(&r, SPAN_LIT("myPassword"));
    assert_int_equal(r.outcome, ACCOUNTS_WRONG_PASSWORD);
    accounts_unref(s);
}

/* A file has hashes of many kinds, and bcrypt costs a thousand times apr1: were all decoys one
 * account's, time would tell who has another kind. */
static void decoys_are_as_mixed_as_the_hashes(void **state)
{
    static const char *const hashes[] = {"$apr1$lZL6V/ci$sQw6g73nRuoOIj/gnD18Z.",
                                         "$2y$05$abcdefghijklmnopqrstuu1"};
    struct accounts *s = accounts_new();
    unsigned seen[ARRAY_LEN(hashes)] = {0};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(hashes); i++)
        add(s, i ? "slow" : "fast", NULL, false, hashes[i]);
    add(s, "alice", "sesame", false, NULL);
    assert_true(accounts_seal(s));
    for (int i = 0; i < 200; i++) {
        struct accounts_result r, again;
        char name[16];

        snprintf(name, sizeof name, "nobody%d", i);
        accounts_check_basic(s, span_of(name), SPAN_LIT("x"), &r);
        accounts_check_basic(s, span_of(name), SPAN_LIT("y"), &again);
        assert_ptr_equal(r.hash, again.hash);
        for (size_t k = 0; k < ARRAY_LEN(hashes); k++)
            seen[k] += strcmp(r.hash, hashes[k]) == 0;
    }
    assert_true(seen[0] > 0 && seen[1] > 0 && seen[0] + seen[1] == 200);
    accounts_unref(s);
}

static void password_hashes(void **state)
{
    static const char *const hashes[] = {
        /* of "myPassword" */
        "$apr1$lZL6V/ci$sQw6g73nRuoOIj/gnD18Z.",
        "{SHA}VBPuJHI7uixaa6LQGWx4s+5GKNE=",
        ("$6$rounds=1000$abcdefgh$y8SYOZDZs2jRYKL5pL6MYaLO7v3ht.2ypmeicXnlRH/"
         ".AOMBIwUhEgKQZPQelO9Zv3H7QFJRVjNacmPzMp1bK1"),
        "$5$rounds=1000$abcdefgh$TzAZPjibFi5e52qDJLdinajixajltSULxIRDSD0V8i8",
        "$1$abcdefgh$W/8r1SWbVzbnNV3h1/PUK1",
        "$2y$04$abcdefghijklmnopqrstuuN2f4ZDSoR8/TAG80qUYDM9bRnmRm0Zy",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(hashes); i++) {
        assert_true(password_is_known(hashes[i]));
        assert_true(password_check(hashes[i], SPAN_LIT("myPassword")));
        assert_false(password_check(hashes[i], SPAN_LIT("myPasswore")));
        assert_false(password_check(hashes[i], SPAN_LIT("")));
    }
    assert_false(password_is_known("rqXexS6ZhobKA"));
    assert_false(password_is_known("plain"));
    assert_false(password_is_known("{SHA}VBPu"));
    assert_false(password_check("$6$", SPAN_LIT("x")));
}

/* A client's credentials as it would make them. */
struct client {
    const char *user, *password, *realm, *method, *uri;
    enum digest_algorithm algorithm;
    bool userhash;
    const char *nonce; /* NULL: a good one */
    uint32_t nc;
};

static enum accounts_outcome login(struct accounts *s, struct nonce_table *t,
                                   const struct client *k, const char *nonce, uint64_t now_ms)
{
    struct authn_challenge ch;
    struct authn_credentials c;
    struct accounts_result r;
    char ha1[DIGEST_HEX_MAX], out[1024];
    struct authn_answer a = {.user = span_of(k->user),
                             .method = span_of(k->method),
                             .uri = span_of(k->uri),
                             .cnonce = SPAN_LIT("c"),
                             .nc = k->nc};
    struct accounts_request q = {.method = SPAN_LIT("CONNECT"),
                                 .target = SPAN_LIT(TARGET),
                                 .realm = SPAN_LIT("viaduct"),
                                 .algorithms = algorithms,
                                 .algorithms_len = 2,
                                 .now_ms = now_ms,
                                 .nonce_lifetime_ms = 300000};

    memset(&ch, 0, sizeof ch);
    ch.usable = ch.has_qop = ch.auth = true;
    ch.scheme = AUTHN_DIGEST;
    ch.algorithm = k->algorithm;
    ch.userhash = k->userhash;
    ch.realm = span_of(k->realm);
    ch.nonce = span_of(nonce);
    a.ha1 =
        (struct span){ha1, authn_ha1(k->algorithm, a.user, ch.realm, span_of(k->password), ha1)};
    size_t len = authn_write_digest(&ch, &a, out, sizeof out);
    assert_int_equal(authn_parse_credentials((struct span){out, len}, &c), AUTHN_OK);
    accounts_check_digest(s, t, &c, &q, &r);
    return r.outcome;
}

static void digest(void **state)
{
#define ASKS .realm = "viaduct", .method = "CONNECT", .uri = TARGET, .algorithm = DIGEST_SHA256
#define ALICE .user = "alice", .password = "sesame", ASKS
    static const struct {
        struct client client;
        enum accounts_outcome want;
    } cases[] = {
        {{ALICE, .nc = 1}, ACCOUNTS_OK},
        {{ALICE, .nc = 1}, ACCOUNTS_REPLAYED_COUNT},
        {{ALICE, .nc = 3, .userhash = true}, ACCOUNTS_OK},
        {{.user = "alice", .password = "wrong", ASKS, .nc = 4}, ACCOUNTS_WRONG_PASSWORD},
        {{ALICE, .nc = 4}, ACCOUNTS_OK}, /* a failure takes no count */
        {{.user = "J\xc3\xa4s", .password = "p\xc3\xa4ss", ASKS, .nc = 5}, ACCOUNTS_OK},
        {{.user = "bob", .password = "x", ASKS, .nc = 6}, ACCOUNTS_UNKNOWN_USER},
        {{.user = "bob", .password = "x", ASKS, .nc = 6, .userhash = true}, ACCOUNTS_UNKNOWN_HASH},
        {{.user = "off", .password = "gone", ASKS, .nc = 6}, ACCOUNTS_DISABLED},
        {{.user = "off", .password = "x", ASKS, .nc = 6}, ACCOUNTS_WRONG_PASSWORD},
        {{.user = "alice",
          .password = "sesame",
          .realm = "viaduct",
          .method = "CONNECT",
          .uri = "A.EXAMPLE:443",
          .algorithm = DIGEST_MD5,
          .nc = 6},
         ACCOUNTS_OK},
        {{.user = "alice",
          .password = "sesame",
          .realm = "viaduct",
          .method = "CONNECT",
          .uri = "b.example:443",
          .nc = 7},
         ACCOUNTS_WRONG_URI},
        {{.user = "alice",
          .password = "sesame",
          .realm = "viaduct",
          .method = "GET",
          .uri = TARGET,
          .nc = 7},
         ACCOUNTS_WRONG_METHOD},
        {{.user = "alice",
          .password = "sesame",
          .realm = "other",
          .method = "CONNECT",
          .uri = TARGET,
          .nc = 7},
         ACCOUNTS_WRONG_REALM},
        {{.user = "alice",
          .password = "sesame",
          .realm = "viaduct",
          .method = "CONNECT",
          .uri = TARGET,
          .algorithm = DIGEST_SHA512_256,
          .nc = 7},
         ACCOUNTS_UNKNOWN_ALGORITHM},
        {{.user = "old", .password = "myPassword", ASKS, .nc = 7}, ACCOUNTS_NO_DIGEST},
        {{ALICE, .nc = 7, .nonce = "forged"}, ACCOUNTS_FOREIGN_NONCE},
        {{.user = "alice", .password = "x", ASKS, .nc = 7, .nonce = "forged"},
         ACCOUNTS_WRONG_PASSWORD},
    };
    struct accounts *s = sample(true);
    struct nonce_table *t = nonce_table_new(key, 64, NOW - 1);
    char nonce[NONCE_TEXT_LEN + 1] = "";

    (void)state;
    nonce_make(t, NOW, nonce);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct client *k = &cases[i].client;

        assert_int_equal(login(s, t, k, k->nonce ? k->nonce : nonce, NOW + 10), cases[i].want);
    }
    struct client late = {ALICE, .nc = 9},
                  wrong = {.user = "alice", .password = "x", ASKS, .nc = 9};
    assert_int_equal(login(s, t, &late, nonce, NOW + 300001), ACCOUNTS_STALE_NONCE);
    assert_int_equal(login(s, t, &wrong, nonce, NOW + 300001), ACCOUNTS_WRONG_PASSWORD);
    nonce_table_free(t);
    accounts_unref(s);
}

static void targets_are_compared_loosely(void **state)
{
    static const struct {
        const char *a, *b;
        bool same;
    } cases[] = {
        {"a.example:443", "A.Example.:443", true},
        {"[2001:db8::1]:443", "2001:db8::1:443", true},
        {"[2001:DB8:0::1]:443", "[2001:db8::1]:443", true},
        {"http://a.example/x?y", "HTTP://A.example:80/x?y", true},
        {"http://a.example/x", "http://a.example/X", false},
        {"http://a.example/x", "/x", false},
        {"/x?y", "http://a.example/x?y", true},
        {"/", "http://a.example", true},
        {"/x", "http://a.example/y", false},
        {"/", "a.example:443", false},
        {"a.example:443", "a.example:444", false},
        {"a.example:443", "a.example", false},
        {"a.example:80", "http://a.example/", false},
        {"", "a.example:443", false},
        {":", "a.example:443", false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_int_equal(accounts_is_same_target(span_of(cases[i].a), span_of(cases[i].b)),
                         cases[i].same);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(found_by_name_and_by_hash),
        cmocka_unit_test(basic),
        cmocka_unit_test(a_decoy_never_opens),
        cmocka_unit_test(decoys_are_as_mixed_as_the_hashes),
        cmocka_unit_test(password_hashes),
        cmocka_unit_test(digest),
        cmocka_unit_test(targets_are_compared_loosely),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
