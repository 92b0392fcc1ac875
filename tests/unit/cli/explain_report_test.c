#include "cli/explain_report.h"

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
#include "capture/series.h"
#include "cli/explain_trouble.h"

static int english(void **state)
{
    (void)state;
    setenv("LC_ALL", "C", 1);
    unsetenv("LANGUAGE");
    return 0;
}

static void make(struct flow *f, uint64_t id, enum verdict v)
{
    *f = (struct flow){0};
    flow_begin(f, SOURCE_EXPLAIN, id, 0, 1795410000 * NS_PER_S);
    endpoint_parse(SPAN_LIT("10.40.40.1:40220"), &f->client);
    endpoint_parse(SPAN_LIT("10.10.10.1:3128"), &f->proxy);
    flow_set_text(&f->method, "CONNECT");
    flow_set_text(&f->target, "t\x1b.example:443");
    flow_phase(f, PHASE_ANSWER, 0);
    flow_end(f, v, SIDE_PROXY, CERTAINTY_SEEN, 5 * NS_PER_MS);
}

static void offer(struct explain_keep *k, struct flow *f)
{
    struct series *plot = calloc(1, sizeof *plot);

    explain_keep_count(k, f);
    explain_keep_offer(k, f, &plot);
    flow_fini(f);
    free(plot);
}

/* ---- what is kept */

static void the_worst_are_kept_and_the_rest_is_counted(void **state)
{
    static const enum verdict verdicts[] = {VERDICT_OK, VERDICT_ACL_DENIED, VERDICT_OPEN,
                                            VERDICT_STALLED};
    struct explain_keep k;
    struct flow f;

    (void)state;
    assert_true(explain_keep_init(&k, 10, 3));
    for (unsigned i = 0; i < 1000; i++) {
        make(&f, i + 1, verdicts[i % 4]);
        offer(&k, &f);
    }
    make(&f, 2000, VERDICT_AUTH_REQUIRED);
    f.superseded_by = 2001;
    offer(&k, &f);
    assert_int_equal(k.flows, 1001);
    assert_int_equal(k.failed, 500);
    assert_int_equal(k.superseded, 1);
    assert_int_equal(k.verdicts[VERDICT_OK], 250);
    assert_int_equal(k.verdicts[VERDICT_AUTH_REQUIRED], 0);
    assert_int_equal(k.len, 10);
    for (unsigned i = 0; i < k.len; i++) {
        assert_int_equal(k.items[i]->flow.verdict, VERDICT_STALLED);
        assert_int_equal(k.items[i]->flow.id, 4 + i * 4); /* the older ones */
        assert_int_equal(k.items[i]->plot != NULL, i < 3);
    }
    explain_keep_fini(&k);
}

/* A worse one that comes late takes a plot from one that was there. */
static void plots_are_the_worst_ones(void **state)
{
    struct explain_keep k;
    struct flow f;

    (void)state;
    assert_true(explain_keep_init(&k, 10, 1));
    make(&f, 1, VERDICT_OK);
    offer(&k, &f);
    make(&f, 2, VERDICT_STALLED);
    offer(&k, &f);
    assert_int_equal(k.items[0]->flow.id, 2);
    assert_non_null(k.items[0]->plot);
    assert_null(k.items[1]->plot);
    explain_keep_fini(&k);
}

/* ---- what is said */

static char *summarize(const struct explain_keep *k, bool failed, bool colour)
{
    static const char *const names[] = {"a\n.pcap", "b.pcap"};
    static const struct capture_seen seen = {.packets = 1234,
                                             .tcp = 1200,
                                             .first_ns = 1795410000 * NS_PER_S,
                                             .last_ns = 1795410312 * NS_PER_S};
    const struct explain_report r = {.seen = &seen,
                                     .keep = k,
                                     .names = names,
                                     .names_len = 2,
                                     .failed = failed,
                                     .colour = colour};
    struct buf out;
    char *text;

    buf_init(&out, 1 << 20);
    assert_true(explain_report_summary(&out, &r));
    text = span_dup(buf_span(&out));
    buf_fini(&out);
    return text;
}

static void assert_has(const char *text, const char *what)
{
    if (!strstr(text, what))
        fail_msg("\"%s\" is not in\n%s", what, text);
}

static void assert_has_not(const char *text, const char *what)
{
    if (strstr(text, what))
        fail_msg("\"%s\" is in\n%s", what, text);
}

