/* capture/inside.h - what keys open: the requests and answers inside a tunnel's TLS.
 *
 * Fed with both directions' bytes from the ClientHello on; finds secrets as soon as it knows the
 * client's random, decrypts (TLS 1.2 AEAD suites, TLS 1.3; by OpenSSL), and reads HTTP/1 or HTTP/2
 * (header compression by nghttp2).  A hole in either direction ends it for good, quietly: what was
 * read stays.  Nothing decrypted is kept but statuses, methods, and where redirects lead.
 * One thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"
#include "capture/conn.h"
#include "flow/flow.h"

struct inside;
struct secrets;

/* One answer inside. */
struct inside_answer {
    uint16_t status;
    char *location;  /* heap: of a redirect; NULL */
    char *method;    /* heap: of the request that it answers; NULL: unknown */
    char *path;      /* heap: the same, as it was asked; NULL */
    uint64_t at_ns;  /* its head was complete */
    uint32_t number; /* packet */
    bool unfinished; /* its body was promised and did not come whole */
    uint64_t promised, received;
};

struct inside_sight {
    bool is_open;                   /* secrets fit, records are decrypted */
    const char *failed;             /* why not (any more): static; NULL */
    bool close_notify[2], alert[2]; /* by enum dir: seen in the clear */
    uint8_t alert_code[2];
    char *alpn;   /* heap: from EncryptedExtensions; NULL */
    char *issuer; /* heap: of the target's certificate; NULL */
    struct inside_answer *answers;
    unsigned answers_len; /* 64 at most are kept */
};

/* NULL: out of memory. */
struct inside *inside_new(struct secrets *s);
void inside_feed(struct inside *i, enum dir dir, const struct stream_piece *p);
const struct inside_sight *inside_get(const struct inside *i);
uint64_t inside_get_memory(const struct inside *i);
void inside_free(struct inside *i);
