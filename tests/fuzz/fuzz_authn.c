/* Header fields of authentication from outside: every span lies in the text or the store; what our
 * own writer makes of a challenge is read again. */
#include <assert.h>

#include "fuzz.h"
#include "wire/authn.h"

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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span text = {(const char *)data, size};
    struct authn_info info;

    check_credentials(text);
    check_challenges(text);
    authn_parse_info(text, &info);
    return 0;
}
