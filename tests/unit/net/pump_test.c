/* The pump between two TCP connections (or socket pairs) of this process with itself, driven by a
 * real loop: what it forgets to look at stands still here too. */
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
#include <sys/resource.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/util.h"
#include "net/loop.h"
#include "net/pump.h"
#include "tcp.h"

#define BUFFER_MANY (4u << 20)

/* One direction: what goes in outside, what has come out, and how the pump does it. */
struct way {
    struct pump_way way;
    int in, out; /* the outer sockets */
    struct conn *from, *to;
    uint64_t fed, got, total;
    bool splice_seen, copy_after_splice, done;
};

struct relay {
    struct pump pump;
    struct loop loop;
    struct conn conns[2];
    int outer[2];
    struct way ways[2]; /* up: outer[0] to outer[1]; down */
    uint64_t seed;
    char *big;
};

static char byte_at(uint64_t pos)
{
    return (char)((pos * 2654435761u) >> 13);
}

static uint64_t draw(struct relay *r, uint64_t below)
{
    r->seed = r->seed * 6364136223846793005ull + 1442695040888963407ull;
    return (r->seed >> 20) % below;
}

static void join(int fds[2], bool is_unix)
{
    if (is_unix)
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    else
        tcp_pair(fds);
}

static void begin(struct relay *r, bool is_unix)
{
    *r = (struct relay){.big = malloc(BUFFER_MANY)};
    assert_true(pump_init(&r->pump));
    assert_int_equal(loop_init(&r->loop), 0);
    for (unsigned i = 0; i < 2; i++) {
        int fds[2];

        join(fds, is_unix);
        r->outer[i] = fds[0];
        conn_init(&r->conns[i], fds[1], NODELAY_SET);
        assert_int_equal(loop_add(&r->loop, fds[1], LOOP_DATA, (struct loop_ref){1, i, 0}), 0);
    }
    for (unsigned i = 0; i < 2; i++)
        r->ways[i] = (struct way){
            .in = r->outer[i], .out = r->outer[!i], .from = &r->conns[i], .to = &r->conns[!i]};
}

static void end(struct relay *r)
{
    for (unsigned i = 0; i < 2; i++) {
        conn_close(&r->conns[i], false);
        if (r->outer[i] >= 0)
            close(r->outer[i]);
    }
    loop_fini(&r->loop);
    pump_fini(&r->pump);
    free(r->big);
}

