/* capture/iface: what is said where capturing cannot begin; and, where it is permitted, packets of
 * the loopback interface, and an end that does not wait. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "capture/source.h"

static struct err err;

static struct capture_source *open_live(const char *interface, const char *filter)
{
    return capture_source_open(&(struct capture_options){.interface = interface, .filter = filter},
                               &err);
}

/* Nobody may capture here, or there is no loopback interface: nothing to test. */
static void need_permission(void)
{
    struct capture_source *s = open_live("lo", NULL);

    if (!s) {
        print_message("%s\n", err.text);
        skip();
    }
    capture_source_free(s);
}

static void what_hinders_is_said(void **state)
{
    struct capture_source *s = open_live("lo", NULL);

    if (s) {
        capture_source_free(s);
        assert_null(open_live("eht0123", NULL));
        assert_non_null(strstr(err.text, "eht0123: there is no such interface"));
        assert_null(open_live("loo", NULL));
        assert_non_null(strstr(err.text, "(did you mean lo?)"));
        assert_null(open_live("lo", "tcp prot 80"));
        assert_non_null(strstr(err.text, "the filter \"tcp prot 80\": "));
    } else {
        assert_non_null(strstr(err.text, "lo: "));
    }
}

/* A connection to a port where nobody listens: a SYN, and its RST. */
static uint16_t knock(void)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof to;
    int taken = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(taken >= 0 && fd >= 0);
    assert_int_equal(bind(taken, (struct sockaddr *)&to, sizeof to), 0); /* it does not listen */
    assert_int_equal(getsockname(taken, (struct sockaddr *)&to, &len), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), -1);
    close(taken);
    close(fd);
    return ntohs(to.sin_port);
}

/* Reads on until a packet from or to `port` has all of `flags`; a capture may be up to a tenth of a
 * second behind. */
static void expect(struct capture_source *s, uint16_t port, uint8_t flags)
{
    struct packet p;
    int got;

    while ((got = capture_source_next(s, &p)) == 1 || got == -EAGAIN)
        if (got == 1 && p.kind == PACKET_TCP && (p.from.port == port || p.to.port == port) &&
            (p.flags & flags) == flags) {
            assert_true(p.number > 0 && p.at_ns > NS_PER_S && p.file == 0);
            return;
        }
    fail_msg("%d", got);
}

static void packets_come_as_they_go_by(void **state)
{
    static const char *const interfaces[] = {"lo", "any"};

    need_permission();
    for (int i = 0; i < 2; i++) {
        struct capture_source *s = open_live(interfaces[i], "tcp and host 127.0.0.1");
        uint16_t port;

        if (!s)
            fail_msg("%s", err.text);
        assert_string_equal(capture_source_get_path(s, 0), interfaces[i]);
        port = knock();
        expect(s, port, PACKET_SYN);
        expect(s, port, PACKET_RST);
        assert_true(capture_source_get_seen(s)->packets >= 2);
        capture_source_free(s);
    }
}

static void a_quiet_interface_says_so_and_can_be_stopped(void **state)
{
    struct capture_source *s;
    struct packet p;

    need_permission();
    s = open_live("lo", "ip proto 254");
    if (!s)
        fail_msg("%s", err.text);
    assert_int_equal(capture_source_next(s, &p), -EAGAIN);
    assert_int_equal(capture_source_next(s, &p), -EAGAIN);
    capture_source_stop(s);
    assert_int_equal(capture_source_next(s, &p), 0);
    assert_string_equal(capture_source_get_seen(s)->trouble, "");
    capture_source_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_hinders_is_said),
        cmocka_unit_test(packets_come_as_they_go_by),
        cmocka_unit_test(a_quiet_interface_says_so_and_can_be_stopped),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
