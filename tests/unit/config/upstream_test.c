#include "config/upstream.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/util.h"
#include "config/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* after the standard headers */
#include <cmocka.h>

#define LABEL_63 "a23456789012345678901234567890123456789012345678901234567890123"
#define REST "PROXY_PORT 80; }"

static char folder[] = "/tmp/viaduct-upstream-XXXXXX";

/* Loads a configuration beside an upstream.conf of this text. */
static struct config *load(const char *text, struct config_report *report)
{
    char path[128];

    snprintf(path, sizeof(path), "%s/upstream.conf", folder);
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    *report = (struct config_report){0};
    snprintf(path, sizeof(path), "%s/f", folder);
    return config_load_text(path, SPAN_LIT(""), NULL, report);
}

static void each_rule_has_its_message(void **state)
{
    static const struct {
        const char *text, *want; /* after the file's name */
    } cases[] = {
        {"iprep_proxy { PROXY_HOST 10.10.10.256; " REST,
         "1:26: PROXY_HOST \"10.10.10.256\": not an IPv4 address, and no name ends in a label of "
         "digits"},
        {"iprep_proxy { PROXY_HOST a_b.example; " REST,
         "1:26: PROXY_HOST \"a_b.example\": a name has letters, digits, hyphens and dots only, "
         "found "
         "\"_\""},
        {"iprep_proxy { PROXY_HOST p\xc3\xa4.example; " REST,
         "1:26: PROXY_HOST \"p\xc3\xa4.example\": a name has letters, digits, hyphens and dots "
         "only, "
         "found \"\xc3\xa4\""},
        {"iprep_proxy { PROXY_HOST " LABEL_63 "x.example; " REST,
         "1:26: PROXY_HOST \"" LABEL_63 "x.example\": a label has at most 63 characters, found one "
         "of 64"},
        {"iprep_proxy { PROXY_HOST \"\"; " REST,
         "1:26: PROXY_HOST \"\": is empty: must be an address or a name"},
        {"iprep_proxy { PROXY_HOST [10.10.10.1]; " REST,
         "1:26: PROXY_HOST \"[10.10.10.1]\": brackets are for an IPv6 address only"},
        {"iprep_proxy { PROXY_HOST [p.example]:80; " REST,
         "1:26: PROXY_HOST \"[p.example]:80\": in brackets stands an IPv6 address and nothing else "
         "(the port is PROXY_PORT)"},
        {"iprep_proxy { PROXY_HOST a..b; " REST,
         "1:26: PROXY_HOST \"a..b\": has an empty label: each "
         "between two dots has 1 to 63 characters"},
        {"iprep_proxy { PROXY_HOST .; " REST,
         "1:26: PROXY_HOST \".\": is empty: must be an address or a name"},
        {"iprep_proxy { PROXY_HOST p.example:80; " REST,
         "1:26: PROXY_HOST \"p.example:80\": not an IPv6 address, and a name has letters, digits, "
         "hyphens "
         "and dots only (the port is PROXY_PORT)"},
        {"iprep_proxy { PROXY_HOST p; }", "1:1: PROXY_PORT is missing: a number from 1 to 65535"},
        {"iprep_proxy { PROXY_PORT 80; }",
         "1:1: PROXY_HOST is missing: the parent's address or name"},
        {"iprep_proxy { PROXY_HOST p; PROXY_PORT 0; }",
         "1:40: PROXY_PORT \"0\": a port is a number from 1 to 65535"},
        {"iprep_proxy { PROXY_HOST p; PROXY_PORT 65536; }",
         "1:40: PROXY_PORT \"65536\": a port is a number from 1 to 65535"},
        {"iprep_proxy { PROXY_HOST p; PROXY_PORT 80x; }",
         "1:40: PROXY_PORT \"80x\": a port is a number from 1 to 65535"},
        {"iprep_proxy { PROXY_HOST p; PROXY_USER \"a\\nb\"; " REST,
         "1:40: PROXY_USER \"a\\x0ab\": has a control character"},
        {"iprep_proxy { PROXY_HOST p; PROXY_USER u; PROXY_PASSWORD \"s\\n\"; " REST,
         "1:58: PROXY_PASSWORD: a password is of A-Z, a-z, 0-9 and the printable ASCII specials, "
         "found a control character at byte 2"},
        {"iprep_proxy { PROXY_HOST p; NO_PROXY .a_b; " REST,
         "1:38: NO_PROXY \".a_b\": a name has letters, digits, hyphens and dots only, found \"_\""},
        {"iprep_proxy { PROXY_HOST p; PROXY_USER a:b; " REST,
         "1:40: PROXY_USER \"a:…\": a user name has no colon, found one at character 2"},
        {"iprep_proxy { PROXY_HOST p; PROXY_USER u; PROXY_PASSWORD \"s3cret pass\"; " REST,
         "1:58: PROXY_PASSWORD: a password is of A-Z, a-z, 0-9 and the printable ASCII specials, "
         "found a "
         "space at byte 7"},
        {"iprep_proxy { PROXY_HOST p; PROXY_USER u; PROXY_PASSWORD p\xc3\xa4; " REST,
         "1:58: PROXY_PASSWORD: a password is of A-Z, a-z, 0-9 and the printable ASCII specials, "
         "found a "
         "character outside ASCII at byte 2"},
        {"iprep_proxy { PROXY_HOST p; PROXY_TLS yes; " REST,
         "1:39: PROXY_TLS \"yes\": must be off or on"},
        {"iprep_proxy { PROXY_HOST p; NO_PROXY a,b; " REST,
         "1:38: NO_PROXY \"a,b\": spaces stand between the names, not commas"},
        {"iprep_proxy { PROXY_HOST p; NO_PROXY [10.0.0.1]; " REST,
         "1:38: NO_PROXY \"[10.0.0.1]\": brackets are for an IPv6 address only"},
        {"iprep_proxy { PROXY_HOST p; NO_PROXY 10.0.0.0/33; " REST,
         "1:38: NO_PROXY \"10.0.0.0/33\": the length of the prefix is not a number in range"},
        {"iprep_proxy { PROXY_HOST p; NO_PROXY 10.0.0.1/8; " REST,
         "1:38: NO_PROXY \"10.0.0.1/8\": bits are set behind the prefix"},
        {"iprep_proxy { SMART_LICENSING on; PROXY_HOST " LABEL_63 ".b; " REST,
         "1:35: PROXY_HOST: at most 64 characters when SMART_LICENSING is on, found 65"},
        {"iprep_proxy { PROXY_HOTS p; PROXY_HOST p; " REST,
         "1:15: unknown setting \"PROXY_HOTS\" in iprep_proxy (did you mean \"PROXY_HOST\"?)"},
        {"iprep_proxy { PROXY_HOST p; PROXY_USER u:s3cret; " REST,
         "1:40: PROXY_USER \"u:…\": a user name has no colon, found one at character 2"},
        {"iprep_proxy { PROXY_HOST p; NO_PROXY u:s3cret@q; " REST,
         "1:38: NO_PROXY \"…@q\": a name has letters, digits, hyphens and dots only, found \":\""},
        {"iprep_proxy { PROXY_HOST p; PROXY_USER u; PROXY_PASSWORD a;s3cret; " REST,
         "1:60: unknown setting \"…\" in iprep_proxy"},
        {"iprep_proxy { PROXY_HOST p; PROXY_PASSWORD a s3cret; " REST,
         "1:46: PROXY_PASSWORD takes TEXT: \"…\" is too much"},
        {"iprep_proxy { PROXY_HOST p; PROXY_PASSWORD a\"s3cret\"; " REST,
         "1:45: PROXY_PASSWORD takes TEXT: \"…\" is too much"},
        {"iprep_proxy { PROXY_HOST p; PROXY_PORT 80; PROXY_USER u; PROXY_PASSWORD s3cret }",
         "1:73: a ; is missing at the end of PROXY_PASSWORD"},
        {"iprep_proxy { PROXY_HOST p; PROXY_PORT 80;\n PROXY_PASSWORD=s3cret;\n}",
         "2:2: unknown setting \"PROXY_PASSWORD=…\" in iprep_proxy (did you mean "
         "\"PROXY_PASSWORD\"?)"},
        {"iprep_proxy { PROXY_HOST p; PROXY_TLS \"on; PROXY_PASSWORD s3cret\"; " REST,
         "1:39: PROXY_TLS \"on;…\": must be off or on"},
        {"iprep { }", "1:1: unknown setting \"iprep\" in upstream.conf"},
        {"workers 3;", "1:1: unknown setting \"workers\" in upstream.conf"},
    };
    char want[512];

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct config_report report;

        assert_null(load(cases[i].text, &report));
        assert_int_equal(report.len, 1);
        snprintf(want, sizeof(want), "%s/upstream.conf:%s", folder, cases[i].want);
        assert_string_equal(report.items[0].text, want);
        config_report_fini(&report);
    }
}

