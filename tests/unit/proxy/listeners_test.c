#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../net/tcp.h"
#include "base/util.h"
#include "proxy/listeners.h"
#include "proxy/notify.h"

enum { WORKERS = 3 };

static struct config_listener ask(uint16_t port)
{
    struct config_listener c = {.at = tcp_loopback(AF_INET), .file = "test.conf", .line = 1};

    c.at.port = port;
    return c;
}

static void open_all(struct listeners *l, const struct config_listener *asked, unsigned len,
                     const struct listeners *old)
{
    struct err err = {""};
    bool ok = listeners_open(l, asked, len, WORKERS, old, &err);

    if (!ok)
        print_message("%s\n", err.text);
    assert_true(ok);
}

static bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

static unsigned count_descriptors(void)
{
    unsigned n = 0;

    for (int fd = 0; fd < 1024; fd++)
        n += is_open(fd);
    return n;
}

static void each_worker_has_its_own_socket(void **state)
{
    struct config_listener asked[] = {ask(0), ask(0)};
    struct listeners l;

    (void)state;
    asked[1].at = tcp_loopback(AF_INET6);
    open_all(&l, asked, 2, NULL);
    assert_int_equal(l.len, 2);
    for (unsigned w = 0; w < WORKERS; w++) {
        unsigned len;
        struct worker_listener *own = listeners_of_worker(&l, w, &len);

        assert_int_equal(len, 2);
        for (unsigned i = 0; i < len; i++) {
            struct endpoint at;

            assert_int_equal(own[i].fd, l.all[i].fds[w]);
            assert_true(sock_get_local(own[i].fd, &at));
            assert_int_equal(at.port, l.all[i].at.port); /* the same port for all */
            assert_int_equal(own[i].at.port, at.port);
            assert_true(at.port > 0);
            assert_null(own[i].tls);
        }
        free(own);
    }
    assert_int_not_equal(l.all[0].fds[0], l.all[0].fds[1]);
    listeners_fini(&l, true);
}

/* Asked for again, a listener stays: sockets, and the port that the kernel gave. */
static void a_reload_keeps_what_is_asked_for_again(void **state)
{
    struct config_listener before[] = {ask(0), ask(0)}, after[2];
    struct listeners old, fresh;
    int gone[WORKERS];

    (void)state;
    before[1].at = tcp_loopback(AF_INET6);
    open_all(&old, before, 2, NULL);
    memcpy(gone, old.all[1].fds, sizeof gone);
    after[0] = ask(0);
    after[0].at.addr.bytes[3] = 2; /* a new one, in front */
    after[1] = before[0];
    open_all(&fresh, after, 2, &old);
    assert_int_equal(fresh.all[1].at.port, old.all[0].at.port);
    assert_memory_equal(fresh.all[1].fds, old.all[0].fds, sizeof gone);
    for (unsigned w = 0; w < WORKERS; w++)
        assert_true(is_open(fresh.all[0].fds[w]) && is_open(gone[w]));
    listeners_fini(&old, false); /* the workers close what is not asked for any more */
    for (unsigned w = 0; w < WORKERS; w++) {
        assert_true(is_open(fresh.all[1].fds[w]));
        close(gone[w]);
    }
    listeners_fini(&fresh, true);
}

/* Another clamp is another socket, beside the old one on the same port. */
static void changed_options_need_new_sockets(void **state)
{
    struct listeners old, fresh;
    struct config_listener c = ask(0);

    (void)state;
    open_all(&old, &c, 1, NULL);
    c.at.port = old.all[0].at.port;
    old.all[0].asked.port = c.at.port;
    c.mss = 900;
    open_all(&fresh, &c, 1, &old);
    assert_int_equal(fresh.all[0].at.port, old.all[0].at.port);
    assert_int_not_equal(fresh.all[0].fds[0], old.all[0].fds[0]);
    listeners_fini(&old, true);
    listeners_fini(&fresh, true);
}

/* All or nothing: what was opened for a list that fails is closed, what was there before is not. */
static void a_failure_changes_nothing(void **state)
{
    static const char *const reasons[] = {"another proxy", "no.pem"};
    static char missing[] = "/nowhere/no.pem";
    struct config_listener asked[3] = {ask(0), ask(0), ask(0)};
    struct endpoint taken;
    int stranger = tcp_listen(AF_INET, &taken);
    struct listeners old, fresh;

    (void)state;
    open_all(&old, asked, 1, NULL);
    for (unsigned i = 0; i < ARRAY_LEN(reasons); i++) {
        unsigned before = count_descriptors();
        struct err err = {""};

        asked[1] = ask(0);
        asked[1].at.addr.bytes[3] = 2; /* can be opened */
        asked[2] = ask(taken.port);
        if (i == 1) {
            asked[2] = ask(0);
            asked[2].at.addr.bytes[3] = 3;
            asked[2].tls_certificate = asked[2].tls_key = missing;
        }
        assert_false(listeners_open(&fresh, asked, 3, WORKERS, &old, &err));
        if (!strstr(err.text, reasons[i]))
            fail_msg("%s", err.text);
        assert_null(fresh.all);
        assert_int_equal(count_descriptors(), before);
        for (unsigned w = 0; w < WORKERS; w++)
            assert_true(is_open(old.all[0].fds[w]));
    }
    listeners_fini(&old, true);
    close(stranger);
}

