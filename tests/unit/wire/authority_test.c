#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/util.h"
#include "wire/authority.h"

#define L63 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static void good_targets(void **state)
{
    static const struct {
        const char *text, *want;
        int family;
    } cases[] = {
        {"example.net:443", "example.net:443", 0},
        {"EXAMPLE.Net:1", "example.net:1", 0},
        {"example.net.:65535", "example.net:65535", 0},
        {"a_b-c.1x:80", "a_b-c.1x:80", 0},
        {"localhost:80", "localhost:80", 0},
        {"192.0.2.1:80", "192.0.2.1:80", AF_INET},
        {"192.0.2.1.:80", "192.0.2.1:80", AF_INET},
        {"[2001:DB8:0::1]:443", "[2001:db8::1]:443", AF_INET6},
        {"[::ffff:192.0.2.1]:443", "[::ffff:192.0.2.1]:443", AF_INET6},
        {L63 ".a:80", L63 ".a:80", 0},
        {L63 "." L63 "." L63 ".aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa:80",
         L63 "." L63 "." L63 ".aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa:80",
         0},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct authority a;
        char text[AUTHORITY_TEXT_MAX];

        assert_true(authority_parse(span_of(cases[i].text), &a));
        assert_true(a.has_port);
        assert_int_equal(a.addr.family, cases[i].family);
        assert_int_equal(a.host_len, strlen(a.host));
        assert_int_equal(authority_write(&a, text), strlen(cases[i].want));
        assert_string_equal(text, cases[i].want);
    }
}

