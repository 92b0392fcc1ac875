/* net/tls as the end that opens the connection, against our own listener over a socketpair. */
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
#include <unistd.h>

#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <cmocka.h>

#include "base/util.h"
#include "net/tls.h"

#define NAME "proxy.test"

static struct {
    char dir[32], cert[64], key[64], other[64];
} files;

static void write_pem(char *path, const char *name, X509 *cert, EVP_PKEY *key)
{
    FILE *f;

    snprintf(path, 64, "%s/%s", files.dir, name);
    f = fopen(path, "w");
    assert_non_null(f);
    if (cert)
        PEM_write_X509(f, cert);
    else
        PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL);
    fclose(f);
}

/* Signed by itself, good for the name and for 192.0.2.1. */
static X509 *make_certificate(EVP_PKEY *key)
{
    X509 *cert = X509_new();
    X509_NAME *name = X509_get_subject_name(cert);
    X509_EXTENSION *names =
        X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, "DNS:" NAME ",IP:192.0.2.1");

    X509_set_version(cert, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
    X509_gmtime_adj(X509_getm_notBefore(cert), -3600);
    X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)NAME, -1, -1, 0);
    X509_set_issuer_name(cert, name);
    X509_set_pubkey(cert, key);
    X509_add_ext(cert, names, -1);
    X509_EXTENSION_free(names);
    assert_true(X509_sign(cert, key, EVP_sha256()) > 0);
    return cert;
}

static int make_files(void **state)
{
    EVP_PKEY *key = EVP_EC_gen("P-256"), *other = EVP_EC_gen("P-256");
    X509 *cert = make_certificate(key), *stranger = make_certificate(other);

    (void)state;
    signal(SIGPIPE, SIG_IGN);
    snprintf(files.dir, sizeof files.dir, "/tmp/tls_client.XXXXXX");
    assert_non_null(mkdtemp(files.dir));
    write_pem(files.cert, "cert.pem", cert, NULL);
    write_pem(files.other, "other.pem", stranger, NULL);
    write_pem(files.key, "key.pem", NULL, key);
    X509_free(cert);
    X509_free(stranger);
    EVP_PKEY_free(key);
    EVP_PKEY_free(other);
    return 0;
}

static int remove_files(void **state)
{
    (void)state;
    unlink(files.cert);
    unlink(files.other);
    unlink(files.key);
    return rmdir(files.dir);
}

struct pair {
    struct tls_context *ours, *theirs;
    struct tls *client, *listener;
    int fds[2];
};

static void open_pair(struct pair *p, struct tls_client_options o, const char *name)
{
    struct err err;

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, p->fds), 0);
    p->theirs = tls_context_new_listener(files.cert, files.key, &err);
    assert_non_null(p->theirs);
    p->ours = tls_context_new_client(&o, &err);
    if (!p->ours)
        fail_msg("%s", err.text);
    p->client = tls_new_client(p->ours, p->fds[0], name);
    p->listener = tls_new(p->theirs, p->fds[1]);
    assert_non_null(p->client);
    assert_non_null(p->listener);
}

static void close_pair(struct pair *p)
{
    tls_free(p->client);
    tls_free(p->listener);
    tls_context_unref(p->ours);
    tls_context_unref(p->theirs);
    close(p->fds[0]);
    close(p->fds[1]);
}

/* Both ends in turn, until one has an answer other than "wait". */
static ssize_t exchange(struct tls *from, struct tls *to, const char *text, char *got, size_t cap)
{
    ssize_t put = -EAGAIN, n = -EAGAIN;

    for (int i = 0; i < 20 && n == -EAGAIN; i++) {
        if (put == -EAGAIN)
            put = tls_write(from, text, strlen(text));
        if (put < 0 && put != -EAGAIN)
            return put;
        n = tls_read(to, got, cap);
    }
    return n;
}

