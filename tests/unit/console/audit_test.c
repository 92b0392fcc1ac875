/* The audit log: what is written comes back, and what anybody else wrote there harms nobody. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/log.h"
#include "console/audit.h"

static char folder[64], path[96];

static int setup(void **state)
{
    (void)state;
    log_set_level(LOG_LEVEL_WARNING);
    snprintf(folder, sizeof folder, "/tmp/audit-test-XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/audit.log", folder);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    unlink(path);
    rmdir(folder);
    return 0;
}

static json_t *read_entries(struct audit *a, unsigned most)
{
    struct buf out;
    json_t *root;

    buf_init(&out, 1u << 20);
    assert_true(audit_read(a, most, &out));
    root = json_loadb(out.len ? buf_span(&out).ptr : "", out.len, 0, NULL);
    assert_true(json_is_array(root));
    buf_fini(&out);
    return root;
}

static const char *what_of(json_t *root, size_t i)
{
    return json_string_value(json_object_get(json_array_get(root, i), "what"));
}

/* A reason of control characters takes six bytes for one. */
static void an_entry_of_any_text_is_kept(void **state)
{
    struct audit *a = audit_new(path);
    char odd[2000];
    json_t *root;

    (void)state;
    memset(odd, '\x01', sizeof odd - 1);
    odd[sizeof odd - 1] = '\0';
    audit_say(a, "root", odd);
    audit_say(a, "root", "\"</script>\n\xff\xe2\x80\xae");
    root = read_entries(a, 10);
    assert_int_equal(json_array_size(root), 2);
    assert_int_equal(strlen(what_of(root, 0)), sizeof odd - 1);
    assert_string_equal(what_of(root, 1), "\"</script>\n\xef\xbf\xbd\xe2\x80\xae");
    json_decref(root);
    audit_free(a);
}

static void lines_that_are_none_are_left_out(void **state)
{
    static const char text[] =
        "{\"what\":\"first\"}\n{\"what\":\"to{\"what\":\"torn\"}\n{bad}\n[]\n"
        "\n{\"what\":\"\xff\"}\n{\"what\":\"last\"}\n{\"what\":\"cut";
    struct audit *a = audit_new(path);
    json_t *root;
    FILE *f;

    (void)state;
    f = fopen(path, "w");
    assert_true(fputs(text, f) >= 0);
    fclose(f);
    root = read_entries(a, 100);
    assert_int_equal(json_array_size(root), 2);
    assert_string_equal(what_of(root, 0), "first");
    assert_string_equal(what_of(root, 1), "last");
    json_decref(root);
    audit_free(a);
}

/* A disk that was full, or a process that was killed, left the front of a line. */
static void an_entry_behind_a_torn_one_is_told(void **state)
{
    struct audit *a = audit_new(path);
    json_t *root;
    FILE *f;

    (void)state;
    audit_say(a, "root", "first");
    f = fopen(path, "a");
    assert_true(fputs("{\"what\":\"torn", f) >= 0);
    fclose(f);
    audit_say(a, "root", "second");
    audit_say(a, "root", "third");
    root = read_entries(a, 2);
    assert_int_equal(json_array_size(root), 2);
    assert_string_equal(what_of(root, 0), "second");
    assert_string_equal(what_of(root, 1), "third");
    json_decref(root);
    audit_free(a);
}

static void without_a_file_there_is_none(void **state)
{
    struct audit *a = audit_new(path);
    json_t *root = read_entries(a, 100);

    (void)state;
    assert_int_equal(json_array_size(root), 0);
    json_decref(root);
    audit_free(a);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_entry_of_any_text_is_kept),
        TEST(lines_that_are_none_are_left_out),
        TEST(an_entry_behind_a_torn_one_is_told),
        TEST(without_a_file_there_is_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
