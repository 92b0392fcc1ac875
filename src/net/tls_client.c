/* This end opens the connection: contexts that trust the system or one file, connections by
 * descriptor or inside another one, and what the handshake came to. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "base/endpoint.h"
#include "base/util.h"
#include "net/tls_private.h"

/* An extension that nobody knows (RFC 8701 reserves it for that) carries the filling. */
#define FILL_TYPE 0x1a1a
#define FILL_HEADER 4  /* type and length */
#define HELLO_BARE 320 /* about what OpenSSL says on its own */

/* What hangs off a context: freed with it. */
struct client {
    void (*on_secret)(void *owner, const char *line);
    void *owner;
    size_t fill_len;
    unsigned char fill[];
};

static int client_index; /* of SSL_CTX's own data; made once */

static void free_client(void *parent, void *ptr, CRYPTO_EX_DATA *ad, int index, long l, void *p)
{
    free(ptr);
}

/* Called by every new context; the first call is made before threads are. */
static bool make_index(void)
{
    if (!client_index)
        client_index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, free_client);
    return client_index > 0;
}

static void on_keylog(const SSL *ssl, const char *line)
{
    const struct client *c = SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), client_index);

    c->on_secret(c->owner, line);
}

static int add_fill(SSL *ssl, unsigned type, unsigned context, const unsigned char **out,
                    size_t *len, X509 *x, size_t chain, int *alert, void *arg)
{
    const struct client *c = arg;

    *out = c->fill;
    *len = c->fill_len;
    return 1;
}

/* --- contexts --- */

/* A file of its own stands in the system's place, as with curl's --cacert. */
static bool trust(SSL_CTX *ctx, const char *ca, struct err *err)
{
    FILE *f;

    if (!ca) {
        if (getenv(X509_get_default_cert_file_env()))
            SSL_CTX_set_default_verify_file(
                ctx); /* somebody wants it: then it costs what it costs */
        SSL_CTX_set_default_verify_dir(ctx);
        ERR_clear_error(); /* a system without certificates trusts nobody */
        return true;
    }
    f = fopen(ca, "re");
    if (!f) {
        err_set(err, "%s: %s", ca, strerrordesc_np(errno));
        return false;
    }
    fclose(f);
    if (SSL_CTX_load_verify_file(ctx, ca) == 1)
        return true;
    err_set(err,
            "%s: no usable certificate: %s (PEM is wanted; of DER: openssl x509 -inform DER -in %s "
            "-out NEW.pem)",
            ca, tls_take_reason(), ca);
    return false;
}

static bool offer_alpn(SSL_CTX *ctx, const char *name)
{
    unsigned char list[64];
    size_t len = strlen(name);

    if (len > sizeof list - 1)
        return false;
    list[0] = (unsigned char)len;
    memcpy(list + 1, name, len);
    return SSL_CTX_set_alpn_protos(ctx, list, (unsigned)len + 1) == 0;
}

/* Groups, signatures and ciphers that nearly everybody has, and no more. */
static bool make_small(SSL_CTX *ctx)
{
    return SSL_CTX_set1_groups_list(ctx, "X25519:P-256") == 1 &&
           SSL_CTX_set1_sigalgs_list(ctx, "ECDSA+SHA256:RSA-PSS+SHA256:RSA+SHA256:RSA-PSS+SHA512:"
                                          "ECDSA+SHA384") == 1 &&
           SSL_CTX_set_cipher_list(ctx, "ECDHE+AESGCM:ECDHE+CHACHA20") == 1;
}

/* A CertificateRequest came: it is noted, and answered with none. */
static int on_asked(SSL *ssl, X509 **cert, EVP_PKEY **key)
{
    struct tls *t = SSL_get_app_data(ssl);

    (void)cert;
    (void)key;
    t->asked = true;
    return 0;
}

