/* net/tls against OpenSSL's own client over a socketpair, with certificates made here. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <cmocka.h>

#include "base/util.h"
#include "net/tls.h"

enum { DAY_S = 24 * 60 * 60, PATH_MAX_LEN = 64, BULK = 1 << 20 };

struct files {
    char dir[32];
    char cert[PATH_MAX_LEN], key[PATH_MAX_LEN], other_key[PATH_MAX_LEN], locked_key[PATH_MAX_LEN];
    char old_cert[PATH_MAX_LEN], der[PATH_MAX_LEN], empty[PATH_MAX_LEN], missing[PATH_MAX_LEN];
    char weak[PATH_MAX_LEN];
};
static struct files files;

struct pair {
    struct tls_context *context;
    struct tls *tls; /* our end */
    int fd;
    SSL_CTX *client_ctx;
    SSL *client; /* the other end */
    int client_fd;
};

/* --- certificates --- */

static char *path_of(char out[PATH_MAX_LEN], const char *name)
{
    snprintf(out, PATH_MAX_LEN, "%s/%s", files.dir, name);
    return out;
}

static FILE *create(char out[PATH_MAX_LEN], const char *name)
{
    FILE *f = fopen(path_of(out, name), "w");

    assert_non_null(f);
    return f;
}

static X509 *make_certificate(EVP_PKEY *key, long from_s, long until_s)
{
    X509 *cert = X509_new();
    X509_NAME *name = X509_get_subject_name(cert);

    X509_set_version(cert, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
    X509_gmtime_adj(X509_getm_notBefore(cert), from_s);
    X509_gmtime_adj(X509_getm_notAfter(cert), until_s);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"proxy.test", -1,
                               -1, 0);
    X509_set_issuer_name(cert, name);
    X509_set_pubkey(cert, key);
    assert_true(X509_sign(cert, key, EVP_sha256()) > 0);
    return cert;
}

static void write_certificate(char out[PATH_MAX_LEN], const char *name, EVP_PKEY *key, long from_s,
                              long until_s)
{
    X509 *cert = make_certificate(key, from_s, until_s);
    FILE *f = create(out, name);

    PEM_write_X509(f, cert);
    fclose(f);
    X509_free(cert);
}

static void write_key(char out[PATH_MAX_LEN], const char *name, EVP_PKEY *key, char *passphrase)
{
    FILE *f = create(out, name);

    PEM_write_PrivateKey(f, key, passphrase ? EVP_aes_128_cbc() : NULL, NULL, 0, NULL, passphrase);
    fclose(f);
}

static int make_files(void **state)
{
    char passphrase[] = "secret";
    EVP_PKEY *key = EVP_EC_gen("P-256"), *other = EVP_EC_gen("P-256"), *weak = EVP_RSA_gen(512);
    X509 *cert = make_certificate(key, 0, DAY_S);
    FILE *f;

    signal(SIGPIPE, SIG_IGN);
    snprintf(files.dir, sizeof files.dir, "/tmp/tls_test.XXXXXX");
    assert_non_null(mkdtemp(files.dir));
    write_certificate(files.cert, "cert.pem", key, -DAY_S, DAY_S);
    write_certificate(files.old_cert, "old.pem", key, -2 * DAY_S, -DAY_S);
    write_certificate(files.weak, "weak.pem", weak, -DAY_S, DAY_S);
    write_key(files.key, "key.pem", key, NULL);
    write_key(files.other_key, "other.pem", other, NULL);
    write_key(files.locked_key, "locked.pem", key, passphrase);
    f = create(files.der, "cert.der");
    i2d_X509_fp(f, cert);
    fclose(f);
    fclose(create(files.empty, "empty.pem"));
    path_of(files.missing, "missing.pem");
    X509_free(cert);
    EVP_PKEY_free(key);
    EVP_PKEY_free(other);
    EVP_PKEY_free(weak);
    return 0;
}

static int remove_files(void **state)
{
    const char *all[] = {files.cert, files.key,      files.other_key, files.locked_key,
                         files.der,  files.old_cert, files.empty,     files.weak};

    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        unlink(all[i]);
    return rmdir(files.dir);
}

