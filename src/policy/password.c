#include "policy/password.h"

#include <crypt.h>
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "base/util.h"

#define PASSWORD_MAX 1024u
#define APR1_MAGIC "$apr1$"
#define APR1_ROUNDS 1000u
#define APR1_SALT_MAX 8u
#define APR1_LEN 22u /* characters of the hash itself */

static const char *const crypt_kinds[] = {"$2y$", "$2b$", "$2a$", "$6$", "$5$", "$1$", "$y$"};

static bool begins(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

/* "{SHA}" and base64 of SHA-1. */
static bool read_sha(const char *hash, unsigned char out[20])
{
    unsigned char sum[24];

    if (!begins(hash, "{SHA}") || digest_parse_base64(span_of(hash + 5), sum, sizeof sum) != 20)
        return false;
    memcpy(out, sum, 20);
    return true;
}

static bool read_apr1(const char *hash, struct span *salt, struct span *sum)
{
    if (!begins(hash, APR1_MAGIC))
        return false;
    *sum = span_of(hash + strlen(APR1_MAGIC));
    *salt = span_cut(sum, '$');
    return salt->len <= APR1_SALT_MAX && sum->len == APR1_LEN;
}

bool password_is_known(const char *hash)
{
    unsigned char sum[20];
    struct span salt, rest;

    for (size_t i = 0; i < ARRAY_LEN(crypt_kinds); i++)
        if (begins(hash, crypt_kinds[i]))
            return hash[strlen(crypt_kinds[i])] != '\0';
    return read_sha(hash, sum) || read_apr1(hash, &salt, &rest);
}

/* Six bits a character, low ones first. */
static void write_apr1(const unsigned char sum[16], char out[APR1_LEN])
{
    static const char digits[] = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    static const unsigned char order[] = {0, 6, 12, 1, 7, 13, 2, 8, 14, 3, 9, 15, 4, 10, 5};

    for (unsigned i = 0; i < 5; i++) {
        unsigned group = (unsigned)sum[order[3 * i]] << 16 | (unsigned)sum[order[3 * i + 1]] << 8 |
                         sum[order[3 * i + 2]];

        for (unsigned k = 0; k < 4; k++, group >>= 6)
            *out++ = digits[group & 63];
    }
    *out++ = digits[sum[11] & 63];
    *out = digits[sum[11] >> 6];
}

/* MD5-crypt (Poul-Henning Kamp's) with Apache's name in the first sum. */
static void compute_apr1(struct span password, struct span salt, unsigned char sum[DIGEST_LEN_MAX])
{
    struct span parts[3 + PASSWORD_MAX / 16 + 1 + 11];
    struct span first[] = {password, salt, password};
    unsigned n = 0;

    digest_of(DIGEST_MD5, first, ARRAY_LEN(first), sum);
    unsigned char inner[DIGEST_LEN_MAX];
    memcpy(inner, sum, 16);
    parts[n++] = password;
    parts[n++] = SPAN_LIT(APR1_MAGIC);
    parts[n++] = salt;
    for (size_t left = password.len; left > 0; left -= left < 16 ? left : 16)
        parts[n++] = (struct span){(char *)inner, left < 16 ? left : 16};
    for (size_t bits = password.len; bits > 0; bits >>= 1) /* a zero byte, or the first letter */
        parts[n++] = (struct span){bits & 1 ? "" : password.ptr, 1};
    digest_of(DIGEST_MD5, parts, n, sum);
    for (unsigned i = 0; i < APR1_ROUNDS; i++) {
        struct span last = {(char *)inner, 16};

        memcpy(inner, sum, 16);
        n = 0;
        parts[n++] = i & 1 ? password : last;
        if (i % 3)
            parts[n++] = salt;
        if (i % 7)
            parts[n++] = password;
        parts[n++] = i & 1 ? last : password;
        digest_of(DIGEST_MD5, parts, n, sum);
    }
}

static bool check_crypt(const char *hash, struct span password)
{
    char text[PASSWORD_MAX + 1];
    struct crypt_data *data = calloc(1, sizeof *data); /* 32 KiB: too much for a thread's stack */
    bool ok = false;

    if (data && !memchr(password.ptr, 0, password.len)) {
        memcpy(text, password.ptr, password.len);
        text[password.len] = '\0';
        const char *got = crypt_r(text, hash, data);
        size_t len = strlen(hash);
        ok = got && got[0] != '*' && strlen(got) == len && digest_equal(got, hash, len);
        explicit_bzero(text, sizeof text);
        explicit_bzero(data, sizeof *data);
    }
    free(data);
    return ok;
}

bool password_check(const char *hash, struct span password)
{
    unsigned char want[20], sum[DIGEST_LEN_MAX];
    char text[APR1_LEN];
    struct span salt, rest;

    if (password.len > PASSWORD_MAX)
        return false;
    if (password.len == 0)
        password.ptr = "";
    if (read_sha(hash, want)) {
        digest_of(DIGEST_SHA1, &password, 1, sum);
        return digest_equal(sum, want, sizeof want);
    }
    if (read_apr1(hash, &salt, &rest)) {
        compute_apr1(password, salt, sum);
        write_apr1(sum, text);
        return digest_equal(text, rest.ptr, sizeof text);
    }
    return check_crypt(hash, password);
}
