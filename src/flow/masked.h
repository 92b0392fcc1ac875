/* flow/masked.h - private to anonymize: texts with stand-ins for what is not ours, word by word.
 *
 * One thread. */
#pragma once

#include <stdbool.h>

#include "flow/standin.h"

#define MASKED_ORIGINALS_MAX 64

/* A name that a flow has in a field of its own. */
struct masked_known {
    struct span text;
    enum standin_kind kind; /* STANDIN_COUNT: it is no secret */
};

/* What is written as what, whatever it is. */
struct masked_original {
    const char *original, *stand_in;
};

/* A text on its way. */
struct masked {
    struct standin *standins;
    const struct masked_original *originals;
    unsigned originals_len;
    const struct masked_known *known;
    unsigned known_len;
    struct buf *out;
    bool ok; /* `out` took all so far */
    /* private */
    struct span text;
    size_t at;
    struct span last; /* the last word */
    bool is_quoted;   /* between double quotes, or behind "says:": somebody else speaks */
    bool is_said;
};

/* What a field becomes. */
typedef void (*masked_fn)(struct masked *m, struct span text);

void masked_put_text(struct masked *m, struct span text);      /* a sentence */
void masked_put_host(struct masked *m, struct span text);      /* an address or a name */
void masked_put_authority(struct masked *m, struct span text); /* "host:port" */
void masked_put_url(struct masked *m, struct span text);       /* or a path, or "host:port" */
void masked_put_user(struct masked *m, struct span text);
void masked_put_rule(struct masked *m, struct span text);
void masked_put_issuer(struct masked *m, struct span text);
void masked_put_token(struct masked *m, struct span text);  /* a word of a protocol */
void masked_put_cipher(struct masked *m, struct span text); /* the name of a cipher suite */

/* True for what can only be the name of a cipher suite. */
bool masked_is_cipher(struct span text);
