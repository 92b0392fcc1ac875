/* The files are what squid 5.7, tinyproxy 1.11, Privoxy 3.0, HAProxy 2.6, nginx 1.22, Apache 2.4
 * and lighttpd 1.4 (Debian 12) sent, their style sheets cut out: asked for a name that does not
 * exist, a closed port, a network without route, a full backlog, and by clients they deny or do not
 * know. */
#include "flow/outside.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/util.h"
#include "wire/http1.h"

#define CONNECT OUTSIDE_CONNECT
#define ABSOLUTE OUTSIDE_ABSOLUTE
#define DIRECT OUTSIDE_DIRECT
#define SEEN CERTAINTY_SEEN
#define INFERRED CERTAINTY_INFERRED

static const char *folder; /* of the real answers */

struct outside_case {
    const char *answer; /* the name of a file, or the bytes themselves */
    enum outside_asked asked;
    bool credentials;
    enum verdict verdict;
    enum side by;
    enum certainty certainty;
    const char *product;  /* NULL: none */
    const char *evidence; /* must be in one item */
};

static struct outside_answer parse(struct span bytes, struct http1_head *h,
                                   const struct outside_case *c)
{
    struct outside_answer a = {
        .asked = c->asked, .by_name = true, .credentials_sent = c->credentials, .first = bytes};

    http1_head_reset(h);
    if (http1_parse_response(bytes, h) != PARSE_OK)
        return a;
    a.is_http = true;
    a.status = h->status;
    a.reason = h->reason;
    a.body = (struct span){bytes.ptr + h->head_len, bytes.len - h->head_len};
    for (unsigned i = 0; i < h->fields_len; i++)
        outside_add_field(&a, h->fields[i].name, h->fields[i].value);
    return a;
}

static bool has_evidence(const struct flow *f, const char *want)
{
    uint32_t at = 0;
    const char *text;

    while ((text = flow_next_note(f, NOTE_EVIDENCE, NULL, &at)))
        if (strstr(text, want))
            return true;
    return false;
}

static void print_evidence(const struct flow *f)
{
    uint32_t at = 0;
    const char *text;

    while ((text = flow_next_note(f, NOTE_EVIDENCE, NULL, &at)))
        print_message("#   %s\n", text);
}

static void run_case(const struct outside_case *c, struct span bytes)
{
    struct http1_head h;
    struct outside_answer a = parse(bytes, &h, c);
    struct flow f = {0};
    struct outside_verdict got = outside_judge(&a, &f);

    if (got.verdict != c->verdict || got.by != c->by || got.certainty != c->certainty ||
        (c->evidence && !has_evidence(&f, c->evidence)) ||
        strcmp(got.product ? got.product : "", c->product ? c->product : "") != 0) {
        print_evidence(&f);
        fail_msg("%.60s: %s by %s (%s), product %s, reason %s", c->answer,
                 verdict_get_info(got.verdict)->name, verdict_side_name(got.by),
                 verdict_certainty_name(got.certainty), got.product, got.reason);
    }
    flow_fini(&f);
}

static size_t read_file(const char *name, char *out, size_t cap)
{
    char path[4096];
    FILE *f;
    size_t n;

    snprintf(path, sizeof path, "%s/%s", folder, name);
    f = fopen(path, "re");
    if (!f)
        fail_msg("%s cannot be read", path);
    n = fread(out, 1, cap, f);
    fclose(f);
    return n;
}

static void run_files(const struct outside_case *cases, size_t n)
{
    static char bytes[65536];

    for (size_t i = 0; i < n; i++)
        run_case(&cases[i], (struct span){bytes, read_file(cases[i].answer, bytes, sizeof bytes)});
}

static void run_texts(const struct outside_case *cases, size_t n)
{
    for (size_t i = 0; i < n; i++)
        run_case(&cases[i], span_of(cases[i].answer));
}

