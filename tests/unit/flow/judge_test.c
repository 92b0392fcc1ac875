#include "flow/judge.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/util.h"

/* Symptoms that many cases share. */
#define TLS .is_tls = true, .hello_client = true, .hello_target = true
#define BYTES .bytes_up = 500, .bytes_down = 9000
#define FIN(who) .end = STREAM_END_FIN, .first = SIDE_##who, .fin_client = true, .fin_target = true
#define RST(who) .end = STREAM_END_RST, .first = SIDE_##who
#define IDLE .end = STREAM_END_IDLE, .idle_timer = "idle-timeout", .idle_ns = 61 * NS_PER_S
#define FRAMES(up, down) .frame_up = STREAM_FRAME_##up, .frame_down = STREAM_FRAME_##down

#define SEEN CERTAINTY_SEEN
#define INFERRED CERTAINTY_INFERRED

struct judge_case {
    const char *what;
    struct symptoms s;
    struct ending want;
    const char *evidence; /* must be in the first one */
};

static void run_cases(const struct judge_case *cases, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct flow f = {0};
        struct ending got = judge_stream(&cases[i].s, &f);
        uint32_t at = 0;
        const char *text = flow_next_note(&f, NOTE_EVIDENCE, NULL, &at);

        if (got.verdict != cases[i].want.verdict || got.by != cases[i].want.by ||
            got.certainty != cases[i].want.certainty)
            fail_msg("%s: %s by %s (%s)", cases[i].what, verdict_get_info(got.verdict)->name,
                     verdict_side_name(got.by), verdict_certainty_name(got.certainty));
        if (cases[i].evidence && !(text && strstr(text, cases[i].evidence)))
            fail_msg("%s: \"%s\"", cases[i].what, text ? text : "no evidence");
        flow_fini(&f);
    }
}

static void closes(void **state)
{
    static const struct judge_case cases[] = {
        {"opaque bytes", {FIN(CLIENT), BYTES}, {VERDICT_OK, SIDE_CLIENT, SEEN}, "nothing was owed"},
        {"target first",
         {FIN(TARGET), BYTES},
         {VERDICT_OK, SIDE_TARGET, SEEN},
         "FIN from the target"},
        {"a parent first", {FIN(PARENT), BYTES}, {VERDICT_OK, SIDE_PARENT, SEEN}, NULL},
        {"not one byte", {FIN(CLIENT)}, {VERDICT_OK, SIDE_CLIENT, SEEN}, NULL},
        {"one-way bytes, no reply wanted",
         {FIN(CLIENT), .bytes_up = 10, .last_was_up = true},
         {VERDICT_OK, SIDE_CLIENT, SEEN},
         NULL},
        {"TLS with close_notify",
         {FIN(TARGET), BYTES, TLS, FRAMES(CLOSED, CLOSED)},
         {VERDICT_OK, SIDE_TARGET, SEEN},
         NULL},
        {"TLS at a record's end",
         {FIN(TARGET), BYTES, TLS, FRAMES(BOUNDARY, BOUNDARY)},
         {VERDICT_OK, SIDE_TARGET, SEEN},
         NULL},
        {"TLS, lost sight of", {FIN(CLIENT), BYTES, TLS}, {VERDICT_OK, SIDE_CLIENT, SEEN}, NULL},
        {"the farewell was not taken",
         {FIN(CLIENT), BYTES, TLS, FRAMES(CLOSED, CLOSED), .held_client = 24},
         {VERDICT_OK, SIDE_CLIENT, SEEN},
         NULL},
        {"target did not take its bytes",
         {FIN(TARGET), BYTES, .held_target = 70000},
         {VERDICT_INCOMPLETE, SIDE_TARGET, SEEN},
         "70000 bytes for the target"},
        {"more than the farewell was not taken",
         {FIN(CLIENT), BYTES, TLS, FRAMES(CLOSED, CLOSED), .held_client = 65},
         {VERDICT_INCOMPLETE, SIDE_CLIENT, SEEN},
         NULL},
        {"the last bytes still on their way",
         {FIN(CLIENT), BYTES, .unacked_target = 200, .unacked_client = 300},
         {VERDICT_OK, SIDE_CLIENT, SEEN},
         NULL},
        {"inside a record",
         {FIN(TARGET), BYTES, TLS, FRAMES(BOUNDARY, INSIDE)},
         {VERDICT_INCOMPLETE, SIDE_TARGET, SEEN},
         "inside a TLS record, after 500 up and 9000 down"},
        {"body too short",
         {FIN(TARGET), BYTES, .body_unfinished = true, .promised = 10000, .received = 9000},
         {VERDICT_INCOMPLETE, SIDE_TARGET, SEEN},
         "9000 of 10000 bytes"},
        {"no last chunk",
         {FIN(TARGET), BYTES, .body_unfinished = true, .received = 9000},
         {VERDICT_INCOMPLETE, SIDE_TARGET, SEEN},
         "last chunk"},
        {"client left a body",
         {FIN(CLIENT), BYTES, .body_unfinished = true, .promised = 10000, .received = 9000},
         {VERDICT_INCOMPLETE, SIDE_CLIENT, SEEN},
         NULL},
        {"client did not take its bytes",
         {FIN(CLIENT), BYTES, .held_client = 70000},
         {VERDICT_INCOMPLETE, SIDE_CLIENT, SEEN},
         "70000 bytes for the client"},
        {"no answer to ClientHello, target closes",
         {FIN(TARGET), .is_tls = true, .hello_client = true, .bytes_up = 517, .last_was_up = true},
         {VERDICT_STALLED, SIDE_TARGET, SEEN},
         "ClientHello of 517 bytes"},
        {"no answer to ClientHello, client gives up",
         {FIN(CLIENT), .is_tls = true, .hello_client = true, .bytes_up = 517, .last_was_up = true},
         {VERDICT_STALLED, SIDE_TARGET, SEEN},
         NULL},
        {"no answer to ClientHello, a parent closes",
         {FIN(PARENT), .is_tls = true, .hello_client = true, .bytes_up = 517},
         {VERDICT_STALLED, SIDE_PARENT, SEEN},
         NULL},
        {"an answer that is not TLS",
         {FIN(TARGET), BYTES, .is_tls = true, .hello_client = true},
         {VERDICT_TLS_FAILED, SIDE_TARGET, SEEN},
         "9000 bytes answered the ClientHello"},
    };

    (void)state;
    run_cases(cases, ARRAY_LEN(cases));
}

