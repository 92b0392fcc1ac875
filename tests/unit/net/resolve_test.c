/* The resolver against a DNS server in the same process and the same loop: nothing here waits for a
 * clock but c-ares' own time-outs, of 20 ms. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/util.h"
#include "net/resolve.h"

enum { FDS_MAX = 32, TYPE_A = 1, TYPE_CNAME = 5, TYPE_SOA = 6, TYPE_AAAA = 28 };

#define START_NS (1000 * NS_PER_S)

/* What the server does with a question of one type. */
struct reply {
    unsigned rcode;
    unsigned addresses; /* 192.0.2.1 … or 2001:db8::1 … */
    uint32_t ttl_s, cname_ttl_s /* 0: no alias */, soa_s /* 0: no SOA */;
    bool silent, truncated, cut /* the message ends too early */;
};

struct zone {
    const char *name;
    struct reply a, aaaa;
};

static const struct zone zone[] = {
    {"both.test", {.addresses = 1, .ttl_s = 60}, {.addresses = 1, .ttl_s = 60}},
    {"alias.test", {.addresses = 1, .ttl_s = 100, .cname_ttl_s = 5}, {.cname_ttl_s = 50}},
    {"alias-empty.test", {.cname_ttl_s = 50}, {.cname_ttl_s = 50}},
    {"gone.test", {.rcode = 3, .soa_s = 30}, {.rcode = 3, .soa_s = 30}},
    {"gone-no-soa.test", {.rcode = 3}, {.rcode = 3}},
    {"gone-long.test", {.rcode = 3, .soa_s = 100000}, {.rcode = 3, .soa_s = 100000}},
    {"empty.test", {.soa_s = 30}, {.soa_s = 30}},
    {"half-gone.test", {.rcode = 3, .soa_s = 30}, {.rcode = 2}},
    {"fail.test", {.rcode = 2}, {.rcode = 2}},
    {"refused.test", {.rcode = 5}, {.rcode = 5}},
    {"four.test", {.addresses = 1, .ttl_s = 60}, {.rcode = 2}},
    {"six.test", {.soa_s = 60}, {.addresses = 2, .ttl_s = 60}},
    {"silent.test", {.silent = true}, {.silent = true}},
    {"four-silent.test", {.addresses = 1, .ttl_s = 60}, {.silent = true}},
    {"large.test", {.addresses = 3, .ttl_s = 60, .truncated = true}, {.soa_s = 60}},
    {"cut.test", {.addresses = 1, .ttl_s = 60, .cut = true}, {.soa_s = 60}},
    {"zero.test", {.addresses = 1}, {.addresses = 1}},
    {"nought.test", {.addresses = 1}, {.addresses = 1}},
    {"many.test",
     {.addresses = 20, .ttl_s = 60, .truncated = true},
     {.addresses = 20, .ttl_s = 60, .truncated = true}},
    {"one.test", {.addresses = 1, .ttl_s = 60}, {.soa_s = 60}},
    {"two.test", {.addresses = 1, .ttl_s = 60}, {.soa_s = 60}},
    {"three.test", {.addresses = 1, .ttl_s = 60}, {.soa_s = 60}},
    {"word.test.search.test", {.addresses = 1, .ttl_s = 60}, {.soa_s = 60}},
    {"word.search.test", {.addresses = 1, .ttl_s = 60}, {.soa_s = 60}},
};

struct server {
    int udp, tcp, conn; /* -1: none */
    uint16_t port;
    unsigned asked;    /* questions */
    uint8_t held[512]; /* a question that got no answer, to be answered later */
    ssize_t held_len;
    struct sockaddr_in held_from;
};

struct fixture {
    struct server server, other;
    struct resolver *r;
    struct resolve_config config;
    struct endpoint at;
    struct pollfd fds[FDS_MAX]; /* those that the resolver watches */
    unsigned fds_len, watched;  /* calls of the watch function */
    uint64_t now_ns, step_ns;
    unsigned calls; /* of the callback */
    struct resolve_answer answer;
    char detail[256];
    struct resolve_query *query, *victim;
    bool other_fails; /* the other server takes part, and answers SERVFAIL to all */
};

/* --- the server --- */

