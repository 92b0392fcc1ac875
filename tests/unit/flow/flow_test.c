#include "flow/flow.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/util.h"

#define T0 5000000000ull /* where the source's clock stood */

/* The linker sends the module's realloc here (--wrap), so that memory can run out. */
void *__real_realloc(void *old, size_t len);
void *__wrap_realloc(void *old, size_t len);
static bool memory_is_out;

void *__wrap_realloc(void *old, size_t len)
{
    return memory_is_out ? NULL : __real_realloc(old, len);
}

static void begin(struct flow *f)
{
    *f = (struct flow){0};
    flow_begin(f, SOURCE_CHECK, 0x5f2c, T0, 1700000000ull * 1000000000);
}

static void begins_open(void **state)
{
    struct flow f;

    (void)state;
    begin(&f);
    assert_int_equal(f.source, SOURCE_CHECK);
    assert_int_equal(f.verdict, VERDICT_OPEN);
    assert_int_equal(f.id, 0x5f2c);
    flow_end(&f, VERDICT_PROXY_UNRESOLVED, SIDE_NETWORK, CERTAINTY_SEEN, T0 + 7);
    assert_int_equal(f.ended_in, PHASE_RESOLVE);
    assert_int_equal(f.outcomes[PHASE_RESOLVE], OUTCOME_NONE); /* it never opened one */
    flow_fini(&f);
}

static void phases_follow_each_other(void **state)
{
    struct flow f;

    (void)state;
    begin(&f);
    flow_skip(&f, PHASE_RESOLVE, OUTCOME_SKIPPED);
    flow_phase(&f, PHASE_CONNECT, T0 + 10);
    flow_phase(&f, PHASE_CONNECT, T0 + 20); /* entering again: nothing */
    flow_phase(&f, PHASE_REQUEST, T0 + 50);
    flow_end(&f, VERDICT_RESET_BY_PROXY, SIDE_PROXY, CERTAINTY_SEEN, T0 + 80);

    assert_int_equal(f.outcomes[PHASE_RESOLVE], OUTCOME_SKIPPED);
    assert_int_equal(f.outcomes[PHASE_CONNECT], OUTCOME_OK);
    assert_int_equal(f.phases[PHASE_CONNECT].start_ns, 10);
    assert_int_equal(f.phases[PHASE_CONNECT].duration_ns, 40);
    assert_int_equal(f.outcomes[PHASE_PROXY_TLS], OUTCOME_NONE);
    assert_int_equal(f.outcomes[PHASE_REQUEST], OUTCOME_FAILED);
    assert_int_equal(f.phases[PHASE_REQUEST].duration_ns, 30);
    assert_int_equal(f.ended_in, PHASE_REQUEST);
    assert_int_equal(f.ended_by, SIDE_PROXY);
    assert_int_equal(f.duration_ns, 80);
    flow_fini(&f);
}

static void success_leaves_the_last_phase_ok(void **state)
{
    static const struct {
        enum verdict verdict;
        enum outcome want;
    } cases[] = {
        {VERDICT_OK, OUTCOME_OK},
        {VERDICT_OPEN, OUTCOME_OK},
        {VERDICT_TARGET_ERROR, OUTCOME_OK},
        {VERDICT_STALLED, OUTCOME_FAILED},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct flow f;

        begin(&f);
        flow_phase(&f, PHASE_TRANSFER, T0);
        flow_end(&f, cases[i].verdict, SIDE_TARGET, CERTAINTY_INFERRED, T0);
        assert_int_equal(f.outcomes[PHASE_TRANSFER], cases[i].want);
        assert_int_equal(f.verdict, cases[i].verdict);
        assert_int_equal(f.certainty, CERTAINTY_INFERRED);
        flow_fini(&f);
    }
}

static void a_phase_entered_again_keeps_its_start(void **state)
{
    struct flow f;

    (void)state;
    begin(&f);
    flow_phase(&f, PHASE_REQUEST, T0 + 10);
    flow_phase(&f, PHASE_ANSWER, T0 + 20);
    flow_phase(&f, PHASE_REQUEST, T0 + 30);
    flow_phase(&f, PHASE_ANSWER, T0 + 40);
    assert_int_equal(f.phases[PHASE_REQUEST].start_ns, 10);
    assert_int_equal(f.phases[PHASE_REQUEST].duration_ns, 30);
    assert_int_equal(f.phases[PHASE_ANSWER].start_ns, 20);
    flow_fini(&f);
}

