#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/resource.h>

#include <cmocka.h>

#include "../net/tcp.h"
#include "base/clock.h"
#include "base/util.h"
#include "proxy/pool.h"

enum { KIND = 7, TARGETS = 3 };

/* A pool, and targets to have links to. */
struct stage {
    struct pool pool;
    struct loop loop;
    int listeners[TARGETS];
    struct endpoint at[TARGETS];
    int peer; /* the target's end of the last link */
};

static int setup(void **state)
{
    static struct stage g;

    pool_init(&g.pool);
    for (unsigned i = 0; i < TARGETS; i++)
        g.listeners[i] = tcp_listen(AF_INET, &g.at[i]);
    g.peer = -1;
    *state = &g;
    return loop_init(&g.loop);
}

static int teardown(void **state)
{
    struct stage *g = *state;

    pool_fini(&g->pool);
    pool_fini(&g->pool); /* harmless */
    loop_fini(&g->loop);
    for (unsigned i = 0; i < TARGETS; i++)
        close(g->listeners[i]);
    if (g->peer >= 0)
        close(g->peer);
    return 0;
}

/* A link to target i whose handshake is through. */
static struct link *open_link(struct stage *g, unsigned i)
{
    struct endpoint client;
    struct link *l;
    int err = 0;

    l = pool_open(&g->pool, &g->loop, KIND, &g->at[i], 0, &err);
    assert_non_null(l);
    tcp_wait(g->listeners[i], POLLIN);
    if (g->peer >= 0)
        close(g->peer);
    g->peer = sock_accept(g->listeners[i], &client);
    assert_true(g->peer >= 0);
    assert_true(tcp_wait(l->conn.fd, POLLOUT) & POLLOUT);
    l->connected = true;
    return l;
}

static void links_are_known_to_the_loop(void **state)
{
    struct stage *g = *state;
    struct link *l = open_link(g, 0);
    struct slab_slot slot = slab_slot_of(l);
    struct loop_ref ref;

    assert_int_equal(loop_wait(&g->loop, 0), 1);
    ref = loop_get_ref(&g->loop, 0);
    assert_int_equal(ref.kind, KIND);
    assert_ptr_equal(slab_find(&g->pool.links, ref.slot, ref.generation), l);
    assert_int_equal(ref.slot, slot.number);
    pool_close(&g->pool, l, false);
    assert_null(slab_find(&g->pool.links, ref.slot, ref.generation)); /* late events find nothing */
}

static void a_kept_link_is_found_once(void **state)
{
    struct stage *g = *state;
    struct link *l = open_link(g, 1);
    struct endpoint other = g->at[1];

    assert_false(l->reused);
    pool_keep(&g->pool, l, 1);
    assert_int_equal(g->pool.idle, 1);
    other.addr.bytes[3] ^= 2;
    assert_null(pool_find(&g->pool, &other, 0, 0));
    other = g->at[1];
    for (unsigned i = 1; i < 65536; i++) { /* some fall into the same bucket */
        other.port++;
        assert_null(pool_find(&g->pool, &other, 0, 0));
    }
    assert_null(pool_find(&g->pool, &g->at[0], 0, 0));
    assert_null(pool_find(&g->pool, &g->at[1], 1, 0)); /* a target is no parent */
    assert_ptr_equal(pool_find(&g->pool, &g->at[1], 0, 0), l);
    assert_true(l->reused);
    assert_int_equal(g->pool.idle, 0);
    assert_null(pool_find(&g->pool, &g->at[1], 0, 0));
    pool_close(&g->pool, l, false);
    assert_int_equal(g->pool.links.used, 0);
}

/* After mtu-healing took a step: links that were opened before it do not come back. */
static void a_link_with_another_clamp_is_closed(void **state)
{
    struct stage *g = *state;
    struct link *l = open_link(g, 0);
    char one;

    assert_int_equal(l->mss, 0);
    pool_keep(&g->pool, l, 1);
    assert_null(pool_find(&g->pool, &g->at[0], 0, 1400));
    assert_int_equal(g->pool.idle, 0);
    assert_int_equal(g->pool.links.used, 0);
    assert_true(tcp_wait(g->peer, POLLIN) & POLLIN);
    assert_int_equal(sock_read(g->peer, &one, 1), 0);
}

static void the_one_used_last_is_taken_first(void **state)
{
    struct stage *g = *state;
    struct link *first, *second;
    int peer;

    first = open_link(g, 0);
    peer = g->peer;
    g->peer = -1;
    second = open_link(g, 0);
    pool_keep(&g->pool, second, 1);
    pool_keep(&g->pool, first, 2);
    assert_ptr_equal(pool_find(&g->pool, &g->at[0], 0, 0), first);
    assert_ptr_equal(pool_find(&g->pool, &g->at[0], 0, 0), second);
    pool_close(&g->pool, first, false);
    pool_close(&g->pool, second, false);
    close(peer);
}