static size_t put16(uint8_t *out, unsigned n)
{
    out[0] = (uint8_t)(n >> 8);
    out[1] = (uint8_t)n;
    return 2;
}

static size_t put_record(uint8_t *out, unsigned type, uint32_t ttl_s, const uint8_t *data,
                         unsigned len)
{
    size_t at = put16(out, 0xc00c);

    at += put16(out + at, type);
    at += put16(out + at, 1);
    at += put16(out + at, ttl_s >> 16);
    at += put16(out + at, ttl_s & 0xffff);
    at += put16(out + at, len);
    memcpy(out + at, data, len);
    return at + len;
}

static size_t put_answers(uint8_t *out, unsigned type, const struct reply *reply, unsigned *count)
{
    size_t at = 0;

    if (reply->cname_ttl_s) {
        at += put_record(out + at, TYPE_CNAME, reply->cname_ttl_s, (const uint8_t *)"\4real\4test",
                         11);
        ++*count;
    }
    for (unsigned i = 0; i < reply->addresses; i++) {
        uint8_t v4[4] = {192, 0, 2, (uint8_t)(i + 1)};
        uint8_t v6[16] = {0x20, 1, 0x0d, 0xb8, [15] = (uint8_t)(i + 1)};

        at += put_record(out + at, type, reply->ttl_s, type == TYPE_A ? v4 : v6,
                         type == TYPE_A ? 4 : 16);
        ++*count;
    }
    return at;
}

static const struct reply *find_reply(const uint8_t *question, unsigned *type, size_t *end)
{
    char name[256];
    size_t at = 12, len = 0;

    for (; question[at]; at += 1u + question[at]) {
        memcpy(name + len, question + at + 1, question[at]);
        len += question[at];
        name[len++] = '.';
    }
    name[len ? len - 1 : 0] = '\0';
    *type = (unsigned)question[at + 1] << 8 | question[at + 2];
    *end = at + 5;
    for (size_t i = 0; i < ARRAY_LEN(zone); i++)
        if (strcasecmp(zone[i].name, name) == 0)
            return *type == TYPE_A ? &zone[i].a : &zone[i].aaaa;
    return NULL;
}

/* Writes the answer into `out` and returns its length; 0: none. */
static size_t answer_question(const uint8_t *question, bool tcp, bool forced, uint8_t *out)
{
    static const struct reply unknown = {.rcode = 3, .soa_s = 30};
    unsigned type, answers = 0;
    size_t end, at;
    const struct reply *reply = find_reply(question, &type, &end);
    bool truncated;

    reply = reply ? reply : &unknown;
    if (reply->silent && !forced)
        return 0;
    truncated = reply->truncated && !tcp;
    memcpy(out, question, end);
    at = end;
    if (!truncated)
        at += forced ? put_answers(out + at, type, &zone[0].a, &answers)
                     : put_answers(out + at, type, reply, &answers);
    put16(out + 2, 0x8180 | (truncated ? 0x200 : 0) | reply->rcode);
    put16(out + 4, 1);
    put16(out + 6, answers);
    put16(out + 8, reply->soa_s ? 1 : 0);
    put16(out + 10, 0);
    if (reply->soa_s) {
        uint8_t soa[22] = {0};

        put16(soa + 18, reply->soa_s >> 16);
        put16(soa + 20, reply->soa_s & 0xffff);
        at += put_record(out + at, TYPE_SOA, 1u << 20, soa, sizeof soa);
    }
    return at - (reply->cut ? 2 : 0);
}

static bool open_server_at(struct server *s, uint32_t address, uint16_t port)
{
    struct sockaddr_in sa = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(address), .sin_port = htons(port)};
    socklen_t len = sizeof sa;
    int reuse = 1;

    s->udp = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    s->tcp = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    s->conn = -1;
    setsockopt(s->tcp, SOL_SOCKET, SO_REUSEADDR, &reuse, sizeof reuse);
    if (bind(s->tcp, (struct sockaddr *)&sa, sizeof sa) != 0)
        return false;
    assert_int_equal(getsockname(s->tcp, (struct sockaddr *)&sa, &len), 0);
    assert_int_equal(bind(s->udp, (struct sockaddr *)&sa, sizeof sa), 0);
    assert_int_equal(listen(s->tcp, 4), 0);
    s->port = ntohs(sa.sin_port);
    return true;
}