/* Rows in short: who, what the verdict is and how sure. */
#define ROW(answer, asked, credentials, verdict, by, certainty, product, evidence)                 \
    {                                                                                              \
        answer, asked, credentials, VERDICT_##verdict, SIDE_##by, certainty, product, evidence     \
    }

static void real_proxies(void **state)
{
    static const struct outside_case cases[] = {
        ROW("squid-connect-denied", CONNECT, 0, ACL_DENIED, PROXY, SEEN, "squid",
            "squid says: ERR_ACCESS_DENIED"),
        ROW("squid-get-denied", ABSOLUTE, 0, ACL_DENIED, PROXY, SEEN, "squid", "403 Forbidden"),
        ROW("squid-connect-badport", CONNECT, 0, ACL_DENIED, PROXY, SEEN, "squid", NULL),
        ROW("squid-nx-connect", CONNECT, 0, UPSTREAM_UNRESOLVED, NETWORK, INFERRED, "squid",
            "ERR_CANNOT_FORWARD"),
        ROW("squid-nx-get", ABSOLUTE, 0, UPSTREAM_UNRESOLVED, NETWORK, INFERRED, "squid",
            "ERR_READ_ERROR"),
        ROW("squid-connect-refused", CONNECT, 0, UPSTREAM_REFUSED, TARGET, SEEN, "squid",
            "ERR_CONNECT_FAIL 111"),
        ROW("squid-get-refused", ABSOLUTE, 0, UPSTREAM_REFUSED, TARGET, SEEN, "squid", NULL),
        ROW("squid-get-unroutable", ABSOLUTE, 0, UPSTREAM_UNREACHABLE, NETWORK, SEEN, "squid",
            NULL),
        ROW("squid-connect-timeout", CONNECT, 0, UPSTREAM_TIMEOUT, TARGET, SEEN, "squid",
            "ERR_CONNECT_FAIL 110"),
        ROW("squid-get-zero", ABSOLUTE, 0, UPSTREAM_FAILED, TARGET, SEEN, "squid", NULL),
        ROW("squid-get-404", ABSOLUTE, 0, TARGET_ERROR, TARGET, SEEN, NULL, "Server: origin"),
        ROW("squid-get-403", ABSOLUTE, 0, TARGET_ERROR, TARGET, SEEN, NULL, NULL),
        ROW("squid-get-401", ABSOLUTE, 0, TARGET_ERROR, TARGET, SEEN, NULL,
            "the target wants a log-in"),
        ROW("squid-get-302", ABSOLUTE, 0, OK, NOBODY, SEEN, NULL, NULL),
        ROW("squid-get-toobig", ABSOLUTE, 0, SIZE_LIMIT, PROXY, SEEN, "squid", "ERR_TOO_BIG"),
        ROW("squid-bad-request", CONNECT, 0, BAD_REQUEST, PROXY, SEEN, "squid", NULL),
        ROW("squid-longhead", ABSOLUTE, 0, BAD_REQUEST, PROXY, SEEN, "squid", NULL),
        ROW("squid-basic-required", CONNECT, 0, AUTH_REQUIRED, PROXY, SEEN, "squid",
            "offers Basic"),
        ROW("squid-basic-wrong", CONNECT, 1, AUTH_FAILED, PROXY, SEEN, "squid", NULL),
        ROW("squid-digest-required", ABSOLUTE, 0, AUTH_REQUIRED, PROXY, SEEN, "squid",
            "offers Digest"),
        ROW("squid-digest-wrong", CONNECT, 1, AUTH_REQUIRED, PROXY, INFERRED, "squid",
            "nonce was stale"),
        ROW("tinyproxy-connect-denied", CONNECT, 0, ACL_DENIED, PROXY, SEEN, "tinyproxy",
            "has been filtered"),
        ROW("tinyproxy-connect-badport", CONNECT, 0, ACL_DENIED, PROXY, SEEN, "tinyproxy",
            "The CONNECT method not allowed"),
        ROW("tinyproxy-client-denied", CONNECT, 0, ACL_DENIED, PROXY, SEEN, "tinyproxy", NULL),
        ROW("tinyproxy-connect-unresolved", CONNECT, 0, UPSTREAM_FAILED, TARGET, INFERRED,
            "tinyproxy", "unable to connect"),
        ROW("tinyproxy-get-refused", ABSOLUTE, 0, UPSTREAM_FAILED, TARGET, INFERRED, "tinyproxy",
            NULL),
        ROW("tinyproxy-get-unsent", ABSOLUTE, 0, UPSTREAM_FAILED, TARGET, SEEN, "tinyproxy",
            "A network error"),
        ROW("tinyproxy-get-403", ABSOLUTE, 0, TARGET_ERROR, TARGET, SEEN, NULL, NULL),
        ROW("tinyproxy-bad-request", CONNECT, 0, BAD_REQUEST, PROXY, SEEN, "tinyproxy", NULL),
        ROW("tinyproxy-basic-required", CONNECT, 0, AUTH_REQUIRED, PROXY, SEEN, "tinyproxy", NULL),
        ROW("tinyproxy-basic-wrong", CONNECT, 1, AUTH_FAILED, PROXY, INFERRED, "tinyproxy",
            "should answer 407"),
        ROW("tinyproxy-basic-wrong", ABSOLUTE, 1, AUTH_FAILED, PROXY, INFERRED, "tinyproxy", NULL),
        ROW("privoxy-connect-denied", CONNECT, 0, ACL_DENIED, PROXY, SEEN, "Privoxy", NULL),
        ROW("privoxy-unresolved", CONNECT, 0, UPSTREAM_UNRESOLVED, NETWORK, SEEN, "Privoxy", NULL),
        ROW("privoxy-refused", ABSOLUTE, 0, UPSTREAM_FAILED, TARGET, SEEN, "Privoxy", NULL),
        ROW("haproxy-denied", CONNECT, 0, ACL_DENIED, PROXY, SEEN, "HAProxy",
            "administrative rules"),
        ROW("haproxy-denied", ABSOLUTE, 0, TARGET_ERROR, TARGET, INFERRED, NULL, NULL),
        ROW("haproxy-connect", CONNECT, 0, UPSTREAM_FAILED, TARGET, SEEN, "HAProxy", NULL),
        ROW("haproxy-bad", CONNECT, 0, BAD_REQUEST, PROXY, SEEN, "HAProxy", NULL),
        ROW("envoy", CONNECT, 0, UPSTREAM_REFUSED, TARGET, SEEN, "Envoy", NULL),
        ROW("zscaler-redirect", ABSOLUTE, 0, ACL_DENIED, PROXY, SEEN, "Zscaler", "CATEGORY_DENIED"),
    };

    (void)state;
    run_files(cases, ARRAY_LEN(cases));
}

