#include "net/tls.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "net/tls_private.h"

/* --- contexts --- */

const char *tls_take_reason(void)
{
    const char *reason = ERR_reason_error_string(ERR_peek_error());

    ERR_clear_error();
    return reason ? reason : "unknown reason";
}

SSL_CTX *tls_new_ctx(const SSL_METHOD *method)
{
    SSL_CTX *ctx = SSL_CTX_new(method);

    if (!ctx)
        return NULL;
    SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
    /* FIN without close_notify is how many peers close; what was promised has a framing of its
     * own */
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                              SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF); /* tickets need no memory here */
    return ctx;
}

struct tls_context *tls_context_ref(struct tls_context *c)
{
    if (!c)
        return NULL;
    SSL_CTX_up_ref(tls_ctx_of(c));
    return c;
}

void tls_context_unref(struct tls_context *c)
{
    SSL_CTX_free(tls_ctx_of(c));
}

/* --- connections --- */

/* Remembers the first fatal alert, whoever sent it, and the other end's close_notify. */
static void on_info(const SSL *ssl, int where, int value)
{
    struct tls *t = SSL_get_app_data(ssl);

    if (where == SSL_CB_READ_ALERT && (value & 0xff) == SSL_AD_CLOSE_NOTIFY)
        t->ended = true;
    if (!(where & SSL_CB_ALERT) || value >> 8 != SSL3_AL_FATAL || t->alert >= 0)
        return;
    t->alert = value & 0xff;
    t->alert_ours = where & SSL_CB_WRITE;
}

struct tls *tls_alloc(struct tls_context *c)
{
    struct tls *t = calloc(1, sizeof *t);

    if (!t)
        return NULL;
    t->reason = "";
    t->alert = -1;
    t->ssl = SSL_new(tls_ctx_of(c));
    if (!t->ssl) {
        ERR_clear_error();
        free(t);
        return NULL;
    }
    SSL_set_app_data(t->ssl, t);
    SSL_set_info_callback(t->ssl, on_info);
    return t;
}

struct tls *tls_new(struct tls_context *c, int fd)
{
    struct tls *t = tls_alloc(c);

    if (!t)
        return NULL;
    if (SSL_set_fd(t->ssl, fd) != 1) {
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

bool tls_was_ended(const struct tls *t)
{
    return t->ended;
}

bool tls_was_asked(const struct tls *t)
{
    return t->asked;
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

int tls_get_alert(const struct tls *t, bool *ours)
{
    *ours = t->alert_ours;
    return t->alert;
}

/* What passed through the socket, after the call that moved it. */
static long on_bytes(BIO *bio, int op, const char *bytes, size_t len, int argi, long argl, int ret,
                     size_t *done)
{
    struct tls *t = (struct tls *)(void *)BIO_get_callback_arg(bio);

    if (op == (BIO_CB_READ | BIO_CB_RETURN) && ret > 0)
        t->tap(t->tap_owner, false, bytes, *done);
    else if (op == (BIO_CB_WRITE | BIO_CB_RETURN) && ret > 0)
        t->tap(t->tap_owner, true, bytes, *done);
    return ret;
}

void tls_set_tap(struct tls *t, tls_tap_fn tap, void *owner)
{
    BIO *bio = SSL_get_rbio(t->ssl);

    t->tap = tap;
    t->tap_owner = owner;
    BIO_set_callback_arg(bio, (char *)(void *)t);
    BIO_set_callback_ex(bio, on_bytes);
}
