#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/util.h"
#include "net/sock.h"
#include "tcp.h"

static void a_connection_inherits_its_options(void **state)
{
    static const uint8_t families[] = {AF_INET, AF_INET6};

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(families); i++) {
        struct endpoint at, client, local;
        int listener = tcp_listen(families[i], &at), dialled, accepted;

        assert_true(at.port > 0);
        assert_int_equal(sock_accept(listener, &client), -EAGAIN);
        dialled = sock_connect(&at, 0);
        assert_true(tcp_wait(listener, POLLIN) & POLLIN);
        accepted = sock_accept(listener, &client);
        assert_true(accepted >= 0);
        assert_true(sock_get_local(dialled, &local));
        assert_true(addr_is_equal(&local.addr, &client.addr));
        assert_int_equal(local.port, client.port);
        assert_int_equal(sock_get_error(dialled), 0);
        assert_true(tcp_get_int(accepted, IPPROTO_TCP, TCP_NODELAY));
        assert_true(tcp_get_int(accepted, SOL_SOCKET, SO_KEEPALIVE));
        assert_true(fcntl(accepted, F_GETFL) & O_NONBLOCK);
        assert_true(fcntl(accepted, F_GETFD) & FD_CLOEXEC);
        assert_true(fcntl(dialled, F_GETFL) & O_NONBLOCK);
        assert_true(fcntl(dialled, F_GETFD) & FD_CLOEXEC);
        assert_false(tcp_get_int(dialled, IPPROTO_TCP, TCP_NODELAY));
        sock_set_nodelay(dialled);
        assert_true(tcp_get_int(dialled, IPPROTO_TCP, TCP_NODELAY));
        close(dialled);
        close(accepted);
        close(listener);
    }
}

static void a_closed_port_refuses(void **state)
{
    struct endpoint at;
    int listener = tcp_listen(AF_INET, &at), fd;

    (void)state;
    close(listener);
    fd = sock_connect(&at, 0);
    if (fd >= 0) {
        tcp_wait(fd, POLLOUT);
        assert_int_equal(sock_get_error(fd), ECONNREFUSED);
        assert_int_equal(sock_get_error(fd), 0); /* it is told once */
        close(fd);
    } else {
        assert_int_equal(fd, -ECONNREFUSED);
    }
}

/* What a second listener on the same port meets. */
static void a_port_in_use_is_found_out(void **state)
{
    static const struct {
        bool first_shared, second_shared;
        int second; /* what listening there again gives */
    } rows[] = {{false, false, -EADDRINUSE}, {true, false, -EADDRINUSE}, {true, true, 0}};

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        struct endpoint at = tcp_loopback(AF_INET);
        int first = sock_listen(&at, 0, rows[i].first_shared), second;

        sock_get_local(first, &at);
        assert_int_equal(sock_probe_listen(&at), -EADDRINUSE);
        second = sock_listen(&at, 0, rows[i].second_shared);
        assert_int_equal(second < 0 ? second : 0, rows[i].second);
        if (second >= 0)
            close(second);
        close(first);
        assert_int_equal(sock_probe_listen(&at), 0);
    }
}

static void an_address_of_somebody_else_is_refused(void **state)
{
    struct endpoint at = {.addr = {{192, 0, 2, 1}, AF_INET}, .port = 0}; /* of documentation */

    (void)state;
    assert_int_equal(sock_listen(&at, 0, true), -EADDRNOTAVAIL);
    assert_int_equal(sock_probe_listen(&at), -EADDRNOTAVAIL);
}

static void segments_are_clamped(void **state)
{
    static const struct {
        uint32_t listener, dialled;
    } rows[] = {{0, 600}, {700, 0}};

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        struct endpoint at = tcp_loopback(AF_INET), client;
        int listener = sock_listen(&at, rows[i].listener, false), dialled, accepted;
        struct sock_info ours, theirs;

        sock_get_local(listener, &at);
        dialled = sock_connect(&at, rows[i].dialled);
        tcp_wait(listener, POLLIN);
        accepted = sock_accept(listener, &client);
        assert_true(sock_read_info(dialled, &ours) && sock_read_info(accepted, &theirs));
        /* who clamps makes the other one send small ones */
        assert_in_range(rows[i].dialled ? theirs.mss : ours.mss, 500,
                        rows[i].dialled + rows[i].listener);
        close(dialled);
        close(accepted);
        close(listener);
    }
}

