/* What the workers say of their flows: two of them on threads of their own, real clients with
 * tunnels through them, and this thread that asks. */
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../net/tcp.h"
#include "base/util.h"
#include "proxy/live.h"
#include "proxy/session.h"
#include "proxy/worker.h"

#define WORKERS 2
#define CLIENTS 5
#define PATIENCE_MS 20000

/* ---- in place of the recorder */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct flow ended[16];
static unsigned ended_len;

bool recorder_is_on(const struct recorder *r)
{
    (void)r;
    return true;
}

void recorder_take(struct recorder *r, unsigned w, struct flow *f)
{
    (void)r;
    (void)w;
    pthread_mutex_lock(&lock);
    assert_true(ended_len < ARRAY_LEN(ended));
    ended[ended_len++] = *f;
    *f = (struct flow){0};
    pthread_mutex_unlock(&lock);
}

/* ---- the stage */

struct stage {
    struct proxy_shared shared;
    struct worker workers[WORKERS];
    struct endpoint at[WORKERS], target;
    int listener, clients[CLIENTS], targets[CLIENTS];
    struct live *live;
};

static void give_listener(struct stage *g, unsigned i)
{
    struct worker_listener *own = calloc(1, sizeof *own);
    struct mail *m = calloc(1, sizeof *m);

    own->fd = tcp_listen(AF_INET, &g->at[i]);
    own->at = g->at[i];
    *m = (struct mail){.kind = MAIL_LISTENERS, .listeners = own, .listeners_len = 1};
    assert_true(worker_send(&g->workers[i], m));
}

static void hear_head(int fd)
{
    char in[256];
    size_t n = 0;

    do {
        ssize_t got;

        tcp_wait(fd, POLLIN);
        got = sock_read(fd, in + n, sizeof in - 1 - n);
        assert_true(got > 0);
        n += (size_t)got;
        in[n] = '\0';
    } while (!strstr(in, "\r\n\r\n"));
    assert_non_null(strstr(in, " 200 "));
}

