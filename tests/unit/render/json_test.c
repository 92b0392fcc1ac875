#include "render/render.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/util.h"
#include "sample.h"

/* Renders, checks that it is one line, and returns the terminated text, to be freed. */
static char *render(const struct flow *f)
{
    struct buf out;
    char *text;

    buf_init(&out, 1 << 20);
    assert_true(render_json(&out, f));
    text = span_dup(buf_span(&out));
    assert_non_null(text);
    assert_ptr_equal(strchr(text, '\n'), text + out.len - 1);
    buf_fini(&out);
    return text;
}

static void the_object_is_as_promised(void **state)
{
    static const char want[] =
        "{\"id\":\"0000000000005f2c\",\"source\":\"serve\",\"start\":\"2026-11-23T05:00:00."
        "123456Z\","
        "\"duration_us\":812345,\"client\":\"10.40.40.1:40220\",\"proxy\":\"10.10.10.1:80\","
        "\"target\":\"updates.example.net:443\",\"target_address\":\"[2001:db8::80]:443\","
        "\"parent\":null,"
        "\"method\":\"CONNECT\",\"url\":null,\"user\":\"fmc\",\"rule\":\"updates\",\"reported\":["
        "\"watch\"],"
        "\"status\":200,\"bytes_up\":1834,\"bytes_down\":5321,\"phases\":["
        "{\"phase\":\"request\",\"start_us\":0,\"duration_us\":90,\"outcome\":\"ok\",\"detail\":"
        "\"\"},"
        "{\"phase\":\"answer\",\"start_us\":90,\"duration_us\":3910,\"outcome\":\"ok\",\"detail\":"
        "\"\",\"steps\":["
        "{\"step\":\"authorize\",\"duration_us\":2,\"detail\":\"\"},"
        "{\"step\":\"dial\",\"duration_us\":3100,\"detail\":\"[2001:db8::80]:443\"}]},"
        "{\"phase\":\"exchange\",\"start_us\":0,\"duration_us\":0,\"outcome\":\"skipped\","
        "\"detail\":\"\"},"
        "{\"phase\":\"transfer\",\"start_us\":4000,\"duration_us\":796000,\"outcome\":\"ok\","
        "\"detail\":\"quiet at the end\"},"
        "{\"phase\":\"close\",\"start_us\":800000,\"duration_us\":12345,\"outcome\":\"ok\","
        "\"detail\":\"\"}],"
        "\"tls\":{\"sni\":\"updates.example.net\",\"version\":\"TLSv1.3\",\"cipher\":null,"
        "\"issuer\":null,"
        "\"alpn\":null},\"tcp\":{\"client\":{\"rtt_us\":412,\"retransmissions\":0,\"mss\":1460,"
        "\"pmtu\":1500,"
        "\"unacked\":0},\"upstream\":null},\"redirects\":[{\"status\":302,"
        "\"location\":\"https://updates.example.net/"
        "healthcheck\"}],\"superseded_by\":null,\"verdict\":\"ok\","
        "\"ended_in\":\"close\",\"ended_by\":\"client\",\"certainty\":\"seen\",\"cause\":";
    static const char tail[] =
        ",\"advice\":\"\",\"evidence\":[\"[2001:db8::80]:443 connected after 3100 us\","
        "\"idle-closed: idle-timeout of 60 s\"],\"warnings\":[\"idle-closed\"]}\n";
    struct flow f;
    char *text;

    (void)state;
    sample_tunnel(&f);
    text = render(&f);
    assert_true(strlen(text) > sizeof want + sizeof tail);
    assert_memory_equal(text, want, sizeof want - 1);
    assert_string_equal(text + strlen(text) - (sizeof tail - 1), tail);
    free(text);
    flow_fini(&f);
}

