#include "policy/cidr.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/util.h"

static void parses(void **state)
{
    static const struct {
        const char *text;
        int family, bits; /* family 0: refused */
    } cases[] = {
        {"192.0.2.1", AF_INET, 32},
        {"192.0.2.0/24", AF_INET, 24},
        {"0.0.0.0/0", AF_INET, 0},
        {"2001:db8::/32", AF_INET6, 32},
        {"::/0", AF_INET6, 0},
        {"::1", AF_INET6, 128},
        {"::ffff:10.0.0.0/104", AF_INET, 8},
        {"::ffff:0:0/96", AF_INET, 0},
        {"::ffff:192.0.2.1", AF_INET, 32},
        {"192.0.2.1/24", 0, 0},
        {"192.0.2.0/33", 0, 0},
        {"192.0.2.0/", 0, 0},
        {"192.0.2/24", 0, 0},
        {"2001:db8::1/64", 0, 0},
        {"::/129", 0, 0},
        {"", 0, 0},
        {"/24", 0, 0},
        {"example.com", 0, 0},
        {"10.0.0.0/-1", 0, 0},
        {"10.0.0.0/8/8", 0, 0},
        {"fe80::1%1", 0, 0},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const char *why = NULL;
        struct cidr c;
        bool good = cidr_parse(span_of(cases[i].text), &c, &why);

        assert_int_equal(good, cases[i].family != 0);
        if (!good) {
            assert_non_null(why);
            continue;
        }
        assert_int_equal(c.addr.family, cases[i].family);
        assert_int_equal(c.bits, cases[i].bits);
    }
}

static void add(struct cidr_set *set, const char *text)
{
    const char *why;
    struct cidr c;

    assert_true(cidr_parse(span_of(text), &c, &why));
    assert_true(cidr_add(set, &c));
}

static bool has(const struct cidr_set *set, const char *text)
{
    struct addr a;

    assert_true(addr_parse(span_of(text), &a));
    return cidr_has(set, &a);
}

static void holds_its_networks(void **state)
{
    static const char *const in[] = {"10.0.0.0",        "10.255.255.255",
                                     "11.1.2.3",        "192.0.2.7",
                                     "2001:db8::",      "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff",
                                     "255.255.255.255", "fe80::1"};
    static const char *const out[] = {"9.255.255.255", "12.0.0.0",   "192.0.2.6", "192.0.2.8",
                                      "2001:db7::",    "2001:db9::", "::",        "fe80::",
                                      "fe80::2"};
    struct cidr_set set = {0};

    (void)state;
    add(&set, "192.0.2.7");
    add(&set, "11.0.0.0/8"); /* follows 10/8 at once */
    add(&set, "10.1.0.0/16");
    add(&set, "10.0.0.0/8"); /* holds the one before */
    add(&set, "10.2.0.0/16");
    add(&set, "255.255.255.255");
    add(&set, "2001:db8::/32");
    add(&set, "fe80::1");
    cidr_seal(&set);
    assert_int_equal(set.v4.len, 3);
    for (size_t i = 0; i < ARRAY_LEN(in); i++)
        assert_true(has(&set, in[i]));
    for (size_t i = 0; i < ARRAY_LEN(out); i++)
        assert_false(has(&set, out[i]));
    cidr_fini(&set);
}

static void families_stay_apart(void **state)
{
    struct cidr_set set = {0};

    (void)state;
    add(&set, "::/0");
    cidr_seal(&set);
    assert_true(has(&set, "2001:db8::1"));
    assert_false(has(&set, "192.0.2.1"));
    add(&set, "0.0.0.0/0");
    cidr_seal(&set);
    assert_true(has(&set, "192.0.2.1"));
    cidr_fini(&set);
    assert_false(has(&set, "192.0.2.1"));
}

static void parses_ports(void **state)
{
    static const struct {
        const char *text;
        int from, to; /* 0: refused */
    } cases[] = {
        {"443", 443, 443},     {"8000-8100", 8000, 8100},
        {"1-65535", 1, 65535}, {"80-80", 80, 80},
        {"0", 0, 0},           {"65536", 0, 0},
        {"90-80", 0, 0},       {"80-", 0, 0},
        {"-80", 0, 0},         {"", 0, 0},
        {"http", 0, 0},        {"80-90-100", 0, 0},
        {"0-80", 0, 0},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct port_range r;
        const char *why;

        assert_int_equal(cidr_parse_ports(span_of(cases[i].text), &r, &why), cases[i].from != 0);
        if (cases[i].from != 0)
            assert_true(r.from == cases[i].from && r.to == cases[i].to);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parses),
        cmocka_unit_test(holds_its_networks),
        cmocka_unit_test(families_stay_apart),
        cmocka_unit_test(parses_ports),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
