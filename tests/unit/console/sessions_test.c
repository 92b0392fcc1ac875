/* Who may use the console: names, passwords, links, tokens; and who is logged in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "console/admins.h"
#include "console/sessions.h"

static char folder[64], path[96];

static int setup(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/admins-test-XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/admins.conf", folder);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    unlink(path);
    rmdir(folder);
    return 0;
}

static void write_file(const char *text, mode_t mode)
{
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    chmod(path, mode);
}

#define SCRYPT                                                                                     \
    "scrypt 4 8 1 00112233445566778899aabbccddeeff "                                               \
    "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff;"

static void the_file_is_read_strictly(void **state)
{
    static const struct {
        const char *text;
        mode_t mode;
        int count; /* -1: refused */
        const char *says;
    } cases[] = {
        {"", 0600, 0, ""},
        {"# nobody\n", 0600, 0, ""},
        {"admin root { " SCRYPT " }", 0600, 1, ""},
        {"admin root { " SCRYPT " } admin b { " SCRYPT " }", 0600, 2, ""},
        {"admin root { " SCRYPT " }", 0644, -1, "chmod 600"},
        {"admin root { " SCRYPT " } admin root { " SCRYPT " }", 0600, -1, "there before"},
        {"admin root { }", 0600, -1, "has no hash"},
        {"admin root;", 0600, -1, "a block"},
        {"user root { " SCRYPT " }", 0600, -1, "only admin and token"},
        {"admin { " SCRYPT " }", 0600, -1, "one name"},
        {"admin \"a\\\"b\" { " SCRYPT " }", 0600, -1, "one name"}, /* it would not read again */
        {"admin \"a\\nb\" { " SCRYPT " }", 0600, -1, "one name"},
        {"admin \xc3\xa4 { " SCRYPT " }", 0600, -1, "one name"},
        {"admin root { scrypt 25 8 1 00 00; }", 0600, -1, "five values"},
        {"admin root { scrypt 24 32 16 00112233445566778899aabbccddeeff "
         "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff; }",
         0600, -1, "five values"}, /* gigabytes */
        {"admin root { " SCRYPT SCRYPT " }", 0600, -1, "once"},
        {"admin root { " SCRYPT, 0600, -1, ""},
        {"token m { sha-256 00; }", 0600, -1, "64 hex digits"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct admins *a = admins_new(path);
        struct err err;

        write_file(cases[i].text, cases[i].mode);
        assert_int_equal(admins_count(a, &err), cases[i].count);
        assert_non_null(strstr(err.text, cases[i].says));
        admins_free(a);
    }
}

static void a_password_is_right_or_wrong(void **state)
{
    struct admins *a = admins_new(path), *other = admins_new(path);
    struct span root = SPAN_LIT("root"), good = SPAN_LIT("correct horse"),
                more = SPAN_LIT("battery staple");
    struct stat st;
    struct err err;

    (void)state;
    assert_int_equal(admins_count(a, &err), 0);
    assert_false(admins_check(a, root, good, &err));
    assert_string_equal(err.text, "");
    assert_false(admins_set(a, root, SPAN_LIT("short"), &err));
    assert_false(admins_set(a, SPAN_LIT("a\"b"), good, &err));
    assert_false(admins_set(a, SPAN_LIT("a\0b"), good, &err));
    assert_true(admins_set(a, root, good, &err));
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_true(admins_check(other, root, good, &err)); /* it reads the file anew */
    assert_false(admins_check(other, root, SPAN_LIT("correct horsf"), &err));
    assert_false(admins_check(other, SPAN_LIT("roo"), good, &err));
    assert_true(admins_set(a, root, more, &err));
    assert_true(admins_check(a, root, more, &err));
    assert_false(admins_check(a, root, good, &err));
    assert_int_equal(admins_count(a, &err), 1);
    assert_string_equal(admins_get_name(a, 0), "root");
    assert_null(admins_get_name(a, 1));
    assert_true(admins_has(other, root));
    assert_int_equal(unlink(path), 0);
    assert_false(admins_has(other, root));
    assert_int_equal(admins_count(other, &err), 0);
    admins_free(a);
    admins_free(other);
}