static void good_files(void **state)
{
    static const char *const cases[] = {
        "iprep_proxy { PROXY_HOST 10.10.10.1; " REST,
        "iprep_proxy { PROXY_HOST 2001:db8::1; " REST,
        "iprep_proxy { PROXY_HOST [2001:db8::1]; " REST,
        "iprep_proxy { PROXY_HOST p-1.example.; " REST,
        "iprep_proxy { PROXY_HOST " LABEL_63 "." LABEL_63 "." LABEL_63 "." LABEL_63 "; " REST,
        "iprep_proxy { PROXY_HOST " LABEL_63 "; SMART_LICENSING on; " REST,
        "iprep_proxy { PROXY_HOST p; PROXY_USER u; PROXY_PASSWORD \"a!#;{}~\\\"\"; " REST,
        "iprep_proxy { PROXY_HOST p; NO_PROXY a .b.example *.c.example 10.0.0.0/8 ::1; " REST,
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct config_report report;
        struct config *c = load(cases[i], &report);

        /* 255 characters are too many; the others fit */
        assert_int_equal(c != NULL, i != 4);
        if (c)
            assert_true(c->upstream.present && c->upstream.enabled && c->upstream.port == 80);
        config_unref(c);
        config_report_fini(&report);
    }
}

static void brackets_of_an_exception_are_left_out(void **state)
{
    struct config_report report;
    struct config *c =
        load("iprep_proxy { PROXY_HOST p; NO_PROXY [2001:db8::1] ::1; " REST, &report);

    assert_non_null(c);
    assert_string_equal(c->upstream.no_proxy[0], "2001:db8::1");
    assert_string_equal(c->upstream.no_proxy[1], "::1");
    config_unref(c);
    config_report_fini(&report);
}