static void what_is_no_proxy(void **state)
{
    static const struct outside_case files[] = {
        ROW("nginx-connect", CONNECT, 0, NOT_A_PROXY, PROXY, SEEN, NULL,
            "a web server (nginx/1.22.1) answered"),
        ROW("nginx-tls-get", ABSOLUTE, 0, NOT_A_PROXY, PROXY, SEEN, NULL,
            "a web server that wants TLS (nginx/1.22.1)"),
        ROW("apache-connect", CONNECT, 0, NOT_A_PROXY, PROXY, SEEN, NULL, "a web server (Apache"),
        ROW("apache-tls-get", CONNECT, 0, NOT_A_PROXY, PROXY, SEEN, NULL, "that wants TLS"),
        ROW("lighttpd-connect", CONNECT, 0, NOT_A_PROXY, PROXY, SEEN, NULL, NULL),
        ROW("apache-get", ABSOLUTE, 0, TARGET_ERROR, TARGET, SEEN, NULL, NULL),
        ROW("ssh", CONNECT, 0, NOT_A_PROXY, PROXY, SEEN, NULL,
            "an SSH server (SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3) answered"),
        ROW("smtp", ABSOLUTE, 0, NOT_A_PROXY, PROXY, SEEN, NULL, "a mail (SMTP) server"),
        ROW("tls-alert", CONNECT, 0, NOT_A_PROXY, PROXY, SEEN, NULL, "a TLS server"),
        ROW("ssh", DIRECT, 0, UPSTREAM_FAILED, TARGET, SEEN, NULL, "an SSH server"),
    };
    static const struct outside_case texts[] = {
        ROW("HTTP/1.1 404 Not Found\r\n\r\n", CONNECT, 0, NOT_A_PROXY, PROXY, SEEN, NULL,
            "a web server"),
        ROW("HTTP/1.1 501 Not Implemented\r\n\r\n", CONNECT, 0, NOT_A_PROXY, PROXY, SEEN, NULL,
            NULL),
        ROW("HTTP/1.1 404 Not Found\r\nVia: 1.1 a\r\n\r\n", CONNECT, 0, NOT_FOUND, PROXY, INFERRED,
            NULL, NULL),
        ROW("HTTP/1.1 400 Bad Request\r\n\r\n", CONNECT, 0, BAD_REQUEST, PROXY, INFERRED, NULL,
            NULL),
        ROW("HTTP/1.1 302 Found\r\nLocation: http://portal.test/login\r\n\r\n", CONNECT, 0,
            NOT_A_PROXY, PROXY, SEEN, NULL, "http://portal.test/login"),
        ROW("HTTP/1.1 302 Found\r\nServer: squid/5.7\r\nX-Squid-Error: 302:http://why.test/ 0\r\n"
            "Location: http://why.test/\r\n\r\n",
            ABSOLUTE, 0, ACL_DENIED, PROXY, INFERRED, "squid", "Location: http://why.test/"),
        ROW("HTTP/1.1 404 Not Found\r\nserver: envoy\r\n\r\n", CONNECT, 0, NOT_A_PROXY, PROXY, SEEN,
            "Envoy", "a web server (envoy)"),
        ROW("HTTP/1.1 302 Found\r\nServer: squid\r\nLocation: http://why.test/\r\n\r\n", CONNECT, 0,
            ACL_DENIED, PROXY, INFERRED, "squid", NULL),
        ROW("HTTP/1.1 511 Network Authentication Required\r\n\r\n", ABSOLUTE, 0, NOT_A_PROXY,
            NETWORK, SEEN, NULL, "captive portal"),
        ROW("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<html>", CONNECT, 0, NOT_A_PROXY,
            PROXY, SEEN, NULL, "a page of its own"),
        ROW("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<html>", ABSOLUTE, 0, OK, NOBODY,
            SEEN, NULL, NULL),
        ROW("HTTP/1.1 200 OK\r\nVia: 1.1 a\r\nContent-Type: text/html\r\n\r\n<html>", CONNECT, 0,
            OK, NOBODY, SEEN, NULL, NULL),
        ROW("HTTP/1.1 400 x\r\nServer: nginx\r\nVia: 1.1 a\r\n\r\n"
            "The plain HTTP request was sent to HTTPS port",
            ABSOLUTE, 0, TARGET_ERROR, TARGET, SEEN, NULL, NULL),
        ROW("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", CONNECT, 0, OK, NOBODY, SEEN, NULL,
            NULL),
        ROW("HTTP/1.0 200 Connection established\r\nProxy-agent: tinyproxy/1.11.1\r\n\r\n", CONNECT,
            0, OK, NOBODY, SEEN, NULL, NULL),
        ROW("HTTP/1.1 two hundred\r\n\r\n", CONNECT, 0, NOT_A_PROXY, PROXY, INFERRED, NULL,
            "something whose HTTP is malformed (HTTP/1.1 two hundred) answered"),
        ROW("", CONNECT, 0, NOT_A_PROXY, PROXY, SEEN, NULL, "nothing at all"),
    };

    (void)state;
    run_files(files, ARRAY_LEN(files));
    run_texts(texts, ARRAY_LEN(texts));
}

