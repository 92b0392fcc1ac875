/* What a live flow takes of memory: tens of thousands of them, all open at once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/util.h"
#include "capture/conn.h"
#include "capture/dialog.h"

/* A sanitizer's memory is its own matter: there the flows are only played, and fewer. */
#ifdef __has_feature
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define IS_SANITIZED 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define IS_SANITIZED 1
#endif
#ifndef IS_SANITIZED
#define IS_SANITIZED 0
#endif

/* Memory comes in pages of 2 MiB: with so many flows the last ones are nearly full. */
#define FLOWS (IS_SANITIZED ? 1000u : 57000u)
#define LIMIT 1024u /* bytes of one */

/* ---- packets */

struct line {
    struct conn_table *table;
    uint64_t at_ns;
    uint32_t number;
    struct endpoint ends[2];
    uint32_t seq[2];
};

static void send_packet(struct line *l, enum dir dir, unsigned flags, struct span payload)
{
    struct packet p = {
        .kind = PACKET_TCP,
        .at_ns = l->at_ns,
        .wall_ns = l->at_ns,
        .number = ++l->number,
        .from = l->ends[dir],
        .to = l->ends[!dir],
        .ttl = 64,
        .flags = (uint8_t)flags,
        .seq = l->seq[dir],
        .ack = flags & PACKET_ACK ? l->seq[!dir] : 0,
        .window = 502,
        .payload = payload,
        .payload_len = (uint32_t)payload.len,
        .mss = flags & PACKET_SYN ? 1460 : 0,
    };

    l->seq[dir] += p.payload_len + (flags & PACKET_SYN ? 1 : 0);
    l->at_ns += 10 * NS_PER_US;
    conn_table_add(l->table, &p);
}

static void open_line(struct line *l, unsigned index, uint16_t port)
{
    l->ends[UP] = (struct endpoint){
        .addr = {.bytes = {10, 1, (uint8_t)(index / 50000), 1}, .family = AF_INET},
        .port = (uint16_t)(10000 + index % 50000)};
    l->ends[DOWN] =
        (struct endpoint){.addr = {.bytes = {10, 0, 0, 2}, .family = AF_INET}, .port = port};
    l->seq[UP] = 1000 * index;
    l->seq[DOWN] = 77 * index;
    send_packet(l, UP, PACKET_SYN, SPAN_LIT(""));
    send_packet(l, DOWN, PACKET_SYN | PACKET_ACK, SPAN_LIT(""));
    send_packet(l, UP, PACKET_ACK, SPAN_LIT(""));
}

static void say(struct line *l, enum dir dir, struct span text)
{
    send_packet(l, dir, PACKET_ACK | PACKET_PSH, text);
}

/* ---- what is said */

static size_t put_16(char *at, size_t n)
{
    at[0] = (char)(n >> 8);
    at[1] = (char)n;
    return 2;
}

/* A ClientHello for that name (RFC 8446 4.1.2, RFC 6066 3). */
static void say_hello(struct line *l, const char *name)
{
    static const char versions[] = "\0\x2b\0\x03\x02\x03\x04";
    size_t name_len = strlen(name), extensions = name_len + 9 + sizeof versions - 1;
    size_t body = 2 + 32 + 1 + 4 + 2 + 2 + extensions, at = 0;
    char hello[256] = {0x16, 3, 1};

    at = 3 + put_16(hello + 3, body + 4);
    hello[at++] = 1;
    at++;
    at += put_16(hello + at, body);
    at += put_16(hello + at, 0x0303);
    at += put_16(hello + at, l->number >> 16);
    at += put_16(hello + at, l->number);
    at += 29; /* the rest of the random, and no session */
    at += put_16(hello + at, 2);
    at += put_16(hello + at, 0x1301);
    at += put_16(hello + at, 0x0100);
    at += put_16(hello + at, extensions);
    at += put_16(hello + at, 0);
    at += put_16(hello + at, name_len + 5);
    at += put_16(hello + at, name_len + 3);
    at++;
    at += put_16(hello + at, name_len);
    memcpy(hello + at, name, name_len);
    memcpy(hello + at + name_len, versions, sizeof versions - 1);
    at += name_len + sizeof versions - 1;
    say(l, UP, (struct span){hello, at});
}

/* What follows it, up to an answer from inside. */
static void say_rest(struct line *l)
{
    static const char hello[5 + 4 + 2 + 32 + 1 + 3 + 2 + 6] =
        "\x16\x03\x03\0\x32\x02\0\0\x2e\x03\x03random random random random rand\0\x13\x01\0"
        "\0\x06\0\x2b\0\x02\x03\x04";
    static const char finished[5 + 69] = "\x17\x03\x03\0\x45",
                                   asked[5 + 300] = "\x17\x03\x03\1\x2c",
                                   told[5 + 1000] = "\x17\x03\x03\3\xe8";

    say(l, DOWN, (struct span){hello, sizeof hello});
    say(l, DOWN, (struct span){told, sizeof told});
    say(l, UP, (struct span){finished, sizeof finished});
    say(l, UP, (struct span){asked, sizeof asked});
    say(l, DOWN, (struct span){told, sizeof told});
    send_packet(l, UP, PACKET_ACK, SPAN_LIT(""));
}

static void connect_to(struct line *l, const char *name)
{
    char head[256];
    int n =
        snprintf(head, sizeof head,
                 "CONNECT %s:443 HTTP/1.1\r\nHost: %s:443\r\nUser-Agent: test\r\n\r\n", name, name);

    say(l, UP, (struct span){head, (size_t)n});
    say(l, DOWN, SPAN_LIT("HTTP/1.1 200 Connection established\r\n\r\n"));
}