static void open_server(struct server *s)
{
    assert_true(open_server_at(s, INADDR_LOOPBACK, 0));
}

static void close_server(struct server *s)
{
    close(s->udp);
    close(s->tcp);
    if (s->conn >= 0)
        close(s->conn);
}

static void serve_udp(struct server *s)
{
    uint8_t in[512], out[4096];
    struct sockaddr_in from;
    socklen_t from_len = sizeof from;
    ssize_t n;

    while ((n = recvfrom(s->udp, in, sizeof in, 0, (struct sockaddr *)&from, &from_len)) > 0) {
        size_t len = answer_question(in, false, false, out);

        s->asked++;
        if (len > 0) {
            sendto(s->udp, out, len, 0, (struct sockaddr *)&from, from_len);
            continue;
        }
        memcpy(s->held, in, (size_t)n);
        s->held_len = n;
        s->held_from = from;
    }
}

static void serve_failure(struct server *s)
{
    uint8_t in[512];
    struct sockaddr_in from;
    socklen_t from_len = sizeof from;
    ssize_t n;

    while ((n = recvfrom(s->udp, in, sizeof in, 0, (struct sockaddr *)&from, &from_len)) > 0) {
        s->asked++;
        put16(in + 2, 0x8182);
        sendto(s->udp, in, (size_t)n, 0, (struct sockaddr *)&from, from_len);
    }
}

/* The answer that was held back, as that of the first name of the zone. */
static void send_held(struct server *s)
{
    uint8_t out[4096];
    size_t len = answer_question(s->held, false, true, out);

    sendto(s->udp, out, len, 0, (struct sockaddr *)&s->held_from, sizeof s->held_from);
}

static void serve_tcp(struct server *s)
{
    uint8_t in[1024], out[4096];
    ssize_t n, at = 0;

    if (s->conn < 0)
        s->conn = accept4(s->tcp, NULL, NULL, SOCK_NONBLOCK);
    if (s->conn < 0)
        return;
    n = recv(s->conn, in, sizeof in, 0);
    if (n == 0) {
        close(s->conn);
        s->conn = -1;
    }
    while (at + 2 < n) {
        ssize_t len = in[at] << 8 | in[at + 1];
        size_t answer_len = answer_question(in + at + 2, true, false, out + 2);

        s->asked++;
        put16(out, (unsigned)answer_len);
        assert_int_equal(send(s->conn, out, answer_len + 2, 0), answer_len + 2);
        at += 2 + len;
    }
}

/* --- the owner --- */

static void on_watch(void *owner, int fd, unsigned want)
{
    struct fixture *f = owner;
    unsigned i = 0;

    f->watched++;
    while (i < f->fds_len && f->fds[i].fd != fd)
        i++;
    if (want == 0) {
        assert_true(i < f->fds_len);
        f->fds[i] = f->fds[--f->fds_len];
        return;
    }
    assert_true(i < FDS_MAX);
    f->fds_len += i == f->fds_len;
    f->fds[i].fd = fd;
    f->fds[i].events = (short)((want & 1 ? POLLIN : 0) | (want & 2 ? POLLOUT : 0));
}

static void turn(struct fixture *f, int wait_ms)
{
    struct pollfd fds[FDS_MAX + 3];
    unsigned n = f->fds_len;

    memcpy(fds, f->fds, n * sizeof *fds);
    fds[n] = (struct pollfd){.fd = f->server.udp, .events = POLLIN};
    fds[n + 1] = (struct pollfd){.fd = f->server.conn >= 0 ? f->server.conn : f->server.tcp,
                                 .events = POLLIN};
    fds[n + 2] = (struct pollfd){.fd = f->other_fails ? f->other.udp : -1, .events = POLLIN};
    poll(fds, n + 3, wait_ms);
    if (f->other_fails)
        serve_failure(&f->other);
    serve_udp(&f->server);
    serve_tcp(&f->server);
    for (unsigned i = 0; i < n; i++)
        if (fds[i].revents)
            resolver_event(f->r, fds[i].fd,
                           (fds[i].revents & (POLLIN | POLLERR | POLLHUP) ? 1u : 0) |
                               (fds[i].revents & (POLLOUT | POLLERR) ? 2u : 0),
                           f->now_ns);
}

