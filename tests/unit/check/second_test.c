/* check/second and check/intercepted: what two probes tell that one does not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/util.h"
#include "check/intercepted.h"
#include "check/internal.h"
#include "check/second.h"

static void end_flow(struct flow *f, enum verdict v, bool through)
{
    flow_begin(f, SOURCE_CHECK, 1, 0, 0);
    flow_phase(f, PHASE_TLS, 0);
    if (through) {
        f->tls = calloc(1, sizeof *f->tls);
        flow_set_text(&f->tls->version, "TLSv1.3");
    }
    flow_end(f, v, SIDE_PROXY, CERTAINTY_SEEN, 1);
}

static void two_probes_tell_more(void **state)
{
    static const struct probe_signs
        hung = {.tls_hung = true},
        broke = {.tls_broke = true}, hole = {.hole_down = true}, none = {0},
        mute = {.proxy_mute = true}, spoke = {.proxy_spoke_tls = true},
        cut = {.cut = true, .cut_at = 5000000, .cut_ns = 3 * NS_PER_S},
        close_by = {.cut = true, .cut_at = 5016000, .cut_ns = 9 * NS_PER_S},
        same_time = {.cut = true, .cut_at = 7000000, .cut_ns = 3 * NS_PER_S + NS_PER_S / 2},
        steady = {.cut = true, .cut_at = 5000100, .cut_ns = 3 * NS_PER_S + NS_PER_MS},
        elsewhere = {.cut = true, .cut_at = 9000000, .cut_ns = 9 * NS_PER_S};
    static const struct {
        const struct probe_signs *first, *second;
        enum verdict before, other, after;
        bool through;
    } cases[] = {
        /* a large ClientHello hangs: the small one passes, or not */
        {&hung, &none, VERDICT_STALLED, VERDICT_OK, VERDICT_MTU_BLACKHOLE, true},
        {&hung, &none, VERDICT_STALLED, VERDICT_TLS_UNTRUSTED, VERDICT_MTU_BLACKHOLE, true},
        {&hung, &hung, VERDICT_STALLED, VERDICT_STALLED, VERDICT_STALLED, false},
        {&hung, &hung, VERDICT_MTU_BLACKHOLE, VERDICT_STALLED, VERDICT_STALLED, false},
        {&broke, &none, VERDICT_RESET_BY_PROXY, VERDICT_OK, VERDICT_RESET_BY_PROXY, true},
        {&broke, &broke, VERDICT_TLS_FAILED, VERDICT_TLS_FAILED, VERDICT_TLS_FAILED, false},
        /* a hole: confirmed by small segments that come through, excluded by ones that do not */
        {&hole, &none, VERDICT_MTU_BLACKHOLE, VERDICT_OK, VERDICT_MTU_BLACKHOLE, true},
        {&hole, &hole, VERDICT_MTU_BLACKHOLE, VERDICT_STALLED, VERDICT_STALLED, true},
        /* two cuts */
        {&cut, &close_by, VERDICT_INCOMPLETE, VERDICT_INCOMPLETE, VERDICT_SIZE_LIMIT, true},
        {&cut, &same_time, VERDICT_INCOMPLETE, VERDICT_INCOMPLETE, VERDICT_LIFETIME_LIMIT, true},
        {&cut, &steady, VERDICT_INCOMPLETE, VERDICT_INCOMPLETE, VERDICT_LIFETIME_LIMIT, true},
        {&cut, &elsewhere, VERDICT_INCOMPLETE, VERDICT_INCOMPLETE, VERDICT_INCOMPLETE, true},
        {&cut, &none, VERDICT_INCOMPLETE, VERDICT_OK, VERDICT_OK, true},
        {&cut, &none, VERDICT_INCOMPLETE, VERDICT_PROXY_REFUSED, VERDICT_INCOMPLETE, false},
        {&cut, &none, VERDICT_INCOMPLETE, VERDICT_OPEN, VERDICT_INCOMPLETE, true},
        /* a port that hangs up */
        {&mute, &spoke, VERDICT_RESET_BY_PROXY, VERDICT_OK, VERDICT_NOT_A_PROXY, false},
        {&mute, &none, VERDICT_PROXY_SILENT, VERDICT_PROXY_TLS_FAILED, VERDICT_PROXY_SILENT, false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct probe first = {.signs = *cases[i].first, .tls_hello = 1700};
        struct probe other = {.signs = *cases[i].second, .tls_hello = 250};
        struct second s = {0};
        struct probe_wish wish;

        end_flow(&first.flow, cases[i].before, false);
        end_flow(&other.flow, cases[i].other, cases[i].through);
        assert_true(second_is_wanted(&first, &wish));
        assert_int_equal(wish.small_hello, cases[i].first->tls_hung || cases[i].first->tls_broke ||
                                               cases[i].first->hole_down);
        second_begin(&s, &first);
        second_explain(&s, &other);
        if (other.flow.verdict != cases[i].after)
            fail_msg("case %zu: %s", i, verdict_get_info(other.flow.verdict)->name);
        assert_int_equal(s.why, SECOND_NONE);
        flow_fini(&other.flow);
        flow_fini(&first.flow);
    }
}

static void an_end_that_tells_all_wants_no_second(void **state)
{
    struct probe p = {0};
    struct probe_wish wish;

    (void)state;
    assert_false(second_is_wanted(&p, &wish));
}