static void words_come_before_numbers(void **state)
{
    static const struct outside_case cases[] = {
        ROW("HTTP/1.1 403 Forbidden (acl-denied: rule social)\r\nProxy-Status: v; "
            "error=http_request_denied; details=\"rule social\"\r\n\r\n",
            CONNECT, 0, ACL_DENIED, PROXY, SEEN, "viaduct", "rule social"),
        ROW("HTTP/1.1 503 Service Unavailable (draining)\r\nProxy-Status: v; "
            "error=proxy_internal_response\r\n\r\n",
            ABSOLUTE, 0, DRAINING, PROXY, SEEN, "viaduct", NULL),
        ROW("HTTP/1.1 502 Bad Gateway (parent-auth-failed)\r\nProxy-Status: v; "
            "error=proxy_configuration_error; received-status=407\r\n\r\n",
            CONNECT, 0, PARENT_AUTH_FAILED, PARENT, SEEN, "viaduct", "had answered 407"),
        ROW("HTTP/1.1 418 (acl-denied)\r\nServer: odd\r\n\r\n", ABSOLUTE, 0, TARGET_ERROR, TARGET,
            SEEN, NULL, NULL),
        ROW("HTTP/1.1 502 x (no-such-verdict)\r\n\r\n", CONNECT, 0, UPSTREAM_FAILED, TARGET,
            INFERRED, NULL, NULL),
        ROW("HTTP/1.1 502 x (ok)\r\n\r\n", CONNECT, 0, UPSTREAM_FAILED, TARGET, INFERRED, NULL,
            NULL),
        ROW("HTTP/1.1 502 Bad Gateway\r\nProxy-Status: p; error=connection_refused; "
            "next-hop=\"192.0.2.1:443\"\r\n\r\n",
            CONNECT, 0, UPSTREAM_REFUSED, TARGET, SEEN, NULL, "next-hop=192.0.2.1:443"),
        ROW("HTTP/1.1 403 Forbidden\r\nProxy-Status: far; error=http_request_denied\r\n"
            "Proxy-Status: near; received-status=403\r\n\r\n",
            CONNECT, 0, ACL_DENIED, PARENT, SEEN, NULL, "said by the parent"),
        ROW("HTTP/1.1 403 Forbidden\r\nProxy-Status: near; received-status=403\r\n\r\n", ABSOLUTE,
            0, TARGET_ERROR, TARGET, SEEN, NULL, NULL),
        ROW("HTTP/1.1 403 Forbidden\r\nX-Squid-Error: ERR_ACCESS_DENIED 0\r\n"
            "Via: 1.1 parent (squid/5.7), 1.1 near (squid/5.7)\r\n\r\n",
            ABSOLUTE, 0, ACL_DENIED, PARENT, SEEN, "squid", "said by the parent"),
        ROW("HTTP/1.1 403 x\r\nProxy-Status: v; error=http_response_body_size; "
            "received-status=200\r\n\r\n",
            ABSOLUTE, 0, SIZE_LIMIT, PROXY, SEEN, NULL, NULL),
        ROW("HTTP/1.1 503 x\r\nProxy-Status: p; error=proxy_internal_response; "
            "details=\"shutting down\"\r\n\r\n",
            CONNECT, 0, DRAINING, PROXY, SEEN, NULL, NULL),
        ROW("HTTP/1.1 503 x\r\nProxy-Status: p; error=proxy_internal_response\r\n\r\n", CONNECT, 0,
            OVERLOADED, PROXY, INFERRED, NULL, NULL),
        ROW("HTTP/1.1 408 Request Timeout\r\n\r\n", CONNECT, 0, REQUEST_TIMEOUT, CLIENT, INFERRED,
            NULL, NULL),
        ROW("HTTP/1.1 503 x\r\nRetry-After: 7\r\n\r\n", CONNECT, 0, OVERLOADED, PROXY, INFERRED,
            NULL, "Retry-After: 7"),
        ROW("HTTP/1.1 503 x\r\nX-Squid-Error: ERR_CUSTOM 0\r\n\r\n", CONNECT, 0, OVERLOADED, PROXY,
            INFERRED, "squid", NULL),
        ROW("HTTP/1.1 503 x\r\n\r\n<body id=ERR_CONNECT_FAIL>The system returned: <i>(113) No "
            "route",
            ABSOLUTE, 0, UPSTREAM_UNREACHABLE, NETWORK, SEEN, "squid", NULL),
        ROW("HTTP/1.1 403 Forbidden\r\n\r\n<h1>FortiGuard Intrusion Prevention - Access Blocked",
            ABSOLUTE, 0, ACL_DENIED, PROXY, SEEN, "FortiGate", NULL),
        ROW("HTTP/1.1 403 Forbidden\r\n\r\n<h1>FortiGuard Intrusion Prevention - Access Blocked",
            DIRECT, 0, ACL_DENIED, NETWORK, SEEN, "FortiGate", "FortiGate says"),
    };

    (void)state;
    run_texts(cases, ARRAY_LEN(cases));
}