static void what_is_not_used_is_warned_of(void **state)
{
    static const struct {
        const char *text, *want;
    } cases[] = {
        {"iprep_proxy { PROXY_HOST p; PROXY_CA c; " REST,
         "1:1: PROXY_CA is not used: PROXY_TLS is off"},
        {"iprep_proxy { PROXY_HOST p; PROXY_PASSWORD x; " REST,
         "1:1: PROXY_PASSWORD is not used: PROXY_USER is missing"},
    };
    char want[512];

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct config_report report;
        struct config *c = load(cases[i].text, &report);

        assert_non_null(c);
        assert_int_equal(report.len, 1);
        assert_true(report.items[0].warning);
        snprintf(want, sizeof(want), "%s/upstream.conf:%s", folder, cases[i].want);
        assert_string_equal(report.items[0].text, want);
        config_unref(c);
        config_report_fini(&report);
    }
}

/* An allow by address matches no name once a parent resolves them. */
static void rules_by_address_are_warned_of(void **state)
{
    struct config_report report = {0};
    char path[128];

    config_unref(load("iprep_proxy { PROXY_HOST p; " REST, &report));
    config_report_fini(&report);
    snprintf(path, sizeof(path), "%s/f", folder);
    struct config *c = config_load_text(
        path, SPAN_LIT("access { deny a { to 192.0.2.0/24; }\n allow b { to x 192.0.2.0/24; } }"),
        NULL, &report);
    assert_non_null(c);
    assert_int_equal(report.len, 1);
    assert_true(report.items[0].warning && report.items[0].line == 2 &&
                report.items[0].column == 12);
    config_unref(c);
    config_report_fini(&report);
}

