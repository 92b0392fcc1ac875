#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/util.h"
#include "wire/body.h"

static void head(struct http1_head *h, enum http1_method method, uint16_t status)
{
    http1_head_reset(h);
    h->minor = 1;
    h->method = method;
    h->status = status;
}

static void start_chunked(struct body *b)
{
    struct http1_head h;

    head(&h, METHOD_POST, 0);
    h.chunked = true;
    body_of_request(b, &h);
}

/* Feeds pieces of `step` bytes; content goes to `out`, what was used to *used. */
static enum parse feed(struct body *b, struct span text, size_t step, char *out, size_t *out_len,
                       size_t *used)
{
    enum parse got = PARSE_MORE;

    *out_len = *used = 0;
    while (got == PARSE_MORE && *used < text.len) {
        size_t n = text.len - *used < step ? text.len - *used : step, taken;
        struct span data;

        got = body_read(b, (struct span){text.ptr + *used, n}, &taken, &data);
        if (got == PARSE_BAD)
            return got;
        assert_true(taken > 0 && taken <= n && data.len <= taken);
        memcpy(out + *out_len, data.ptr, data.len);
        *out_len += data.len;
        *used += taken;
    }
    return got;
}

static void requests_announce_their_body(void **state)
{
    static const struct {
        enum http1_method method;
        bool chunked, has_length;
        uint64_t length;
        enum body_kind want;
        bool done;
    } cases[] = {
        {METHOD_GET, false, false, 0, BODY_NONE, true},
        {METHOD_POST, false, true, 0, BODY_LENGTH, true},
        {METHOD_POST, false, true, 5, BODY_LENGTH, false},
        {METHOD_GET, false, true, 5, BODY_LENGTH, false},
        {METHOD_POST, true, false, 0, BODY_CHUNKED, false},
        {METHOD_CONNECT, false, true, 0, BODY_NONE, true},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct http1_head h;
        struct body b;

        head(&h, cases[i].method, 0);
        h.chunked = cases[i].chunked;
        h.has_length = cases[i].has_length;
        h.length = cases[i].length;
        body_of_request(&b, &h);
        assert_int_equal(b.kind, cases[i].want);
        assert_int_equal(b.done, cases[i].done);
        assert_int_equal(b.total, cases[i].length);
    }
}

static void responses_announce_their_body(void **state)
{
    static const struct {
        enum http1_method asked;
        uint16_t status;
        bool chunked, has_length;
        enum body_kind want;
    } cases[] = {
        {METHOD_GET, 200, false, false, BODY_CLOSE},
        {METHOD_GET, 200, false, true, BODY_LENGTH},
        {METHOD_GET, 200, true, false, BODY_CHUNKED},
        {METHOD_HEAD, 200, true, false, BODY_NONE},
        {METHOD_HEAD, 200, false, true, BODY_NONE},
        {METHOD_HEAD, 200, false, false, BODY_NONE},
        {METHOD_GET, 100, false, false, BODY_NONE},
        {METHOD_GET, 101, false, false, BODY_NONE},
        {METHOD_GET, 204, true, false, BODY_NONE},
        {METHOD_GET, 304, false, true, BODY_NONE},
        {METHOD_CONNECT, 200, false, true, BODY_NONE},
        {METHOD_CONNECT, 299, true, false, BODY_NONE},
        {METHOD_CONNECT, 403, false, true, BODY_LENGTH},
        {METHOD_GET, 205, false, false, BODY_CLOSE},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct http1_head h;
        struct body b;

        head(&h, METHOD_OTHER, cases[i].status);
        h.chunked = cases[i].chunked;
        h.has_length = cases[i].has_length;
        h.length = cases[i].has_length ? 7 : 0;
        body_of_response(&b, &h, cases[i].asked);
        assert_int_equal(b.kind, cases[i].want);
        assert_int_equal(b.done, cases[i].want == BODY_NONE);
    }
}

static void length_ends_where_it_says(void **state)
{
    struct http1_head h;
    struct body b;
    struct span data;
    size_t used;

    (void)state;
    head(&h, METHOD_POST, 0);
    h.has_length = true;
    h.length = 5;
    body_of_request(&b, &h);
    assert_int_equal(body_read(&b, SPAN_LIT("abc"), &used, &data), PARSE_MORE);
    assert_int_equal(used, 3);
    assert_false(body_finish(&b));
    assert_int_equal(body_read(&b, SPAN_LIT("deGET"), &used, &data), PARSE_OK);
    assert_int_equal(used, 2);
    assert_true(span_equal(data, SPAN_LIT("de")));
    assert_true(b.done && b.payload == 5 && b.left == 0);
    assert_true(body_finish(&b));
    assert_int_equal(body_read(&b, SPAN_LIT("x"), &used, &data), PARSE_OK);
    assert_int_equal(used, 0);
}

