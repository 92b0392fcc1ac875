#include "render/html.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/digest.h"
#include "base/util.h"
#include "sample.h"

static void assert_has(const char *text, const char *what)
{
    if (!strstr(text, what))
        fail_msg("\"%s\" is not in\n%s", what, text);
}

/* A page of these flows; freed by the caller. */
static char *render(const struct flow *flows, size_t len, const struct svg_plot *plot)
{
    static const char *const names[] = {"a<b>.pcap"};
    uint64_t verdicts[VERDICT_COUNT] = {0}, warned[WARNING_COUNT] = {0};
    const struct html_page page = {
        .packets = 1234,
        .tcp = 1200,
        .first_ns = SAMPLE_WALL_NS,
        .last_ns = SAMPLE_WALL_NS + 90 * NS_PER_S,
        .names = names,
        .names_len = 1,
        .flows = len + 5,
        .failed = 1,
        .superseded = 2,
        .verdicts = verdicts,
        .warned = warned,
        .trouble = "cut & gone\n",
        .shown = len,
    };
    struct buf out;
    char *text;

    for (size_t i = 0; i < len; i++)
        verdicts[flows[i].verdict]++;
    warned[WARNING_IDLE_CLOSED] = 3;
    buf_init(&out, 4 << 20);
    assert_true(html_begin(&out, &page));
    for (size_t i = 0; i < len; i++)
        assert_true(html_flow(&out, &flows[i], plot, i == 0));
    assert_true(html_end(&out));
    text = span_dup(buf_span(&out));
    buf_fini(&out);
    return text;
}

static void a_page_has_its_parts(void **state)
{
    static const char *const wants[] = {
        "<!DOCTYPE html>\n<html lang=\"en\">",
        "<meta name=\"viewport\"",
        "<title>Flows explained: 6</title>",
        "<dd>a&lt;b&gt;.pcap</dd>",
        "<dd>1234, TCP 1200</dd>",
        "2026-11-23T05:00:00.123456Z, 0:01:30",
        "<p class=\"trouble\">cut &amp; gone</p>",
        "scope=\"row\" class=\"good\">ok</th>",
        "407 that was answered by credentials, no failure: 2",
        "warnings, no failures: idle-closed 3",
        "Here are 1 of 6 flows.",
        "<details class=\"flow\" id=\"flow-24364\" open>",
        "<dd lang=\"en\">CONNECT updates.example.net:443</dd>",
        " from 10.40.40.1:40220 through 10.10.10.1:80 to [2001:db8::80]:443",
        "<li>[2001:db8::80]:443 connected after 3100 us</li>",
        "<strong class=\"mild\">idle-closed</strong>: idle-timeout of 60 s",
        "TLSv1.3, name updates.example.net",
        "  close             800.000      12.345 ms |", /* as text */
        "class=\"v-ladder\"",
        "class=\"v-plot\"",
        "class=\"v-legend\"",
        "</main>\n</body>\n</html>\n",
    };
    static const struct svg_point point = {1000, 100, true, SVG_DATA};
    const struct svg_plot plot = {&point, 1, 0};
    struct flow f;
    char *text;

    (void)state;
    sample_tunnel(&f);
    text = render(&f, 1, &plot);
    for (size_t i = 0; i < ARRAY_LEN(wants); i++)
        assert_has(text, wants[i]);
    free(text);
    flow_fini(&f);
}

/* Whatever stands in a flow: no tag, no attribute, no control character comes of it. */
static void hostile_texts_stay_texts(void **state)
{
    static const char evil[] =
        "</script><script>alert(1)</script>\"' onload=x <!-- \x1b\xe2\x80\xae";
    struct flow flows[2];
    char *text;

    (void)state;
    sample_hostile(&flows[0]);
    sample_tunnel(&flows[1]);
    flow_set_text(&flows[1].url, evil);
    flow_set_text(&flows[1].tls->cipher, evil);
    flow_note(&flows[1], NOTE_NAME, SIDE_CLIENT, "%s", evil);
    flow_note(&flows[1], NOTE_EVIDENCE, 0, "%s", evil);
    text = render(flows, 2, NULL);
    assert_true(sample_is_clean(span_of(text)));
    assert_null(strstr(text, "<script"));
    assert_null(strstr(text, "<b>"));
    assert_null(strstr(text, "\"' onload"));
    assert_null(strstr(text, "<!--"));
    assert_has(text, "&lt;script&gt;alert(1)");
    free(text);
    for (size_t i = 0; i < 2; i++)
        flow_fini(&flows[i]);
}

/* The policy lets in the one style by its hash, and nothing else. */
static void the_policy_fits_the_style(void **state)
{
    unsigned char hash[DIGEST_LEN_MAX];
    char base64[DIGEST_BASE64_LEN(DIGEST_LEN_MAX)], want[256];
    struct flow f;
    char *text, *from, *to;
    size_t len;

    (void)state;
    sample_tunnel(&f);
    text = render(&f, 1, NULL);
    from = strstr(text, "<style>");
    to = strstr(text, "</style>");
    assert_true(from && to && !strstr(to + 1, "<style"));
    from += strlen("<style>");
    len = digest_of(DIGEST_SHA256, &(struct span){from, (size_t)(to - from)}, 1, hash);
    snprintf(want, sizeof want,
             "content=\"default-src 'none'; style-src 'sha256-%.*s'; base-uri 'none'; "
             "form-action 'none'\"",
             (int)digest_write_base64(hash, len, base64), base64);
    assert_has(text, want);
    for (const char *at = text; (at = strstr(at, "http")); at++) /* only what is data, and xmlns */
        assert_true(strncmp(at, "http-equiv", 10) == 0 ||
                    strncmp(at, "http://www.w3.org/", 18) == 0 ||
                    strncmp(at, "https://updates.example.net/", 28) == 0);
    assert_null(strstr(text, " style="));
    assert_null(strstr(text, "src="));
    free(text);
    flow_fini(&f);
}

static void too_small_a_buf_takes_nothing(void **state)
{
    struct buf out;
    struct flow f;

    (void)state;
    sample_tunnel(&f);
    buf_init(&out, 512);
    assert_false(html_flow(&out, &f, NULL, false));
    assert_int_equal(out.len, 0);
    buf_fini(&out);
    flow_fini(&f);
}

/* All sentences of the page, by the compiled-in words: no Japanese locale is needed. */
static void the_page_speaks_japanese(void **state)
{
    struct flow f;
    char *text;

    (void)state;
    setenv("LC_ALL", "ja_JP.UTF-8", 1);
    sample_tunnel(&f);
    text = render(&f, 1, NULL);
    assert_has(text, "<html lang=\"ja\">");
    assert_null(strstr(text, "Flows explained"));
    assert_null(strstr(text, "By verdict"));
    assert_null(strstr(text, "As text"));
    free(text);
    flow_fini(&f);
    setenv("LC_ALL", "C", 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_page_has_its_parts),
        cmocka_unit_test(hostile_texts_stay_texts),
        cmocka_unit_test(the_policy_fits_the_style),
        cmocka_unit_test(too_small_a_buf_takes_nothing),
        cmocka_unit_test(the_page_speaks_japanese),
    };

    return cmocka_run_group_tests(tests, sample_setup, NULL);
}
