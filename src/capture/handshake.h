/* capture/handshake.h - TLS handshake messages out of records, and what a few of them say
 * (RFC 8446 4, RFC 5246 7.4).
 *
 * A message may be cut by records anywhere, and a record hold several.  Only the kinds that are
 * wanted are put together; the others are counted off.  One thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/span.h"

enum {
    HANDSHAKE_CLIENT_HELLO = 1,
    HANDSHAKE_SERVER_HELLO = 2,
    HANDSHAKE_EXTENSIONS = 8, /* EncryptedExtensions */
    HANDSHAKE_CERTIFICATE = 11,
    HANDSHAKE_FINISHED = 20,
    HANDSHAKE_KEY_UPDATE = 24,
};

#define HANDSHAKE_MESSAGE_MAX                                                                      \
    65536 /* bytes of a message that is put together; longer ones are passed over */

/* One direction.  Zeroed: at the stream's start. */
struct handshake {
    uint8_t header[4], have; /* of the message header being collected */
    uint32_t left;           /* bytes of the message's body to come */
    bool wanted;             /* it is handed out */
    bool kept;               /*   with its body */
    struct buf body;
};

typedef void (*handshake_fn)(void *owner, uint8_t type, struct span body);

/* Takes the next bytes; hands out each wanted message (also one that was too long: with an empty
 * body) as soon as it is whole.  `message` must leave this struct alone.  False: out of memory. */
bool handshake_feed(struct handshake *h, struct span bytes, handshake_fn message, void *owner);
void handshake_fini(struct handshake *h);

/* What a ServerHello decided. */
struct handshake_hello {
    uint8_t random[32];
    uint16_t version, cipher;
    bool is_retry;    /* HelloRetryRequest */
    struct span alpn; /* of TLS 1.2; borrows from the body; empty: none */
};

/* Their bodies.  False: not whole, or lengths that lie. */
bool handshake_read_client_random(struct span body, uint8_t out[32]);
bool handshake_read_server_hello(struct span body, struct handshake_hello *out);

/* The protocol that EncryptedExtensions chose; empty: none, or not readable. */
struct span handshake_find_alpn(struct span body);

/* The first certificate of the list, in DER; empty: none, or not readable. */
struct span handshake_find_certificate(struct span body, bool is_tls13);
