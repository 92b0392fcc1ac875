/* A listener's context: certificate and key from PEM files, and why one does not load. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <openssl/pem.h>

#include "base/log.h"
#include "base/span.h"
#include "net/tls_private.h"

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
    const char *reason = tls_take_reason();
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
    SSL_CTX *ctx = tls_new_ctx(TLS_server_method());

    if (!ctx)
        return NULL;
    SSL_CTX_set_options(ctx, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
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
        err_set(err, "TLS does not start: %s", tls_take_reason());
        return NULL;
    }
    if (use_certificate(ctx, certificate, err) && use_key(ctx, certificate, key, err))
        return (struct tls_context *)(void *)ctx;
    SSL_CTX_free(ctx);
    return NULL;
}