static void verifies_name_and_issuer(void **state)
{
    static const struct {
        const char *name;
        bool trusted, verified, wrong_name;
    } cases[] = {
        {NAME, true, true, false},         {"192.0.2.1", true, true, false},
        {"other.test", true, false, true}, {"192.0.2.2", true, false, true},
        {NAME, false, false, false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        for (int strict = 0; strict < 2; strict++) {
            struct tls_client_options o = {.ca = cases[i].trusted ? files.cert : files.other,
                                           .verify = strict,
                                           .alpn = "http/1.1"};
            struct tls_facts facts;
            struct pair p;
            char got[16];
            bool ours;
            ssize_t n;

            open_pair(&p, o, cases[i].name);
            n = exchange(p.client, p.listener, "hello", got, sizeof got);
            tls_get_facts(p.client, &facts);
            assert_int_equal(facts.verified, cases[i].verified);
            assert_int_equal(facts.is_wrong_name, cases[i].wrong_name);
            assert_int_equal(!*facts.fault, cases[i].verified);
            if (strict && !cases[i].verified) {
                assert_int_equal(n, -EPROTO);
                assert_true(tls_get_alert(p.client, &ours) >= 0);
                assert_true(ours);
            } else {
                assert_int_equal(n, 5);
                assert_string_equal(facts.version, "TLSv1.3");
                assert_string_equal(facts.alpn, "http/1.1");
                assert_int_equal(facts.certificates, 1);
                assert_int_equal(tls_get_alert(p.client, &ours), -1);
            }
            close_pair(&p);
        }
}

static void shows_certificates(void **state)
{
    struct tls_client_options o = {.ca = files.cert};
    unsigned char *leaf, *none;
    struct pair p;
    char got[16];
    size_t len;

    (void)state;
    open_pair(&p, o, NAME);
    exchange(p.client, p.listener, "hello", got, sizeof got);
    len = tls_get_certificate(p.client, 0, &leaf);
    assert_true(len > 100);
    assert_int_equal(tls_get_certificate(p.client, 1, &none), 0);
    tls_free_der(leaf);
    close_pair(&p);
}

static size_t hello_of(struct tls_client_options o)
{
    struct pair p;
    char bytes[4096];
    ssize_t n;

    o.ca = files.cert;
    open_pair(&p, o, "a-name-of-usual-length.updates.example.net");
    assert_int_equal(tls_read(p.client, bytes, sizeof bytes), -EAGAIN);
    n = read(p.fds[1], bytes, sizeof bytes);
    close_pair(&p);
    return n > 0 ? (size_t)n : 0;
}

static void hello_has_the_size_that_is_asked_for(void **state)
{
    (void)state;
    assert_in_range(hello_of((struct tls_client_options){.hello_len = 1700}), 1600, 1800);
    assert_in_range(hello_of((struct tls_client_options){.small = true, .alpn = "http/1.1"}), 100,
                    399);
}

static void speaks_inside_another_connection(void **state)
{
    struct tls_client_options o = {.ca = files.cert, .verify = true};
    struct pair p;
    struct tls *inner, *far;
    char got[16];
    ssize_t n = -EAGAIN;
    bool put = false;

    (void)state;
    open_pair(&p, o, NAME);
    inner = tls_new_inside(p.ours, p.client, NAME);
    far = tls_new(p.theirs, p.fds[1]); /* lends its context; the transport is replaced below */
    assert_non_null(inner);
    tls_free(far);
    /* the far end unwraps the outer layer and hands its bytes to a listener of its own */
    int loop[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, loop), 0);
    far = tls_new(p.theirs, loop[1]);
    for (int i = 0; i < 200 && n == -EAGAIN; i++) {
        char bytes[4096];
        ssize_t some;

        if (!put)
            put = tls_write(inner, "hello", 5) == 5;
        some = tls_read(p.listener, bytes, sizeof bytes);
        if (some > 0)
            assert_int_equal(write(loop[0], bytes, (size_t)some), some);
        n = tls_read(far, got, sizeof got);
        some = read(loop[0], bytes, sizeof bytes);
        if (some > 0)
            assert_int_equal(tls_write(p.listener, bytes, (size_t)some), some);
    }
    assert_int_equal(n, 5);
    assert_memory_equal(got, "hello", 5);
    tls_free(inner);
    tls_free(far);
    close(loop[0]);
    close(loop[1]);
    close_pair(&p);
}

struct seen {
    size_t sent, received;
    unsigned secrets;
};

static void on_bytes(void *owner, bool sent, const void *bytes, size_t n)
{
    struct seen *s = owner;

    assert_int_equal(((const char *)bytes)[0] & 0xf0, 0x10); /* begins with a record, whole reads */
    *(sent ? &s->sent : &s->received) += n;
}

static void on_secret(void *owner, const char *line)
{
    struct seen *s = owner;

    s->secrets += strstr(line, "TRAFFIC_SECRET") != NULL;
}

static void shows_bytes_and_secrets(void **state)
{
    struct seen seen = {0};
    struct tls_client_options o = {.ca = files.cert, .on_secret = on_secret, .owner = &seen};
    struct pair p;
    char got[16];

    (void)state;
    open_pair(&p, o, NAME);
    tls_set_tap(p.client, on_bytes, &seen);
    tls_read(p.client, got, sizeof got);
    assert_true(seen.sent > 200);
    assert_int_equal(seen.received, 0);
    close_pair(&p);
    seen = (struct seen){0};
    open_pair(&p, o, NAME);
    assert_int_equal(exchange(p.client, p.listener, "hello", got, sizeof got), 5);
    assert_int_equal(seen.secrets, 4);
    close_pair(&p);
}

static void says_what_is_wrong_with_the_ca(void **state)
{
    struct tls_client_options missing = {.ca = "/nowhere/ca.pem"}, key = {.ca = files.key};
    struct err err;

    (void)state;
    assert_null(tls_context_new_client(&missing, &err));
    assert_string_equal(err.text, "/nowhere/ca.pem: No such file or directory");
    assert_null(tls_context_new_client(&key, &err));
    assert_non_null(strstr(err.text, "no usable certificate"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(verifies_name_and_issuer),
        cmocka_unit_test(shows_certificates),
        cmocka_unit_test(hello_has_the_size_that_is_asked_for),
        cmocka_unit_test(speaks_inside_another_connection),
        cmocka_unit_test(shows_bytes_and_secrets),
        cmocka_unit_test(says_what_is_wrong_with_the_ca),
    };

    return cmocka_run_group_tests(tests, make_files, remove_files);
}
