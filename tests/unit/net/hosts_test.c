#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/util.h"
#include "net/hosts.h"

#define START_NS (100 * NS_PER_S)

static const char text[] = "# a comment\n"
                           "127.0.0.1\tlocalhost\n"
                           "::1 localhost ip6-localhost   # another\n"
                           "  192.0.2.1 Mixed.Test. mixed\r\n"
                           "192.0.2.2 two.test\n"
                           "192.0.2.3 two.test two.test\n"
                           "192.0.2.2 two.test\n"
                           "192.0.2.4\n"
                           "not-an-address bad.test\n"
                           "192.0.2.256 bad.test\n"
                           "fe80::1%lo zone.test\n"
                           "192.0.2.5 cut#off.test\n"
                           "\n"
                           "192.0.2.6 last.test";

static char path[32];

static int setup(void **state)
{
    int fd;

    snprintf(path, sizeof path, "/tmp/hosts_test.XXXXXX");
    fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, sizeof text - 1), sizeof text - 1);
    close(fd);
    return 0;
}

static int teardown(void **state)
{
    unlink(path);
    return 0;
}

/* Another file under the same name, as editors and package tools write. */
static void replace(const char *with)
{
    char fresh[40];
    FILE *f;

    snprintf(fresh, sizeof fresh, "%s.new", path);
    f = fopen(fresh, "w");
    assert_non_null(f);
    fputs(with, f);
    fclose(f);
    assert_int_equal(rename(fresh, path), 0);
}

static void test_names(void **state)
{
    static const struct {
        struct span name;
        unsigned len;
        uint8_t last[2]; /* byte of each address */
    } rows[] = {
        {SPAN_INIT("localhost"), 2, {1, 1}},
        {SPAN_INIT("ip6-localhost"), 1, {1}},
        {SPAN_INIT("mixed.test"), 1, {1}},
        {SPAN_INIT("mixed"), 1, {1}},
        {SPAN_INIT("two.test"), 2, {2, 3}},
        {SPAN_INIT("bad.test"), 0, {0}},
        {SPAN_INIT("zone.test"), 0, {0}},
        {SPAN_INIT("cut"), 1, {5}},
        {SPAN_INIT("cut#off.test"), 0, {0}},
        {SPAN_INIT("last.test"), 1, {6}},
        {SPAN_INIT("192.0.2.4"), 0, {0}},
        {SPAN_INIT("missing.test"), 0, {0}},
        {SPAN_INIT(""), 0, {0}},
    };
    struct hosts h;

    hosts_init(&h, path);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct addr out[4];

        assert_int_equal(hosts_find(&h, rows[i].name, START_NS, out, 4), rows[i].len);
        for (unsigned j = 0; j < rows[i].len; j++)
            assert_int_equal(out[j].bytes[out[j].family == AF_INET ? 3 : 15], rows[i].last[j]);
    }
    hosts_fini(&h);
}

static void test_room_is_respected(void **state)
{
    struct hosts h;
    struct addr out[1];

    hosts_init(&h, path);
    assert_int_equal(hosts_find(&h, SPAN_LIT("two.test"), START_NS, out, 1), 1);
    hosts_fini(&h);
}

static void test_changes_are_followed_once_a_second(void **state)
{
    struct hosts h;
    struct addr out[2];

    hosts_init(&h, path);
    assert_int_equal(hosts_find(&h, SPAN_LIT("last.test"), START_NS, out, 2), 1);
    replace("192.0.2.9 new.test\n");
    assert_int_equal(hosts_find(&h, SPAN_LIT("last.test"), START_NS + NS_PER_S - 1, out, 2), 1);
    assert_int_equal(hosts_find(&h, SPAN_LIT("last.test"), START_NS + NS_PER_S, out, 2), 0);
    assert_int_equal(hosts_find(&h, SPAN_LIT("new.test"), START_NS + NS_PER_S, out, 2), 1);
    unlink(path);
    assert_int_equal(hosts_find(&h, SPAN_LIT("new.test"), START_NS + 2 * NS_PER_S, out, 2), 0);
    replace("192.0.2.9 back.test\n");
    assert_int_equal(hosts_find(&h, SPAN_LIT("back.test"), START_NS + 3 * NS_PER_S, out, 2), 1);
    hosts_fini(&h);
}

static void test_no_file(void **state)
{
    static const char *const paths[] = {NULL, "/nonexistent/hosts", "/dev/zero", "/tmp"};

    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        struct hosts h;
        struct addr out;

        hosts_init(&h, paths[i]);
        assert_int_equal(hosts_find(&h, SPAN_LIT("a"), START_NS, &out, 1), 0);
        hosts_fini(&h);
        hosts_fini(&h);
    }
}

/* A block list of names is found in, not walked through; and grows past the first sizes. */
static void test_many_names(void **state)
{
    struct hosts h;
    struct addr out[2];
    FILE *f = fopen(path, "w");

    for (int i = 0; i < 20000; i++)
        fprintf(f, "0.0.0.0 n%d.test\n", i);
    fclose(f);
    hosts_init(&h, path);
    for (int i = 0; i < 20000; i += 7) {
        char name[32];

        snprintf(name, sizeof name, "n%d.test", i);
        assert_int_equal(hosts_find(&h, span_of(name), START_NS, out, 2), 1);
    }
    hosts_fini(&h);
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(names),   TEST(room_is_respected), TEST(changes_are_followed_once_a_second),
        TEST(no_file), TEST(many_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
