#include "capture/decrypt.h"

#include <assert.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"

#define NONCE_LEN 12
#define KEY_MAX 32
#define HEADER_LEN 5
#define CONTEXT_LEN 1024 /* bytes of an OpenSSL cipher context, about */

enum cipher {
    CIPHER_AES128_GCM,
    CIPHER_AES256_GCM,
    CIPHER_AES128_CCM,
    CIPHER_AES256_CCM,
    CIPHER_CHACHA
};

struct decrypt {
    const struct decrypt_suite *suite;
    EVP_CIPHER_CTX *ctx;
    uint64_t seq;          /* of the next record */
    uint8_t iv[NONCE_LEN]; /* the part that records do not carry */
    struct secret traffic; /* TLS 1.3 */
};

/* ---- suites */

#define SUITE_13(code, cipher, tag, sha384)                                                        \
    {                                                                                              \
        code, CIPHER_##cipher, tag, sha384, true, NONCE_LEN                                        \
    }
#define SUITE_12(code, cipher, tag, sha384, fixed)                                                 \
    {                                                                                              \
        code, CIPHER_##cipher, tag, sha384, false, fixed                                           \
    }

static const struct decrypt_suite suites[] = {
    SUITE_13(0x1301, AES128_GCM, 16, false),
    SUITE_13(0x1302, AES256_GCM, 16, true),
    SUITE_13(0x1303, CHACHA, 16, false),
    SUITE_13(0x1304, AES128_CCM, 16, false),
    SUITE_13(0x1305, AES128_CCM, 8, false),
    /* RSA, DHE_RSA, ECDHE_ECDSA and ECDHE_RSA: how the master secret came about is no matter */
    SUITE_12(0x009c, AES128_GCM, 16, false, 4),
    SUITE_12(0x009d, AES256_GCM, 16, true, 4),
    SUITE_12(0x009e, AES128_GCM, 16, false, 4),
    SUITE_12(0x009f, AES256_GCM, 16, true, 4),
    SUITE_12(0xc02b, AES128_GCM, 16, false, 4),
    SUITE_12(0xc02c, AES256_GCM, 16, true, 4),
    SUITE_12(0xc02f, AES128_GCM, 16, false, 4),
    SUITE_12(0xc030, AES256_GCM, 16, true, 4),
    SUITE_12(0xcca8, CHACHA, 16, false, 12),
    SUITE_12(0xcca9, CHACHA, 16, false, 12),
    SUITE_12(0xccaa, CHACHA, 16, false, 12),
    SUITE_12(0xc09c, AES128_CCM, 16, false, 4),
    SUITE_12(0xc09d, AES256_CCM, 16, false, 4),
    SUITE_12(0xc09e, AES128_CCM, 16, false, 4),
    SUITE_12(0xc09f, AES256_CCM, 16, false, 4),
    SUITE_12(0xc0a0, AES128_CCM, 8, false, 4),
    SUITE_12(0xc0a1, AES256_CCM, 8, false, 4),
    SUITE_12(0xc0a2, AES128_CCM, 8, false, 4),
    SUITE_12(0xc0a3, AES256_CCM, 8, false, 4),
    SUITE_12(0xc0ac, AES128_CCM, 16, false, 4),
    SUITE_12(0xc0ad, AES256_CCM, 16, false, 4),
    SUITE_12(0xc0ae, AES128_CCM, 8, false, 4),
    SUITE_12(0xc0af, AES256_CCM, 8, false, 4),
};

const struct decrypt_suite *decrypt_find_suite(uint16_t code)
{
    for (size_t i = 0; i < ARRAY_LEN(suites); i++)
        if (suites[i].code == code)
            return &suites[i];
    return NULL;
}

static const EVP_CIPHER *cipher_of(const struct decrypt_suite *s)
{
    switch ((enum cipher)s->cipher) {
    case CIPHER_AES128_GCM:
        return EVP_aes_128_gcm();
    case CIPHER_AES256_GCM:
        return EVP_aes_256_gcm();
    case CIPHER_AES128_CCM:
        return EVP_aes_128_ccm();
    case CIPHER_AES256_CCM:
        return EVP_aes_256_ccm();
    case CIPHER_CHACHA:
        return EVP_chacha20_poly1305();
    }
    return NULL;
}