static void time_never_runs_backwards(void **state)
{
    struct flow f;

    (void)state;
    begin(&f);
    flow_phase(&f, PHASE_CONNECT, T0 - 10);
    flow_phase(&f, PHASE_REQUEST, T0 + 10);
    flow_end(&f, VERDICT_OK, SIDE_CLIENT, CERTAINTY_SEEN, T0 + 5);
    assert_int_equal(f.phases[PHASE_CONNECT].start_ns, 0);
    assert_int_equal(f.phases[PHASE_REQUEST].duration_ns, 0);
    assert_int_equal(f.duration_ns, 5);
    flow_fini(&f);
}

static void steps_tell_not_made_from_no_time(void **state)
{
    struct flow f;

    (void)state;
    begin(&f);
    flow_step(&f, STEP_KIND_DIAL, 0);
    flow_step(&f, STEP_KIND_RESOLVE, 3999);
    flow_step(&f, STEP_KIND_PARENT, UINT64_MAX);
    assert_int_equal(f.step_us[STEP_KIND_AUTHENTICATE], 0);
    assert_int_equal(f.step_us[STEP_KIND_DIAL], 1);
    assert_int_equal(f.step_us[STEP_KIND_RESOLVE], 4);
    assert_int_equal(f.step_us[STEP_KIND_PARENT], UINT32_MAX);
    flow_fini(&f);
}

static void notes_come_back_in_order(void **state)
{
    struct flow f;
    uint32_t at = 0;
    unsigned index = 99;

    (void)state;
    begin(&f);
    flow_evidence(&f, "first %d", 1);
    flow_note(&f, NOTE_PHASE, PHASE_TLS, "TLSv1.3");
    flow_evidence(&f, "%s", "");
    flow_warn(&f, WARNING_SLOW_DNS, "%d ms", 900);
    flow_note(&f, NOTE_PHASE, PHASE_TLS, "TLSv1.2");
    flow_note(&f, NOTE_PHASE, PHASE_ANSWER, "200");

    assert_string_equal(flow_next_note(&f, NOTE_EVIDENCE, NULL, &at), "first 1");
    assert_string_equal(flow_next_note(&f, NOTE_EVIDENCE, NULL, &at), "");
    assert_null(flow_next_note(&f, NOTE_EVIDENCE, NULL, &at));
    at = 0;
    assert_string_equal(flow_next_note(&f, NOTE_WARNING, &index, &at), "900 ms");
    assert_int_equal(index, WARNING_SLOW_DNS);
    assert_int_equal(f.warnings, 1u << WARNING_SLOW_DNS);
    assert_string_equal(flow_find_note(&f, NOTE_PHASE, PHASE_TLS), "TLSv1.2");
    assert_string_equal(flow_find_note(&f, NOTE_PHASE, PHASE_CLOSE), "");
    flow_fini(&f);
}

/* 512 bytes stay whole, more is cut, and never inside a character. */
static void notes_are_cut(void **state)
{
    char text[1200];
    struct flow f;

    (void)state;
    for (size_t len = 505; len < 520; len++) {
        begin(&f);
        memset(text, 'x', len);
        text[len] = '\0';
        flow_evidence(&f, "%s", text);
        assert_int_equal(strlen(flow_find_note(&f, NOTE_EVIDENCE, 0)), len < 512 ? len : 512);
        flow_fini(&f);
    }
    begin(&f);
    text[0] = 'x';
    for (size_t i = 1; i + 2 < sizeof text; i += 3)
        memcpy(text + i, "\xe9\x81\x93", 3);
    text[1198] = '\0';
    flow_evidence(&f, "%s", text);
    assert_int_equal(strlen(flow_find_note(&f, NOTE_EVIDENCE, 0)), 511);
    flow_fini(&f);
}

