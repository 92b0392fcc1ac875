/* capture/secrets.h - a TLS key log (NSS format), by client random.
 *
 * Lines come from a file, or from a pcapng's secrets blocks, in any order and while the capture is
 * read.  Bounded; what is not a key log's line is left.  Wiped when freed.  One thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/span.h"

struct secrets;

/* The secrets of one connection; len 0: not known. */
struct secret {
    uint8_t bytes[64];
    uint8_t len;
};
struct secrets_of {
    struct secret master;       /* CLIENT_RANDOM: TLS 1.2 */
    struct secret handshake[2]; /* CLIENT_, SERVER_HANDSHAKE_TRAFFIC_SECRET: by enum dir */
    struct secret traffic[2];   /* …_TRAFFIC_SECRET_0 */
};

struct secrets *secrets_new(void);
void secrets_free(struct secrets *s);

/* Takes the next bytes of a key log.  They may end in the middle of a line; a line counts once its
 * end is here, so who has all there is (a pcapng's block) adds one more. */
void secrets_add(struct secrets *s, struct span lines);

/* Takes a file.  False: it cannot be read, or not to its end (what came before that counts), or is
 * something else than a key log. */
bool secrets_load(struct secrets *s, const char *path, struct err *err);

/* What is known of the connection with this random, or NULL; holds until the next add. */
const struct secrets_of *secrets_find(const struct secrets *s, const uint8_t client_random[32]);
