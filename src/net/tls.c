#include "net/tls.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

#include "base/log.h"
#include "base/span.h"

/* A struct tls_context is an SSL_CTX under another name: OpenSSL counts the references. */
static SSL_CTX *ctx_of(struct tls_context *c)
{
    return (SSL_CTX *)(void *)c;
}

struct tls {
    SSL *ssl;
    const char *reason; /* static; of the first failure */
    bool wants_write;   /* what the last -EAGAIN waits for */
    bool failed;        /* a fault: OpenSSL forbids further calls */
};

/* --- contexts --- */

/* Why OpenSSL failed: the first cause in its queue, which is emptied. */
static const char *take_reason(void)
{
    const char *reason = ERR_reason_error_string(ERR_peek_error());

    ERR_clear_error();
    return reason ? reason : "unknown reason";
}

/* The label of the first PEM block of a file, or "" when it has none. */
static void find_pem_label(const char *file, char *out, size_t size)
{
    FILE *f = fopen(file, "re");
    char line[128];

    out[0] = '\0';
    while (f && !out[0] && fgets(line, sizeof line, f)) {
        if (strncmp(line, "-----BEGIN ", 11) != 0)
            continue;
        line[strcspn(line, "\r\n")] = '\0';
        snprintf(out, size, "%.*s", (int)strcspn(line + 11, "-"), line + 11);
    }
    if (f)
        fclose(f);
}

/* Says why a file did not load: what it holds tells more than OpenSSL's error.  `what` it should
 * hold
 * ("certificate"), `label` ends the label of such a PEM block, `command` makes PEM of DER. */
static void explain_file(const char *file, const char *what, const char *label, const char *command,
                         struct err *err)
{
    const char *reason = take_reason();
    char found[64];

    find_pem_label(file, found, sizeof found);
    if (!found[0])
        err_set(err, "%s: no PEM file; if it is DER: openssl %s -inform DER -in %s -out NEW.pem",
                file, command, file);
    else if (!span_ends_with(span_of(found), span_of(label)))
        err_set(err, "%s: holds a %s, no %s: are tls-certificate and tls-key swapped?", file, found,
                what);
    else
        err_set(err, "%s: no usable %s: %s", file, what, reason);
}

static bool can_read(const char *file, const char *directive, struct err *err)
{
    FILE *f = fopen(file, "re");
    int c, e = errno;

    if (!f) {
        err_set(err, "%s: %s (%s)", file, e == ENOENT ? "no such file" : strerrordesc_np(e),
                directive);
        return false;
    }
    errno = 0;
    c = fgetc(f);
    e = errno;
    fclose(f);
    if (c == EOF)
        err_set(err, "%s: %s (%s)", file, e ? strerrordesc_np(e) : "the file is empty", directive);
    return c != EOF;
}

/* Warns of dates that do not include now. */
static void check_dates(const char *file, const X509 *cert)
{
    if (X509_cmp_current_time(X509_get0_notAfter(cert)) < 0)
        log_warning("%s: the certificate has expired: clients will refuse it", file);
    else if (X509_cmp_current_time(X509_get0_notBefore(cert)) > 0)
        log_warning("%s: the certificate is not valid yet: clients will refuse it", file);
}

static bool use_certificate(SSL_CTX *ctx, const char *file, struct err *err)
{
    if (!can_read(file, "tls-certificate", err))
        return false;
    if (SSL_CTX_use_certificate_chain_file(ctx, file) != 1) {
        explain_file(file, "certificate", "CERTIFICATE", "x509", err);
        return false;
    }
    check_dates(file, SSL_CTX_get0_certificate(ctx));
    return true;
}

/* OpenSSL asks for a passphrase: there is nobody to type one. */
static int on_passphrase(char *out, int size, int writing, void *asked)
{
    *(bool *)asked = true;
    return -1;
}

static bool use_key(SSL_CTX *ctx, const char *certificate, const char *file, struct err *err)
{
    bool asked = false, ok;

    if (!can_read(file, "tls-key", err))
        return false;
    SSL_CTX_set_default_passwd_cb(ctx, on_passphrase);
    SSL_CTX_set_default_passwd_cb_userdata(ctx, &asked);
    ok = SSL_CTX_use_PrivateKey_file(ctx, file, SSL_FILETYPE_PEM) == 1 &&
         SSL_CTX_check_private_key(ctx) == 1;
    SSL_CTX_set_default_passwd_cb_userdata(ctx, NULL);
    if (ok)
        return true;
    if (asked)
        err_set(err, "%s: the key is encrypted; decrypt it: openssl pkey -in %s -out NEW.key", file,
                file);
    else if (ERR_GET_LIB(ERR_peek_last_error()) == ERR_LIB_X509)
        err_set(err, "%s: the key does not belong to the certificate in %s", file, certificate);
    else
        explain_file(file, "private key", "PRIVATE KEY", "pkey", err);
    ERR_clear_error();
    return false;
}