static bool is_ccm(const struct decrypt_suite *s)
{
    return s->cipher == CIPHER_AES128_CCM || s->cipher == CIPHER_AES256_CCM;
}

static size_t key_len(const struct decrypt_suite *s)
{
    return s->cipher == CIPHER_AES128_GCM || s->cipher == CIPHER_AES128_CCM ? 16 : 32;
}

static size_t hash_len(const struct decrypt_suite *s)
{
    return s->is_sha384 ? 48 : 32;
}

/* ---- keys */

static bool derive(const char *kdf_name, const OSSL_PARAM *params, uint8_t *out, size_t len)
{
    EVP_KDF *kdf = EVP_KDF_fetch(NULL, kdf_name, NULL);
    EVP_KDF_CTX *ctx = kdf ? EVP_KDF_CTX_new(kdf) : NULL;
    bool ok = ctx && EVP_KDF_derive(ctx, out, len, params) == 1;

    EVP_KDF_CTX_free(ctx);
    EVP_KDF_free(kdf);
    return ok;
}

static char *hash_name(const struct decrypt_suite *s)
{
    static char sha256[] = "SHA256", sha384[] = "SHA384"; /* OSSL_PARAM wants them writable */

    return s->is_sha384 ? sha384 : sha256;
}

/* HKDF-Expand-Label with an empty context (RFC 8446 7.1). */
static bool expand_label(const struct decrypt_suite *s, const struct secret *secret,
                         const char *label, uint8_t *out, size_t len)
{
    struct secret key = *secret;
    int mode = EVP_KDF_HKDF_MODE_EXPAND_ONLY;
    uint8_t info[32] = {(uint8_t)(len >> 8), (uint8_t)len, (uint8_t)(6 + strlen(label))};
    size_t info_len = 3;
    bool ok;

    assert(strlen(label) < 16);
    memcpy(info + info_len, "tls13 ", 6);
    info_len += 6;
    memcpy(info + info_len, label, strlen(label));
    info_len += strlen(label) + 1; /* and the context's length, 0 */

    const OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, hash_name(s), 0),
        OSSL_PARAM_construct_int(OSSL_KDF_PARAM_MODE, &mode),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, key.bytes, key.len),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, info, info_len),
        OSSL_PARAM_construct_end(),
    };
    ok = derive("HKDF", params, out, len);
    OPENSSL_cleanse(&key, sizeof key);
    return ok;
}

/* Makes the context ready for this key. */
static bool set_key(struct decrypt *d, uint8_t key[KEY_MAX])
{
    const struct decrypt_suite *s = d->suite;

    d->seq = 0;
    if (!d->ctx)
        d->ctx = EVP_CIPHER_CTX_new();
    return d->ctx && EVP_DecryptInit_ex(d->ctx, cipher_of(s), NULL, NULL, NULL) == 1 &&
           EVP_CIPHER_CTX_ctrl(d->ctx, EVP_CTRL_AEAD_SET_IVLEN, NONCE_LEN, NULL) == 1 &&
           (!is_ccm(s) ||
            EVP_CIPHER_CTX_ctrl(d->ctx, EVP_CTRL_AEAD_SET_TAG, s->tag_len, NULL) == 1) &&
           EVP_DecryptInit_ex(d->ctx, NULL, NULL, key, NULL) == 1;
}

static bool set_traffic(struct decrypt *d)
{
    uint8_t key[KEY_MAX];
    bool ok = expand_label(d->suite, &d->traffic, "key", key, key_len(d->suite)) &&
              expand_label(d->suite, &d->traffic, "iv", d->iv, sizeof d->iv) && set_key(d, key);

    OPENSSL_cleanse(key, sizeof key);
    return ok;
}

struct decrypt *decrypt_new_13(const struct decrypt_suite *suite, const struct secret *traffic)
{
    struct decrypt *d;
    bool ok;

