#include "proxy/accounts_watch.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/tmp/viaduct-watch-XXXXXX";

#define PATHS 4
static const char *in_folder(const char *name)
{
    static char path[PATHS][256];
    static unsigned next;
    char *out = path[next++ % PATHS];

    snprintf(out, sizeof path[0], "%s/%s", folder, name);
    return out;
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    char command[300];

    (void)state;
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command);
}

#define USER(name) "user " name " { realm r; md5 00000000000000000000000000000000; }\n"

static void write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "we");

    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static bool is_told(struct accounts_watch *w)
{
    struct pollfd p = {w->fd, POLLIN, 0};

    return poll(&p, 1, 0) == 1 && accounts_watch_has_changed(w);
}

static void expect_count(struct accounts_watch *w, unsigned count)
{
    struct accounts *s = accounts_watch_load(w, false);

    assert_non_null(s);
    assert_int_equal(accounts_count(s), count);
    accounts_unref(s);
    assert_false(is_told(w));
}

static void changes_are_told_once_however_they_are_made(void **state)
{
    struct accounts_watch w;
    char kept[256];

    (void)state;
    snprintf(kept, sizeof kept, "%s", in_folder("accounts.conf"));
    write_file(kept, USER("a"));
    accounts_watch_init(&w);
    accounts_watch_set(&w, kept);
    expect_count(&w, 1);
    write_file(kept, USER("a") USER("b")); /* in place */
    assert_true(is_told(&w));
    expect_count(&w, 2);
    write_file(in_folder("new"), USER("a") USER("b") USER("c")); /* by renaming */
    assert_false(is_told(&w));
    assert_int_equal(rename(in_folder("new"), kept), 0);
    assert_true(is_told(&w));
    expect_count(&w, 3);
    write_file(kept, "user a {"); /* a bad one */
    assert_true(is_told(&w));
    assert_null(accounts_watch_load(&w, false));
    assert_int_equal(unlink(kept), 0); /* gone */
    assert_true(is_told(&w));
    assert_null(accounts_watch_load(&w, false));
    write_file(kept, USER("a"));
    assert_true(is_told(&w));
    expect_count(&w, 1);
    accounts_watch_fini(&w);
}

static void a_link_s_own_folder_and_its_target_s_are_watched(void **state)
{
    struct accounts_watch w;
    char kept[256];

    (void)state;
    snprintf(kept, sizeof kept, "%s", in_folder("link"));
    assert_int_equal(symlink("far/one", in_folder("link")), 0);
    accounts_watch_init(&w);
    accounts_watch_set(&w, kept);
    struct accounts *s = accounts_watch_load(&w, true); /* not there: empty */
    assert_non_null(s);
    assert_int_equal(accounts_count(s), 0);
    accounts_unref(s);
    char command[600];
    snprintf(command, sizeof command, "mkdir %s/far %s/near", folder, folder);
    assert_int_equal(system(command), 0);
    write_file(in_folder("far/one"), USER("a"));
    expect_count(&w, 1); /* from now on the far folder is watched */
    write_file(in_folder("far/one"), USER("a") USER("b"));
    assert_true(is_told(&w));
    expect_count(&w, 2);
    write_file(in_folder("near/two"), "");
    assert_int_equal(symlink("near/two", in_folder("other")), 0);
    assert_int_equal(rename(in_folder("other"), in_folder("link")), 0);
    assert_true(is_told(&w));
    expect_count(&w, 0);
    accounts_watch_fini(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(changes_are_told_once_however_they_are_made),
        cmocka_unit_test(a_link_s_own_folder_and_its_target_s_are_watched),
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