static unsigned count_descriptors(void)
{
    unsigned n = 0;

    for (int fd = 0; fd < 1024; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

static void note_events(struct relay *r, uint64_t wait_ns)
{
    int n = loop_wait(&r->loop, wait_ns ? r->loop.now_ns + wait_ns : 0);

    for (int i = 0; i < n; i++)
        conn_note_events(&r->conns[loop_get_ref(&r->loop, i).slot], loop_get_events(&r->loop, i));
}

/* Puts the next bytes of the pattern in; false when the socket is full. */
static bool feed(struct relay *r, struct way *w, uint64_t most)
{
    uint64_t n = w->total - w->fed < most ? w->total - w->fed : most;
    ssize_t put;

    if (n == 0)
        return false;
    for (uint64_t i = 0; i < n; i++)
        r->big[i] = byte_at(w->fed + i);
    put = sock_write(w->in, r->big, n);
    assert_true(put > 0 || put == -EAGAIN);
    w->fed += put > 0 ? (uint64_t)put : 0;
    return put > 0;
}

/* Takes out up to `most` bytes and compares; false when nothing was there. */
static bool drain(struct relay *r, struct way *w, uint64_t most)
{
    ssize_t n = sock_read(w->out, r->big, most);
    bool wrong = false;

    assert_true(n >= 0 || n == -EAGAIN);
    for (ssize_t i = 0; i < n; i++)
        wrong |= r->big[i] != byte_at(w->got + (uint64_t)i);
    assert_false(wrong);
    w->got += n > 0 ? (uint64_t)n : 0;
    return n > 0;
}

static enum pump_result move(struct relay *r, struct way *w, uint64_t limit)
{
    bool was = w->way.splice;
    enum pump_result result = pump_move(&r->pump, &w->way, w->from, w->to, limit, NULL, NULL);

    w->splice_seen |= w->way.splice;
    w->copy_after_splice |= was && !w->way.splice;
    return result;
}

/* ---- byte for byte */

struct traffic {
    uint64_t total[2];    /* up, down */
    uint64_t feed, drain; /* at most that much at once */
    uint64_t limit;       /* of a call; 0: none */
    bool is_unix, no_splice, no_pipes;
    bool splices; /* expected of the way up */
};

/* One round of one direction; true when something went on. */
static bool turn(struct relay *r, struct way *w, const struct traffic *t)
{
    uint64_t before = w->way.moved;
    uint64_t limit = t->limit ? 1 + draw(r, t->limit) : UINT64_MAX;
    bool went = feed(r, w, 1 + draw(r, t->feed));
    enum pump_result result;

    if (w->fed == w->total) /* again and again: harmless */
        sock_shutdown(w->in);
    result = move(r, w, limit);
    assert_true(result != PUMP_SOURCE_ERROR && result != PUMP_TAKER_ERROR);
    assert_true(w->way.moved - before <= limit);
    if (result == PUMP_LIMIT)
        assert_int_equal(w->way.moved - before, limit);
    if (result == PUMP_EOF && !w->done) {
        assert_false(conn_has_rest(w->to));
        conn_shutdown(w->to);
        w->done = true;
        went = true;
    }
    return drain(r, w, 1 + draw(r, t->drain)) || w->way.moved > before || went;
}

static void run(struct relay *r, const struct traffic *t)
{
    unsigned idle = 0;

    for (unsigned i = 0; i < 2; i++) {
        r->ways[i].total = t->total[i];
        r->ways[i].way.no_splice = t->no_splice;
    }
    while (!r->ways[0].done || !r->ways[1].done || r->ways[0].got < t->total[0] ||
           r->ways[1].got < t->total[1]) {
        bool went;

        note_events(r, idle ? NS_PER_MS : 0);
        went = turn(r, &r->ways[0], t);
        went |= turn(r, &r->ways[1], t);
        idle = went ? 0 : idle + 1;
        assert_true(idle < 5000); /* it stands still */
    }
    for (unsigned i = 0; i < 2; i++) {
        char one;

        assert_int_equal(r->ways[i].way.moved, t->total[i]);
        tcp_wait(r->ways[i].out, POLLIN);
        assert_int_equal(sock_read(r->ways[i].out, &one, 1), 0);
    }
}

static void every_byte_arrives_once_and_in_order(void **state)
{
    static const struct traffic rows[] = {
        {.total = {0, 0}, .feed = 1, .drain = 1},
        {.total = {1, 0}, .feed = 1, .drain = 1},
        {.total = {5000, 7000}, .feed = 7, .drain = 5},
        {.total = {PUMP_BUFFER, PUMP_BUFFER + 1}, .feed = BUFFER_MANY, .drain = BUFFER_MANY},
        {.total = {6 << 20, 0}, .feed = 1 << 20, .drain = 1 << 20, .splices = true},
        {.total = {6 << 20, 5 << 20}, .feed = 1 << 20, .drain = 100000, .splices = true},
        {.total = {6 << 20, 1000}, .feed = 1 << 20, .drain = 3000, .splices = true},
        {.total = {3 << 20, 3 << 20},
         .feed = 1 << 20,
         .drain = 1 << 20,
         .limit = 300000,
         .splices = true},
        {.total = {1 << 20, 1 << 20}, .feed = 70000, .drain = 1 << 20, .limit = 5000},
        {.total = {6 << 20, 6 << 20}, .feed = 1 << 20, .drain = 100000, .no_splice = true},
        {.total = {6 << 20, 6 << 20}, .feed = 1 << 20, .drain = 100000, .no_pipes = true},
        {.total = {3 << 20, 2 << 20}, .feed = 1 << 20, .drain = 50000, .is_unix = true},
    };

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++)
        for (unsigned seed = 0; seed < 4; seed++) {
            unsigned before = count_descriptors();
            struct relay r;

            begin(&r, rows[i].is_unix);
            r.seed = seed;
            if (rows[i].no_pipes)
                r.pump.no_pipes = UINT16_MAX;
            run(&r, &rows[i]);
            if (rows[i].splices)
                assert_true(r.ways[0].splice_seen);
            if (rows[i].no_splice)
                assert_false(r.ways[0].splice_seen);
            end(&r);
            assert_int_equal(count_descriptors(), before);
        }
}

/* ---- modes */

/* Lets `n` bytes arrive at the way's source. */
static void arrive(struct relay *r, struct way *w, uint64_t n)
{
    w->total = w->fed + n;
    while (w->fed < w->total) {
        assert_true(feed(r, w, w->total - w->fed));
    }
    tcp_wait(w->from->fd, POLLIN);
    note_events(r, 0);
}

static void drain_all(struct relay *r, struct way *w)
{
    while (drain(r, w, BUFFER_MANY))
        ;
}

/* Sends until the way splices, and lets all of it out. */
static void start_splicing(struct relay *r, struct way *w)
{
    for (int i = 0; i < 100 && !w->way.splice; i++) {
        arrive(r, w, 4 * PUMP_BUFFER);
        pump_move(&r->pump, &w->way, w->from, w->to, PUMP_BUFFER, NULL, NULL);
        while (!w->way.splice && w->way.moved < w->fed) {
            note_events(r, 0);
            move(r, w, UINT64_MAX);
            drain_all(r, w);
        }
    }
    assert_true(w->way.splice);
}

/* Moves until all that was fed has come out. */
static void catch_up(struct relay *r, struct way *w)
{
    for (unsigned idle = 0; w->got < w->fed; idle++) {
        uint64_t before = w->got;

        note_events(r, idle ? NS_PER_MS : 0);
        move(r, w, UINT64_MAX);
        drain_all(r, w);
        if (w->got > before)
            idle = 0;
        assert_true(idle < 5000);
    }
}

static void the_mode_follows_the_traffic(void **state)
{
    struct relay r;
    struct way *up = &r.ways[0];

    (void)state;
    begin(&r, false);
    arrive(&r, up, 1000);
    catch_up(&r, up);
    assert_false(up->way.splice); /* small: copied */
    start_splicing(&r, up);
    catch_up(&r, up);
    arrive(&r, up, 100);
    catch_up(&r, up);
    assert_false(up->way.splice); /* a small one brings it back */
    assert_true(up->copy_after_splice);
    end(&r);
}

static void pipes_go_back_and_are_used_again(void **state)
{
    struct relay r;
    unsigned open;

    (void)state;
    begin(&r, false);
    start_splicing(&r, &r.ways[0]);
    catch_up(&r, &r.ways[0]);
    assert_int_equal(r.pump.pooled, 1);
    open = count_descriptors();
    for (int i = 0; i < 10; i++) {
        start_splicing(&r, &r.ways[i % 2]);
        catch_up(&r, &r.ways[i % 2]);
    }
    assert_int_equal(r.pump.pooled, 1);
    assert_int_equal(count_descriptors(), open);
    end(&r);
}

/* Without a descriptor to spare bytes are copied; later pipes are asked for again, even when none
 * of ours could come back meanwhile. */
static void a_lack_of_pipes_passes(void **state)
{
    struct rlimit old, tight;
    struct relay r;
    struct way *up = &r.ways[0];

    (void)state;
    begin(&r, false);
    getrlimit(RLIMIT_NOFILE, &old);
    tight = (struct rlimit){0, old.rlim_max};
    setrlimit(RLIMIT_NOFILE, &tight);
    up->way.splice = true;
    arrive(&r, up, 1000);
    assert_int_equal(move(&r, up, UINT64_MAX), PUMP_WAIT);
    setrlimit(RLIMIT_NOFILE, &old);
    assert_false(up->way.splice);
    assert_int_equal(up->way.moved, 1000);
    catch_up(&r, up);
    assert_true(r.pump.no_pipes);
    for (int i = 0; i < 100000 && r.pump.pooled == 0; i++) {
        up->way.splice = true;
        move(&r, up, UINT64_MAX);
        arrive(&r, up, 1);
        catch_up(&r, up);
    }
    assert_int_equal(r.pump.pooled, 1);
    assert_false(r.pump.no_pipes);
    end(&r);
}

/* A socket that is closed while a pipe waits for it takes the pipe along, whoever filled it. */
static void a_pipe_dies_with_its_taker(void **state)
{
    unsigned before = count_descriptors();
    struct relay r;
    struct way *up = &r.ways[0];

    (void)state;
    begin(&r, false);
    start_splicing(&r, up);
    for (int i = 0; i < 10000 && !up->to->pipe; i++) {
        up->total += 1 << 20;
        feed(&r, up, 1 << 20);
        note_events(&r, 0);
        move(&r, up, UINT64_MAX);
        if (!up->to->pipe)
            up->way.splice = true;
    }
    assert_non_null(up->to->pipe);
    assert_true(conn_has_rest(up->to));
    conn_close(up->to, true);
    assert_null(up->to->pipe);
    end(&r);
    assert_int_equal(count_descriptors(), before);
}

/* ---- a taker that does not take, limits, endings */

static void nothing_is_read_while_the_taker_is_full(void **state)
{
    static const bool splice[] = {false, true};

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(splice); i++) {
        struct relay r;
        struct way *up = &r.ways[0];
        uint64_t moved;

        begin(&r, false);
        up->way.no_splice = !splice[i];
        up->total = UINT64_MAX;
        for (int stuck = 0; stuck < 3;) {
            uint64_t before = up->fed;

            feed(&r, up, 1 << 20);
            note_events(&r, 0);
            move(&r, up, UINT64_MAX);
            stuck = up->fed == before && conn_has_rest(up->to) ? stuck + 1 : 0;
        }
        moved = up->way.moved;
        assert_true(up->fed > moved); /* the rest waits at the source, not with us */
        assert_true(up->to->rest.len <= PUMP_BUFFER);
        assert_int_equal(move(&r, up, UINT64_MAX), PUMP_WAIT);
        assert_int_equal(up->way.moved, moved);
        catch_up(&r, up);
        end(&r);
    }
}

