/* base/digest.h - the hashes of RFC 7616 and 7617, HMAC, hex and base64, comparison in constant
 * time.
 *
 * The hash functions are fetched from OpenSSL once a process, and each thread keeps one context:
 * hashing allocates nothing but the first time.  Any thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/span.h"

/* In the order in which a configuration counts them. */
enum digest_algorithm {
    DIGEST_SHA256,
    DIGEST_MD5,
    DIGEST_SHA512_256, /* FIPS 180-4 section 5.3.6.2: its own initial value, not a cut SHA-512 */
    DIGEST_COUNT,      /* those of RFC 7616; behind it only what imported password files need */
    DIGEST_SHA1 = DIGEST_COUNT,
};

#define DIGEST_LEN_MAX 32 /* bytes of a hash */
#define DIGEST_HEX_MAX 64 /* characters of one, without terminator */

/* Bytes of a hash: 16, 20 or 32. */
size_t digest_len(enum digest_algorithm a);

/* "sha-256", "md5", "sha-512-256": as files have it; RFC 7616 compares without case. */
const char *digest_name(enum digest_algorithm a);

/* The one of RFC 7616 with this name, without case, or -1. */
int digest_find(struct span name);

/* Hashes the parts as one text; returns the length.  Out of memory, or OpenSSL refuses the
 * function (a FIPS provider has no MD5): ends the process with a message. */
size_t digest_of(enum digest_algorithm a, const struct span *parts, unsigned n,
                 unsigned char out[DIGEST_LEN_MAX]);

/* The same as lower-case hex, which RFC 7616 calls H(); not terminated. */
size_t digest_hex_of(enum digest_algorithm a, const struct span *parts, unsigned n,
                     char out[DIGEST_HEX_MAX]);

/* HMAC-SHA-256 (RFC 2104) with a key of 32 bytes. */
void digest_hmac(const unsigned char key[32], const struct span *parts, unsigned n,
                 unsigned char out[32]);

/* Whether `len` bytes are the same, in a time that depends on `len` only. */
bool digest_equal(const void *a, const void *b, size_t len);

/* Writes 2 × len lower-case digits, no terminator. */
void digest_write_hex(const void *bytes, size_t len, char *out);

/* Exactly 2 × len digits of any case; false otherwise. */
bool digest_parse_hex(struct span hex, unsigned char *out, size_t len);

/* Characters that digest_write_base64 writes for `len` bytes. */
#define DIGEST_BASE64_LEN(len) (((len) + 2) / 3 * 4)

/* Base64 with padding (RFC 4648 section 4), no terminator; returns the length. */
size_t digest_write_base64(const void *bytes, size_t len, char *out);

/* Strictly: padded, no blank, no character outside the alphabet, unused bits zero.  At most `cap`
 * bytes.  Returns the length, or -1. */
long digest_parse_base64(struct span text, void *out, size_t cap);
