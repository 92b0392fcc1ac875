/* policy/accounts.h - who may log in: one immutable, counted snapshot of accounts, and the check of
 * Basic and Digest credentials against it.
 *
 * Keeps digests (HA1) and imported password hashes, never passwords.  An unknown name costs what a
 * known one costs: all is computed for it as well.  Why a login failed is for log and evidence,
 * never for the client.  Any thread may check, take and give back; building is one thread's. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/span.h"
#include "policy/nonce.h"
#include "wire/authn.h"

struct account {
    char *name, *realm;                     /* realm NULL: none, then there are no digests */
    bool has[DIGEST_COUNT];                 /* which of: */
    char ha1[DIGEST_COUNT][DIGEST_HEX_MAX]; /* lower-case hex */
    char *hash;                             /* of an htpasswd file: Basic only; NULL: none */
    bool disabled;
    int line;
};

struct accounts;

/* A set to be filled, with one reference; NULL when memory is out. */
struct accounts *accounts_new(void);

/* Adds a copy of *a.  False when memory is out. */
bool accounts_add(struct accounts *s, const struct account *a);

/* Makes the look-ups; nothing is added after it.  False when memory is out. */
bool accounts_seal(struct accounts *s);

struct accounts *accounts_ref(struct accounts *s);
void accounts_unref(struct accounts *s); /* frees with the last one; NULL is fine */

unsigned accounts_count(const struct accounts *s);
bool accounts_has_hash(const struct accounts *s); /* some account has a password hash */
const struct account *accounts_get(const struct accounts *s, unsigned i); /* in the file's order */

/* NULL: no such account.  The second is for userhash=true: `hash` is 2 × digest_len hex digits. */
const struct account *accounts_find(const struct accounts *s, struct span name);
const struct account *accounts_find_hashed(const struct accounts *s, enum digest_algorithm a,
                                           struct span hash);

enum accounts_outcome {
    ACCOUNTS_OK,
    ACCOUNTS_UNKNOWN_USER,
    ACCOUNTS_UNKNOWN_HASH, /* the same of a name that came as a hash */
    ACCOUNTS_WRONG_PASSWORD,
    ACCOUNTS_DISABLED,  /* and the password was right */
    ACCOUNTS_NO_DIGEST, /* the account has none for this algorithm, or a password hash only */
    ACCOUNTS_WRONG_REALM,
    ACCOUNTS_WRONG_URI,     /* of another target than the request's */
    ACCOUNTS_WRONG_METHOD,  /* right but for the method it was computed with */
    ACCOUNTS_STALE_NONCE,   /* this and the next two: the response was right */
    ACCOUNTS_FOREIGN_NONCE, /* not made with our key */
    ACCOUNTS_REPLAYED_COUNT,
    ACCOUNTS_UNKNOWN_ALGORITHM, /* not offered */
    ACCOUNTS_OUTCOME_COUNT,
};

/* "wrong password": one clause for log and evidence. */
const char *accounts_outcome_text(enum accounts_outcome o);

/* Whether the password was shown to be right and a new nonce is all that is needed: the challenge
 * says stale=true, and no failure is counted. */
bool accounts_is_stale(enum accounts_outcome o);

struct accounts_result {
    enum accounts_outcome outcome;
    const struct account *account; /* NULL: unknown; lives as long as the snapshot */
    const char *hash; /* Basic, not NULL: undecided until accounts_finish_basic, off the workers */
    bool decoy;       /* the hash is another's, and decides nothing */
    uint64_t nonce_made_ms; /* Digest, ACCOUNTS_OK: the age of its nonce */
};

/* Checks name and password by HA1.  Where some account has a password hash only, every failure asks
 * for a hash to be computed, so that time does not tell who has which: for a name without one it is
 * some account's, the same each time. */
void accounts_check_basic(const struct accounts *s, struct span user, struct span password,
                          struct accounts_result *out);

/* Computes the hash (slowly) and settles the outcome. */
void accounts_finish_basic(struct accounts_result *r, struct span password);

/* What a Digest response is checked against. */
struct accounts_request {
    struct span method, target; /* of the request line, as sent */
    struct span realm;          /* that we offered */
    struct span body;           /* auth-int: H(body) as hex */
    const unsigned *algorithms; /* offered */
    unsigned algorithms_len;
    uint64_t now_ms, nonce_lifetime_ms; /* as nonce.h has the time */
};

/* Checks Digest credentials; a right response takes its count from `nonces`. */
void accounts_check_digest(const struct accounts *s, struct nonce_table *nonces,
                           const struct authn_credentials *c, const struct accounts_request *r,
                           struct accounts_result *out);

/* What the answer proves and offers in turn: writes the value of Proxy-Authentication-Info for
 * credentials that were ACCOUNTS_OK.  `nextnonce` may be empty.  Only for qop auth: with auth-int
 * the answer's body would be part of it, and rspauth is left out.  Length, 0 when it does not fit.
 */
size_t accounts_write_info(const struct account *a, const struct authn_credentials *c,
                           struct span nextnonce, char *out, size_t cap);

/* Whether `uri` of the credentials names the request's target: the same but for the case of the
 * host, a trailing dot, a port that is the scheme's own, and brackets around an IPv6 address; or
 * the target's path alone, as curl and many others write it for plain HTTP. */
bool accounts_is_same_target(struct span uri, struct span target);
