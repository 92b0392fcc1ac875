#include "wire/cert.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <time.h>

#include "base/digest.h"
#include "base/endpoint.h"
#include "base/util.h"

/* A text that is cut at its room, never inside a UTF-8 sequence. */
struct text {
    char *at;
    size_t len, cap; /* cap: with the terminator */
};

static void append(struct text *t, const char *bytes, size_t len)
{
    size_t n = t->cap - 1 - t->len;

    if (len < n)
        n = len;
    else
        for (; n > 0 && n < len && ((unsigned char)bytes[n] & 0xc0) == 0x80; n--)
            ;
    for (size_t i = 0; i < n; i++)
        t->at[t->len + i] = bytes[i] ? bytes[i] : '?';
    t->len += n;
    t->at[t->len] = '\0';
}

/* "CN=…": the first of that kind, in UTF-8 whatever it was in. */
static void append_part(struct text *t, const X509_NAME *name, int nid, const char *label)
{
    int at = X509_NAME_get_index_by_NID(name, nid, -1);
    unsigned char *utf8 = NULL;
    int len;

    if (at < 0)
        return;
    len = ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at)));
    if (len < 0)
        return;
    append(t, ", ", t->len > 0 ? 2 : 0);
    append(t, label, strlen(label));
    append(t, (char *)utf8, (size_t)len);
    OPENSSL_free(utf8);
}

static void write_name(const X509_NAME *name, char out[CERT_TEXT_MAX])
{
    struct text t = {out, 0, CERT_TEXT_MAX};

    append_part(&t, name, NID_commonName, "CN=");
    append_part(&t, name, NID_organizationName, "O=");
    append_part(&t, name, NID_organizationalUnitName, "OU=");
}

static bool read_time(const ASN1_TIME *time, int64_t *out)
{
    struct tm tm;

    if (!ASN1_TIME_to_tm(time, &tm))
        return false;
    *out = timegm(&tm);
    return true;
}

/* The text of a host's name or address in `buf`; empty for other kinds. */
static struct span name_text(const GENERAL_NAME *name, char buf[ENDPOINT_TEXT_MAX])
{
    int type;
    const ASN1_STRING *value = GENERAL_NAME_get0_value(name, &type);
    struct addr a = {.family = AF_INET};
    size_t len;

    if (type == GEN_DNS)
        return (struct span){(const char *)ASN1_STRING_get0_data(value),
                             (size_t)ASN1_STRING_length(value)};
    if (type != GEN_IPADD)
        return (struct span){NULL, 0};
    len = (size_t)ASN1_STRING_length(value);
    if (len != 4 && len != 16)
        return (struct span){NULL, 0};
    a.family = len == 4 ? AF_INET : AF_INET6;
    memcpy(a.bytes, ASN1_STRING_get0_data(value), len);
    return (struct span){buf, addr_write(&a, buf)};
}

/* Names are shown whole or not at all. */
static void read_names(const X509 *x, struct cert *out)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
    struct text t = {out->names, 0, sizeof out->names};
    char buf[ENDPOINT_TEXT_MAX];

    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) { /* -1 for NULL */
        struct span name = name_text(sk_GENERAL_NAME_value(names, i), buf);

        if (name.len == 0)
            continue;
        out->names_len++;
        if (out->names_shown + 1 < out->names_len || t.len + 2 + name.len >= t.cap)
            continue; /* no room for this one, or for one before it */
        append(&t, ", ", t.len > 0 ? 2 : 0);
        append(&t, name.ptr, name.len);
        out->names_shown++;
    }
    GENERAL_NAMES_free(names);
}

static bool is_for(X509 *x, const char *host)
{
    size_t len = strlen(host);
    struct addr a;

    if (addr_parse(span_of(host), &a))
        return X509_check_ip_asc(x, host, 0) == 1;
    len -= len > 1 && host[len - 1] == '.';
    return len > 0 &&
           X509_check_host(x, host, len, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS, NULL) == 1;
}

static bool read_all(X509 *x, struct span der, const char *host, struct cert *out)
{
    if (!read_time(X509_get0_notBefore(x), &out->not_before) ||
        !read_time(X509_get0_notAfter(x), &out->not_after))
        return false;
    write_name(X509_get_subject_name(x), out->subject);
    write_name(X509_get_issuer_name(x), out->issuer);
    read_names(x, out);
    out->self_signed = X509_self_signed(x, 1) == 1;
    out->ca = X509_check_ca(x) > 0;
    out->is_for_host = host && is_for(x, host);
    digest_of(DIGEST_SHA256, &der, 1, out->fingerprint);
    return true;
}

bool cert_read(struct span der, const char *host, struct cert *out)
{
    const unsigned char *at = (const unsigned char *)der.ptr;
    X509 *x;
    bool ok;

    *out = (struct cert){0};
    if (der.len == 0 || der.len > CERT_DER_MAX)
        return false;
    ERR_set_mark(); /* the thread's errors may be waiting for who asked TLS for something */
    x = d2i_X509(NULL, &at, (long)der.len);
    ok = x && at == (const unsigned char *)der.ptr + der.len && read_all(x, der, host, out);
    X509_free(x);
    ERR_pop_to_mark();
    if (!ok)
        *out = (struct cert){0};
    return ok;
}

bool cert_is_current(const struct cert *c, int64_t at)
{
    return at >= c->not_before && at <= c->not_after;
}
