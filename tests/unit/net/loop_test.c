#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/util.h"
#include "net/loop.h"
#include "tcp.h"

static int setup(void **state)
{
    static struct loop loop;

    *state = &loop;
    return loop_init(&loop);
}

static int teardown(void **state)
{
    loop_fini(*state);
    loop_fini(*state); /* harmless */
    return 0;
}

static void references_come_back_whole(void **state)
{
    static const struct loop_ref rows[] = {
        {0, 0, 0}, {1, 2, 3}, {255, 0xffffff, UINT32_MAX}, {5, 0x800000, 0x80000001}};
    struct loop *l = *state;

    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        int fd = eventfd(1, EFD_NONBLOCK);
        struct loop_ref got;

        assert_int_equal(loop_add(l, fd, EPOLLIN, rows[i]), 0);
        assert_int_equal(loop_wait(l, 0), 1);
        got = loop_get_ref(l, 0);
        assert_int_equal(got.kind, rows[i].kind);
        assert_int_equal(got.slot, rows[i].slot);
        assert_int_equal(got.generation, rows[i].generation);
        assert_int_equal(loop_get_events(l, 0), EPOLLIN);
        close(fd); /* forgotten by that */
        assert_int_equal(loop_wait(l, 0), 0);
    }
}

static void mistakes_are_told(void **state)
{
    struct loop *l = *state;
    struct loop_ref ref = {0};
    int fd = eventfd(0, EFD_NONBLOCK);

    assert_int_equal(loop_add(l, -1, EPOLLIN, ref), -EBADF);
    assert_int_equal(loop_change(l, fd, EPOLLIN, ref), -ENOENT);
    assert_int_equal(loop_add(l, fd, EPOLLIN, ref), 0);
    assert_int_equal(loop_add(l, fd, EPOLLIN, ref), -EEXIST);
    loop_remove(l, fd);
    loop_remove(l, fd);
    assert_int_equal(loop_add(l, fd, EPOLLIN, ref), 0);
    close(fd);
}

static void what_is_watched_may_change(void **state)
{
    struct loop *l = *state;
    int fd = eventfd(1, EFD_NONBLOCK);

    loop_add(l, fd, EPOLLIN, (struct loop_ref){1, 1, 1});
    assert_int_equal(loop_change(l, fd, EPOLLOUT, (struct loop_ref){2, 2, 2}), 0);
    assert_int_equal(loop_wait(l, 0), 1);
    assert_int_equal(loop_get_events(l, 0), EPOLLOUT);
    assert_int_equal(loop_get_ref(l, 0).kind, 2);
    close(fd);
}

static void a_wait_ends_in_time_and_not_before(void **state)
{
    struct loop *l = *state;
    uint64_t until;

    loop_touch(l);
    until = l->now_ns + 3 * NS_PER_MS + 1;
    assert_int_equal(loop_wait(l, until), 0);
    assert_true(l->now_ns >= until);
    assert_int_equal(loop_wait(l, until), 0); /* it is over: no wait */
    assert_int_equal(loop_wait(l, 0), 0);
    assert_true(l->wall_ns > 1000000000 * NS_PER_S);
}

/* Each thing that happens to a socket of bytes is told once. */
static void sockets_are_told_once(void **state)
{
    struct loop *l = *state;
    int fds[2];

    tcp_pair(fds);
    loop_add(l, fds[1], LOOP_DATA, (struct loop_ref){1, 0, 0});
    assert_int_equal(loop_wait(l, 0), 1);
    assert_int_equal(loop_get_events(l, 0), EPOLLOUT);
    assert_int_equal(loop_wait(l, 0), 0);
    assert_int_equal(sock_write(fds[0], "a", 1), 1);
    assert_int_equal(loop_wait(l, UINT64_MAX), 1);
    assert_true(loop_get_events(l, 0) & EPOLLIN);
    assert_int_equal(loop_wait(l, 0), 0); /* although nobody read */
    sock_shutdown(fds[0]);
    assert_int_equal(loop_wait(l, UINT64_MAX), 1);
    assert_true(loop_get_events(l, 0) & EPOLLRDHUP);
    close(fds[0]);
    close(fds[1]);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(references_come_back_whole), TEST(mistakes_are_told),
        TEST(what_is_watched_may_change), TEST(a_wait_ends_in_time_and_not_before),
        TEST(sockets_are_told_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
