/* wire/authn.h - Basic and Digest in header fields, read and written (RFC 7617, 7616, RFC 9110 11).
 *
 * Both sides: credentials of a client and our challenges; a parent's challenges and our
 * credentials. Knows no accounts, no clock and no heap.  What is read borrows from the field's text
 * or from the structure's own store, so a structure is not copied.  Read liberally (quotes where
 * none belong and the reverse, schemes in any case), strictly about doubles and what is missing.
 * Pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/span.h"

/* In the order in which a configuration counts them. */
enum authn_scheme { AUTHN_DIGEST, AUTHN_BASIC, AUTHN_OTHER };

enum authn_qop {
    AUTHN_QOP_NONE, /* RFC 2069: parents only */
    AUTHN_QOP_AUTH,
    AUTHN_QOP_AUTH_INT,
};

enum authn_result {
    AUTHN_OK,
    AUTHN_UNKNOWN, /* well formed, but a scheme, algorithm or qop that we do not speak: 407 */
    AUTHN_BAD,     /* 400 */
};

#define AUTHN_STORE_MAX 2048 /* bytes of unescaped and decoded values */

struct authn_store {
    char bytes[AUTHN_STORE_MAX];
    size_t len;
};

/* A client's Proxy-Authorization. */
struct authn_credentials {
    enum authn_scheme scheme;
    struct span user;                              /* UTF-8; the hash where `userhash` */
    struct span password;                          /* Basic only; never to be shown */
    struct span realm, uri, nonce, cnonce, opaque; /* Digest only, from here on */
    struct span nc_text;                           /* as sent: it is hashed */
    uint32_t nc;                                   /* 1 or more */
    enum digest_algorithm algorithm;
    bool sess, userhash;
    enum authn_qop qop;
    unsigned char response[DIGEST_LEN_MAX]; /* digest_len(algorithm) bytes */
    const char *bad_what;                   /* not AUTHN_OK: a few words, static */
    struct authn_store store;
};

/* Whether all of it is UTF-8 without control characters, as names and passwords must be. */
bool authn_is_text(struct span s);

/* Reads the value of Proxy-Authorization (or of Authorization). */
enum authn_result authn_parse_credentials(struct span value, struct authn_credentials *out);

/* One challenge of a Proxy-Authenticate field. */
struct authn_challenge {
    enum authn_scheme scheme;
    struct span name; /* of the scheme, as it came: "NTLM" */
    struct span realm, nonce, opaque;
    enum digest_algorithm algorithm;
    bool sess, stale, userhash, utf8;
    bool has_qop, auth, auth_int; /* what qop offers */
    bool usable; /* we can answer it: Basic, or Digest with algorithm and qop that we speak */
    const char *bad_what; /* Basic or Digest, not usable: why */
    struct authn_store store;
};

/* Takes the next challenge off the front of *rest, which begins as a whole field value: false at
 * its end.  What cannot be read is passed over. */
bool authn_next_challenge(struct span *rest, struct authn_challenge *out);

/* How much to prefer a challenge: 0 not usable, then Basic, Digest with MD5, with SHA-512/256
 * (which many peers get wrong), with SHA-256. */
int authn_rank(const struct authn_challenge *c);

/* What we ask of a client. */
struct authn_offer {
    struct span realm, nonce;
    const unsigned *schemes, *algorithms; /* enum authn_scheme, enum digest_algorithm: in order */
    unsigned schemes_len, algorithms_len;
    bool stale;
};

/* Writes a whole line "Proxy-Authenticate: …\r\n" a challenge.  Returns the length, 0 when `cap`
 * does not suffice; not terminated. */
size_t authn_write_offer(const struct authn_offer *o, char *out, size_t cap);

/* What a Digest response is computed from (RFC 7616 section 3.4.1). */
struct authn_proof {
    enum digest_algorithm algorithm;
    bool sess;
    enum authn_qop qop;
    struct span method; /* empty for rspauth (section 3.5) */
    struct span uri, nonce, cnonce, nc;
    struct span body; /* auth-int: H(entity body) as hex */
};

/* H(user:realm:password), as hex; returns its length. */
size_t authn_ha1(enum digest_algorithm a, struct span user, struct span realm, struct span password,
                 char out[DIGEST_HEX_MAX]);

/* H(user:realm), which stands for the name where userhash is true (section 3.4.4). */
size_t authn_userhash(enum digest_algorithm a, struct span user, struct span realm,
                      char out[DIGEST_HEX_MAX]);

/* The response, as hex; returns its length.  `ha1` is hex, without -sess. */
size_t authn_prove(const struct authn_proof *p, struct span ha1, char out[DIGEST_HEX_MAX]);

/* Writes "Basic …", the value of a field.  Length, or 0 when it does not fit or the name has a
 * colon. */
size_t authn_write_basic(struct span user, struct span password, char *out, size_t cap);

/* How a Digest challenge is answered. */
struct authn_answer {
    struct span user, ha1; /* ha1 is hex, of the challenge's algorithm */
    struct span method, uri, cnonce;
    uint32_t nc;
    struct span body; /* H(entity body) as hex, empty: auth is preferred */
};

/* Writes "Digest …", the value of a field.  Length, or 0 when it does not fit or the challenge is
 * not usable.  A challenge with auth-int only needs `body`. */
size_t authn_write_digest(const struct authn_challenge *c, const struct authn_answer *a, char *out,
                          size_t cap);

/* Proxy-Authentication-Info (RFC 7616 section 3.5); what is empty was not there. */
struct authn_info {
    struct span nextnonce, rspauth, cnonce, nc;
    enum authn_qop qop;
    struct authn_store store; /* where it was read */
};

/* Writes the value of the field.  Length, or 0 when it does not fit. */
size_t authn_write_info(const struct authn_info *i, char *out, size_t cap);

/* False when it is malformed. */
bool authn_parse_info(struct span value, struct authn_info *out);
