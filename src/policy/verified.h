/* policy/verified.h - passwords that made a slow hash a moment ago, so that it is not computed
 * again for every request.
 *
 * Keeps a keyed hash (HMAC-SHA-256, cut) of hash, name and password for five minutes, never the
 * password; the key is drawn anew for each table.  A changed account has another hash and is not
 * found.  One thread each. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"

#define VERIFIED_MARK_LEN 16u
#define VERIFIED_SETS 64u
#define VERIFIED_WAYS 4u

struct verified {
    unsigned char key[32];
    struct verified_slot {
        uint64_t until_ns; /* 0: free */
        unsigned char mark[VERIFIED_MARK_LEN];
    } slots[VERIFIED_SETS][VERIFIED_WAYS];
};

void verified_init(struct verified *v);

/* What stands for the three together. */
void verified_mark(const struct verified *v, const char *hash, struct span user,
                   struct span password, unsigned char mark[VERIFIED_MARK_LEN]);

/* Whether that password was shown to be right in the last five minutes. */
bool verified_find(const struct verified *v, const unsigned char mark[VERIFIED_MARK_LEN],
                   uint64_t now_ns);

/* Notes that it was; the oldest of a full set makes room. */
void verified_add(struct verified *v, const unsigned char mark[VERIFIED_MARK_LEN], uint64_t now_ns);