static void calls_answer_in_one_way(void **state)
{
    char in[8];
    int fds[2];

    (void)state;
    tcp_pair(fds);
    assert_int_equal(sock_read(fds[1], in, sizeof in), -EAGAIN);
    assert_int_equal(sock_write(fds[0], "ab", 2), 2);
    tcp_wait(fds[1], POLLIN);
    assert_int_equal(sock_read(fds[1], in, sizeof in), 2);
    sock_shutdown(fds[0]);
    tcp_wait(fds[1], POLLIN);
    assert_int_equal(sock_read(fds[1], in, sizeof in), 0);
    assert_int_equal(sock_write(fds[0], "x", 1), -EPIPE); /* and no signal */
    assert_int_equal(sock_write(fds[1], "cd", 2), 2);     /* the other direction lives on */
    tcp_wait(fds[0], POLLIN);
    assert_int_equal(sock_read(fds[0], in, sizeof in), 2);
    close(fds[0]);
    close(fds[1]);
    tcp_pair(fds);
    sock_reset(fds[0]);
    tcp_wait(fds[1], POLLIN);
    assert_int_equal(sock_read(fds[1], in, sizeof in), -ECONNRESET);
    assert_int_equal(sock_write(fds[1], "x", 1), -EPIPE);
    close(fds[1]);
}

static void a_full_socket_says_so(void **state)
{
    static const char bytes[65536];
    ssize_t put;
    int fds[2];

    (void)state;
    tcp_pair(fds);
    do
        put = sock_write(fds[0], bytes, sizeof bytes);
    while (put > 0);
    assert_int_equal(put, -EAGAIN);
    close(fds[0]);
    close(fds[1]);
}

/* ---- TCP_INFO */

static uint64_t unacked_of(int fd)
{
    struct sock_info info;

    assert_true(sock_read_info(fd, &info));
    return info.unacked;
}

/* Waits until all that was sent is acknowledged. */
static void settle(int fd)
{
    struct pollfd none = {.fd = -1};

    for (int i = 0; i < TCP_PATIENCE_MS && unacked_of(fd) > 0; i++)
        poll(&none, 1, 1);
    assert_int_equal(unacked_of(fd), 0);
}

/* The handshake's own numbers are no bytes: from both ends, the count is exact. */
static void unacknowledged_bytes_are_exact(void **state)
{
    static const struct {
        int sender; /* 0: the end that dialled; 1: the one that was accepted */
        size_t before, lost;
        bool fin;
    } rows[] = {
        {0, 0, 1, false},  {1, 0, 1, false},  {0, 0, 500, false}, {1, 0, 500, false},
        {0, 99, 1, false}, {1, 99, 1, false}, {0, 0, 0, false},   {1, 5000, 0, false},
        {0, 10, 10, true}, {1, 10, 10, true}, {0, 10, 0, true},   {1, 10, 0, true},
    };
    static const char bytes[8192];

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        int fds[2], from, to;

        tcp_pair(fds);
        from = fds[rows[i].sender];
        to = fds[!rows[i].sender];
        assert_int_equal(unacked_of(from), 0);
        if (rows[i].before)
            sock_write(from, bytes, rows[i].before);
        settle(from);
        tcp_deafen(to);
        if (rows[i].lost)
            sock_write(from, bytes, rows[i].lost);
        if (rows[i].fin)
            sock_shutdown(from);
        assert_int_equal(unacked_of(from), rows[i].lost);
        tcp_undeafen(to); /* the next retransmission comes through */
        settle(from);
        close(fds[0]);
        close(fds[1]);
    }
}

