/* Connections: many of them, much that waits, and times that lie. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "play.h"

static void evicts_the_quietest(void **state)
{
    const struct conn_counts *counts;

    packets = (struct packets)PACKETS_INIT;
    counts = play(&(struct conn_options){.max = 2},
                  "0 U PA 1 1 'one' port=1\n30 U PA 1 1 'two' port=2\n60 U A 4 1 'x' port=1\n"
                  "90 U PA 1 1 'three' port=3");
    assert_string_equal(heard.text,
                        "mid U:one U:x mid U:two end:evicted end:capture mid U:three end:capture");
    assert_int_equal(counts->evicted, 1);
    assert_int_equal(counts->connections, 3);

    /* which goes on all the same */
    packets = (struct packets)PACKETS_INIT;
    play(&(struct conn_options){.max = 1},
         "0 U PA 1 1 'one' port=1\n30 U PA 1 1 'two' port=2\n60 U PA 4 1 'x' port=1");
    assert_string_equal(heard.text,
                        "mid U:one end:evicted mid U:two end:evicted mid U:x end:capture");
}

/* A flood: 128 bytes each, the oldest go and are counted, and what is established stays. */
static void floods_are_bounded(void **state)
{
    struct conn_events events;
    struct conn_table *t;
    struct packet p;

    packets = (struct packets)PACKETS_INIT;
    memset(&heard, 0, sizeof heard);
    events = heard_events(&heard);
    t = conn_table_new(&(struct conn_options){.half_open = 1000, .give_up_ns = 3600 * NS_PER_S},
                       &events);
    packets_play(&packets, PACKETS_HANDSHAKE "3 U PA 1 1 'hello'", t);
    uint64_t before = conn_table_get_counts(t)->memory;
    for (uint32_t i = 0; i < 20000; i++) {
        assert_true(packets_make(&packets, "10 U S 0 0 mss=1460", &p));
        p.from.addr.bytes[1] = (uint8_t)(i >> 16);
        p.from.addr.bytes[2] = (uint8_t)(i >> 8);
        p.from.addr.bytes[3] = (uint8_t)i;
        p.from.port = 5;
        conn_table_add(t, &p);
    }
    assert_int_equal(conn_table_get_counts(t)->half_open_lost, 19000);
    assert_true(conn_table_get_counts(t)->memory - before <= 1024 * 128);
    packets_play(&packets, "20 D PA 1 6 'world'", t);
    assert_string_equal(heard.text, "est U:hello D:world");
    conn_table_free(t);
}

/* Bytes behind holes have a ceiling, of one stream and of all; beyond, the holes are given up.
 * Beside them are the first blocks of two pools. */
static void waiting_is_bounded(void **state)
{
    static const struct {
        struct conn_options options;
        uint32_t step, len;
        uint64_t most; /* memory */
    } limits[] = {
        {{0}, 2000, 1000, (64 + 1100) * 1024},
        {{.waiting_max = 20000}, 2000, 1000, 64 * 1024 + 21000},
        {{.waiting_max = 1}, 2000, 1000, 1000},
        {{0}, 3, 1, (64 + 110) * 1024},
        {{0}, 2000, 10, (64 + 120) * 1024},
    };

    for (size_t i = 0; i < ARRAY_LEN(limits); i++) {
        struct conn_events events = heard_events(&heard);
        struct conn_table *t = conn_table_new(&limits[i].options, &events);
        uint64_t handed = 0, before;

        memset(&heard, 0, sizeof heard);
        packets = (struct packets)PACKETS_INIT;
        packets_play(&packets, PACKETS_HANDSHAKE, t);
        before = conn_table_get_counts(t)->memory;
        for (uint32_t n = 0; n < 4000; n++) {
            char line[128];

            snprintf(line, sizeof line, "%u U A %u 1 len=%u", n + 10, 2 + n * limits[i].step,
                     limits[i].len);
            packets_play(&packets, line, t);
            assert_true(conn_table_get_counts(t)->memory - before < limits[i].most);
            handed = heard.bytes[UP];
            heard.len = 0;
        }
        assert_true(handed > 0);
        conn_table_finish(t, packets.begin_ns);
        assert_true(heard.conn.overflowed);
        conn_table_free(t);
    }
}

static void sees_clock_steps(void **state)
{
    static const struct {
        const char *script;
        bool want;
    } steps[] = {
        {PACKETS_HANDSHAKE "3 U PA 1 1 'a' ts=1000\n60003 U PA 2 1 'b' ts=61000", false},
        {PACKETS_HANDSHAKE "3 U PA 1 1 'a' ts=1000\n60003 U PA 2 1 'b' ts=1070", true},
        {PACKETS_HANDSHAKE "3 U PA 1 1 'a' ts=1000\n60003 U PA 2 1 'b' ts=7000", false}, /* 10 ms */
        {PACKETS_HANDSHAKE "3 U PA 1 1 'a' ts=1000\n4003 U PA 2 1 'b' ts=1000", false},  /* short */
        {PACKETS_HANDSHAKE "3 U PA 1 1 'a' ts=1000\n2003 U PA 2 1 'b' ts=3000\n"
                           "62003 U PA 3 1 'c' ts=8000",
         true}, /* it ticks every ms, as was seen */
        {PACKETS_HANDSHAKE "3 U PA 1 1 'a' ts=1000\n2003 U PA 2 1 'b' ts=1004\n"
                           "62003 U PA 3 1 'c' ts=1124",
         false}, /* as slowly as this one ticks */
    };

    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        packets = (struct packets)PACKETS_INIT;
        play(&(struct conn_options){0}, steps[i].script);
        assert_int_equal(heard.conn.clock_jumped, steps[i].want);
    }
}

