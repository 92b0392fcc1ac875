/* wire/tlsrec.h - TLS records, hellos and alerts, read only (RFC 8446 4-6, RFC 6066 3, RFC 7301).
 *
 * Two readers: a follower that keeps count of records in one direction's bytes (a few bytes of
 * state, bytes may come in any pieces), and parsers of a hello that want the stream's first bytes
 * in one piece.  No allocation, no I/O. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/parse.h"
#include "base/span.h"

#define TLSREC_HELLO_MAX 16384 /* a hello's bytes, record headers included; longer: PARSE_BAD */

/* Follows one direction.  Zeroed: at the stream's start. */
struct tlsrec {
    uint8_t header[5], have; /* of the record header being collected */
    uint16_t left;           /* payload bytes of this record to come */
    uint16_t last_len;       /* length of the last record that began */
    uint8_t last_type; /* 20 change_cipher_spec, 21 alert, 22 handshake, 23 application data */
    uint8_t alert[2];  /* level and description of the last plain alert */
    uint8_t alert_have;
    uint8_t lost;         /* not TLS, or bytes passed unseen (then set it): no more is followed */
    uint8_t data_records; /* complete ones of application data (TLS 1.3: the handshake's encrypted
                           * rest too), 255 at most */
    uint32_t records;     /* complete ones */
};

/* Takes the next bytes.  An encrypted alert of TLS 1.2 is longer than two bytes, one of TLS 1.3 is
 * a record of type 23: neither is read. */
void tlsrec_follow(struct tlsrec *t, struct span bytes);

/* Tells that `n` bytes passed unseen: part of a record's payload is counted as if it had been
 * there, beyond it no more is followed. */
void tlsrec_skip(struct tlsrec *t, uint64_t n);

/* True at a record's end (and before the first); false once it is lost. */
bool tlsrec_is_boundary(const struct tlsrec *t);

/* The spans borrow from the bytes or from the struct itself: it is not to be copied. */
struct tls_hello {
    struct span sni;  /* ClientHello: host_name as it came, visible ASCII; empty: none */
    struct span alpn; /* ClientHello: the first offered; ServerHello of TLS 1.2: the one chosen */
    uint16_t version; /* highest offered, or the one chosen: 0x0303, 0x0304 … */
    uint16_t cipher;  /* ServerHello */
    bool ech;         /* encrypted_client_hello is there: sni is the outer name */
    bool hello_retry; /* ServerHello: a HelloRetryRequest */
    const char *bad_what; /* PARSE_BAD: a few words, static */
    /* private: the text of sni and alpn where a record's end cuts it in two */
    char joined[2][256];
};

/* Join records; PARSE_BAD at the first byte that is not TLS.  The bytes begin where the stream
 * begins and may go on after the hello.  *out is complete at PARSE_OK only. */
enum parse tlsrec_parse_client_hello(struct span bytes, struct tls_hello *out);
enum parse tlsrec_parse_server_hello(struct span bytes, struct tls_hello *out);

/* "TLSv1.3"; "" when unknown.  The cipher's IANA name for the common ones, else "" */
const char *tlsrec_version_name(uint16_t version);
const char *tlsrec_cipher_name(uint16_t cipher);
const char *tlsrec_alert_name(uint8_t description); /* "unknown_ca"; "" */
