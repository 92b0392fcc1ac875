/* What is read back is shown as what was written. */
#include "render/json_read.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/util.h"
#include "render/render.h"
#include "sample.h"

/* Everything that a flow may have beside what the samples have. */
static void sample_rest(struct flow *f)
{
    *f = (struct flow){0};
    flow_begin(f, SOURCE_CHECK, UINT64_MAX, 5, SAMPLE_WALL_NS);
    flow_set_text(&f->url, "http://t.example/");
    flow_set_text(&f->parent, "p.example:3128");
    flow_set_text(&f->reason, "not first");
    flow_phase(f, PHASE_RESOLVE, 5);
    flow_phase(f, PHASE_CONNECT, 2000000005);
    for (enum step_kind step = 0; step < STEP_KIND_COUNT; step++)
        flow_step(f, step, step * 1000000ull);
    flow_skip(f, PHASE_TLS, OUTCOME_UNKNOWN);
    flow_evidence(f, "first");
    flow_evidence(f, "not first");
    flow_evidence(f, "zero-window: no warning of that kind");
    for (enum warning w = 0; w < WARNING_COUNT; w++)
        if (w != WARNING_ZERO_WINDOW)
            flow_warn(f, w, w == WARNING_SMALL_MSS ? "%s" : "detail: %s", w % 2 ? "of it" : "");
    flow_note(f, NOTE_REDIRECT, 0, "elsewhere");
    f->upstream_leg = (struct flow_leg){true, 1, 2, 3, 4, 5};
    f->superseded_by = 0xabc;
    f->bytes_up = INT64_MAX;
    flow_end(f, VERDICT_UPSTREAM_TIMEOUT, SIDE_NOBODY, CERTAINTY_INFERRED, 300000000005);
    f->status_sent = true;
}

static void sample_reason_first(struct flow *f)
{
    *f = (struct flow){0};
    flow_begin(f, SOURCE_SERVE, 3, 0, SAMPLE_WALL_NS);
    flow_phase(f, PHASE_ANSWER, 0);
    flow_set_text(&f->reason, "rule social");
    flow_evidence(f, "social.txt:7");
    flow_end(f, VERDICT_ACL_DENIED, SIDE_PROXY, CERTAINTY_SEEN, 0);
}

static char *render(bool (*how)(struct buf *, const struct flow *), const struct flow *f)
{
    struct buf out;
    char *text;

    buf_init(&out, 1 << 20);
    assert_true(how(&out, f));
    text = span_dup(buf_span(&out));
    buf_fini(&out);
    return text;
}

static bool ladder(struct buf *out, const struct flow *f)
{
    return render_ladder(out, f, true);
}

static void what_is_read_is_shown_as_it_was(void **state)
{
    static void (*const samples[])(struct flow *) = {sample_tunnel, sample_rest,
                                                     sample_reason_first};
    static bool (*const formats[])(struct buf *, const struct flow *) = {render_json, render_text,
                                                                         render_squid, ladder};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
        struct flow f, back;
        struct err err;

        samples[i](&f);
        char *json = render(render_json, &f);
        struct json_read_more more = {.reason = {f.reason, f.reason ? strlen(f.reason) : 0},
                                      .own_answer = f.status_sent};
        if (!json_read_flow(&back, span_of(json), &more, &err))
            fail_msg("%s: %s", err.text, json);
        for (size_t n = 0; n < ARRAY_LEN(formats); n++) {
            char *want = render(formats[n], &f), *got = render(formats[n], &back);

            assert_string_equal(got, want);
            free(want);
            free(got);
        }
        assert_true(back.ended && back.id == f.id);
        flow_fini(&back);
        flow_fini(&f);
        free(json);
    }
}

/* Bytes that JSON does not carry are replaced once, and stay what they became. */
static void hostile_texts_are_stable(void **state)
{
    struct flow f, back;
    struct err err;
    char *json, *again;

    (void)state;
    sample_hostile(&f);
    json = render(render_json, &f);
    assert_true(json_read_flow(&back, span_of(json), NULL, &err));
    again = render(render_json, &back);
    assert_string_equal(again, json);
    assert_non_null(strstr(back.target, "\x1b[31m\r\n"));
    flow_fini(&back);
    flow_fini(&f);
    free(json);
    free(again);
}

static const char whole[] =
    "{\"id\":\"0000000000000001\",\"source\":\"serve\",\"start\":\"2026-11-23T05:00:00Z\","
    "\"duration_us\":1,\"phases\":[{\"phase\":\"answer\",\"start_us\":0,\"duration_us\":1,"
    "\"outcome\":\"ok\",\"detail\":\"\"}],\"verdict\":\"ok\",\"ended_in\":\"close\",\"ended_by\":"
    "\"client\",\"certainty\":\"seen\",\"evidence\":[\"x\"],\"warnings\":[]}";

