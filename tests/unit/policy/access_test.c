#include "policy/access.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "rules.h"

#define OFF "deny private off\ndeny ports off\n"

static struct addr address(const char *text)
{
    struct addr a;

    assert_true(addr_parse(span_of(text), &a));
    return a;
}

static struct access *build(const char *text)
{
    struct err err = {""};
    struct access *a = rules_build(text, NULL, &err);

    if (!a)
        fail_msg("%s: %s", text, err.text);
    return a;
}

/* Asks from 127.0.0.1 with CONNECT for port 443, on Monday 00:00; a host that is an address is one.
 */
static struct access_query query(const char *host)
{
    struct access_query q = {.client = address("127.0.0.1"),
                             .can_login = true,
                             .method = SPAN_LIT("CONNECT"),
                             .host = span_of(host),
                             .port = 443};

    addr_parse(q.host, &q.addr);
    return q;
}

static void expect(const char *text, const char *host, const struct access_decision *d,
                   enum access_outcome outcome, const char *rule)
{
    static const char *const outcomes[] = {"allow", "deny", "login", "resolve"};
    const char *got = d->rule ? d->rule->name : NULL;

    if (d->outcome != outcome ||
        (rule ? !got || strcmp(got, rule) != 0 : got && outcome != ACCESS_LOGIN))
        fail_msg("%s\nto %s: %s by %s", text, host, outcomes[d->outcome], got ? got : "none");
}

#define NEEDS_LOOKUP ACCESS_RESOLVE

