#include "policy/access_build.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <unistd.h>

#include "policy/access_rules.h"
#include "rules.h"

static char list_path[] = "/tmp/viaduct-list-XXXXXX";

static void write_list(const char *text)
{
    FILE *f = fopen(list_path, "we");

    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

/* What is wrong with a rule, at which word, and what the text must say. */
static void errors_say_what_and_where(void **state)
{
    static const struct {
        const char *rule;
        int bad; /* word of the statement; -1: the rule itself */
        const char *says;
    } cases[] = {
        {"allow x { form 10.0.0.0/8 }", 0, "unknown condition \"form\" (did you mean from?)"},
        {"allow x { bandwidth 1m }", 0, "unknown condition \"bandwidth\""},
        {"allow x { port 80; port 81 }", 0, "port stands twice"},
        {"allow x { from }", 0, "from needs ADDRESS"},
        {"allow x { from not }", 0, "from needs ADDRESS"},
        {"allow x { from 10.0.0.0/8 10.1.2.3/8 }", 2, "bits are set behind the prefix"},
        {"allow x { from host.example }", 1, "neither an address"},
        {"allow x { from lopback }", 1, "(did you mean loopback?)"},
        {"allow x { from list }", 1, "name is missing"},
        {"allow x { to not privat }", 2, "(did you mean private?)"},
        {"allow x { to a..b }", 1, "empty label"},
        {"allow x { to 10.0.0 }", 1, "neither a name nor an address"},
        {"allow x { to a.*.b }", 1, "wildcard"},
        {"allow x { port 80 http }", 2, "from 1 to 65535"},
        {"allow x { method connect }", 1, "(did you mean CONNECT?)"},
        {"allow x { method GE(T }", 1, "no method has these characters"},
        {"allow x { user a:b }", 1, "no colon"},
        {"allow x { authenticated yes }", 0, "takes no words"},
        {"allow x { hours Mon-Fri 6-7 }", 2, "06:00-22:00"},
        {"allow x { hours not Mon-Fri 6-7 }", 3, "06:00-22:00"},
        {"allow x { sni on }", 1, "off, report or match"},
        {"allow x { sni metch }", 1, "(did you mean match?)"},
        {"allow x { sni not match }", 0, "cannot be negated"},
        {"allow x { max-download lots }", 1, "a size is"},
        {"allow x { rate 1m 2m }", 0, "takes one word"},
        {"allow x { idle-timeout 5y }", 1, "a duration is"},
        {"allow x { lifetime 99999999999999d }", 1, "a duration is"},
        {"deny x { sni match }", 0, "a term of an allow"},
        {"deny x { rate 1m }", 0, "a term of an allow"},
        {"deny x { lifetime 1h }", 0, "a term of an allow"},
        {"deny a/b { }", -1, "a name has 1 to 64"},
        {"deny x off", -1, "only deny private and deny ports can be off"},
        {"allow private off", -1, "only deny private and deny ports can be off"},
        {"deny private off { port 80 }", 0, "off has no conditions"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct access_builder *b = access_builder_new(NULL);
        struct err err = {""};
        unsigned bad = (unsigned)-1;

        if (rules_add_rule(b, span_of(cases[i].rule), 1, &bad, &err))
            fail_msg("%s was taken", cases[i].rule);
        if ((int)bad != cases[i].bad || !strstr(err.text, cases[i].says))
            fail_msg("%s: word %d: %s", cases[i].rule, (int)bad, err.text);
        access_builder_free(b);
    }
}

static void duplicates_are_refused(void **state)
{
    static const struct {
        const char *text;
        bool good;
    } cases[] = {
        {"allow x {}\nallow x {}", false},        {"allow x {}\ndeny x {}", true},
        {"allow x {}\nallow report x {}", false}, {"deny private off\ndeny private {}", false},
        {"deny ports {}\ndeny ports off", false}, {"allow ports {}\ndeny ports off", true},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err err = {""};
        struct access *a = rules_build(cases[i].text, NULL, &err);

        assert_int_equal(a != NULL, cases[i].good);
        if (!a)
            assert_non_null(strstr(err.text, "duplicate"));
        access_free(a);
    }
}

static void built_in_rules_keep_their_places(void **state)
{
    static const struct {
        const char *text, *order;
    } cases[] = {
        {"", "private ports "},
        {"allow a {}\ndeny b {}", "private ports a b "},
        {"allow a {}\ndeny ports {}\ndeny private {}\ndeny b {}", "private ports a b "},
        {"allow a {}\ndeny private off", "ports a "},
        {"deny ports off\ndeny private off", ""},
        {"allow a {}\nallow private {}", "private ports a private "},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err err = {""};
        struct access *a = rules_build(cases[i].text, NULL, &err);
        char order[256] = "";

        assert_non_null(a);
        for (unsigned k = 0; k < access_count_rules(a); k++)
            snprintf(order + strlen(order), sizeof order - strlen(order), "%s ",
                     access_get_rule(a, k)->name);
        assert_string_equal(order, cases[i].order);
        access_free(a);
    }
}

static void the_default_rule_depends(void **state)
{
    static const struct {
        bool has_block, authenticated;
        const char *rule; /* NULL: none */
        bool needs_user;
    } cases[] = {{false, false, "local", false},
                 {false, true, "local", true},
                 {true, false, NULL, false},
                 {true, true, NULL, false}};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct access_builder *b = access_builder_new(NULL);
        struct access *a = access_builder_finish(b, cases[i].has_block, cases[i].authenticated,
                                                 rules_problem, NULL);

        assert_int_equal(access_count_rules(a), cases[i].rule ? 3 : 2);
        if (cases[i].rule)
            assert_string_equal(access_get_rule(a, 2)->name, cases[i].rule);
        assert_int_equal(access_builder_needs_user(b), cases[i].needs_user);
        access_builder_free(b);
        access_free(a);
    }
}

static void knows_who_needs_a_user(void **state)
{
    static const struct {
        const char *rule;
        bool want;
    } cases[] = {{"allow x { port 80 }", false},
                 {"allow x { user bob }", true},
                 {"deny x { authenticated }", true},
                 {"allow report x { user bob }", false}};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct access_builder *b = access_builder_new(NULL);
        struct err err;
        unsigned bad;

        assert_true(rules_add_rule(b, span_of(cases[i].rule), 1, &bad, &err));
        assert_int_equal(access_builder_needs_user(b), cases[i].want);
        access_builder_free(b);
    }
}