    assert(suite->is_tls13);
    if (traffic->len != hash_len(suite) || !(d = calloc(1, sizeof *d)))
        return NULL;
    d->suite = suite;
    d->traffic = *traffic;
    ERR_set_mark();
    ok = set_traffic(d);
    ERR_pop_to_mark();
    if (ok)
        return d;
    decrypt_free(d);
    return NULL;
}

/* The key block (RFC 5246 6.3): both keys, then both fixed parts of nonces.  The seed is the text
 * "key expansion" and the randoms, the other side's first. */
static bool make_block(const struct decrypt_suite *s, const struct secret *master,
                       const struct decrypt_randoms *randoms, uint8_t *out, size_t len)
{
    static const char label[] = "key expansion";
    struct secret key = *master;
    uint8_t seed[sizeof label - 1 + 64];
    bool ok;

    memcpy(seed, label, sizeof label - 1);
    memcpy(seed + sizeof label - 1, randoms->server, 32);
    memcpy(seed + sizeof label - 1 + 32, randoms->client, 32);
    const OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, hash_name(s), 0),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SECRET, key.bytes, key.len),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SEED, seed, sizeof seed),
        OSSL_PARAM_construct_end(),
    };
    ok = derive("TLS1-PRF", params, out, len);
    OPENSSL_cleanse(&key, sizeof key);
    return ok;
}

struct decrypt *decrypt_new_12(const struct decrypt_suite *suite, const struct secret *master,
                               const struct decrypt_randoms *randoms, bool by_client, uint64_t seq)
{
    size_t key = key_len(suite), fixed = suite->fixed_len, side = by_client ? 0 : 1;
    uint8_t block[2 * KEY_MAX + 2 * NONCE_LEN];
    struct decrypt *d;
    bool ok;

    assert(!suite->is_tls13);
    if (master->len != 48 || !(d = calloc(1, sizeof *d)))
        return NULL;
    d->suite = suite;
    ERR_set_mark();
    ok = make_block(suite, master, randoms, block, 2 * key + 2 * fixed) &&
         set_key(d, block + side * key);
    ERR_pop_to_mark();
    if (ok) {
        memcpy(d->iv, block + 2 * key + side * fixed, fixed);
        d->seq = seq;
    } else {
        decrypt_free(d);
        d = NULL;
    }
    OPENSSL_cleanse(block, sizeof block);
    return d;
}

void decrypt_free(struct decrypt *d)
{
    if (!d)
        return;
    EVP_CIPHER_CTX_free(d->ctx); /* wipes its key */
    OPENSSL_cleanse(d, sizeof *d);
    free(d);
}

bool decrypt_update(struct decrypt *d)
{
    struct secret next = {.len = d->traffic.len};
    bool ok;

    assert(d->suite->is_tls13);
    ERR_set_mark();
    ok = expand_label(d->suite, &d->traffic, "traffic upd", next.bytes, next.len);
    if (ok) {
        d->traffic = next;
        ok = set_traffic(d);
    }
    ERR_pop_to_mark();
    OPENSSL_cleanse(&next, sizeof next);
    return ok;
}

/* ---- records */

static void write_seq(uint64_t seq, uint8_t out[8])
{
    for (int i = 0; i < 8; i++)
        out[i] = (uint8_t)(seq >> (56 - 8 * i));
}

/* The fixed part and the record's own eight bytes, or the number laid over the whole
 * (RFC 5288 3, RFC 8446 5.3, RFC 7905 2). */
static void make_nonce(const struct decrypt *d, const uint8_t *explicit, uint8_t nonce[NONCE_LEN])
{
    uint8_t seq[8];

    memcpy(nonce, d->iv, NONCE_LEN);
    write_seq(d->seq, seq);
    for (int i = 0; i < 8; i++)
        nonce[4 + i] = explicit ? explicit[i] : nonce[4 + i] ^ seq[i];
}