static void skipped_bytes_count(void **state)
{
    struct http1_head h;
    struct body b;

    (void)state;
    head(&h, METHOD_POST, 0);
    h.has_length = true;
    h.length = 5;
    body_of_request(&b, &h);
    body_skip(&b, 4);
    assert_false(b.done);
    body_skip(&b, 1);
    assert_true(b.done && b.payload == 5);

    head(&h, METHOD_OTHER, 200);
    body_of_response(&b, &h, METHOD_GET);
    body_skip(&b, 1000);
    assert_true(b.payload == 1000 && !b.done);
    assert_true(body_finish(&b) && b.done);
}

static void good_chunks_at_every_step(void **state)
{
    static const struct {
        struct span text, want;
    } cases[] = {
        {SPAN_INIT("0\r\n\r\n"), SPAN_INIT("")},
        {SPAN_INIT("5\r\nhello\r\n0\r\n\r\n"), SPAN_INIT("hello")},
        {SPAN_INIT("5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"), SPAN_INIT("hello world")},
        {SPAN_INIT("0000000000000005\r\nhello\r\n00\r\n\r\n"), SPAN_INIT("hello")},
        {SPAN_INIT("A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n"),
         SPAN_INIT("01234567890123456789")},
        {SPAN_INIT("5;a=b;c=\"d;\xe3\"\r\nhello\r\n0 ;x\r\n\r\n"), SPAN_INIT("hello")},
        {SPAN_INIT("2\r\n\r\n\r\n0\r\n\r\n"), SPAN_INIT("\r\n")},
        {SPAN_INIT(
             "1\r\na\r\n0\r\nX-Sum: 1\t2\r\nEmpty:\r\nA-Very-Long-Name-Of-A-Field: 1\r\n\r\n"),
         SPAN_INIT("a")},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        for (size_t step = 1; step <= cases[i].text.len + 1; step++) {
            char text[256], out[256];
            size_t out_len, used;
            struct body b;

            memcpy(text, cases[i].text.ptr, cases[i].text.len);
            text[cases[i].text.len] = 'N'; /* the next message begins at once */
            start_chunked(&b);
            assert_int_equal(
                feed(&b, (struct span){text, cases[i].text.len + 1}, step, out, &out_len, &used),
                PARSE_OK);
            assert_int_equal(used, cases[i].text.len);
            assert_true(span_equal((struct span){out, out_len}, cases[i].want));
            assert_true(b.done && b.payload == cases[i].want.len && body_finish(&b));
        }
    }
}