static bool set_up(SSL_CTX *ctx, const struct tls_client_options *o)
{
    size_t fill =
        o->hello_len > HELLO_BARE + FILL_HEADER ? o->hello_len - HELLO_BARE - FILL_HEADER : 0;
    struct client *c = calloc(1, sizeof *c + fill);

    if (!c)
        return false;
    *c = (struct client){.on_secret = o->on_secret, .owner = o->owner, .fill_len = fill};
    if (SSL_CTX_set_ex_data(ctx, client_index, c) != 1) {
        free(c);
        return false;
    }
    SSL_CTX_set_read_ahead(ctx, 1); /* fewer calls; whoever reads, reads until -EAGAIN */
    SSL_CTX_set_verify(ctx, o->verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
    SSL_CTX_set_client_cert_cb(ctx, on_asked);
    if (o->on_secret)
        SSL_CTX_set_keylog_callback(ctx, on_keylog);
    if (o->alpn && !offer_alpn(ctx, o->alpn))
        return false;
    if (o->small && !make_small(ctx))
        return false;
    return !fill || SSL_CTX_add_custom_ext(ctx, FILL_TYPE, SSL_EXT_CLIENT_HELLO, add_fill, NULL, c,
                                           NULL, NULL) == 1;
}

struct tls_context *tls_context_new_client(const struct tls_client_options *o, struct err *err)
{
    SSL_CTX *ctx;

    ERR_clear_error();
    ctx = make_index() ? tls_new_ctx(TLS_client_method()) : NULL;
    if (!ctx || !set_up(ctx, o)) {
        err_set(err, "TLS does not start: %s", tls_take_reason());
        SSL_CTX_free(ctx);
        return NULL;
    }
    if (trust(ctx, o->ca, err))
        return (struct tls_context *)(void *)ctx;
    SSL_CTX_free(ctx);
    return NULL;
}

/* --- connections --- */

/* The macro casts const away, which OpenSSL does not need: it makes a copy of its own. */
static bool send_name(SSL *ssl, const char *name)
{
    char *copy = strdup(name);
    bool ok = copy && SSL_set_tlsext_host_name(ssl, copy) == 1;

    free(copy);
    return ok;
}

/* Who should answer: its name goes out as SNI, an address does not. */
static bool expect(SSL *ssl, const char *name)
{
    struct addr addr;

    if (addr_parse(span_of(name), &addr))
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name) == 1;
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return send_name(ssl, name) && SSL_set1_host(ssl, name) == 1;
}

static struct tls *begin(struct tls *t, bool has_transport, const char *name)
{
    if (t && has_transport && expect(t->ssl, name)) {
        SSL_set_connect_state(t->ssl);
        return t;
    }
    ERR_clear_error();
    tls_free(t);
    return NULL;
}

struct tls *tls_new_client(struct tls_context *c, int fd, const char *name)
{
    struct tls *t = tls_alloc(c);

    return begin(t, t && SSL_set_fd(t->ssl, fd) == 1, name);
}

/* --- a connection inside another: a BIO whose transport is a struct tls --- */

static int inside_result(BIO *bio, ssize_t n, int retry)
{
    BIO_clear_retry_flags(bio);
    if (n == -EAGAIN) {
        BIO_set_flags(bio, retry | BIO_FLAGS_SHOULD_RETRY);
        return -1;
    }
    errno = n < 0 ? (int)-n : 0;
    return n < 0 ? -1 : (int)n;
}

static int inside_read(BIO *bio, char *out, int n)
{
    return inside_result(bio, tls_read(BIO_get_data(bio), out, (size_t)n), BIO_FLAGS_READ);
}

static int inside_write(BIO *bio, const char *bytes, int n)
{
    return inside_result(bio, tls_write(BIO_get_data(bio), bytes, (size_t)n), BIO_FLAGS_WRITE);
}

static long inside_ctrl(BIO *bio, int command, long number, void *ptr)
{
    return command == BIO_CTRL_FLUSH; /* written is sent */
}

