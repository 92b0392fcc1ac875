/* Two ends of TLS that talk in memory, and all that passes between them: what a capture would have
 * of a connection, with its key log. */
#pragma once

#include <stdlib.h>
#include <string.h>

#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "capture/inside.h"
#include "capture/secrets.h"

#define SESSION_PIECES 4096

struct session_piece {
    enum dir dir;
    char *bytes;
    size_t len;
};

struct session {
    SSL_CTX *contexts[2];
    SSL *ends[2]; /* UP: the client; DOWN: the other side: who sends in that direction */
    char keylog[16384];
    size_t keylog_len;
    struct session_piece pieces[SESSION_PIECES];
    size_t pieces_len;
    const char *alpn; /* what the other side chooses; NULL: nothing */
};

static int session_index = -1;

static void session_on_keylog(const SSL *ssl, const char *line)
{
    struct session *s = SSL_get_ex_data(ssl, session_index);
    int n = snprintf(s->keylog + s->keylog_len, sizeof s->keylog - s->keylog_len, "%s\n", line);

    s->keylog_len += (size_t)n;
}

static int session_on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                           const unsigned char *in, unsigned in_len, void *arg)
{
    struct session *s = SSL_get_ex_data(ssl, session_index);

    if (!s->alpn)
        return SSL_TLSEXT_ERR_NOACK;
    *out = (const unsigned char *)s->alpn;
    *out_len = (unsigned char)strlen(s->alpn);
    return SSL_TLSEXT_ERR_OK;
}

static void session_use_key(SSL_CTX *ctx, EVP_PKEY *key)
{
    X509 *cert = X509_new();
    X509_NAME *name = X509_get_subject_name(cert);

    ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
    X509_gmtime_adj(X509_getm_notBefore(cert), -3600);
    X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"t.test", -1, -1,
                               0);
    X509_set_issuer_name(cert, name);
    X509_set_pubkey(cert, key);
    assert_true(X509_sign(cert, key, EVP_sha256()) > 0);
    assert_int_equal(SSL_CTX_use_certificate(ctx, cert), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(ctx, key), 1);
    X509_free(cert);
}

/* Contexts of both sides for this version; keys are made once. */
static void session_init(struct session *s, int version)
{
    static EVP_PKEY *rsa, *ec;

    memset(s, 0, sizeof *s);
    if (session_index < 0) {
        session_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, NULL);
        rsa = EVP_RSA_gen(2048);
        ec = EVP_EC_gen("P-256");
    }
    for (int i = 0; i < 2; i++) {
        SSL_CTX *ctx = SSL_CTX_new(i == UP ? TLS_client_method() : TLS_server_method());

        s->contexts[i] = ctx;
        SSL_CTX_set_security_level(ctx, 0);
        SSL_CTX_set_min_proto_version(ctx, version);
        SSL_CTX_set_max_proto_version(ctx, version);
    }
    SSL_CTX_set_keylog_callback(s->contexts[UP], session_on_keylog);
    SSL_CTX_set_alpn_select_cb(s->contexts[DOWN], session_on_alpn, NULL);
    SSL_CTX_set_dh_auto(s->contexts[DOWN], 1);
    session_use_key(s->contexts[DOWN], rsa);
    session_use_key(s->contexts[DOWN], ec);
}

/* The connection's two ends. */
static void session_open(struct session *s)
{
    for (int i = 0; i < 2; i++) {
        s->ends[i] = SSL_new(s->contexts[i]);
        SSL_set_ex_data(s->ends[i], session_index, s);
        SSL_set_bio(s->ends[i], BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    }
    SSL_set_connect_state(s->ends[UP]);
    SSL_set_accept_state(s->ends[DOWN]);
    SSL_set_tlsext_host_name(s->ends[UP], "t.test");
}

/* What one end has to send goes to the other, and to the capture. */
static bool session_carry(struct session *s, enum dir dir)
{
    BIO *from = SSL_get_wbio(s->ends[dir]), *to = SSL_get_rbio(s->ends[!dir]);
    char *bytes;
    long n = BIO_get_mem_data(from, &bytes);

    if (n <= 0)
        return false;
    assert_true(s->pieces_len < SESSION_PIECES);
    struct session_piece *p = &s->pieces[s->pieces_len++];
    *p = (struct session_piece){dir, malloc((size_t)n), (size_t)n};
    memcpy(p->bytes, bytes, (size_t)n);
    BIO_write(to, bytes, (int)n);
    BIO_reset(from);
    return true;
}

static void session_shake(struct session *s)
{
    for (int i = 0; i < 20; i++) {
        SSL_do_handshake(s->ends[UP]);
        session_carry(s, UP);
        SSL_do_handshake(s->ends[DOWN]);
        session_carry(s, DOWN);
    }
    SSL_do_handshake(s->ends[UP]);
    session_carry(s, UP);
}

static void session_say(struct session *s, enum dir dir, const void *bytes, size_t len)
{
    static char taken[65536];

    assert_int_equal(SSL_write(s->ends[dir], bytes, (int)len), (int)len);
    session_carry(s, dir);
    while (SSL_read(s->ends[!dir], taken, sizeof taken) > 0)
        ;
    ERR_clear_error();
    session_carry(s, !dir);
}

static void session_say_text(struct session *s, enum dir dir, const char *text)
{
    session_say(s, dir, text, strlen(text));
}

static void session_bye(struct session *s, enum dir dir)
{
    SSL_shutdown(s->ends[dir]);
    session_carry(s, dir);
}

/* The ends and what was captured; the contexts stay for another one. */
static void session_close(struct session *s)
{
    for (int i = 0; i < 2; i++)
        SSL_free(s->ends[i]);
    for (size_t i = 0; i < s->pieces_len; i++)
        free(s->pieces[i].bytes);
    s->pieces_len = s->keylog_len = 0;
}

static void session_fini(struct session *s)
{
    session_close(s);
    for (int i = 0; i < 2; i++)
        SSL_CTX_free(s->contexts[i]);
}