/* Turns until the callback was called `calls` times.  Time stands still, or goes on by step_ns a
 * turn for those that wait for c-ares' own time-outs. */
static void run(struct fixture *f, unsigned calls)
{
    for (int i = 0; i < 2000 && f->calls < calls; i++) {
        turn(f, 1);
        f->now_ns += f->step_ns;
        if (resolver_deadline_ns(f->r) <= f->now_ns)
            resolver_tick(f->r, f->now_ns);
    }
    assert_int_equal(f->calls, calls);
}

/* Moves packets until nothing moves any more. */
static void settle(struct fixture *f)
{
    for (int i = 0; i < 10; i++)
        turn(f, 1);
}

static void on_answer(void *arg, const struct resolve_answer *answer)
{
    struct fixture *f = arg;

    f->calls++;
    f->answer = *answer;
    snprintf(f->detail, sizeof f->detail, "%s", answer->detail);
    if (f->victim) {
        resolver_cancel(f->victim);
        f->victim = NULL;
    }
}

static enum resolve_status find(struct fixture *f, const char *name)
{
    enum resolve_status s =
        resolver_find(f->r, span_of(name), f->now_ns, on_answer, f, &f->query, &f->answer);

    assert_true((s == RESOLVE_WAIT) == (f->query != NULL));
    if (s != RESOLVE_WAIT)
        snprintf(f->detail, sizeof f->detail, "%s", f->answer.detail);
    return s;
}

/* Finds, and waits for the callback if it must. */
static enum resolve_status ask(struct fixture *f, const char *name)
{
    unsigned calls = f->calls;

    if (find(f, name) == RESOLVE_WAIT)
        run(f, calls + 1);
    return f->answer.status;
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);

    open_server(&f->server);
    open_server(&f->other);
    f->now_ns = START_NS;
    f->at = (struct endpoint){.addr = {.family = AF_INET, .bytes = {127, 0, 0, 1}},
                              .port = f->server.port};
    f->config = (struct resolve_config){.servers = &f->at,
                                        .servers_len = 1,
                                        .timeout_ns = 2 * NS_PER_S,
                                        .total_ns = 5 * NS_PER_S,
                                        .cache = 100};
    f->r = resolver_new(&f->config, on_watch, f);
    assert_non_null(f->r);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    resolver_free(f->r);
    assert_int_equal(f->fds_len, 0); /* each socket was given back */
    close_server(&f->server);
    close_server(&f->other);
    free(f);
    return 0;
}

static void restart(struct fixture *f)
{
    resolver_free(f->r);
    f->r = resolver_new(&f->config, on_watch, f);
}

/* --- tests --- */

static void test_answers(void **state)
{
    static const struct {
        const char *name;
        enum resolve_status status;
        unsigned len;
        const char *detail; /* before the server's address */
    } rows[] = {
        {"both.test", RESOLVE_OK, 2, ""},
        {"alias.test", RESOLVE_OK, 1, ""},
        {"four.test", RESOLVE_OK, 1, ""},
        {"six.test", RESOLVE_OK, 2, ""},
        {"large.test", RESOLVE_OK, 3, ""},
        {"many.test", RESOLVE_OK, RESOLVE_ADDRS_MAX, ""},
        {"gone.test", RESOLVE_NXDOMAIN, 0, "NXDOMAIN from "},
        {"no-such-name.test", RESOLVE_NXDOMAIN, 0, "NXDOMAIN from "},
        {"half-gone.test", RESOLVE_NXDOMAIN, 0, "NXDOMAIN from "},
        {"empty.test", RESOLVE_NODATA, 0, "no address in the answer from "},
        {"alias-empty.test", RESOLVE_NODATA, 0, "no address in the answer from "},
        {"fail.test", RESOLVE_SERVFAIL, 0, "SERVFAIL from "},
        {"refused.test", RESOLVE_SERVFAIL, 0, "REFUSED from "},
        {"cut.test", RESOLVE_SERVFAIL, 0, "malformed answer from "},
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char detail[256];

        detail[0] = '\0';
        if (rows[i].detail[0])
            snprintf(detail, sizeof detail, "%s127.0.0.1:%u", rows[i].detail, f->server.port);
        ask(f, rows[i].name);
        assert_string_equal(f->detail, detail);
        assert_int_equal(f->answer.status, rows[i].status);
        assert_int_equal(f->answer.len, rows[i].len);
        assert_string_equal(f->answer.source, "dns");
        assert_int_equal(find(f, rows[i].name), rows[i].status);
        assert_int_equal(f->answer.len, rows[i].len);
        assert_string_equal(f->detail, detail);
        assert_string_equal(f->answer.source, "cache");
    }
}