/* --- contexts --- */

static void test_context_errors(void **state)
{
    const struct {
        const char *cert, *key;
        const char *place, *text; /* both must be in the error */
    } rows[] = {
        {files.missing, files.key, files.missing, "no such file (tls-certificate)"},
        {files.cert, files.missing, files.missing, "no such file (tls-key)"},
        {files.empty, files.key, files.empty, "the file is empty"},
        {files.dir, files.key, files.dir, "Is a directory"},
        {files.cert, files.other_key, files.other_key,
         "the key does not belong to the certificate in "},
        {files.cert, files.locked_key, files.locked_key,
         "the key is encrypted; decrypt it: openssl pkey -in "},
        {files.key, files.cert, files.key, "swapped?"},
        {files.cert, files.cert, files.cert, "holds a CERTIFICATE, no private key"},
        {files.weak, files.key, files.weak, "no usable certificate: ee key too small"},
        {files.der, files.key, files.der, "openssl x509 -inform DER"},
        {files.cert, files.der, files.der, "openssl pkey -inform DER"},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct err err = {""};

        assert_null(tls_context_new_listener(rows[i].cert, rows[i].key, &err));
        assert_memory_equal(err.text, rows[i].place, strlen(rows[i].place));
        if (!strstr(err.text, rows[i].text))
            fail_msg("\"%s\" is not in \"%s\"", rows[i].text, err.text);
        assert_int_equal(ERR_peek_error(),
                         0); /* nothing is left for the next caller to stumble over */
    }
}

static void test_old_certificate_is_taken_and_warned_about(void **state)
{
    char path[PATH_MAX_LEN], text[256] = "";
    int saved = dup(STDERR_FILENO),
        fd = open(path_of(path, "log"), O_RDWR | O_CREAT | O_TRUNC, 0600);
    struct tls_context *c;

    dup2(fd, STDERR_FILENO);
    c = tls_context_new_listener(files.old_cert, files.key, NULL);
    dup2(saved, STDERR_FILENO);
    close(saved);
    assert_non_null(c);
    assert_true(pread(fd, text, sizeof text - 1, 0) > 0);
    assert_non_null(strstr(text, files.old_cert));
    assert_non_null(strstr(text, "has expired"));
    close(fd);
    unlink(path);
    tls_context_unref(c);
}

/* --- connections --- */

static int setup(void **state)
{
    struct pair *p = calloc(1, sizeof *p);
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    p->fd = fds[0];
    p->client_fd = fds[1];
    p->context = tls_context_new_listener(files.cert, files.key, NULL);
    assert_non_null(p->context);
    p->tls = tls_new(p->context, p->fd);
    assert_non_null(p->tls);
    tls_context_unref(p->context); /* as a reload does: the connection keeps it alive */
    p->client_ctx = SSL_CTX_new(TLS_client_method());
    p->client = SSL_new(p->client_ctx);
    SSL_set_fd(p->client, p->client_fd);
    SSL_set_connect_state(p->client);
    *state = p;
    return 0;
}

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static int teardown(void **state)
{
    struct pair *p = *state;

    tls_free(p->tls);
    SSL_free(p->client);
    SSL_CTX_free(p->client_ctx);
    close_fd(&p->fd);
    close_fd(&p->client_fd);
    free(p);
    return 0;
}

/* Turns both ends until ours is through or fails; what our last read returned. */
static ssize_t shake(struct pair *p)
{
    char c;
    ssize_t n = -EAGAIN;

    for (int i = 0; i < 20 && n == -EAGAIN; i++) {
        SSL_do_handshake(p->client);
        n = tls_read(p->tls, &c, 1);
        if (tls_is_established(p->tls) && SSL_is_init_finished(p->client))
            break;
    }
    return n;
}