static void passwords_in_urls_are_hidden(void **state)
{
    static const struct {
        const char *text, *want;
    } cases[] = {
        {"302 https://u:secret@h.example:8443/a:b@c", "302 https://u:*@h.example:8443/a:b@c"},
        {"\"http://u:s@e:cret@h\" and ftp://v:secret@h", "\"http://u:*@h\" and ftp://v:*@h"},
        {"https://u@h/ and https://h:443/", "https://u@h/ and https://h:443/"},
        {"http://[2001:db8::1]:80/", "http://[2001:db8::1]:80/"},
        {"http://h:80", "http://h:80"},
        {"http://[2001:db8::1]", "http://[2001:db8::1]"},
        {"://", "://"},
    };
    char longer[2048], want[1024];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct flow f = {0};

        flow_note(&f, NOTE_REDIRECT, 0, "%s", cases[i].text);
        assert_string_equal(flow_find_note(&f, NOTE_REDIRECT, 0), cases[i].want);
        flow_fini(&f);
    }
    for (unsigned n = 490; n < 515; n++) { /* the cut comes before, within and behind it */
        struct flow f = {0};

        snprintf(longer, sizeof longer, "%0*d http://u:secret@h/%0600d", (int)n, 0, 0);
        snprintf(want, sizeof want, "%0*d http://u:*@h/", (int)n, 0);
        flow_note(&f, NOTE_EVIDENCE, 0, "%s", longer);
        assert_null(strstr(flow_find_note(&f, NOTE_EVIDENCE, 0), "s"));
        assert_memory_equal(flow_find_note(&f, NOTE_EVIDENCE, 0), want, n < 512 ? n : 512);
        flow_fini(&f);
    }
}

static void notes_have_a_ceiling(void **state)
{
    struct flow f;

    (void)state;
    begin(&f);
    for (int i = 0; i < 10000; i++)
        flow_evidence(&f, "item %d of many", i);
    assert_true(f.notes.cap <= 128 * 1024);
    flow_fini(&f);
}

static void without_memory_a_note_is_left_out(void **state)
{
    struct flow f;
    uint32_t at = 0;

    (void)state;
    begin(&f);
    memory_is_out = true;
    flow_evidence(&f, "lost");
    flow_warn(&f, WARNING_REDIRECT, "lost too");
    memory_is_out = false;
    flow_evidence(&f, "kept");
    assert_string_equal(flow_next_note(&f, NOTE_EVIDENCE, NULL, &at), "kept");
    assert_null(flow_next_note(&f, NOTE_EVIDENCE, NULL, &at));
    assert_int_equal(f.warnings, 1u << WARNING_REDIRECT);
    memory_is_out = true;
    for (int i = 0; i < 100; i++)
        flow_evidence(&f, "more %d", i); /* fills what is there, then stops */
    memory_is_out = false;
    assert_true(f.notes.len <= f.notes.cap);
    flow_fini(&f);
}

static void texts_are_copies(void **state)
{
    char text[] = "example.com:443";
    struct flow f;

    (void)state;
    begin(&f);
    flow_set_text(&f.target, text);
    flow_set_span(&f.rule, (struct span){text, 7});
    text[0] = 'X';
    assert_string_equal(f.target, "example.com:443");
    assert_string_equal(f.rule, "example");
    flow_set_text(&f.target, NULL);
    assert_null(f.target);
    flow_set_span(&f.rule, (struct span){NULL, 0});
    assert_null(f.rule);
    flow_fini(&f);
}

static void a_copy_is_a_flow_of_its_own(void **state)
{
    struct flow f = {0}, copy = {0};

    (void)state;
    begin(&f);
    flow_set_text(&f.target, "a.test:443");
    flow_set_text(&f.user, "alice");
    flow_evidence(&f, "one");
    f.tls = calloc(1, sizeof *f.tls);
    flow_set_text(&f.tls->sni, "a.test");
    assert_true(flow_copy(&copy, &f));
    flow_evidence(&f, "two");
    flow_set_text(&f.tls->sni, "b.test");
    flow_fini(&f);
    assert_string_equal(copy.target, "a.test:443");
    assert_string_equal(copy.user, "alice");
    assert_null(copy.url);
    assert_string_equal(copy.tls->sni, "a.test");
    assert_null(copy.tls->alpn);
    assert_string_equal(flow_find_note(&copy, NOTE_EVIDENCE, 0), "one");
    flow_fini(&copy);
}

static void fini_frees_all_and_may_come_twice(void **state)
{
    static const struct flow nothing;
    struct flow f;

    (void)state;
    begin(&f);
    flow_set_text(&f.target, "t");
    flow_set_text(&f.parent, "p");
    flow_set_text(&f.method, "m");
    flow_set_text(&f.url, "u");
    flow_set_text(&f.user, "u");
    flow_set_text(&f.rule, "r");
    flow_set_text(&f.reason, "r");
    f.tls = calloc(1, sizeof *f.tls);
    flow_set_text(&f.tls->sni, "s");
    flow_set_text(&f.tls->version, "v");
    flow_set_text(&f.tls->cipher, "c");
    flow_set_text(&f.tls->issuer, "i");
    flow_set_text(&f.tls->alpn, "a");
    flow_evidence(&f, "e");
    flow_fini(&f);
    assert_memory_equal(&f, &nothing, sizeof f);
    flow_fini(&f);
}