static void alerts(void **state)
{
    static const struct judge_case cases[] = {
        {"target's, readable",
         {FIN(TARGET), .is_tls = true, .hello_client = true, FRAMES(BOUNDARY, ALERT),
          .bytes_down = 7, .alert_is_plain = true, .alert = 40, .alert_name = "handshake_failure"},
         {VERDICT_TLS_FAILED, SIDE_TARGET, SEEN},
         "TLS alert 40 (handshake_failure) from the target"},
        {"client's, by its size",
         {RST(CLIENT), BYTES, TLS, FRAMES(ALERT, BOUNDARY)},
         {VERDICT_TLS_FAILED, SIDE_CLIENT, INFERRED},
         "the last record from the client"},
        {"both, the target closed",
         {FIN(TARGET), BYTES, TLS, FRAMES(ALERT, ALERT), .alert_is_plain = true, .alert = 48},
         {VERDICT_TLS_FAILED, SIDE_TARGET, SEEN},
         "TLS alert 48 from the target"},
        {"then the capture ended",
         {.end = STREAM_END_CAPTURE, TLS, BYTES, FRAMES(BOUNDARY, ALERT)},
         {VERDICT_TLS_FAILED, SIDE_TARGET, INFERRED},
         NULL},
    };

    (void)state;
    run_cases(cases, ARRAY_LEN(cases));
}