/* A retransmission is none of the capture's copies: another IP ID, or later. */
static void tells_copies_from_repeats(void **state)
{
    static const struct {
        const char *script;
        unsigned copies, repeats;
    } tries[] = {
        {"3 U PA 1 1 'abc' id=7\n3.5 U PA 1 1 'abc' id=7 ttl=63", 1, 0},
        {"3 U PA 1 1 'abc' id=7\n4.5 U PA 1 1 'abc' id=7", 1, 0},
        {"3 U PA 1 1 'abc' id=7\n3.5 U PA 1 1 'abc' id=8", 0, 1},
        {"3 U PA 1 1 'abc' id=7\n203 U PA 1 1 'abc' id=7", 0, 1},
        {"3 U PA 1 1 'abc' id=0\n3.5 U PA 1 1 'abc' id=0", 1, 0},
        {"3 U PA 1 1 'abc' id=0\n4.5 U PA 1 1 'abc' id=0", 0, 1},
        {"3 U PA 1 1 'abc' id=0 ts=5\n4.5 U PA 1 1 'abc' id=0 ts=5", 1, 0},
        {"3 U PA 1 1 'abc' id=0 ts=5\n3.5 U PA 1 1 'abc' id=0 ts=6", 0, 1},
        {"3 U PA 1 1 'abc' id=7\n3.1 D PA 1 4 'ok' id=7\n3.2 U PA 1 1 'abc' id=7\n"
         "3.3 D PA 1 4 'ok' id=7",
         2, 0}, /* in turns */
    };
    char script[512];

    for (size_t i = 0; i < ARRAY_LEN(tries); i++) {
        const struct conn_counts *counts;

        packets = (struct packets)PACKETS_INIT;
        snprintf(script, sizeof script, PACKETS_HANDSHAKE "%s", tries[i].script);
        counts = play(&(struct conn_options){0}, script);
        assert_int_equal(counts->duplicates, tries[i].copies);
        assert_int_equal(heard.conn.duplicates, tries[i].copies);
        assert_int_equal(heard.rares[UP].retransmissions, tries[i].repeats);
    }
}

/* Lines of a text that have no times may well have been sent twice. */
static void texts_have_no_copies_without_times(void **state)
{
    packets = (struct packets)PACKETS_INIT;
    packets.is_text = true;
    play(&(struct conn_options){0}, "0 U S 0 0\n0 D SA 0 1\n0 U A 1 1\n0 U PA 1 1 'abc' id=0\n"
                                    "0 U PA 1 1 'abc' id=0\n0.2 U PA 1 1 'abc' id=0");
    assert_int_equal(heard.rares[UP].retransmissions, 1);
    assert_int_equal(heard.conn.duplicates, 1);
}

static char told[256]; /* the pieces' packets and their milliseconds */

static void tell_packet(void *owner, struct conn *c, enum dir dir, const struct stream_piece *p)
{
    size_t len = strlen(told);

    snprintf(told + len, sizeof told - len, " %c#%u@%u", dir == UP ? 'U' : 'D', p->number,
             (unsigned)((p->at_ns - packets.begin_ns) / NS_PER_MS));
}

/* The packet with which bytes were complete: of what waited behind a gap, that which filled it; of
 * what only waited for its turn, its own; of a hole, that which showed it first. */
static void pieces_have_their_packets(void **state)
{
    static const struct {
        const char *script, *want;
    } tries[] = {
        {"3 U A 4 1 'def'\n4 U A 1 1 'abc'", " U#5@4 U#5@4"},
        {"3 D PA 1 4 'two'\n4 U PA 1 1 'one'", " U#5@4 D#4@3"},
        {"3 U A 4 1 'def'\n40 D A 1 7\n80 D A 1 7", " U#4@3 U#4@3"},
        {"3 D A 1 4\n40 D A 1 4", " U#4@3"},
    };
    char script[512];

    for (size_t i = 0; i < ARRAY_LEN(tries); i++) {
        struct conn_events events = heard_events(&heard);
        struct conn_table *t;

        memset(&heard, 0, sizeof heard);
        told[0] = '\0';
        packets = (struct packets)PACKETS_INIT;
        events.bytes = tell_packet;
        t = conn_table_new(&(struct conn_options){0}, &events);
        snprintf(script, sizeof script, PACKETS_HANDSHAKE "%s", tries[i].script);
        packets_play(&packets, script, t);
        conn_table_finish(t, packets.begin_ns);
        assert_string_equal(told, tries[i].want);
        conn_table_free(t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(evicts_the_quietest),
        cmocka_unit_test(floods_are_bounded),
        cmocka_unit_test(waiting_is_bounded),
        cmocka_unit_test(sees_clock_steps),
        cmocka_unit_test(tells_copies_from_repeats),
        cmocka_unit_test(texts_have_no_copies_without_times),
        cmocka_unit_test(pieces_have_their_packets),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
