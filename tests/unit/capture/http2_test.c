/* Frames made by hand around heads that nghttp2 compressed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <nghttp2/nghttp2.h>

#include <cmocka.h>

#include "base/util.h"
#include "capture/http2.h"

enum {
    DATA,
    HEADERS,
    PRIORITY,
    RST_STREAM,
    SETTINGS,
    PUSH_PROMISE,
    PING,
    GOAWAY,
    WINDOW,
    CONTINUATION
};
enum { END_STREAM = 1, ACK = 1, END_HEADERS = 4, PADDED = 8, WITH_PRIORITY = 32 };

#define PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

/* Both directions, in the order in which they are said. */
struct said {
    enum dir dir;
    size_t at, len;
};
static struct {
    char bytes[400000];
    size_t len;
    struct said said[2000];
    size_t said_len;
    nghttp2_hd_deflater *deflaters[2];
} script;

static int begin_script(void **state)
{
    script.len = script.said_len = 0;
    for (int i = 0; i < 2; i++)
        assert_int_equal(nghttp2_hd_deflate_new(&script.deflaters[i], 4096), 0);
    return 0;
}

static int end_script(void **state)
{
    for (int i = 0; i < 2; i++)
        nghttp2_hd_deflate_del(script.deflaters[i]);
    return 0;
}

static void say(enum dir dir, const void *bytes, size_t len)
{
    assert_true(script.len + len <= sizeof script.bytes);
    assert_true(script.said_len < ARRAY_LEN(script.said));
    memcpy(script.bytes + script.len, bytes, len);
    script.said[script.said_len++] = (struct said){dir, script.len, len};
    script.len += len;
}

static void frame(enum dir dir, unsigned type, unsigned flags, uint32_t stream, struct span payload)
{
    uint8_t header[9] = {(uint8_t)(payload.len >> 16),
                         (uint8_t)(payload.len >> 8),
                         (uint8_t)payload.len,
                         (uint8_t)type,
                         (uint8_t)flags,
                         (uint8_t)(stream >> 24),
                         (uint8_t)(stream >> 16),
                         (uint8_t)(stream >> 8),
                         (uint8_t)stream};

    say(dir, header, sizeof header);
    if (payload.len > 0)
        say(dir, payload.ptr, payload.len);
}

static void begin_connection(void)
{
    say(UP, PREFACE, sizeof PREFACE - 1);
    frame(UP, SETTINGS, 0, 0, SPAN_LIT(""));
    frame(DOWN, SETTINGS, 0, 0, SPAN_LIT("\0\3\0\0\0\x64"));
    frame(DOWN, WINDOW, 0, 0, SPAN_LIT("\0\1\0\0"));
    frame(UP, SETTINGS, ACK, 0, SPAN_LIT(""));
    frame(DOWN, SETTINGS, ACK, 0, SPAN_LIT(""));
}

/* "name value\n…" as a header block. */
static struct span block(enum dir dir, const char *fields)
{
    static uint8_t out[70000];
    struct span rest = span_of(fields);
    nghttp2_nv nv[16];
    size_t n = 0;
    ssize_t len;

    while (rest.len > 0) {
        struct span value = span_cut(&rest, '\n'), name = span_cut(&value, ' ');

        assert_true(n < ARRAY_LEN(nv));
        nv[n++] = (nghttp2_nv){(uint8_t *)(uintptr_t)name.ptr, (uint8_t *)(uintptr_t)value.ptr,
                               name.len, value.len, NGHTTP2_NV_FLAG_NONE};
    }
    len = nghttp2_hd_deflate_hd(script.deflaters[dir], out, sizeof out, nv, n);
    assert_true(len >= 0);
    return (struct span){(char *)out, (size_t)len};
}

static void ask(uint32_t stream, unsigned flags, const char *fields)
{
    frame(UP, HEADERS, END_HEADERS | flags, stream, block(UP, fields));
}

static void reply(uint32_t stream, unsigned flags, const char *fields)
{
    frame(DOWN, HEADERS, END_HEADERS | flags, stream, block(DOWN, fields));
}

#define GET(path) ":method GET\n:path " path "\n:scheme https\n:authority t.test\n"

