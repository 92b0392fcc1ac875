#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "base/util.h"
#include "policy/refusal.h"

static void words_come_before_numbers(void **state)
{
    static const struct {
        const char *head;
        bool connect;
        enum verdict verdict; /* VERDICT_OK: nothing is said */
        enum certainty certainty;
        const char *words;
    } cases[] = {
        {"403 No\r\n", true, VERDICT_ACL_DENIED, CERTAINTY_INFERRED, "status 403"},
        {"451 No\r\n", true, VERDICT_ACL_DENIED, CERTAINTY_INFERRED, "status 451"},
        {"500 No\r\n", true, VERDICT_PROXY_ERROR, CERTAINTY_INFERRED, "status 500"},
        {"502 No\r\n", true, VERDICT_UPSTREAM_FAILED, CERTAINTY_INFERRED, "status 502"},
        {"503 No\r\n", true, VERDICT_OVERLOADED, CERTAINTY_INFERRED, "status 503"},
        {"504 No\r\n", true, VERDICT_UPSTREAM_TIMEOUT, CERTAINTY_INFERRED, "status 504"},
        {"404 No\r\n", true, VERDICT_OK, CERTAINTY_SEEN, ""},
        {"403 No\r\n", false, VERDICT_OK, CERTAINTY_SEEN, ""},
        {"502 No\r\nProxy-Status: a.example; error=dns_error; rcode=\"NXDOMAIN\"\r\n", true,
         VERDICT_UPSTREAM_UNRESOLVED, CERTAINTY_SEEN, "Proxy-Status error=dns_error"},
        {"403 No\r\nProxy-Status: far; error=http_request_denied, near; received-status=403\r\n",
         false, VERDICT_ACL_DENIED, CERTAINTY_SEEN, "Proxy-Status error=http_request_denied"},
        {"503 No\r\nProxy-Status: a; details=\"x; error=dns_error, \\\" error=dns_error\"\r\n",
         true, VERDICT_OVERLOADED, CERTAINTY_INFERRED, "status 503"},
        {"502 No\r\nProxy-Status: a\r\nProxy-Status: b;error=tls_certificate_error\r\n", false,
         VERDICT_UPSTREAM_FAILED, CERTAINTY_SEEN, "Proxy-Status error=tls_certificate_error"},
        {"503 No\r\nX-Squid-Error: ERR_DNS_FAIL 0\r\n", true, VERDICT_UPSTREAM_UNRESOLVED,
         CERTAINTY_SEEN, "X-Squid-Error: ERR_DNS_FAIL 0"},
        {"503 No\r\nX-Squid-Error: ERR_CONNECT_FAIL 111\r\n", false, VERDICT_UPSTREAM_REFUSED,
         CERTAINTY_SEEN, "X-Squid-Error: ERR_CONNECT_FAIL 111"},
        {"500 No\r\nX-Squid-Error: ERR_CANNOT_FORWARD 0\r\n", true, VERDICT_UPSTREAM_FAILED,
         CERTAINTY_SEEN, "X-Squid-Error: ERR_CANNOT_FORWARD 0"},
        {"502 No\r\nProxy-Status: \"\r\n", true, VERDICT_UPSTREAM_FAILED, CERTAINTY_INFERRED,
         "status 502"},
        {"502 No\r\nProxy-Status: a;error=\r\n", false, VERDICT_OK, CERTAINTY_SEEN, ""},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        static struct http1_head h;
        struct refusal r = {0};
        char text[512];
        int n = snprintf(text, sizeof text, "HTTP/1.1 %s\r\n", cases[i].head);

        http1_head_reset(&h);
        assert_int_equal(http1_parse_response((struct span){text, (size_t)n}, &h), PARSE_OK);
        assert_int_equal(refusal_read(&h, cases[i].connect, &r), cases[i].verdict != VERDICT_OK);
        assert_int_equal(r.verdict, cases[i].verdict);
        assert_string_equal(r.words, cases[i].words);
        if (r.words[0])
            assert_int_equal(r.certainty, cases[i].certainty);
    }
}

/* As long as a field may be: cut, not written over. */
static void long_words_are_cut(void **state)
{
    static struct http1_head h;
    struct refusal r = {0};
    char text[2048];
    int n =
        snprintf(text, sizeof text, "HTTP/1.1 502 No\r\nProxy-Status: a;error=%01000d\r\n\r\n", 0);

    (void)state;
    http1_head_reset(&h);
    assert_int_equal(http1_parse_response((struct span){text, (size_t)n}, &h), PARSE_OK);
    assert_true(refusal_read(&h, true, &r));
    assert_int_equal(strlen(r.words), sizeof r.words - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_come_before_numbers),
        cmocka_unit_test(long_words_are_cut),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
