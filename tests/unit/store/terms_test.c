#include "store/terms.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/util.h"

/* The terms with a blank between them, in the order in which they were made. */
static const char *write_terms(const struct flow *f)
{
    static char text[2 * TERMS_MAX];
    struct terms t;
    struct span term;
    size_t at = 0, len = 0;

    terms_of_flow(&t, f);
    text[0] = '\0';
    while (terms_next((struct span){t.bytes, t.len}, &at, &term))
        len += (size_t)snprintf(text + len, sizeof text - len, "%s%.*s", len ? " " : "",
                                (int)term.len, term.ptr);
    assert_int_equal(at, t.len);
    return text;
}

static struct flow a_flow(void)
{
    struct flow f = {0};

    flow_begin(&f, SOURCE_SERVE, 1, 0, 0);
    flow_phase(&f, PHASE_ANSWER, 0);
    return f;
}

static void a_flow_has_its_values_and_words(void **state)
{
    struct flow f = a_flow();

    (void)state;
    endpoint_parse(SPAN_LIT("10.40.40.1:4711"), &f.client);
    flow_set_text(&f.target, "Updates.Example.net:443");
    flow_set_text(&f.user, "fmc");
    flow_set_text(&f.rule, "rule-7");
    flow_set_text(&f.url, "http://updates.example.net:443/Path/b.tar.gz?q=1");
    flow_set_text(&f.reason, "rule social");
    flow_evidence(&f, "192.0.2.80:443: refused after 0.2 ms");
    flow_warn(&f, WARNING_IDLE_CLOSED, "idle-timeout of 60 s");
    flow_end(&f, VERDICT_ACL_DENIED, SIDE_PROXY, CERTAINTY_SEEN, 0);
    assert_string_equal(write_terms(&f),
                        "vacl-denied f ianswer bproxy c10.40.40.1 hupdates.example.net w443"
                        " wupdates wexample wnet dexample.net dnet ufmc rrule-7 wfmc wrule-7 wrule"
                        " w7 wrule wsocial w192.0.2.80 w443 wrefused wafter wms widle-timeout widle"
                        " wtimeout wof w60 ws wpath wb.tar.gz wb wtar wgz wtar.gz wq w1");
    flow_fini(&f);
}

static void what_is_no_failure(void **state)
{
    static const struct {
        enum verdict verdict;
        uint64_t superseded_by;
        bool want;
    } cases[] = {{VERDICT_OK, 0, false},
                 {VERDICT_OPEN, 0, false},
                 {VERDICT_TARGET_ERROR, 0, true},
                 {VERDICT_AUTH_REQUIRED, 0, true},
                 {VERDICT_AUTH_REQUIRED, 7, false}};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct flow f = a_flow();

        flow_end(&f, cases[i].verdict, SIDE_PROXY, CERTAINTY_SEEN, 0);
        f.superseded_by = cases[i].superseded_by;
        assert_int_equal(terms_is_failure(&f), cases[i].want);
        assert_int_equal(strstr(write_terms(&f), " f ") != NULL, cases[i].want);
        flow_fini(&f);
    }
}

static void hosts_are_cut_from_authorities(void **state)
{
    static const struct {
        const char *authority, *host, *port; /* port NULL: none */
    } cases[] = {
        {"t.example:443", "t.example", "443"},
        {"t.example", "t.example", NULL},
        {"t.example.:80", "t.example", "80"},
        {"[2001:db8::1]:443", "2001:db8::1", "443"},
        {"[2001:db8::1]", "2001:db8::1", NULL},
        {"2001:db8::1", "2001:db8::1", NULL},
        {"192.0.2.1:9", "192.0.2.1", "9"},
        {"t.example:", "t.example", ""},
        {"", "", NULL},
        {":", "", ""},
        {"[", "[", NULL},
        {"]:1", "]", "1"},
        {".", ".", NULL},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct span port, host = terms_cut_host(span_of(cases[i].authority), &port);

        assert_int_equal(host.len, strlen(cases[i].host));
        assert_memory_equal(host.ptr, cases[i].host, host.len);
        assert_int_equal(port.ptr != NULL, cases[i].port != NULL);
        if (cases[i].port) {
            assert_int_equal(port.len, strlen(cases[i].port));
            assert_memory_equal(port.ptr, cases[i].port, port.len);
        }
    }
}

static void an_address_lies_in_no_domain(void **state)
{
    static const char *const targets[] = {"192.0.2.1:443", "[2001:db8::1]:443"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(targets); i++) {
        struct flow f = a_flow();

        flow_set_text(&f.target, targets[i]);
        flow_end(&f, VERDICT_OK, SIDE_CLIENT, CERTAINTY_SEEN, 0);
        assert_null(strstr(write_terms(&f), " d"));
        flow_fini(&f);
    }
}