static void play_tunnel(struct line *l, const char *name)
{
    connect_to(l, name);
    say_hello(l, name);
    say_rest(l);
}

/* The request is asked again with credentials, on the same connection. */
static void play_retried(struct line *l, const char *name)
{
    say(l, UP, SPAN_LIT("CONNECT first.example:443 HTTP/1.1\r\nHost: first.example:443\r\n\r\n"));
    say(l, DOWN,
        SPAN_LIT("HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic "
                 "realm=x\r\nContent-Length: 5\r\n\r\nlogin"));
    play_tunnel(l, name);
}

static void play_fronted(struct line *l, const char *name)
{
    connect_to(l, name);
    say_hello(l, "another.front.example.org");
    say_rest(l);
}

static void play_direct(struct line *l, const char *name)
{
    say_hello(l, name);
    say_rest(l);
}

/* Segments are on their way, and nobody acknowledged one. */
static void play_flight(struct line *l, const char *name)
{
    static const char more[5 + 500] = "\x17\x03\x03\1\xf4";

    play_tunnel(l, name);
    say(l, DOWN, (struct span){more, sizeof more});
    say(l, DOWN, (struct span){more, sizeof more});
}

/* In the middle of a body. */
static void play_plain(struct line *l, const char *name)
{
    static const char body[1000];
    char head[256];
    int n = snprintf(head, sizeof head,
                     "GET http://%s/a/path/as/they/are HTTP/1.1\r\nHost: %s\r\n\r\n", name, name);

    say(l, UP, (struct span){head, (size_t)n});
    say(l, DOWN, SPAN_LIT("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"));
    say(l, DOWN, (struct span){body, sizeof body});
    send_packet(l, UP, PACKET_ACK, SPAN_LIT(""));
}

static void play_upload(struct line *l, const char *name)
{
    static const char body[1000];
    char head[256];
    int n = snprintf(head, sizeof head,
                     "POST http://%s/a/path/as/they/are HTTP/1.1\r\nHost: %s\r\n"
                     "Content-Length: 100000\r\n\r\n",
                     name, name);

    say(l, UP, (struct span){head, (size_t)n});
    say(l, UP, (struct span){body, sizeof body});
    send_packet(l, DOWN, PACKET_ACK, SPAN_LIT(""));
}

/* ---- how much it takes */

/* Bytes of address space: what the pools have and what malloc has, with all that both lose. */
static uint64_t read_size(void)
{
    unsigned long long pages = 0;
    FILE *f = fopen("/proc/self/statm", "re");

    assert_non_null(f);
    assert_int_equal(fscanf(f, "%llu", &pages), 1);
    fclose(f);
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

struct seen {
    uint64_t each; /* bytes of a flow */
    unsigned over, tls;
};

static void on_over(void *owner, struct exchange *x, enum conn_end how, uint64_t now_ns)
{
    struct seen *seen = owner;

    (void)how;
    (void)now_ns;
    if (x->status != 407)
        seen->over++;
    if (x->is_tls && x->hello_whole[UP] && x->hello_whole[DOWN] && x->target &&
        exchange_get_sni(x).len > 0)
        seen->tls++;
}

struct live_case {
    const char *what;
    void (*play)(struct line *l, const char *name);
    uint16_t port;
    unsigned beside; /* bytes: of what is under way (waiting_max) */
    bool is_tls;
};

static void play_all(const struct live_case *c, struct seen *seen)
{
    struct dialogs *d = dialogs_new(&(struct dialogs_options){.over = on_over, .owner = seen});
    struct conn_events events = dialogs_get_events(d);
    struct conn_table *t = conn_table_new(&(struct conn_options){0}, &events);
    struct line l = {.table = t, .at_ns = NS_PER_S};
    uint64_t before = read_size();

    for (unsigned n = 0; n < FLOWS; n++) {
        char name[64];

        snprintf(name, sizeof name, "host%05u.updates.example", n);
        open_line(&l, n, c->port);
        c->play(&l, name);
    }
    seen->each = (read_size() - before) / FLOWS;
    conn_table_finish(t, l.at_ns);
    conn_table_free(t);
    dialogs_free(d);
}

/* In a process of its own: a heap that was used before has room that would not be seen. */
static struct seen play_apart(const struct live_case *c)
{
    struct seen seen = {0};
    int ends[2], status = 0;
    pid_t pid;

    assert_int_equal(pipe(ends), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        play_all(c, &seen);
        _exit(write(ends[1], &seen, sizeof seen) == sizeof seen ? 0 : 1);
    }
    close(ends[1]);
    assert_int_equal(read(ends[0], &seen, sizeof seen), sizeof seen);
    close(ends[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    return seen;
}

static void a_live_flow_takes_less_than_1_kib(void **state)
{
    static const struct live_case cases[] = {
        {"a tunnel", play_tunnel, 3128, 0, true},
        {"a tunnel behind a 407", play_retried, 3128, 0, true},
        {"a tunnel to another name", play_fronted, 3128, 0, true},
        {"TLS without a proxy", play_direct, 443, 0, true},
        {"a tunnel with bytes on their way", play_flight, 3128, 104, true},
        {"plain HTTP in the middle of a body", play_plain, 3128, 0, false},
        {"plain HTTP in the middle of an upload", play_upload, 3128, 0, false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct seen seen = play_apart(&cases[i]);

        print_message("%s: %u bytes\n", cases[i].what, (unsigned)seen.each);
        if (!IS_SANITIZED && seen.each >= LIMIT + cases[i].beside)
            fail_msg("%s: %u bytes", cases[i].what, (unsigned)seen.each);
        assert_int_equal(seen.over, FLOWS);
        assert_int_equal(seen.tls, cases[i].is_tls ? FLOWS : 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_live_flow_takes_less_than_1_kib),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