static void limits_are_exact(void **state)
{
    static const struct {
        bool splice;
        uint64_t there, limit, moved;
        enum pump_result result;
    } rows[] = {
        {false, 100, 30, 30, PUMP_LIMIT},
        {false, 100, 100, 100, PUMP_LIMIT},
        {false, 100, 101, 100, PUMP_WAIT},
        {false, 100, 0, 0, PUMP_LIMIT},
        {false, 3 * PUMP_BUFFER, PUMP_BUFFER + 1, PUMP_BUFFER + 1, PUMP_LIMIT},
        {true, 100000, 5000, 5000, PUMP_LIMIT},
        {true, 100000, 1, 1, PUMP_LIMIT},
        {true, 100, 100, 100, PUMP_LIMIT},
    };

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        struct relay r;
        struct way *up = &r.ways[0];

        begin(&r, false);
        arrive(&r, up, rows[i].there);
        up->way.splice = rows[i].splice;
        assert_int_equal(move(&r, up, rows[i].limit), rows[i].result);
        assert_int_equal(up->way.moved, rows[i].moved);
        if (rows[i].moved)
            tcp_wait(up->out, POLLIN);
        drain_all(&r, up);
        assert_int_equal(up->got, rows[i].moved);
        end(&r);
    }
}

static bool see(void *arg, const char *bytes, size_t n)
{
    uint64_t *seen = arg;

    for (size_t i = 0; i < n; i++)
        assert_int_equal(bytes[i], byte_at(*seen + i));
    *seen += n;
    return *seen < 1000;
}