/* An address needs no look-up: then squid's word for it says something else. */
static void an_address_is_not_unresolved(void **state)
{
    struct outside_answer a = {
        .is_http = true, .status = 500, .squid_error = SPAN_INIT("ERR_CANNOT_FORWARD 0")};
    struct flow f = {0};

    (void)state;
    assert_int_equal(outside_judge(&a, &f).verdict, VERDICT_UPSTREAM_FAILED);
    a.by_name = true;
    assert_int_equal(outside_judge(&a, &f).verdict, VERDICT_UPSTREAM_UNRESOLVED);
    flow_fini(&f);
}

static void logins(void **state)
{
    static const struct outside_case files[] = {
        ROW("ntlm", CONNECT, 0, AUTH_UNSUPPORTED, PARENT, SEEN, NULL, "Negotiate, NTLM"),
        ROW("challenges", CONNECT, 0, AUTH_REQUIRED, PROXY, SEEN, NULL, "Digest, NTLM"),
    };
    static const struct outside_case texts[] = {
        ROW("HTTP/1.1 407 x\r\nProxy-Authenticate: Digest realm=\"a\", nonce=\"b\", Basic\r\n\r\n",
            CONNECT, 1, AUTH_FAILED, PROXY, SEEN, NULL, "offers Digest, Basic"),
        ROW("HTTP/1.1 407 x\r\nProxy-Authenticate: basic realm=x\r\n\r\n", ABSOLUTE, 0,
            AUTH_REQUIRED, PROXY, SEEN, NULL, NULL),
        ROW("HTTP/1.1 407 x\r\n\r\n", CONNECT, 0, AUTH_REQUIRED, PROXY, INFERRED, NULL,
            "without a challenge"),
        ROW("HTTP/1.1 401 x\r\nWWW-Authenticate: Basic realm=x\r\n\r\n", CONNECT, 0, AUTH_REQUIRED,
            PROXY, INFERRED, NULL, "should answer 407"),
        ROW("HTTP/1.1 401 x\r\nWWW-Authenticate: Basic realm=x\r\n\r\n", ABSOLUTE, 0, TARGET_ERROR,
            TARGET, SEEN, NULL, NULL),
        ROW("HTTP/1.1 407 x\r\nProxy-Status: v; error=http_request_denied\r\n"
            "Proxy-Authenticate: Basic\r\n\r\n",
            CONNECT, 0, AUTH_REQUIRED, PROXY, SEEN, NULL, NULL),
    };

    (void)state;
    run_files(files, ARRAY_LEN(files));
    run_texts(texts, ARRAY_LEN(texts));
}

