#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/util.h"
#include "wire/rewrite.h"

static const struct addr v4 = {{192, 0, 2, 1}, AF_INET};
static const struct addr v6 = {{0x20, 1, 0xd, 0xb8, [15] = 1}, AF_INET6};

static void parse_request(const char *text, struct http1_head *h, struct authority *a)
{
    http1_head_reset(h);
    assert_int_equal(http1_parse_request(span_of(text), h), PARSE_OK);
    if (h->method == METHOD_CONNECT)
        assert_true(authority_parse(h->target, a));
    else
        assert_true(authority_parse_absolute(h->target, h->method == METHOD_OPTIONS, a));
}

static void parse_response(const char *text, struct http1_head *h)
{
    http1_head_reset(h);
    assert_int_equal(http1_parse_response(span_of(text), h), PARSE_OK);
}

static void requests_are_rewritten(void **state)
{
    static const struct {
        const char *what, *text;
        struct rewrite r;
        const char *want;
    } cases[] = {
        {"origin-form, Host from the URI, port 80 left out",
         "GET http://A.example:80/b?c HTTP/1.1\r\nHost: other\r\nAccept: */*\r\n\r\n",
         {.keep_alive = true},
         "GET /b?c HTTP/1.1\r\nHost: a.example\r\nAccept: */*\r\n\r\n"},
        {"another port stays, IPv6 has brackets, a missing Host is made",
         "GET http://[2001:DB8::1]:8080 HTTP/1.0\r\n\r\n",
         {0},
         "GET / HTTP/1.1\r\nHost: [2001:db8::1]:8080\r\nConnection: close\r\n\r\n"},
        {"a query without a path",
         "GET http://a?q HTTP/1.1\r\nHost: a\r\n\r\n",
         {.keep_alive = true},
         "GET /?q HTTP/1.1\r\nHost: a\r\n\r\n"},
        {"absolute-form to a parent",
         "GET HTTP://A:81?q HTTP/1.1\r\nHost: x\r\n\r\n",
         {.keep_alive = true, .absolute = true},
         "GET http://a:81/?q HTTP/1.1\r\nHost: a:81\r\n\r\n"},
        {"what is no URI is made one for a parent, not for a target",
         "GET http://a/\"b\\c?\"\xe2<>' HTTP/1.1\r\nHost: a\r\n\r\n",
         {.keep_alive = true, .absolute = true},
         "GET http://a/%22b%5Cc?%22\xe2<>' HTTP/1.1\r\nHost: a\r\n\r\n"},
        {"and as it came to a target",
         "GET http://a/\"b\\c HTTP/1.1\r\nHost: a\r\n\r\n",
         {.keep_alive = true},
         "GET /\"b\\c HTTP/1.1\r\nHost: a\r\n\r\n"},
        {"OPTIONS of the whole server, Max-Forwards less one",
         "OPTIONS http://a HTTP/1.1\r\nHost: a\r\nMax-Forwards: 5\r\n\r\n",
         {.keep_alive = true},
         "OPTIONS * HTTP/1.1\r\nHost: a\r\nMax-Forwards: 4\r\n\r\n"},
        {"the same to a parent",
         "OPTIONS http://a HTTP/1.1\r\nHost: a\r\n\r\n",
         {.keep_alive = true, .absolute = true},
         "OPTIONS http://a HTTP/1.1\r\nHost: a\r\n\r\n"},
        {"Max-Forwards counts for TRACE and OPTIONS only, and not below 0",
         "TRACE http://a/ HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\n\r\n",
         {.keep_alive = true},
         "TRACE / HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\n\r\n"},
        {"and is none of our business in a GET",
         "GET http://a/ HTTP/1.1\r\nHost: a\r\nMax-Forwards: 5\r\n\r\n",
         {.keep_alive = true},
         "GET / HTTP/1.1\r\nHost: a\r\nMax-Forwards: 5\r\n\r\n"},
        {"CONNECT to a parent",
         "CONNECT A.example:443 HTTP/1.0\r\nProxy-Authorization: Basic eA==\r\nUser-Agent: "
         "x\r\n\r\n",
         {.keep_alive = true, .extra = "Proxy-Authorization: Basic eQ==\r\n"},
         "CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\nUser-Agent: x\r\n"
         "Proxy-Authorization: Basic eQ==\r\n\r\n"},
        {"CONNECT implies no port",
         "CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n",
         {.keep_alive = true},
         "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n"},
        {"fields of one hop end, and those that Connection names",
         "GET http://a/ HTTP/1.1\r\nHost: a\r\nConnection: X-Mine, keep-alive, Cookie\r\n"
         "x-mine: 1\r\nX-Mine-Not: 2\r\nKeep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\n"
         "Proxy-Authorization: Basic eA==\r\nProxy-Authenticate: x\r\nCookie: c\r\nUpgrade: x\r\n"
         "TE: gzip\r\nY:1\r\nZ:\r\n\r\n",
         {.keep_alive = true},
         "GET / HTTP/1.1\r\nHost: a\r\nX-Mine-Not: 2\r\nY: 1\r\nZ: \r\n\r\n"},
        {"what frames and routes stays, whatever Connection says",
         "POST http://a/ HTTP/1.1\r\nHost: a\r\nConnection: host, content-length, via, close\r\n"
         "Content-Length: 5\r\nVia: 1.0 x\r\n\r\n",
         {.keep_alive = true},
         "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nVia: 1.0 x\r\n\r\n"},
        {"several equal lengths become one, in its plain form",
         "POST http://a/ HTTP/1.1\r\nHost: a\r\nContent-Length: 05, 5\r\nContent-Length: 5\r\n\r\n",
         {.keep_alive = true},
         "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n"},
        {"chunked stays chunked, Trailer with it, Expect too",
         "POST http://a/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: CHUNKED\r\nTrailer: X\r\n"
         "Expect: 100-continue\r\n\r\n",
         {.keep_alive = true, .chunked = true},
         "POST / HTTP/1.1\r\nHost: a\r\nTrailer: X\r\nExpect: 100-continue\r\n"
         "Transfer-Encoding: chunked\r\n\r\n"},
        {"no Trailer without chunks, no Expect from a 1.0 client",
         "POST http://a/ HTTP/1.0\r\nContent-Length: 1\r\nTrailer: X\r\n"
         "Expect: 100-continue\r\nTE: trailers\r\n\r\n",
         {.keep_alive = true},
         "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n"},
        {"TE: trailers is handed on as ours",
         "GET http://a/ HTTP/1.1\r\nHost: a\r\nTE: gzip, trailers\r\nConnection: TE\r\n\r\n",
         {0},
         "GET / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: close, TE\r\n\r\n"},
        {"Upgrade is handed on when asked for, and never with close",
         "GET http://a/ HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
         {.upgrade = true},
         "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n"},
        {"but not when the client did not ask",
         "GET http://a/ HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n",
         {.upgrade = true, .keep_alive = true},
         "GET / HTTP/1.1\r\nHost: a\r\n\r\n"},
        {"Via goes on in one line, with the version that was received",
         "GET http://a/ HTTP/1.0\r\nVia: 1.0 fred\r\nB: b\r\nVia: 1.1 p (x, y)\r\n\r\n",
         {.keep_alive = true, .via = "viaduct-1"},
         "GET / HTTP/1.1\r\nHost: a\r\nB: b\r\nVia: 1.0 fred, 1.1 p (x, y), 1.0 viaduct-1\r\n\r\n"},
        {"Forwarded is left as it came when off",
         "GET http://a/ HTTP/1.1\r\nHost: a\r\nForwarded: for=x\r\nX-Forwarded-For: y\r\n\r\n",
         {.keep_alive = true, .client = &v4},
         "GET / HTTP/1.1\r\nHost: a\r\nForwarded: for=x\r\nX-Forwarded-For: y\r\n\r\n"},
        {"Forwarded goes on",
         "GET http://a/ HTTP/1.1\r\nHost: a\r\nForwarded: for=x\r\nX-Forwarded-For: y\r\n\r\n",
         {.keep_alive = true, .forwarded = FORWARDED_APPEND, .client = &v4},
         "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: y\r\n"
         "Forwarded: for=x, for=192.0.2.1\r\n\r\n"},
        {"and is quoted for IPv6",
         "GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n",
         {.keep_alive = true, .forwarded = FORWARDED_APPEND, .client = &v6},
         "GET / HTTP/1.1\r\nHost: a\r\nForwarded: for=\"[2001:db8::1]\"\r\n\r\n"},
        {"X-Forwarded-For goes on",
         "GET http://a/ HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: y\r\nX-Forwarded-For: z\r\n\r\n",
         {.keep_alive = true, .forwarded = FORWARDED_X, .client = &v6},
         "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: y, z, 2001:db8::1\r\n\r\n"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct http1_head h;
        struct authority a;
        char out[1024];

        parse_request(cases[i].text, &h, &a);
        size_t len = rewrite_request(&h, &a, &cases[i].r, out, sizeof out - 1);
        out[len] = '\0';
        if (strcmp(out, cases[i].want) != 0)
            print_error("%s\n", cases[i].what);
        assert_string_equal(out, cases[i].want);
    }
}

static void responses_are_rewritten(void **state)
{
    static const struct {
        const char *what, *text;
        struct rewrite r;
        const char *want;
    } cases[] = {
        {"as it came, Via added, version ours",
         "HTTP/1.0 200 All right\r\nServer: x\r\nContent-Length: 3\r\n\r\n",
         {.keep_alive = true, .via = "viaduct-1"},
         "HTTP/1.1 200 All right\r\nServer: x\r\nContent-Length: 3\r\nVia: 1.0 viaduct-1\r\n\r\n"},
        {"no reason, closed",
         "HTTP/1.1 404\r\n\r\n",
         {0},
         "HTTP/1.1 404 \r\nConnection: close\r\n\r\n"},
        {"a 1.0 client is told that we stay",
         "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
         {.keep_alive = true, .client_is_10 = true},
         "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n"},
        {"hop fields end, Proxy-Status stays",
         "HTTP/1.1 200 OK\r\nProxy-Authenticate: Basic\r\nConnection: close, X\r\nX: 1\r\n"
         "Keep-Alive: a\r\nProxy-Status: p\r\nUpgrade: h2c\r\nContent-Length: 0\r\n\r\n",
         {.keep_alive = true},
         "HTTP/1.1 200 OK\r\nProxy-Status: p\r\nContent-Length: 0\r\n\r\n"},
        {"chunked stays chunked",
         "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\nA: b\r\n\r\n",
         {.keep_alive = true, .chunked = true},
         "HTTP/1.1 200 OK\r\nTrailer: X\r\nA: b\r\nTransfer-Encoding: chunked\r\n\r\n"},
        {"but not towards a 1.0 client",
         "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\nA: b\r\n\r\n",
         {.chunked = true, .client_is_10 = true},
         "HTTP/1.1 200 OK\r\nA: b\r\nConnection: close\r\n\r\n"},
        {"an endless body gets chunks",
         "HTTP/1.0 200 OK\r\n\r\n",
         {.keep_alive = true, .chunked = true},
         "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"},
        {"the answer to HEAD keeps its length",
         "HTTP/1.1 200 OK\r\nContent-Length: 77\r\n\r\n",
         {.keep_alive = true, .no_framing = true},
         "HTTP/1.1 200 OK\r\nContent-Length: 77\r\n\r\n"},
        {"or its chunks",
         "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
         {.keep_alive = true, .no_framing = true},
         "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"},
        {"204 has no framing",
         "HTTP/1.1 204 No Content\r\nContent-Length: 3\r\n\r\n",
         {.keep_alive = true},
         "HTTP/1.1 204 No Content\r\n\r\n"},
        {"1xx has neither framing nor Connection",
         "HTTP/1.1 103 Early Hints\r\nLink: x\r\nContent-Length: 3\r\nConnection: close\r\n\r\n",
         {0},
         "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"},
        {"101 keeps its upgrade",
         "HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nS: k\r\n\r\n",
         {.upgrade = true, .via = "v"},
         "HTTP/1.1 101 Switching\r\nS: k\r\nUpgrade: websocket\r\nConnection: upgrade\r\n"
         "Via: 1.1 v\r\n\r\n"},
        {"lines to add come last",
         "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n",
         {.keep_alive = true, .no_framing = true, .extra = "A: b\r\nC: d\r\n"},
         "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\nA: b\r\nC: d\r\n\r\n"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct http1_head h;
        char out[1024];

        parse_response(cases[i].text, &h);
        size_t len = rewrite_response(&h, &cases[i].r, out, sizeof out - 1);
        out[len] = '\0';
        if (strcmp(out, cases[i].want) != 0)
            print_error("%s\n", cases[i].what);
        assert_string_equal(out, cases[i].want);
    }
}

static void room_too_small_gives_nothing(void **state)
{
    struct http1_head h;
    struct authority a;
    const struct rewrite r = {.via = "v", .extra = "A: b\r\n"};
    char out[1024];

    (void)state;
    parse_request("GET http://a/b HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n", &h, &a);
    size_t whole = rewrite_request(&h, &a, &r, out, sizeof out);
    assert_true(whole > 0);
    for (size_t cap = 0; cap < whole; cap++)
        assert_int_equal(rewrite_request(&h, &a, &r, out, cap), 0);
    assert_int_equal(rewrite_request(&h, &a, &r, out, whole), whole);
}

static void connection_cannot_name_everything(void **state)
{
    static const struct {
        const char *connection;
        bool want;
        size_t offset;
    } cases[] = {
        {"close", true, 0},           {"keep-alive, Upgrade, TE, X-Mine, Cookie", true, 0},
        {"close, host", false, 59},   {"Content-Length", false, 52},
        {"via", false, 52},           {"x,Transfer-Encoding", false, 54},
        {"Max-Forwards", false, 52},  {"X-Forwarded-For", false, 52},
        {"Authorization", false, 52},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct http1_head h;
        struct authority a;
        char text[256];

        snprintf(text, sizeof text,
                 "GET http://a/aaaaaaa HTTP/1.1\r\nHost: a\r\nConnection: %s\r\n\r\n",
                 cases[i].connection);
        parse_request(text, &h, &a);
        assert_int_equal(rewrite_check(&h), cases[i].want);
        if (!cases[i].want) {
            assert_int_equal(h.bad_offset, cases[i].offset);
            assert_int_equal(h.bad_status, 400);
            assert_string_equal(h.bad_what, "Connection names an end-to-end field");
        }
    }
}

static void our_own_via_is_a_loop(void **state)
{
    static const struct {
        const char *via;
        bool want;
    } cases[] = {
        {"1.1 viaduct-7", true},
        {"1.0 fred, 1.1 VIADUCT-7 (x)", true},
        {"1.0 fred (a, b \\) c), HTTP/1.1\tviaduct-7", true},
        {"1.1 viaduct-7(x)", true},
        {"1.1 a\r\nVia: 1.1 viaduct-7", true},
        {"1.1 viaduct-77", false},
        {"1.1 xviaduct-7", false},
        {"1.1 viaduct-7:80", false},
        {"viaduct-7", false},
        {"1.0 fred (1.1 x, 1.1 viaduct-7)", false},
        {"1.0 fred ((, 1.1 viaduct-7", true}, /* an open comment hides nothing */
        {"", false},
        {",,", false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct http1_head h;
        struct authority a;
        char text[256];

        snprintf(text, sizeof text, "GET http://a/ HTTP/1.1\r\nHost: a\r\nVia: %s\r\n\r\n",
                 cases[i].via);
        parse_request(text, &h, &a);
        assert_int_equal(rewrite_has_via(&h, SPAN_LIT("viaduct-7")), cases[i].want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_are_rewritten),
        cmocka_unit_test(responses_are_rewritten),
        cmocka_unit_test(room_too_small_gives_nothing),
        cmocka_unit_test(connection_cannot_name_everything),
        cmocka_unit_test(our_own_via_is_a_loop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