static void bytes_are_seen_before_they_go(void **state)
{
    struct relay r;
    struct way *up = &r.ways[0];
    uint64_t seen = 0;

    (void)state;
    begin(&r, false);
    arrive(&r, up, 600);
    assert_int_equal(pump_move(&r.pump, &up->way, up->from, up->to, UINT64_MAX, see, &seen),
                     PUMP_WAIT);
    assert_int_equal(seen, 600);
    catch_up(&r, up);
    arrive(&r, up, 600);
    assert_int_equal(pump_move(&r.pump, &up->way, up->from, up->to, UINT64_MAX, see, &seen),
                     PUMP_LIMIT);
    assert_int_equal(seen, 1200);
    assert_false(conn_has_rest(up->to));
    assert_false(drain(&r, up, 100)); /* what was objected to stays here */
    end(&r);
}

/* Moves until something else than waiting comes of it. */
static enum pump_result outcome(struct relay *r, struct way *w)
{
    enum pump_result result = PUMP_WAIT;

    for (int i = 0; i < 5000 && (result == PUMP_WAIT || result == PUMP_AGAIN); i++) {
        note_events(r, i ? NS_PER_MS : 0);
        result = move(r, w, UINT64_MAX);
    }
    return result;
}

static void resets_are_told_with_their_side(void **state)
{
    static const struct {
        bool splice, source;
        enum pump_result result;
    } rows[] = {
        {false, true, PUMP_SOURCE_ERROR},
        {true, true, PUMP_SOURCE_ERROR},
        {false, false, PUMP_TAKER_ERROR},
        {true, false, PUMP_TAKER_ERROR},
    };

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        struct relay r;
        struct way *up = &r.ways[0];
        unsigned which = rows[i].source ? 0 : 1;

        begin(&r, false);
        if (!rows[i].source)
            arrive(&r, up, 10000);
        note_events(&r, 0);
        sock_reset(r.outer[which]);
        r.outer[which] = -1;
        tcp_wait(r.conns[which].fd, POLLERR);
        up->way.splice = rows[i].splice;
        assert_int_equal(outcome(&r, up), rows[i].result);
        assert_true(up->way.err == ECONNRESET || up->way.err == EPIPE);
        if (rows[i].source)
            assert_int_equal(up->way.err, ECONNRESET);
        end(&r);
    }
}

