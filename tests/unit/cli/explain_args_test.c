#include "cli/explain_args.h"

#include <getopt.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/util.h"
#include "cli/command.h"

static void proxies_in_all_their_forms(void **state)
{
    static const struct {
        const char *text, *want; /* NULL: refused */
    } cases[] = {
        {"10.10.10.1:3128", "10.10.10.1:3128"},
        {"[2001:db8::1]:3128", "[2001:db8::1]:3128"},
        {"http://10.10.10.1:8080", "10.10.10.1:8080"},
        {"HTTP://10.10.10.1:8080/", "10.10.10.1:8080"},
        {"http://10.10.10.1", "10.10.10.1:3128"},
        {"https://10.10.10.1", "10.10.10.1:443"},
        {"http://user:pass@word@10.10.10.1:80", "10.10.10.1:80"},
        {"10.10.10.1", "10.10.10.1:0"}, /* any port */
        {"localhost:3128", "127.0.0.1:3128"},
        {"3128", ":3128"}, /* any address */
        {"no-such-host.invalid:3128", ":3128"},
        {"no-such-host.invalid", NULL},
        {"0", NULL},
        {"65536", NULL},
        {"socks5://10.10.10.1:1080", NULL},
        {"10.10.10.1:port", NULL},
        {"", NULL},
        {"10.10.10.1:3128/path", NULL},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct explain_args a = {0};
        char text[ENDPOINT_TEXT_MAX] = "";
        const struct endpoint *e = &a.options.proxies[0];
        struct err err;
        bool ok = explain_args_add_proxy(&a, cases[i].text, &err), found = false;

        if (ok != (cases[i].want != NULL))
            fail_msg("%s: %s", cases[i].text, ok ? "taken" : err.text);
        if (!ok)
            continue;
        for (unsigned n = 0; n < a.options.proxies_len && !found; n++) {
            e = &a.options.proxies[n];
            if (e->addr.family)
                endpoint_write(e, text);
            else
                snprintf(text, sizeof text, ":%u", e->port);
            found = strcmp(text, cases[i].want) == 0;
        }
        if (!found)
            fail_msg("%s: is %s", cases[i].text, text);
    }
}

static void too_many_proxies_are_refused(void **state)
{
    struct explain_args a = {0};
    struct err err;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(a.options.proxies); i++)
        assert_true(explain_args_add_proxy(&a, "10.0.0.1:80", &err));
    assert_false(explain_args_add_proxy(&a, "10.0.0.1:80", &err));
}

static void flows_by_number_or_id(void **state)
{
    static const struct {
        const char *text;
        uint64_t want; /* 0: refused */
    } cases[] = {
        {"7", 7},
        {"#7", 7},
        {"0000000000000010", 16},
        {"00000000000000ab", 171},
        {"0", 0},
        {"", 0},
        {"#", 0},
        {"-1", 0},
        {"7x", 0},
        {"ab", 0},
        {"0000000000000000", 0},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        uint64_t id = 0;
        bool ok = explain_args_parse_flow(cases[i].text, &id);

        assert_int_equal(ok, cases[i].want != 0);
        if (ok)
            assert_int_equal(id, cases[i].want);
    }
}

#define WORDS_MAX 10

static int parse(struct explain_args *a, const char *const words[WORDS_MAX])
{
    static char copies[WORDS_MAX][64]; /* paths are borrowed */
    static char *argv[WORDS_MAX + 2];
    int argc = 1;

    *a = (struct explain_args){0};
    argv[0] = (char *)"viaduct explain";
    for (unsigned i = 0; i < WORDS_MAX && words[i]; i++) {
        snprintf(copies[i], sizeof copies[i], "%s", words[i]);
        argv[argc++] = copies[i];
    }
    argv[argc] = NULL;
    optind = 0; /* begin anew, in getopt's own words */
    return explain_args_parse(a, argc, argv);
}

static void files_and_filters(void **state)
{
    static const char *const two[WORDS_MAX] = {"a.pcap", "--json", "b.pcap"};
    static const char *const live[WORDS_MAX] = {"-i", "eth0", "--failed", "tcp", "port", "3128"};
    static const char *const all[WORDS_MAX] = {"-x", "3128",     "--html", "o.html",      "--flow",
                                               "#3", "--keylog", "k",      "--anonymize", "-"};
    struct explain_args a;

    (void)state;
    assert_int_equal(parse(&a, two), EXIT_OK);
    assert_int_equal(a.options.capture.paths_len, 2);
    assert_string_equal(a.options.capture.paths[1], "b.pcap");
    assert_true(a.json && !a.options.plots);
    explain_args_fini(&a);
    assert_int_equal(parse(&a, live), EXIT_OK);
    assert_string_equal(a.options.capture.interface, "eth0");
    assert_string_equal(a.options.capture.filter, "tcp port 3128");
    assert_int_equal(a.options.capture.paths_len, 0);
    assert_true(a.failed);
    explain_args_fini(&a);
    assert_int_equal(parse(&a, all), EXIT_OK);
    assert_int_equal(a.options.proxies_len, 1);
    assert_int_equal(a.flow, 3);
    assert_string_equal(a.html, "o.html");
    assert_string_equal(a.options.keylog, "k");
    assert_true(a.anonymize && a.options.plots);
    assert_string_equal(a.options.capture.paths[0], "-");
    explain_args_fini(&a);
}

static void what_contradicts_itself_is_refused(void **state)
{
    static const char *const bad[][WORDS_MAX] = {
        {"-", "-"},
        {"--flow", "3", "--failed", "a"},
        {"--flow", "x", "a"},
        {"--json", "--html", "-", "a"},
        {"-x", "socks5://h:1", "a"},
        {"--what", "a"},
        {"--html"},
        {"--html", "/proc/self/exe", "/proc/self/exe"}, /* it would write over the capture */
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct explain_args a;

        if (parse(&a, bad[i]) != EXIT_USAGE)
            fail_msg("case %zu is taken", i);
        explain_args_fini(&a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(proxies_in_all_their_forms),
        cmocka_unit_test(too_many_proxies_are_refused),
        cmocka_unit_test(flows_by_number_or_id),
        cmocka_unit_test(files_and_filters),
        cmocka_unit_test(what_contradicts_itself_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
