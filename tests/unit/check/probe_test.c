/* check/probe: what it means that time is over, state by state. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/util.h"
#include "check/internal.h"

#define NEVER 0xff

static void note_end(struct probe *p)
{
    ++*(unsigned *)p->owner;
}

static void lateness_is_silence_or_not_yet(void **state)
{
    static const struct probe_signs none = {0}, up = {.hole_up = true}, down = {.hole_down = true};
    static const struct {
        enum probe_state state;
        enum phase phase;
        uint8_t sent_s, heard_s; /* ago; NEVER */
        const char *in;          /* what came and was not used */
        const struct probe_signs *signs;
        enum verdict want;
        enum side by;
        bool direct, draining, hung;
    } cases[] = {
        /* below five seconds it may still come */
        {PROBE_ANSWER, PHASE_ANSWER, 4, NEVER, "", &none, VERDICT_OPEN, SIDE_NOBODY},
        {PROBE_ANSWER, PHASE_ANSWER, 9, 4, "HTTP/1.1 2", &none, VERDICT_OPEN, SIDE_NOBODY},
        {PROBE_TLS, PHASE_TLS, 4, NEVER, "", &none, VERDICT_OPEN, SIDE_NOBODY},
        {PROBE_TLS, PHASE_TLS, 9, 4, "", &none, VERDICT_OPEN, SIDE_NOBODY},
        {PROBE_HELLO, PHASE_PROXY_TLS, 4, NEVER, "", &none, VERDICT_OPEN, SIDE_NOBODY},
        {PROBE_EXCHANGE, PHASE_EXCHANGE, 4, NEVER, "", &none, VERDICT_OPEN, SIDE_NOBODY},
        {PROBE_TRANSFER, PHASE_TRANSFER, 9, 4, "", &none, VERDICT_OPEN, SIDE_NOBODY},
        /* silence, and whose */
        {PROBE_ANSWER, PHASE_ANSWER, 6, NEVER, "", &none, VERDICT_PROXY_SILENT, SIDE_PROXY},
        {PROBE_ANSWER, PHASE_ANSWER, 9, 6, "HTTP/1.1 2", &none, VERDICT_STALLED, SIDE_PROXY},
        {PROBE_ANSWER, PHASE_ANSWER, 9, 6, "", &none, VERDICT_STALLED, SIDE_PROXY,
         .draining = true},
        {PROBE_HELLO, PHASE_PROXY_TLS, 6, NEVER, "", &none, VERDICT_PROXY_SILENT, SIDE_PROXY,
         .hung = true},
        {PROBE_TLS, PHASE_TLS, 6, NEVER, "", &none, VERDICT_STALLED, SIDE_PROXY, .hung = true},
        {PROBE_TLS, PHASE_TLS, 9, 6, "", &none, VERDICT_STALLED, SIDE_TARGET, .direct = true,
         .hung = true},
        {PROBE_EXCHANGE, PHASE_EXCHANGE, 6, NEVER, "", &none, VERDICT_STALLED, SIDE_PROXY},
        {PROBE_TRANSFER, PHASE_TRANSFER, 9, 6, "", &none, VERDICT_STALLED, SIDE_TARGET,
         .direct = true},
        /* a hole explains it, however short the time was */
        {PROBE_ANSWER, PHASE_ANSWER, 4, NEVER, "", &up, VERDICT_MTU_BLACKHOLE, SIDE_NETWORK},
        {PROBE_TLS, PHASE_TLS, 4, NEVER, "", &up, VERDICT_MTU_BLACKHOLE, SIDE_NETWORK,
         .hung = true},
        {PROBE_TLS, PHASE_TLS, 4, 4, "", &down, VERDICT_MTU_BLACKHOLE, SIDE_NETWORK, .hung = true},
        {PROBE_TRANSFER, PHASE_TRANSFER, 9, 4, "", &down, VERDICT_MTU_BLACKHOLE, SIDE_NETWORK},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        uint64_t now = clock_mono_ns();
        unsigned ends = 0;
        struct check c = {.loop = {.fd = -1, .now_ns = now}};
        struct probe p = {.check = &c,
                          .conn.fd = -1,
                          .state = (uint8_t)cases[i].state,
                          .through_proxy = !cases[i].direct,
                          .draining = cases[i].draining,
                          .signs = *cases[i].signs,
                          .sent_ns = now - cases[i].sent_s * NS_PER_S,
                          .state_ns = now - cases[i].sent_s * NS_PER_S,
                          .body_ns = now,
                          .deadline_ns = now,
                          .on_end = note_end,
                          .owner = &ends};

        if (cases[i].heard_s != NEVER)
            p.heard_ns = now - cases[i].heard_s * NS_PER_S;
        for (unsigned t = 0; t < PROBE_TRIES; t++)
            p.tries[t].fd = -1;
        wheel_init(&c.wheel, now);
        list_init(&c.run);
        buf_init(&p.in, PROBE_HEAD_MAX);
        buf_append(&p.in, cases[i].in, strlen(cases[i].in));
        flow_begin(&p.flow, SOURCE_CHECK, 1, now, 0);
        flow_phase(&p.flow, cases[i].phase, now);
        probe_timer(&p);
        assert_int_equal(ends, 1);
        if (p.flow.verdict != cases[i].want || p.flow.ended_by != cases[i].by)
            fail_msg("case %zu: %s by %s", i, verdict_get_info(p.flow.verdict)->name,
                     verdict_side_name(p.flow.ended_by));
        assert_int_equal(p.flow.ended_in, cases[i].phase);
        assert_int_equal(p.signs.tls_hung, cases[i].hung);
        probe_fini(&p);
    }
}

/* Below eight seconds of patience the probes beside it have not told yet. */
static void a_hello_has_a_third_of_the_time(void **state)
{
    static const struct {
        unsigned timeout_s, want_s;
    } cases[] = {{1, 8}, {15, 8}, {24, 8}, {27, 9}, {30, 10}, {300, 10}};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct check c = {.options = {.timeout_ns = cases[i].timeout_s * NS_PER_S}};

        assert_true(check_hello_patience(&c) == cases[i].want_s * NS_PER_S);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lateness_is_silence_or_not_yet),
        cmocka_unit_test(a_hello_has_a_third_of_the_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
