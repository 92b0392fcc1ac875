#include "proxy/answer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/endpoint.h"
#include "base/util.h"
#include "flow/outside.h"
#include "wire/http1.h"

#define WALL_NS (1795410000 * NS_PER_S) /* 2026-11-23T05:00:00Z */
#define CAP 16384

static char out[CAP + 1];

static size_t write_answer(const struct answer *a, const struct flow *f)
{
    size_t n = answer_write(a, f, out, CAP);

    assert_true(n <= CAP);
    out[n] = '\0';
    return n;
}

static const char *body(void)
{
    const char *end = strstr(out, "\r\n\r\n");

    assert_non_null(end);
    return end + 4;
}

/* A flow in `answer` that asks for t.example:443 and has no verdict yet. */
static void begin(struct flow *f, const char *reason)
{
    *f = (struct flow){0};
    flow_begin(f, SOURCE_SERVE, 0xf00d, 0, WALL_NS);
    flow_phase(f, PHASE_ANSWER, 0);
    flow_set_text(&f->target, "t.example:443");
    flow_set_text(&f->method, "CONNECT");
    flow_set_text(&f->reason, reason);
}

static void the_status_line_says_why(void **state)
{
    static const struct {
        enum verdict verdict;
        int status;
        const char *reason, *want;
    } cases[] = {
        {VERDICT_ACL_DENIED, 0, "rule private",
         "HTTP/1.1 403 Forbidden (acl-denied: rule private)\r\n"},
        {VERDICT_ACL_DENIED, 0, NULL, "HTTP/1.1 403 Forbidden (acl-denied)\r\n"},
        {VERDICT_ACL_DENIED, 0, "", "HTTP/1.1 403 Forbidden (acl-denied)\r\n"},
        {VERDICT_BAD_REQUEST, 431, "too long",
         "HTTP/1.1 431 Request Header Fields Too Large (bad-request: too long)\r\n"},
        {VERDICT_UPSTREAM_UNRESOLVED, 504, "no answer",
         "HTTP/1.1 504 Gateway Timeout (upstream-unresolved: no answer)\r\n"},
        {VERDICT_BAD_REQUEST, 0, "a\r\nSet-Cookie: x=\"\xe6\x97\xa5\"\x1b",
         "HTTP/1.1 400 Bad Request (bad-request: a??Set-Cookie: x=\"\?\?\?\"?)\r\n"},
        {VERDICT_STALLED, 0, NULL, "HTTP/1.1 500 Internal Server Error (stalled)\r\n"},
        {VERDICT_BAD_REQUEST, 499, NULL, "HTTP/1.1 499  (bad-request)\r\n"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct answer a = {
            .verdict = cases[i].verdict, .status = cases[i].status, .proxy = "viaduct-7"};
        struct flow f;

        begin(&f, cases[i].reason);
        assert_true(write_answer(&a, &f) > 0);
        assert_memory_equal(out, cases[i].want, strlen(cases[i].want));
        flow_fini(&f);
    }
}

static void a_long_reason_is_cut(void **state)
{
    struct answer a = {.verdict = VERDICT_BAD_REQUEST, .proxy = "viaduct-7"};
    char reason[1000];
    struct flow f;

    (void)state;
    memset(reason, 'x', sizeof reason);
    reason[sizeof reason - 1] = '\0';
    begin(&f, reason);
    write_answer(&a, &f);
    assert_int_equal(strstr(out, "\r\n") - out,
                     strlen("HTTP/1.1 400 Bad Request (bad-request: )") + 200);
    flow_fini(&f);
}

static void the_fields_are_those_promised(void **state)
{
    static const char want[] =
        "HTTP/1.1 503 Service Unavailable (draining: stopping)\r\n"
        "Proxy-Status: viaduct-7; error=proxy_internal_response; details=\"stopping\"\r\n"
        "Date: Mon, 23 Nov 2026 05:00:00 GMT\r\n"
        "Content-Type: text/plain; charset=utf-8\r\n"
        "Content-Length: %zu\r\n"
        "Cache-Control: no-store\r\n"
        "Retry-After: 5\r\n"
        "X-Extra: 1\r\n"
        "Connection: close\r\n"
        "\r\n";
    struct answer a = {.verdict = VERDICT_DRAINING,
                       .proxy = "viaduct-7",
                       .retry_after = 5,
                       .extra = "X-Extra: 1\r\n",
                       .close = true,
                       .wall_ns = WALL_NS};
    char head[1024];
    struct flow f;

    (void)state;
    begin(&f, "stopping");
    write_answer(&a, &f);
    snprintf(head, sizeof head, want, strlen(body()));
    assert_int_equal(body() - out, strlen(head));
    assert_memory_equal(out, head, strlen(head));
    flow_fini(&f);
}

static void proxy_status_has_the_parameters_of_its_type(void **state)
{
    static const struct {
        enum verdict verdict;
        int status;
        const char *error, *proxy, *reason, *want;
    } cases[] = {
        {VERDICT_UPSTREAM_UNRESOLVED, 0, NULL, "viaduct-7", "t.example: NXDOMAIN from 192.0.2.53",
         "viaduct-7; error=dns_error; rcode=\"NXDOMAIN\"; details=\"t.example: NXDOMAIN from "
         "192.0.2.53\""},
        {VERDICT_UPSTREAM_UNRESOLVED, 504, "dns_timeout", "viaduct-7", NULL,
         "viaduct-7; error=dns_timeout"},
        {VERDICT_BAD_REQUEST, 414, NULL, "viaduct-7", "a \"b\" \\c\r\nd",
         "viaduct-7; error=http_request_error; status-code=414; details=\"a \\\"b\\\" \\\\c??d\""},
        {VERDICT_ACL_DENIED, 0, "destination_ip_prohibited", "viaduct-7", "rule private",
         "viaduct-7; error=destination_ip_prohibited; details=\"rule private\""},
        {VERDICT_UPSTREAM_REFUSED, 0, NULL, "7\"", NULL,
         "\"7\\\"\"; error=connection_refused; next-hop=\"192.0.2.80:443\""},
        {VERDICT_OK, 0, NULL, NULL, NULL, "viaduct"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct answer a = {.verdict = cases[i].verdict,
                           .status = cases[i].status,
                           .error = cases[i].error,
                           .proxy = cases[i].proxy};
        char want[512];
        struct flow f;

        begin(&f, cases[i].reason);
        endpoint_parse(SPAN_LIT("192.0.2.80:443"), &f.address);
        write_answer(&a, &f);
        snprintf(want, sizeof want, "\r\nProxy-Status: %s\r\n", cases[i].want);
        assert_non_null(strstr(out, want));
        flow_fini(&f);
    }
}

static void the_format_follows_accept(void **state)
{
    static const struct {
        struct span accept;
        enum answer_format want;
    } cases[] = {
        {SPAN_INIT(""), ANSWER_TEXT},
        {SPAN_INIT("*/*"), ANSWER_TEXT},
        {SPAN_INIT("text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"),
         ANSWER_HTML},
        {SPAN_INIT("application/json"), ANSWER_JSON},
        {SPAN_INIT("Application/JSON ; charset=utf-8"), ANSWER_JSON},
        {SPAN_INIT("application/json, text/javascript, */*; q=0.01"), ANSWER_JSON},
        {SPAN_INIT("application/json; q=1.0, text/html; q=0.8, */*"), ANSWER_JSON},
        {SPAN_INIT("text/html;q=0.5, application/json;q=0.501"), ANSWER_JSON},
        {SPAN_INIT("text/html;level=1;Q=0.4, text/plain;q=0.3"), ANSWER_HTML},
        {SPAN_INIT("*/*, text/plain;q=0"), ANSWER_HTML},
        {SPAN_INIT("text/*"), ANSWER_TEXT},
        {SPAN_INIT("application/*, text/*;q=0.5"), ANSWER_JSON},
        {SPAN_INIT("text/html;q=0"), ANSWER_TEXT},
        {SPAN_INIT("image/png"), ANSWER_TEXT},
        {SPAN_INIT("text/html;q=9, application/json;q=0.1"), ANSWER_JSON}, /* no such quality */
        {SPAN_INIT("text/html;q=1.1, application/json;q=0.1"), ANSWER_JSON},
        {SPAN_INIT("text/html;q=, application/json;q=0.1"), ANSWER_JSON},
        {SPAN_INIT(",;,;;q=,=,\xff"), ANSWER_TEXT},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_int_equal(answer_pick_format(cases[i].accept), cases[i].want);
}

static void the_language_follows_accept_language(void **state)
{
    static const struct {
        struct span accept;
        bool japanese;
    } cases[] = {
        {SPAN_INIT(""), false},
        {SPAN_INIT("ja"), true},
        {SPAN_INIT("ja-JP, en;q=0.5"), true},
        {SPAN_INIT("en-GB,en;q=0.9,ja;q=0.8"), false},
        {SPAN_INIT("de, JA;q=0.7, en;q=0.6"), true},
        {SPAN_INIT("*, ja;q=0.5"), false},
        {SPAN_INIT("ja;q=0"), false},
        {SPAN_INIT("jav"), false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_int_equal(answer_prefers_japanese(cases[i].accept), cases[i].japanese);
}

static void each_format_has_the_same_facts(void **state)
{
    static const struct {
        enum answer_format format;
        const char *type, *wants[5];
    } cases[] = {
        {ANSWER_TEXT,
         "text/plain; charset=utf-8",
         {"403 Forbidden: acl-denied\n\n", "\ntarget: t.example:443\n", "\nrule: social\n",
          "\nended_in: answer\n", "\nid: 000000000000f00d\n"}},
        {ANSWER_JSON,
         "application/json",
         {"{\"verdict\":\"acl-denied\",\"status\":403,", "\"target\":\"t.example:443\"",
          "\"rule\":\"social\"", "\"reason\":\"rule <social>\"",
          "\"id\":\"000000000000f00d\",\"evidence\":[]}\n"}},
        {ANSWER_HTML,
         "text/html; charset=utf-8",
         {"<!DOCTYPE html>\n<html lang=\"en\">", "<dt>verdict</dt><dd>acl-denied</dd>",
          "<dt>target</dt><dd>t.example:443</dd>", "<dt>reason</dt><dd>rule &lt;social&gt;</dd>",
          "<dt>id</dt><dd>000000000000f00d</dd>"}},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct answer a = {
            .verdict = VERDICT_ACL_DENIED, .format = cases[i].format, .language = "en"};
        char type[80];
        struct flow f;

        begin(&f, "rule <social>");
        flow_set_text(&f.rule, "social");
        write_answer(&a, &f);
        snprintf(type, sizeof type, "\r\nContent-Type: %s\r\n", cases[i].type);
        assert_non_null(strstr(out, type));
        for (size_t w = 0; w < ARRAY_LEN(cases[i].wants); w++)
            assert_non_null(strstr(body(), cases[i].wants[w]));
        f.verdict = VERDICT_ACL_DENIED;
        assert_non_null(strstr(body(), flow_cause_in(&f, "en")));
        flow_fini(&f);
    }
}

static void japanese_is_for_the_body_only(void **state)
{
    struct answer a = {.verdict = VERDICT_ACL_DENIED, .format = ANSWER_HTML, .language = "ja"};
    struct flow f;

    (void)state;
    begin(&f, "rule social");
    write_answer(&a, &f);
    f.verdict = VERDICT_ACL_DENIED;
    assert_string_not_equal(flow_cause_in(&f, "ja"), flow_cause_in(&f, "en"));
    assert_non_null(strstr(body(), flow_cause_in(&f, "ja")));
    assert_non_null(strstr(body(), "<html lang=\"ja\">"));
    for (const char *p = out; p < body(); p++)
        assert_true((unsigned char)*p < 0x80);
    flow_fini(&f);
}

static void head_has_the_length_and_no_body(void **state)
{
    struct answer a = {.verdict = VERDICT_ACL_DENIED};
    size_t whole;
    char length[40];
    struct flow f;

    (void)state;
    begin(&f, "rule social");
    whole = write_answer(&a, &f);
    snprintf(length, sizeof length, "\r\nContent-Length: %zu\r\n", strlen(body()));
    whole -= strlen(body());
    a.head_only = true;
    assert_int_equal(write_answer(&a, &f), whole);
    assert_non_null(strstr(out, length));
    assert_string_equal(body(), "");
    flow_fini(&f);
}

static void evidence_is_for_those_it_is_no_secret_from(void **state)
{
    static const struct {
        enum verdict verdict;
        bool shown;
    } cases[] = {
        {VERDICT_UPSTREAM_REFUSED, true}, {VERDICT_BAD_REQUEST, true},  {VERDICT_ACL_DENIED, false},
        {VERDICT_AUTH_FAILED, false},     {VERDICT_PROXY_ERROR, false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct answer a = {.verdict = cases[i].verdict};
        struct flow f;

        begin(&f, NULL);
        flow_evidence(&f, "192.0.2.1 port 443");
        write_answer(&a, &f);
        assert_int_equal(strstr(body(), "evidence: 192.0.2.1 port 443\n") != NULL, cases[i].shown);
        flow_fini(&f);
    }
}

/* Whatever a flow holds, an answer fits in 16 KiB, has the head's lines and no others, and lets no
 * byte of markup or control through. */
static void the_worst_flow_gets_a_clean_answer(void **state)
{
    static const struct span units[] = {SPAN_INIT("\""),
                                        SPAN_INIT("\xff"),
                                        SPAN_INIT("<script>"),
                                        SPAN_INIT("\x1b[2J"),
                                        SPAN_INIT("\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"),
                                        SPAN_INIT("\xc2\x9b&'")};

    (void)state;
    for (size_t u = 0; u < ARRAY_LEN(units); u++) {
        char text[2000];
        struct flow f;

        for (size_t i = 0; i < sizeof text; i++)
            text[i] = units[u].ptr[i % units[u].len];
        text[sizeof text - 1] = '\0';
        begin(&f, text);
        flow_set_text(&f.target, text);
        flow_set_text(&f.rule, text);
        flow_set_text(&f.url, text);
        for (int i = 0; i < 50; i++)
            flow_evidence(&f, "%s", text);
        for (unsigned format = 0; format < 3; format++) {
            struct answer a = {
                .verdict = VERDICT_BAD_REQUEST, .format = format, .language = "ja", .proxy = text};
            unsigned lines = 0;

            assert_true(write_answer(&a, &f) > 0);
            for (const char *p = out; p < body(); p++)
                lines += *p == '\r';
            assert_int_equal(lines, 7);
            if (format == ANSWER_HTML)
                assert_null(strstr(body(), "<script>"));
            assert_null(strpbrk(body(), "\x1b\r\xff"));
        }
        flow_fini(&f);
    }
}

static void what_does_not_fit_is_not_written(void **state)
{
    struct answer a = {.verdict = VERDICT_ACL_DENIED};
    struct flow f;

    (void)state;
    begin(&f, "rule social");
    assert_int_equal(answer_write(&a, &f, out, 100), 0);
    assert_int_equal(answer_write_page(SPAN_LIT("/"), "127.0.0.1:3128", &a, out, 100), 0);
    flow_fini(&f);
}

static void the_page_says_how_to_use_it(void **state)
{
    static const struct {
        struct span path;
        enum answer_format format;
        const char *language, *status, *want;
    } cases[] = {
        {SPAN_INIT("/"), ANSWER_TEXT, NULL, "HTTP/1.1 200 OK\r\nProxy-Status: viaduct-7\r\n",
         "\n    curl -x http://[::1]:3128 https://www.example.com/\n"},
        {SPAN_INIT("/"), ANSWER_TEXT, NULL, "HTTP/1.1 200 OK\r\n",
         "\n    http://[::1]:3128/proxy.pac\n"},
        {SPAN_INIT("*"), ANSWER_TEXT, "en", "HTTP/1.1 200 OK\r\n",
         "This is viaduct, an HTTP proxy.\n"},
        {SPAN_INIT("/"), ANSWER_HTML, "ja", "HTTP/1.1 200 OK\r\n", "<html lang=\"ja\">"},
        {SPAN_INIT("/"), ANSWER_JSON, "en", "HTTP/1.1 200 OK\r\n",
         "\"use\":\"curl -x http://[::1]:3128 https://www.example.com/\"}\n"},
        {SPAN_INIT("/favicon.ico"), ANSWER_TEXT, "en",
         "HTTP/1.1 404 Not Found\r\nProxy-Status: viaduct-7\r\n", "There is no such page here.\n"},
        {SPAN_INIT(""), ANSWER_JSON, "en", "HTTP/1.1 404 Not Found\r\n", "\"status\":404"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct answer a = {
            .format = cases[i].format, .language = cases[i].language, .proxy = "viaduct-7"};
        size_t n = answer_write_page(cases[i].path, "[::1]:3128", &a, out, CAP);

        assert_true(n > 0);
        out[n] = '\0';
        assert_memory_equal(out, cases[i].status, strlen(cases[i].status));
        assert_non_null(strstr(body(), cases[i].want));
    }
}

/* Seen from outside, each answer comes out as the verdict it was made from. */
static void reads_back(enum outside_asked asked, enum verdict want)
{
    struct span bytes = {out, strlen(out)};
    struct outside_answer seen = {.asked = asked, .is_http = true};
    struct outside_verdict got;
    struct http1_head h;
    struct flow f = {0};

    http1_head_reset(&h);
    assert_int_equal(http1_parse_response(bytes, &h), PARSE_OK);
    seen.status = h.status;
    seen.reason = h.reason;
    seen.body = (struct span){out + h.head_len, bytes.len - h.head_len};
    for (unsigned i = 0; i < h.fields_len; i++)
        outside_add_field(&seen, h.fields[i].name, h.fields[i].value);
    got = outside_judge(&seen, &f);
    assert_string_equal(verdict_get_info(got.verdict)->name, verdict_get_info(want)->name);
    assert_int_equal(got.certainty, CERTAINTY_SEEN);
    assert_string_equal(got.product, "viaduct");
    if (seen.reason.len > 0)
        assert_string_equal(got.reason, "rule a (b): c");
    seen.reason = SPAN_LIT(""); /* lost on the way: the body says it too */
    assert_int_equal(outside_judge(&seen, &f).verdict, want);
    flow_fini(&f);
}

static void each_answer_is_read_back_from_outside(void **state)
{
    (void)state;
    for (unsigned v = 0; v < VERDICT_COUNT; v++) {
        const struct verdict_info *info = verdict_get_info((enum verdict)v);

        if (!(info->sources & SOURCE_BIT_SERVE) || info->status < 400)
            continue;
        for (unsigned format = ANSWER_TEXT; format <= ANSWER_HTML; format++) {
            struct answer a = {.verdict = (enum verdict)v, .format = (enum answer_format)format};
            struct flow f;

            begin(&f, "rule a (b): c");
            assert_true(write_answer(&a, &f) > 0);
            reads_back(OUTSIDE_CONNECT, (enum verdict)v);
            reads_back(OUTSIDE_ABSOLUTE, (enum verdict)v);
            flow_fini(&f);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_answer_is_read_back_from_outside),
        cmocka_unit_test(the_status_line_says_why),
        cmocka_unit_test(a_long_reason_is_cut),
        cmocka_unit_test(the_fields_are_those_promised),
        cmocka_unit_test(proxy_status_has_the_parameters_of_its_type),
        cmocka_unit_test(the_format_follows_accept),
        cmocka_unit_test(the_language_follows_accept_language),
        cmocka_unit_test(each_format_has_the_same_facts),
        cmocka_unit_test(japanese_is_for_the_body_only),
        cmocka_unit_test(head_has_the_length_and_no_body),
        cmocka_unit_test(evidence_is_for_those_it_is_no_secret_from),
        cmocka_unit_test(the_worst_flow_gets_a_clean_answer),
        cmocka_unit_test(what_does_not_fit_is_not_written),
        cmocka_unit_test(the_page_says_how_to_use_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