/* RFC 7301 3.2: http/1.1 or, when the client offers others only, the alert that says so. */
static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                   const unsigned char *in, unsigned in_len, void *arg)
{
    static const unsigned char ours[] = "\x08http/1.1";
    unsigned char *picked;

    if (SSL_select_next_proto(&picked, out_len, ours, sizeof ours - 1, in, in_len) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *out = picked;
    return SSL_TLSEXT_ERR_OK;
}

static SSL_CTX *new_ctx(void)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

    if (!ctx)
        return NULL;
    SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
    /* FIN without close_notify is how many clients close; what was promised has a framing of its
     * own */
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE |
                                 SSL_OP_PRIORITIZE_CHACHA | SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                              SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF); /* tickets need no memory here */
    SSL_CTX_set_alpn_select_cb(ctx, on_alpn, NULL);
    return ctx;
}

struct tls_context *tls_context_new_listener(const char *certificate, const char *key,
                                             struct err *err)
{
    SSL_CTX *ctx;

    ERR_clear_error();
    ctx = new_ctx();
    if (!ctx) {
        err_set(err, "TLS does not start: %s", take_reason());
        return NULL;
    }
    if (use_certificate(ctx, certificate, err) && use_key(ctx, certificate, key, err))
        return (struct tls_context *)(void *)ctx;
    SSL_CTX_free(ctx);
    return NULL;
}

struct tls_context *tls_context_ref(struct tls_context *c)
{
    if (!c)
        return NULL;
    SSL_CTX_up_ref(ctx_of(c));
    return c;
}

void tls_context_unref(struct tls_context *c)
{
    SSL_CTX_free(ctx_of(c));
}

/* --- connections --- */

struct tls *tls_new(struct tls_context *c, int fd)
{
    struct tls *t = calloc(1, sizeof *t);

    if (!t)
        return NULL;
    t->reason = "";
    t->ssl = SSL_new(ctx_of(c));
    if (!t->ssl || SSL_set_fd(t->ssl, fd) != 1) {
        ERR_clear_error();
        tls_free(t);
        return NULL;
    }
    SSL_set_accept_state(t->ssl);
    return t;
}

void tls_free(struct tls *t)
{
    if (!t)
        return;
    SSL_free(t->ssl);
    free(t);
}

/* Ends the connection's use; remembers the first reason. */
static int fail(struct tls *t, int code, const char *reason)
{
    t->failed = true;
    if (!t->reason[0])
        t->reason = reason ? reason : "unknown reason";
    ERR_clear_error();
    return code;
}

/* What a call that did not return bytes means.  `e` is errno as the call left it. */
static int explain_call(struct tls *t, int result, int e)
{
    switch (SSL_get_error(t->ssl, result)) {
    case SSL_ERROR_WANT_READ:
        t->wants_write = false;
        return -EAGAIN;
    case SSL_ERROR_WANT_WRITE:
        t->wants_write = true;
        return -EAGAIN;
    case SSL_ERROR_ZERO_RETURN:
        return 0;
    case SSL_ERROR_SYSCALL:
        return e ? fail(t, -e, strerrordesc_np(e))
                 : fail(t, -ECONNRESET, "end inside the handshake");
    default:
        return fail(t, -EPROTO, ERR_reason_error_string(ERR_peek_error()));
    }
}

ssize_t tls_read(struct tls *t, void *out, size_t n)
{
    int got;

    if (t->failed)
        return -EPROTO;
    ERR_clear_error();
    errno = 0;
    got = SSL_read(t->ssl, out, n > INT_MAX ? INT_MAX : (int)n);
    return got > 0 ? got : explain_call(t, got, errno);
}

ssize_t tls_write(struct tls *t, const void *bytes, size_t n)
{
    int put;

    if (t->failed)
        return -EPROTO;
    if (n == 0)
        return 0;
    ERR_clear_error();
    errno = 0;
    put = SSL_write(t->ssl, bytes, n > INT_MAX ? INT_MAX : (int)n);
    if (put > 0)
        return put;
    put = explain_call(t, put, errno);
    return put ? put : -EPIPE; /* 0 bytes are no answer to a write */
}

int tls_shutdown(struct tls *t)
{
    int done;

    if (t->failed || !SSL_is_init_finished(t->ssl))
        return 0;
    ERR_clear_error();
    errno = 0;
    done = SSL_shutdown(t->ssl);
    return done >= 0 ? 0 : explain_call(t, done, errno);
}

bool tls_is_established(const struct tls *t)
{
    return SSL_is_init_finished(t->ssl);
}

bool tls_wants_write(const struct tls *t)
{
    return t->wants_write;
}

bool tls_has_pending(const struct tls *t)
{
    return SSL_pending(t->ssl) > 0;
}

const char *tls_reason(const struct tls *t)
{
    return t->reason;
}
