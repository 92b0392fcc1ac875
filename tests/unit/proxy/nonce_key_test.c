#include "proxy/nonce_key.h"

#include <fcntl.h>
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

static char folder[] = "/tmp/viaduct-key-XXXXXX";

static const char *in_folder(const char *name)
{
    static char path[256];

    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
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

static void put(const char *path, const char *bytes, size_t len, mode_t mode)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);

    assert_true(fd >= 0 && write(fd, bytes, len) == (ssize_t)len && fchmod(fd, mode) == 0);
    close(fd);
}

static void made_once_and_kept(void **state)
{
    unsigned char first[NONCE_KEY_LEN] = {0}, second[NONCE_KEY_LEN], none[NONCE_KEY_LEN] = {0};
    const char *path = in_folder("a/b/nonce.key");
    struct stat st;

    (void)state;
    nonce_key_make_folder(path, geteuid(), getegid());
    nonce_key_read(path, first);
    assert_memory_not_equal(first, none, sizeof first);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(st.st_size, NONCE_KEY_LEN);
    nonce_key_read(path, second);
    assert_memory_equal(first, second, sizeof first);
    assert_int_equal(stat(in_folder("a/b"), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
}

static void what_is_no_key_is_replaced(void **state)
{
    static const struct {
        size_t len;
        mode_t mode;
    } cases[] = {{NONCE_KEY_LEN, 0640}, {NONCE_KEY_LEN - 1, 0600}, {NONCE_KEY_LEN + 1, 0600}};
    char bytes[NONCE_KEY_LEN + 1];
    struct stat st;

    (void)state;
    memset(bytes, 'x', sizeof bytes);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        unsigned char key[NONCE_KEY_LEN], again[NONCE_KEY_LEN];
        const char *path = in_folder("key");

        put(path, bytes, cases[i].len, cases[i].mode);
        nonce_key_read(path, key);
        assert_memory_not_equal(key, bytes, sizeof key);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0600);
        nonce_key_read(path, again);
        assert_memory_equal(key, again, sizeof key);
    }
}

/* A process that was cut short while it wrote has left its half; numbers of processes come again,
 * in a container at once. */
static void what_was_left_half_written_is_in_nobodys_way(void **state)
{
    unsigned char first[NONCE_KEY_LEN], second[NONCE_KEY_LEN];
    char half[300];

    (void)state;
    snprintf(half, sizeof half, "%s.new-%d", in_folder("again"), (int)getpid());
    put(half, "half", 4, 0600);
    nonce_key_read(in_folder("again"), first);
    nonce_key_read(in_folder("again"), second);
    assert_memory_equal(first, second, sizeof first);
    assert_int_not_equal(access(half, F_OK), 0);
}

/* No link is followed to a file of somebody's choice, and there is a key all the same. */
static void links_and_missing_folders_give_a_key_for_once(void **state)
{
    unsigned char first[NONCE_KEY_LEN], second[NONCE_KEY_LEN];
    char target[256];

    (void)state;
    put(in_folder("elsewhere"), "0123456789abcdef0123456789abcdef", NONCE_KEY_LEN, 0600);
    snprintf(target, sizeof target, "%s", in_folder("elsewhere"));
    assert_int_equal(symlink(target, in_folder("link")), 0);
    nonce_key_read(in_folder("link"), first);
    assert_memory_not_equal(first, "0123456789abcdef0123456789abcdef", sizeof first);
    nonce_key_read(in_folder("not/there/key"), first);
    nonce_key_read(in_folder("not/there/key"), second);
    assert_memory_not_equal(first, second, sizeof first);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(made_once_and_kept),
        cmocka_unit_test(what_is_no_key_is_replaced),
        cmocka_unit_test(what_was_left_half_written_is_in_nobodys_way),
        cmocka_unit_test(links_and_missing_folders_give_a_key_for_once),
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