static void resets(void **state)
{
    static const struct judge_case cases[] = {
        {"client",
         {RST(CLIENT), BYTES},
         {VERDICT_RESET_BY_CLIENT, SIDE_CLIENT, SEEN},
         "500 bytes up and 9000 down"},
        {"target", {RST(TARGET), BYTES}, {VERDICT_RESET_BY_TARGET, SIDE_TARGET, SEEN}, NULL},
        {"parent", {RST(PARENT), BYTES}, {VERDICT_RESET_BY_TARGET, SIDE_PARENT, SEEN}, NULL},
        {"proxy, from outside",
         {RST(PROXY), BYTES},
         {VERDICT_RESET_BY_PROXY, SIDE_PROXY, SEEN},
         NULL},
        {"after both FINs",
         {RST(CLIENT), BYTES, .fin_client = true, .fin_target = true},
         {VERDICT_OK, SIDE_CLIENT, SEEN},
         "nothing was owed"},
        {"after its own FIN",
         {RST(TARGET), BYTES, .fin_target = true},
         {VERDICT_OK, SIDE_TARGET, SEEN},
         NULL},
        {"client's, after its own FIN",
         {RST(CLIENT), BYTES, .fin_client = true},
         {VERDICT_OK, SIDE_CLIENT, SEEN},
         NULL},
        {"the client's farewell unacknowledged",
         {RST(TARGET), BYTES, TLS, FRAMES(CLOSED, CLOSED), .fin_target = true,
          .unacked_target = 24},
         {VERDICT_OK, SIDE_TARGET, SEEN},
         NULL},
        {"after a FIN instead of a ServerHello",
         {RST(TARGET), .bytes_up = 517, .is_tls = true, .hello_client = true, .fin_client = true},
         {VERDICT_RESET_BY_TARGET, SIDE_TARGET, SEEN},
         NULL},
        {"in place of the second FIN",
         {RST(CLIENT), BYTES, .fin_target = true},
         {VERDICT_OK, SIDE_CLIENT, SEEN},
         NULL},
        {"after close_notify",
         {RST(CLIENT), BYTES, TLS, FRAMES(CLOSED, BOUNDARY)},
         {VERDICT_OK, SIDE_CLIENT, SEEN},
         NULL},
        {"the farewell unacknowledged",
         {RST(CLIENT), BYTES, TLS, FRAMES(CLOSED, CLOSED), .fin_client = true,
          .unacked_client = 24},
         {VERDICT_OK, SIDE_CLIENT, SEEN},
         NULL},
        {"after FIN, bytes owed",
         {RST(CLIENT), BYTES, .fin_client = true, .unacked_client = 4000, .held_client = 1000},
         {VERDICT_RESET_BY_CLIENT, SIDE_CLIENT, SEEN},
         "5000 of them not delivered"},
        {"after FIN, body unfinished",
         {RST(TARGET), BYTES, .fin_client = true, .body_unfinished = true},
         {VERDICT_RESET_BY_TARGET, SIDE_TARGET, SEEN},
         NULL},
        {"after FIN, inside a record",
         {RST(TARGET), BYTES, TLS, FRAMES(BOUNDARY, INSIDE), .fin_target = true},
         {VERDICT_RESET_BY_TARGET, SIDE_TARGET, SEEN},
         NULL},
        {"half-closed request without reply",
         {RST(TARGET), .bytes_up = 500, .last_was_up = true, .fin_client = true},
         {VERDICT_RESET_BY_TARGET, SIDE_TARGET, SEEN},
         NULL},
        {"instead of a ServerHello",
         {RST(TARGET), .bytes_up = 517, .is_tls = true, .hello_client = true},
         {VERDICT_RESET_BY_TARGET, SIDE_TARGET, SEEN},
         NULL},
        {"on an answer without TLS",
         {RST(CLIENT), .bytes_up = 517, .bytes_down = 84, .is_tls = true, .hello_client = true},
         {VERDICT_TLS_FAILED, SIDE_TARGET, SEEN},
         "84 bytes answered the ClientHello"},
        {"inside a ServerHello",
         {RST(CLIENT), .bytes_up = 517, .bytes_down = 84, .is_tls = true, .hello_client = true,
          FRAMES(BOUNDARY, INSIDE)},
         {VERDICT_RESET_BY_CLIENT, SIDE_CLIENT, SEEN},
         NULL},
        {"of the client, without an answer to its hello",
         {RST(CLIENT), .bytes_up = 517, .is_tls = true, .hello_client = true},
         {VERDICT_RESET_BY_CLIENT, SIDE_CLIENT, SEEN},
         NULL},
    };

    (void)state;
    run_cases(cases, ARRAY_LEN(cases));
}

