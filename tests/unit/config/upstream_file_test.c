#include "config/upstream_file.h"

#include <stdlib.h>

#include "base/util.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* after the standard headers */
#include <cmocka.h>

static void edit(const char *text, const char *name, const char *a, const char *b, struct buf *out)
{
    const char *const words[] = {a, b};
    const struct upstream_edit e = {name, words, b ? 2 : a ? 1 : 0};

    buf_init(out, UPSTREAM_FILE_MAX);
    assert_true(upstream_file_edit(span_of(text), &e, out));
    assert_true(buf_append(out, "", 1));
}

static void what_is_not_edited_stays(void **state)
{
    static const struct {
        const char *text, *name, *a, *b, *want;
    } cases[] = {
        /* no block yet */
        {"", "PROXY_HOST", "p", NULL, "iprep_proxy {\n    PROXY_HOST p;\n}\n"},
        {"# mine", "PROXY_HOST", "p", NULL, "# mine\niprep_proxy {\n    PROXY_HOST p;\n}\n"},
        {"", "PROXY_HOST", NULL, NULL, ""},
        /* replaced */
        {"iprep_proxy { PROXY_HOST a; PROXY_PORT 80; }", "PROXY_HOST", "b", NULL,
         "iprep_proxy { PROXY_HOST b; PROXY_PORT 80; }"},
        {"iprep_proxy {\n  # host\n  PROXY_HOST a ; # of a\n  PROXY_PORT 80;\n}\n# end",
         "PROXY_HOST", "b", NULL,
         "iprep_proxy {\n  # host\n  PROXY_HOST b; # of a\n  PROXY_PORT 80;\n}\n# end"},
        {"iprep_proxy {\n  PROXY_HOST # what\n    \"a\"; PROXY_PORT 80; }", "PROXY_HOST", "b", NULL,
         "iprep_proxy {\n  PROXY_HOST b; PROXY_PORT 80; }"},
        {"\"iprep_proxy\" { \"PROXY_HOST\" a; }", "PROXY_HOST", "b", NULL,
         "\"iprep_proxy\" { PROXY_HOST b; }"},
        {"iprep_proxy { NO_PROXY a b c; }", "NO_PROXY", "x", "y z",
         "iprep_proxy { NO_PROXY x \"y z\"; }"},
        {"iprep_proxy { PROXY_PASSWORD \"a}b;\"; }", "PROXY_PASSWORD", "#\"\\;{", NULL,
         "iprep_proxy { PROXY_PASSWORD \"#\\\"\\\\;{\"; }"},
        /* added */
        {"iprep_proxy { PROXY_HOST a; }", "PROXY_PORT", "1", NULL,
         "iprep_proxy { PROXY_HOST a; PROXY_PORT 1; }"},
        {"iprep_proxy {\n\tPROXY_HOST a; # }\n}\n", "PROXY_PORT", "1", NULL,
         "iprep_proxy {\n\tPROXY_HOST a; # }\n    PROXY_PORT 1;\n}\n"},
        {"iprep_proxy {\n\tPROXY_HOST a;\n  } # end\n", "PROXY_PORT", "1", NULL,
         "iprep_proxy {\n\tPROXY_HOST a;\n    PROXY_PORT 1;\n  } # end\n"},
        {"iprep_proxy {}", "PROXY_PORT", "1", NULL, "iprep_proxy {PROXY_PORT 1; }"},
        /* taken out */
        {"iprep_proxy {\n  PROXY_HOST a;\n  PROXY_PORT 80;\n}\n", "PROXY_HOST", NULL, NULL,
         "iprep_proxy {\n  PROXY_PORT 80;\n}\n"},
        {"iprep_proxy {\r\n  PROXY_HOST a;\r\n  PROXY_PORT 80;\r\n}\r\n", "PROXY_HOST", NULL, NULL,
         "iprep_proxy {\r\n  PROXY_PORT 80;\r\n}\r\n"},
        {"iprep_proxy {\n  PROXY_HOST a; # why\n}\n", "PROXY_HOST", NULL, NULL,
         "iprep_proxy {\n  # why\n}\n"},
        {"iprep_proxy { PROXY_HOST a; PROXY_PORT 80; }", "PROXY_HOST", NULL, NULL,
         "iprep_proxy { PROXY_PORT 80; }"},
        {"iprep_proxy { PROXY_HOST a; }", "PROXY_USER", NULL, NULL,
         "iprep_proxy { PROXY_HOST a; }"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf out;

        edit(cases[i].text, cases[i].name, cases[i].a, cases[i].b, &out);
        assert_string_equal(buf_span(&out).ptr, cases[i].want);
        buf_fini(&out);
    }
}

/* An edit begins where another one ended: nothing of a value can end its statement. */
static void values_come_back_as_they_were(void **state)
{
    static const char *const passwords[] = {"a",  "#",    "\"",  "\\",   "a;b",
                                            "{}", "\\\"", "\\n", "a\"\\"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(passwords); i++) {
        struct config_report report = {0};
        struct buf out;

        edit("iprep_proxy { PROXY_HOST p; PROXY_PORT 80; PROXY_USER u; }", "PROXY_PASSWORD",
             passwords[i], NULL, &out);
        struct config *c =
            config_load_upstream("f", (struct span){buf_span(&out).ptr, out.len - 1}, &report);
        assert_non_null(c);
        assert_string_equal(c->upstream.password, passwords[i]);
        config_unref(c);
        config_report_fini(&report);
        buf_fini(&out);
    }
}

static void the_block_is_written_whole(void **state)
{
    struct config_report report = {0};
    struct buf out;
    struct config *c = config_load_upstream(
        "/etc/x/f",
        SPAN_LIT("iprep_proxy { PROXY_PORT 80; PROXY_HOST [::1]; PROXY_USER \"a b\"; "
                 "PROXY_PASSWORD s3cret;\nPROXY_TLS on; PROXY_CA ca.pem; NO_PROXY a b; }"),
        &report);

    (void)state;
    assert_non_null(c);
    for (int with = 0; with < 2; with++) {
        buf_init(&out, UPSTREAM_FILE_MAX);
        assert_true(upstream_file_write(c, with, &out) && buf_append(&out, "", 1));
        assert_string_equal(buf_span(&out).ptr,
                            with ? "iprep_proxy {\n    PROXY_HOST [::1];\n    PROXY_PORT 80;\n"
                                   "    PROXY_USER \"a b\";\n    PROXY_PASSWORD s3cret;\n"
                                   "    PROXY_TLS on;\n    PROXY_CA /etc/x/ca.pem;\n"
                                   "    NO_PROXY a b;\n}\n"
                                 : "iprep_proxy {\n    PROXY_HOST [::1];\n    PROXY_PORT 80;\n"
                                   "    PROXY_USER \"a b\";\n    # PROXY_PASSWORD is left out\n"
                                   "    PROXY_TLS on;\n    PROXY_CA /etc/x/ca.pem;\n"
                                   "    NO_PROXY a b;\n}\n");
        buf_fini(&out);
    }
    config_unref(c);
    config_report_fini(&report);
}

static void names_as_people_write_them(void **state)
{
    static const struct {
        const char *word, *want;
    } cases[] = {
        {"PROXY_HOST", "PROXY_HOST"},
        {"host", "PROXY_HOST"},
        {"Proxy-Port", "PROXY_PORT"},
        {"no-proxy", "NO_PROXY"},
        {"enabled", "ENABLED"},
        {"smart_licensing", "SMART_LICENSING"},
        {"password", "PROXY_PASSWORD"},
        {"proxy", NULL},
        {"", NULL},
        {"iprep_proxy", NULL},
        {"workers", NULL},
        {"proxy_no_proxy", NULL},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const char *found = upstream_file_find_name(span_of(cases[i].word));

        if (cases[i].want)
            assert_string_equal(found, cases[i].want);
        else
            assert_null(found);
    }
}

/* A configuration's own file is not needed, and the one it names is not read. */
static void the_two_files_load_apart(void **state)
{
    struct config_report report = {0};
    struct config *c = config_load_upstream("f", SPAN_LIT(""), &report);

    (void)state;
    assert_non_null(c);
    assert_null(c->path);
    assert_false(c->upstream.present || c->upstream.enabled);
    assert_string_equal(c->upstream_file, "f");
    config_unref(c);
    assert_null(config_load_upstream("f", SPAN_LIT("workers 2;"), &report));
    assert_string_equal(report.items[0].text,
                        "f:1:1: unknown setting \"workers\" in upstream.conf");
    config_report_fini(&report);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_not_edited_stays),
        cmocka_unit_test(values_come_back_as_they_were),
        cmocka_unit_test(the_block_is_written_whole),
        cmocka_unit_test(names_as_people_write_them),
        cmocka_unit_test(the_two_files_load_apart),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
