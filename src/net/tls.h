/* net/tls.h - OpenSSL behind sock-like calls; the only file that includes it for TLS.
 *
 * One struct tls a connection, non-blocking over a file descriptor that the caller owns.  Calls
 * answer like sock_read and sock_write: bytes, 0 at an end (close_notify, or FIN alone), -EAGAIN
 * (tls_wants_write says for which direction), -EPROTO for a TLS fault, -errno.  The process ignores
 * SIGPIPE.  A context may be shared by threads, a struct tls belongs to one. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/err.h"

struct tls_context; /* reference-counted */
struct tls;

/* A listener's context from PEM files (chain and key).  Loaded before privileges are dropped.
 * TLS 1.2 and up; ALPN http/1.1; tickets on.  NULL with *err set (place and nearest fix).  A
 * certificate that is out of date is taken and warned about in the log. */
struct tls_context *tls_context_new_listener(const char *certificate, const char *key,
                                             struct err *err);
struct tls_context *tls_context_ref(struct tls_context *c);
void tls_context_unref(struct tls_context *c);

/* NULL when memory is out.  The handshake is made by the first reads and writes. */
struct tls *tls_new(struct tls_context *c, int fd);
void tls_free(struct tls *t);

ssize_t tls_read(struct tls *t, void *out, size_t n);
ssize_t tls_write(struct tls *t, const void *bytes, size_t n);
/* Sends close_notify and does not wait for the other one; 0, -EAGAIN or -errno.  0 without a word
 * when there is nothing to end: before the handshake's end and after a fault. */
int tls_shutdown(struct tls *t);
bool tls_is_established(const struct tls *t);
bool tls_wants_write(const struct tls *t);
/* Bytes decrypted and not yet read: the socket will not say that they are there. */
bool tls_has_pending(const struct tls *t);
/* Why a call failed first, for evidence: "no shared cipher"; "" when none did, never NULL. */
const char *tls_reason(const struct tls *t);