static void silences(void **state)
{
    static const struct judge_case cases[] = {
        {"quiet tunnel", {IDLE, BYTES}, {VERDICT_OK, SIDE_PROXY, SEEN}, NULL},
        {"not one byte", {IDLE}, {VERDICT_OK, SIDE_PROXY, SEEN}, NULL},
        {"client does not read",
         {IDLE, BYTES, .held_client = 65536, .unacked_client = 40000},
         {VERDICT_STALLED, SIDE_CLIENT, SEEN},
         "65536 bytes for the client were not taken, 40000 were not acknowledged"},
        {"target does not read",
         {IDLE, BYTES, .held_target = 65536, .last_was_up = true},
         {VERDICT_STALLED, SIDE_TARGET, SEEN},
         "65536 bytes for the target"},
        {"client acknowledges nothing",
         {IDLE, BYTES, .unacked_client = 1460},
         {VERDICT_STALLED, SIDE_CLIENT, SEEN},
         "1460 were not acknowledged"},
        {"nothing acknowledged",
         {IDLE, BYTES, .unacked_target = 1460, .last_was_up = true},
         {VERDICT_STALLED, SIDE_TARGET, SEEN},
         "1460 were not acknowledged"},
        {"the receiver comes before the sender it stops",
         {IDLE, BYTES, .body_unfinished = true, .promised = 99999, .held_client = 65536},
         {VERDICT_STALLED, SIDE_CLIENT, SEEN},
         NULL},
        {"download stops",
         {IDLE, BYTES, .body_unfinished = true, .promised = 10000, .received = 9000},
         {VERDICT_STALLED, SIDE_TARGET, SEEN},
         "9000 of 10000"},
        {"upload stops",
         {IDLE, BYTES, .body_unfinished = true, .promised = 10000, .received = 300,
          .last_was_up = true},
         {VERDICT_STALLED, SIDE_CLIENT, SEEN},
         "300 of 10000"},
        {"record down stops",
         {IDLE, BYTES, TLS, FRAMES(BOUNDARY, INSIDE)},
         {VERDICT_STALLED, SIDE_TARGET, SEEN},
         "the target's bytes end inside"},
        {"record up stops",
         {IDLE, BYTES, TLS, FRAMES(INSIDE, BOUNDARY), .last_was_up = true},
         {VERDICT_STALLED, SIDE_CLIENT, SEEN},
         "the client's bytes end inside"},
        {"no answer to ClientHello",
         {IDLE, .bytes_up = 517, .is_tls = true, .hello_client = true, .last_was_up = true},
         {VERDICT_STALLED, SIDE_TARGET, SEEN},
         "no byte came back"},
        {"request without reply",
         {IDLE, BYTES, .last_was_up = true},
         {VERDICT_STALLED, SIDE_TARGET, INFERRED},
         "the last of 500 bytes up had no reply"},
        {"TLS request without reply",
         {IDLE, BYTES, TLS, FRAMES(BOUNDARY, BOUNDARY), .last_was_up = true, .asked = 40},
         {VERDICT_STALLED, SIDE_TARGET, INFERRED},
         NULL},
        {"an HTTP/2 acknowledgement is no request",
         {IDLE, BYTES, TLS, FRAMES(BOUNDARY, BOUNDARY), .last_was_up = true, .asked = 39},
         {VERDICT_OK, SIDE_PROXY, SEEN},
         NULL},
        {"a small opaque request is one",
         {IDLE, BYTES, .last_was_up = true, .asked = 6},
         {VERDICT_STALLED, SIDE_TARGET, INFERRED},
         NULL},
        {"client vanished",
         {.end = STREAM_END_LOST, .first = SIDE_CLIENT, BYTES, .unacked_client = 2920},
         {VERDICT_STALLED, SIDE_NETWORK, SEEN},
         "the client stopped acknowledging: 2920 bytes"},
        {"target vanished",
         {.end = STREAM_END_LOST, .first = SIDE_TARGET, BYTES, .unacked_target = 100},
         {VERDICT_STALLED, SIDE_NETWORK, SEEN},
         "the target stopped acknowledging: 100 bytes"},
        {"the capture ended",
         {.end = STREAM_END_CAPTURE, BYTES, .last_was_up = true},
         {VERDICT_OPEN, SIDE_NOBODY, SEEN},
         NULL},
    };

    (void)state;
    run_cases(cases, ARRAY_LEN(cases));
}

/* Signs of a path. */
#define LOST_OUT .mss = 1448, .unacked = 2896, .repeats = 3
#define LOST_IN .out_of_order = 1, .quiet_ns = 3 * NS_PER_S
#define HELLO .is_tls = true, .hello_client = true, .bytes_up = 517, .last_was_up = true