static void what_is_not_known_is_null_or_empty(void **state)
{
    static const char *const wants[] = {
        "\"client\":null",
        "\"proxy\":null",
        "\"target\":null",
        "\"target_address\":null",
        "\"parent\":null",
        "\"method\":null",
        "\"url\":null",
        "\"user\":null",
        "\"rule\":null",
        "\"reported\":[]",
        "\"status\":null",
        "\"tls\":null",
        "\"tcp\":{\"client\":null,\"upstream\":null}",
        "\"redirects\":[]",
        "\"superseded_by\":null",
        "\"ended_by\":null",
        "\"evidence\":[]",
        "\"warnings\":[]",
    };
    struct flow f = {0};
    char *text;

    (void)state;
    flow_begin(&f, SOURCE_SERVE, 1, 0, 0);
    text = render(&f);
    for (size_t i = 0; i < ARRAY_LEN(wants); i++)
        assert_non_null(strstr(text, wants[i]));
    assert_null(strstr(text, "steps"));
    free(text);
    flow_fini(&f);
}

static void hostile_texts_stay_inside_their_strings(void **state)
{
    static const char evil[] = "\"a\\u001b[31m\\r\\nX: \\\"y\\\\\xef\xbf\xbd\\u009b\\u202e<b>\"";
    static const char *const keys[] = {"\"target\":",    "\"parent\":",
                                       "\"method\":",    "\"user\":",
                                       "\"rule\":",      "\"reported\":[",
                                       "\"sni\":",       "\"issuer\":",
                                       "\"evidence\":[", "\"status\":null,\"location\":"};
    struct flow f;
    char *text, want[128];

    (void)state;
    sample_hostile(&f);
    text = render(&f);
    assert_true(sample_is_clean(span_of(text)));
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        snprintf(want, sizeof want, "%s%s", keys[i], evil);
        assert_non_null(strstr(text, want));
    }
    assert_non_null(strstr(text, "\"superseded_by\":\"0000000000000abc\""));
    assert_non_null(strstr(text, "\"certainty\":\"inferred\""));
    free(text);
    flow_fini(&f);
}

static void the_reason_is_evidence_and_told_once(void **state)
{
    struct flow f = {0};
    char *text;

    (void)state;
    flow_begin(&f, SOURCE_SERVE, 1, 0, 0);
    flow_set_text(&f.reason, "rule private");
    flow_evidence(&f, "10.0.0.1 is private");
    text = render(&f);
    assert_non_null(strstr(text, "\"evidence\":[\"rule private\",\"10.0.0.1 is private\"]"));
    free(text);
    flow_evidence(&f, "rule private");
    text = render(&f);
    assert_non_null(strstr(text, "\"evidence\":[\"10.0.0.1 is private\",\"rule private\"]"));
    free(text);
    flow_fini(&f);
}

static void a_record_that_does_not_fit_adds_nothing(void **state)
{
    static bool (*const formats[])(struct buf *, const struct flow *) = {render_json, render_text,
                                                                         render_squid};
    struct flow f;
    struct buf out;

    (void)state;
    sample_tunnel(&f);
    buf_init(&out, 80);
    assert_true(buf_append(&out, "x", 1));
    for (size_t i = 0; i < ARRAY_LEN(formats); i++)
        assert_false(formats[i](&out, &f));
    assert_false(render_ladder(&out, &f, false));
    assert_int_equal(out.len, 1);
    buf_fini(&out);
    flow_fini(&f);
}

static void names_stand_for_addresses(void **state)
{
    static const char *const wants[] = {"\"client\":\"app7:41812\"", "\"proxy\":\"px:8080\"",
                                        "\"target_address\":\"t:443\""};
    struct flow f;
    char *text;

    (void)state;
    sample_tunnel(&f);
    f.client = (struct endpoint){.addr.family = ADDR_NAMED, .port = 41812};
    flow_note(&f, NOTE_NAME, SIDE_CLIENT, "app7:41812");
    flow_note(&f, NOTE_NAME, SIDE_PROXY, "px:8080");
    flow_note(&f, NOTE_NAME, SIDE_TARGET, "t:443");
    text = render(&f);
    for (size_t i = 0; i < ARRAY_LEN(wants); i++)
        assert_non_null(strstr(text, wants[i]));
    free(text);
    flow_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_object_is_as_promised),
        cmocka_unit_test(what_is_not_known_is_null_or_empty),
        cmocka_unit_test(hostile_texts_stay_inside_their_strings),
        cmocka_unit_test(the_reason_is_evidence_and_told_once),
        cmocka_unit_test(a_record_that_does_not_fit_adds_nothing),
        cmocka_unit_test(names_stand_for_addresses),
    };

    return cmocka_run_group_tests(tests, sample_setup, NULL);
}