static BIO_METHOD *inside_method(void)
{
    static BIO_METHOD *method; /* lives as long as the process */

    if (method)
        return method;
    method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "tls");
    if (method && BIO_meth_set_read(method, inside_read) &&
        BIO_meth_set_write(method, inside_write) && BIO_meth_set_ctrl(method, inside_ctrl))
        return method;
    BIO_meth_free(method);
    method = NULL;
    return NULL;
}

struct tls *tls_new_inside(struct tls_context *c, struct tls *outer, const char *name)
{
    struct tls *t = tls_alloc(c);
    BIO_METHOD *method = inside_method();
    BIO *bio = t && method ? BIO_new(method) : NULL;

    if (bio) {
        BIO_set_data(bio, outer);
        BIO_set_init(bio, 1);
        SSL_set_bio(t->ssl, bio, bio);
    }
    return begin(t, bio != NULL, name);
}

/* --- facts --- */

void tls_get_facts(struct tls *t, struct tls_facts *out)
{
    const SSL_CIPHER *cipher = SSL_get_current_cipher(t->ssl);
    STACK_OF(X509) *chain = SSL_get_peer_cert_chain(t->ssl);
    long verified = SSL_get_verify_result(t->ssl);
    const unsigned char *alpn;
    unsigned len;

    *out = (struct tls_facts){.version = "", .cipher = "", .alpn = "", .fault = ""};
    if (cipher) {
        out->version = SSL_get_version(t->ssl);
        out->cipher = SSL_CIPHER_standard_name(cipher);
    }
    SSL_get0_alpn_selected(t->ssl, &alpn, &len);
    if (len > 0) /* we offer one: it is that one */
        out->alpn = len == 2 ? "h2" : "http/1.1";
    out->certificates = chain ? (unsigned)sk_X509_num(chain) : 0;
    out->verified = out->certificates > 0 && verified == X509_V_OK;
    if (out->certificates > 0 && verified != X509_V_OK)
        out->fault = X509_verify_cert_error_string(verified);
    out->is_wrong_name =
        verified == X509_V_ERR_HOSTNAME_MISMATCH || verified == X509_V_ERR_IP_ADDRESS_MISMATCH;
}

size_t tls_get_certificate(struct tls *t, unsigned i, unsigned char **der)
{
    X509 *cert = sk_X509_value(SSL_get_peer_cert_chain(t->ssl), (int)i);
    int len;

    *der = NULL;
    len = cert ? i2d_X509(cert, der) : 0;
    return len > 0 ? (size_t)len : 0;
}

/* What the distribution ships; links lead there from the hashed folder. */
static const char *const shipped[] = {"/usr/share/ca-certificates/", "/etc/pki/ca-trust/extracted/",
                                      "/usr/share/pki/"};

static bool is_shipped(const char *path)
{
    char whole[PATH_MAX];

    if (!realpath(path, whole))
        return true; /* it cannot be told */
    for (size_t i = 0; i < ARRAY_LEN(shipped); i++)
        if (strncmp(whole, shipped[i], strlen(shipped[i])) == 0)
            return true;
    return false;
}

bool tls_has_local_root(struct tls *t)
{
    STACK_OF(X509) *chain = SSL_get0_verified_chain(t->ssl);
    X509 *root = chain ? sk_X509_value(chain, sk_X509_num(chain) - 1) : NULL;
    const char *folder = getenv(X509_get_default_cert_dir_env());
    char path[PATH_MAX];

    if (!root)
        return false;
    if (!folder)
        folder = X509_get_default_cert_dir();
    for (unsigned i = 0; i < 10; i++) {
        FILE *f;
        X509 *found;
        bool same;

        snprintf(path, sizeof path, "%s/%08lx.%u", folder, X509_subject_name_hash(root), i);
        f = fopen(path, "re");
        if (!f)
            return false;
        found = PEM_read_X509(f, NULL, NULL, NULL);
        fclose(f);
        same = found && X509_cmp(found, root) == 0;
        X509_free(found);
        ERR_clear_error();
        if (same)
            return !is_shipped(path);
    }
    return false;
}

void tls_free_der(unsigned char *der)
{
    OPENSSL_free(der);
}