static void bad_targets(void **state)
{
    static const struct {
        const char *text;
        size_t offset;
        const char *what;
    } cases[] = {
        {"", 0, "empty host"},
        {":80", 0, "empty host"},
        {"example.net", 11, "no port"},
        {"example.net:", 12, "bad port"},
        {"example.net:0", 12, "bad port"},
        {"example.net:65536", 12, "bad port"},
        {"example.net:99999999999999999999999", 12, "bad port"},
        {"example.net:+80", 12, "bad port"},
        {"example.net:080", 12, "bad port"},
        {"example.net:80x", 12, "bad port"},
        {"example.net:80 ", 12, "bad port"},
        {"user@example.net:80", 4, "user information in the target"},
        {"user:pass@example.net:80", 9, "user information in the target"},
        {"2001:db8::1:80", 4, "IPv6 address without brackets"},
        {"::1", 0, "IPv6 address without brackets"},
        {"[::1", 0, "no end of an IPv6 address"},
        {"[]:80", 1, "bad IPv6 address"},
        {"[192.0.2.1]:80", 1, "bad IPv6 address"},
        {"[::g]:80", 1, "bad IPv6 address"},
        {"[fe80::1%eth0]:80", 8, "IPv6 zone in a host"},
        {"[fe80::1%251]:80", 8, "IPv6 zone in a host"},
        {"[::1]80", 5, "bad character after an IPv6 address"},
        {"[::1]:", 6, "bad port"},
        {"127.1:80", 0, "number that is no dotted quad"},
        {"0x7f.1:80", 0, "number that is no dotted quad"},
        {"0x7F000001:80", 0, "number that is no dotted quad"},
        {"2130706433:80", 0, "number that is no dotted quad"},
        {"1.2.3.04:80", 0, "number that is no dotted quad"},
        {"1.2.3.4.5:80", 0, "number that is no dotted quad"},
        {"1.2.3.256:80", 0, "number that is no dotted quad"},
        {"example.0x:80", 0, "number that is no dotted quad"},
        {"a..b:80", 2, "empty label in a host"},
        {".a:80", 0, "empty label in a host"},
        {".:80", 0, "empty label in a host"},
        {"a..:80", 2, "empty label in a host"},
        {"ex%61mple.net:80", 2, "percent-encoding in a host"},
        {"exa mple.net:80", 3, "bad character in a host"},
        {"ex\xc3\xa4mple.net:80", 2, "bad character in a host"},
        {"a,b:80", 1, "bad character in a host"},
        {"a/b:80", 1, "bad character in a host"},
        {"a.b" L63 ":80", 2, "label of more than 63 bytes"},
        {L63 "." L63 "." L63 ".aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa:80",
         0, "host of more than 253 bytes"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct authority a;

        assert_false(authority_parse(span_of(cases[i].text), &a));
        assert_string_equal(a.bad_what, cases[i].what);
        assert_int_equal(a.bad_offset, cases[i].offset);
    }
}

static void nul_is_no_host_character(void **state)
{
    struct authority a;

    (void)state;
    assert_false(authority_parse(SPAN_LIT("a\0b:80"), &a));
    assert_int_equal(a.bad_offset, 1);
}

static void default_port_is_put_in(void **state)
{
    struct authority a;

    (void)state;
    assert_true(authority_parse_default(SPAN_LIT("Example.net"), 8080, &a));
    assert_int_equal(a.port, 8080);
    assert_false(a.has_port);
    assert_true(authority_parse_default(SPAN_LIT("[::1]"), 80, &a));
    assert_int_equal(a.port, 80);
    assert_true(authority_parse_default(SPAN_LIT("[::1]:81"), 80, &a));
    assert_int_equal(a.port, 81);
    assert_true(a.has_port);
}

static void absolute_forms(void **state)
{
    static const struct {
        const char *text;
        bool options;
        const char *scheme, *authority, *path;
    } cases[] = {
        {"http://a.example/b?c", false, "http", "a.example:80", "/b?c"},
        {"HTTP://A.example", false, "HTTP", "a.example:80", "/"},
        {"http://a.example", true, "http", "a.example:80", "*"},
        {"http://a.example/", true, "http", "a.example:80", "/"},
        {"http://a.example?q", false, "http", "a.example:80", "?q"},
        {"http://a.example:8080/x", false, "http", "a.example:8080", "/x"},
        {"http://[::1]/x", false, "http", "[::1]:80", "/x"},
        {"https://a.example/", false, "https", "a.example:443", "/"},
        {"ws://a.example/", false, "ws", "a.example:80", "/"},
        {"wss://a.example/", false, "wss", "a.example:443", "/"},
        {"ftp://a.example/", false, "ftp", "a.example:21", "/"},
        {"gopher://a.example:70/", false, "gopher", "a.example:70", "/"},
        {"http://a.example/x@y:z\xc3\xa4", false, "http", "a.example:80", "/x@y:z\xc3\xa4"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct authority a;
        char text[AUTHORITY_TEXT_MAX];

        assert_true(authority_parse_absolute(span_of(cases[i].text), cases[i].options, &a));
        authority_write(&a, text);
        assert_string_equal(text, cases[i].authority);
        assert_true(span_equal(a.scheme, span_of(cases[i].scheme)));
        assert_true(span_equal(a.path, span_of(cases[i].path)));
    }
}

static void bad_absolute_forms(void **state)
{
    static const struct {
        const char *text;
        size_t offset;
        const char *what;
    } cases[] = {
        {"", 0, "no scheme"},
        {"/path", 0, "no scheme"},
        {"1http://a/", 0, "no scheme"},
        {"http:/a/", 4, "no \"://\" after the scheme"},
        {"http", 4, "no \"://\" after the scheme"},
        {"example.net:80", 11, "no \"://\" after the scheme"},
        {"http://", 7, "empty host"},
        {"http:///path", 7, "empty host"},
        {"http://a:/", 9, "bad port"},
        {"http://a:0/", 9, "bad port"},
        {"http://u@a/", 8, "user information in the target"},
        {"http://u:p@a/", 10, "user information in the target"},
        {"http://a\\b/", 8, "bad character in a host"},
        {"gopher://a/", 10, "no port, and none known for the scheme"},
        {"http://a/b#c", 10, "fragment in the target"},
        {"http://a#c", 8, "fragment in the target"},
        {"http://a/b c", 10, "bad character in the path"},
        {"http://a/b\x7f", 10, "bad character in the path"},
        {"http://2130706433/", 7, "number that is no dotted quad"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct authority a;

        assert_false(authority_parse_absolute(span_of(cases[i].text), false, &a));
        assert_string_equal(a.bad_what, cases[i].what);
        assert_int_equal(a.bad_offset, cases[i].offset);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_targets),
        cmocka_unit_test(bad_targets),
        cmocka_unit_test(nul_is_no_host_character),
        cmocka_unit_test(default_port_is_put_in),
        cmocka_unit_test(absolute_forms),
        cmocka_unit_test(bad_absolute_forms),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