/* Client i opens a tunnel through worker i modulo 2, and sends i + 1 bytes. */
static void open_tunnel(struct stage *g, unsigned i)
{
    char text[ENDPOINT_TEXT_MAX], head[256];
    struct endpoint from;
    int n;

    g->clients[i] = sock_connect(&g->at[i % WORKERS], 0);
    tcp_wait(g->clients[i], POLLOUT);
    endpoint_write(&g->target, text);
    n = snprintf(head, sizeof head, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n", text, text);
    assert_int_equal(sock_write(g->clients[i], head, (size_t)n), n);
    hear_head(g->clients[i]);
    tcp_wait(g->listener, POLLIN);
    g->targets[i] = sock_accept(g->listener, &from);
    assert_true(g->targets[i] >= 0);
    assert_int_equal(sock_write(g->clients[i], "123456789", i + 1), i + 1);
    tcp_wait(g->targets[i], POLLIN);
}

static int setup(void **state)
{
    static struct stage stage;
    struct stage *g = &stage;
    struct config_report report = {0};
    struct config *c = config_load_text(
        "t.conf",
        SPAN_LIT("access { deny private off; deny ports off; allow all { from loopback; } }"), NULL,
        &report);

    *g = (struct stage){.shared = {.connections_max = 100,
                                   .pseudonym = "viaduct-test",
                                   .clients = limits_clients_new(100),
                                   .workers_len = WORKERS}};
    assert_non_null(c);
    g->shared.workers = g->workers;
    g->listener = tcp_listen(AF_INET, &g->target);
    for (unsigned i = 0; i < WORKERS; i++) {
        assert_int_equal(worker_init(&g->workers[i], &g->shared, i, c, NULL), 0);
        give_listener(g, i);
    }
    config_unref(c);
    config_report_fini(&report);
    for (unsigned i = 0; i < WORKERS; i++)
        assert_int_equal(pthread_create(&g->workers[i].thread, NULL, worker_run, &g->workers[i]),
                         0);
    g->live = live_new(&g->shared);
    assert_non_null(g->live);
    for (unsigned i = 0; i < CLIENTS; i++)
        open_tunnel(g, i);
    *state = g;
    return 0;
}

static void stop_worker(struct worker *w)
{
    struct mail *m = calloc(1, sizeof *m);

    m->kind = MAIL_STOP;
    assert_true(worker_send(w, m));
    pthread_join(w->thread, NULL);
}

static int teardown(void **state)
{
    struct stage *g = *state;

    for (unsigned i = 0; i < WORKERS; i++)
        stop_worker(&g->workers[i]);
    live_free(g->live);
    for (unsigned i = 0; i < WORKERS; i++)
        worker_fini(&g->workers[i]);
    limits_clients_free(g->shared.clients);
    for (unsigned i = 0; i < CLIENTS; i++) {
        close(g->clients[i]);
        close(g->targets[i]);
    }
    close(g->listener);
    while (ended_len > 0)
        flow_fini(&ended[--ended_len]);
    return 0;
}

/* Asks until all bytes were counted: a worker counts them a moment after the target has them. */
static void ask(struct stage *g, const struct live_query *q, struct live_page *page)
{
    for (;;) {
        assert_true(live_ask(g->live, q, PATIENCE_MS, page));
        assert_true(page->whole);
        if (page->bytes_up == 1 + 2 + 3 + 4 + 5)
            return;
        live_page_fini(page);
    }
}

static void flows_come_in_order_and_by_pages(void **state)
{
    static const struct {
        struct live_query query;
        unsigned matching, len;
        uint64_t up[CLIENTS]; /* of the rows */
    } rows[] = {
        {{.order = LIVE_BY_UP, .limit = 100}, 5, 5, {1, 2, 3, 4, 5}},
        {{.order = LIVE_BY_UP, .descending = true, .limit = 2}, 5, 2, {5, 4}},
        {{.order = LIVE_BY_UP, .descending = true, .offset = 3, .limit = 9}, 5, 2, {2, 1}},
        {{.order = LIVE_BY_AGE, .limit = 100}, 5, 5, {5, 4, 3, 2, 1}},
        {{.order = LIVE_BY_UP, .offset = 5, .limit = 100}, 5, 0, {0}},
        {{.order = LIVE_BY_UP, .offset = UINT32_MAX, .limit = 100}, 5, 0, {0}},
        {{.order = LIVE_BY_UP, .limit = 100, .rule = "all"}, 5, 5, {1, 2, 3, 4, 5}},
        {{.order = LIVE_BY_UP, .limit = 100, .rule = "al"}, 0, 0, {0}},
        {{.order = LIVE_BY_UP, .limit = 100, .target = "127.0.0.1"}, 5, 5, {1, 2, 3, 4, 5}},
        {{.order = LIVE_BY_UP, .limit = 100, .client = "127.0.0.1"}, 5, 5, {1, 2, 3, 4, 5}},
        {{.order = LIVE_BY_UP, .limit = 100, .client = "127.0.0"}, 0, 0, {0}},
        {{.order = LIVE_BY_UP, .limit = 100, .client = "127.0.0.1:9"}, 0, 0, {0}},
        {{.order = LIVE_BY_UP, .limit = 100, .target = "127.0.0.1:"}, 0, 0, {0}},
        {{.order = LIVE_BY_UP, .limit = 100, .target = "example"}, 0, 0, {0}},
        {{.order = LIVE_BY_UP, .limit = 100, .user = "alice"}, 0, 0, {0}},
        {{.order = LIVE_BY_UP}, 0, 0, {0}}, /* totals only */
    };
    struct stage *g = *state;

    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        struct live_page page;

        ask(g, &rows[i].query, &page);
        assert_int_equal(page.open, CLIENTS);
        assert_int_equal(page.tunnels, CLIENTS);
        assert_int_equal(page.matching, rows[i].matching);
        assert_int_equal(page.len, rows[i].len);
        for (unsigned k = 0; k < page.len; k++) {
            const struct flow *f = &page.rows[k].flow;

            assert_int_equal(f->bytes_up, rows[i].up[k]);
            assert_int_equal(f->verdict, VERDICT_OPEN);
            assert_string_equal(f->rule, "all");
            assert_string_equal(f->method, "CONNECT");
            assert_true(f->client_leg.known && f->client_leg.mss > 0);
            assert_true(f->upstream_leg.known && f->duration_ns > 0);
        }
        live_page_fini(&page);
    }
}

