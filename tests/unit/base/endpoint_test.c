#include "base/endpoint.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/util.h"

static void addresses_go_in_and_out(void **state)
{
    static const struct {
        const char *text, *want; /* NULL: refused */
    } cases[] = {
        {"192.0.2.1", "192.0.2.1"},
        {"0.0.0.0", "0.0.0.0"},
        {"::", "::"},
        {"2001:DB8:0:0::1", "2001:db8::1"},
        {"::ffff:192.0.2.1", "::ffff:192.0.2.1"},
        {"1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"},
        {"", NULL},
        {"127.1", NULL},
        {"0x7f.0.0.1", NULL},
        {"2130706433", NULL},
        {"192.0.2.01", NULL},
        {"192.0.2.256", NULL},
        {"192.0.2.1.", NULL},
        {" 192.0.2.1", NULL},
        {"[::1]", NULL},
        {"fe80::1%1", NULL},
        {"fe80::1%lo", NULL},
        {"1:2:3:4:5:6:7:8:9", NULL},
        {"0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0001", NULL},
    };
    char out[ENDPOINT_TEXT_MAX];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct addr a = {.family = 99};
        bool ok = addr_parse(span_of(cases[i].text), &a);

        if (ok != (cases[i].want != NULL))
            fail_msg("\"%s\": %d", cases[i].text, ok);
        if (!ok) {
            assert_int_equal(a.family, 99);
            continue;
        }
        assert_int_equal(addr_write(&a, out), strlen(cases[i].want));
        assert_string_equal(out, cases[i].want);
    }
    assert_false(addr_parse(SPAN_LIT("192.0.2.1\0"), &(struct addr){0}));
}

static void endpoints_go_in_and_out(void **state)
{
    static const struct {
        const char *text;
        bool ok;
    } cases[] = {
        {"192.0.2.1:80", true},
        {"[2001:db8::1]:65535", true},
        {"[::]:0", true},
        {"192.0.2.1:65536", false},
        {"192.0.2.1:", false},
        {"192.0.2.1", false},
        {":80", false},
        {"::1:80", false},
        {"[::1]80", false},
        {"[::1]", false},
        {"[]:80", false},
        {"[192.0.2.1]:80", false},
        {"localhost:80", false},
        {"192.0.2.1:+80", false},
        {"[::1:80", false},
        {"[fe80::1%2]:80", false},
        {"", false},
        {":", false},
    };
    char out[ENDPOINT_TEXT_MAX];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct endpoint e;

        if (endpoint_parse(span_of(cases[i].text), &e) != cases[i].ok)
            fail_msg("\"%s\"", cases[i].text);
        if (!cases[i].ok)
            continue;
        assert_int_equal(endpoint_write(&e, out), strlen(cases[i].text));
        assert_string_equal(out, cases[i].text);
    }
}

static void the_longest_text_fits(void **state)
{
    struct endpoint e = {.addr.family = AF_INET6, .port = 65535, .scope = UINT32_MAX};
    char out[ENDPOINT_TEXT_MAX];

    (void)state;
    memset(e.addr.bytes, 0xff, 16);
    assert_int_equal(endpoint_write(&e, out), 58);
    assert_string_equal(out, "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff%4294967295]:65535");
    assert_int_equal(endpoint_write(&(struct endpoint){.port = 80}, out), 0);
    assert_string_equal(out, "");
}

static void names_are_written_by_number(void **state)
{
    struct endpoint e = {.addr = {.bytes = {0, 0, 1, 3}, .family = ADDR_NAMED}, .port = 8080};
    char out[ENDPOINT_TEXT_MAX];

    (void)state;
    assert_int_equal(addr_write(&e.addr, out), 8);
    assert_string_equal(out, "name-259");
    assert_int_equal(endpoint_write(&e, out), 13);
    assert_string_equal(out, "name-259:8080");
}

static void the_kernels_form_and_back(void **state)
{
    static const char *const texts[] = {"192.0.2.1:80", "[2001:db8::1]:443"};
    char out[ENDPOINT_TEXT_MAX];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct sockaddr_storage ss;
        struct endpoint e, back;

        assert_true(endpoint_parse(span_of(texts[i]), &e));
        assert_true(endpoint_to_sockaddr(&e, &ss) > 0);
        endpoint_from_sockaddr(&back, (const struct sockaddr *)&ss);
        assert_true(addr_is_equal(&e.addr, &back.addr));
        endpoint_write(&back, out);
        assert_string_equal(out, texts[i]);
    }
}

static void dual_stack_clients_are_ipv4(void **state)
{
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(8080)};
    struct sockaddr_storage ss;
    struct endpoint e;
    char out[ENDPOINT_TEXT_MAX];

    (void)state;
    inet_pton(AF_INET6, "::ffff:192.0.2.7", &in6.sin6_addr);
    endpoint_from_sockaddr(&e, (const struct sockaddr *)&in6);
    endpoint_write(&e, out);
    assert_string_equal(out, "192.0.2.7:8080");

    endpoint_from_sockaddr(&e, &(struct sockaddr){.sa_family = AF_UNIX});
    assert_int_equal(e.addr.family, 0);
    assert_int_equal(endpoint_to_sockaddr(&e, &ss), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_go_in_and_out),
        cmocka_unit_test(endpoints_go_in_and_out),
        cmocka_unit_test(the_longest_text_fits),
        cmocka_unit_test(the_kernels_form_and_back),
        cmocka_unit_test(names_are_written_by_number),
        cmocka_unit_test(dual_stack_clients_are_ipv4),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
