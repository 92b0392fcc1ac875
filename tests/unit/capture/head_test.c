#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/util.h"
#include "capture/head.h"

/* ---- what begins a head */

static void requests_are_guessed(void **state)
{
    static const struct {
        const char *bytes;
        enum parse want;
    } rows[] = {
        {"GET / HTTP/1.1\r\n", PARSE_OK},
        {"CONNECT a:1", PARSE_OK}, /* a known method is enough */
        {"PROPFIND / HTTP/1.1\n", PARSE_OK},
        {"PROPFIND / HT", PARSE_MORE},
        {"\r\n\r\nGET / HTTP/1.0\r\n", PARSE_OK},
        {"\r\n", PARSE_MORE},
        {"", PARSE_MORE},
        {"GE", PARSE_MORE},
        {"SSH-2.0-x\r\n", PARSE_BAD},
        {"EHLO a.test\r\n", PARSE_BAD},
        {"PRI * HTTP/2.0\r\n", PARSE_BAD},
        {"\x16\x03\x01", PARSE_BAD},
        {" GET / HTTP/1.1\r\n", PARSE_BAD},
        {"ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFGHIJKLMN", PARSE_BAD},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (head_guess_request(span_of(rows[i].bytes)) != rows[i].want)
            fail_msg("%s", rows[i].bytes);
}

static void responses_are_guessed(void **state)
{
    static const struct {
        const char *bytes;
        enum parse want;
    } rows[] = {
        {"HTTP/1.1 200 OK\r\n", PARSE_OK},
        {"HTTP/1.0 404\n", PARSE_OK},
        {"http/1.1  200", PARSE_OK},
        {"HTTP/1.1 20", PARSE_MORE},
        {"HT", PARSE_MORE},
        {"", PARSE_MORE},
        {"HTTP/1.1 2x0", PARSE_BAD},
        {"HTTP/1.1 099", PARSE_BAD},
        {"HTTPS/1.1 200", PARSE_BAD},
        {"220 mail", PARSE_BAD},
        {"HTTP/x 200", PARSE_BAD},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (head_guess_response(span_of(rows[i].bytes)) != rows[i].want)
            fail_msg("%s", rows[i].bytes);
}

/* Wherever the search went on from, the same end is found. */
static void ends_are_found(void **state)
{
    static const struct {
        const char *bytes;
        size_t want;
    } rows[] = {
        {"GET / HTTP/1.1\r\n\r\nx", 18},
        {"GET / HTTP/1.1\n\nx", 16},
        {"GET / HTTP/1.1\n\r\nx", 17},
        {"\r\nGET / HTTP/1.1\r\n\r\n", 20},
        {"GET / HTTP/1.1\r\n", 0},
        {"GET / HTTP/1.1\r\n\r", 0},
        {"", 0},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct span all = span_of(rows[i].bytes);

        for (size_t from = 0; from <= all.len && (from < rows[i].want || from == 0); from++)
            if (head_find_end(all, from) != rows[i].want)
                fail_msg("%s from %zu", rows[i].bytes, from);
    }
}

/* ---- what it says */

static void sloppy_requests(void **state)
{
    static struct http1_head h;

    (void)state;
    head_read_request(SPAN_LIT("\r\nPOST   http://a.test/  HTTP/1.1\n"
                               "Content-Length : 7, 7\n"
                               " folded\n"
                               "no colon\n"
                               "Connection: close\n\nbody"),
                      &h);
    assert_true(h.has_line && h.method == METHOD_POST);
    assert_true(span_equal(h.target, SPAN_LIT("http://a.test/")));
    assert_true(h.has_length && h.length == 7 && !h.keep_alive);
    assert_int_equal(h.fields_len, 2);
    head_read_request(SPAN_LIT("CONNECT a.te"), &h);
    assert_true(!h.has_line && h.method == METHOD_CONNECT);
    head_read_request(SPAN_LIT("GET / HTTP/1.0\r\nConnection: keep-alive\r\nHo"), &h);
    assert_true(h.keep_alive && h.fields_len == 1);
}

static void sloppy_responses(void **state)
{
    static struct http1_head h;

    (void)state;
    head_read_response(SPAN_LIT("HTTP/1.1  200\tAll right \n"
                                "Transfer-Encoding: gzip, chunked\n"
                                "Content-Length: 9\n\n"),
                       &h);
    assert_int_equal(h.status, 200);
    assert_true(span_equal(h.reason, SPAN_LIT("All right")));
    assert_true(h.chunked && !h.has_length);
    head_read_response(SPAN_LIT("HTTP/1.1 407 Pro"), &h);
    assert_true(h.status == 407 && !h.has_line);
    head_read_response(SPAN_LIT("HTTP/1.1 20"), &h);
    assert_int_equal(h.status, 0);
}

static void users_are_hidden(void **state)
{
    static const struct {
        const char *url, *want;
    } rows[] = {
        {"http://me:secret@a.test/x", "http://a.test/x"},
        {"http://a@b@c/", "http://c/"},
        {"http://a.test/x@y", "http://a.test/x@y"},
        {"/go?to=http://me:secret@b.test/", "/go?to=http://b.test/"},
        {"//me@a//you@b", "//a//b"},
        {"http://", "http://"},
        {"", ""},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char url[64];

        snprintf(url, sizeof url, "%s", rows[i].url);
        head_hide_user(url);
        assert_string_equal(url, rows[i].want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_are_guessed), cmocka_unit_test(responses_are_guessed),
        cmocka_unit_test(ends_are_found),       cmocka_unit_test(sloppy_requests),
        cmocka_unit_test(sloppy_responses),     cmocka_unit_test(users_are_hidden),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
