/* net/tls.h - OpenSSL behind sock-like calls; only net/tls*.c include it for TLS.
 *
 * One struct tls a connection, non-blocking over a file descriptor that the caller owns.  Calls
 * answer like sock_read and sock_write: bytes, 0 at an end (close_notify, or FIN alone), -EAGAIN
 * (tls_wants_write says for which direction), -EPROTO for a TLS fault, -errno.  The process ignores
 * SIGPIPE.  A context may be shared by threads, a struct tls belongs to one. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

struct tls_context; /* reference-counted */
struct tls;

/* A listener's context from PEM files (chain and key).  Loaded before privileges are dropped.
 * TLS 1.2 and up; ALPN http/1.1; tickets on.  NULL with *err set (place and nearest fix).  A
 * certificate that is out of date is taken and warned about in the log. */
struct tls_context *tls_context_new_listener(const char *certificate, const char *key,
                                             struct err *err);
/* How this end opens a connection. */
struct tls_client_options {
    const char *ca;     /* PEM file of those who are trusted; NULL: the system's certificates */
    bool verify;        /* a certificate that does not verify ends the handshake; false: it is
                         * verified all the same, and tls_get_facts tells */
    bool small;         /* a ClientHello of under 400 bytes: few ciphers, one key share */
    uint16_t hello_len; /* the ClientHello is filled up to about this many bytes, as the key shares
                         * of today's browsers do; 0: as it comes */
    const char *alpn;   /* the one protocol that is offered; NULL: none is */
    void (*on_secret)(void *owner, const char *line); /* a line of the key log; NULL: not wanted */
    void *owner;
};

/* A context to open connections with; NULL with *err (the CA file cannot be read …).  The system's
 * certificates are looked up in OpenSSL's hashed folder, or in SSL_CERT_DIR and SSL_CERT_FILE. */
struct tls_context *tls_context_new_client(const struct tls_client_options *o, struct err *err);

struct tls_context *tls_context_ref(struct tls_context *c);
void tls_context_unref(struct tls_context *c);

/* NULL when memory is out.  The handshake is made by the first reads and writes. */
struct tls *tls_new(struct tls_context *c, int fd);
/* This end opens it; `name` is who should answer, a host name or an address without brackets: sent
 * as SNI (RFC 6066: names only) and looked for in the certificate.  The second speaks inside
 * another connection, which stays the caller's and must outlive it. */
struct tls *tls_new_client(struct tls_context *c, int fd, const char *name);
struct tls *tls_new_inside(struct tls_context *c, struct tls *outer, const char *name);
void tls_free(struct tls *t);

ssize_t tls_read(struct tls *t, void *out, size_t n);
ssize_t tls_write(struct tls *t, const void *bytes, size_t n);
/* Sends close_notify and does not wait for the other one; 0, -EAGAIN or -errno.  0 without a word
 * when there is nothing to end: before the handshake's end and after a fault. */
int tls_shutdown(struct tls *t);
bool tls_is_established(const struct tls *t);
/* Whether the other end itself ended it, by close_notify: FIN alone may be that of anybody between.
 */
bool tls_was_ended(const struct tls *t);
/* Whether the other end wanted a certificate of this one, which has none (RFC 8446 4.3.2). */
bool tls_was_asked(const struct tls *t);
bool tls_wants_write(const struct tls *t);
/* Bytes decrypted and not yet read: the socket will not say that they are there. */
bool tls_has_pending(const struct tls *t);
/* Why a call failed first, for evidence: "no shared cipher"; "" when none did, never NULL. */
const char *tls_reason(const struct tls *t);
/* The first fatal alert (RFC 8446 6) of either end, -1: none.  *ours: this end sent it. */
int tls_get_alert(const struct tls *t, bool *ours);

/* What a handshake came to; texts are static or borrowed from the connection. */
struct tls_facts {
    const char *version, *cipher; /* "TLSv1.3", "TLS_AES_256_GCM_SHA384"; "" before the hellos */
    const char *alpn;             /* chosen; "" */
    bool verified;
    const char *fault;     /* why it does not verify: "certificate has expired"; "" */
    bool is_wrong_name;    /* that is why */
    unsigned certificates; /* that were shown, leaf first */
};
void tls_get_facts(struct tls *t, struct tls_facts *out);

/* Certificate `i` of those that were shown, as DER: its length, the bytes at *der, to be given back
 * with tls_free_der.  0: there is none. */
size_t tls_get_certificate(struct tls *t, unsigned i, unsigned char **der);
/* Whether the root that the verified chain ends with was added to this machine by somebody, as far
 * as the hashed folder tells: its file is there and does not come from the distribution's own
 * collection. */
bool tls_has_local_root(struct tls *t);
void tls_free_der(unsigned char *der);

/* Sees the bytes of the socket as they pass: `sent` by this end, or received.  Before the first
 * call; not for a connection inside another. */
typedef void (*tls_tap_fn)(void *owner, bool sent, const void *bytes, size_t n);
void tls_set_tap(struct tls *t, tls_tap_fn tap, void *owner);
