/* Sessions as their two neighbours see them: a worker without a thread between a client and a
 * target that this program plays itself, over loopback.  The clock is ours: time passes when a
 * story says so.  Each story is told twice, the second time with the client's bytes one by one. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "../net/tcp.h"
#include "base/clock.h"
#include "base/util.h"
#include "policy/accounts.h"
#include "policy/attempts.h"
#include "proxy/session.h"
#include "proxy/worker.h"

/* ---- in place of the library's: the clock, and the recorder */

static uint64_t skew_ns;
static struct flow flows[64];
static unsigned flows_len, flows_told;

static uint64_t read_clock(clockid_t which)
{
    struct timespec t;

    clock_gettime(which, &t);
    return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec + skew_ns;
}

uint64_t clock_mono_ns(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

uint64_t clock_wall_ns(void)
{
    return read_clock(CLOCK_REALTIME);
}

bool recorder_is_on(const struct recorder *r)
{
    (void)r;
    return true;
}

void recorder_take(struct recorder *r, unsigned w, struct flow *f)
{
    (void)r;
    (void)w;
    assert_true(flows_len < ARRAY_LEN(flows));
    flows[flows_len++] = *f;
    *f = (struct flow){0};
}

/* ---- the stage */

/* Somebody who speaks with the proxy: bytes that came and were not looked at yet. */
struct actor {
    int fd;
    char *got;
    size_t len, cap;
    int end; /* 1: FIN came, 2: RST */
};

struct stage {
    struct proxy_shared shared;
    struct worker worker;
    struct endpoint proxy, target, nobody;
    int listener;
    struct actor client, peer; /* peer: the target's end of a connection */
    bool dribble;
    const char *story, *step;
};

#define CONFIG                                                                                     \
    "authentication { realm r; algorithms md5; } access { deny private off; deny ports off; deny " \
    "blocked { to 127.0.0.9; }"                                                                    \
    " deny word { method BREW; } allow all { from loopback; %s } } limits { %s }"

static struct config *load_text(const char *text)
{
    struct config_report report = {0};
    struct config *c;

    c = config_load_text("test.conf", span_of(text), NULL, &report);
    for (unsigned i = 0; i < report.len; i++)
        if (!report.items[i].warning)
            print_message("%s\n", report.items[i].text);
    assert_non_null(c);
    config_report_fini(&report);
    return c;
}

static struct config *load(const char *rule, const char *limits)
{
    char text[1024];

    snprintf(text, sizeof text, CONFIG, rule ? rule : "", limits ? limits : "");
    return load_text(text);
}

static void send_mail(struct stage *g, struct mail m)
{
    struct mail *copy = malloc(sizeof *copy);

    *copy = m;
    assert_true(worker_send(&g->worker, copy));
    worker_turn(&g->worker, 0);
}

/* alice, whose password is "sesame". */
static struct accounts *make_accounts(void)
{
    char name[] = "alice", realm[] = "r";
    struct account a = {.name = name, .realm = realm, .has = {[DIGEST_MD5] = true}};
    struct accounts *s = accounts_new();

    authn_ha1(DIGEST_MD5, span_of(name), span_of(realm), SPAN_LIT("sesame"), a.ha1[DIGEST_MD5]);
    assert_true(accounts_add(s, &a) && accounts_seal(s));
    return s;
}

static void open_stage(struct stage *g, const char *rule, const char *limits)
{
    struct worker_listener *own = calloc(1, sizeof *own);
    struct config *c = load(rule, limits);
    int closed = tcp_listen(AF_INET, &g->nobody);

    close(closed); /* its port is nobody's now */
    g->shared =
        (struct proxy_shared){.connections_max = c->limits.connections,
                              .pseudonym = "viaduct-test",
                              .clients = limits_clients_new(100),
                              .attempts = attempts_new(),
                              .nonces = nonce_table_new((const unsigned char[32]){7}, 64, 0),
                              .workers_len = 1,
                              .workers = &g->worker};
    assert_int_equal(worker_init(&g->worker, &g->shared, 0, c, NULL), 0);
    config_unref(c);
    own->fd = tcp_listen(AF_INET, &g->proxy);
    own->at = g->proxy;
    send_mail(g, (struct mail){.kind = MAIL_LISTENERS, .listeners = own, .listeners_len = 1});
    send_mail(g, (struct mail){.kind = MAIL_ACCOUNTS, .accounts = make_accounts()});
    g->listener = tcp_listen(AF_INET, &g->target);
    g->client.fd = g->peer.fd = -1;
    flows_len = flows_told = 0;
}

static void leave(struct actor *a)
{
    if (a->fd >= 0)
        close(a->fd);
    free(a->got);
    *a = (struct actor){.fd = -1};
}

/* Nothing may be left of any session. */
static void close_stage(struct stage *g)
{
    struct worker *w = &g->worker;

    send_mail(g, (struct mail){.kind = MAIL_STOP});
    assert_int_equal(atomic_load(&g->shared.connections), 0);
    assert_int_equal(w->sessions.used, w->reserve_len);
    assert_int_equal(w->exchanges.used, 0);
    assert_int_equal(w->dials.used, 0);
    assert_int_equal(w->logins.used, 0);
    assert_int_equal(w->pool.links.used, w->pool.idle);
    assert_null(wheel_next_due(&w->wheel, w->loop.now_ns + 10000 * NS_PER_S));
    worker_fini(w);
    limits_clients_free(g->shared.clients);
    attempts_free(g->shared.attempts);
    nonce_table_free(g->shared.nonces);
    leave(&g->client);
    leave(&g->peer);
    close(g->listener);
    while (flows_len > 0)
        flow_fini(&flows[--flows_len]);
}

static void fail_step(const struct stage *g, const char *why, const struct actor *a)
{
    print_message("story \"%s\"%s, step \"%s\": %s\n", g->story, g->dribble ? " (dribbled)" : "",
                  g->step, why);
    if (a)
        print_message("got %zu: %.*s\n", a->len, (int)a->len, a->got);
    fail();
}

/* ---- what happens on it */

static void hear(struct actor *a)
{
    ssize_t n;

    if (a->fd < 0 || a->end)
        return;
    do {
        if (a->cap - a->len < 65536) {
            a->cap += 1 << 20;
            a->got = realloc(a->got, a->cap);
        }
        n = sock_read(a->fd, a->got + a->len, a->cap - a->len);
        a->len += n > 0 ? (size_t)n : 0;
    } while (n > 0);
    /* a delayed acknowledgement would be late by a jump of our clock */
    setsockopt(a->fd, IPPROTO_TCP, TCP_QUICKACK, &(int){1}, sizeof(int));
    if (n != -EAGAIN)
        a->end = n == 0 ? 1 : 2;
}

static void turn(struct stage *g)
{
    worker_turn(&g->worker, g->worker.loop.now_ns + NS_PER_MS);
    hear(&g->client);
    hear(&g->peer);
}

static void join_client(struct stage *g)
{
    leave(&g->client);
    g->client.fd = sock_connect(&g->proxy, 0);
    sock_set_nodelay(g->client.fd);
    tcp_wait(g->client.fd, POLLOUT);
}

static struct actor *client_of(struct stage *g)
{
    if (g->client.fd < 0)
        join_client(g);
    return &g->client;
}

/* The next connection that the proxy makes. */
static struct actor *accept_peer(struct stage *g)
{
    struct endpoint from;
    int fd = -1;

    leave(&g->peer);
    for (int i = 0; i < 3000 && fd < 0; i++) {
        fd = sock_accept(g->listener, &from);
        if (fd < 0)
            turn(g);
    }
    if (fd < 0)
        fail_step(g, "no connection came to the target", NULL);
    g->peer.fd = fd;
    return &g->peer;
}

static struct actor *peer_of(struct stage *g)
{
    return g->peer.fd < 0 ? accept_peer(g) : &g->peer;
}

/* "@": the target, "#": a port where nobody listens, "~N;": N bytes of x. */
static char *expand(const struct stage *g, const char *text, size_t *len)
{
    size_t cap = strlen(text) * 32 + (4u << 20);
    char *out = malloc(cap);
    size_t n = 0;

    for (; *text; text++) {
        if (*text == '@' || *text == '#') {
            char at[ENDPOINT_TEXT_MAX];

            n += (size_t)snprintf(out + n, cap - n, "%.*s",
                                  (int)endpoint_write(*text == '@' ? &g->target : &g->nobody, at),
                                  at);
        } else if (*text == '~') {
            char *end;
            size_t many = strtoul(text + 1, &end, 10);

            memset(out + n, 'x', many);
            n += many;
            text = end;
        } else {
            out[n++] = *text;
        }
    }
    *len = n;
    return out;
}

static void say(struct stage *g, struct actor *a, const char *text, bool dribble)
{
    size_t len, at = 0;
    char *bytes = expand(g, text, &len);

    while (at < len) {
        ssize_t n = sock_write(a->fd, bytes + at, dribble && len < 5000 ? 1 : len - at);

        if (n < 0 && n != -EAGAIN)
            fail_step(g, "cannot be written", NULL);
        at += n > 0 ? (size_t)n : 0;
        if (dribble || n < 0)
            worker_turn(&g->worker, 0);
        if (n < 0)
            turn(g);
    }
    free(bytes);
}

/* Where the pattern's end is in the bytes, -1 if it is not there (yet).  "*": anything. */
static long match(const char *pattern, size_t len, const char *got, size_t got_len)
{
    size_t at = 0, i = 0;
    bool loose = false;

    while (i < len) {
        const char *star = memchr(pattern + i, '*', len - i);
        size_t n = star ? (size_t)(star - pattern) - i : len - i;
        const char *found = memmem(got + at, got_len - at, pattern + i, n);

        if (!found || (!loose && found != got + at))
            return -1;
        at = (size_t)(found - got) + n;
        i += n + (star != NULL);
        loose = true;
    }
    return (long)at;
}

static void expect(struct stage *g, struct actor *a, const char *text)
{
    size_t len;
    char *pattern = expand(g, text, &len);
    long at = -1;

    for (int i = 0; i < 3000 && at < 0; i++) {
        at = a->len || !len ? match(pattern, len, a->got, a->len) : -1;
        if (at < 0)
            turn(g);
    }
    free(pattern);
    if (at < 0)
        fail_step(g, "did not come", a);
    memmove(a->got, a->got + at, a->len - (size_t)at);
    a->len -= (size_t)at;
}

static void expect_end(struct stage *g, struct actor *a, int end)
{
    for (int i = 0; i < 3000 && !a->end; i++)
        turn(g);
    if (a->end != end)
        fail_step(g, a->end ? "another end" : "no end", a);
    if (a->len)
        fail_step(g, "bytes before the end", a);
}

/* "verdict ended_in ended_by status" of the next flow that ended; "none": there is none. */
static void expect_flow(struct stage *g, const char *text)
{
    const struct flow *f;
    char is[128];

    for (int i = 0; i < 3000 && flows_told == flows_len && strcmp(text, "none") != 0; i++)
        turn(g);
    if (flows_told == flows_len) {
        if (strcmp(text, "none") != 0)
            fail_step(g, "no flow ended", NULL);
        return;
    }
    f = &flows[flows_told++];
    snprintf(is, sizeof is, "%s %s %s %u%s", verdict_get_info(f->verdict)->name,
             phase_name(f->ended_in), verdict_side_name(f->ended_by), f->status,
             f->superseded_by ? " superseded" : "");
    if (strcmp(is, text) != 0)
        fail_step(g, is, NULL);
}

static void end_of(struct stage *g, struct actor *a, char how)
{
    switch (how) {
    case 'F':
        sock_shutdown(a->fd);
        break;
    case 'R':
        sock_reset(a->fd);
        a->fd = -1;
        break;
    case 'E':
        expect_end(g, a, 1);
        break;
    case 'X':
        expect_end(g, a, 2);
        break;
    default:
        fail_step(g, "unknown step", NULL);
    }
}

/* > client says   < client hears   [ target says   ] target hears
 * c, t with F: sends FIN, R: RST, E: sees the end, X: sees a reset
 * a: the target takes its next connection   n: another client   +N: N ms pass
 * =: the next flow that ended */
static void tell(struct stage *g, const char *step)
{
    g->step = step;
    switch (step[0]) {
    case '>':
        say(g, client_of(g), step + 1, g->dribble);
        break;
    case '<':
        expect(g, client_of(g), step + 1);
        break;
    case '[':
        say(g, peer_of(g), step + 1, false);
        break;
    case ']':
        expect(g, peer_of(g), step + 1);
        break;
    case 'c':
        end_of(g, client_of(g), step[1]);
        break;
    case 't':
        end_of(g, peer_of(g), step[1]);
        break;
    case 'a':
        accept_peer(g);
        break;
    case 'n':
        join_client(g);
        break;
    case '+':
        for (int i = 0; i < 20; i++) /* first all that was said comes in */
            worker_turn(&g->worker, 0);
        skew_ns += strtoull(step + 1, NULL, 10) * NS_PER_MS;
        worker_turn(&g->worker, 0);
        worker_turn(&g->worker, 0);
        break;
    case '=':
        expect_flow(g, step + 1);
        break;
    case 'r': /* a reload without authentication */
        send_mail(
            g, (struct mail){.kind = MAIL_CONFIG, .config = load_text("access { allow all { } }")});
        break;
    case 'd':
        send_mail(g, (struct mail){.kind = MAIL_DRAIN, .at_ns = UINT64_MAX});
        break;
    default:
        fail_step(g, "unknown step", NULL);
    }
}

struct story {
    const char *name, *rule, *limits;
    const char *steps[24];
};

static void tell_story(const struct story *s, bool dribble)
{
    static struct stage g;

    g = (struct stage){.dribble = dribble, .story = s->name};
    open_stage(&g, s->rule, s->limits);
    for (unsigned i = 0; s->steps[i]; i++)
        tell(&g, s->steps[i]);
    tell(&g, "=none");
    close_stage(&g);
}

#define TOLD(stories)                                                                              \
    for (unsigned i = 0; i < ARRAY_LEN(stories); i++) {                                            \
        tell_story(&(stories)[i], false);                                                          \
        tell_story(&(stories)[i], true);                                                           \
    }

/* ---- the stories */

#define CONNECT "CONNECT @ HTTP/1.1\r\nHost: @\r\n\r\n"
#define ESTABLISHED "HTTP/1.1 200 Connection established\r\n\r\n"
#define GET "GET http://@/p HTTP/1.1\r\nHost: @\r\n\r\n"
#define GOT "]GET /p HTTP/1.1\r\n*\r\n\r\n"
#define OK_3 "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"
#define HEAD_200 "HTTP/1.1 200 OK\r\n*\r\n\r\n"

static void tunnels(void **state)
{
    static const struct story rows[] = {
        {"both speak, the client ends it",
         NULL,
         NULL,
         {">" CONNECT, "<" ESTABLISHED, ">ping", "]ping", "[pong", "<pong", "cF", "tE", "tF", "cE",
          "=ok close client 200"}},
        {"the target ends it",
         NULL,
         NULL,
         {">" CONNECT, "<" ESTABLISHED, "[hello", "<hello", "tF", "cE", "cF", "tE",
          "=ok close target 200"}},
        {"bytes come with the request",
         NULL,
         NULL,
         {">" CONNECT "early", "<" ESTABLISHED, "]early", "[late", "<late", "cF", "tE", "tF", "cE",
          "=ok close client 200"}},
        {"one direction goes on after the other's end",
         NULL,
         NULL,
         {">" CONNECT "ask", "<" ESTABLISHED, "]ask", "cF", "tE", "[~2000000;", "<~2000000;", "tF",
          "cE", "=ok close client 200"}},
        {"much goes both ways",
         NULL,
         NULL,
         {">" CONNECT, "<" ESTABLISHED, ">~3000000;", "]~3000000;", "[~3000000;", "<~3000000;",
          "[x", "<x", "tF", "cE", "cF", "tE", "=ok close target 200"}},
        {"the target resets",
         NULL,
         NULL,
         {">" CONNECT, "<" ESTABLISHED, "[x", "<x", "tR", "cX",
          "=reset-by-target transfer target 200"}},
        {"the client resets",
         NULL,
         NULL,
         {">" CONNECT, "<" ESTABLISHED, ">x", "]x", "cR", "tX",
          "=reset-by-client transfer client 200"}},
        {"nobody listens there",
         NULL,
         NULL,
         {">CONNECT # HTTP/1.1\r\nHost: #\r\n\r\n", "<HTTP/1.1 502 *upstream-refused*\r\n\r\n",
          "=upstream-refused answer target 502"}},
        {"a rule denies",
         NULL,
         NULL,
         {">CONNECT 127.0.0.9:443 HTTP/1.1\r\nHost: a\r\n\r\n",
          "<HTTP/1.1 403 Forbidden (acl-denied: rule blocked)*"
          "\r\nProxy-Status: viaduct-test; error=*Connection: close\r\n\r\n",
          "=acl-denied answer proxy 403"}},
        {"it was idle for too long",
         NULL,
         "idle-timeout 60s;",
         {">" CONNECT, "<" ESTABLISHED, "a", "+59000", ">x", "]x", "[y", "<y", "+59000", "=none",
          "+2000", "cE", "tE", "=ok transfer proxy 200"}},
        {"it lived for too long",
         NULL,
         "lifetime 1m;",
         {">" CONNECT, "<" ESTABLISHED, ">x", "]x", "+61000", "cX", "tX",
          "=lifetime-limit transfer proxy 200"}},
        {"it carried too much",
         "max-download 1000;",
         NULL,
         {">" CONNECT, "<" ESTABLISHED, "[~1000;", "<~1000;", "=none", "[z", "cX", "tX",
          "=size-limit transfer proxy 200"}},
    };

    (void)state;
    TOLD(rows);
}

static void plain_requests(void **state)
{
    static const struct story rows[] = {
        {"a GET, and a connection that is kept on both sides",
         NULL,
         NULL,
         {">" GET, GOT, "[" OK_3, "<" HEAD_200 "abc", "=ok transfer target 200", ">" GET, GOT,
          "[" OK_3, "<" HEAD_200 "abc", "=ok transfer target 200", "cF", "cE"}},
        {"two at once are answered in turn, over one connection",
         NULL,
         NULL,
         {">" GET GET, GOT, "[" OK_3, GOT, "[" OK_3, "<" HEAD_200 "abc" HEAD_200 "abc",
          "=ok transfer target 200", "=ok transfer target 200"}},
        {"a large body leaves its connection fit for the next request",
         NULL,
         NULL,
         {">" GET, GOT, "[HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n~1000000;",
          "<" HEAD_200 "~1000000;", "=ok transfer target 200", ">" GET, GOT, "[" OK_3,
          "<" HEAD_200 "abc", "=ok transfer target 200"}},
        {"a chunked answer",
         NULL,
         NULL,
         {">" GET, GOT, "[HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
          "<" HEAD_200 "3\r\nabc\r\n", "[0\r\n\r\n", "<0\r\n\r\n", "=ok transfer target 200"}},
        {"a chunked answer for a client of 1.0",
         NULL,
         NULL,
         {">GET http://@/p HTTP/1.0\r\n\r\n", GOT,
          "[HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
          "<" HEAD_200 "abc", "cE", "=ok transfer target 200"}},
        {"a body goes up",
         NULL,
         NULL,
         {">POST http://@/p HTTP/1.1\r\nHost: @\r\nContent-Length: 4\r\n\r\nbody" GET,
          "]POST /p HTTP/1.1\r\n*\r\n\r\nbody", "[" OK_3, "<" HEAD_200 "abc",
          "=ok transfer target 200", GOT, "[" OK_3, "<" HEAD_200 "abc", "=ok transfer target 200"}},
        {"HEAD has no body",
         NULL,
         NULL,
         {">HEAD http://@/p HTTP/1.1\r\nHost: @\r\n\r\n", "]HEAD /p *\r\n\r\n",
          "[HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", "<" HEAD_200, "=ok transfer target 200",
          ">" GET, GOT, "[" OK_3, "<" HEAD_200 "abc", "=ok transfer target 200"}},
        {"the target's own error",
         NULL,
         NULL,
         {">" GET, GOT, "[HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n", "<HTTP/1.1 404 *\r\n\r\n",
          "=target-error transfer target 404"}},
        {"a kept connection that went away is no failure",
         NULL,
         NULL,
         {">" GET, GOT, "[" OK_3, "<" HEAD_200 "abc", "=ok transfer target 200", "tF", "tE",
          ">" GET, "a", GOT, "[" OK_3, "<" HEAD_200 "abc", "=ok transfer target 200"}},
        {"one that goes away under the request is dialled again",
         NULL,
         NULL,
         {">" GET, GOT, "[" OK_3, "<" HEAD_200 "abc", "=ok transfer target 200", ">" GET, GOT, "tF",
          "a", GOT, "[" OK_3, "<" HEAD_200 "abc", "=ok transfer target 200"}},
        {"the target closes without an answer",
         NULL,
         NULL,
         {">" GET, GOT, "tF", "<HTTP/1.1 502 *upstream-failed*\r\n\r\n*",
          "=upstream-failed answer target 502"}},
        {"the target speaks nonsense",
         NULL,
         NULL,
         {">" GET, GOT, "[SSH-2.0-x\r\n", "<HTTP/1.1 502 *\r\n\r\n",
          "=upstream-failed answer target 502"}},
        {"the target says nothing",
         NULL,
         "response-timeout 60s;",
         {">" GET, GOT, "+59000", "=none", "+2000", "<HTTP/1.1 504 *\r\n\r\n",
          "=upstream-timeout answer target 504"}},
        {"the body breaks off",
         NULL,
         NULL,
         {">" GET, GOT, "[HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", "<" HEAD_200 "abc",
          "tF", "cX", "=incomplete transfer target 200"}},
        {"the chunks break off: they are left without an end",
         NULL,
         NULL,
         {">" GET, GOT, "[HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nabc",
          "<" HEAD_200 "9\r\nabc", "tF", "cE", "=incomplete transfer target 200"}},
        {"the client resets under the answer",
         NULL,
         NULL,
         {">" GET, GOT, "[HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", "<" HEAD_200 "abc",
          "cR", "=reset-by-client transfer client 200", "tX"}},
    };

    (void)state;
    TOLD(rows);
}

static void clients_that_leave(void **state)
{
    static const struct story rows[] = {
        {"inside a head",
         NULL,
         NULL,
         {">GET htt", "+1", "cF", "cX", "=client-gone request client 0"}},
        {"without a word", NULL, NULL, {"n", "+1", "cF", "cE"}},
        {"without a word, by the clock",
         NULL,
         "keepalive-timeout 60s;",
         {"n", "+59000", "+2000", "cE"}},
        {"before the answer",
         NULL,
         NULL,
         {">" GET, GOT, "cR", "tX", "=client-gone answer client 0"}},
        {"by half, and the answer comes at once",
         NULL,
         NULL,
         {">" GET, "cF", GOT, "[" OK_3, "<" HEAD_200 "abc", "cE", "=ok transfer target 200"}},
        {"by half, and the answer begins in time and lasts",
         NULL,
         NULL,
         {">" GET, "cF", GOT, "[HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabc",
          "<" HEAD_200 "abc", "+2000", "=none", "[def", "<def", "cE", "=ok transfer target 200"}},
        {"by half, and the answer does not begin",
         NULL,
         NULL,
         {">" GET, GOT, "cF", "+500", "=none", "+2000", "=client-gone answer client 0", "cX",
          "tX"}},
        {"and the head never ends",
         NULL,
         "header-timeout 10s;",
         {">GET http://@/", "+9000", "=none", "+2000", "<HTTP/1.1 408 *\r\n\r\n", "cF",
          "=request-timeout request client 408"}},
    };

    (void)state;
    TOLD(rows);
}

static void refusals(void **state)
{
    static const struct story rows[] = {
        {"two framings",
         NULL,
         NULL,
         {">POST http://@/ HTTP/1.1\r\nHost: @\r\nContent-Length: 1\r\n"
          "Transfer-Encoding: chunked\r\n\r\n",
          "<HTTP/1.1 400 *bad-request*\r\n\r\n", "cF", "=bad-request request proxy 400"}},
        {"no HTTP at all",
         NULL,
         NULL,
         {">\x16\x03\x01 hello\r\n\r\n", "<HTTP/1.1 400 *\r\n\r\n", "cF",
          "=bad-request request proxy 400"}},
        {"a port that is none",
         NULL,
         NULL,
         {">CONNECT a.example:0 HTTP/1.1\r\nHost: a\r\n\r\n", "<HTTP/1.1 400 *\r\n\r\n", "cF",
          "=bad-request answer proxy 400"}},
        {"a head without end",
         NULL,
         "header-size 1k;",
         {">GET http://@/ HTTP/1.1\r\nX: ~2000;", "<HTTP/1.1 431 *\r\n\r\n", "cF",
          "=bad-request request proxy 431"}},
        {"a line without end",
         NULL,
         "header-size 1k;",
         {">GET http://@/~2000;", "<HTTP/1.1 414 *\r\n\r\n", "cF",
          "=bad-request request proxy 414"}},
        {"the way is said to be closed",
         NULL,
         NULL,
         {">GET http://127.0.0.9/ HTTP/1.0\r\n\r\n", "<HTTP/1.1 403 *Connection: close\r\n\r\n",
          "=acl-denied answer proxy 403"}},
        {"a denied request leaves the connection",
         NULL,
         NULL,
         {">GET http://127.0.0.9/ HTTP/1.1\r\nHost: 127.0.0.9\r\nAccept: application/json\r\n\r\n",
          "<HTTP/1.1 403 *\r\n\r\n{*}\n", "=acl-denied answer proxy 403", ">" GET, GOT, "[" OK_3,
          "<" HEAD_200 "abc", "=ok transfer target 200"}},
        {"and so in a pipeline",
         NULL,
         NULL,
         {">BREW http://@/ HTTP/1.1\r\nHost: @\r\nAccept: application/json\r\n\r\n" GET,
          "<HTTP/1.1 403 *\r\n\r\n{*}\n", GOT, "[" OK_3, "<" HEAD_200 "abc",
          "=acl-denied answer proxy 403", "=ok transfer target 200"}},
        {"our own page",
         NULL,
         NULL,
         {">GET / HTTP/1.1\r\nHost: x\r\n\r\n", "<HTTP/1.1 200 *\r\n\r\n*",
          "=ok answer proxy 200"}},
        {"and none",
         NULL,
         NULL,
         {">GET /x HTTP/1.1\r\nHost: x\r\n\r\n", "<HTTP/1.1 404 *\r\n\r\n*",
          "=not-found answer proxy 404"}},
        {"a request that was here",
         NULL,
         NULL,
         {">GET http://@/ HTTP/1.1\r\nHost: @\r\nVia: 1.1 viaduct-test\r\n\r\n",
          "<HTTP/1.1 502 *\r\n\r\n*", "=loop answer proxy 502"}},
        {"the proxy stops",
         NULL,
         NULL,
         {">" GET, GOT, "d", "[" OK_3, "<HTTP/1.1 200 *Connection: close\r\n*\r\n\r\nabc", "cE",
          "=ok transfer target 200", "n", ">" GET, "<HTTP/1.1 503 *\r\n\r\n*",
          "=draining answer proxy 503"}},
        {"connections over the limit", NULL, "connections 16;", {"n", "+1", "cF", "cE"}},
    };

    (void)state;
    TOLD(rows);
}

/* alice:sesame, alice:wrong, and a proof of the body that is none. */
#define ALICE "Proxy-Authorization: Basic YWxpY2U6c2VzYW1l\r\n"
#define WRONG "Proxy-Authorization: Basic YWxpY2U6d3Jvbmc=\r\n"
#define BODILY                                                                                     \
    "Proxy-Authorization: Digest username=\"alice\", realm=\"r\", nonce=\"n\", uri=\"/p\", "       \
    "cnonce=\"c\", nc=00000001, qop=auth-int, response=\"00000000000000000000000000000000\"\r\n"
#define LOGIN_GET(line) "GET http://@/p HTTP/1.1\r\nHost: @\r\n" line "\r\n"
#define LOGIN_POST(line) "POST http://@/p HTTP/1.1\r\nHost: @\r\n" line "\r\n"
#define LOGIN_CONNECT(line) "CONNECT @ HTTP/1.1\r\nHost: @\r\n" line "\r\n"

static void logins(void **state)
{
    static const struct story rows[] = {
        {"asked, answered, and the one names the other",
         "authenticated;",
         NULL,
         {">" GET, "<HTTP/1.1 407 *auth-required*Proxy-Authenticate: Digest *", "=none",
          ">" LOGIN_GET(ALICE), GOT, "[" OK_3, "<*" HEAD_200 "abc",
          "=auth-required answer proxy 407 superseded", "=ok transfer target 200"}},
        {"a CONNECT, on the same connection",
         "authenticated;",
         NULL,
         {">" LOGIN_CONNECT(""), "<HTTP/1.1 407 *", ">" LOGIN_CONNECT(ALICE), "a",
          "<*HTTP/1.1 200 Connection established\r\n\r\n",
          "=auth-required answer proxy 407 superseded", "[x", "<x", "tF", "cE", "cF",
          "=ok close target 200"}},
        {"after a CONNECT, only another one",
         "authenticated;",
         NULL,
         {">" LOGIN_CONNECT(""), "<HTTP/1.1 407 *", ">" LOGIN_GET(ALICE), "<*HTTP/1.1 400 *",
          "=auth-required answer proxy 407", "cF", "=bad-request request proxy 400"}},
        {"asked, and not answered: in the log after ten seconds",
         "authenticated;",
         "keepalive-timeout 60s;",
         {">" GET, "<HTTP/1.1 407 *", "+9000", "=none", "+2000", "=auth-required answer proxy 407",
          ">" LOGIN_GET(ALICE), GOT, "[" OK_3, "<*" HEAD_200 "abc", "=ok transfer target 200"}},
        {"asked, and gone",
         "authenticated;",
         NULL,
         {">" GET, "<HTTP/1.1 407 *", "=none", "cF", "=auth-required answer proxy 407"}},
        {"a wrong password keeps the connection",
         "authenticated;",
         NULL,
         {">" LOGIN_GET(WRONG), "<HTTP/1.1 407 *auth-failed*", ">" LOGIN_GET(ALICE), GOT, "[" OK_3,
          "<*" HEAD_200 "abc", "=auth-failed answer proxy 407 superseded",
          "=ok transfer target 200"}},
        {"a small body is read away",
         "authenticated;",
         NULL,
         {">" LOGIN_POST("Content-Length: 4\r\n") "body" LOGIN_GET(ALICE), GOT, "[" OK_3,
          "<HTTP/1.1 407 *" HEAD_200 "abc", "=auth-required answer proxy 407 superseded",
          "=ok transfer target 200"}},
        {"one that does not come closes",
         "authenticated;",
         "header-timeout 10s;",
         {">" LOGIN_POST("Content-Length: 4\r\n") "bod", "+9000", "=none", "+2000",
          "<HTTP/1.1 407 *Connection: close\r\n*", "=auth-required answer proxy 407"}},
        {"its client leaves",
         "authenticated;",
         NULL,
         {">" LOGIN_POST("Content-Length: 4\r\n") "bod", "+1", "cF", "cX",
          "=client-gone answer client 0"}},
        {"auth-int: the body is read, then it is judged",
         "authenticated;",
         NULL,
         {">" LOGIN_POST(BODILY "Content-Length: 4\r\n") "bod", "+1", "=none", ">y",
          "<HTTP/1.1 407 *auth-failed*", ">" LOGIN_GET(ALICE), GOT, "[" OK_3, "<*" HEAD_200 "abc",
          "=auth-failed answer proxy 407 superseded", "=ok transfer target 200"}},
        {"and must come in time",
         "authenticated;",
         "header-timeout 10s;",
         {">" LOGIN_POST(BODILY "Content-Length: 4\r\n") "bod", "+9000", "=none", "+2000",
          "<HTTP/1.1 408 *", "=request-timeout answer client 408"}},
        {"and be whole",
         "authenticated;",
         NULL,
         {">" LOGIN_POST(BODILY "Transfer-Encoding: chunked\r\n") "z\r\n", "<HTTP/1.1 400 *",
          "=bad-request answer proxy 400"}},
        {"a reload takes the question away",
         "authenticated;",
         NULL,
         {">" LOGIN_POST(BODILY "Content-Length: 4\r\n") "bod", "+1", "r", ">y", "<HTTP/1.1 503 *",
          "=overloaded answer proxy 503"}},
        {"malformed",
         "authenticated;",
         NULL,
         {">" LOGIN_GET("Proxy-Authorization: Basic !\r\n"), "<HTTP/1.1 400 *",
          "=bad-request answer proxy 400"}},
        {"where no rule asks, nobody looks",
         NULL,
         NULL,
         {">" LOGIN_GET("Proxy-Authorization: Basic !\r\n"), GOT, "[" OK_3, "<" HEAD_200 "abc",
          "=ok transfer target 200"}},
    };

    (void)state;
    TOLD(rows);
}

/* The second connection of a client that may have one. */
static void a_client_has_its_own_limit(void **state)
{
    static struct stage g;
    int first;

    (void)state;
    g = (struct stage){.story = "own limit"};
    open_stage(&g, NULL, "connections-per-client 1;");
    tell(&g, ">GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    tell(&g, "<HTTP/1.1 200 *");
    tell(&g, "=ok answer proxy 200");
    first = dup(g.client.fd);
    tell(&g, "n");
    tell(&g, ">" GET);
    tell(&g, "<HTTP/1.1 429 *\r\n\r\n");
    tell(&g, "=client-limit answer proxy 429");
    close(first);
    tell(&g, "+1");
    tell(&g, "n");
    tell(&g, ">GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    tell(&g, "<HTTP/1.1 200 *");
    tell(&g, "=ok answer proxy 200");
    close_stage(&g);
}

/* Without memory for a session the reserve says so; the listener rests once that is used up. */
static void memory_runs_out(void **state)
{
    struct stage g = {.story = "memory runs out", .step = "503"};
    uint32_t max;

    (void)state;
    open_stage(&g, NULL, NULL);
    max = g.worker.sessions.max;
    g.worker.sessions.max = g.worker.sessions.used;
    say(&g, client_of(&g), "CONNECT @ HTTP/1.1\r\nHost: @\r\n\r\n", false);
    expect(&g, &g.client, "HTTP/1.1 503 *(overloaded: out of memory)\r\n");
    leave(&g.client);
    for (unsigned i = g.worker.reserve_len; i > 0; i--) { /* each of the others holds one */
        join_client(&g);
        turn(&g);
        g.peer.fd = g.client.fd;
        g.client.fd = -1;
        leave(&g.peer);
    }
    g.worker.sessions.max = max;
    say(&g, client_of(&g), "CONNECT @ HTTP/1.1\r\nHost: @\r\n\r\n", false);
    expect(&g, &g.client, "HTTP/1.1 200 ");
    close_stage(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tunnels),
        cmocka_unit_test(plain_requests),
        cmocka_unit_test(clients_that_leave),
        cmocka_unit_test(refusals),
        cmocka_unit_test(logins),
        cmocka_unit_test(a_client_has_its_own_limit),
        cmocka_unit_test(memory_runs_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
