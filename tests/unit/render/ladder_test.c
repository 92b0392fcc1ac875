#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/util.h"
#include "render/render.h"
#include "sample.h"

static char *render(const struct flow *f, bool colour)
{
    struct buf out;
    char *text;

    buf_init(&out, 1 << 16);
    assert_true(render_ladder(&out, f, colour));
    text = span_dup(buf_span(&out));
    buf_fini(&out);
    return text;
}

static void a_good_tunnel(void **state)
{
    struct flow f;
    char *text, want[2048];

    (void)state;
    sample_tunnel(&f);
    snprintf(want, sizeof want,
             "CONNECT updates.example.net:443 from 10.40.40.1:40220 through 10.10.10.1:80 to "
             "[2001:db8::80]:443, user fmc, rule updates, status 200, up 1.7 KiB, down 5.1 KiB\n"
             "2026-11-23T05:00:00.123456Z, 812.345 ms, flow 0000000000005f2c\n"
             "\n"
             "  request             0.000       0.090 ms |#                               |\n"
             "  answer              0.090       3.910 ms |#                               |\n"
             "    authorize                     0.002 ms\n"
             "    dial                          3.100 ms  [2001:db8::80]:443\n"
             "  exchange      skipped\n"
             "  transfer            4.000     796.000 ms |################################| quiet "
             "at the end\n"
             "  close             800.000      12.345 ms |                               #|\n"
             "\n"
             "  - TLS TLSv1.3, name updates.example.net\n"
             "  - redirect 302 https://updates.example.net/healthcheck\n"
             "  - would match rule watch\n"
             "  - [2001:db8::80]:443 connected after 3100 us\n"
             "  ! idle-closed: idle-timeout of 60 s\n"
             "\n"
             "ok in close by client\n"
             "%s\n",
             flow_cause(&f));
    text = render(&f, false);
    assert_string_equal(text, want);
    free(text);
    flow_fini(&f);
}

static void a_failure_is_told_with_its_certainty(void **state)
{
    struct flow f = {0};
    char *text;

    (void)state;
    flow_begin(&f, SOURCE_EXPLAIN, 7, 0, SAMPLE_WALL_NS);
    flow_phase(&f, PHASE_TLS, 0);
    flow_set_text(&f.reason, "4 segments of 1460 bytes unacknowledged");
    flow_end(&f, VERDICT_MTU_BLACKHOLE, SIDE_NOBODY, CERTAINTY_INFERRED, 200 * NS_PER_S);
    text = render(&f, false);
    assert_non_null(strstr(
        text,
        "  tls                 0.000     200.000 s |################################| failed\n"));
    assert_non_null(strstr(
        text, "\nmtu-blackhole in tls (inferred): 4 segments of 1460 bytes unacknowledged\n"));
    assert_non_null(strstr(text, flow_cause(&f)));
    assert_non_null(strstr(text, flow_advice(&f)));
    free(text);
    flow_fini(&f);
}

static void bars_stay_in_their_column(void **state)
{
    static const struct {
        uint64_t start_ns, duration_ns;
        const char *want;
    } cases[] = {
        {0, 0, "|#                               |"},
        {0, 100, "|################################|"},
        {50, 25, "|                ########        |"},
        {100, 0, "|                               #|"},
        {500, 900, "|                               #|"}, /* later than the end that was noted */
        {UINT64_MAX, UINT64_MAX, "|                               #|"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct flow f = {0};
        char *text;

        flow_begin(&f, SOURCE_EXPLAIN, 1, 0, 0);
        f.duration_ns = 100;
        f.outcomes[PHASE_TLS] = OUTCOME_OK;
        f.phases[PHASE_TLS] = (struct phase_time){cases[i].start_ns, cases[i].duration_ns};
        text = render(&f, false);
        assert_non_null(strstr(text, cases[i].want));
        free(text);
        flow_fini(&f);
    }
}

static void nothing_from_outside_reaches_the_terminal_raw(void **state)
{
    struct flow f;
    char *text;

    (void)state;
    sample_hostile(&f);
    text = render(&f, false);
    assert_true(sample_is_clean(span_of(text)));
    assert_non_null(strstr(text, "superseded by flow 0000000000000abc\n"));
    free(text);
    text = render(&f, true); /* our own colours, and only those */
    assert_non_null(
        strstr(text, "\x1b[31mmtu-blackhole in tls by network (inferred)\x1b[0m: a\\x1b[31m"));
    free(text);
    flow_fini(&f);
}

/* In a text there are names in place of addresses. */
static void names_stand_for_addresses(void **state)
{
    struct flow f;
    char *text;

    (void)state;
    sample_tunnel(&f);
    f.client = (struct endpoint){.addr.family = ADDR_NAMED, .port = 41812};
    flow_note(&f, NOTE_NAME, SIDE_CLIENT, "app7:41812");
    flow_note(&f, NOTE_NAME, SIDE_PROXY, "px\x1b:8080");
    text = render(&f, false);
    assert_non_null(strstr(text, " from app7:41812 through px\\x1b:8080 to [2001:db8::80]:443,"));
    free(text);
    flow_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_tunnel),
        cmocka_unit_test(a_failure_is_told_with_its_certainty),
        cmocka_unit_test(bars_stay_in_their_column),
        cmocka_unit_test(nothing_from_outside_reaches_the_terminal_raw),
        cmocka_unit_test(names_stand_for_addresses),
    };

    return cmocka_run_group_tests(tests, sample_setup, NULL);
}