/* What is authenticated beside the content: the header (RFC 8446 5.2), or number, type, version
 * and the content's length (RFC 5246 6.2.3.3). */
static int make_extra(const struct decrypt *d, const uint8_t header[HEADER_LEN], size_t len,
                      uint8_t out[13])
{
    if (d->suite->is_tls13) {
        memcpy(out, header, HEADER_LEN);
        return HEADER_LEN;
    }
    write_seq(d->seq, out);
    memcpy(out + 8, header, 3);
    out[11] = (uint8_t)(len >> 8);
    out[12] = (uint8_t)len;
    return 13;
}

/* One record's parts. */
struct parts {
    uint8_t nonce[NONCE_LEN];
    uint8_t extra[13];
    int extra_len;
    const uint8_t *in;
    int len;
    uint8_t tag[16];
};

static bool open_parts(struct decrypt *d, struct parts *p, uint8_t *out)
{
    int n;

    if (is_ccm(d->suite)) /* wants tag and length first, and says at once whether all is right */
        return EVP_CIPHER_CTX_ctrl(d->ctx, EVP_CTRL_AEAD_SET_TAG, d->suite->tag_len, p->tag) == 1 &&
               EVP_DecryptInit_ex(d->ctx, NULL, NULL, NULL, p->nonce) == 1 &&
               EVP_DecryptUpdate(d->ctx, NULL, &n, NULL, p->len) == 1 &&
               EVP_DecryptUpdate(d->ctx, NULL, &n, p->extra, p->extra_len) == 1 &&
               EVP_DecryptUpdate(d->ctx, out, &n, p->in, p->len) == 1;
    return EVP_DecryptInit_ex(d->ctx, NULL, NULL, NULL, p->nonce) == 1 &&
           EVP_DecryptUpdate(d->ctx, NULL, &n, p->extra, p->extra_len) == 1 &&
           EVP_DecryptUpdate(d->ctx, out, &n, p->in, p->len) == 1 &&
           EVP_CIPHER_CTX_ctrl(d->ctx, EVP_CTRL_AEAD_SET_TAG, d->suite->tag_len, p->tag) == 1 &&
           EVP_DecryptFinal_ex(d->ctx, out + p->len, &n) == 1;
}

/* TLS 1.3: the type stands behind the content, zeros behind the type (RFC 8446 5.4). */
static bool take_type(struct decrypt_content *c)
{
    while (c->len > 0 && c->bytes[c->len - 1] == 0)
        c->len--;
    if (c->len == 0)
        return false;
    c->type = c->bytes[--c->len];
    return true;
}

static bool open_next(struct decrypt *d, const struct decrypt_record *r,
                      struct decrypt_content *out)
{
    size_t explicit = NONCE_LEN - d->suite->fixed_len, tag_len = d->suite->tag_len;
    const uint8_t *in = (const uint8_t *)r->payload.ptr;
    struct parts p;

    if (r->payload.len < explicit + tag_len || r->payload.len > DECRYPT_RECORD_MAX)
        return false;
    out->type = r->header[0];
    out->len = r->payload.len - explicit - tag_len;
    p.in = in + explicit;
    p.len = (int)out->len;
    memcpy(p.tag, p.in + p.len, tag_len);
    make_nonce(d, explicit ? in : NULL, p.nonce);
    p.extra_len = make_extra(d, r->header, out->len, p.extra);
    return open_parts(d, &p, out->bytes) && (!d->suite->is_tls13 || take_type(out));
}

bool decrypt_open(struct decrypt *d, unsigned ahead, const struct decrypt_record *r,
                  struct decrypt_content *out)
{
    uint64_t seq = d->seq;
    bool ok = false;

    ERR_set_mark();
    for (unsigned i = 0; i <= ahead && !ok; i++) {
        d->seq = seq + i;
        ok = open_next(d, r, out);
    }
    ERR_pop_to_mark();
    d->seq = ok ? d->seq + 1 : seq;
    return ok;
}

size_t decrypt_get_memory(const struct decrypt *d)
{
    return d ? sizeof *d + CONTEXT_LEN : 0;
}