static void names_are_the_published_ones(void **state)
{
    static const char *const warnings[] = {
        "retransmissions", "zero-window",      "small-mss",          "fragmented", "slow-dns",
        "slow-target",     "inspection-delay", "idle-closed",        "weak-auth",  "tls-untrusted",
        "redirect",        "mtu-healed",       "capture-incomplete",
    };

    (void)state;
    assert_int_equal(ARRAY_LEN(warnings), WARNING_COUNT);
    for (unsigned w = 0; w < WARNING_COUNT; w++) {
        assert_string_equal(flow_warning_name((enum warning)w), warnings[w]);
        assert_true(*flow_warning_sentence((enum warning)w));
    }
    assert_string_equal(flow_source_name(SOURCE_SERVE), "serve");
    assert_string_equal(flow_source_name(SOURCE_CHECK), "check");
    assert_string_equal(flow_source_name(SOURCE_EXPLAIN), "explain");
}

/* A phase that is over before the next one begins: the time between is nobody's. */
static void a_phase_may_be_left_before_the_next(void **state)
{
    struct flow f = {0};

    (void)state;
    flow_begin(&f, SOURCE_EXPLAIN, 1, 1000, 0);
    flow_phase(&f, PHASE_CONNECT, 1000);
    flow_leave(&f, OUTCOME_OK, 1200);
    flow_phase(&f, PHASE_REQUEST, 5000);
    flow_leave(&f, OUTCOME_FAILED, 6000);
    flow_end(&f, VERDICT_STALLED, SIDE_PROXY, CERTAINTY_SEEN, 9000);
    assert_int_equal(f.phases[PHASE_CONNECT].duration_ns, 200);
    assert_int_equal(f.outcomes[PHASE_CONNECT], OUTCOME_OK);
    assert_int_equal(f.phases[PHASE_REQUEST].start_ns, 4000);
    assert_int_equal(f.phases[PHASE_REQUEST].duration_ns, 1000);
    assert_int_equal(f.outcomes[PHASE_REQUEST], OUTCOME_FAILED);
    assert_int_equal(f.ended_in, PHASE_REQUEST);
    assert_int_equal(f.duration_ns, 8000);
    flow_fini(&f);
}

static void notes_made_apart_are_added(void **state)
{
    struct flow a = {0}, b = {0};
    uint32_t at = 0;

    (void)state;
    flow_evidence(&a, "first");
    flow_warn(&a, WARNING_REDIRECT, "elsewhere");
    flow_evidence(&b, "before");
    flow_add_notes(&b, &a.notes);
    flow_add_notes(&b, &(struct notes){0});
    assert_string_equal(flow_next_note(&b, NOTE_EVIDENCE, NULL, &at), "before");
    assert_string_equal(flow_next_note(&b, NOTE_EVIDENCE, NULL, &at), "first");
    assert_string_equal(flow_find_note(&b, NOTE_WARNING, WARNING_REDIRECT), "elsewhere");
    flow_fini(&a);
    flow_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_phase_may_be_left_before_the_next),
        cmocka_unit_test(notes_made_apart_are_added),
        cmocka_unit_test(begins_open),
        cmocka_unit_test(phases_follow_each_other),
        cmocka_unit_test(success_leaves_the_last_phase_ok),
        cmocka_unit_test(a_phase_entered_again_keeps_its_start),
        cmocka_unit_test(time_never_runs_backwards),
        cmocka_unit_test(steps_tell_not_made_from_no_time),
        cmocka_unit_test(notes_come_back_in_order),
        cmocka_unit_test(notes_are_cut),
        cmocka_unit_test(passwords_in_urls_are_hidden),
        cmocka_unit_test(notes_have_a_ceiling),
        cmocka_unit_test(without_memory_a_note_is_left_out),
        cmocka_unit_test(texts_are_copies),
        cmocka_unit_test(a_copy_is_a_flow_of_its_own),
        cmocka_unit_test(fini_frees_all_and_may_come_twice),
        cmocka_unit_test(names_are_the_published_ones),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
