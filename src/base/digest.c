#include "base/digest.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/util.h"

#define HMAC_BLOCK 64 /* bytes that SHA-256 takes at a time */
#define HMAC_PARTS 8u /* of a message, at most */

static const struct {
    const char *name, *openssl;
    size_t len;
} table[] = {
    [DIGEST_SHA256] = {"sha-256", "SHA256", 32},
    [DIGEST_MD5] = {"md5", "MD5", 16},
    [DIGEST_SHA512_256] = {"sha-512-256", "SHA512-256", 32},
    [DIGEST_SHA1] = {"sha-1", "SHA1", 20},
};

static EVP_MD *fetched[ARRAY_LEN(table)];
static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t context_key; /* gives a thread's context back when the thread ends */
static _Thread_local EVP_MD_CTX *context;

static void die(const char *what)
{
    fprintf(stderr, "viaduct: %s: not provided by OpenSSL, or out of memory\n", what);
    exit(3);
}

static void free_context(void *ctx)
{
    EVP_MD_CTX_free(ctx);
}

/* At the process's end: the main thread's context goes with it. */
static void free_fetched(void)
{
    for (size_t i = 0; i < ARRAY_LEN(fetched); i++)
        EVP_MD_free(fetched[i]);
}

static void fetch(void)
{
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        fetched[i] = EVP_MD_fetch(NULL, table[i].openssl, NULL);
    if (pthread_key_create(&context_key, free_context) != 0 || atexit(free_fetched) != 0)
        die("a place for hashes");
}

static EVP_MD_CTX *get_context(void)
{
    if (context)
        return context;
    pthread_once(&once, fetch);
    context = EVP_MD_CTX_new();
    if (!context || pthread_setspecific(context_key, context) != 0)
        die("a context for hashes");
    return context;
}

size_t digest_len(enum digest_algorithm a)
{
    return table[a].len;
}

const char *digest_name(enum digest_algorithm a)
{
    return table[a].name;
}

int digest_find(struct span name)
{
    for (int a = 0; a < DIGEST_COUNT; a++)
        if (span_equal_nocase(name, span_of(table[a].name)))
            return a;
    return -1;
}

size_t digest_of(enum digest_algorithm a, const struct span *parts, unsigned n,
                 unsigned char out[DIGEST_LEN_MAX])
{
    EVP_MD_CTX *ctx = get_context();
    bool ok = fetched[a] && EVP_DigestInit_ex2(ctx, fetched[a], NULL);

    for (unsigned i = 0; ok && i < n; i++)
        ok = EVP_DigestUpdate(ctx, parts[i].ptr, parts[i].len);
    if (!ok || !EVP_DigestFinal_ex(ctx, out, NULL))
        die(table[a].name);
    return table[a].len;
}

size_t digest_hex_of(enum digest_algorithm a, const struct span *parts, unsigned n,
                     char out[DIGEST_HEX_MAX])
{
    unsigned char hash[DIGEST_LEN_MAX];
    size_t len = digest_of(a, parts, n, hash);

    digest_write_hex(hash, len, out);
    return 2 * len;
}

/* H((key xor pad) parts…) */
static void hmac_round(const unsigned char key[32], unsigned char pad, const struct span *parts,
                       unsigned n, unsigned char out[32])
{
    struct span all[HMAC_PARTS + 1];
    char block[HMAC_BLOCK];

    for (size_t i = 0; i < sizeof block; i++)
        block[i] = (char)((i < 32 ? key[i] : 0) ^ pad);
    all[0] = (struct span){block, sizeof block};
    for (unsigned i = 0; i < n; i++)
        all[i + 1] = parts[i];
    digest_of(DIGEST_SHA256, all, n + 1, out);
    OPENSSL_cleanse(block, sizeof block);
}

void digest_hmac(const unsigned char key[32], const struct span *parts, unsigned n,
                 unsigned char out[32])
{
    unsigned char inner[32];

    if (n > HMAC_PARTS)
        die("HMAC of so many parts");
    hmac_round(key, 0x36, parts, n, inner);
    hmac_round(key, 0x5c, &(struct span){(char *)inner, sizeof inner}, 1, out);
}

bool digest_equal(const void *a, const void *b, size_t len)
{
    return CRYPTO_memcmp(a, b, len) == 0;
}

void digest_write_hex(const void *bytes, size_t len, char *out)
{
    static const char digits[] = "0123456789abcdef";
    const unsigned char *p = bytes;

    for (size_t i = 0; i < len; i++) {
        out[2 * i] = digits[p[i] >> 4];
        out[2 * i + 1] = digits[p[i] & 15];
    }
}

static int hex_value(char c)
{
    c = span_lower(c);
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool digest_parse_hex(struct span hex, unsigned char *out, size_t len)
{
    if (hex.len != 2 * len)
        return false;
    for (size_t i = 0; i < len; i++) {
        int high = hex_value(hex.ptr[2 * i]), low = hex_value(hex.ptr[2 * i + 1]);

        if (high < 0 || low < 0)
            return false;
        out[i] = (unsigned char)(high << 4 | low);
    }
    return true;
}

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

size_t digest_write_base64(const void *bytes, size_t len, char *out)
{
    const unsigned char *p = bytes;
    size_t at = 0;

    for (size_t i = 0; i < len; i += 3) {
        unsigned group = (unsigned)p[i] << 16;

        group |= i + 1 < len ? (unsigned)p[i + 1] << 8 : 0;
        group |= i + 2 < len ? (unsigned)p[i + 2] : 0;
        out[at++] = alphabet[group >> 18];
        out[at++] = alphabet[group >> 12 & 63];
        out[at++] = i + 1 < len ? alphabet[group >> 6 & 63] : '=';
        out[at++] = i + 2 < len ? alphabet[group & 63] : '=';
    }
    return at;
}

static int base64_value(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

long digest_parse_base64(struct span text, void *out, size_t cap)
{
    unsigned char *to = out;
    unsigned bits = 0, held = 0;
    size_t at = 0, pads = 0;

    if (text.len % 4 != 0)
        return -1;
    while (pads < 2 && pads < text.len && text.ptr[text.len - 1 - pads] == '=')
        pads++;
    for (size_t i = 0; i < text.len - pads; i++) {
        int value = base64_value(text.ptr[i]);

        if (value < 0)
            return -1;
        bits = bits << 6 | (unsigned)value;
        held += 6;
        if (held < 8)
            continue;
        held -= 8;
        if (at == cap)
            return -1;
        to[at++] = (unsigned char)(bits >> held);
        bits &= (1u << held) - 1;
    }
    return bits == 0 ? (long)at : -1;
}
