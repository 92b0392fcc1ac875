#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/util.h"
#include "wire/http1.h"

typedef enum parse (*parse_fn)(struct span bytes, struct http1_head *h);

/* Everything that a caller may read of a head, as text. */
static size_t describe(const struct http1_head *h, char *out, size_t cap)
{
    int n = snprintf(out, cap,
                     "len %zu minor %u method %d '%.*s' target '%.*s' status %u '%.*s' "
                     "seen %llx chunked %d length %d %llu keep %d upgrade %d expect %d;",
                     h->head_len, h->minor, h->method, (int)h->method_text.len,
                     h->method_text.ptr ? h->method_text.ptr : "", (int)h->target.len,
                     h->target.ptr ? h->target.ptr : "", h->status, (int)h->reason.len,
                     h->reason.ptr ? h->reason.ptr : "", (unsigned long long)h->seen, h->chunked,
                     h->has_length, (unsigned long long)h->length, h->keep_alive, h->upgrade,
                     h->expect_continue);

    for (unsigned i = 0; i < h->fields_len; i++) {
        const struct http1_field *f = &h->fields[i];

        n += snprintf(out + n, cap - (size_t)n, " %d '%.*s'='%.*s'", f->id, (int)f->name.len,
                      f->name.ptr, (int)f->value.len, f->value.ptr);
    }
    assert_true(n > 0 && (size_t)n < cap);
    return (size_t)n;
}

static enum parse parse_copy(parse_fn parse, struct span text, struct http1_head *h, char **copy)
{
    char *moved = malloc(text.len + 1); /* its own size, so that ASan sees a step too far */

    assert_non_null(moved);
    memcpy(moved, text.ptr, text.len);
    enum parse got = parse((struct span){moved, text.len}, h);
    free(*copy);
    *copy = moved;
    return got;
}

/* Parses whole, at every split point, and byte by byte, the bytes moving between the calls. */
static void assert_every_split_gives(parse_fn parse, struct span text, enum parse want)
{
    struct http1_head whole, h;
    char *copy = NULL, seen[8192], again[8192];

    http1_head_reset(&whole);
    assert_int_equal(parse(text, &whole), want);
    for (size_t split = 0; split <= text.len; split++) {
        http1_head_reset(&h);
        enum parse got = parse_copy(parse, (struct span){text.ptr, split}, &h, &copy);

        if (got == PARSE_MORE && split < text.len)
            got = parse_copy(parse, text, &h, &copy);
        assert_int_equal(got, want);
        if (want == PARSE_OK) {
            describe(&whole, seen, sizeof seen);
            describe(&h, again, sizeof again);
            assert_string_equal(again, seen);
        }
    }
    http1_head_reset(&h);
    enum parse got = PARSE_MORE;
    for (size_t n = 0; n <= text.len && got == PARSE_MORE; n++)
        got = parse_copy(parse, (struct span){text.ptr, n}, &h, &copy);
    assert_int_equal(got, want);
    if (want == PARSE_OK) {
        describe(&h, again, sizeof again);
        assert_string_equal(again, seen);
    }
    free(copy);
}

