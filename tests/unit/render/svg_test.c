#include "render/svg.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/util.h"
#include "sample.h"

static char *finish(struct pen *p, struct buf *out)
{
    char *text;

    assert_true(pen_end_draft(p, out));
    text = span_dup(buf_span(out));
    buf_fini(out);
    return text;
}

static char *draw_ladder(const struct flow *f)
{
    struct buf out;
    struct pen p;

    buf_init(&out, 1 << 20);
    pen_init_draft(&p, &out);
    svg_write_ladder(&p, f, 7);
    return finish(&p, &out);
}

static char *draw_plot(const struct svg_plot *plot)
{
    struct buf out;
    struct pen p;

    buf_init(&out, 1 << 20);
    pen_init_draft(&p, &out);
    svg_write_plot(&p, plot, 7);
    return finish(&p, &out);
}

static unsigned count(const char *text, const char *what)
{
    unsigned n = 0;

    for (; (text = strstr(text, what)); text += strlen(what))
        n++;
    return n;
}

static void assert_has(const char *text, const char *what)
{
    if (!strstr(text, what))
        fail_msg("\"%s\" is not in\n%s", what, text);
}

/* Tags are closed in the order in which they were opened. */
static void assert_well_formed(const char *text)
{
    char open[16][16];
    unsigned depth = 0;

    while ((text = strchr(text, '<'))) {
        bool is_end = *++text == '/';
        size_t len = strcspn(text + is_end, " >/"), whole = strcspn(text, ">");

        assert_true(text[whole] == '>' && len < sizeof open[0]);
        if (is_end) {
            assert_true(depth > 0);
            assert_int_equal(strlen(open[--depth]), len);
            assert_memory_equal(open[depth], text + 1, len);
        } else if (text[whole - 1] != '/') {
            assert_true(depth < ARRAY_LEN(open));
            snprintf(open[depth++], sizeof open[0], "%.*s", (int)len, text);
        }
        text += whole;
    }
    assert_int_equal(depth, 0);
}

static void a_ladder_has_a_row_a_phase(void **state)
{
    static const char *const wants[] = {">request</text>",
                                        ">90 us</text>",
                                        ">transfer</text>",
                                        ">796.0 ms</text>",
                                        ">skipped</text>",
                                        ">quiet at the end</text>",
                                        "authorize 2 us, dial 3.1 ms",
                                        "<title id=\"lt7\">",
                                        "<desc id=\"ld7\">",
                                        "aria-labelledby=\"lt7 ld7\"",
                                        "role=\"img\""};
    struct flow f;
    char *text;

    (void)state;
    sample_tunnel(&f);
    text = draw_ladder(&f);
    for (size_t i = 0; i < ARRAY_LEN(wants); i++)
        assert_has(text, wants[i]);
    assert_int_equal(count(text, "class=\"v-ok\""), 4); /* the skipped one has no bar */
    assert_int_equal(count(text, "class=\"v-failed\""), 0);
    assert_null(strstr(text, "style="));
    assert_well_formed(text);
    free(text);
    flow_fini(&f);
}

/* A flow of some phases, each with its length. */
static void make(struct flow *f, const uint64_t lengths_ns[3], enum verdict v)
{
    uint64_t at = 0;

    *f = (struct flow){0};
    flow_begin(f, SOURCE_EXPLAIN, 7, 0, SAMPLE_WALL_NS);
    for (unsigned i = 0; i < 3; i++) {
        flow_phase(f, i == 2 ? PHASE_TRANSFER : PHASE_CONNECT + i * 2, at);
        at += lengths_ns[i];
    }
    flow_end(f, v, SIDE_TARGET, CERTAINTY_INFERRED, at);
}

static void one_long_phase_leaves_room_for_the_others(void **state)
{
    static const struct {
        uint64_t lengths_ns[3];
        const char *first; /* the bar of the first phase */
        unsigned gaps;
    } cases[] = {
        {{10 * NS_PER_MS, 10 * NS_PER_MS, 20 * NS_PER_MS},
         "class=\"v-ok\" x=\"0%\" width=\"25%\"",
         0},
        {{10 * NS_PER_MS, 10 * NS_PER_MS, 600 * NS_PER_S},
         "class=\"v-ok\" x=\"0%\" width=\"27.50%\"",
         2},
        {{0, 0, 600 * NS_PER_S}, "class=\"v-ok\" x=\"0%\" width=\"0.80%\"", 0},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct flow f;
        char *text;

        make(&f, cases[i].lengths_ns, VERDICT_STALLED);
        text = draw_ladder(&f);
        assert_has(text, cases[i].first);
        assert_int_equal(count(text, "class=\"v-gap\""), cases[i].gaps);
        assert_int_equal(count(text, "class=\"v-failed\""), 1);
        assert_has(text, "class=\"v-bad\" x=\"100%\"");
        free(text);
        flow_fini(&f);
    }
}

