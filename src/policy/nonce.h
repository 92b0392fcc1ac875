/* policy/nonce.h - Digest nonces, made and checked without a list of them (RFC 7616 section 3.3),
 * and the counts seen of each.
 *
 * A nonce carries its time and an HMAC under a key that the caller keeps in a file of mode 0600, so
 * it is known again after a restart.  Only nonces that a right response came with take a place in
 * the table of counts: its size is fixed, the oldest nonce of a full bucket makes room and is stale
 * from then on.  Time is milliseconds, an argument: near the wall clock's when a process begins,
 * for nonces outlive it, and never put back while it runs, for a bucket then takes no new nonce.
 * Any thread may call nonce_make, nonce_check and nonce_use; no lock is taken but for a nonce's
 * first count, and that one is one of thousands. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"

#define NONCE_KEY_LEN 32
#define NONCE_TEXT_LEN 40 /* characters, not terminated */

enum nonce_state {
    NONCE_GOOD,
    NONCE_STALE,    /* ours, but too old, or its counts were forgotten */
    NONCE_FOREIGN,  /* not made with this key */
    NONCE_REPLAYED, /* this count was seen, or is too far behind to tell */
};

struct nonce_table;

/* `slots` nonces are told apart at a time (a power of two, 8 or more); 88 bytes each.  NULL when
 * memory is out.  Nonces older than now_ms were counted by an earlier process: see nonce_use. */
struct nonce_table *nonce_table_new(const unsigned char key[NONCE_KEY_LEN], unsigned slots,
                                    uint64_t now_ms);
void nonce_table_free(struct nonce_table *t); /* NULL is fine */

/* What a nonce says of itself. */
struct nonce {
    uint64_t made_ms;
    uint64_t id; /* random, never 0 */
};

void nonce_make(const struct nonce_table *t, uint64_t now_ms, char out[NONCE_TEXT_LEN]);

/* NONCE_GOOD, NONCE_STALE (*n is set too) or NONCE_FOREIGN.  A nonce from more than a minute in the
 * future, which a clock put back leaves behind, is stale. */
enum nonce_state nonce_check(const struct nonce_table *t, struct span text, uint64_t now_ms,
                             uint64_t lifetime_ms, struct nonce *n);

/* Takes count `nc` (1 or more) of a good nonce whose response was right: NONCE_GOOD once, in any
 * order among the last 224 or more; NONCE_REPLAYED from then on; NONCE_STALE where the nonce had to
 * make room.  Of a nonce older than the table, counts from 64 below the first one seen are good. */
enum nonce_state nonce_use(struct nonce_table *t, const struct nonce *n, uint32_t nc);
