/* Header fields of authentication from outside: every span lies in the text or the store; what our
 * own writer makes of a challenge is read again; a login comes to an end. */
#include <assert.h>

#include <stdio.h>

#include "fuzz.h"
#include "policy/login.h"

static void check_credentials(struct span text)
{
    struct authn_credentials c;
    char hex[DIGEST_HEX_MAX];

    if (authn_parse_credentials(text, &c) != AUTHN_OK) {
        assert(c.bad_what);
        return;
    }
    assert(c.scheme != AUTHN_OTHER && c.store.len <= sizeof c.store.bytes);
    assert(authn_is_text(c.user));
    if (c.scheme == AUTHN_BASIC) {
        assert(span_find(c.user, ':') < 0);
        return;
    }
    struct authn_proof p = {.algorithm = c.algorithm,
                            .sess = c.sess,
                            .qop = c.qop,
                            .uri = c.uri,
                            .nonce = c.nonce,
                            .cnonce = c.cnonce,
                            .nc = c.nc_text};
    assert(c.nc > 0 && authn_prove(&p, SPAN_LIT("0"), hex) == 2 * digest_len(c.algorithm));
}

static void check_challenges(struct span rest)
{
    struct authn_challenge ch;

    for (size_t before = rest.len + 1; authn_next_challenge(&rest, &ch); before = rest.len) {
        struct authn_answer a = {.user = SPAN_LIT("u"),
                                 .ha1 = SPAN_LIT("0"),
                                 .method = SPAN_LIT("CONNECT"),
                                 .uri = SPAN_LIT("a:1"),
                                 .cnonce = SPAN_LIT("c"),
                                 .nc = 1,
                                 .body = SPAN_LIT("0")};
        struct authn_credentials c;
        char out[4096];

        assert(rest.len < before && ch.name.len > 0);
        assert((authn_rank(&ch) > 0) == ch.usable);
        size_t len = authn_write_digest(&ch, &a, out, sizeof out);
        if (len == 0 || !ch.has_qop)
            continue;
        if (authn_parse_credentials((struct span){out, len}, &c) == AUTHN_OK)
            assert(c.algorithm == ch.algorithm && c.sess == ch.sess);
    }
}

/* A proxy that says the same again and again is given up, whatever it says. */
static void check_login(struct span text)
{
    static char bytes[32768];
    static struct http1_head h;
    char what[32], out[4096];
    struct login_try t = {0};
    enum login_next next;
    struct login l;
    int n = snprintf(bytes, sizeof bytes,
                     "HTTP/1.1 407 No\r\nProxy-Authenticate: %.*s\r\n"
                     "Proxy-Authentication-Info: %.*s\r\n\r\n",
                     (int)text.len, text.ptr, (int)text.len, text.ptr);

    http1_head_reset(&h);
    if (n >= (int)sizeof bytes ||
        http1_parse_response((struct span){bytes, (size_t)n}, &h) != PARSE_OK)
        return;
    assert(login_init(&l, "u", "p", LOGIN_ANY));
    for (int i = 0; i < 10; i++) {
        login_write(&l, &t, SPAN_LIT("CONNECT"), SPAN_LIT("a:1"), 1, out, sizeof out);
        login_take_info(&l, &t, &h);
        next = login_take_challenges(&l, &t, &h, 1, what, sizeof what);
        assert(strlen(what) < sizeof what);
        if (next != LOGIN_AGAIN)
            break;
    }
    assert(next != LOGIN_AGAIN);
    login_fini(&l);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span text = {(const char *)data, size};
    struct authn_info info;

    check_credentials(text);
    check_challenges(text);
    authn_parse_info(text, &info);
    check_login(text);
    return 0;
}