static void bad_chunks_at_every_step(void **state)
{
    static const struct {
        struct span text;
        const char *what;
    } cases[] = {
        {SPAN_INIT("\r\n"), "no chunk size"},
        {SPAN_INIT(" 5\r\n"), "no chunk size"},
        {SPAN_INIT(";a\r\n"), "no chunk size"},
        {SPAN_INIT("+5\r\n"), "no chunk size"},
        {SPAN_INIT("-1\r\n"), "no chunk size"},
        {SPAN_INIT("0x5\r\n"), "bad chunk size"},
        {SPAN_INIT("5g\r\n"), "bad chunk size"},
        {SPAN_INIT("5_0\r\n"), "bad chunk size"},
        {SPAN_INIT("5\n"), "bare LF after a chunk size"},
        {SPAN_INIT("5\rX"), "bare CR after a chunk size"},
        {SPAN_INIT("5 \r\n"), "space after a chunk size"},
        {SPAN_INIT("5 5\r\n"), "space after a chunk size"},
        {SPAN_INIT("8000000000000000\r\n"), "chunk size too large"},
        {SPAN_INIT("00000000000000005\r\n"), "chunk size too large"},
        {SPAN_INIT("5;a\nb\r\n"), "control character in a chunk extension"},
        {SPAN_INIT("5;a\0b\r\n"), "control character in a chunk extension"},
        {SPAN_INIT("5;a\rb\r\n"), "bare CR after a chunk size"},
        {SPAN_INIT("5\r\nhelloX"), "chunk longer than its size"},
        {SPAN_INIT("5\r\nhello\n"), "chunk longer than its size"},
        {SPAN_INIT("5\r\nhello\rX"), "bare CR after a chunk"},
        {SPAN_INIT("0\r\n\rX"), "bare CR after the last chunk"},
        {SPAN_INIT("0\r\n\n"), "bad trailer line"},
        {SPAN_INIT("0\r\n X: a\r\n"), "bad trailer line"},
        {SPAN_INIT("0\r\n: a\r\n"), "empty trailer name"},
        {SPAN_INIT("0\r\nX : a\r\n"), "bad character in a trailer's name"},
        {SPAN_INIT("0\r\nX\r\n"), "bad character in a trailer's name"},
        {SPAN_INIT("0\r\nX: a\n"), "control character in a trailer"},
        {SPAN_INIT("0\r\nX: a\rb"), "bare CR in a trailer"},
        {SPAN_INIT("0\r\nX: a\r\n b\r\n"), "bad trailer line"},
        {SPAN_INIT("0\r\nContent-Length: 5\r\n"), "field in a trailer that belongs in the head"},
        {SPAN_INIT("0\r\nX: a\r\ntransfer-ENCODING: chunked\r\n"),
         "field in a trailer that belongs in the head"},
        {SPAN_INIT("0\r\nHost: a\r\n"), "field in a trailer that belongs in the head"},
        {SPAN_INIT("0\r\nConnection: close\r\n"), "field in a trailer that belongs in the head"},
        {SPAN_INIT("0\r\nTE: x\r\n"), "field in a trailer that belongs in the head"},
        {SPAN_INIT("0\r\nX: a\r\nProxy-authorization: Basic YTpi\r\n"),
         "field in a trailer that belongs in the head"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        for (size_t step = 1; step <= cases[i].text.len; step++) {
            char out[256];
            size_t out_len, used;
            struct body b;

            start_chunked(&b);
            assert_int_equal(feed(&b, cases[i].text, step, out, &out_len, &used), PARSE_BAD);
            assert_string_equal(b.bad_what, cases[i].what);
            assert_int_equal(body_read(&b, SPAN_LIT("0\r\n\r\n"), &used, &(struct span){0}),
                             PARSE_BAD);
            assert_false(body_finish(&b));
        }
    }
}

/* A name that is one byte longer or shorter, or has another in it, is none of them. */
static void only_whole_names_are_bad_in_a_trailer(void **state)
{
    static const char *const names[] = {
        "content-length", "Transfer-Encoding",
        "HOST",           "connection",
        "Upgrade",        "tE",
        "Trailer",        "expect",
        "max-forwards",   "proxy-authorization",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        const char *n = names[i];
        int len = (int)strlen(n);
        char text[5][64];

        snprintf(text[0], sizeof text[0], "0\r\nx-te: a\r\n%s: a\r\n\r\n", n);
        snprintf(text[1], sizeof text[1], "0\r\n%ss: a\r\n\r\n", n);
        snprintf(text[2], sizeof text[2], "0\r\n%.*s: a\r\n\r\n", len - 1, n);
        snprintf(text[3], sizeof text[3], "0\r\n%.*s!: a\r\n\r\n", len - 1, n);
        snprintf(text[4], sizeof text[4], "0\r\n!%s: a\r\n\r\n", n + 1);
        for (unsigned k = 0; k < ARRAY_LEN(text); k++) {
            char out[256];
            size_t out_len, used;
            struct body b;

            start_chunked(&b);
            assert_int_equal(feed(&b, span_of(text[k]), 1, out, &out_len, &used),
                             k == 0 ? PARSE_BAD : PARSE_OK);
        }
    }
}

/* `before`, then `fill` over and over, until the body says bad or `most` bytes went in. */
static size_t flood(const char *before, const char *fill, size_t most, struct body *b)
{
    size_t total = 0, used;
    struct span data;

    start_chunked(b);
    assert_int_equal(body_read(b, span_of(before), &used, &data), PARSE_MORE);
    while (total < most && !b->bad_what) {
        struct span rest = span_of(fill);

        while (rest.len > 0 && body_read(b, rest, &used, &data) == PARSE_MORE) {
            rest = (struct span){rest.ptr + used, rest.len - used};
            total += used;
        }
    }
    return total;
}

static void framing_lines_are_bounded(void **state)
{
    struct body b;

    (void)state;
    assert_true(flood("1;", "aaaaaaaa", 1 << 20, &b) <= BODY_LINE_MAX);
    assert_string_equal(b.bad_what, "framing line too long");
    assert_true(flood("1", "        ", 1 << 20, &b) <= BODY_LINE_MAX);
    assert_true(flood("0\r\nX: ", "aaaaaaaa", 1 << 20, &b) <= BODY_LINE_MAX);
    assert_true(flood("0\r\n", "aaaaaaaa", 1 << 20, &b) <= BODY_LINE_MAX);
    assert_true(flood("0\r\n", "X: aaaa\r\n", 1 << 20, &b) <= BODY_TRAILER_MAX);
    assert_string_equal(b.bad_what, "trailers too large");
}

static void many_chunks_are_not_one_line(void **state)
{
    struct body b;

    (void)state;
    assert_true(flood("", "1\r\na\r\n", 1 << 20, &b) >= 1 << 20);
    assert_null(b.bad_what);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_announce_their_body),
        cmocka_unit_test(responses_announce_their_body),
        cmocka_unit_test(length_ends_where_it_says),
        cmocka_unit_test(skipped_bytes_count),
        cmocka_unit_test(good_chunks_at_every_step),
        cmocka_unit_test(bad_chunks_at_every_step),
        cmocka_unit_test(only_whole_names_are_bad_in_a_trailer),
        cmocka_unit_test(framing_lines_are_bounded),
        cmocka_unit_test(many_chunks_are_not_one_line),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
