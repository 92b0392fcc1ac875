#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/util.h"
#include "wire/authn.h"

#define DIGEST_HEAD                                                                                \
    "Digest username=\"u\", realm=\"r\", uri=\"a.example:443\", nonce=\"n\", cnonce=\"c\", "
#define MD5_ZEROS "00000000000000000000000000000000"

static struct span proof_of(enum digest_algorithm a, struct span user, struct span realm,
                            struct span password, struct span nonce, struct span cnonce,
                            struct span uri, char out[DIGEST_HEX_MAX])
{
    struct authn_proof p = {.algorithm = a,
                            .qop = AUTHN_QOP_AUTH,
                            .method = SPAN_LIT("GET"),
                            .uri = uri,
                            .nonce = nonce,
                            .cnonce = cnonce,
                            .nc = SPAN_LIT("00000001")};
    char ha1[DIGEST_HEX_MAX];
    size_t len = authn_ha1(a, user, realm, password, ha1);

    return (struct span){out, authn_prove(&p, (struct span){ha1, len}, out)};
}

/* RFC 7616 section 3.9.1; and 3.9.2 as FIPS 180-4 has it: what is printed there is cut SHA-512. */
static void published_vectors(void **state)
{
    struct span nonce = SPAN_LIT("7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v"),
                cnonce = SPAN_LIT("f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"),
                mufasa = SPAN_LIT("Mufasa"), realm = SPAN_LIT("http-auth@example.org"),
                circle = SPAN_LIT("Circle of Life"), dir = SPAN_LIT("/dir/index.html"),
                jason = SPAN_LIT("J\xc3\xa4s\xc3\xb8n Doe"), api = SPAN_LIT("api@example.org");
    char out[DIGEST_HEX_MAX];

    (void)state;
    assert_true(span_equal(proof_of(DIGEST_MD5, mufasa, realm, circle, nonce, cnonce, dir, out),
                           SPAN_LIT("8ca523f5e9506fed4657c9700eebdbec")));
    assert_true(
        span_equal(proof_of(DIGEST_SHA256, mufasa, realm, circle, nonce, cnonce, dir, out),
                   SPAN_LIT("753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1")));
    assert_int_equal(authn_userhash(DIGEST_SHA512_256, jason, api, out), 64);
    assert_memory_equal(out, "793263caabb707a56211940d90411ea4a575adeccb7e360aeb624ed06ece9b0b",
                        64);
    assert_true(
        span_equal(proof_of(DIGEST_SHA512_256, jason, api, SPAN_LIT("Secret, or not?"),
                            SPAN_LIT("5TsQWLVdgBdmrQ0XsxbDODV+57QdFR34I9HAbC/RVvkK"),
                            SPAN_LIT("NTg6RKcb9boFIAS3KrFK9BGeh+iDa/sm6jUMp2wds69v"),
                            SPAN_LIT("/doe.json"), out),
                   SPAN_LIT("3798d4131c277846293534c3edc11bd8a5e4cdcbff78b05db9d95eeb1cec68a5")));
}

static void basic_credentials(void **state)
{
    struct authn_credentials c;

    (void)state;
    assert_int_equal(authn_parse_credentials(SPAN_LIT("bAsIc QWxhZGRpbjpvcGVuOnNlc2FtZQ== "), &c),
                     AUTHN_OK);
    assert_true(span_equal(c.user, SPAN_LIT("Aladdin")));
    assert_true(span_equal(c.password, SPAN_LIT("open:sesame")));
    assert_int_equal(authn_parse_credentials(SPAN_LIT("Basic dTrCow=="), &c), AUTHN_OK);
    assert_true(span_equal(c.password, SPAN_LIT("\xc2\xa3")));
}

