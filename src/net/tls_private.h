/* net/tls_private.h - what the files of net/tls share; nobody else includes it. */
#pragma once

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "net/tls.h"

/* A struct tls_context is an SSL_CTX under another name: OpenSSL counts the references. */
static inline SSL_CTX *tls_ctx_of(struct tls_context *c)
{
    return (SSL_CTX *)(void *)c;
}

struct tls {
    SSL *ssl;
    const char *reason; /* static; of the first failure */
    bool wants_write;   /* what the last -EAGAIN waits for */
    bool failed;        /* a fault: OpenSSL forbids further calls */
    bool alert_ours;    /* the alert was sent by this end */
    bool ended;         /* close_notify came */
    bool asked;         /* for a certificate of this end */
    int alert;          /* description of the first fatal one; -1: none */
    tls_tap_fn tap;     /* NULL: nobody wants to see the bytes */
    void *tap_owner;
};

/* Why OpenSSL failed: the first cause in its queue, which is emptied. */
const char *tls_take_reason(void);

/* A connection of this context without a transport yet; NULL when memory is out. */
struct tls *tls_alloc(struct tls_context *c);

/* What every context has: TLS 1.2 and up, partial writes, buffers given back. */
SSL_CTX *tls_new_ctx(const SSL_METHOD *method);
