#include "host/client_text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "host/client_diff.h"
#include "host/client_json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* after the standard headers */
#include <cmocka.h>

static void secrets_are_dots(void **state)
{
    static const struct {
        const char *text, *want;
    } cases[] = {
        {"proxy = http://u:s3cret@h:1/ x\n", "proxy = http://u:••••@h:1/ x\n"},
        {"https://u:a/b@c@h\nx", "https://u:••••@h\nx"},
        {"x=\"u:s3cret@h:80\"", "x=\"u:••••@h:80\""},
        {"http://h:80/ git@h:x http://u@h", "http://h:80/ git@h:x http://u@h"},
        {"//r/:_authToken=s3cret\n", "//r/:_authToken=••••\n"},
        {"{\"auths\":{\"r\":{\"auth\":\"s3cret\"}}}", "{\"auths\":••••"},
        {"Proxy_Password = s3cret", "Proxy_Password ••••"},
        {"-U u:s3cret", "-U••••"},
        {"index-url = x", "index-url = x"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf out;

        buf_init(&out, 65536);
        assert_true(client_text_mask(span_of(cases[i].text), &out));
        assert_true(buf_append(&out, "", 1));
        assert_string_equal(buf_span(&out).ptr, cases[i].want);
        assert_null(strstr(buf_span(&out).ptr, "s3cret"));
        buf_fini(&out);
    }
}

static void the_url_is_encoded(void **state)
{
    static const struct {
        struct client_proxy proxy;
        const char *want;
    } cases[] = {
        {{.host = "h", .port = 1}, "http://h:1"},
        {{.host = "::1", .port = 65535, .tls = true}, "https://[::1]:65535"},
        {{.host = "h", .port = 1, .user = "a b"}, "http://a%20b@h:1"},
        {{.host = "h", .port = 1, .user = "\xc3\xbc", .password = "p@:/%\"'#$\\"},
         "http://%C3%BC:p%40%3A%2F%25%22%27%23%24%5C@h:1"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf out;

        buf_init(&out, 65536);
        assert_true(client_text_url(&cases[i].proxy, &out));
        assert_true(span_equal(buf_span(&out), span_of(cases[i].want)));
        buf_fini(&out);
    }
}

#define MEMBER "\"proxies\": {\"default\": {\"httpProxy\": \"x\"}}"

static void json_comes_back_to_the_byte(void **state)
{
    static const char *const texts[] = {
        "",
        " \n",
        "{}",
        "{ }\n",
        "{\"a\":1}",
        "{\r\n  \"a\" : [1, {\"proxies\":2}]\r\n}\r\n",
        "{\"proxies\":{\"default\":{}}}",
        "{\"a\":\"}\\\"{\",\"proxies\" : null ,\"b\":\"\xc3\xbc\"}\n",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct client_origin origin = {.created = true, .folders = 1, .above = 4, .mode = 0644};
        struct client_record record;
        struct buf out, note, back;
        struct span value;
        struct err err;

        buf_init(&out, 65536);
        buf_init(&note, 65536);
        buf_init(&back, 65536);
        assert_true(client_json_put(span_of(texts[i]), "proxies", SPAN_LIT(MEMBER), &origin, &out,
                                    &note, &err));
        assert_true(client_json_find(buf_span(&out), "proxies", &value, NULL));
        assert_true(span_equal(value, SPAN_LIT("{\"default\": {\"httpProxy\": \"x\"}}")));
        assert_true(client_json_read_record(buf_span(&note), &record));
        assert_true(record.origin.created && record.origin.folders == 1 &&
                    record.origin.above == 4 && record.origin.mode == 0644);
        assert_true(client_json_take(buf_span(&out), "proxies", &record, false, &back, &err));
        assert_true(span_equal(buf_span(&back), span_of(texts[i])));
        buf_fini(&out);
        buf_fini(&note);
        buf_fini(&back);
    }
}

/* What others made of the file meanwhile, and what is left when ours is taken out of it. */
static void a_file_written_anew_loses_our_member_only(void **state)
{
    static const struct {
        const char *before, *now, *want;
    } cases[] = {
        {"{}", "{\"proxies\":{\"default\":{\"httpProxy\":\"x\"}},\"a\":1}", "{\"a\":1}"},
        {"{}", "{\"a\":1,\"proxies\":{\"default\":{\"httpProxy\":\"x\"}},\"b\":2}",
         "{\"a\":1,\"b\":2}"},
        {"{}", "{\"a\":1,\t\"proxies\":{\"default\":{\"httpProxy\":\"x\"}}}", "{\"a\":1}"},
        {"{}", "{\"proxies\":\n{\"default\":{\"httpProxy\" : \"x\"}}}", "{}"},
        {"{\"proxies\":7}", "{\"proxies\":{\"default\":{\"httpProxy\":\"x\"}},\"a\":1}",
         "{\"proxies\":7,\"a\":1}"},
        {"{}", "{\"a\":1}", "{\"a\":1}"},
        {"{}", "{\"proxies\":{\"default\":{\"httpProxy\":\"y\"}}}", NULL},
        {"{}", "{\"a\":", NULL},
        {"{}", "[]", NULL},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct client_origin origin = {0};
        struct client_record record;
        struct buf out, note, back;
        struct err err;

        buf_init(&out, 65536);
        buf_init(&note, 65536);
        buf_init(&back, 65536);
        assert_true(client_json_put(span_of(cases[i].before), "proxies", SPAN_LIT(MEMBER), &origin,
                                    &out, &note, &err));
        assert_true(client_json_read_record(buf_span(&note), &record));
        assert_int_equal(
            client_json_take(span_of(cases[i].now), "proxies", &record, false, &back, &err),
            cases[i].want != NULL);
        if (cases[i].want)
            assert_true(span_equal(buf_span(&back), span_of(cases[i].want)));
        buf_fini(&out);
        buf_fini(&note);
        buf_fini(&back);
    }
}

static void what_is_no_json_object_is_refused(void **state)
{
    static const char *const texts[] = {"[]",         "{",       "{\"a\"}", "{\"a\":1,}",
                                        "{\"a\":1}x", "{'a':1}", "{\"a\":", "{\"a\":\"\n\"}",
                                        "{\"a\\",     "\"",      "x"};
    char deep[512] = "{\"a\":";
    struct span value;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        assert_false(client_json_find(span_of(texts[i]), "a", &value, NULL));
    memset(deep + 5, '[', 200);
    memset(deep + 205, ']', 200);
    deep[405] = '}';
    assert_false(client_json_find(span_of(deep), "a", &value, NULL));
}

static void damaged_records_are_refused(void **state)
{
    static const char *const texts[] = {
        "", "x\n", "viaduct-clients created=1 folders=0 above=0 mode=0 old=1 new=1\nab!",
        "viaduct-clients created=1 folders=0 above=0 mode=0 old=9 new=1\nab",
        "viaduct-clients created=2 folders=0 above=0 mode=0 old=1 new=1\nab"};
    struct client_record record;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        assert_false(client_json_read_record(span_of(texts[i]), &record));
}

static void the_difference_is_unified(void **state)
{
    static const struct {
        const char *before, *after, *want;
        bool masked;
    } cases[] = {
        {"a\n", "a\n", ""},
        {"1\na\n2\n", "3\na\n4\n", "--- f\n+++ f\n@@ -1,3 +1,3 @@\n-1\n+3\n a\n-2\n+4\n"},
        {"1\na\nb\nc\nd\ne\nf\n2\n", "a\nb\nc\nd\ne\nf\n3\n2\n",
         "--- f\n+++ f\n@@ -1,8 +1,8 @@\n-1\n a\n b\n c\n d\n e\n f\n+3\n 2\n"},
        {"1\na\nb\nc\nd\ne\nf\ng\n2\n", "a\nb\nc\nd\ne\nf\ng\n3\n4\n",
         "--- f\n+++ f\n@@ -1,4 +1,3 @@\n-1\n a\n b\n c\n@@ -6,4 +5,5 @@\n e\n f\n "
         "g\n-2\n+3\n+4\n"},
        {"user a;\n", "user b;\n", "--- f\n+++ f\n@@ -1,1 +1,1 @@\n-user a;\n+user b;\n"},
        {"user a;\n", "user b;\n", "--- f\n+++ f\n@@ -1,1 +1,1 @@\n-user ••••\n+user ••••\n", true},
        {"1\n2\n3\n4\n5\n6\n7\n8\n", "1\n2\n3\n4\nX\n6\n7\n8\n",
         "--- f\n+++ f\n@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-5\n+X\n 6\n 7\n 8\n"},
        {"a", "a\nb\n",
         "--- f\n+++ f\n@@ -1,1 +1,2 @@\n-a\n\\ No newline at end of file\n+a\n+b\n"},
        {"a\na\n", "a\n", "--- f\n+++ f\n@@ -1,2 +1,1 @@\n a\n-a\n"},
        {"", "a\n", "--- f\n+++ f\n@@ -0,0 +1,1 @@\n+a\n"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char *text = NULL;
        size_t len = 0;
        FILE *out = open_memstream(&text, &len);

        assert_true(client_diff_print("f", span_of(cases[i].before), true, span_of(cases[i].after),
                                      true, cases[i].masked, out));
        fclose(out);
        assert_string_equal(text, cases[i].want);
        free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(secrets_are_dots),
        cmocka_unit_test(the_url_is_encoded),
        cmocka_unit_test(json_comes_back_to_the_byte),
        cmocka_unit_test(a_file_written_anew_loses_our_member_only),
        cmocka_unit_test(what_is_no_json_object_is_refused),
        cmocka_unit_test(damaged_records_are_refused),
        cmocka_unit_test(the_difference_is_unified),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