static void terms_reach_the_rule(void **state)
{
    struct err err = {""};
    struct access *a = rules_build(
        "allow x { sni match; max-download 2g; max-upload 10m; idle-timeout 1m; lifetime 1h; "
        "rate 20m }\nallow y { max-download 0 }",
        NULL, &err);
    static const struct flow_limits want = {.idle_ns = 60000000000ull,
                                            .lifetime_ns = 3600000000000ull,
                                            .max_download = 2ull << 30,
                                            .max_upload = 10 << 20,
                                            .rate = 20 << 20};

    (void)state;
    assert_non_null(a);
    const struct access_rule *x = access_get_rule(a, 2), *y = access_get_rule(a, 3);
    assert_int_equal(x->sni, SNI_MATCH);
    assert_int_equal(x->limits_set, 31);
    assert_memory_equal(&x->limits, &want, sizeof want);
    assert_int_equal(y->limits_set, LIMIT_DOWNLOAD);
    assert_int_equal(y->sni, SNI_OFF);
    access_free(a);
}

static void keywords_are_listed(void **state)
{
    unsigned n, conditions = 0;
    const struct access_keyword *k = access_builder_keywords(&n);

    (void)state;
    assert_int_equal(n, 13);
    for (unsigned i = 0; i < n; i++) {
        assert_true(k[i].name && k[i].takes && k[i].help);
        conditions += k[i].condition;
    }
    assert_int_equal(conditions, 7);
}

static enum access_outcome decide(const struct access *a, const char *host)
{
    struct access_query q = {.client = {.family = AF_INET, .bytes = {127, 0, 0, 1}},
                             .method = SPAN_LIT("CONNECT"),
                             .host = span_of(host),
                             .port = 443};
    struct access_decision d;

    addr_parse(q.host, &q.addr);
    access_decide(a, &q, &d);
    return d.outcome;
}