/* What is read of the script, in pieces of at most `size` bytes.  *ok: as http2_feed says. */
static struct inside_sight read_script(size_t size, bool *ok)
{
    struct inside_sight sight = {.is_open = true};
    struct answers answers = {.sight = &sight};
    struct http2 *h = http2_new(&answers);

    *ok = true;
    for (size_t n = 0; n < script.said_len && *ok; n++)
        for (size_t at = 0; at < script.said[n].len && *ok; at += size) {
            size_t left = script.said[n].len - at, len = left < size ? left : size;
            char *copy = malloc(len);

            memcpy(copy, script.bytes + script.said[n].at + at, len);
            *ok =
                http2_feed(h, script.said[n].dir, (struct span){copy, len}, n + 1, (uint32_t)n + 1);
            free(copy);
        }
    assert_true(http2_get_memory(h) > 0 && http2_get_memory(h) < 100000);
    http2_free(h);
    return sight;
}

static const size_t sizes[] = {1, 2, 3, 7, 9, 100, SIZE_MAX / 2};

/* ---- */

static void streams_side_by_side(void **state)
{
    begin_connection();
    ask(1, END_STREAM, GET("/a"));
    ask(3, END_STREAM, GET("/b"));
    ask(5, 0, ":method POST\n:path /c\n:scheme https\n:authority t.test\ncontent-length 3\n");
    frame(UP, DATA, END_STREAM, 5, SPAN_LIT("abc"));
    reply(5, 0, ":status 100\n");
    reply(3, 0, ":status 302\nlocation https://u.test/\ncontent-length 10\n");
    reply(1, END_STREAM, ":status 304\ncontent-length 99\n");
    frame(DOWN, DATA, PADDED, 3, SPAN_LIT("\3abcde\0\0\0"));
    reply(5, 0, ":status 503\n");
    frame(DOWN, DATA, END_STREAM, 3, SPAN_LIT("12345"));
    frame(DOWN, DATA, 0, 5, SPAN_LIT("1234567"));
    frame(DOWN, DATA, END_STREAM | PADDED, 5, SPAN_LIT("\0"));
    for (size_t n = 0; n < ARRAY_LEN(sizes); n++) {
        bool ok;
        struct inside_sight s = read_script(sizes[n], &ok);

        assert_true(ok);
        assert_int_equal(s.answers_len, 3);
        assert_int_equal(s.answers[0].status, 302);
        assert_string_equal(s.answers[0].location, "https://u.test/");
        assert_string_equal(s.answers[0].path, "/b");
        assert_int_equal(s.answers[0].promised, 10);
        assert_int_equal(s.answers[0].received, 10);
        assert_false(s.answers[0].unfinished);
        assert_int_equal(s.answers[1].status, 304);
        assert_string_equal(s.answers[1].path, "/a");
        assert_false(s.answers[1].unfinished);
        assert_int_equal(s.answers[2].status, 503);
        assert_string_equal(s.answers[2].method, "POST");
        assert_int_equal(s.answers[2].received, 7);
        assert_false(s.answers[2].unfinished);
        answers_fini(&s);
    }
}

