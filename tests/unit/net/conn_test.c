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
#include <sys/epoll.h>

#include <cmocka.h>

#include "base/util.h"
#include "net/conn.h"
#include "tcp.h"

/* A conn and the socket at its other end. */
struct pair {
    struct conn conn;
    int other;
};

static int setup(void **state)
{
    static struct pair p;
    int fds[2];

    tcp_pair(fds);
    conn_init(&p.conn, fds[0], NODELAY_SET);
    p.other = fds[1];
    *state = &p;
    return 0;
}

static int teardown(void **state)
{
    struct pair *p = *state;

    conn_close(&p->conn, false);
    conn_close(&p->conn, true); /* closed already: harmless */
    close(p->other);
    return 0;
}

/* Sends from the other end, and lets it arrive. */
static void arrive(struct pair *p, const char *bytes, size_t n)
{
    assert_int_equal(sock_write(p->other, bytes, n), n);
    assert_true(tcp_wait(p->conn.fd, POLLIN) & POLLIN);
}

static void events_are_remembered(void **state)
{
    static const struct {
        uint32_t events;
        unsigned ready;
    } rows[] = {
        {EPOLLIN, CONN_IN},
        {EPOLLOUT, CONN_OUT},
        {EPOLLIN | EPOLLOUT, CONN_IN | CONN_OUT},
        {EPOLLRDHUP, CONN_RDHUP | CONN_IN},
        {EPOLLERR, CONN_ERR | CONN_IN | CONN_OUT},
        {EPOLLHUP, CONN_ERR | CONN_IN | CONN_OUT},
        {EPOLLPRI, CONN_URGENT},
        {0, 0},
    };

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        struct conn c;

        conn_init(&c, -1, NODELAY_SET);
        conn_note_events(&c, rows[i].events);
        assert_int_equal(c.ready, rows[i].ready);
    }
}

/* What a read leaves in `ready`: a short one means drained, and the end when FIN was told before.
 */
static void reads_tell_what_is_left(void **state)
{
    static const struct {
        unsigned ready;
        size_t sent, room;
        ssize_t got;
        unsigned left;
        bool eof;
    } rows[] = {
        {CONN_IN, 3, 8, 3, 0, false},
        {CONN_IN, 8, 8, 8, CONN_IN, false}, /* full: there may be more */
        {CONN_IN, 9, 8, 8, CONN_IN, false},
        {CONN_IN, 0, 8, -EAGAIN, 0, false},
        {CONN_IN | CONN_URGENT, 3, 8, 3, CONN_IN | CONN_URGENT, false},
        {CONN_IN | CONN_ERR, 3, 8, 3, CONN_IN | CONN_ERR, false},
        {CONN_IN | CONN_OUT, 0, 8, -EAGAIN, CONN_OUT, false},
    };

    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        struct pair *p;
        char in[16];

        setup(state);
        p = *state;
        p->conn.ready = (uint8_t)rows[i].ready;
        if (rows[i].sent)
            arrive(p, "123456789", rows[i].sent);
        assert_int_equal(conn_read(&p->conn, in, rows[i].room), rows[i].got);
        assert_int_equal(p->conn.ready, rows[i].left);
        assert_int_equal(p->conn.eof, rows[i].eof);
        teardown(state);
    }
}

static void a_short_read_behind_a_fin_is_the_last(void **state)
{
    struct pair *p = *state;
    char in[8];

    assert_int_equal(sock_write(p->other, "bye", 3), 3);
    sock_shutdown(p->other);
    assert_true(tcp_wait(p->conn.fd, POLLRDHUP) & POLLRDHUP);
    conn_note_events(&p->conn, EPOLLIN | EPOLLRDHUP);
    assert_int_equal(conn_read(&p->conn, in, sizeof in), 3);
    assert_true(p->conn.eof);
    assert_int_equal(conn_read(&p->conn, in, sizeof in), 0);
}

static void the_end_is_an_end_without_any_hint(void **state)
{
    struct pair *p = *state;
    char in[8];

    sock_shutdown(p->other);
    tcp_wait(p->conn.fd, POLLIN);
    assert_int_equal(conn_read(&p->conn, in, sizeof in), 0);
    assert_true(p->conn.eof);
}

static void errors_are_handed_on(void **state)
{
    struct pair *p = *state;
    char in[8];

    sock_reset(dup(p->other));
    close(p->other);
    p->other = -1;
    tcp_wait(p->conn.fd, POLLIN);
    assert_int_equal(conn_read(&p->conn, in, sizeof in), -ECONNRESET);
    assert_false(p->conn.eof);
    assert_int_equal(conn_send(&p->conn, "x", 1), -EPIPE);
}

