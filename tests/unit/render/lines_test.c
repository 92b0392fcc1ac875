/* The two formats of one line: text and Squid's native one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/util.h"
#include "render/render.h"
#include "sample.h"

static void check(bool (*format)(struct buf *, const struct flow *), const struct flow *f,
                  const char *want)
{
    struct buf out;
    char *text;

    buf_init(&out, 1 << 16);
    assert_true(format(&out, f));
    text = span_dup(buf_span(&out));
    assert_string_equal(text, want);
    free(text);
    buf_fini(&out);
}

static void a_good_tunnel(void **state)
{
    struct flow f;

    (void)state;
    sample_tunnel(&f);
    check(render_text, &f,
          "2026-11-23 05:00:00.123 10.40.40.1:40220 fmc CONNECT updates.example.net:443 200 up 1.7 "
          "KiB down 5.1 KiB "
          "812.3 ms ok in close by client, rule updates\n");
    check(
        render_squid, &f,
        "1795410000.935    812 10.40.40.1 TCP_TUNNEL/200 5321 CONNECT updates.example.net:443 fmc "
        "HIER_DIRECT/2001:db8::80 -\n");
    flow_fini(&f);
}

/* A flow that the proxy refused: the reason names the rule, so it is not told twice. */
static void a_denial(void **state)
{
    struct flow f = {0};

    (void)state;
    flow_begin(&f, SOURCE_SERVE, 1, 0, SAMPLE_WALL_NS);
    endpoint_parse(SPAN_LIT("127.0.0.1:5000"), &f.client);
    flow_set_text(&f.method, "GET");
    flow_set_text(&f.url, "http://10.0.0.1/a b");
    flow_set_text(&f.target, "10.0.0.1:80");
    flow_set_text(&f.rule, "private");
    flow_set_text(&f.reason, "rule private");
    f.status = 403;
    flow_phase(&f, PHASE_ANSWER, 0);
    flow_end(&f, VERDICT_ACL_DENIED, SIDE_PROXY, CERTAINTY_SEEN, 2 * NS_PER_MS);
    check(render_text, &f,
          "2026-11-23 05:00:00.123 127.0.0.1:5000 - GET http://10.0.0.1/a b 403 up 0 B down 0 B "
          "2.0 ms acl-denied in answer by proxy (seen): rule private\n");
    check(render_squid, &f,
          "1795410000.125      2 127.0.0.1 TCP_DENIED/403 0 GET http://10.0.0.1/a%20b - "
          "HIER_NONE/- -\n");
    flow_fini(&f);
}

static void squid_words(void **state)
{
    static const struct {
        enum verdict verdict;
        const char *method, *want;
    } cases[] = {
        {VERDICT_OK, "CONNECT", " TCP_TUNNEL/000 "},
        {VERDICT_OK, "GET", " TCP_MISS/000 "},
        {VERDICT_AUTH_REQUIRED, "GET", " TCP_DENIED/000 "},
        {VERDICT_BAD_REQUEST, NULL, " NONE_NONE/000 0 NONE error:invalid-request "},
        {VERDICT_CLIENT_GONE, "GET", " TCP_MISS_ABORTED/000 "},
        {VERDICT_RESET_BY_CLIENT, "CONNECT", " TCP_TUNNEL_ABORTED/000 "},
        {VERDICT_STALLED, "CONNECT", " TCP_TUNNEL_TIMEDOUT/000 "},
    };
    struct buf out;

    (void)state;
    buf_init(&out, 1 << 16);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct flow f = {0};

        flow_begin(&f, SOURCE_SERVE, 1, 0, 0);
        flow_set_text(&f.method, cases[i].method);
        flow_phase(&f, PHASE_ANSWER, 0);
        flow_end(&f, cases[i].verdict, SIDE_PROXY, CERTAINTY_SEEN, 0);
        assert_true(render_squid(&out, &f) && buf_append(&out, "", 1));
        assert_non_null(strstr(buf_span(&out).ptr, cases[i].want));
        buf_consume(&out, out.len);
        flow_fini(&f);
    }
    buf_fini(&out);
}

static void hostile_texts_make_no_second_line(void **state)
{
    static bool (*const formats[])(struct buf *, const struct flow *) = {render_text, render_squid};
    struct flow f;
    struct buf out;

    (void)state;
    sample_hostile(&f);
    buf_init(&out, 1 << 16);
    for (size_t i = 0; i < ARRAY_LEN(formats); i++) {
        assert_true(formats[i](&out, &f));
        assert_true(sample_is_clean(buf_span(&out)));
        assert_int_equal(span_find(buf_span(&out), '\n'), out.len - 1);
        buf_consume(&out, out.len);
    }
    buf_fini(&out);
    flow_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_tunnel),
        cmocka_unit_test(a_denial),
        cmocka_unit_test(squid_words),
        cmocka_unit_test(hostile_texts_make_no_second_line),
    };

    return cmocka_run_group_tests(tests, sample_setup, NULL);
}
