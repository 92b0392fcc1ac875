#include "policy/listfile.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/util.h"

static char path[] = "/tmp/viaduct-list-XXXXXX";

static void write_file(const char *text)
{
    FILE *f = fopen(path, "we");

    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void reads_every_kind_of_line(void **state)
{
    static const char text[] = "\xef\xbb\xbf"
                               "# a list\n"
                               "\n"
                               "  One.Example  # and why\r\n"
                               "*.below.example\n"
                               ".both.example\t\n"
                               "192.0.2.1\n"
                               "198.51.100.0/24\r\n"
                               "2001:db8::/32\n"
                               "::ffff:203.0.113.1\n"
                               "1e100.net\n"
                               "host1\n"
                               "last.example";
    static const char *const names[] = {"one.example", "a.below.example", "both.example",
                                        "1e100.net",   "host1",           "last.example"};
    static const char *const addresses[] = {"192.0.2.1", "198.51.100.77", "2001:db8::5",
                                            "203.0.113.1"};
    struct err err = {""};
    struct listfile *l = listfile_parse(span_of(text), "t", &err);

    (void)state;
    assert_non_null(l);
    assert_int_equal(l->names.count, ARRAY_LEN(names));
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        assert_true(domains_has(&l->names, span_of(names[i])));
    for (size_t i = 0; i < ARRAY_LEN(addresses); i++) {
        struct addr a;

        assert_true(addr_parse(span_of(addresses[i]), &a));
        assert_true(cidr_has(&l->networks, &a));
    }
    listfile_unref(l);
}

static void names_each_bad_line(void **state)
{
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"good.example\nbad name\n", "t:2: \"bad name\": a name has only"},
        {"192.0.2.1/24", "t:1: \"192.0.2.1/24\": bits are set"},
        {"a.example:443", "not an address"},
        {"1.2.3", "neither a name nor an address"},
        {"a\x1b[31m.example", "\"a\\x1b[31m.example\""},
        {"0.0.0.0 a.example", "a name has only"},
        {"x..y\nok.example\n*\n", "t:1: \"x..y\": an empty label; t:3: \"*\": a wildcard"},
        {"?\n?\n?\n?\n?\n?\n?\n?\n?\n?\n?\n?\n", "12 bad lines: t:1: "},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err err = {""};

        assert_null(listfile_parse(span_of(cases[i].text), "t", &err));
        if (!strstr(err.text, cases[i].says))
            fail_msg("%s: %s", cases[i].text, err.text);
    }
}

static void only_ten_bad_lines_are_named(void **state)
{
    struct err err = {""};

    (void)state;
    assert_null(listfile_parse(SPAN_LIT("?\n?\n?\n?\n?\n?\n?\n?\n?\n?\n?\n"), "t", &err));
    assert_non_null(strstr(err.text, "t:10:"));
    assert_null(strstr(err.text, "t:11:"));
}

static void an_empty_list_is_one(void **state)
{
    struct err err = {""};
    struct listfile *l = listfile_parse(SPAN_LIT(""), "t", &err);

    (void)state;
    assert_non_null(l);
    assert_false(domains_has(&l->names, SPAN_LIT("a.example")));
    listfile_unref(l);
}

static void shares_what_did_not_change(void **state)
{
    struct err err = {""};

    (void)state;
    write_file("a.example\n");
    struct listfile *first = listfile_load(path, NULL, &err),
                    *same = listfile_load(path, first, &err);
    assert_non_null(first);
    assert_ptr_equal(first, same);
    assert_int_equal(atomic_load(&first->refs), 2);
    listfile_unref(same);

    write_file("ab.example\n"); /* another size: told apart even within one tick of the clock */
    assert_int_equal(
        utimensat(AT_FDCWD, path, (struct timespec[]){first->stamp.mtime, first->stamp.mtime}, 0),
        0);
    struct listfile *other = listfile_load(path, first, &err);
    assert_non_null(other);
    assert_ptr_not_equal(first, other);
    assert_true(domains_has(&other->names, SPAN_LIT("ab.example")));
    assert_true(domains_has(&first->names, SPAN_LIT("a.example")));
    listfile_unref(first);
    listfile_unref(other);
    listfile_unref(NULL);
}

static void what_cannot_be_read_is_told(void **state)
{
    struct err err = {""};
    char fifo[sizeof path + 8];

    (void)state;
    assert_null(listfile_load("/nowhere/list", NULL, &err));
    assert_non_null(strstr(err.text, "cannot open /nowhere/list: "));
    assert_null(listfile_load("/tmp", NULL, &err));
    assert_non_null(strstr(err.text, "/tmp is not a regular file"));
    snprintf(fifo, sizeof fifo, "%s.fifo", path);
    assert_int_equal(mkfifo(fifo, 0600), 0);
    assert_null(listfile_load(fifo, NULL, &err)); /* and does not wait for a writer */
    assert_non_null(strstr(err.text, "is not a regular file"));
    unlink(fifo);
}

static void reads_more_than_one_piece(void **state)
{
    FILE *f = fopen(path, "we");
    struct err err = {""};

    (void)state;
    assert_non_null(f);
    for (int i = 0; i < 20000; i++)
        fprintf(f, "n%d.example\n", i);
    fclose(f);
    struct listfile *l = listfile_load(path, NULL, &err);
    assert_non_null(l);
    assert_int_equal(l->names.count, 20000);
    assert_true(domains_has(&l->names, SPAN_LIT("n19999.example")));
    listfile_unref(l);
}

static int make_file(void **state)
{
    int fd = mkstemp(path);

    (void)state;
    return fd < 0 ? -1 : close(fd);
}

static int remove_file(void **state)
{
    (void)state;
    return unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_every_kind_of_line),
        cmocka_unit_test(names_each_bad_line),
        cmocka_unit_test(only_ten_bad_lines_are_named),
        cmocka_unit_test(an_empty_list_is_one),
        cmocka_unit_test(shares_what_did_not_change),
        cmocka_unit_test(what_cannot_be_read_is_told),
        cmocka_unit_test(reads_more_than_one_piece),
    };

    return cmocka_run_group_tests(tests, make_file, remove_file);
}
