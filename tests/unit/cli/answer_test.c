/* An answer as it comes from the control socket: in pieces, and from anybody. */
#include "cli/answer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/util.h"
#include "cli/control.h"
#include "cli/flow_line.h"

#define HEAD "HTTP/1.1 200 OK\r\n"

/* "200 BODY", or what is wrong. */
static const char *read_in_pieces(const char *bytes, size_t piece, uint32_t most)
{
    static char text[512];
    static struct answer a;
    struct span rest = span_of(bytes);
    enum parse found = PARSE_MORE;
    struct err err = {""};
    struct buf body;

    buf_init(&body, most);
    answer_init(&a, &body, METHOD_GET);
    while (found == PARSE_MORE && rest.len) {
        size_t n = rest.len < piece ? rest.len : piece;

        found = answer_take(&a, (struct span){rest.ptr, n}, &err);
        rest = (struct span){rest.ptr + n, rest.len - n};
    }
    if (found == PARSE_OK || (found == PARSE_MORE && answer_finish(&a, &err)))
        snprintf(text, sizeof text, "%u %.*s", a.status, (int)body.len, buf_span(&body).ptr);
    else
        snprintf(text, sizeof text, "%s", err.text);
    answer_fini(&a);
    buf_fini(&body);
    return text;
}

static void answers_are_read_in_any_pieces(void **state)
{
    static const struct {
        const char *bytes, *want;
    } cases[] = {
        {HEAD "Content-Length: 2\r\n\r\n{}", "200 {}"},
        {HEAD "Content-Length: 2\r\n\r\n{}and more", "200 {}"},
        {HEAD "Content-Length: 0\r\n\r\n", "200 "},
        {HEAD "Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n", "200 {}"},
        {HEAD "Connection: close\r\n\r\n{}", "200 {}"},
        {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 404 No\r\nContent-Length: 1\r\n\r\nx", "404 x"},
        {HEAD "Content-Length: 3\r\n\r\n{}", "the answer at the control socket ends too soon"},
        {HEAD "Content-Le", "the answer at the control socket ends too soon"},
        {"", "the answer at the control socket ends too soon"},
        {HEAD "Transfer-Encoding: chunked\r\n\r\n1\r\n{",
         "the answer at the control socket ends too soon"},
        {HEAD "Transfer-Encoding: chunked\r\n\r\nx\r\n",
         "the answer at the control socket is broken"},
        {HEAD "Content-Length: 33\r\n\r\n0123456789012345678901234567890123",
         "the answer at the control socket is longer than is taken"},
        {"SSH-2.0-OpenSSH_9\r\n", "who listens at the control socket speaks no HTTP"},
        {"HTTP/1.1 101 Switching\r\n\r\n", "the answer at the control socket does not begin"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        for (size_t piece = 1; piece < 80; piece += 13)
            assert_string_equal(read_in_pieces(cases[i].bytes, piece, 32), cases[i].want);
}

static void heads_are_bounded(void **state)
{
    static char bytes[2 * ANSWER_HEAD_MAX];
    size_t len = (size_t)snprintf(bytes, sizeof bytes, HEAD "X: ");

    (void)state;
    memset(bytes + len, 'x', sizeof bytes - len - 1);
    assert_string_equal(read_in_pieces(bytes, 4096, 32),
                        "who listens at the control socket speaks no HTTP");
    len = 0;
    while (len < 1000)
        len += (size_t)snprintf(bytes + len, sizeof bytes - len, "HTTP/1.1 102 Wait\r\n\r\n");
    assert_string_equal(read_in_pieces(bytes, 4096, 32),
                        "the answer at the control socket does not begin");
}

static void a_line_is_a_flow_or_the_end(void **state)
{
    static const struct {
        const char *line, *json; /* json: NULL: it is the end; "": it makes no sense */
    } cases[] = {
        {"{\"seq\":1,\"id\":\"00000000000000aa\",\"ended_us\":1,\"failed\":true,\"own_answer\":"
         "false,"
         "\"reason\":\"a,\\\"flow\\\":{}\",\"flow\":{\"x\":{}}}",
         "{\"x\":{}}"},
        {"{\"next\":null,\"last\":0,\"file\":\"\",\"lost\":0,\"why\":\"\"}", NULL},
        {"{\"next\":5,\"last\":9,\"file\":\"\",\"lost\":0,\"why\":\"\"}", NULL},
        {"{\"next\":0,\"last\":9,\"file\":\"\",\"lost\":0,\"why\":\"\"}", ""},
        {"{\"next\":null,\"last\":-1,\"file\":\"\",\"lost\":0,\"why\":\"\"}", ""},
        {"{\"next\":null,\"last\":1,\"file\":null,\"lost\":0,\"why\":\"\"}", ""},
        {"{\"seq\":1,\"id\":\"00000000000000aa\",\"ended_us\":1,\"failed\":true,\"own_answer\":"
         "false,"
         "\"reason\":null, \"flow\":{}}",
         ""},
        {"{\"seq\":1,\"id\":\"00000000000000aa\",\"ended_us\":1,\"failed\":true,\"own_answer\":"
         "false,"
         "\"reason\":null,\"flow\":{},\"more\":{}}",
         "{},\"more\":{}"},
        {"{\"seq\":1,\"id\":\"aa\",\"ended_us\":1,\"failed\":true,\"own_answer\":false,\"reason\":"
         "null,"
         "\"flow\":{}}",
         ""},
        {"{\"flow\":{}}", ""},
        {"{}", ""},
        {"", ""},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct flow_line l;
        struct err err = {""};
        bool ok = flow_line_read(&l, span_of(cases[i].line), &err);

        assert_int_equal(ok, !cases[i].json || *cases[i].json);
        assert_int_equal(ok, !*err.text);
        if (ok) {
            assert_int_equal(l.is_end, !cases[i].json);
            if (cases[i].json)
                assert_true(span_equal(l.row.json, span_of(cases[i].json)));
        }
        flow_line_fini(&l);
    }
}

static void arguments_are_encoded(void **state)
{
    struct buf url;

    (void)state;
    buf_init(&url, 64);
    assert_true(control_add_argument(&url, true, "a", SPAN_LIT("x-._~Y9")));
    assert_true(control_add_argument(&url, false, "b", SPAN_LIT(" &=?#%\xc3\xbc\r\n")));
    assert_true(
        span_equal(buf_span(&url), SPAN_LIT("?a=x-._~Y9&b=%20%26%3D%3F%23%25%C3%BC%0D%0A")));
    assert_false(
        control_add_argument(&url, false, "c", SPAN_LIT("0123456789012345678901234567890")));
    buf_fini(&url);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_are_read_in_any_pieces),
        cmocka_unit_test(heads_are_bounded),
        cmocka_unit_test(a_line_is_a_flow_or_the_end),
        cmocka_unit_test(arguments_are_encoded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