/* Families are not mixed, and neither takes all of the room. */
static void test_order(void **state)
{
    struct fixture *f = *state;
    int first;

    assert_int_equal(ask(f, "many.test"), RESOLVE_OK);
    first = f->answer.addrs[0].family;
    for (unsigned i = 0; i < RESOLVE_ADDRS_MAX; i++) {
        assert_int_equal(f->answer.addrs[i].family == first, i < RESOLVE_ADDRS_MAX / 2);
        assert_int_equal(f->answer.addrs[i].bytes[f->answer.addrs[i].family == AF_INET ? 3 : 15],
                         i % (RESOLVE_ADDRS_MAX / 2) + 1);
    }
}

/* How long what was learnt holds, in seconds; then it is asked again. */
static void test_ttl(void **state)
{
    static const struct {
        const char *name;
        unsigned holds_s;
    } rows[] = {
        {"both.test", 60},  {"alias.test", 5}, {"gone.test", 30},        {"gone-no-soa.test", 10},
        {"empty.test", 30}, {"fail.test", 1},  {"gone-long.test", 3600},
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        unsigned asked;

        ask(f, rows[i].name);
        asked = f->server.asked;
        f->now_ns += rows[i].holds_s * NS_PER_S - 1;
        assert_int_not_equal(find(f, rows[i].name), RESOLVE_WAIT);
        f->now_ns += 1;
        ask(f, rows[i].name);
        assert_true(f->server.asked > asked);
    }
}

static void test_ttl_zero_is_delivered_and_not_kept(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(ask(f, "zero.test"), RESOLVE_OK);
    assert_int_equal(f->answer.len, 2);
    assert_int_equal(find(f, "zero.test"), RESOLVE_WAIT);
    run(f, 2);
    assert_int_equal(f->answer.len, 2);
    assert_int_equal(f->server.asked, 4);
}

static void test_total_deadline(void **state)
{
    struct fixture *f = *state;
    char detail[256];

    assert_int_equal(find(f, "silent.test"), RESOLVE_WAIT);
    settle(f);
    f->now_ns += f->config.total_ns - 1;
    resolver_tick(f->r, f->now_ns);
    assert_int_equal(f->calls, 0);
    f->now_ns += 1;
    assert_true(resolver_deadline_ns(f->r) <= f->now_ns);
    resolver_tick(f->r, f->now_ns);
    assert_int_equal(f->calls, 1);
    assert_int_equal(f->answer.status, RESOLVE_TIMEOUT);
    snprintf(detail, sizeof detail, "no answer from 127.0.0.1:%u within 5 s", f->server.port);
    assert_string_equal(f->detail, detail);
    assert_int_equal(find(f, "silent.test"), RESOLVE_TIMEOUT); /* for a second */
    f->now_ns += NS_PER_S;
    assert_int_equal(find(f, "silent.test"), RESOLVE_WAIT);
}

/* An answer that comes when its entry is no more. */
static void test_late_answer(void **state)
{
    struct fixture *f = *state;

    f->config.cache = 0;
    restart(f);
    find(f, "silent.test");
    settle(f);
    f->now_ns += f->config.total_ns;
    resolver_tick(f->r, f->now_ns);
    assert_int_equal(f->calls, 1);
    send_held(&f->server);
    settle(f);
    assert_int_equal(f->calls, 1);
}