static void a_token_is_kept_as_its_hash(void **state)
{
    struct admins *a = admins_new(path);
    char token[ADMINS_TOKEN_HEX + 1], later[ADMINS_TOKEN_HEX + 1], text[512] = "";
    struct err err;
    FILE *f;

    (void)state;
    assert_true(admins_make_token(a, SPAN_LIT("prometheus"), token, &err));
    assert_true(admins_has_token(a, span_of(token)));
    f = fopen(path, "r");
    assert_true(fread(text, 1, sizeof text - 1, f) > 0);
    fclose(f);
    assert_null(strstr(text, token));
    assert_int_equal(admins_count(a, &err), 0); /* it is no administrator */
    assert_true(admins_make_token(a, SPAN_LIT("prometheus"), later, &err));
    assert_false(admins_has_token(a, span_of(token)));
    assert_true(admins_has_token(a, span_of(later)));
    admins_free(a);
}

static void a_link_is_good_once_and_not_for_long(void **state)
{
    struct admins *a = admins_new(path);
    char token[ADMINS_TOKEN_HEX + 1], many[9][ADMINS_TOKEN_HEX + 1];
    uint64_t end = NS_PER_S + ADMINS_LINK_S * NS_PER_S;

    (void)state;
    admins_make_link(a, NS_PER_S, token);
    assert_true(admins_has_link(a, span_of(token), end - 1));
    assert_false(admins_has_link(a, span_of(token), end));
    assert_false(admins_use_link(a, SPAN_LIT(""), NS_PER_S));
    assert_true(admins_use_link(a, span_of(token), end - 1));
    assert_false(admins_use_link(a, span_of(token), end - 1));
    for (unsigned i = 0; i < 9; i++)
        admins_make_link(a, (i + 2) * NS_PER_S, many[i]);
    assert_false(admins_has_link(a, span_of(many[0]), 20 * NS_PER_S)); /* the oldest made room */
    assert_true(admins_has_link(a, span_of(many[8]), 20 * NS_PER_S));
    admins_free(a);
}

static void sessions_end_by_time_and_by_order(void **state)
{
    static struct sessions s;
    char cookie[SESSIONS_TOKEN_HEX + 1], other[SESSIONS_TOKEN_HEX + 1];
    struct console_session *one;

    (void)state;
    s = (struct sessions){.idle_ns = 10, .lifetime_ns = 25};
    one = sessions_begin(&s, SPAN_LIT("root"), 100, cookie);
    assert_string_equal(one->name, "root");
    assert_string_not_equal(one->csrf, cookie);
    assert_null(sessions_find(&s, SPAN_LIT(""), 100));
    assert_ptr_equal(sessions_find(&s, span_of(cookie), 109), one);
    assert_ptr_equal(sessions_find(&s, span_of(cookie), 118), one);
    assert_null(sessions_find(&s, span_of(cookie), 125)); /* however busy */
    one = sessions_begin(&s, SPAN_LIT("root"), 200, cookie);
    assert_null(sessions_find(&s, span_of(cookie), 210)); /* idle */
    one = sessions_begin(&s, SPAN_LIT("root"), 220, cookie);
    snprintf(other, sizeof other, "%s", one->csrf);
    assert_non_null(sessions_touch(&s, other, 229)); /* events that are followed are use */
    assert_non_null(sessions_touch(&s, other, 238));
    assert_null(sessions_touch(&s, other, 245));
    assert_null(sessions_touch(&s, "", 229));
    sessions_begin(&s, SPAN_LIT("root"), 300, cookie);
    sessions_begin(&s, SPAN_LIT("other"), 300, other);
    sessions_end_of(&s, SPAN_LIT("root"));
    assert_null(sessions_find(&s, span_of(cookie), 301));
    assert_non_null(sessions_find(&s, span_of(other), 301));
    for (unsigned i = 0; i < SESSIONS_MAX; i++) /* the one that was idle longest makes room */
        sessions_begin(&s, SPAN_LIT("many"), 302, cookie);
    assert_null(sessions_find(&s, span_of(other), 302));
    assert_non_null(sessions_find(&s, span_of(cookie), 302));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_file_is_read_strictly),
        TEST(a_password_is_right_or_wrong),
        TEST(a_token_is_kept_as_its_hash),
        TEST(a_link_is_good_once_and_not_for_long),
        cmocka_unit_test(sessions_end_by_time_and_by_order),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