static void lists_hold_names_and_networks(void **state)
{
    struct err err = {""};

    (void)state;
    write_list("bad.example\n192.0.2.0/24\n");
    struct access *a = rules_build(
        "deny private off\ndeny x { to list l good.example }\nallow all {}", list_path, &err);
    assert_non_null(a);
    assert_int_equal(decide(a, "bad.example"), ACCESS_DENY);
    assert_int_equal(decide(a, "192.0.2.1"), ACCESS_DENY);
    assert_int_equal(decide(a, "192.0.3.1"), ACCESS_ALLOW);
    assert_int_equal(decide(a, "other.example"), ACCESS_RESOLVE); /* the networks may hold it */
    access_free(a);

    write_list("bad.example\n");
    a = rules_build("deny private off\ndeny x { to list l }\nallow y { from not list l }",
                    list_path, &err);
    assert_non_null(a);
    assert_int_equal(decide(a, "other.example"), ACCESS_ALLOW); /* names only: nothing to look up */
    access_free(a);
}

static void unknown_lists_are_told(void **state)
{
    struct err err = {""};

    (void)state;
    write_list("");
    assert_null(rules_build("allow x {}\ndeny y { to list L }", list_path, &err));
    assert_string_equal(err.text, "t.conf:2: unknown list \"L\" (did you mean l?)");
}

static void list_names_and_files_are_checked(void **state)
{
    struct access_builder *b = access_builder_new(NULL);
    struct err err = {""};

    (void)state;
    write_list("a.example\n");
    assert_true(access_builder_add_list(b, SPAN_LIT("l"), list_path, &err));
    assert_false(access_builder_add_list(b, SPAN_LIT("l"), list_path, &err));
    assert_non_null(strstr(err.text, "already"));
    assert_false(access_builder_add_list(b, SPAN_LIT("a b"), list_path, &err));
    assert_non_null(strstr(err.text, "a name has"));
    assert_false(access_builder_add_list(b, SPAN_LIT("m"), "/nowhere/at-all.txt", &err));
    assert_non_null(strstr(err.text, "cannot open /nowhere/at-all.txt"));
    /* no list, no access: a deny must not get lost */
    assert_null(access_builder_finish(b, true, false, rules_problem, &err));
    access_builder_free(b);
}

static struct access *reload(const struct access *previous)
{
    struct access_builder *b = access_builder_new(previous);
    struct err err = {""};

    assert_true(access_builder_add_list(b, SPAN_LIT("l"), list_path, &err));
    struct access *a = access_builder_finish(b, true, false, rules_problem, &err);
    access_builder_free(b);
    assert_non_null(a);
    return a;
}

static void unchanged_lists_are_shared(void **state)
{
    (void)state;
    write_list("a.example\n");
    struct access *first = reload(NULL), *second = reload(first);
    assert_ptr_equal(first->lists[0].file, second->lists[0].file);
    access_free(first);
    assert_true(domains_has(&second->lists[0].file->names, SPAN_LIT("a.example")));

    write_list("other.example\n");
    struct access *third = reload(second);
    assert_ptr_not_equal(second->lists[0].file, third->lists[0].file);
    assert_true(domains_has(&third->lists[0].file->names, SPAN_LIT("other.example")));
    access_free(second);
    access_free(third);
}

static int make_list(void **state)
{
    int fd = mkstemp(list_path);

    (void)state;
    return fd < 0 ? -1 : close(fd);
}

static int remove_list(void **state)
{
    (void)state;
    return unlink(list_path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors_say_what_and_where),
        cmocka_unit_test(duplicates_are_refused),
        cmocka_unit_test(built_in_rules_keep_their_places),
        cmocka_unit_test(the_default_rule_depends),
        cmocka_unit_test(knows_who_needs_a_user),
        cmocka_unit_test(terms_reach_the_rule),
        cmocka_unit_test(keywords_are_listed),
        cmocka_unit_test(lists_hold_names_and_networks),
        cmocka_unit_test(unknown_lists_are_told),
        cmocka_unit_test(list_names_and_files_are_checked),
        cmocka_unit_test(unchanged_lists_are_shared),
    };

    return cmocka_run_group_tests(tests, make_list, remove_list);
}