/* Trailers, a head over several frames, with priority and padding, and one that is empty. */
static void heads_in_pieces(void **state)
{
    struct span b;
    char padded[4000] = {10, (char)0x80, 0, 0, 0, 15};

    begin_connection();
    ask(1, END_STREAM, GET("/a"));
    b = block(UP, GET("/padded"));
    memcpy(padded + 6, b.ptr, b.len);
    frame(UP, HEADERS, END_STREAM | END_HEADERS | PADDED | WITH_PRIORITY, 3,
          (struct span){padded, 6 + b.len + 10});
    b = block(DOWN, ":status 200\nx-long aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n"
                    "location /not-a-redirect\ncontent-length 5\n");
    frame(DOWN, HEADERS, 0, 1, (struct span){b.ptr, 3});
    frame(DOWN, CONTINUATION, 0, 1, SPAN_LIT(""));
    frame(DOWN, CONTINUATION, 0, 1, (struct span){b.ptr + 3, 20});
    frame(DOWN, CONTINUATION, END_HEADERS, 1, (struct span){b.ptr + 23, b.len - 23});
    frame(DOWN, DATA, 0, 1, SPAN_LIT("hello"));
    reply(1, END_STREAM, "x-checksum 1\n");
    b = block(DOWN, ":status 301\nlocation /c\n");
    frame(DOWN, HEADERS, END_STREAM, 3, b);
    frame(DOWN, CONTINUATION, END_HEADERS, 3, SPAN_LIT(""));
    frame(DOWN, PING, 0, 0, SPAN_LIT("12345678"));
    frame(DOWN, GOAWAY, 0, 0, SPAN_LIT("\0\0\0\1\0\0\0\0"));
    for (size_t n = 0; n < ARRAY_LEN(sizes); n++) {
        bool ok;
        struct inside_sight s = read_script(sizes[n], &ok);

        assert_true(ok);
        assert_int_equal(s.answers_len, 2);
        assert_int_equal(s.answers[0].status, 200);
        assert_null(s.answers[0].location);
        assert_false(s.answers[0].unfinished);
        assert_int_equal(s.answers[1].status, 301);
        assert_string_equal(s.answers[1].location, "/c");
        assert_string_equal(s.answers[1].path, "/padded");
        assert_false(s.answers[1].unfinished);
        answers_fini(&s);
    }
}

/* What did not come whole, and whose fault that is. */
static void answers_that_end_early(void **state)
{
    static const struct {
        enum dir dir; /* of what ends it */
        unsigned type, flags;
        bool unfinished;
    } cases[] = {
        {DOWN, PING, 0, true},          /* it goes on */
        {DOWN, RST_STREAM, 0, true},    /* the other side broke it off */
        {UP, RST_STREAM, 0, false},     /* the client did not want the rest */
        {DOWN, DATA, END_STREAM, true}, /* it ended, shorter than promised */
    };

    for (size_t n = 0; n < ARRAY_LEN(cases); n++) {
        struct inside_sight s;
        bool ok;

        end_script(NULL);
        begin_script(NULL);
        begin_connection();
        ask(1, END_STREAM, GET("/a"));
        reply(1, 0, ":status 200\ncontent-length 5\n");
        frame(DOWN, DATA, 0, 1, SPAN_LIT("123"));
        frame(cases[n].dir, cases[n].type, cases[n].flags, cases[n].type == PING ? 0 : 1,
              cases[n].type == DATA   ? SPAN_LIT("")
              : cases[n].type == PING ? SPAN_LIT("12345678")
                                      : SPAN_LIT("\0\0\0\x08"));
        s = read_script(1000, &ok);
        assert_true(ok);
        assert_int_equal(s.answers_len, 1);
        assert_int_equal(s.answers[0].unfinished, cases[n].unfinished);
        answers_fini(&s);
    }
}

/* Both sides say how large the other's table may be; it holds from the acknowledgement on. */
static void tables_change(void **state)
{
    struct inside_sight s;
    bool ok;

    begin_connection();
    ask(1, END_STREAM, GET("/a"));
    frame(UP, SETTINGS, 0, 0, SPAN_LIT("\0\4\0\1\0\0\0\1\0\1\0\0")); /* 65536 bytes */
    frame(UP, SETTINGS, 0, 0, SPAN_LIT("\0\1\0\0\0\0"));             /* none at all */
    reply(1, END_STREAM, ":status 200\nx-a one\n");
    frame(DOWN, SETTINGS, ACK, 0, SPAN_LIT(""));
    nghttp2_hd_deflate_change_table_size(script.deflaters[DOWN], 65536);
    ask(3, END_STREAM, GET("/a"));
    reply(3, END_STREAM, ":status 200\nx-a one\nx-b two\n");
    frame(DOWN, SETTINGS, ACK, 0, SPAN_LIT(""));
    nghttp2_hd_deflate_change_table_size(script.deflaters[DOWN], 0);
    ask(5, END_STREAM, GET("/a"));
    reply(5, END_STREAM, ":status 404\nx-a one\nx-b two\n");
    s = read_script(11, &ok);
    assert_true(ok);
    assert_int_equal(s.answers_len, 3);
    assert_int_equal(s.answers[2].status, 404);
    answers_fini(&s);
}