static void black_holes(void **state)
{
    static const struct ending hole = {VERDICT_MTU_BLACKHOLE, SIDE_NETWORK, INFERRED};
    const struct judge_case cases[] = {
        {"no answer to ClientHello, but something behind it",
         {FIN(CLIENT), HELLO, .path_target = {LOST_IN}},
         hole,
         "1 segments from the target came behind a hole that nothing filled for 3.0 s, 0 bytes"},
        {"whatever ends it: a reset", {RST(TARGET), HELLO, .path_target = {LOST_IN}}, hole, NULL},
        {"the idle time", {IDLE, HELLO, .path_target = {LOST_IN}}, hole, NULL},
        {"a few bytes came before the hole",
         {RST(CLIENT), .bytes_up = 100, .bytes_down = 300, .body_unfinished = true,
          .path_target = {LOST_IN, .received = 300}},
         hole,
         "300 bytes before it"},
        {"what came was all there was to come",
         {FIN(CLIENT), .bytes_up = 100, .bytes_down = 300,
          .path_target = {LOST_IN, .received = 300}},
         {VERDICT_OK, SIDE_CLIENT, SEEN},
         NULL},
        {"a full-size segment came before",
         {FIN(TARGET), BYTES, .body_unfinished = true, .path_target = {LOST_IN, .received = 1200}},
         {VERDICT_INCOMPLETE, SIDE_TARGET, SEEN},
         NULL},
        {"the hole is young",
         {FIN(CLIENT), HELLO, .path_target = {.out_of_order = 1, .quiet_ns = 3 * NS_PER_S - 1}},
         {VERDICT_STALLED, SIDE_TARGET, SEEN},
         NULL},
        {"nothing came behind it",
         {FIN(CLIENT), HELLO, .path_target = {.quiet_ns = 60 * NS_PER_S}},
         {VERDICT_STALLED, SIDE_TARGET, SEEN},
         NULL},
        {"an upload, after small segments",
         {IDLE, .bytes_up = 100000, .last_was_up = true, .unacked_target = 2896,
          .path_target = {LOST_OUT, .acked = 518}},
         hole,
         "2896 bytes for the target unacknowledged, the first 1448 of them sent 4 times"},
        {"an upload, before a small segment",
         {.end = STREAM_END_LOST,
          .first = SIDE_TARGET,
          .bytes_up = 2000,
          .path_target = {LOST_OUT, .acked = 1, .sacked = 1}},
         hole,
         NULL},
        {"an upload, the target goes on talking",
         {RST(CLIENT), .bytes_up = 2000, .path_target = {LOST_OUT, .acked = 1, .answers = true}},
         hole,
         NULL},
        {"nothing at all arrives",
         {IDLE, .bytes_up = 2000, .unacked_target = 2896, .path_target = {LOST_OUT, .acked = 1}},
         {VERDICT_STALLED, SIDE_TARGET, SEEN},
         NULL},
        {"a full-size segment arrived before",
         {IDLE, BYTES, .unacked_target = 2896, .path_target = {LOST_OUT, .acked = 1200}},
         {VERDICT_STALLED, SIDE_TARGET, SEEN},
         NULL},
        {"sent again twice only",
         {IDLE, BYTES, .unacked_target = 2896,
          .path_target = {.mss = 1448, .unacked = 2896, .repeats = 2, .acked = 518}},
         {VERDICT_STALLED, SIDE_TARGET, SEEN},
         NULL},
        {"less than a segment",
         {IDLE, BYTES, .unacked_target = 1447,
          .path_target = {.mss = 1448, .unacked = 1447, .repeats = 9, .acked = 518}},
         {VERDICT_STALLED, SIDE_TARGET, SEEN},
         NULL},
        {"segments that are small anyway",
         {IDLE, BYTES, .unacked_target = 1447,
          .path_target = {.mss = 1199, .unacked = 2398, .repeats = 9, .acked = 518}},
         {VERDICT_STALLED, SIDE_TARGET, SEEN},
         NULL},
        {"towards the client",
         {FIN(CLIENT), BYTES, TLS, .path_client = {LOST_OUT, .acked = 39, .sacked = 1}},
         hole,
         "2896 bytes for the client"},
        {"from the client",
         {IDLE, .path_client = {LOST_IN, .received = 120}},
         hole,
         "from the client came behind a hole"},
        {"an alert says more",
         {FIN(TARGET), HELLO, FRAMES(BOUNDARY, ALERT), .alert_is_plain = true, .alert = 40,
          .path_target = {LOST_OUT, .acked = 518}},
         {VERDICT_TLS_FAILED, SIDE_TARGET, SEEN},
         NULL},
    };

    (void)state;
    run_cases(cases, ARRAY_LEN(cases));
}