/* Others can open what load() wrote: told only where a password is in it. */
static void an_open_password_is_warned_of(void **state)
{
    static const char *const cases[] = {
        "iprep_proxy { PROXY_HOST p; PROXY_USER u; " REST,
        "iprep_proxy { PROXY_HOST p; PROXY_USER u; PROXY_PASSWORD x; " REST,
    };
    char path[128];

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct config_report report;
        struct config *c = load(cases[i], &report);
        bool told = false;

        assert_non_null(c);
        snprintf(path, sizeof(path), "%s/upstream.conf", folder);
        assert_int_equal(chmod(path, 0644), 0);
        config_check_files(c, &report);
        for (unsigned k = 0; k < report.len; k++)
            told = told || strstr(report.items[k].text, "its mode should be 0600");
        assert_int_equal(told, i == 1);
        config_unref(c);
        config_report_fini(&report);
    }
}

/* Both ways to write an IPv6 address are one. */
static void brackets_are_taken_off(void **state)
{
    struct config_report report;
    struct config *c = load("iprep_proxy { PROXY_HOST [2001:db8::1]; " REST, &report);

    assert_non_null(c);
    assert_string_equal(c->upstream.host, "2001:db8::1");
    config_unref(c);
    config_report_fini(&report);
}

static void long_names(void **state)
{
    static const struct {
        unsigned labels; /* of 63, and 61 at the end */
        const char *last, *want;
    } cases[] = {
        {3, "a23456789012345678901234567890123456789012345678901234567890b", NULL},
        {3, "a23456789012345678901234567890123456789012345678901234567890b.", NULL},
        {3, "a234567890123456789012345678901234567890123456789012345678901b",
         "a name has at most 253 characters, found 254"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char text[512] = "iprep_proxy { PROXY_PORT 80; PROXY_HOST ";
        struct config_report report;
        size_t len = strlen(text);

        for (unsigned k = 0; k < cases[i].labels; k++)
            len += (size_t)snprintf(text + len, sizeof(text) - len, LABEL_63 ".");
        snprintf(text + len, sizeof(text) - len, "%s; }", cases[i].last);
        struct config *c = load(text, &report);
        assert_int_equal(c != NULL, cases[i].want == NULL);
        if (!c)
            assert_non_null(strstr(report.items[0].text, cases[i].want));
        config_unref(c);
        config_report_fini(&report);
    }
}

static void values_arrive(void **state)
{
    struct config_report report;
    char want[128], *shown = NULL;
    size_t len = 0;
    struct config *c =
        load("iprep_proxy { PROXY_HOST p.example; PROXY_USER fmc; PROXY_PASSWORD s3cret;\n"
             "PROXY_TLS on; PROXY_CA ca.pem; NO_PROXY a b; " REST,
             &report);

    assert_non_null(c);
    assert_string_equal(c->upstream.host, "p.example");
    assert_string_equal(c->upstream.user, "fmc");
    assert_string_equal(c->upstream.password, "s3cret");
    assert_true(c->upstream.tls && !c->upstream.smart_licensing);
    snprintf(want, sizeof(want), "%s/ca.pem", folder);
    assert_string_equal(c->upstream.ca, want);
    assert_int_equal(c->upstream.no_proxy_len, 2);
    assert_string_equal(c->upstream.no_proxy[1], "b");

    FILE *out = open_memstream(&shown, &len);
    assert_non_null(out);
    config_show(c, out);
    fclose(out);
    assert_non_null(strstr(shown, "#     PROXY_USER fmc;"));
    assert_null(strstr(shown, "s3cret"));
    free(shown);
    config_unref(c);
    config_report_fini(&report);
}

static int make_folder(void **state)
{
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    char path[128];

    snprintf(path, sizeof(path), "%s/upstream.conf", folder);
    unlink(path);
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_rule_has_its_message),
        cmocka_unit_test(good_files),
        cmocka_unit_test(brackets_are_taken_off),
        cmocka_unit_test(long_names),
        cmocka_unit_test(brackets_of_an_exception_are_left_out),
        cmocka_unit_test(what_is_not_used_is_warned_of),
        cmocka_unit_test(rules_by_address_are_warned_of),
        cmocka_unit_test(an_open_password_is_warned_of),
        cmocka_unit_test(values_arrive),
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