static void bad_credentials(void **state)
{
    static const struct {
        const char *text;
        enum authn_result want;
        const char *what;
    } cases[] = {
        {"", AUTHN_BAD, "no scheme"},
        {"Basic", AUTHN_BAD, "no colon between name and password"},
        {"Basic dTpw=", AUTHN_BAD, "the credentials are no base64, or too long"},
        {"Basic dXA=", AUTHN_BAD, "no colon between name and password"},
        {"Basic dTqj", AUTHN_BAD, "name or password is not UTF-8, or has control characters"},
        {"Basic dToK", AUTHN_BAD, "name or password is not UTF-8, or has control characters"},
        {"Basic dcKbOnA=", AUTHN_BAD, "name or password is not UTF-8, or has control characters"},
        {"NTLM TlRMTVNTUAAB", AUTHN_UNKNOWN, "neither Basic nor Digest"},
        {"Digest", AUTHN_BAD, "no username"},
        {"Digest username=\"u", AUTHN_BAD, "malformed list of parameters"},
        {"Digest username", AUTHN_BAD, "malformed list of parameters"},
        {DIGEST_HEAD "nonce=n", AUTHN_BAD, "a parameter stands twice"},
        {DIGEST_HEAD "username*=UTF-8''u", AUTHN_BAD, "both username and username*"},
        {DIGEST_HEAD "userhash=perhaps", AUTHN_BAD, "userhash is neither true nor false"},
        {DIGEST_HEAD "qop=auth, nc=00000001", AUTHN_BAD, "no response"},
        {DIGEST_HEAD "response=" MD5_ZEROS ", nc=00000001", AUTHN_BAD, "no qop"},
        {DIGEST_HEAD "response=" MD5_ZEROS ", qop=auth", AUTHN_BAD, "no nc"},
        {DIGEST_HEAD "response=" MD5_ZEROS ", qop=auth, nc=1", AUTHN_BAD,
         "nc is not a count of 8 hexadecimal digits"},
        {DIGEST_HEAD "response=" MD5_ZEROS ", qop=auth, nc=00000000", AUTHN_BAD,
         "nc is not a count of 8 hexadecimal digits"},
        {DIGEST_HEAD "response=" MD5_ZEROS ", qop=auth, nc=100000000", AUTHN_BAD,
         "nc is not a count of 8 hexadecimal digits"},
        {DIGEST_HEAD "response=" MD5_ZEROS ", qop=auth-x, nc=00000001", AUTHN_UNKNOWN,
         "unknown qop"},
        {DIGEST_HEAD "response=" MD5_ZEROS ", qop=auth, nc=00000001, algorithm=SHA-512",
         AUTHN_UNKNOWN, "unknown algorithm"},
        {DIGEST_HEAD "response=" MD5_ZEROS ", qop=auth, nc=00000001, algorithm=SHA-256", AUTHN_BAD,
         "the response does not have the algorithm's length"},
        {"Digest username*=latin1''u", AUTHN_BAD, "username* is not as RFC 8187 writes it"},
        {"Digest username*=UTF-8''%4", AUTHN_BAD, "username* is not as RFC 8187 writes it"},
        {"Digest username*=UTF-8''%ff", AUTHN_BAD,
         "the username is not UTF-8, or has control characters"},
        {"Digest username*=UTF-8''u%c2%9b", AUTHN_BAD,
         "the username is not UTF-8, or has control characters"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct authn_credentials c;

        assert_int_equal(authn_parse_credentials(span_of(cases[i].text), &c), cases[i].want);
        assert_string_equal(c.bad_what, cases[i].what);
    }
}

static void digest_credentials_in_every_dress(void **state)
{
    static const char *const dresses[] = {
        DIGEST_HEAD "response=\"" MD5_ZEROS "\", qop=auth, nc=0000000a, algorithm=MD5-sess",
        DIGEST_HEAD "response=" MD5_ZEROS ",qop=\"auth\",nc=\"0000000A\",algorithm=\"md5-SESS\"",
        "dIGEST ,, username = \"\\u\" , realm=r,uri=a.example:443,nonce=n,cnonce=c, "
        "x=\"y,z\", response=" MD5_ZEROS ",qop=auth,nc=0000000a,algorithm=MD5-sess ,",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(dresses); i++) {
        struct authn_credentials c;

        assert_int_equal(authn_parse_credentials(span_of(dresses[i]), &c), AUTHN_OK);
        assert_true(span_equal(c.user, SPAN_LIT("u")));
        assert_true(span_equal(c.uri, SPAN_LIT("a.example:443")));
        assert_int_equal(c.nc, 10);
        assert_true(c.sess && c.algorithm == DIGEST_MD5 && c.qop == AUTHN_QOP_AUTH);
    }
}

static void extended_name(void **state)
{
    struct authn_credentials c;

    (void)state;
    assert_int_equal(
        authn_parse_credentials(
            SPAN_LIT("Digest username*=utf-8'de'J%C3%A4s%c3%B8n%20Doe, realm=r, uri=u, nonce=n, "
                     "cnonce=c, qop=auth-int, nc=00000001, response=" MD5_ZEROS),
            &c),
        AUTHN_OK);
    assert_true(span_equal(c.user, SPAN_LIT("J\xc3\xa4s\xc3\xb8n Doe")));
    assert_int_equal(c.qop, AUTHN_QOP_AUTH_INT);
    assert_int_equal(c.algorithm, DIGEST_MD5);
}

static void challenges_in_one_line(void **state)
{
    static const char text[] =
        "Negotiate, NTLM TlRMTVNTUAAC==, dIgEsT realm=\"a, \\\"b\\\"\", nonce=\"n\", qop=\"auth, "
        "auth-int\", algorithm=SHA-256, stale=TRUE, userhash=true,Digest realm=\"a\", nonce=\"n\", "
        "algorithm=SHA-512, Digest realm=\"x\", nonce=m, BASIC realm=\"b\", charset=\"UTF-8\"";
    static const int ranks[] = {0, 0, 4, 0, 2, 1};
    struct span rest = SPAN_LIT(text);
    struct authn_challenge c;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(ranks); i++) {
        assert_true(authn_next_challenge(&rest, &c));
        assert_int_equal(authn_rank(&c), ranks[i]);
        if (i == 1)
            assert_true(span_equal(c.name, SPAN_LIT("NTLM")));
        if (i == 2)
            assert_true(span_equal(c.realm, SPAN_LIT("a, \"b\"")) && c.stale && c.userhash &&
                        c.auth && c.auth_int);
        if (i == 4)
            assert_true(!c.has_qop && span_equal(c.nonce, SPAN_LIT("m")));
    }
    assert_true(c.utf8);
    assert_false(authn_next_challenge(&rest, &c));
}