/* What came before a reset is handed on first, as far as the kernel still has it; and what came
 * before a FIN always. */
static void a_half_closed_way_leaves_the_other_open(void **state)
{
    static const bool splice[] = {false, true};

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(splice); i++) {
        struct relay r;
        struct way *up = &r.ways[0], *down = &r.ways[1];

        begin(&r, false);
        arrive(&r, up, 20000);
        sock_shutdown(up->in);
        up->way.splice = splice[i];
        assert_int_equal(outcome(&r, up), PUMP_EOF);
        assert_int_equal(outcome(&r, up), PUMP_EOF); /* and so it stays */
        conn_shutdown(up->to);
        drain_all(&r, up);
        assert_int_equal(up->got, 20000);
        arrive(&r, down, 300000);
        catch_up(&r, down);
        sock_shutdown(down->in);
        assert_int_equal(outcome(&r, down), PUMP_EOF);
        end(&r);
    }
}

/* Urgent data cuts the stream for recv and stops splice for good: neither may end or hold up what
 * follows. */
static void urgent_data_holds_nothing_up(void **state)
{
    static const bool splice[] = {false, true};

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(splice); i++) {
        struct relay r;
        struct way *up = &r.ways[0];

        begin(&r, false);
        if (splice[i]) {
            start_splicing(&r, up);
            catch_up(&r, up);
            up->way.splice = true;
        }
        for (int k = 0; k < 3; k++) {
            arrive(&r, up, 5000);
            assert_int_equal(send(up->in, "!", 1, MSG_OOB), 1);
            arrive(&r, up, 100000);
            catch_up(&r, up);
        }
        sock_shutdown(up->in);
        assert_int_equal(outcome(&r, up), PUMP_EOF);
        assert_int_equal(up->way.moved,
                         up->fed); /* the urgent bytes themselves are not handed on */
        end(&r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_byte_arrives_once_and_in_order),
        cmocka_unit_test(the_mode_follows_the_traffic),
        cmocka_unit_test(pipes_go_back_and_are_used_again),
        cmocka_unit_test(a_lack_of_pipes_passes),
        cmocka_unit_test(a_pipe_dies_with_its_taker),
        cmocka_unit_test(nothing_is_read_while_the_taker_is_full),
        cmocka_unit_test(limits_are_exact),
        cmocka_unit_test(bytes_are_seen_before_they_go),
        cmocka_unit_test(resets_are_told_with_their_side),
        cmocka_unit_test(a_half_closed_way_leaves_the_other_open),
        cmocka_unit_test(urgent_data_holds_nothing_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