/* Two proxies never share a port by chance. */
static void a_port_of_another_proxy_is_refused(void **state)
{
    struct config_listener c = ask(0);
    struct listeners theirs, ours;
    struct err err = {""};

    (void)state;
    open_all(&theirs, &c, 1, NULL);
    c.at.port = theirs.all[0].at.port;
    assert_false(listeners_open(&ours, &c, 1, WORKERS, NULL, &err));
    assert_non_null(strstr(err.text, "Address already in use"));
    listeners_fini(&theirs, true);
}

/* ---- sockets of the service manager: they begin at descriptor 3 */

static int saved[2] = {-1, -1};

/* Out of the way of the numbers that it is about. */
static int lift(int fd)
{
    int high = fcntl(fd, F_DUPFD, 100);

    close(fd);
    return high;
}

static void hand_over(int fd, int as)
{
    saved[as - NOTIFY_FIRST_FD] = fcntl(as, F_DUPFD_CLOEXEC, 100);
    assert_int_equal(dup2(fd, as), as);
    close(fd);
}

static void take_back(void)
{
    for (int i = 0; i < 2; i++) {
        close(NOTIFY_FIRST_FD + i);
        if (saved[i] >= 0) {
            dup2(saved[i], NOTIFY_FIRST_FD + i);
            close(saved[i]);
        }
        saved[i] = -1;
    }
}

/* A listening socket as a plain program opens it. */
static int listen_plainly(int family, int type)
{
    struct sockaddr_storage sa = {.ss_family = (sa_family_t)family};
    int fd = socket(family, type, 0);

    bind(fd, (struct sockaddr *)&sa,
         family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(sa_family_t));
    if (type == SOCK_STREAM)
        listen(fd, 5);
    return lift(fd);
}

static void inherited_sockets_serve_like_ours(void **state)
{
    struct err err = {""};
    struct listeners l;
    unsigned len;

    (void)state;
    hand_over(listen_plainly(AF_INET, SOCK_STREAM), NOTIFY_FIRST_FD);
    hand_over(listen_plainly(AF_INET, SOCK_STREAM), NOTIFY_FIRST_FD + 1);
    assert_true(listeners_inherit(&l, 2, NULL, 0, WORKERS, &err));
    assert_int_equal(l.len, 2);
    for (int i = 0; i < 2; i++) {
        int fd = NOTIFY_FIRST_FD + i;

        assert_int_equal(l.all[i].fds[0], fd); /* worker 0 takes all, */
        assert_int_equal(l.all[i].fds[1], -1);
        assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
        assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
        assert_true(tcp_get_int(fd, IPPROTO_TCP, TCP_NODELAY));
        assert_true(tcp_get_int(fd, SOL_SOCKET, SO_KEEPALIVE));
        assert_true(l.all[i].at.port > 0);
    }
    free(listeners_of_worker(&l, 1, &len));
    assert_int_equal(len, 2); /* and the others know them by number */
    listeners_fini(&l, true);
    take_back();
}

static void what_does_not_listen_is_refused(void **state)
{
    static const struct {
        int family, type;
    } rows[] = {{AF_INET, SOCK_DGRAM}, {AF_UNIX, SOCK_STREAM}, {0, 0}};
    int input = fcntl(0, F_GETFD);

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        int fd = rows[i].type ? listen_plainly(rows[i].family, rows[i].type)
                              : lift(open("/dev/null", O_RDONLY | O_CLOEXEC));
        struct err err = {""};
        struct listeners l;

        hand_over(listen_plainly(AF_INET, SOCK_STREAM), NOTIFY_FIRST_FD);
        hand_over(fd, NOTIFY_FIRST_FD + 1);
        assert_false(listeners_inherit(&l, 2, NULL, 0, WORKERS, &err));
        assert_non_null(strstr(err.text, "descriptor 4"));
        assert_null(l.all);
        assert_false(is_open(NOTIFY_FIRST_FD)); /* given up, and nobody else's with them */
        assert_int_equal(fcntl(0, F_GETFD), input);
        take_back();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_worker_has_its_own_socket),
        cmocka_unit_test(a_reload_keeps_what_is_asked_for_again),
        cmocka_unit_test(changed_options_need_new_sockets),
        cmocka_unit_test(a_failure_changes_nothing),
        cmocka_unit_test(a_port_of_another_proxy_is_refused),
        cmocka_unit_test(inherited_sockets_serve_like_ours),
        cmocka_unit_test(what_does_not_listen_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