static void test_tries_run_out(void **state)
{
    struct fixture *f = *state;
    char detail[256];

    f->config.timeout_ns = 20 * NS_PER_MS;
    f->step_ns = NS_PER_MS;
    restart(f);
    assert_int_equal(ask(f, "silent.test"), RESOLVE_TIMEOUT);
    snprintf(detail, sizeof detail, "no answer from 127.0.0.1:%u, tried 3 times", f->server.port);
    assert_string_equal(f->detail, detail);
    assert_int_equal(f->server.asked, 6);
}

static void test_first_address_waits_50_ms_for_the_other_family(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(find(f, "four-silent.test"), RESOLVE_WAIT);
    settle(f);
    assert_int_equal(f->calls, 0);
    assert_int_equal(resolver_deadline_ns(f->r), START_NS + 50 * NS_PER_MS);
    f->now_ns += 50 * NS_PER_MS;
    resolver_tick(f->r, f->now_ns);
    assert_int_equal(f->calls, 1);
    assert_int_equal(f->answer.status, RESOLVE_OK);
    assert_int_equal(f->answer.len, 1);
    assert_int_equal(find(f, "four-silent.test"), RESOLVE_OK); /* nobody waits a second time */
    assert_int_equal(f->answer.len, 1);
    send_held(&f->server);
    settle(f);
    assert_int_equal(f->calls, 1);
    assert_int_equal(find(f, "four-silent.test"), RESOLVE_OK);
    assert_int_equal(f->answer.len, 2); /* the cache has kept what came later */
}

static void test_equal_names_share_a_query(void **state)
{
    struct fixture *f = *state;
    struct resolve_query *first;

    assert_int_equal(find(f, "both.test"), RESOLVE_WAIT);
    first = f->query;
    assert_int_equal(find(f, "both.test"), RESOLVE_WAIT);
    assert_ptr_not_equal(f->query, first);
    run(f, 2);
    assert_int_equal(f->server.asked, 2);
}

static void test_cancel(void **state)
{
    struct fixture *f = *state;

    find(f, "both.test");
    resolver_cancel(f->query);
    find(f, "one.test");
    run(f, 1);
    settle(f);
    assert_int_equal(f->calls, 1);
    assert_int_equal(find(f, "both.test"), RESOLVE_OK); /* the answer was worth keeping */
}

static void test_cancel_inside_a_callback(void **state)
{
    struct fixture *f = *state;

    find(f, "both.test");
    find(f, "both.test");
    f->victim = f->query;
    run(f, 1);
    settle(f);
    assert_int_equal(f->calls, 1);
}

static void find_nought(void *arg, const struct resolve_answer *answer)
{
    struct fixture *f = arg;

    f->calls++;
    find(f, "nought.test");
}

/* The name that the callback looks up is about to be delivered itself, or just was; it may not be
 * kept. */
static void test_find_inside_a_callback(void **state)
{
    static const char *const names[] = {"zero.test", "nought.test"};
    struct fixture *f = *state;

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct resolve_query *q;
        struct resolve_answer answer;

        f->calls = 0;
        resolver_find(f->r, span_of(names[i]), f->now_ns, find_nought, f, &q, &answer);
        find(f, "nought.test");
        run(f, 3);
        assert_int_equal(f->answer.status, RESOLVE_OK);
        assert_int_equal(f->answer.len, 2);
    }
}

static void test_free_with_pending(void **state)
{
    struct fixture *f = *state;

    find(f, "silent.test");
    find(f, "silent.test");
    restart(f);
    assert_int_equal(f->calls, 0);
}

/* c-ares refuses this name inside the very call. */
static void test_no_callback_inside_find(void **state)
{
    struct fixture *f = *state;
    static const char name[] =
        "0123456789012345678901234567890123456789012345678901234567890123.test";

    assert_int_equal(find(f, name), RESOLVE_WAIT);
    assert_int_equal(f->calls, 0);
    assert_int_equal(resolver_deadline_ns(f->r), 0);
    resolver_tick(f->r, f->now_ns);
    assert_int_equal(f->calls, 1);
    assert_int_equal(f->answer.status, RESOLVE_NXDOMAIN);
    assert_string_equal(f->detail, "no name that DNS can hold");
    assert_int_equal(f->server.asked, 0);
}