static void numbers(void **state)
{
    static const struct {
        int status;
        enum verdict connect, signed_by_proxy;
    } cases[] = {
        {403, VERDICT_ACL_DENIED, VERDICT_ACL_DENIED},
        {404, VERDICT_NOT_A_PROXY, VERDICT_NOT_FOUND},
        {405, VERDICT_NOT_A_PROXY, VERDICT_BAD_REQUEST},
        {408, VERDICT_REQUEST_TIMEOUT, VERDICT_REQUEST_TIMEOUT},
        {413, VERDICT_BAD_REQUEST, VERDICT_BAD_REQUEST},
        {429, VERDICT_CLIENT_LIMIT, VERDICT_CLIENT_LIMIT},
        {451, VERDICT_ACL_DENIED, VERDICT_ACL_DENIED},
        {500, VERDICT_PROXY_ERROR, VERDICT_PROXY_ERROR},
        {501, VERDICT_NOT_A_PROXY, VERDICT_BAD_REQUEST},
        {502, VERDICT_UPSTREAM_FAILED, VERDICT_UPSTREAM_FAILED},
        {503, VERDICT_OVERLOADED, VERDICT_OVERLOADED},
        {504, VERDICT_UPSTREAM_TIMEOUT, VERDICT_UPSTREAM_TIMEOUT},
        {521, VERDICT_UPSTREAM_REFUSED, VERDICT_UPSTREAM_REFUSED},
        {599, VERDICT_PROXY_ERROR, VERDICT_PROXY_ERROR},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct outside_answer a = {.is_http = true, .status = (uint16_t)cases[i].status};
        struct flow f = {0};

        assert_int_equal(outside_judge(&a, &f).verdict, cases[i].connect);
        a.asked = OUTSIDE_ABSOLUTE;
        assert_int_equal(outside_judge(&a, &f).verdict,
                         cases[i].status == 408 ? VERDICT_REQUEST_TIMEOUT : VERDICT_TARGET_ERROR);
        a.server = SPAN_LIT("Zscaler/6.2");
        assert_int_equal(outside_judge(&a, &f).verdict, cases[i].signed_by_proxy);
        assert_int_equal(outside_judge(&a, &f).certainty, CERTAINTY_INFERRED);
        a.asked = OUTSIDE_DIRECT;
        assert_int_equal(outside_judge(&a, &f).verdict, VERDICT_TARGET_ERROR);
        flow_fini(&f);
    }
}