static void an_offer_is_read_as_it_was_meant(void **state)
{
    static const unsigned schemes[] = {AUTHN_DIGEST, AUTHN_BASIC},
                          algorithms[] = {DIGEST_SHA256, DIGEST_MD5};
    struct authn_offer o = {.realm = SPAN_LIT("a \"b\""),
                            .nonce = SPAN_LIT("n"),
                            .schemes = schemes,
                            .schemes_len = 2,
                            .algorithms = algorithms,
                            .algorithms_len = 2,
                            .stale = true};
    static const char want[] =
        "Proxy-Authenticate: Digest realm=\"a \\\"b\\\"\", qop=\"auth\", algorithm=SHA-256, "
        "nonce=\"n\", stale=true, charset=UTF-8, userhash=true\r\n"
        "Proxy-Authenticate: Digest realm=\"a \\\"b\\\"\", qop=\"auth\", algorithm=MD5, "
        "nonce=\"n\", stale=true, charset=UTF-8, userhash=true\r\n"
        "Proxy-Authenticate: Basic realm=\"a \\\"b\\\"\", charset=\"UTF-8\"\r\n";
    char out[1024];

    (void)state;
    assert_int_equal(authn_write_offer(&o, out, sizeof out), sizeof want - 1);
    assert_memory_equal(out, want, sizeof want - 1);
    assert_int_equal(authn_write_offer(&o, out, sizeof want - 2), 0);
}