/* The same as a search: what is asked of flows under way has this rule, too. */
static void targets_are_told_apart(void **state)
{
    static const struct {
        const char *target, *meant;
        bool want;
    } cases[] = {
        {"updates.example.net:443", "updates.example.net", true},
        {"updates.example.net:443", "Updates.Example.NET.", true},
        {"updates.example.net:443", "updates.example.net:443", true},
        {"updates.example.net:443", "updates.example.net:80", false},
        {"updates.example.net:443", "example.net", false},
        {"updates.example.net:443", "updates", false},
        {"updates.example.net:443", ".example.net", true},
        {"updates.example.net:443", ".net:443", true},
        {"updates.example.net:443", ".net:44", false},
        {"updates.example.net:443", ".ample.net", false},
        {"example.net:443", ".example.net", true},
        {"example.net", "example.net:443", false},
        {"127.0.0.1:443", "127.0.0.1", true},
        {"127.0.0.1:443", ".0.0.1", false},
        {"[2001:db8::1]:443", "2001:db8::1", true},
        {"[2001:db8::1]:443", "[2001:db8::1]:443", true},
        {"example.net:443", ":443", false},
        {"example.net:443", ".", false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        if (terms_is_target(span_of(cases[i].target), span_of(cases[i].meant)) != cases[i].want)
            fail_msg("%s, %s", cases[i].target, cases[i].meant);
}

static void a_search_text_becomes_words(void **state)
{
    static const struct {
        const char *text, *words;
    } cases[] = {
        {"Example", "wexample"},
        {"  exam* net ", "wexam* wnet"},
        {"updates.example.net:443", "wupdates.example.net w443"},
        {"192.0.2.80", "w192.0.2.80"},
        {"192.0.2", "w192.0.2.*"},
        {"192.0. 192.0.*", "w192.0.* w192.0.*"},
        {"updates.* a-*", "wupdates.* wa-*"},
        {"8 1.2.3.4.5", "w8 w1.2.3.4.5.*"},
        {"-- ... * \x01\x02", ""},
        {"a-b_c.", "wa-b_c"},
        {"caf\xc3\xa9", "wcaf\xc3\xa9"},
        {"\xff*", "w\xff*"},
        {"", ""},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct span rest = span_of(cases[i].text);
        char words[256] = "", term[TERM_MAX];
        size_t n, len = 0;
        bool prefix;

        while ((n = terms_next_word(&rest, term, &prefix)) > 0)
            len += (size_t)snprintf(words + len, sizeof words - len, "%s%.*s%s", len ? " " : "",
                                    (int)n, term, prefix ? "*" : "");
        assert_string_equal(words, cases[i].words);
    }
}

/* Long values differ where they differ; long words are cut, in a flow as in a search. */
static void long_values_are_told_apart(void **state)
{
    char a[300], b[300], x[TERM_MAX], y[TERM_MAX];
    size_t len;

    (void)state;
    memset(a, 'A', sizeof a);
    memcpy(b, a, sizeof b);
    b[299] = 'B';
    len = terms_write(TERM_USER, (struct span){a, sizeof a}, x);
    assert_int_equal(len, TERM_MAX);
    assert_int_equal(terms_write(TERM_USER, (struct span){b, sizeof b}, y), TERM_MAX);
    assert_memory_not_equal(x, y, TERM_MAX);
    assert_int_equal(terms_write(TERM_USER, (struct span){a, TERM_MAX - 1}, x), TERM_MAX);
    assert_int_equal(x[TERM_MAX - 1], 'A');
    assert_int_equal(terms_write(TERM_HOST, SPAN_LIT("T.Example"), x), 10);
    assert_memory_equal(x, "ht.example", 10);
}

/* A URL of 60 kB with a new word every other byte leaves the other terms as they are. */
static void terms_have_a_maximum(void **state)
{
    enum { LEN = 60000 };
    char *url = malloc(LEN + 1);
    struct flow f = a_flow();
    struct terms t;
    struct span term;
    size_t at = 0;
    unsigned n = 0;

    (void)state;
    for (int i = 0; i < LEN; i++)
        url[i] = i & 1 ? '/' : (char)('a' + i / 2 % 26);
    url[LEN] = '\0';
    flow_set_text(&f.url, url);
    flow_set_text(&f.user, "somebody");
    flow_end(&f, VERDICT_OK, SIDE_CLIENT, CERTAINTY_SEEN, 0);
    assert_non_null(strstr(write_terms(&f), " usomebody "));
    terms_of_flow(&t, &f);
    while (terms_next((struct span){t.bytes, t.len}, &at, &term))
        n++;
    assert_true(n > 1000 && t.len <= TERMS_MAX);
    flow_fini(&f);
    free(url);
}

static void damaged_terms_end(void **state)
{
    static const struct {
        struct span bytes;
        unsigned want;
    } cases[] = {
        {SPAN_INIT(""), 0},       {SPAN_INIT("\0"), 0},
        {SPAN_INIT("\1a\2b"), 1}, {SPAN_INIT("\1a\2bc\xff"), 2},
        {SPAN_INIT("Aa"), 0},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct span term;
        size_t at = 0;
        unsigned n = 0;

        while (terms_next(cases[i].bytes, &at, &term))
            n++;
        assert_int_equal(n, cases[i].want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_flow_has_its_values_and_words),
        cmocka_unit_test(what_is_no_failure),
        cmocka_unit_test(hosts_are_cut_from_authorities),
        cmocka_unit_test(an_address_lies_in_no_domain),
        cmocka_unit_test(targets_are_told_apart),
        cmocka_unit_test(a_search_text_becomes_words),
        cmocka_unit_test(long_values_are_told_apart),
        cmocka_unit_test(terms_have_a_maximum),
        cmocka_unit_test(damaged_terms_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