/* What is seen of packets, and not by a socket: sizes are known, and ICMP is read. */
#define SEEN_OUT .sized = true, .mss = 1460, .unacked = 1822, .repeats = 3
#define SEEN_IN .sized = true, .out_of_order = 1, .quiet_ns = 3 * NS_PER_S, .behind = 362

static void black_holes_in_packets(void **state)
{
    static const struct ending hole = {VERDICT_MTU_BLACKHOLE, SIDE_NETWORK, INFERRED};
    const struct judge_case cases[] = {
        {"many bytes passed, in small segments",
         {FIN(CLIENT), BYTES, .path_target = {SEEN_OUT, .acked = 90000, .largest_acked = 1100}},
         hole,
         "1822 bytes for the target unacknowledged, the first 1460 of them sent 4 times"},
        {"one of that size passed",
         {FIN(CLIENT), BYTES, .path_target = {SEEN_OUT, .acked = 3000, .largest_acked = 1460}},
         {VERDICT_OK, SIDE_CLIENT, SEEN},
         NULL},
        {"the capture ends in it",
         {.end = STREAM_END_CAPTURE,
          BYTES,
          .path_target = {SEEN_OUT, .acked = 80, .largest_acked = 79}},
         hole,
         NULL},
        {"the other end is a proxy",
         {FIN(CLIENT), BYTES, .far = SIDE_PROXY,
          .path_target = {SEEN_OUT, .acked = 80, .largest_acked = 79}},
         hole,
         "for the proxy"},
        {"a hole in what came",
         {FIN(CLIENT), BYTES,
          .path_target = {SEEN_IN, .received = 40, .hole = 1460, .largest_received = 39}},
         hole,
         "362 bytes from the target arrived behind a hole of 1460 that nothing filled for 3.0 s"},
        {"a hole too small",
         {FIN(CLIENT), BYTES, .path_target = {SEEN_IN, .received = 40, .hole = 1199}},
         {VERDICT_OK, SIDE_CLIENT, SEEN},
         NULL},
        {"a full-size segment came before the hole",
         {FIN(CLIENT), BYTES, .path_target = {SEEN_IN, .hole = 1460, .largest_received = 1460}},
         {VERDICT_OK, SIDE_CLIENT, SEEN},
         NULL},
        {"ICMP said so",
         {FIN(CLIENT), BYTES,
          .path_target = {.sized = true,
                          .mss = 1460,
                          .unacked = 1460,
                          .repeats = 1,
                          .told = true,
                          .told_mtu = 1400}},
         {VERDICT_MTU_BLACKHOLE, SIDE_NETWORK, SEEN},
         "must not be larger than 1400 bytes, and a segment of 1460 went on being sent"},
        {"ICMP said so without a size",
         {FIN(CLIENT), BYTES,
          .path_client = {.sized = true, .mss = 1460, .unacked = 1460, .repeats = 1, .told = true}},
         {VERDICT_MTU_BLACKHOLE, SIDE_NETWORK, SEEN},
         "packets for the client are too large"},
        {"ICMP said so, and smaller ones are on their way",
         {FIN(CLIENT), BYTES,
          .path_target = {.sized = true,
                          .mss = 1360,
                          .unacked = 1360,
                          .repeats = 1,
                          .told = true,
                          .told_mtu = 1400}},
         {VERDICT_OK, SIDE_CLIENT, SEEN},
         NULL},
        {"ICMP said so, and all was taken later",
         {FIN(CLIENT), BYTES, .path_target = {.sized = true, .told = true, .told_mtu = 1400}},
         {VERDICT_OK, SIDE_CLIENT, SEEN},
         NULL},
    };

    (void)state;
    run_cases(cases, ARRAY_LEN(cases));
}