static void test_names_that_are_none(void **state)
{
    static const struct span rows[] = {SPAN_INIT(""), SPAN_INIT("both.test\0.evil"),
                                       SPAN_INIT("a\\.test"), SPAN_INIT("\\046")};
    struct fixture *f = *state;
    char text[300];

    memset(text, 'a', sizeof text);
    for (size_t i = 0; i <= ARRAY_LEN(rows); i++) {
        struct span name = i < ARRAY_LEN(rows) ? rows[i] : (struct span){text, 254};

        assert_int_equal(resolver_find(f->r, name, f->now_ns, on_answer, f, &f->query, &f->answer),
                         RESOLVE_NXDOMAIN);
        assert_null(f->query);
    }
    assert_int_equal(f->watched, 0);
}

static void test_localhost_needs_nobody(void **state)
{
    static const struct {
        const char *name;
        bool local;
    } rows[] = {{"localhost", true},
                {"a.localhost", true},
                {"a.b.localhost", true},
                {"notlocalhost", false}};
    struct fixture *f = *state;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_int_equal(ask(f, rows[i].name), rows[i].local ? RESOLVE_OK : RESOLVE_NXDOMAIN);
        assert_int_equal(f->answer.len, rows[i].local ? 2 : 0);
        assert_string_equal(f->answer.source, rows[i].local ? "hosts" : "dns");
        assert_int_equal(f->watched > 0, !rows[i].local); /* nor does c-ares start for it */
    }
}

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void make_path(char path[32])
{
    int fd;

    snprintf(path, 32, "/tmp/resolve_test.XXXXXX");
    fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
}

static void test_hosts_go_first(void **state)
{
    struct fixture *f = *state;
    char path[32];

    make_path(path);
    write_file(path, "192.0.2.77 both.test\n");
    f->config.hosts_file = path;
    restart(f);
    assert_int_equal(find(f, "both.test"), RESOLVE_OK);
    assert_string_equal(f->answer.source, "hosts");
    assert_int_equal(f->answer.len, 1);
    assert_int_equal(f->answer.addrs[0].bytes[3], 77);
    f->config.hosts_file = NULL;
    resolver_set(f->r, &f->config);
    assert_int_equal(find(f, "both.test"), RESOLVE_WAIT);
    unlink(path);
}

static void test_new_settings(void **state)
{
    struct fixture *f = *state;

    ask(f, "both.test");
    find(f, "four-silent.test");
    settle(f);
    f->at.port = f->other.port;
    resolver_set(f->r, &f->config);
    resolver_tick(f->r, f->now_ns);
    send_held(&f->server); /* the question under way goes on */
    settle(f);
    assert_int_equal(f->calls, 2);
    assert_int_equal(f->answer.len, 2);
    assert_int_equal(find(f, "both.test"), RESOLVE_WAIT); /* what was known is forgotten */
    settle(f);
    serve_udp(&f->other);
    assert_int_equal(f->other.asked, 2);
    run(f, 3);
}

static void test_search(void **state)
{
    struct fixture *f = *state;
    char path[32];

    make_path(path);
    write_file(path, "search search.test\n");
    f->config.resolv_conf = path;
    restart(f);
    assert_int_equal(ask(f, "word"), RESOLVE_OK);
    assert_int_equal(ask(f, "word.test"), RESOLVE_NXDOMAIN); /* it has a dot: asked as it is */
    unlink(path);
}

/* c-ares knows no port in resolv.conf, so these servers lie at port 53 of loopback addresses of
 * this process. */