static void test_bytes_go_both_ways(void **state)
{
    struct pair *p = *state;
    char text[16];

    assert_false(tls_is_established(p->tls));
    assert_int_equal(shake(p), -EAGAIN);
    assert_true(tls_is_established(p->tls));
    assert_false(tls_wants_write(p->tls));
    assert_string_equal(tls_reason(p->tls), "");
    assert_int_equal(SSL_write(p->client, "hello", 5), 5);
    assert_int_equal(tls_read(p->tls, text, 2), 2);
    assert_true(tls_has_pending(p->tls)); /* the socket has nothing to say any more */
    assert_int_equal(tls_read(p->tls, text + 2, sizeof text - 2), 3);
    assert_memory_equal(text, "hello", 5);
    assert_false(tls_has_pending(p->tls));
    assert_int_equal(tls_read(p->tls, text, sizeof text), -EAGAIN);
    assert_int_equal(tls_write(p->tls, "", 0), 0);
    assert_int_equal(tls_write(p->tls, "world", 5), 5);
    assert_int_equal(SSL_read(p->client, text, sizeof text), 5);
    assert_memory_equal(text, "world", 5);
}

/* A writer that takes up with other memory after a part was taken, against a slow reader. */
static void test_partial_writes(void **state)
{
    struct pair *p = *state;
    unsigned char *bytes = malloc(BULK), *got = malloc(BULK);
    size_t put = 0, have = 0;
    unsigned waits = 0, parts = 0;

    for (size_t i = 0; i < BULK; i++)
        bytes[i] = (unsigned char)(i * 31 >> 3);
    shake(p);
    while (have < BULK) {
        unsigned char *copy = malloc(BULK - put + 1);
        ssize_t n = put < BULK ? (memcpy(copy, bytes + put, BULK - put),
                                  tls_write(p->tls, copy, BULK - put))
                               : 0;
        int r;

        free(copy);
        assert_true(n >= 0 || n == -EAGAIN);
        if (n == -EAGAIN) {
            assert_true(tls_wants_write(p->tls));
            waits++;
        } else {
            put += (size_t)n;
            parts += n > 0;
            if (put < BULK)
                continue;
        }
        r = SSL_read(p->client, got + have, 5000);
        have += r > 0 ? (size_t)r : 0;
    }
    assert_true(waits > 0);
    assert_true(parts > 1);
    assert_memory_equal(bytes, got, BULK);
    free(bytes);
    free(got);
}

static void test_close_notify_is_a_clean_end(void **state)
{
    struct pair *p = *state;
    char text[8];

    shake(p);
    SSL_write(p->client, "last", 4);
    SSL_shutdown(p->client);
    close_fd(&p->client_fd);
    assert_int_equal(tls_read(p->tls, text, sizeof text), 4);
    assert_int_equal(tls_read(p->tls, text, sizeof text), 0);
    assert_int_equal(tls_read(p->tls, text, sizeof text), 0);
    assert_string_equal(tls_reason(p->tls), "");
}

static void test_an_end_without_close_notify_is_one_too(void **state)
{
    struct pair *p = *state;
    char text[8];

    shake(p);
    SSL_read(p->client, text,
             sizeof text); /* its tickets: left unread, they would make the end a reset */
    SSL_write(p->client, "last", 4);
    close_fd(&p->client_fd);
    assert_int_equal(tls_read(p->tls, text, sizeof text), 4);
    assert_int_equal(tls_read(p->tls, text, sizeof text), 0);
    assert_string_equal(tls_reason(p->tls), "");
    assert_int_equal(tls_shutdown(p->tls), 0); /* nothing to say to nobody */
}

static void test_a_write_to_nobody(void **state)
{
    struct pair *p = *state;

    shake(p);
    close_fd(&p->client_fd);
    assert_int_equal(tls_write(p->tls, "x", 1), -EPIPE);
    assert_string_equal(tls_reason(p->tls), "Broken pipe");
    assert_int_equal(tls_write(p->tls, "x", 1), -EPROTO);
}