/* What readiness says of a link that is given back, and whether it is kept. */
static void only_links_at_rest_are_kept(void **state)
{
    static const struct {
        unsigned ready;
        bool eof, bytes; /* the target sent some that nobody read */
        bool kept;
    } rows[] = {
        {CONN_OUT, false, false, true},
        {CONN_OUT | CONN_IN, false, false, true}, /* a body was read to its very last byte */
        {CONN_OUT | CONN_IN, false, true, false},
        {CONN_OUT | CONN_RDHUP, false, false, false},
        {CONN_OUT | CONN_ERR, false, false, false},
        {CONN_OUT, true, false, false},
    };

    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        struct stage *g;
        struct link *l;

        setup(state);
        g = *state;
        l = open_link(g, 0);
        if (rows[i].bytes) {
            sock_write(g->peer, "?", 1);
            tcp_wait(l->conn.fd, POLLIN);
        }
        l->conn.ready = (uint8_t)rows[i].ready;
        l->conn.eof = rows[i].eof;
        pool_keep(&g->pool, l, 1);
        assert_int_equal(g->pool.idle, rows[i].kept);
        assert_int_equal(g->pool.links.used, rows[i].kept);
        teardown(state);
    }
}

/* An idle link has nothing to say: whatever comes means that it is over. */
static void stale_links_are_closed(void **state)
{
    static const struct {
        uint32_t events;
        bool closed;
    } rows[] = {
        {EPOLLIN, true},
        {EPOLLRDHUP, true},
        {EPOLLERR | EPOLLHUP, true},
        {EPOLLOUT, false},
    };

    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        struct stage *g;
        struct link *l;

        setup(state);
        g = *state;
        l = open_link(g, 0);
        pool_keep(&g->pool, l, 1);
        pool_event(&g->pool, l, rows[i].events);
        assert_int_equal(g->pool.idle, !rows[i].closed);
        assert_int_equal(pool_find(&g->pool, &g->at[0], 0, 0) == NULL, rows[i].closed);
        if (!rows[i].closed)
            pool_close(&g->pool, l, true);
        teardown(state);
    }
}

static void idle_ones_leave_in_time(void **state)
{
    struct stage *g = *state;
    struct pool *p = &g->pool;
    struct link *first = open_link(g, 0), *second;
    int peer = g->peer;
    char one;

    g->peer = -1;
    second = open_link(g, 1);
    assert_int_equal(p->next_ns, UINT64_MAX);
    pool_tick(p, 5); /* nothing to do */
    pool_keep(p, first, 100);
    assert_int_equal(p->next_ns, 100 + POOL_IDLE_NS);
    pool_keep(p, second, 200);
    assert_int_equal(p->next_ns, 100 + POOL_IDLE_NS);
    pool_tick(p, 99 + POOL_IDLE_NS);
    assert_int_equal(p->idle, 2);
    pool_tick(p, 100 + POOL_IDLE_NS);
    assert_int_equal(p->idle, 1);
    assert_int_equal(p->next_ns, 200 + POOL_IDLE_NS);
    tcp_wait(peer, POLLIN);
    assert_int_equal(sock_read(peer, &one, 1), 0); /* closed in good order */
    assert_ptr_equal(pool_find(p, &g->at[1], 0, 0), second);
    pool_tick(p, 200 + POOL_IDLE_NS);
    assert_int_equal(p->next_ns, UINT64_MAX); /* in use: no business of the clock */
    assert_int_equal(p->links.used, 1);
    pool_close(p, second, true);
    close(peer);
}

static void there_is_a_maximum(void **state)
{
    struct stage *g = *state;
    struct rlimit files;
    int *peers;

    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    if (files.rlim_cur < 2 * POOL_IDLE_MAX + 64)
        skip();
    peers = calloc(POOL_IDLE_MAX + 1, sizeof *peers);
    for (unsigned i = 0; i <= POOL_IDLE_MAX; i++) {
        struct link *l = open_link(g, 0);

        peers[i] = g->peer;
        g->peer = -1;
        pool_keep(&g->pool, l, 1);
    }
    assert_int_equal(g->pool.idle, POOL_IDLE_MAX);
    assert_int_equal(g->pool.links.used, POOL_IDLE_MAX);
    for (unsigned i = 0; i <= POOL_IDLE_MAX; i++)
        close(peers[i]);
    free(peers);
}

static void a_link_that_cannot_be_opened_leaves_nothing(void **state)
{
    struct stage *g = *state;
    struct endpoint nowhere = {.addr = {{255, 255, 255, 255}, AF_INET}, .port = 9};
    struct loop no_loop = {.fd = -1};
    int err = 0;

    assert_null(pool_open(&g->pool, &g->loop, KIND, &nowhere, 0, &err));
    assert_true(err > 0);
    assert_null(pool_open(&g->pool, &no_loop, KIND, &g->at[0], 0, &err));
    assert_int_equal(err, EBADF);
    assert_int_equal(g->pool.links.used, 0);
}

static void who_logs_the_connection_in_is_told_apart(void **state)
{
    static const struct {
        const char *value;
        bool is;
    } rows[] = {
        {"NTLM TlRM", true},         {"ntlm", true},
        {"Negotiate abc", true},     {"NEGOTIATE", true},
        {"Basic bnRsbQ==", false},   {"Digest x=\"NTLM\"", false},
        {"NTLMv2", false},           {"", false},
        {"Bearer Negotiate", false},
    };

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++)
        assert_int_equal(pool_is_connection_auth(span_of(rows[i].value)), rows[i].is);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(links_are_known_to_the_loop),
        TEST(a_kept_link_is_found_once),
        TEST(a_link_with_another_clamp_is_closed),
        TEST(the_one_used_last_is_taken_first),
        cmocka_unit_test(only_links_at_rest_are_kept),
        cmocka_unit_test(stale_links_are_closed),
        TEST(idle_ones_leave_in_time),
        TEST(there_is_a_maximum),
        TEST(a_link_that_cannot_be_opened_leaves_nothing),
        cmocka_unit_test(who_logs_the_connection_in_is_told_apart),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
