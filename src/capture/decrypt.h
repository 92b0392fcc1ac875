/* capture/decrypt.h - opens TLS records whose secrets are known (RFC 8446 5.2, 7; RFC 5246
 * 5, 6.2.3, 6.3; RFC 5288, 6655, 7905).
 *
 * One object is one direction's keys of one epoch, with the number of the next record.  Ciphers and
 * key derivation are OpenSSL's; TLS 1.3's suites, and of TLS 1.2 those with authenticated
 * encryption.  Knows nothing of handshakes.  One thread an object. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"
#include "capture/secrets.h"

#define DECRYPT_RECORD_MAX (16384 + 2048) /* payload bytes of a record, and more than come out */

struct decrypt;

/* What a suite is made of. */
struct decrypt_suite {
    uint16_t code;   /* as the ServerHello has it */
    uint8_t cipher;  /* private */
    uint8_t tag_len; /* bytes */
    bool is_sha384;  /* of its key derivation; else SHA-256 */
    bool is_tls13;
    uint8_t
        fixed_len; /* bytes of the nonce that the key block gives; the rest stands in the record */
};

/* The suite of this number, or NULL: not one that is read here (CBC, or unknown). */
const struct decrypt_suite *decrypt_find_suite(uint16_t code);

/* Keys of TLS 1.3, from a traffic secret as long as the suite's hash.  NULL: it is not, or out of
 * memory. */
struct decrypt *decrypt_new_13(const struct decrypt_suite *suite, const struct secret *traffic);

struct decrypt_randoms {
    uint8_t client[32], server[32]; /* of the hellos */
};

/* Keys of TLS 1.2, of what the client (`by_client`) or the other side sends, from the master secret
 * (48 bytes).  `seq` is the number of the next record: 0, or how many went by.  NULL as above. */
struct decrypt *decrypt_new_12(const struct decrypt_suite *suite, const struct secret *master,
                               const struct decrypt_randoms *randoms, bool by_client, uint64_t seq);
void decrypt_free(struct decrypt *d); /* wipes it; NULL is fine */

struct decrypt_record {
    const uint8_t *header; /* its five bytes */
    struct span payload;   /* all the others */
};
struct decrypt_content {
    uint8_t type; /* of TLS 1.3 the one inside */
    size_t len;
    uint8_t bytes[DECRYPT_RECORD_MAX];
};

/* Opens the next record; or, where it is not certain how many went by, one of the `ahead` that
 * follow it.  False: it does not fit these keys at this place; *out is not to be used, and the next
 * record's number is what it was. */
bool decrypt_open(struct decrypt *d, unsigned ahead, const struct decrypt_record *r,
                  struct decrypt_content *out);

/* TLS 1.3: the keys after a KeyUpdate (RFC 8446 7.2).  False: out of memory. */
bool decrypt_update(struct decrypt *d);

size_t decrypt_get_memory(const struct decrypt *d); /* bytes, roughly: OpenSSL does not tell */