static void rules_in_the_first_round(void **state)
{
    static const struct {
        const char *text, *host, *user;
        enum access_outcome outcome;
        const char *rule; /* NULL: none, or not looked at */
    } cases[] = {
        /* the built-in rules */
        {"allow all {}", "127.0.0.1", NULL, ACCESS_DENY, "private"},
        {"allow all {}", "10.1.2.3", NULL, ACCESS_DENY, "private"},
        {"allow all {}", "::ffff:10.1.2.3", NULL, ACCESS_DENY, "private"},
        {"allow all {}", "64:ff9b::a01:203", NULL, ACCESS_DENY, "private"},
        {"allow all {}", "2002:a01:203::1", NULL, ACCESS_DENY, "private"},
        {"allow all {}", "2001:0:a00:1:0:0:3fff:fdfe", NULL, ACCESS_DENY, "private"},
        {"allow all {}", "192.0.2.1", NULL, ACCESS_ALLOW, "all"},
        {"allow all {}", "a.example", NULL, NEEDS_LOOKUP, NULL},
        {"", "a.example", NULL, ACCESS_DENY, NULL}, /* no allow at all: no query leaves */
        {"deny private off\nallow all {}", "127.0.0.1", NULL, ACCESS_ALLOW, "all"},
        {"deny private off\nallow all {}", "a.example", NULL, ACCESS_ALLOW, "all"},
        {"allow all {}\ndeny private { to a.example }", "a.example", NULL, ACCESS_DENY, "private"},
        {"allow all {}\ndeny private { to a.example }", "10.1.2.3", NULL, ACCESS_ALLOW, "all"},
        {"allow private { to private }", "10.1.2.3", NULL, ACCESS_DENY, "private"},
        /* names */
        {OFF "deny x { to x.example }\nallow all {}", "x.example", NULL, ACCESS_DENY, "x"},
        {OFF "deny x { to x.example }\nallow all {}", "y.example", NULL, ACCESS_ALLOW, "all"},
        {OFF "deny x { to *.x.example }\nallow all {}", "x.example", NULL, ACCESS_ALLOW, "all"},
        {OFF "deny x { to .x.example }\nallow all {}", "a.x.example", NULL, ACCESS_DENY, "x"},
        {OFF "allow x { to not x.example }", "y.example", NULL, ACCESS_ALLOW, "x"},
        {OFF "allow x { to not x.example }", "x.example", NULL, ACCESS_DENY, NULL},
        {OFF "allow x { to any }", "x.example", NULL, ACCESS_ALLOW, "x"},
        {OFF "allow x { to any }", "192.0.2.1", NULL, ACCESS_ALLOW, "x"},
        {OFF "deny x { to any private }\nallow all {}", "x.example", NULL, ACCESS_DENY, "x"},
        /* addresses and a name */
        {OFF "allow x { to 192.0.2.0/24 }", "192.0.2.1", NULL, ACCESS_ALLOW, "x"},
        {OFF "allow x { to 192.0.2.0/24 }", "198.51.100.1", NULL, ACCESS_DENY, NULL},
        {OFF "allow x { to 192.0.2.0/24 }", "x.example", NULL, NEEDS_LOOKUP, NULL},
        {OFF "allow x { to 192.0.2.0/24 x.example }", "x.example", NULL, ACCESS_ALLOW, "x"},
        {OFF "allow x { to not 192.0.2.0/24 }", "x.example", NULL, NEEDS_LOOKUP, NULL},
        {OFF "allow x { to not 192.0.2.0/24 x.example }", "x.example", NULL, ACCESS_DENY, NULL},
        {OFF "deny x { to 192.0.2.0/24 }\ndeny y {}", "x.example", NULL, ACCESS_DENY, "y"},
        {OFF "deny x { to 192.0.2.0/24 }\nallow y { port 80 }", "x.example", NULL, ACCESS_DENY,
         NULL},
        {OFF "allow x { to 192.0.2.0/24 }\nallow y {}", "x.example", NULL, NEEDS_LOOKUP, NULL},
        /* a disguised address is taken for the worse */
        {OFF "deny x { to 192.0.2.0/24 }\nallow all {}", "2002:c000:201::1", NULL, ACCESS_DENY,
         "x"},
        {OFF "allow x { to 192.0.2.0/24 }", "2002:c000:201::1", NULL, ACCESS_DENY, NULL},
        {OFF "deny x { to not 192.0.2.0/24 }\nallow all {}", "2002:c000:201::1", NULL, ACCESS_DENY,
         "x"},
        {OFF "allow x { to not 192.0.2.0/24 }", "2002:c000:201::1", NULL, ACCESS_DENY, NULL},
        {OFF "allow x { to 192.0.2.0/24 }", "::ffff:192.0.2.1", NULL, ACCESS_ALLOW, "x"},
        {OFF "allow x { to 192.0.2.0/24 }", "64:ff9b::c000:201", NULL, ACCESS_ALLOW, "x"},
        {OFF "deny x { to 192.0.2.0/24 }\nallow all {}", "64:ff9b::c000:201", NULL, ACCESS_DENY,
         "x"},
        /* users */
        {OFF "allow x { user bob }", "x.example", NULL, ACCESS_LOGIN, "x"},
        {OFF "allow x { user bob eve }", "x.example", "eve", ACCESS_ALLOW, "x"},
        {OFF "allow x { user bob }", "x.example", "eve", ACCESS_DENY, NULL}, /* 403, never 407 */
        {OFF "allow x { user not bob }", "x.example", "eve", ACCESS_ALLOW, "x"},
        {OFF "allow x { authenticated }", "x.example", NULL, ACCESS_LOGIN, "x"},
        {OFF "allow x { authenticated }", "x.example", "eve", ACCESS_ALLOW, "x"},
        {OFF "allow x { user bob }\nallow y {}", "x.example", NULL, ACCESS_ALLOW,
         "y"}, /* nobody is asked in vain */
        {OFF "allow x { user bob }\ndeny y {}", "x.example", NULL, ACCESS_LOGIN, "x"},
        {OFF "deny x { user bob }\nallow y {}", "x.example", NULL, ACCESS_LOGIN, "x"},
        {OFF "deny x { user bob }\nallow y {}", "x.example", "eve", ACCESS_ALLOW, "y"},
        {OFF "deny x { user bob }\ndeny y {}", "x.example", NULL, ACCESS_DENY, "y"},
        {OFF "allow x { user bob; port 80 }", "x.example", NULL, ACCESS_DENY,
         NULL}, /* cannot match anyway */
        /* users and addresses: the login comes first */
        {"allow x { authenticated }", "x.example", NULL, ACCESS_LOGIN, "x"},
        {"allow x { authenticated }", "x.example", "eve", NEEDS_LOOKUP, NULL},
        {"allow x { authenticated }", "127.0.0.1", NULL, ACCESS_DENY,
         "private"}, /* no login helps here */
        {"allow x { user bob }\nallow y {}", "x.example", NULL, NEEDS_LOOKUP, NULL},
        {OFF "allow x { to 192.0.2.0/24 }\nallow y { user bob }", "x.example", NULL, ACCESS_LOGIN,
         "y"},
        {OFF "allow x { user bob; to 192.0.2.0/24 }\nallow y {}", "x.example", NULL, ACCESS_ALLOW,
         "y"},
        {OFF "allow x { user bob; to 192.0.2.0/24 }", "x.example", NULL, ACCESS_LOGIN, "x"},
        {OFF "allow x { user bob; to 192.0.2.0/24 }", "x.example", "bob", NEEDS_LOOKUP, NULL},
        /* report-only rules neither decide nor ask */
        {OFF "deny report x {}\nallow y {}", "x.example", NULL, ACCESS_ALLOW, "y"},
        {OFF "allow report x {}", "x.example", NULL, ACCESS_DENY, NULL},
        {OFF "allow report x { user bob }\ndeny y {}", "x.example", NULL, ACCESS_DENY, "y"},
        {OFF "deny report x { to private }\nallow y {}", "x.example", NULL, ACCESS_ALLOW, "y"},
        /* the others */
        {OFF "allow x { port 80 400-500 }", "x.example", NULL, ACCESS_ALLOW, "x"},
        {OFF "allow x { port not 80 400-500 }", "x.example", NULL, ACCESS_DENY, NULL},
        {OFF "allow x { method GET CONNECT }", "x.example", NULL, ACCESS_ALLOW, "x"},
        {OFF "allow x { method not CONNECT }", "x.example", NULL, ACCESS_DENY, NULL},
        {OFF "allow x { hours Mon 00:00-01:00 }", "x.example", NULL, ACCESS_ALLOW, "x"},
        {OFF "allow x { hours not Mon 00:00-01:00 }", "x.example", NULL, ACCESS_DENY, NULL},
        {OFF "allow x { from loopback }", "x.example", NULL, ACCESS_ALLOW, "x"},
        {OFF "allow x { from not loopback }", "x.example", NULL, ACCESS_DENY, NULL},
        {OFF "allow x { from 127.0.0.0/8 }", "x.example", NULL, ACCESS_ALLOW, "x"},
        {OFF "allow x { from 10.0.0.0/8 }", "x.example", NULL, ACCESS_DENY, NULL},
        {OFF "allow x { from any; to any }", "x.example", NULL, ACCESS_ALLOW, "x"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct access *a = build(cases[i].text);
        struct access_query q = query(cases[i].host);
        struct access_decision d;

        q.user = cases[i].user;
        access_decide(a, &q, &d);
        expect(cases[i].text, cases[i].host, &d, cases[i].outcome, cases[i].rule);
        access_free(a);
    }
}

static void built_in_ports(void **state)
{
    struct access *a = build("allow all {}");
    struct access_query q = query("192.0.2.1");
    struct access_decision d;

    (void)state;
    q.port = 8443;
    access_decide(a, &q, &d);
    expect("ports", "192.0.2.1:8443", &d, ACCESS_DENY, "ports");
    assert_false(d.by_address);
    assert_string_equal(d.rule->file, "(built in)");
    q.method = SPAN_LIT("GET");
    access_decide(a, &q, &d);
    expect("ports", "GET 192.0.2.1:8443", &d, ACCESS_ALLOW, "all");
    assert_string_equal(d.rule->file, "t.conf");
    assert_int_equal(d.rule->line, 1);
    access_free(a);
}

static void each_address_by_itself(void **state)
{
    static const struct {
        const char *text, *address;
        enum access_outcome outcome;
        const char *rule;
        bool by_address;
        unsigned class_bits;
    } cases[] = {
        {"allow all {}", "192.0.2.1", ACCESS_ALLOW, "all", false, 0},
        {"allow all {}", "127.0.0.1", ACCESS_DENY, "private", true, CLASS_LOOPBACK},
        {"allow all {}", "::ffff:10.0.0.1", ACCESS_DENY, "private", true, CLASS_PRIVATE},
        {"allow all {}", "2002:7f00:1::", ACCESS_DENY, "private", true, CLASS_LOOPBACK},
        {OFF "allow x { to 192.0.2.0/24; max-download 1k }\nallow y {}", "192.0.2.1", ACCESS_ALLOW,
         "x", false, 0},
        {OFF "allow x { to 192.0.2.0/24; max-download 1k }\nallow y {}", "192.0.3.1", ACCESS_ALLOW,
         "y", false, 0},
        {OFF "deny x { to not 192.0.2.0/24 }\nallow y {}", "192.0.3.1", ACCESS_DENY, "x", true, 0},
        {OFF "deny x { to not 192.0.2.0/24 }\nallow y {}", "192.0.2.1", ACCESS_ALLOW, "y", false,
         0},
        {OFF "deny x { to h.example private }\nallow y {}", "10.0.0.1", ACCESS_DENY, "x", false, 0},
        {OFF "allow x { to 192.0.2.0/24 }", "192.0.3.1", ACCESS_DENY, NULL, false, 0},
        /* who did not log in meets no condition on users: it made no difference, or it would have
           been asked */
        {"allow x { user bob }\nallow y {}", "192.0.2.1", ACCESS_ALLOW, "y", false, 0},
        {"allow x { user not bob }\nallow y {}", "192.0.2.1", ACCESS_ALLOW, "y", false, 0},
        {"deny x { user not bob }\nallow y {}", "192.0.2.1", ACCESS_DENY, "x", false, 0},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct access *a = build(cases[i].text);
        struct access_query q = query("h.example");
        struct addr target = address(cases[i].address);
        struct access_decision d;

        access_decide_address(a, &q, &target, &d);
        expect(cases[i].text, cases[i].address, &d, cases[i].outcome, cases[i].rule);
        assert_int_equal(d.by_address, cases[i].by_address);
        assert_int_equal(d.class_bits, cases[i].class_bits);
        access_free(a);
    }
}

/* Without authentication, and through a parent, things stay unknown: they never help to pass. */
static void the_unknowable_lets_nobody_pass(void **state)
{
    static const struct {
        const char *text;
        bool no_resolve;
        enum access_outcome outcome;
        const char *rule;
    } cases[] = {
        {OFF "allow x { user bob }", false, ACCESS_DENY, NULL},
        {OFF "allow x { user not bob }", false, ACCESS_DENY, NULL},
        {OFF "deny x { user not bob }\nallow y {}", false, ACCESS_DENY, "x"},
        {OFF "deny x { user bob }\nallow y {}", false, ACCESS_ALLOW, "y"},
        {OFF "allow x { authenticated }", false, ACCESS_DENY, NULL},
        {"allow all {}", true, ACCESS_ALLOW,
         "all"}, /* the parent's addresses are the parent's business */
        {OFF "allow x { to 192.0.2.0/24 }", true, ACCESS_DENY, NULL},
        {OFF "allow x { to not private }", true, ACCESS_DENY, NULL},
        {OFF "deny x { to not private }\nallow y {}", true, ACCESS_DENY, "x"},
        {OFF "allow x { to 192.0.2.0/24 h.example }", true, ACCESS_ALLOW, "x"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct access *a = build(cases[i].text);
        struct access_query q = query("h.example");
        struct access_decision d;

        q.can_login = false;
        q.no_resolve = cases[i].no_resolve;
        access_decide(a, &q, &d);
        expect(cases[i].text, "h.example", &d, cases[i].outcome, cases[i].rule);
        access_free(a);
    }
}

static void a_literal_through_a_parent_is_judged(void **state)
{
    struct access *a = build("allow all {}");
    struct access_query q = query("10.0.0.1");
    struct access_decision d;

    (void)state;
    q.no_resolve = true;
    access_decide(a, &q, &d);
    expect("allow all {}", "10.0.0.1", &d, ACCESS_DENY, "private");
    q.exempt_private = true;
    access_decide(a, &q, &d);
    expect("allow all {}", "10.0.0.1, exempt", &d, ACCESS_ALLOW, "all");
    access_free(a);
}

static void reports_what_would_have_decided(void **state)
{
    struct access *a =
        build(OFF "deny report net { to 192.0.2.0/24 }\ndeny report name { to h.example }\n"
                  "deny report not-now { port 80 }\nallow y {}\ndeny report behind {}");
    struct access_query q = query("h.example");
    struct addr target = address("192.0.2.1");
    struct access_decision d;

    (void)state;
    access_decide(a, &q, &d);
    expect("report", "h.example", &d, ACCESS_ALLOW, "y");
    assert_int_equal(d.reported_len, 1);
    assert_string_equal(d.reported[0]->name, "name");
    access_decide_address(a, &q, &target, &d);
    assert_int_equal(d.reported_len, 2);
    assert_string_equal(d.reported[0]->name, "net");
    access_free(a);
}

static void more_reports_than_fit_are_cut(void **state)
{
    char text[2048] = OFF;
    struct access_query q = query("h.example");
    struct access_decision d;

    (void)state;
    for (unsigned i = 0; i < ACCESS_REPORTED_MAX + 4; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "deny report r%u {}\n", i);
    struct access *a = build(text);
    access_decide(a, &q, &d);
    assert_int_equal(d.reported_len, ACCESS_REPORTED_MAX);
    access_free(a);
}

static void rules_one_by_one(void **state)
{
    struct access *a =
        build("deny bad { to bad.example }\nallow bob { user bob }\nallow net { to 192.0.2.0/24 }\n"
              "allow both { user bob; to 192.0.2.0/24 }\nallow all {}");
    static const int name_only[] = {-1, 0, 0, -1, -1, -1, 1}, known[] = {0, 0, 0, -1, 1, -1, 1},
                     with_user[] = {0, 0, 0, 1, 1, 1, 1};
    struct access_query q = query("h.example");
    struct addr target = address("192.0.2.1");

    (void)state;
    assert_int_equal(access_count_rules(a), ARRAY_LEN(known));
    for (unsigned i = 0; i < ARRAY_LEN(known); i++) {
        q.user = NULL;
        assert_int_equal(access_rule_matches(a, i, &q, NULL), name_only[i]);
        assert_int_equal(access_rule_matches(a, i, &q, &target), known[i]);
        q.user = "bob";
        assert_int_equal(access_rule_matches(a, i, &q, &target), with_user[i]);
    }
    assert_string_equal(access_get_rule(a, 0)->name, "private");
    assert_string_equal(access_get_rule(a, 6)->name, "all");
    access_free(a);
}

/* Printed, never asserted. */
static void costs_little(void **state)
{
    struct access *a = build("allow local { from loopback }");
    struct access_query q = query("192.0.2.1");
    struct access_decision d;
    uint64_t start = clock_mono_ns();

    (void)state;
    for (int i = 0; i < 1000000; i++)
        access_decide(a, &q, &d);
    print_message("# %.0f ns a decision\n", (double)(clock_mono_ns() - start) / 1e6);
    assert_int_equal(d.outcome, ACCESS_ALLOW);
    access_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rules_in_the_first_round),
        cmocka_unit_test(built_in_ports),
        cmocka_unit_test(each_address_by_itself),
        cmocka_unit_test(the_unknowable_lets_nobody_pass),
        cmocka_unit_test(a_literal_through_a_parent_is_judged),
        cmocka_unit_test(reports_what_would_have_decided),
        cmocka_unit_test(more_reports_than_fit_are_cut),
        cmocka_unit_test(rules_one_by_one),
        cmocka_unit_test(costs_little),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