static void nagle_is_switched_off_when_it_could_hurt(void **state)
{
    static const struct {
        enum conn_nodelay mode;
        int after[3]; /* TCP_NODELAY after no, one and two writes */
    } rows[] = {
        {NODELAY_SET, {0, 0, 0}}, /* somebody else saw to it */
        {NODELAY_AT_NEXT_WRITE, {0, 1, 1}},
        {NODELAY_AFTER_FIRST_WRITE, {0, 0, 1}},
    };

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        struct conn c;
        int fds[2];

        tcp_pair(fds);
        conn_init(&c, fds[0], rows[i].mode);
        for (unsigned k = 0; k < 3; k++) {
            assert_int_equal(!!tcp_get_int(c.fd, IPPROTO_TCP, TCP_NODELAY), rows[i].after[k]);
            assert_int_equal(conn_write(&c, "x", 1), 1);
        }
        conn_close(&c, false);
        close(fds[1]);
    }
}

/* Fills the socket and the rest; returns how many bytes were taken. */
static size_t fill(struct conn *c, const char *bytes, size_t n)
{
    size_t taken = 0;

    while (!conn_has_rest(c)) {
        assert_int_equal(conn_send(c, bytes, n), 0);
        taken += n;
    }
    return taken;
}

static void what_does_not_fit_waits_in_order(void **state)
{
    struct pair *p = *state;
    char piece[9973], in[65536];
    size_t sent, got = 0;

    for (size_t i = 0; i < sizeof piece; i++)
        piece[i] = (char)(i % 251);
    p->conn.ready = CONN_OUT;
    sent = fill(&p->conn, piece, sizeof piece);
    assert_false(p->conn.ready & CONN_OUT);
    assert_int_equal(conn_send(&p->conn, piece, sizeof piece), 0); /* behind what waits */
    sent += sizeof piece;
    assert_int_equal(conn_flush(&p->conn), -EAGAIN);
    while (got < sent) {
        ssize_t n = sock_read(p->other, in, sizeof in);

        for (ssize_t i = 0; i < n; i++)
            assert_int_equal(in[i], piece[(got + (size_t)i) % sizeof piece]);
        got += n > 0 ? (size_t)n : 0;
        if (n <= 0)
            tcp_wait(p->other, POLLIN);
        if (conn_has_rest(&p->conn))
            conn_flush(&p->conn);
    }
    assert_int_equal(conn_flush(&p->conn), 0);
    assert_null(p->conn.rest.ptr); /* the memory went back */
    assert_int_equal(sock_read(p->other, in, sizeof in), -EAGAIN);
}

static void the_rest_has_a_maximum(void **state)
{
    struct pair *p = *state;
    char *bytes = calloc(1, CONN_REST_MAX);

    fill(&p->conn, bytes, 65536);
    assert_int_equal(conn_send(&p->conn, bytes, CONN_REST_MAX), -ENOBUFS);
    assert_true(p->conn.rest.len <= CONN_REST_MAX);
    assert_int_equal(conn_send(&p->conn, bytes, 0), 0);
    free(bytes);
}

/* What the other end sees of an end. */
static void ends_are_seen(void **state)
{
    static const struct {
        const char *how; /* s: shutdown, c: close, r: reset */
        ssize_t seen;
    } rows[] = {{"s", 0}, {"ss", 0}, {"c", 0}, {"sc", 0}, {"r", -ECONNRESET}};

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        struct conn c;
        int fds[2];
        char in[8];

        tcp_pair(fds);
        conn_init(&c, fds[0], NODELAY_SET);
        for (const char *p = rows[i].how; *p; p++) {
            if (*p == 's')
                conn_shutdown(&c);
            else
                conn_close(&c, *p == 'r');
        }
        tcp_wait(fds[1], POLLIN);
        assert_int_equal(sock_read(fds[1], in, sizeof in), rows[i].seen);
        conn_shutdown(&c); /* closed or shut already: harmless */
        conn_close(&c, false);
        assert_int_equal(c.fd, -1);
        close(fds[1]);
    }
}

/* The number never is anybody else's: what is opened next gets another one. */
static void a_closed_one_can_keep_its_number(void **state)
{
    struct pair *p = *state;
    int like = open("/dev/null", O_RDONLY | O_CLOEXEC), number = p->conn.fd, next;
    char in[4];

    assert_int_equal(conn_close_keeping(&p->conn, like), number);
    assert_int_equal(p->conn.fd, -1);
    next = dup(like);
    assert_int_not_equal(next, number);
    assert_true(fcntl(number, F_GETFD) & FD_CLOEXEC);
    tcp_wait(p->other, POLLIN);
    assert_int_equal(sock_read(p->other, in, sizeof in), 0);  /* the other end sees the close */
    assert_int_equal(conn_close_keeping(&p->conn, like), -1); /* closed already: harmless */
    close(next);
    close(number);
    close(like);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_are_remembered),
        cmocka_unit_test(reads_tell_what_is_left),
        TEST(a_short_read_behind_a_fin_is_the_last),
        TEST(the_end_is_an_end_without_any_hint),
        TEST(errors_are_handed_on),
        cmocka_unit_test(nagle_is_switched_off_when_it_could_hurt),
        TEST(what_does_not_fit_waits_in_order),
        TEST(the_rest_has_a_maximum),
        cmocka_unit_test(ends_are_seen),
        TEST(a_closed_one_can_keep_its_number),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