static void one_issuer_for_unrelated_targets_is_an_inspector(void **state)
{
    static const struct {
        const char *target, *issuer;
        bool is_local;
        enum verdict want;
    } cases[] = {
        {"a.example.com:443", "CN=Corp", true, VERDICT_TLS_INTERCEPTED},
        {"b.example.org:443", "CN=Corp", true, VERDICT_TLS_INTERCEPTED},
        {"c.example.net:443", "CN=Public", false, VERDICT_OK}, /* a CA of the system's */
        {"d.example.edu:443", "CN=Public", false, VERDICT_OK},
        {"x.intra.example:443", "CN=Own", true, VERDICT_OK}, /* one owner's own CA */
        {"y.intra.example:443", "CN=Own", true, VERDICT_OK},
    };
    struct check_result results[ARRAY_LEN(cases)] = {0};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct check_result *r = &results[i];

        end_flow(&r->flow, VERDICT_OK, true);
        flow_set_text(&r->flow.target, cases[i].target);
        r->certificate.verified = true;
        r->certificate.is_local = cases[i].is_local;
        snprintf(r->certificate.issuer, sizeof r->certificate.issuer, "%s", cases[i].issuer);
    }
    intercepted_judge(results, ARRAY_LEN(results));
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_int_equal(results[i].flow.verdict, cases[i].want);
        flow_fini(&results[i].flow);
    }
}

static void a_known_inspector_is_named(void **state)
{
    struct certificate c = {.verified = true, .inspector = "Zscaler"};
    struct flow f = {0};

    (void)state;
    end_flow(&f, VERDICT_OK, true);
    intercepted_judge_one(&f, &c);
    assert_int_equal(f.verdict, VERDICT_TLS_INTERCEPTED);
    assert_int_equal(f.ended_in, PHASE_TLS);
    assert_string_equal(f.reason, "Zscaler");
    flow_fini(&f);
}

/* A small probe beside the first: proof only where the first is silent for much longer. */
static void a_probe_beside_tells_slow_from_lost(void **state)
{
    struct check c = {.loop.now_ns = 20 * NS_PER_S};
    static struct url url;
    struct probe p = {.check = &c, .url = &url, .through_proxy = true, .sent_ns = 14 * NS_PER_S};
    struct probe beside = {.state = PROBE_TRANSFER};
    struct probe_wish wish;
    unsigned index;
    uint32_t at = 0;

    (void)state;
    assert_false(second_goes_beside(&p, &wish));
    p.signs.mute = true;
    assert_true(second_goes_beside(&p, &wish));
    assert_true(wish.beside && wish.small_hello && wish.mss > 0 && wish.mss < 1200);
    assert_false(second_has_passed(&beside));
    beside.down.payload = 65536;
    assert_true(second_has_passed(&beside));
    beside.state = PROBE_ENDED;
    beside.flow.verdict = VERDICT_OPEN;
    assert_false(second_has_passed(&beside));
    beside.flow.verdict = VERDICT_TARGET_ERROR;
    assert_true(second_has_passed(&beside));
    assert_true(second_is_slower(&p, NS_PER_S));
    assert_false(second_is_slower(&p, 4 * NS_PER_S)); /* it is slow as well */
    p.signs.mute = false;
    assert_false(second_is_slower(&p, NS_PER_S)); /* something came meanwhile */
    end_flow(&p.flow, VERDICT_STALLED, false);
    second_explain_beside(&p, &beside, &(struct second_beside){0});
    assert_non_null(strstr(flow_next_note(&p.flow, NOTE_EVIDENCE, &index, &at), "as well"));
    assert_non_null(strstr(flow_next_note(&p.flow, NOTE_EVIDENCE, &index, &at), "own host"));
    flow_fini(&p.flow);
    end_flow(&p.flow, VERDICT_OK, false);
    second_explain_beside(&p, &beside, &(struct second_beside){.took_ns = NS_PER_S});
    at = 0;
    assert_null(flow_next_note(&p.flow, NOTE_EVIDENCE, &index, &at));
    flow_fini(&p.flow);
}

/* One that is as large as the first hangs where the first does, and for long enough. */
static void a_control_hangs_only_where_something_is_awaited(void **state)
{
    struct check c = {.loop.now_ns = 20 * NS_PER_S};
    static struct url url = {.tls = true};
    struct probe p = {.check = &c, .url = &url, .sent_ns = 18 * NS_PER_S, .state = PROBE_TLS};

    (void)state;
    assert_true(second_control(&p).handshake && second_control(&p).mss == 0);
    assert_true(second_control_hangs(&p, 0));
    assert_false(second_control_hangs(&p, NS_PER_S)); /* twice that may be slowness */
    p.sent_ns = c.loop.now_ns - NS_PER_S / 2;
    assert_false(second_control_hangs(&p, 0));
    p.sent_ns = 0;
    p.state = PROBE_DIAL;
    assert_false(second_control_hangs(&p, 0));
    p.state = PROBE_ANSWER; /* of CONNECT */
    assert_false(second_control_hangs(&p, 0));
    p.state = PROBE_ENDED;
    assert_false(second_control_hangs(&p, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_probes_tell_more),
        cmocka_unit_test(an_end_that_tells_all_wants_no_second),
        cmocka_unit_test(one_issuer_for_unrelated_targets_is_an_inspector),
        cmocka_unit_test(a_known_inspector_is_named),
        cmocka_unit_test(a_probe_beside_tells_slow_from_lost),
        cmocka_unit_test(a_control_hangs_only_where_something_is_awaited),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