static void a_summary_says_what_there_is(void **state)
{
    static const char *const wants[] = {
        "packets   1234, TCP 1200\n",
        "time      2026-11-23T05:00:00.000000Z, 0:05:12\n",
        "files     a\\x0a.pcap, b.pcap\n",
        "flows     5, failed: 2\n",
        "\n  mtu-blackhole                1  Large packets ",
        "\n  acl-denied                   1  An access rule ",
        "\n  ok                           2  The flow finished ",
        "407 that was answered by credentials, no failure: 1\n",
        "warnings, no failures: retransmissions 1\n",
        "\n#3 mtu-blackhole in answer by proxy (seen): why\n"
        "   CONNECT t\\x1b.example:443 from 10.40.40.1:40220 through 10.10.10.1:3128\n",
        "   - evidence 4\n   - more: 2 (--flow 3 shows all)\n",
        "\n#2 acl-denied in answer by proxy (seen)\n",
        "\n--flow N shows the ladder",
    };
    struct explain_keep k;
    struct flow f;
    char *text;

    (void)state;
    assert_true(explain_keep_init(&k, 100, 0));
    make(&f, 1, VERDICT_OK);
    offer(&k, &f);
    make(&f, 2, VERDICT_ACL_DENIED);
    offer(&k, &f);
    make(&f, 3, VERDICT_MTU_BLACKHOLE);
    flow_set_text(&f.reason, "why");
    flow_evidence(&f, "why"); /* it is said in the headline */
    for (unsigned i = 1; i <= 6; i++)
        flow_evidence(&f, "evidence %u", i);
    offer(&k, &f);
    make(&f, 4, VERDICT_OK);
    flow_warn(&f, WARNING_RETRANSMISSIONS, "2");
    offer(&k, &f);
    make(&f, 5, VERDICT_AUTH_REQUIRED);
    f.superseded_by = 6;
    offer(&k, &f);
    text = summarize(&k, false, false);
    for (size_t i = 0; i < ARRAY_LEN(wants); i++)
        assert_has(text, wants[i]);
    assert_true(strstr(text, "\n#3 ") < strstr(text, "\n#2 "));
    assert_has_not(text, "\n#1 ");
    assert_has_not(text, "\n#5 ");
    assert_has_not(text, "\x1b");
    free(text);
    text = summarize(&k, true, false);
    assert_has_not(text, "\n  ok ");
    assert_has_not(text, "retransmissions");
    assert_has(text, "\n#2 ");
    free(text);
    text = summarize(&k, false, true);
    assert_has(text, "\x1b[31mmtu-blackhole");
    assert_has(text, "\x1b[32mok");
    free(text);
    explain_keep_fini(&k);
}

static void what_is_left_out_is_said(void **state)
{
    struct explain_keep k;
    struct flow f;
    char *text;

    (void)state;
    assert_true(explain_keep_init(&k, 20, 0));
    for (unsigned i = 1; i <= 50; i++) {
        make(&f, i, VERDICT_ACL_DENIED);
        offer(&k, &f);
    }
    text = summarize(&k, false, false);
    assert_has(text, "\n#10 ");
    assert_has_not(text, "\n#11 ");
    assert_has(text, "\nfailed flows left out here: 40 (--failed shows them)\n");
    free(text);
    text = summarize(&k, true, false);
    assert_has(text, "\n#20 ");
    assert_has(text, "\nfailed flows left out here: 30 (--failed --json prints all)\n");
    free(text);
    explain_keep_fini(&k);
}

/* The advice stands once where one flow after the other has the same. */
static void the_same_is_not_said_twice(void **state)
{
    const char *advice = verdict_get_info(VERDICT_ACL_DENIED)->advice, *first;
    struct explain_keep k;
    struct flow f;
    char *text;

    (void)state;
    assert_true(explain_keep_init(&k, 20, 0));
    for (unsigned i = 1; i <= 3; i++) {
        make(&f, i, VERDICT_ACL_DENIED);
        offer(&k, &f);
    }
    text = summarize(&k, false, false);
    first = strstr(text, advice);
    assert_non_null(first);
    assert_null(strstr(first + 1, advice));
    free(text);
    explain_keep_fini(&k);
}

static void one_flow_is_a_ladder(void **state)
{
    struct explain_keep k;
    struct flow f;
    char *text;

    (void)state;
    assert_true(explain_keep_init(&k, 20, 0));
    make(&f, 1, VERDICT_OK);
    offer(&k, &f);
    text = summarize(&k, false, false);
    assert_has(text, "flow 0000000000000001\n");
    assert_has(text, "  answer ");
    free(text);
    text = summarize(&k, true, false); /* and it did not fail */
    assert_has_not(text, "  answer ");
    free(text);
    explain_keep_fini(&k);
    assert_true(explain_keep_init(&k, 20, 0));
    text = summarize(&k, false, false);
    assert_has(text, "flows     0, failed: 0\n");
    free(text);
    explain_keep_fini(&k);
}