/* A long silence tells, whoever made an end of it later. */
static void quiet(void **state)
{
    static const struct judge_case cases[] = {
        {"nothing owed", {.end = STREAM_END_QUIET, BYTES}, {VERDICT_OPEN, SIDE_NOBODY, SEEN}, NULL},
        {"a request without reply",
         {.end = STREAM_END_QUIET, BYTES, .last_was_up = true, .far = SIDE_PROXY},
         {VERDICT_STALLED, SIDE_PROXY, INFERRED},
         "had no reply"},
        {"a body that stands still",
         {.end = STREAM_END_QUIET,
          BYTES,
          .body_unfinished = true,
          .promised = 10000,
          .received = 9000},
         {VERDICT_STALLED, SIDE_TARGET, SEEN},
         "9000 of 10000"},
        {"nothing acknowledged",
         {.end = STREAM_END_QUIET, BYTES, .unacked_target = 100},
         {VERDICT_STALLED, SIDE_TARGET, SEEN},
         "100 were not acknowledged"},
        {"the client's window",
         {RST(CLIENT), BYTES, .body_unfinished = true, .closed_client_ns = 61 * NS_PER_S},
         {VERDICT_STALLED, SIDE_CLIENT, SEEN},
         "the client's receive window is closed for 61.0 s"},
        {"the other end's window",
         {FIN(CLIENT), BYTES, .far = SIDE_PROXY, .closed_target_ns = 9 * NS_PER_S},
         {VERDICT_STALLED, SIDE_PROXY, SEEN},
         "the proxy's receive window"},
        {"an alert is the target's, whoever stands between",
         {FIN(TARGET), .is_tls = true, .hello_client = true, .far = SIDE_PROXY,
          FRAMES(BOUNDARY, ALERT), .alert_is_plain = true, .alert = 40},
         {VERDICT_TLS_FAILED, SIDE_TARGET, SEEN},
         NULL},
    };

    (void)state;
    run_cases(cases, ARRAY_LEN(cases));
}

/* Who ends a flow by itself asks for the path alone, and is told which leg it is. */
static void a_path_is_judged_by_itself(void **state)
{
    static const struct symptoms sound = {.bytes_up = 9},
                                 target = {.bytes_up = 9, .path_target = {LOST_IN}},
                                 client = {.bytes_up = 9, .path_client = {LOST_OUT, .sacked = 1}};
    struct ending e = {VERDICT_CLIENT_GONE, SIDE_CLIENT, SEEN, SIDE_NOBODY};
    struct flow f = {0};

    (void)state;
    assert_false(judge_path(&sound, &f, &e));
    assert_int_equal(e.verdict, VERDICT_CLIENT_GONE);
    assert_int_equal(f.notes.len, 0);
    assert_true(judge_path(&client, &f, &e));
    assert_int_equal(e.leg, SIDE_CLIENT);
    assert_true(judge_path(&target, &f, &e));
    assert_int_equal(e.verdict, VERDICT_MTU_BLACKHOLE);
    assert_int_equal(e.leg, SIDE_TARGET);
    flow_set_text(&f.parent, "10.0.0.1:3128");
    assert_true(judge_path(&target, &f, &e));
    assert_int_equal(e.leg, SIDE_PARENT);
    flow_fini(&f);
}

static void an_idle_close_names_its_timer(void **state)
{
    static const struct symptoms quiet = {IDLE, BYTES}, stalled = {IDLE, BYTES, .held_client = 9};
    struct flow f = {0};
    uint32_t at = 0;

    (void)state;
    judge_stream(&quiet, &f);
    assert_int_equal(f.warnings, 1u << WARNING_IDLE_CLOSED);
    assert_string_equal(flow_find_note(&f, NOTE_WARNING, WARNING_IDLE_CLOSED),
                        "idle-timeout after 61 s without a byte");
    flow_fini(&f);

    judge_stream(&stalled, &f);
    assert_int_equal(f.warnings, 0);
    flow_next_note(&f, NOTE_EVIDENCE, NULL, &at);
    assert_string_equal(flow_next_note(&f, NOTE_EVIDENCE, NULL, &at),
                        "quiet for 61.0 s, then closed by idle-timeout");
    flow_fini(&f);
}

/* Behind a parent, all that is seen of the target is the parent. */
static void behind_a_parent_the_parent_is_named(void **state)
{
    static const struct symptoms silent = {IDLE, BYTES, .last_was_up = true};
    struct flow f = {0};

    (void)state;
    flow_set_text(&f.parent, "10.0.0.1:3128");
    assert_int_equal(judge_stream(&silent, &f).by, SIDE_PARENT);
    flow_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(closes),
        cmocka_unit_test(alerts),
        cmocka_unit_test(resets),
        cmocka_unit_test(silences),
        cmocka_unit_test(black_holes),
        cmocka_unit_test(black_holes_in_packets),
        cmocka_unit_test(quiet),
        cmocka_unit_test(a_path_is_judged_by_itself),
        cmocka_unit_test(an_idle_close_names_its_timer),
        cmocka_unit_test(behind_a_parent_the_parent_is_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