static void test_shutdown(void **state)
{
    struct pair *p = *state;
    char text[8];

    assert_int_equal(tls_shutdown(p->tls), 0); /* before the handshake: nothing to end */
    shake(p);
    assert_int_equal(tls_write(p->tls, "bye", 3), 3);
    assert_int_equal(tls_shutdown(p->tls), 0);
    assert_int_equal(SSL_read(p->client, text, sizeof text), 3);
    assert_int_equal(SSL_get_error(p->client, SSL_read(p->client, text, sizeof text)),
                     SSL_ERROR_ZERO_RETURN);
    SSL_write(p->client, "you", 3); /* the other direction is still open */
    assert_int_equal(tls_read(p->tls, text, sizeof text), 3);
}

static void test_handshake_faults(void **state)
{
    static const struct {
        const char *bytes, *reason;
    } rows[] = {
        {"GET / HTTP/1.1\r\n\r\n", "http request"},
        {"CONNECT a.test:443 HTTP/1.1\r\n\r\n", "https proxy request"},
        {"SSH-2.0-OpenSSH_9.2\r\n", "wrong version number"},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct pair *p;
        char c;

        setup(state);
        p = *state;
        assert_true(write(p->client_fd, rows[i].bytes, strlen(rows[i].bytes)) > 0);
        assert_int_equal(tls_read(p->tls, &c, 1), -EPROTO);
        assert_string_equal(tls_reason(p->tls), rows[i].reason);
        assert_int_equal(tls_read(p->tls, &c, 1), -EPROTO);
        assert_int_equal(ERR_peek_error(), 0);
        teardown(state);
    }
}

static void test_alert_of_the_client(void **state)
{
    struct pair *p = *state;

    SSL_set_verify(p->client, SSL_VERIFY_PEER, NULL); /* it knows no authority at all */
    assert_int_equal(shake(p), -EPROTO);
    assert_string_equal(tls_reason(p->tls), "tlsv1 alert unknown ca");
}

static void test_versions(void **state)
{
    static const struct {
        int version;
        ssize_t result;
    } rows[] = {{TLS1_3_VERSION, -EAGAIN}, {TLS1_2_VERSION, -EAGAIN}, {TLS1_1_VERSION, -EPROTO}};

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct pair *p;

        setup(state);
        p = *state;
        SSL_set_security_level(p->client, 0);
        SSL_set_min_proto_version(p->client, rows[i].version);
        SSL_set_max_proto_version(p->client, rows[i].version);
        assert_int_equal(shake(p), rows[i].result);
        assert_string_equal(tls_reason(p->tls),
                            rows[i].result == -EPROTO ? "unsupported protocol" : "");
        teardown(state);
    }
}

static void test_alpn(void **state)
{
    static const struct {
        const char *offer, *picked;
        ssize_t result;
    } rows[] = {
        {"", "", -EAGAIN},
        {"\x08http/1.1", "http/1.1", -EAGAIN},
        {"\x02h2\x08http/1.1", "http/1.1", -EAGAIN},
        {"\x02h2", "", -EPROTO},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const unsigned char *picked;
        unsigned len;
        struct pair *p;

        setup(state);
        p = *state;
        SSL_set_alpn_protos(p->client, (const unsigned char *)rows[i].offer,
                            (unsigned)strlen(rows[i].offer));
        assert_int_equal(shake(p), rows[i].result);
        SSL_get0_alpn_selected(p->client, &picked, &len);
        assert_int_equal(len, strlen(rows[i].picked));
        assert_true(len == 0 || memcmp(picked, rows[i].picked, len) == 0);
        teardown(state);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_context_errors),
        cmocka_unit_test(test_old_certificate_is_taken_and_warned_about),
        TEST(bytes_go_both_ways),
        TEST(partial_writes),
        TEST(close_notify_is_a_clean_end),
        TEST(an_end_without_close_notify_is_one_too),
        TEST(a_write_to_nobody),
        TEST(shutdown),
        cmocka_unit_test(test_handshake_faults),
        TEST(alert_of_the_client),
        cmocka_unit_test(test_versions),
        cmocka_unit_test(test_alpn),
    };

    return cmocka_run_group_tests(tests, make_files, remove_files);
}
