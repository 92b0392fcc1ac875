#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/util.h"
#include "policy/parent.h"

static struct parent *sample(const char *host)
{
    static const char *const words[] = {
        "localhost", "exact.example",   ".both.example", "*.below.example", "UPPER.example.",
        "192.0.2.7", "198.51.100.0/24", "2001:db8::/32", "127.0.0.1",
    };
    struct parent *p = parent_new(span_of(host), 3128);
    const char *why;

    assert_non_null(p);
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        assert_true(parent_add_exception(p, span_of(words[i]), &why));
    assert_true(parent_seal(p));
    return p;
}

static struct access_query query_of(const char *client, const char *host, uint16_t port)
{
    struct access_query q = {.host = span_of(host), .port = port};

    assert_true(addr_parse(span_of(client), &q.client));
    if (!addr_parse(q.host, &q.addr))
        q.addr.family = 0;
    return q;
}

static void exceptions_by_name_and_address(void **state)
{
    static const struct {
        const char *host;
        bool want;
    } cases[] = {
        {"localhost", true},           {"my.localhost", false},      {"exact.example", true},
        {"a.exact.example", false},    {"notexact.example", false},  {"both.example", true},
        {"a.both.example", true},      {"a.b.both.example", true},   {"notboth.example", false},
        {"below.example", false},      {"a.below.example", true},    {"upper.example", true},
        {"192.0.2.7", true},           {"192.0.2.8", false},         {"198.51.100.255", true},
        {"198.51.101.0", false},       {"2001:db8:1::1", true},      {"2001:db9::1", false},
        {"::ffff:198.51.100.1", true}, {"64:ff9b::c633:6401", true}, {"other.example", false},
    };
    struct parent *p = sample("proxy.example");

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct access_query q = query_of("192.0.2.1", cases[i].host, 443);

        assert_int_equal(parent_is_exception(p, q.host, &q.addr), cases[i].want);
        assert_int_equal(parent_route(p, &q), !cases[i].want);
        assert_int_equal(q.no_resolve, !cases[i].want);
    }
    parent_free(p);
}

static void what_private_does_not_apply_to(void **state)
{
    static const struct {
        const char *parent, *client, *host;
        uint16_t port;
        bool exempt;
    } cases[] = {
        {"10.1.1.1", "192.0.2.1", "10.1.1.1", 3128, true},
        {"10.1.1.1", "192.0.2.1", "10.1.1.1", 22, false},
        {"10.1.1.1", "192.0.2.1", "10.1.1.2", 3128, false},
        {"Proxy.example.", "192.0.2.1", "proxy.example", 3128, true},
        {"proxy.example", "127.0.0.1", "198.51.100.1", 80, true},
        {"proxy.example", "::1", "localhost", 80, true},
        {"proxy.example", "192.0.2.1", "198.51.100.1", 80, false},
        {"proxy.example", "127.0.0.1", "203.0.113.1", 80, false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct parent *p = sample(cases[i].parent);
        struct access_query q = query_of(cases[i].client, cases[i].host, cases[i].port);

        parent_route(p, &q);
        assert_int_equal(q.exempt_private, cases[i].exempt);
        parent_free(p);
    }
}

static void without_a_parent_all_is_direct(void **state)
{
    struct access_query q = query_of("127.0.0.1", "localhost", 80);

    (void)state;
    q.no_resolve = q.exempt_private = true;
    assert_false(parent_route(NULL, &q));
    assert_false(q.no_resolve || q.exempt_private);
}

static void what_is_no_exception(void **state)
{
    static const char *const words[] = {"a b", "192.0.2.1/33", "192.0.2.1/24", "a..b", "/", ""};
    struct parent *p = parent_new(SPAN_LIT("proxy.example"), 1);

    (void)state;
    assert_non_null(p);
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        const char *why = NULL;

        assert_false(parent_add_exception(p, span_of(words[i]), &why));
        assert_non_null(why);
    }
    parent_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exceptions_by_name_and_address),
        cmocka_unit_test(what_private_does_not_apply_to),
        cmocka_unit_test(without_a_parent_all_is_direct),
        cmocka_unit_test(what_is_no_exception),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