static void texts_from_outside_are_cut(void **state)
{
    static char long_text[20000];
    struct outside_answer a = {.is_http = true, .status = 403};
    struct flow f = {0};
    struct outside_verdict got;

    (void)state;
    memset(long_text, 'x', sizeof long_text);
    a.reason = a.server = (struct span){long_text, sizeof long_text};
    a.body = (struct span){long_text, sizeof long_text};
    for (int i = 0; i < 20; i++)
        outside_add_field(&a, SPAN_LIT("Proxy-Status"), SPAN_LIT("a;error=dns_error,b,c,d"));
    assert_int_equal(a.proxy_status.len, OUTSIDE_VALUES_MAX);
    got = outside_judge(&a, &f);
    assert_int_equal(got.verdict, VERDICT_UPSTREAM_UNRESOLVED);
    assert_true(f.notes.len < 2048);
    flow_fini(&f);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(real_proxies),
        cmocka_unit_test(what_is_no_proxy),
        cmocka_unit_test(words_come_before_numbers),
        cmocka_unit_test(an_address_is_not_unresolved),
        cmocka_unit_test(logins),
        cmocka_unit_test(numbers),
        cmocka_unit_test(texts_from_outside_are_cut),
    };

    folder = argc > 1 ? argv[1] : "tests/fuzz/corpus/outside";
    return cmocka_run_group_tests(tests, NULL, NULL);
}