/* What we write as a client, our own proxy reads. */
static void an_answer_is_read_as_it_was_meant(void **state)
{
    static const struct {
        const char *challenge, *user;
        bool hashed;
    } cases[] = {
        {"Digest realm=\"r\", nonce=\"n\", qop=\"auth\", algorithm=SHA-256", "u\"x", false},
        {"Digest realm=\"r\", nonce=\"n\", qop=\"auth\"", "J\xc3\xa4s", false},
        {"Digest realm=\"r\", nonce=\"n\", qop=\"auth-int,auth\", algorithm=SHA-512-256-sess, "
         "userhash=true, opaque=\"o\"",
         "u", true},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct span rest = span_of(cases[i].challenge), user = span_of(cases[i].user);
        struct authn_challenge ch;
        struct authn_credentials c;
        char ha1[DIGEST_HEX_MAX], out[1024], hex[DIGEST_HEX_MAX];
        unsigned char want[DIGEST_LEN_MAX];

        assert_true(authn_next_challenge(&rest, &ch));
        struct authn_answer a = {.user = user,
                                 .method = SPAN_LIT("CONNECT"),
                                 .uri = SPAN_LIT("a.example:443"),
                                 .cnonce = SPAN_LIT("c"),
                                 .nc = 0x1a2b3c4d};
        a.ha1 = (struct span){ha1, authn_ha1(ch.algorithm, user, ch.realm, SPAN_LIT("p"), ha1)};
        size_t len = authn_write_digest(&ch, &a, out, sizeof out);
        assert_true(len > 0);
        assert_int_equal(authn_parse_credentials((struct span){out, len}, &c), AUTHN_OK);
        assert_int_equal(c.nc, a.nc);
        assert_int_equal(c.userhash, cases[i].hashed);
        assert_true(cases[i].hashed || span_equal(c.user, user));
        struct authn_proof p = {.algorithm = c.algorithm,
                                .sess = c.sess,
                                .qop = c.qop,
                                .method = a.method,
                                .uri = c.uri,
                                .nonce = c.nonce,
                                .cnonce = c.cnonce,
                                .nc = c.nc_text};
        len = authn_prove(&p, a.ha1, hex);
        assert_true(digest_parse_hex((struct span){hex, len}, want, len / 2));
        assert_memory_equal(want, c.response, len / 2);
    }
}

static void basic_is_written(void **state)
{
    char out[64];

    (void)state;
    assert_int_equal(authn_write_basic(SPAN_LIT("Aladdin"), SPAN_LIT("open sesame"), out, 64), 34);
    assert_memory_equal(out, "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", 34);
    assert_int_equal(authn_write_basic(SPAN_LIT("Aladdin"), SPAN_LIT("open sesame"), out, 33), 0);
    assert_int_equal(authn_write_basic(SPAN_LIT("a:b"), SPAN_LIT("c"), out, 64), 0);
}

static void info_is_read_as_it_was_meant(void **state)
{
    struct authn_info i, back;
    char out[512];

    (void)state;
    memset(&i, 0, sizeof i);
    i.nextnonce = SPAN_LIT("m\"");
    i.rspauth = SPAN_LIT("00ff");
    i.cnonce = SPAN_LIT("c");
    i.nc = SPAN_LIT("00000001");
    i.qop = AUTHN_QOP_AUTH;
    size_t len = authn_write_info(&i, out, sizeof out);
    assert_true(authn_parse_info((struct span){out, len}, &back));
    assert_true(span_equal(back.nextnonce, i.nextnonce));
    assert_true(span_equal(back.rspauth, i.rspauth) && back.qop == i.qop);
    assert_true(span_equal(back.cnonce, i.cnonce) && span_equal(back.nc, i.nc));
    assert_false(authn_parse_info(SPAN_LIT("nextnonce=\"m"), &back));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_vectors),
        cmocka_unit_test(basic_credentials),
        cmocka_unit_test(bad_credentials),
        cmocka_unit_test(digest_credentials_in_every_dress),
        cmocka_unit_test(extended_name),
        cmocka_unit_test(challenges_in_one_line),
        cmocka_unit_test(an_offer_is_read_as_it_was_meant),
        cmocka_unit_test(an_answer_is_read_as_it_was_meant),
        cmocka_unit_test(basic_is_written),
        cmocka_unit_test(info_is_read_as_it_was_meant),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