static void every_order_is_an_order(void **state)
{
    struct stage *g = *state;

    for (unsigned order = 0; order < LIVE_ORDER_COUNT; order++) {
        struct live_query q = {.order = (enum live_order)order, .limit = 100};
        struct live_page up, down;

        ask(g, &q, &up);
        q.descending = true;
        ask(g, &q, &down);
        assert_int_equal(up.len, CLIENTS);
        assert_int_equal(down.len, CLIENTS);
        if (order != LIVE_BY_IDLE) /* which time itself may change */
            for (unsigned i = 0; i < CLIENTS; i++)
                assert_int_equal(up.rows[i].flow.id, down.rows[CLIENTS - 1 - i].flow.id);
        live_page_fini(&up);
        live_page_fini(&down);
    }
}

static void one_is_ended_and_its_record_says_by_whom(void **state)
{
    struct live_query q = {.order = LIVE_BY_UP, .offset = 2, .limit = 1};
    struct stage *g = *state;
    struct live_page page;
    uint32_t at = 0;
    uint64_t id;
    const char *text;
    bool told = false;
    char in[8];

    ask(g, &q, &page);
    id = page.rows[0].flow.id;
    live_page_fini(&page);
    q = (struct live_query){.id = id, .limit = 10};
    ask(g, &q, &page);
    assert_int_equal(page.matching, 1);
    live_page_fini(&page);

    assert_int_equal(live_end(g->live, id, "the administrator root", "too much", PATIENCE_MS),
                     LIVE_ENDED);
    assert_int_equal(live_end(g->live, id, "root", "again", PATIENCE_MS), LIVE_NOT_FOUND);
    tcp_wait(g->clients[2], POLLIN);
    assert_int_equal(sock_read(g->clients[2], in, sizeof in), -ECONNRESET);
    assert_int_equal(ended_len, 1);
    assert_int_equal(ended[0].id, id);
    assert_int_equal(ended[0].verdict, VERDICT_RESET_BY_PROXY);
    assert_int_equal(ended[0].ended_by, SIDE_PROXY);
    while ((text = flow_next_note(&ended[0], NOTE_EVIDENCE, NULL, &at)))
        told |= strcmp(text, "ended by the administrator root: too much") == 0;
    assert_true(told);
}

/* Nobody waits for a worker that is busy; what was asked is freed when it comes to it. */
static void a_late_worker_is_not_waited_for(void **state)
{
    struct live_query q = {.limit = 100};
    struct stage *g = *state;
    struct live_page page;

    stop_worker(&g->workers[1]);
    assert_true(live_ask(g->live, &q, 20, &page));
    assert_false(page.whole);
    assert_int_equal(page.len, 0);
    assert_int_equal(live_end(g->live, 1, "root", "", 20), LIVE_UNKNOWN);
    for (unsigned i = 0; i < 40; i++) /* more than it can be asked */
        assert_int_equal(live_end(g->live, 1, "root", "", 0), LIVE_UNKNOWN);
    assert_int_equal(pthread_create(&g->workers[1].thread, NULL, worker_run, &g->workers[1]), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(flows_come_in_order_and_by_pages),
        TEST(every_order_is_an_order),
        TEST(one_is_ended_and_its_record_says_by_whom),
        TEST(a_late_worker_is_not_waited_for),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