static void good_requests_at_every_split(void **state)
{
    static const struct span cases[] = {
        SPAN_INIT("GET http://a.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n"),
        SPAN_INIT("\r\n\r\nGET / HTTP/1.0\r\n\r\n"),
        SPAN_INIT("CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n"
                  "Proxy-Connection: keep-alive\r\nUser-Agent: x\r\n\r\n"),
        SPAN_INIT("CONNECT a.example:443 HTTP/1.0\r\n\r\n"),
        SPAN_INIT("CONNECT a.example:443 HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"),
        SPAN_INIT("POST http://a/ HTTP/1.1\r\nhost:a\r\nTransfer-Encoding: Chunked\r\n"
                  "Expect: 100-continue\r\n\r\n"),
        SPAN_INIT("POST http://a/ HTTP/1.1\r\nHost: \t a \t \r\nContent-Length: 5, 5\r\n"
                  "Content-Length: 5\r\nX-Empty:\r\nX-Tab: a\tb\r\nX-High: \xe3\x81\x82\r\n\r\n"),
        SPAN_INIT("GET ws://a/ HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\n"
                  "Upgrade: websocket\r\n\r\n"),
        SPAN_INIT("BREW http://a/ HTTP/1.1\r\nHost:\r\n\r\nand a body"),
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_every_split_gives(http1_parse_request, cases[i], PARSE_OK);
}

static void good_responses_at_every_split(void **state)
{
    static const struct span cases[] = {
        SPAN_INIT("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"),
        SPAN_INIT("HTTP/1.0 200\r\n\r\n"),
        SPAN_INIT("HTTP/1.1 404 \r\nTransfer-Encoding: chunked\r\n\r\n"),
        SPAN_INIT("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"),
        SPAN_INIT("HTTP/1.1 999 so be it\tthen\r\nHost: odd, but no request's\r\n\r\n"),
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_every_split_gives(http1_parse_response, cases[i], PARSE_OK);
}

/* The head of a request that is good but for `fields`. */
#define POST(fields) SPAN_INIT("POST http://a/ HTTP/1.1\r\nHost: a\r\n" fields)
#define AT 34 /* where `fields` begins */

static void bad_requests(void **state)
{
    static const struct {
        struct span text;
        size_t offset;
        uint16_t status;
        const char *what;
    } cases[] = {
        {SPAN_INIT("\x16\x03\x01\x02"), 0, 400, "TLS on a plain port"},
        {SPAN_INIT("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), 6, 505, "not HTTP version 1"},
        {SPAN_INIT("GET / HTTP/2\r\n"), 6, 505, "not HTTP version 1"},
        {SPAN_INIT("SSH-2.0-x\r\n"), 9, 400, "not \"method target version\""},
        {SPAN_INIT("\r\n\r\n\r\n"), 4, 400, "empty lines before the request"},
        {SPAN_INIT("GET / HTTP/1.2\r\n"), 6, 400, "not an HTTP version"},
        {SPAN_INIT("GET / HTTP/1.1x\r\n"), 6, 400, "not an HTTP version"},
        {SPAN_INIT("GET / http/1.1\r\n"), 6, 400, "not an HTTP version"},
        {SPAN_INIT("GET /\r\n"), 5, 400, "not an HTTP version"},
        {SPAN_INIT("GET\r\n"), 3, 400, "not \"method target version\""},
        {SPAN_INIT("GET  / HTTP/1.1\r\n"), 3, 400, "not \"method target version\""},
        {SPAN_INIT("GET /  HTTP/1.1\r\n"), 6, 400, "more than two spaces"},
        {SPAN_INIT("GET /a b HTTP/1.1\r\n"), 7, 400, "more than two spaces"},
        {SPAN_INIT("GET / HTTP/1.1 \r\n"), 6, 400, "more than two spaces"},
        {SPAN_INIT("GET\t/\tHTTP/1.1\r\n"), 3, 400, "not an HTTP request"},
        {SPAN_INIT("GET /\ta HTTP/1.1\r\n"), 4, 400, "tab in the target"},
        {SPAN_INIT(" GET / HTTP/1.1\r\n"), 0, 400, "not an HTTP request"},
        {SPAN_INIT("G(T"), 1, 400, "not an HTTP request"},
        {SPAN_INIT("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"), 32, 400, "no method"},
        {SPAN_INIT("GET / HTTP/1.1\n"), 14, 400, "bare LF"},
        {SPAN_INIT("\nGET / HTTP/1.1\r\n"), 0, 400, "bare LF"},
        {SPAN_INIT("GET /\r HTTP/1.1\r\n"), 5, 400, "bare CR"},
        {SPAN_INIT("GET /\r\r\n"), 5, 400, "bare CR"},
        {SPAN_INIT("GET /\0 HTTP/1.1\r\n"), 5, 400, "NUL"},
        {SPAN_INIT("GET /\x7f HTTP/1.1\r\n"), 5, 400, "control character"},
        {SPAN_INIT("GET / HTTP/1.1\r\n\r\n"), 16, 400, "no Host"},
        {SPAN_INIT("GET / HTTP/1.1\r\n Host: a\r\n\r\n"), 16, 400, "folded line"},
        {POST("Host: a\r\n"), AT + 6, 400, "Host given twice"},
        {SPAN_INIT("GET / HTTP/1.1\r\nHost: u@a\r\n"), 23, 400, "bad Host"},
        {SPAN_INIT("GET / HTTP/1.1\r\nHost: a, b\r\n"), 23, 400, "bad Host"},
        {SPAN_INIT("GET / HTTP/1.0\r\nHost: 127.1\r\n"), 22, 400, "bad Host"},
        {POST("X: a\r\n b\r\n"), AT + 6, 400, "folded line"},
        {POST("X: a\r\n\tb\r\n"), AT + 6, 400, "folded line"},
        {POST("X : a\r\n"), AT + 1, 400, "space before the colon"},
        {POST("X\t: a\r\n"), AT + 1, 400, "space before the colon"},
        {POST(": a\r\n"), AT, 400, "empty field name"},
        {POST("X\r\n"), AT + 1, 400, "field without a colon"},
        {POST("X(: a\r\n"), AT + 1, 400, "bad character in a field name"},
        {POST("X\xc3: a\r\n"), AT + 1, 400, "bad character in a field name"},
        {POST("X: a\rb\r\n"), AT + 4, 400, "bare CR"},
        {POST("X: a\nb\r\n"), AT + 4, 400, "bare LF"},
        {POST("X: a\0b\r\n"), AT + 4, 400, "NUL"},
        {POST("X: a\x01"), AT + 4, 400, "control character"},
        {POST("X: a\x16"), AT + 4, 400, "control character"},
        {POST("Content-Length: 5\r\nContent-Length: 6\r\n"), AT + 35, 400,
         "differing Content-Length"},
        {POST("Content-Length: 5, 6\r\n"), AT + 16, 400, "differing Content-Length"},
        {POST("Content-Length: 5,\r\n"), AT + 16, 400, "bad Content-Length"},
        {POST("Content-Length: ,5\r\n"), AT + 16, 400, "bad Content-Length"},
        {POST("Content-Length:\r\n"), AT + 15, 400, "bad Content-Length"},
        {POST("Content-Length: +5\r\n"), AT + 16, 400, "bad Content-Length"},
        {POST("Content-Length: 0x5\r\n"), AT + 16, 400, "bad Content-Length"},
        {POST("Content-Length: 5 5\r\n"), AT + 16, 400, "bad Content-Length"},
        {POST("Content-Length: 9223372036854775808\r\n"), AT + 16, 400, "bad Content-Length"},
        {POST("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"), AT + 38, 400,
         "Content-Length with Transfer-Encoding"},
        {POST("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"), AT + 44, 400,
         "Content-Length with Transfer-Encoding"},
        {POST("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"), AT + 47, 400,
         "Transfer-Encoding given twice"},
        {POST("Transfer-Encoding: chunked, chunked\r\n"), AT + 19, 400,
         "chunked is not the last coding"},
        {POST("Transfer-Encoding: chunked, gzip\r\n"), AT + 19, 400,
         "chunked is not the last coding"},
        {POST("Transfer-Encoding:\r\n"), AT + 18, 400, "empty Transfer-Encoding"},
        {POST("Transfer-Encoding: gzip, chunked\r\n"), AT + 19, 501, "unknown transfer coding"},
        {POST("Transfer-Encoding: xchunked\r\n"), AT + 19, 501, "unknown transfer coding"},
        {POST("Transfer-Encoding: identity\r\n"), AT + 19, 501, "unknown transfer coding"},
        {POST("Transfer-Encoding: chunked;a=b\r\n"), AT + 19, 501, "unknown transfer coding"},
        {SPAN_INIT("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n"), 36, 400,
         "Transfer-Encoding in HTTP/1.0"},
        {SPAN_INIT("CONNECT a:1 HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n"), 50, 400,
         "CONNECT with a body"},
        {SPAN_INIT("CONNECT a:1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"), 59,
         400, "CONNECT with a body"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct http1_head h;

        http1_head_reset(&h);
        assert_int_equal(http1_parse_request(cases[i].text, &h), PARSE_BAD);
        assert_string_equal(h.bad_what, cases[i].what);
        assert_int_equal(h.bad_offset, cases[i].offset);
        assert_int_equal(h.bad_status, cases[i].status);
        assert_every_split_gives(http1_parse_request, cases[i].text, PARSE_BAD);
    }
}

static void bad_responses(void **state)
{
    static const struct {
        struct span text;
        size_t offset;
        const char *what;
    } cases[] = {
        {SPAN_INIT("SSH-2.0-OpenSSH_9.2\r\n"), 0, "not an HTTP response"},
        {SPAN_INIT("HTTX"), 3, "not an HTTP response"},
        {SPAN_INIT("\r\nHTTP/1.1 200 OK\r\n"), 0, "not an HTTP version"},
        {SPAN_INIT("\x15\x03\x01"), 0, "control character"},
        {SPAN_INIT("HTTP/2 200\r\n"), 0, "not HTTP version 1"},
        {SPAN_INIT("HTTP/1.1\r\n"), 8, "not a status code"},
        {SPAN_INIT("HTTP/1.1  200 OK\r\n"), 8, "not a status code"},
        {SPAN_INIT("HTTP/1.1 20 OK\r\n"), 8, "not a status code"},
        {SPAN_INIT("HTTP/1.1 099 OK\r\n"), 8, "not a status code"},
        {SPAN_INIT("HTTP/1.1 2000 OK\r\n"), 8, "not a status code"},
        {SPAN_INIT("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n"), 55,
         "Content-Length with Transfer-Encoding"},
        {SPAN_INIT("HTTP/1.1 200 OK\r\nX: a\r\n b\r\n"), 23, "folded line"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct http1_head h;

        http1_head_reset(&h);
        assert_int_equal(http1_parse_response(cases[i].text, &h), PARSE_BAD);
        assert_string_equal(h.bad_what, cases[i].what);
        assert_int_equal(h.bad_offset, cases[i].offset);
        assert_every_split_gives(http1_parse_response, cases[i].text, PARSE_BAD);
    }
}

static void fields_are_bounded(void **state)
{
    char text[4096];
    size_t n = (size_t)snprintf(text, sizeof text, "GET / HTTP/1.0\r\n");
    struct http1_head h;

    (void)state;
    for (int i = 0; i < HTTP1_FIELDS_MAX; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "a: b\r\n");
    size_t end = n;
    n += (size_t)snprintf(text + n, sizeof text - n, "\r\n");
    http1_head_reset(&h);
    assert_int_equal(http1_parse_request((struct span){text, n}, &h), PARSE_OK);
    assert_int_equal(h.fields_len, HTTP1_FIELDS_MAX);

    n = end + (size_t)snprintf(text + end, sizeof text - end, "a: b\r\n\r\n");
    http1_head_reset(&h);
    assert_int_equal(http1_parse_request((struct span){text, n}, &h), PARSE_BAD);
    assert_int_equal(h.bad_status, 431);
    assert_int_equal(h.bad_offset, end);
}

static void connection_options_are_bounded(void **state)
{
    char text[512];
    int n = snprintf(text, sizeof text, "GET / HTTP/1.0\r\nConnection: ");
    struct http1_head h;

    (void)state;
    for (int i = 0; i <= HTTP1_OPTIONS_MAX; i++)
        n += snprintf(text + n, sizeof text - (size_t)n, "a,");
    n += snprintf(text + n, sizeof text - (size_t)n, "\r\n\r\n");
    http1_head_reset(&h);
    assert_int_equal(http1_parse_request((struct span){text, (size_t)n}, &h), PARSE_BAD);
    assert_string_equal(h.bad_what, "too many connection options");
}

static void keep_alive_follows_version_and_connection(void **state)
{
    static const struct {
        const char *text;
        bool want;
    } cases[] = {
        {"GET / HTTP/1.1\r\nHost: a\r\n\r\n", true},
        {"GET / HTTP/1.0\r\nHost: a\r\n\r\n", false},
        {"GET / HTTP/1.1\r\nHost: a\r\nConnection: Close\r\n\r\n", false},
        {"GET / HTTP/1.1\r\nHost: a\r\nConnection: x , close\r\n\r\n", false},
        {"GET / HTTP/1.1\r\nHost: a\r\nConnection: x\r\nConnection: close\r\n\r\n", false},
        {"GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, close\r\n\r\n", false},
        {"GET / HTTP/1.1\r\nHost: a\r\nProxy-Connection: close\r\n\r\n", false},
        {"GET / HTTP/1.0\r\nHost: a\r\nConnection: Keep-Alive\r\n\r\n", true},
        {"GET / HTTP/1.0\r\nHost: a\r\nProxy-Connection: keep-alive\r\n\r\n", true},
        {"GET / HTTP/1.1\r\nHost: a\r\nX: close\r\n\r\n", true},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct http1_head h;

        http1_head_reset(&h);
        assert_int_equal(http1_parse_request(span_of(cases[i].text), &h), PARSE_OK);
        assert_int_equal(h.keep_alive, cases[i].want);
    }
}

static void upgrade_needs_both_fields_and_1_1(void **state)
{
    static const struct {
        const char *text;
        bool want;
    } cases[] = {
        {"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n", true},
        {"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n", true},
        {"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: x\r\n\r\n", false},
        {"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\n\r\n", false},
        {"GET / HTTP/1.0\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n", false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct http1_head h;

        http1_head_reset(&h);
        assert_int_equal(http1_parse_request(span_of(cases[i].text), &h), PARSE_OK);
        assert_int_equal(h.upgrade, cases[i].want);
    }
}

static void methods_are_known_exactly(void **state)
{
    static const struct {
        const char *text;
        enum http1_method method;
        bool idempotent;
    } cases[] = {
        {"CONNECT a:1", METHOD_CONNECT, false},
        {"GET /", METHOD_GET, true},
        {"HEAD /", METHOD_HEAD, true},
        {"POST /", METHOD_POST, false},
        {"PUT /", METHOD_PUT, true},
        {"DELETE /", METHOD_DELETE, true},
        {"OPTIONS *", METHOD_OPTIONS, true},
        {"TRACE /", METHOD_TRACE, true},
        {"PATCH /", METHOD_PATCH, false},
        {"get /", METHOD_OTHER, false},
        {"GETS /", METHOD_OTHER, false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char text[64];
        struct http1_head h;

        snprintf(text, sizeof text, "%s HTTP/1.0\r\n\r\n", cases[i].text);
        http1_head_reset(&h);
        assert_int_equal(http1_parse_request(span_of(text), &h), PARSE_OK);
        assert_int_equal(h.method, cases[i].method);
        assert_int_equal(http1_is_idempotent(h.method), cases[i].idempotent);
    }
}

static void first_line_is_told_from_the_rest(void **state)
{
    struct http1_head h;

    (void)state;
    http1_head_reset(&h);
    assert_int_equal(http1_parse_request(SPAN_LIT("GET /aaaaaaaaaaaaaaa"), &h), PARSE_MORE);
    assert_false(h.has_line);
    http1_head_reset(&h);
    assert_int_equal(http1_parse_request(SPAN_LIT("GET / HTTP/1.1\r\nX: aa"), &h), PARSE_MORE);
    assert_true(h.has_line);
}

static void fields_are_found_and_lists_searched(void **state)
{
    struct http1_head h;

    (void)state;
    http1_head_reset(&h);
    assert_int_equal(
        http1_parse_request(SPAN_LIT("GET / HTTP/1.1\r\nHost: a\r\nte: gzip\r\n"
                                     "TE: Trailers , x\r\nExpect: 100-Continue\r\n\r\n"),
                            &h),
        PARSE_OK);
    assert_true(span_equal(http1_find_field(&h, FIELD_TE)->value, SPAN_LIT("gzip")));
    assert_null(http1_find_field(&h, FIELD_VIA));
    assert_true(http1_has_token(&h, FIELD_TE, SPAN_LIT("trailers")));
    assert_false(http1_has_token(&h, FIELD_TE, SPAN_LIT("trailer")));
    assert_false(http1_has_token(&h, FIELD_HOST, SPAN_LIT("b")));
    assert_true(h.expect_continue);
    assert_true(h.seen & 1ull << FIELD_TE);
}

/* A head of 1 MiB that comes byte by byte: quadratic work would take minutes. */
static void dribbling_is_not_quadratic(void **state)
{
    size_t len = 1 << 20;
    char *text = malloc(len);
    struct http1_head h;

    (void)state;
    assert_non_null(text);
    memset(text, 'a', len);
    memcpy(text, "GET / HTTP/1.1\r\nX: ", 19);
    http1_head_reset(&h);
    for (size_t n = 1; n < len; n++) {
        assert_int_equal(http1_parse_request((struct span){text, n}, &h), PARSE_MORE);
        assert_true(n < 20 || h.searched == n);
    }
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_requests_at_every_split),
        cmocka_unit_test(good_responses_at_every_split),
        cmocka_unit_test(bad_requests),
        cmocka_unit_test(bad_responses),
        cmocka_unit_test(fields_are_bounded),
        cmocka_unit_test(connection_options_are_bounded),
        cmocka_unit_test(keep_alive_follows_version_and_connection),
        cmocka_unit_test(upgrade_needs_both_fields_and_1_1),
        cmocka_unit_test(methods_are_known_exactly),
        cmocka_unit_test(first_line_is_told_from_the_rest),
        cmocka_unit_test(fields_are_found_and_lists_searched),
        cmocka_unit_test(dribbling_is_not_quadratic),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