static void promises(void **state)
{
    char payload[1000] = {0, 0, 0, 2};
    struct inside_sight s;
    struct span b;
    bool ok;

    begin_connection();
    ask(1, END_STREAM, GET("/a"));
    b = block(DOWN, GET("/pushed"));
    memcpy(payload + 4, b.ptr, b.len);
    frame(DOWN, PUSH_PROMISE, 0, 1, (struct span){payload, 4 + 2});
    frame(DOWN, CONTINUATION, END_HEADERS, 1, (struct span){payload + 6, b.len - 2});
    reply(2, END_STREAM, ":status 200\n");
    reply(1, END_STREAM, ":status 204\n");
    s = read_script(5, &ok);
    assert_true(ok);
    assert_int_equal(s.answers_len, 2);
    assert_string_equal(s.answers[0].path, "/pushed");
    assert_string_equal(s.answers[1].path, "/a");
    answers_fini(&s);
}

/* More streams than are remembered, none of which ever ends. */
static void very_many_streams(void **state)
{
    struct inside_sight s;
    bool ok;

    begin_connection();
    for (uint32_t n = 0; n < 400; n++)
        ask(2 * n + 1, END_STREAM, GET("/a"));
    reply(1, END_STREAM, ":status 200\n"); /* forgotten: an answer without request */
    reply(799, END_STREAM, ":status 201\n");
    s = read_script(100000, &ok);
    assert_true(ok);
    assert_int_equal(s.answers_len, 2);
    assert_null(s.answers[0].path);
    assert_string_equal(s.answers[1].path, "/a");
    answers_fini(&s);
}

static void lies(void **state)
{
    static const struct {
        enum dir dir;
        unsigned type, flags;
        uint32_t stream;
        struct span payload;
    } cases[] = {
        {UP, CONTINUATION, END_HEADERS, 1, SPAN_INIT("")},     /* of nothing */
        {UP, HEADERS, END_HEADERS | PADDED, 1, SPAN_INIT("")}, /* no room for its front */
        {UP, HEADERS, END_HEADERS | WITH_PRIORITY, 1, SPAN_INIT("1234")},
        {UP, DATA, PADDED, 1, SPAN_INIT("\5abcd")}, /* more padding than there is */
        {DOWN, PUSH_PROMISE, END_HEADERS, 1, SPAN_INIT("\0\0\0")},
        {DOWN, SETTINGS, 0, 1, SPAN_INIT("")},              /* of a stream */
        {DOWN, SETTINGS, 0, 0, SPAN_INIT("\0\1\0\0\0")},    /* half of one */
        {DOWN, HEADERS, END_HEADERS, 1, SPAN_INIT("\x40")}, /* half a field */
        {DOWN, HEADERS, END_HEADERS, 1, SPAN_INIT("\xff\xff\xff\xff\xff\xff")},
    };
    struct inside_sight s;
    bool ok;

    for (size_t n = 0; n < ARRAY_LEN(cases); n++) {
        end_script(NULL);
        begin_script(NULL);
        begin_connection();
        frame(cases[n].dir, cases[n].type, cases[n].flags, cases[n].stream, cases[n].payload);
        s = read_script(1, &ok);
        if (ok)
            fail_msg("case %zu", n);
        answers_fini(&s);
    }
    script.len = script.said_len = 0;
    say(UP, "PRI * HTTP/1.1\r\n", 16);
    s = read_script(4, &ok);
    assert_false(ok);
    script.len = script.said_len = 0;
    begin_connection();
    frame(UP, HEADERS, 0, 1, SPAN_LIT(""));
    frame(UP, DATA, 0, 1, SPAN_LIT("x")); /* in the middle of a head */
    s = read_script(4, &ok);
    assert_false(ok);
    script.len = script.said_len = 0;
    begin_connection();
    for (int i = 0; i < 100; i++)
        frame(UP, SETTINGS, 0, 0, SPAN_LIT("")); /* that nobody acknowledges */
    s = read_script(4, &ok);
    assert_false(ok);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, begin_script, end_script)
    const struct CMUnitTest tests[] = {
        TEST(streams_side_by_side),
        TEST(heads_in_pieces),
        TEST(answers_that_end_early),
        TEST(tables_change),
        TEST(promises),
        TEST(very_many_streams),
        TEST(lies),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