/* ---- trouble */

static char *write_trouble(const struct capture_seen *seen, const struct explain_keep *k)
{
    static const struct explain_counts counts = {0};
    const struct explain_trouble t = {
        .seen = seen, .counts = &counts, .keep = k, .trouble = seen->trouble};
    struct buf out;
    char *text;

    buf_init(&out, 1 << 20);
    assert_true(explain_trouble_write(&out, &t));
    text = span_dup(buf_span(&out));
    buf_fini(&out);
    return text;
}

static void trouble_comes_with_the_command_that_helps(void **state)
{
    static const struct {
        struct capture_seen seen;
        const char *want; /* "": nothing is said */
    } cases[] = {
        {{.packets = 9, .tcp = 9}, ""},
        {{.packets = 9, .tcp = 9, .trouble = "a\x1b: it ends"},
         "viaduct explain: warning: a\\x1b: it ends\n"},
        {{.packets = 9, .tcp = 9, .truncated = true},
         "viaduct explain: warning: a file ends in the middle of a packet; it was read that far\n"},
        {{.packets = 9, .tcp = 9, .cut = 3, .snaplen = 96},
         "viaduct explain: warning: packets of which the capture has only the first bytes: 3 of 9, "
         "snaplen 96; names, heads and TLS behind them cannot be read\n"
         "viaduct explain: a capture that shows more: tcpdump -i any -s 0 -w capture.pcap '(host "
         "10.10.10.1 and tcp port 3128) or icmp or icmp6'\n"},
        {{.packets = 9, .tcp = 9, .dropped = 5},
         "viaduct explain: warning: packets dropped while the capture was taken: 5\n"
         "viaduct explain: a capture that shows more: tcpdump -i any -s 0 -B 65536 -w capture.pcap "
         "'(host 10.10.10.1 and tcp port 3128) or icmp or icmp6'\n"},
        {{.packets = 9, .tcp = 9, .back_steps = 2},
         "viaduct explain: warning: times that the capture's clock ran back: 2\n"},
    };
    struct explain_keep k;
    struct flow f;

    (void)state;
    assert_true(explain_keep_init(&k, 20, 0));
    for (unsigned i = 1; i <= 2; i++) {
        make(&f, i, VERDICT_OK);
        offer(&k, &f);
    }
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char *text = write_trouble(&cases[i].seen, &k);

        assert_string_equal(text, cases[i].want);
        free(text);
    }
    explain_keep_fini(&k);
}

/* A filter by proxy would leave flows out that go direct. */
static void the_command_leaves_nothing_out(void **state)
{
    static const struct capture_seen seen = {.packets = 9, .tcp = 9, .dropped = 5};
    struct explain_keep k;
    struct flow f;
    char *text;

    (void)state;
    assert_true(explain_keep_init(&k, 20, 0));
    make(&f, 1, VERDICT_OK);
    f.proxy = (struct endpoint){0};
    offer(&k, &f);
    text = write_trouble(&seen, &k);
    assert_has(text, "-w capture.pcap 'tcp or icmp or icmp6'\n");
    free(text);
    explain_keep_fini(&k);
    assert_true(explain_keep_init(&k, 20, 0));
    for (unsigned i = 1; i <= 4; i++) {
        make(&f, i, VERDICT_OK);
        f.proxy.port = (uint16_t)i;
        offer(&k, &f);
    }
    text = write_trouble(&seen, &k);
    assert_has(text, "-w capture.pcap 'tcp or icmp or icmp6'\n");
    free(text);
    explain_keep_fini(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_worst_are_kept_and_the_rest_is_counted),
        cmocka_unit_test(plots_are_the_worst_ones),
        cmocka_unit_test(a_summary_says_what_there_is),
        cmocka_unit_test(what_is_left_out_is_said),
        cmocka_unit_test(the_same_is_not_said_twice),
        cmocka_unit_test(one_flow_is_a_ladder),
        cmocka_unit_test(trouble_comes_with_the_command_that_helps),
        cmocka_unit_test(the_command_leaves_nothing_out),
    };

    return cmocka_run_group_tests(tests, english, NULL);
}
