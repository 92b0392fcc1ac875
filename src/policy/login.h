/* policy/login.h - our own credentials at a proxy: which of its challenges is answered, with what,
 * and when to stop (RFC 7617, RFC 7616).
 *
 * A login lasts (one a worker of serve for the parent; one a check): user, password, the challenge
 * that was chosen, its nonce with a rising count.  A try is one flow's: what it sent and how often.
 * The strongest challenge is answered, each once; stale=true and nextnonce are honoured, two stale
 * rounds a try at most.  A proxy that started anew has forgotten its nonces and may not say stale:
 * where these credentials were accepted before, a nonce of an earlier try that is refused is no
 * refusal of the password, and the new challenge is answered once.  After a wrong password nothing
 * is sent for LOGIN_HOLD_NS or until login_init; with a trial, that holds for all who share it.
 * Time is an argument (monotonic ns).  One thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/span.h"
#include "policy/trial.h"
#include "wire/authn.h"
#include "wire/http1.h"

#define LOGIN_HOLD_NS 60000000000ull
#define LOGIN_STALE_ROUNDS 2
#define LOGIN_TEXT_MAX 1024 /* bytes of realm, nonce and opaque together; longer: not answered */
#define LOGIN_CNONCE_LEN 32 /* characters */
#define LOGIN_WHAT_MAX 256  /* enough for what login_take_challenges says */

enum login_wish { LOGIN_ANY, LOGIN_DIGEST, LOGIN_BASIC }; /* BASIC: sent unasked, as curl does */

/* A challenge that is kept: no span, so it may be copied. */
struct login_challenge {
    enum authn_scheme scheme; /* AUTHN_OTHER: none */
    enum digest_algorithm algorithm;
    bool sess, stale, userhash;
    bool has_qop, auth, has_opaque;
    uint16_t realm_len, nonce_len, opaque_len; /* which follow each other in: */
    char text[LOGIN_TEXT_MAX];
};

struct login {             /* read freely, write only in login.c */
    char *user, *password; /* NULL: none */
    enum login_wish wish;
    struct login_challenge challenge;
    char cnonce[LOGIN_CNONCE_LEN]; /* one a nonce: -sess mixes it into the session's key */
    char ha1[DIGEST_HEX_MAX];      /* for the challenge's realm and algorithm */
    uint32_t count;                /* nc of the last answer */
    uint32_t generation;           /* of the nonce: one more at each new one */
    bool proved;                   /* an answer to these credentials was no 407, once */
    uint64_t held_until_ns;        /* 0: not held */
    struct trial *trial;           /* what others know of these credentials; NULL: there are none */
    uint64_t mark;                 /* of the credentials, in the trial */
};

struct login_try {
    bool has_body; /* set by the caller: a body follows, which qop auth-int would have to know */
    bool sent;     /* the last request carried credentials: */
    enum authn_scheme scheme;
    uint32_t generation, count; /* Digest: of the nonce, nc */
    bool own;                   /* its nonce came with a 407 of this try */
    uint8_t rounds;             /* 407s taken */
    uint8_t stale_rounds;
    uint8_t rspauth_len;
    char rspauth[DIGEST_HEX_MAX]; /* what the other side must prove in turn (section 3.5) */
};

enum login_next {
    LOGIN_AGAIN,       /* ask again: login_write has something to say */
    LOGIN_REQUIRED,    /* credentials are needed and we have none */
    LOGIN_REFUSED,     /* they were sent and not accepted */
    LOGIN_HELD,        /* not sent: refused less than 60 s ago */
    LOGIN_UNSUPPORTED, /* nothing that we speak (or wish) was offered */
};

/* Copies; user NULL: no credentials.  False when memory is out. */
bool login_init(struct login *l, const char *user, const char *password, enum login_wish wish);
void login_fini(struct login *l); /* wipes; safe on a zeroed one */

/* From now on `t`, which outlives *l, is asked and told, too: the credentials are those of `mark`.
 */
void login_share(struct login *l, struct trial *t, uint64_t mark);

/* Whether the credentials were accepted, by whomever; were refused, and are not sent again yet. */
bool login_is_proved(const struct login *l);
bool login_is_held(const struct login *l, uint64_t now_ns);

/* Writes a whole line "Proxy-Authorization: …\r\n" for this request; 0: nothing to say (no
 * challenge is known yet, none was asked for, held, or it does not fit).  `uri` is the request
 * target as sent.  Not terminated. */
size_t login_write(struct login *l, struct login_try *t, struct span method, struct span uri,
                   uint64_t now_ns, char *out, size_t cap);

/* Whether a request sent now would carry credentials, or needs none: with a body that cannot be
 * sent twice it is better to ask first when it would not. */
bool login_is_ready(const struct login *l, uint64_t now_ns);

/* Takes a 407's Proxy-Authenticate fields.  `what` (cap bytes, terminated) says in a few words what
 * was offered or why: "offers NTLM, Negotiate", "Digest SHA-256: stale nonce": for evidence; never
 * a secret. */
enum login_next login_take_challenges(struct login *l, struct login_try *t,
                                      const struct http1_head *h, uint64_t now_ns, char *what,
                                      size_t cap);

/* Takes any final answer that is no 407: credentials that were sent are proved by it, and its
 * Proxy-Authentication-Info, if it has one, may bring a nextnonce.  False when rspauth is wrong:
 * whoever answered does not know the password. */
bool login_take_info(struct login *l, struct login_try *t, const struct http1_head *h);