static void test_resolv_conf_is_followed(void **state)
{
    struct fixture *f = *state;
    uint32_t address = 127u << 24 | ((uint32_t)getpid() & 0x3fffff) << 2 | 1;
    char path[32], text[128];

    close_server(&f->server);
    if (!open_server_at(&f->server, address, 53)) {
        f->server.udp = -1;
        skip(); /* an ordinary user */
    }
    make_path(path);
    f->config.servers_len = 0;
    f->config.resolv_conf = path;
    for (unsigned i = 0; i < 2; i++) {
        close_server(&f->server);
        assert_true(open_server_at(&f->server, address + i, 53));
        snprintf(text, sizeof text, "%snameserver 127.%u.%u.%u\n", i ? "# changed\n" : "",
                 address >> 16 & 255, address >> 8 & 255, (address + i) & 255);
        unlink(path);
        write_file(path, text);
        if (i == 0) {
            restart(f);
        } else {
            assert_int_equal(find(f, "both.test"), RESOLVE_OK); /* it is looked at once a second */
            f->now_ns += NS_PER_S;
            f->server.asked = 0;
        }
        assert_int_equal(ask(f, "both.test"), RESOLVE_OK);
        assert_string_equal(f->answer.source, "dns");
        assert_int_equal(f->server.asked, 2);
        assert_int_equal(ask(f, "gone.test"), RESOLVE_NXDOMAIN);
        assert_memory_equal(f->detail, "NXDOMAIN from 127.", 18);
        assert_null(strchr(f->detail, ':')); /* the usual port is not worth a word */
    }
    unlink(path);
}

/* The first server cannot, the second one does not know the name either: both are named. */
static void test_next_server(void **state)
{
    struct fixture *f = *state;
    struct endpoint servers[2] = {f->at, f->at};
    char detail[256];

    servers[0].port = f->other.port;
    f->config.servers = servers;
    f->config.servers_len = 2;
    restart(f);
    f->other_fails = true;
    assert_int_equal(ask(f, "both.test"), RESOLVE_OK);
    assert_int_equal(f->answer.len, 2);
    assert_int_equal(ask(f, "fail.test"), RESOLVE_SERVFAIL);
    assert_int_equal(f->other.asked, 4); /* each was asked once for each family */
    assert_int_equal(f->server.asked, 4);
    snprintf(detail, sizeof detail, "SERVFAIL from 127.0.0.1:%u or 127.0.0.1:%u", f->other.port,
             f->server.port);
    assert_string_equal(f->detail, detail);
}

static void test_nobody_listens(void **state)
{
    struct fixture *f = *state;
    char detail[256];

    close(f->server.udp);
    f->server.udp = -1;
    assert_int_equal(ask(f, "both.test"), RESOLVE_FAILED);
    snprintf(detail, sizeof detail, "no resolver can be reached at 127.0.0.1:%u", f->server.port);
    assert_string_equal(f->detail, detail);
}

static void test_cache_is_bounded(void **state)
{
    struct fixture *f = *state;

    f->config.cache = 2;
    restart(f);
    ask(f, "one.test");
    ask(f, "two.test");
    ask(f, "one.test"); /* used: the other one is the oldest */
    ask(f, "three.test");
    assert_int_equal(find(f, "one.test"), RESOLVE_OK);
    assert_int_equal(find(f, "three.test"), RESOLVE_OK);
    assert_int_equal(find(f, "two.test"), RESOLVE_WAIT);
}

/* More names than the cache has room for, all waited for at once: none is lost. */
static void test_waiting_names_stay(void **state)
{
    struct fixture *f = *state;

    f->config.cache = 4;
    restart(f);
    for (int i = 0; i < 50; i++) {
        char name[32];

        snprintf(name, sizeof name, "n%d.test", i);
        assert_int_equal(find(f, name), RESOLVE_WAIT);
    }
    run(f, 50);
    assert_int_equal(f->answer.status, RESOLVE_NXDOMAIN);
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(answers),
        TEST(order),
        TEST(ttl),
        TEST(ttl_zero_is_delivered_and_not_kept),
        TEST(total_deadline),
        TEST(late_answer),
        TEST(tries_run_out),
        TEST(first_address_waits_50_ms_for_the_other_family),
        TEST(equal_names_share_a_query),
        TEST(cancel),
        TEST(cancel_inside_a_callback),
        TEST(find_inside_a_callback),
        TEST(free_with_pending),
        TEST(no_callback_inside_find),
        TEST(names_that_are_none),
        TEST(localhost_needs_nobody),
        TEST(hosts_go_first),
        TEST(new_settings),
        TEST(search),
        TEST(resolv_conf_is_followed),
        TEST(next_server),
        TEST(nobody_listens),
        TEST(cache_is_bounded),
        TEST(waiting_names_stay),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