static void a_quiet_connection_owes_nothing(void **state)
{
    static const char bytes[3000];
    char in[4096];
    int fds[2];

    (void)state;
    tcp_pair(fds);
    for (int i = 0; i < 2; i++) {
        sock_write(fds[i], bytes, sizeof bytes);
        settle(fds[i]);
        sock_shutdown(fds[i]);
        settle(fds[i]);
        assert_int_equal(unacked_of(fds[!i]), 0);
    }
    while (sock_read(fds[0], in, sizeof in) > 0)
        ;
    assert_int_equal(unacked_of(fds[0]), 0);
    close(fds[0]);
    close(fds[1]);
}

/* What a reset left unacknowledged is still told: an obituary reads it. */
static void a_reset_keeps_the_count(void **state)
{
    int fds[2];

    (void)state;
    for (int sender = 0; sender < 2; sender++) {
        tcp_pair(fds);
        tcp_deafen(fds[!sender]);
        sock_write(fds[sender], "lost", 4);
        tcp_undeafen(fds[!sender]);
        sock_reset(fds[!sender]);
        tcp_wait(fds[sender], POLLIN);
        assert_int_equal(unacked_of(fds[sender]), 4);
        close(fds[sender]);
    }
}

static void retransmissions_and_windows_are_told(void **state)
{
    static const char bytes[65536];
    struct pollfd none = {.fd = -1};
    struct sock_info info;
    int fds[2];

    (void)state;
    tcp_pair(fds);
    assert_true(sock_read_info(fds[0], &info));
    assert_false(info.zero_window);
    assert_int_equal(info.retransmissions, 0);
    assert_true(info.rtt_us > 0 && info.mss > 0 && info.pmtu >= info.mss);
    tcp_deafen(fds[1]);
    sock_write(fds[0], "x", 1);
    for (int i = 0; i < TCP_PATIENCE_MS && info.retransmissions == 0; i++) {
        poll(&none, 1, 1);
        sock_read_info(fds[0], &info);
    }
    assert_true(info.retransmissions > 0);
    assert_int_equal(info.unacked, 1); /* once, however often it was sent */
    for (int i = 0; i < TCP_PATIENCE_MS && info.backoffs == 0; i++) {
        poll(&none, 1, 1);
        sock_read_info(fds[0], &info);
    }
    assert_true(info.backoffs > 0 && info.timeout_ms > 0 && info.since_ack_ms > 0);
    assert_int_equal(info.received, 0);
    tcp_undeafen(fds[1]);
    settle(fds[0]);
    while (sock_write(fds[0], bytes, sizeof bytes) > 0)
        ;
    for (int i = 0; i < TCP_PATIENCE_MS && !info.zero_window; i++) {
        poll(&none, 1, 1);
        sock_write(fds[0], bytes, sizeof bytes);
        sock_read_info(fds[0], &info);
    }
    assert_true(info.zero_window);
    close(fds[0]);
    close(fds[1]);
}

static void what_is_no_tcp_socket_has_no_info(void **state)
{
    struct sock_info info;
    struct endpoint at;

    (void)state;
    assert_false(sock_read_info(-1, &info));
    assert_false(sock_get_local(-1, &at));
    assert_int_equal(sock_get_error(-1), EBADF);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_connection_inherits_its_options),
        cmocka_unit_test(a_closed_port_refuses),
        cmocka_unit_test(a_port_in_use_is_found_out),
        cmocka_unit_test(an_address_of_somebody_else_is_refused),
        cmocka_unit_test(segments_are_clamped),
        cmocka_unit_test(calls_answer_in_one_way),
        cmocka_unit_test(a_full_socket_says_so),
        cmocka_unit_test(unacknowledged_bytes_are_exact),
        cmocka_unit_test(a_quiet_connection_owes_nothing),
        cmocka_unit_test(a_reset_keeps_the_count),
        cmocka_unit_test(retransmissions_and_windows_are_told),
        cmocka_unit_test(what_is_no_tcp_socket_has_no_info),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