/* A flow under way: it is in the last phase that it reached, and has not ended there. */
static void what_is_open_has_not_ended(void **state)
{
    struct flow f = {0}, back;
    char *json, *again;
    struct err err;

    (void)state;
    flow_begin(&f, SOURCE_SERVE, 1, 0, 0);
    flow_phase(&f, PHASE_REQUEST, 0);
    flow_phase(&f, PHASE_ANSWER, 0);
    flow_phase(&f, PHASE_TRANSFER, 0);
    json = render(render_json, &f);
    assert_non_null(strstr(json, "\"verdict\":\"open\",\"ended_in\":null,\"ended_by\":null"));
    assert_true(json_read_flow(&back, span_of(json), NULL, &err));
    assert_false(back.ended);
    assert_int_equal(back.phase, PHASE_ANSWER);
    again = render(render_json, &back);
    assert_string_equal(again, json);
    flow_fini(&back);
    flow_fini(&f);
    free(json);
    free(again);
}

/* Each case replaces `from` by `to` in the object above. */
static void what_is_wrong_is_named(void **state)
{
    static const struct {
        const char *from, *to, *want;
    } cases[] = {
        {"x", "y", NULL},
        {"\"id\":\"0000000000000001\"", "\"id\":1", "\"id\" is no text"},
        {"0000000000000001", "1", "\"id\" is no id"},
        {"0000000000000001", "000000000000000g", "\"id\" is no id"},
        {"serve", "nowhere", "\"source\" is a word that this version does not know"},
        {"T05:", "T25:", "\"start\" is no moment"},
        {"\"duration_us\":1,\"ph", "\"duration_us\":-1,\"ph",
         "\"duration_us\" is no number, or too large a one"},
        {"\"duration_us\":1,\"ph", "\"duration_us\":9223372036854775807,\"ph",
         "\"duration_us\" is no number, or too large a one"},
        {"\"duration_us\":1,\"ph", "\"duration_us\":1e300,\"ph",
         "\"duration_us\" is no number, or too large a one"},
        {"answer", "guess", "\"phase\" is a word that this version does not know"},
        {"\"outcome\":\"ok\"", "\"outcome\":null",
         "\"outcome\" is a word that this version does not know"},
        {"[{", "[7,{", "\"phase\" is a word that this version does not know"},
        {"\"ended_in\":\"close\"", "\"ended_in\":null",
         "\"ended_in\" is a word that this version does not know"},
        {"\"verdict\":\"ok\"", "\"verdict\":\"fine\"",
         "\"verdict\" is a word that this version does not know"},
        {"client", "somebody", "\"ended_by\" is a word that this version does not know"},
        {"seen", "heard", "\"certainty\" is a word that this version does not know"},
        {"[\"x\"]", "[3]", "\"evidence\" has something that is no text"},
        {"[\"x\"]", "{}", "\"evidence\" is no list"},
        {"\"warnings\":[]", "\"warnings\":[\"x\"]",
         "\"warnings\" is a word that this version does not know"},
        {"\"warnings\":[]", "\"tls\":[]", "\"tls\" is no object"},
        {"\"warnings\":[]", "\"id\":\"2\"",
         "it is no JSON object: duplicate object key near '\"id\"'"},
        {"\"x\"", "\"\\u0000\"",
         "it is no JSON object: \\u0000 is not allowed without JSON_ALLOW_NUL near '\"\\u0000\"'"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const char *at = strstr(whole, cases[i].from);
        char json[1024];
        struct err err = {""};
        struct flow f;

        snprintf(json, sizeof json, "%.*s%s%s", (int)(at - whole), whole, cases[i].to,
                 at + strlen(cases[i].from));
        if (json_read_flow(&f, span_of(json), NULL, &err))
            flow_fini(&f);
        assert_string_equal(err.text, cases[i].want ? cases[i].want : "");
        assert_null(f.notes.bytes);
    }
}

static void what_is_no_object_is_refused(void **state)
{
    static const char *const cases[] = {"",  "[]",    "null", "\"x\"",
                                        "{", "{} {}", "\xff", "{\"a\":\"\xff\"}"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err err;
        struct flow f;

        assert_false(json_read_flow(&f, span_of(cases[i]), NULL, &err));
        assert_memory_equal(err.text, "it is no JSON object", 20);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_read_is_shown_as_it_was),
        cmocka_unit_test(hostile_texts_are_stable),
        cmocka_unit_test(what_is_open_has_not_ended),
        cmocka_unit_test(what_is_wrong_is_named),
        cmocka_unit_test(what_is_no_object_is_refused),
    };

    return cmocka_run_group_tests(tests, sample_setup, NULL);
}