static void evidence_with_a_time_is_marked(void **state)
{
    static const struct {
        const char *text;
        const char *x; /* NULL: no mark */
    } cases[] = {
        {"packet 9 at 0.020 s: never acknowledged", "x1=\"50%\""},
        {"first byte (at 10 ms, packet 3)", "x1=\"25%\""},
        {"at 20000 us", "x1=\"50%\""},
        {"at 90 s: beyond the end", NULL},
        {"look at 2 files", NULL},
        {"looked at 20.ms", NULL},
        {"that 20 ms", NULL},
        {"at 99999999999999999999 s", NULL},
        {"at ", NULL},
    };
    static const uint64_t lengths_ns[] = {10 * NS_PER_MS, 10 * NS_PER_MS, 20 * NS_PER_MS};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct flow f;
        char *text;

        make(&f, lengths_ns, VERDICT_OK);
        flow_evidence(&f, "no time");
        flow_evidence(&f, "%s", cases[i].text);
        text = draw_ladder(&f);
        assert_int_equal(count(text, "class=\"v-moment\""), cases[i].x != NULL);
        if (cases[i].x) {
            assert_has(text, cases[i].x);
            assert_has(text, ">2</text>"); /* the second piece of evidence */
        }
        free(text);
        flow_fini(&f);
    }
}

static void hostile_texts_stay_texts(void **state)
{
    struct flow f;
    char *text;

    (void)state;
    sample_hostile(&f);
    text = draw_ladder(&f);
    assert_true(sample_is_clean(span_of(text)));
    assert_null(strstr(text, "<b>"));
    assert_well_formed(text);
    free(text);
    flow_fini(&f);
}

static void an_open_flow_is_drawn_too(void **state)
{
    struct flow f = {0};
    char *text;

    (void)state;
    flow_begin(&f, SOURCE_CHECK, 7, 0, 0);
    text = draw_ladder(&f); /* nothing at all yet */
    assert_well_formed(text);
    free(text);
    flow_phase(&f, PHASE_CONNECT, 0);
    text = draw_ladder(&f);
    assert_has(text, "class=\"v-open\"");
    assert_well_formed(text);
    free(text);
    flow_fini(&f);
}

static void a_plot_shows_all_that_happened(void **state)
{
    static const struct svg_point points[] = {
        {1000, 100, false, SVG_DATA},     {50000, 4096, true, SVG_DATA},
        {100000, 8192, true, SVG_DATA},   {150000, 4096, true, SVG_RETRANSMITTED},
        {200000, 8192, true, SVG_CLOSED}, {400000, 8192, true, SVG_OPENED},
        {5000000, 100, false, SVG_FIN},   {10000000, 8192, true, SVG_RST},
    };
    static const char *const wants[] = {
        ">8.0 KiB, sent again: 1</text>", ">4 KiB</text>", ">FIN</text>", ">RST</text>",
        "class=\"v-closed\" x=\"2%\" width=\"2%\"",
        /* from 100 ms to 5 s, and on to the end */
        "class=\"v-quiet\" x=\"1%\" width=\"49%\"", "class=\"v-quiet\" x=\"50%\" width=\"50%\"",
        ">4.9 s</text>", "longest silence: 5.0 s", ">10 s</text>",
        "class=\"v-down-line\" d=\"M0 10000H50V5370H100V741H10000\""};
    struct svg_plot plot = {points, ARRAY_LEN(points), 0};
    char *text = draw_plot(&plot);

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(wants); i++)
        assert_has(text, wants[i]);
    assert_int_equal(count(text, "class=\"v-again\""), 1);
    assert_null(strstr(text, "style="));
    assert_well_formed(text);
    free(text);
}

static void plots_of_next_to_nothing(void **state)
{
    static const struct svg_point point = {UINT32_MAX, UINT64_MAX, true, SVG_CLOSED};
    static const struct svg_plot plots[] = {{NULL, 0, 0}, {&point, 1, 0}, {&point, 1, UINT64_MAX}};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(plots); i++) {
        char *text = draw_plot(&plots[i]);

        assert_well_formed(text);
        assert_true(strlen(text) < 32 * 1024);
        free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_ladder_has_a_row_a_phase),
        cmocka_unit_test(one_long_phase_leaves_room_for_the_others),
        cmocka_unit_test(evidence_with_a_time_is_marked),
        cmocka_unit_test(hostile_texts_stay_texts),
        cmocka_unit_test(an_open_flow_is_drawn_too),
        cmocka_unit_test(a_plot_shows_all_that_happened),
        cmocka_unit_test(plots_of_next_to_nothing),
    };

    return cmocka_run_group_tests(tests, sample_setup, NULL);
}
