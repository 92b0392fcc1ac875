/* The facts of one direction: what was sent again, what is stuck, holes, windows, resets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/util.h"
#include "packets.h"

static struct packets packets;
static struct heard heard;

static void play(const char *script)
{
    struct conn_events events = heard_events(&heard);
    struct conn_table *t = conn_table_new(&(struct conn_options){0}, &events);

    memset(&heard, 0, sizeof heard);
    assert_non_null(t);
    packets_play(&packets, script, t);
    conn_table_finish(t, packets.begin_ns + 3600 * NS_PER_S);
    conn_table_free(t);
    assert_int_equal(heard.ended, 1);
}

/* Milliseconds since the script began. */
static unsigned get_ms(uint64_t at_ns)
{
    return (unsigned)((at_ns - packets.begin_ns) / NS_PER_MS);
}

static char facts[1024];

static void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void say(const char *format, ...)
{
    size_t len = strlen(facts);
    va_list args;

    va_start(args, format);
    vsnprintf(facts + len, sizeof facts - len, format, args);
    va_end(args);
}

/* Words for all facts of a direction that are there; places count as those of the script. */
static const char *describe(enum dir dir)
{
    const struct stream *s = &heard.conn.streams[dir];
    const struct stream_rare *r = stream_get_rare(s);
    const struct stream_stuck *k = &s->stuck;

    facts[0] = '\0';
    say("%llu bytes", (unsigned long long)s->bytes);
    if (stream_unacked(s))
        say(", %u unacked", stream_unacked(s));
    if (k->len)
        say(", stuck %u+%u x%u", k->seq - packets.isn[dir], k->len, k->sends);
    if (k->len)
        say(" %u-%u ms #%u-#%u", get_ms(k->first_ns), get_ms(k->last_ns), k->first_number,
            k->last_number);
    if (k->len && k->backs_off)
        say(" backs off");
    if (k->len && !k->same_size)
        say(" not in one size");
    say(", largest %u/%u", s->largest, s->largest_acked);
    if (r->retransmissions)
        say(", %u again #%u", r->retransmissions, r->repeated_number);
    if (r->out_of_order)
        say(", %u early", r->out_of_order);
    if (r->missing)
        say(", %llu missing", (unsigned long long)r->missing);
    if (r->hole_ns)
        say(", hole %u ms #%u +%u", get_ms(r->hole_ns), r->hole_number, r->hole_behind);
    if (r->duplicate_acks)
        say(", %u dup ACKs", r->duplicate_acks);
    if (r->closures)
        say(", closed x%u %u ms #%u", r->closures, (unsigned)(r->closed_total_ns / NS_PER_MS),
            r->closed_number);
    if (r->closed_ns)
        say(" since %u ms", get_ms(r->closed_ns));
    if (r->rst_ns)
        say(", RST #%u%s", r->rst_number, r->rst_is_odd ? " odd" : "");
    return facts;
}

/* Ticket-like black hole: one full segment that never arrives, what is behind it does. */
#define BLACK_HOLE                                                                                 \
    PACKETS_HANDSHAKE                                                                              \
    "3 U PA 1 1 len=79\n25 D PA 1 80 len=39\n26 U A 80 40 len=1460\n27 U PA 1540 40 len=362\n"     \
    "48 D A 40 80 sack=1540-1902\n"

static const struct {
    const char *name, *script;
    enum dir dir;
    const char *want;
} cases[] = {
    {"all well", PACKETS_HANDSHAKE "3 U PA 1 1 len=100\n4 D PA 1 101 len=1460\n5 U A 101 1461",
     DOWN, "1460 bytes, largest 1460/1460"},
    {"a black hole, at the sender",
     BLACK_HOLE "250 U A 80 40 len=1460\n650 U A 80 40 len=1460\n1450 U A 80 40 len=1460", UP,
     "1901 bytes, 1822 unacked, stuck 80+1460 x4 26-1450 ms #6-#11 backs off, largest 1460/362, "
     "3 again #9, hole 48 ms #8 +362"},
    {"its other side", BLACK_HOLE "250 U A 80 40 len=1460", DOWN,
     "39 bytes, largest 39/39, 1 dup ACKs"},
    {"a black hole, at the receiver",
     PACKETS_HANDSHAKE
     "3 U PA 1 1 len=79\n25 D A 1 80\n29 U PA 1540 1 len=362\n30 D A 1 80 sack=1540-1902",
     UP,
     "1901 bytes, 1822 unacked, stuck 1540+362 x1 29-29 ms #6-#6, largest 362/362, 1 early, "
     "hole 29 ms #6 +362"},
    {"healed by smaller segments",
     BLACK_HOLE "250 U A 80 40 len=1460\n650 U A 80 40 len=1000\n651 U A 1080 40 len=460\n"
                "700 D A 40 1902",
     UP, "1901 bytes, largest 1460/1000, 3 again #9"},
    {"of other sizes", BLACK_HOLE "250 U A 80 40 len=1460\n650 U A 80 40 len=1000", UP,
     "1901 bytes, 1822 unacked, stuck 80+1460 x3 26-650 ms #6-#10 backs off not in one size, "
     "largest 1460/362, 2 again #9, hole 48 ms #8 +362"},
    {"sent again, but not less often",
     PACKETS_HANDSHAKE "3 U A 1 1 len=1460\n203 U A 1 1 len=1460\n403 U A 1 1 len=1460", UP,
     "1460 bytes, 1460 unacked, stuck 1+1460 x3 3-403 ms #4-#6, largest 1460/0, 2 again #5"},
    {"loss that is repaired",
     PACKETS_HANDSHAKE "3 U A 1 1 len=1000\n4 U A 1001 1 len=1000\n24 D A 1 1 sack=1001-2001\n"
                       "203 U A 1 1 len=1000\n220 D A 1 2001",
     UP, "2000 bytes, largest 1000/1000, 1 again #7"},
    {"the next of a flight is stuck",
     PACKETS_HANDSHAKE "3 U A 1 1 len=1000\n4 U A 1001 1 len=1200\n5 U PA 2201 1 len=50\n"
                       "24 D A 1 1001\n25 D A 1 1001 sack=2201-2251\n203 U A 1001 1 len=1200",
     UP,
     "2250 bytes, 1250 unacked, stuck 1001+1200 x2 4-203 ms #5-#9, largest 1200/1000, 1 again #9, "
     "hole 25 ms #8 +50"},
    {"part of it is acknowledged", PACKETS_HANDSHAKE "3 U A 1 1 len=1000\n24 D A 1 601", UP,
     "1000 bytes, 400 unacked, stuck 601+400 x1 3-3 ms #4-#4, largest 1000/0"},
    {"a giant counts as pieces",
     PACKETS_HANDSHAKE "3 U A 1 1 len=5840\n24 D A 1 2921\n203 U A 2921 1 len=1460", UP,
     "5840 bytes, 2920 unacked, stuck 2921+1460 x2 3-203 ms #4-#6, largest 1460/1460, 1 again #6"},
    {"a giant behind another",
     PACKETS_HANDSHAKE "3 U A 1 1 len=2920\n4 U A 2921 1 len=2920\n24 D A 1 4381", UP,
     "5840 bytes, 1460 unacked, stuck 4381+1460 x1 4-4 ms #5-#5, largest 1460/1460"},
    {"pieces are smaller with timestamps",
     PACKETS_HANDSHAKE "3 U A 1 1 len=2896 ts=1\n4 D A 1 2897", UP,
     "2896 bytes, largest 1448/1448"},
    {"a small MSS", "0 U S 0 0 mss=1460\n1 D SA 0 1 mss=536\n2 U A 1 1\n3 U A 1 1 len=1072", UP,
     "1072 bytes, 1072 unacked, stuck 1+536 x1 3-3 ms #4-#4, largest 536/0"},
    {"a long flight",
     PACKETS_HANDSHAKE
     "3 U A 1 1 len=100\n3.1 U A 101 1 len=100\n3.2 U A 201 1 len=100\n3.3 U A 301 1 len=100\n"
     "3.4 U A 401 1 len=100\n3.5 U A 501 1 len=100\n3.6 U A 601 1 len=100\n3.7 U A 701 1 len=100\n"
     "3.8 U A 801 1 len=100\n3.9 U A 901 1 len=100\n4 U A 1001 1 len=100\n4.1 U A 1101 1 len=100\n"
     "4.2 U A 1201 1 len=100\n20 D A 1 1201",
     UP, "1300 bytes, 100 unacked, stuck 1201+100 x1 4-4 ms #14-#14, largest 100/100"},
    {"no acknowledgement is in the capture",
     "0 U S 0 0\n1 U A 1 1\n2 U A 1 1 len=100\n"
     "3 U A 101 1 len=200\n300 U A 101 1 len=200\n900 U A 101 1 len=200",
     UP, "300 bytes, stuck 101+200 x3 3-900 ms #4-#6 backs off, largest 200/0, 2 again #5"},
    {"keep-alives are no repeats",
     PACKETS_HANDSHAKE "3 U PA 1 1 len=100\n4 D A 1 101\n9000 U A 100 1\n9001 D A 1 101\n"
                       "19000 U A 100 1 len=1\n19001 D A 1 101",
     UP, "100 bytes, largest 100/100"},
    {"one byte that is sent again is a repeat",
     PACKETS_HANDSHAKE "3 U PA 1 1 len=1\n203 U PA 1 1 len=1", UP,
     "1 bytes, 1 unacked, stuck 1+1 x2 3-203 ms #4-#5, largest 1/0, 1 again #5"},
    {"window probes are no repeats",
     PACKETS_HANDSHAKE "3 U PA 1 1 len=100\n4 D A 1 101 win=0\n204 U A 101 1 len=1\n"
                       "205 D A 1 101 win=0\n604 U A 101 1 len=1\n605 D A 1 101 win=0\n"
                       "606 D A 1 101 win=500\n607 U PA 101 1 len=100\n608 D A 1 201",
     UP, "200 bytes, largest 100/100"},
    {"a window that closes",
     PACKETS_HANDSHAKE
     "3 U PA 1 1 len=100\n4 D A 1 101 win=0\n205 D A 1 101 win=0\n606 D A 1 101 win=500",
     DOWN, "0 bytes, largest 0/0, closed x1 602 ms #5"},
    {"a window that stays closed",
     PACKETS_HANDSHAKE
     "3 U PA 1 1 len=100\n4 D A 1 101 win=0\n5 D A 1 101 win=9\n6 D A 1 101 win=0\n9 D R 1 0 win=0",
     DOWN, "0 bytes, largest 0/0, closed x2 1 ms #7 since 6 ms, RST #8"},
    {"three duplicate ACKs show a hole",
     PACKETS_HANDSHAKE "3 U A 1 1 len=900\n3.1 U A 901 1 len=900\n3.2 U A 1801 1 len=900\n"
                       "3.3 U A 2701 1 len=900\n4 D A 1 1\n4.1 D A 1 1\n4.2 D A 1 1\n4.3 D A 1 1",
     UP, "3600 bytes, 3600 unacked, stuck 1+900 x1 3-3 ms #4-#4, largest 900/0, hole 4 ms #11 +3"},
    {"and an ACK ends it",
     PACKETS_HANDSHAKE "3 U A 1 1 len=900\n3.1 U A 901 1 len=900\n3.2 U A 1801 1 len=900\n"
                       "3.3 U A 2701 1 len=900\n4 D A 1 1\n4.1 D A 1 1\n4.2 D A 1 1\n4.3 D A 1 1\n"
                       "5 U A 1 1 len=900\n6 D A 1 3601",
     UP, "3600 bytes, largest 900/900, 1 again #12"},
    {"window updates are no duplicate ACKs",
     PACKETS_HANDSHAKE "3 U A 1 1 len=900\n4 D A 1 1 win=501\n4.1 D A 1 1 win=502", DOWN,
     "0 bytes, largest 0/0"},
    {"a report of what came twice is no hole",
     PACKETS_HANDSHAKE "3 U A 1 1 len=900\n4 D A 1 901\n5 U A 1 1 len=900\n6 U A 901 1 len=50\n"
                       "6.1 D A 1 901 sack=1-901",
     UP, "950 bytes, 50 unacked, stuck 901+50 x1 6-6 ms #7-#7, largest 900/900, 1 again #6"},
    {"one hole after another",
     PACKETS_HANDSHAKE "3 U A 1 1 len=100\n3.1 U A 101 1 len=100\n3.2 U A 201 1 len=100\n"
                       "3.3 U A 301 1 len=100\n4 D A 1 1 sack=101-201 sack=301-401\n"
                       "9 D A 1 201 sack=301-401",
     UP,
     "400 bytes, 200 unacked, stuck 201+100 x1 3-3 ms #6-#6, largest 100/100, hole 9 ms #9 +100"},
    {"what came twice inside of what is behind a hole",
     PACKETS_HANDSHAKE "3 U A 1 1 len=100\n3.1 U A 101 1 len=100\n3.2 U A 201 1 len=100\n"
                       "4 D A 1 1 sack=151-201 sack=101-301",
     UP, "300 bytes, 300 unacked, stuck 1+100 x1 3-3 ms #4-#4, largest 100/100, hole 4 ms #7 +200"},
    {"an ACK between makes duplicate ones few",
     PACKETS_HANDSHAKE "3 U A 1 1 len=900\n3.1 U A 901 1 len=900\n3.2 U A 1801 1 len=900\n"
                       "4 D A 1 1\n4.1 D A 1 1\n4.2 D A 1 1\n4.3 D A 1 901\n4.4 D A 1 901\n"
                       "4.5 D A 1 901",
     UP, "2700 bytes, 1800 unacked, stuck 901+900 x1 3-3 ms #5-#5, largest 900/900"},
    {"answers to window probes are no duplicate ACKs",
     PACKETS_HANDSHAKE "3 U A 1 1 len=900\n4 D A 1 1 win=0\n5 D A 1 1 win=0\n6 D A 1 1 win=0\n"
                       "7 D A 1 1 win=0\n8 D A 1 1 win=0",
     DOWN, "0 bytes, largest 0/0, closed x1 0 ms #5 since 4 ms"},
    {"the rest of a giant before the next one",
     PACKETS_HANDSHAKE "3 U A 1 1 len=2000\n4 U A 2001 1 len=1000\n24 D A 1 1461", UP,
     "3000 bytes, 1540 unacked, stuck 1461+540 x1 3-3 ms #4-#4, largest 1460/1460"},
    {"pieces of a giant in a flight",
     PACKETS_HANDSHAKE "3 U A 1 1 len=2920\n4 U A 2921 1 len=4380\n5 U PA 7301 1 len=10\n"
                       "24 D A 1 2921\n25 D A 1 5841",
     UP, "7310 bytes, 1470 unacked, stuck 5841+1460 x1 4-4 ms #5-#5, largest 1460/1460"},
    {"one of a flight is sent again, smaller",
     PACKETS_HANDSHAKE "3 U A 1 1 len=1000\n4 U A 1001 1 len=1460\n20 U A 1001 1 len=536\n"
                       "21 U A 1537 1 len=924\n30 D A 1 2461",
     UP, "2460 bytes, largest 1460/1000, 2 again #6"},
    {"early, then filled", PACKETS_HANDSHAKE "3 U A 101 1 len=100\n5 U A 1 1 len=100\n6 D A 1 201",
     UP, "200 bytes, largest 100/100, 1 early"},
    {"a hole of the capture", PACKETS_HANDSHAKE "3 U A 101 1 len=100\n4 D A 1 201\n50 D A 1 201",
     UP, "200 bytes, largest 100/100, 1 early, 100 missing"},
    {"RST from as far as the rest",
     PACKETS_HANDSHAKE "3 U A 1 1 len=9\n3 D A 1 10 ttl=57\n5 D R 1 0 ttl=56", DOWN,
     "0 bytes, largest 0/0, RST #6"},
    {"RST that began with another TTL",
     PACKETS_HANDSHAKE "3 U A 1 1 len=9\n3 D A 1 10 ttl=57\n5 D R 1 0 ttl=248", DOWN,
     "0 bytes, largest 0/0, RST #6"},
    {"RST from a box between",
     PACKETS_HANDSHAKE "3 U A 1 1 len=9\n3 D A 1 10 ttl=50\n5 D R 1 0 ttl=62", DOWN,
     "0 bytes, largest 0/0, RST #6 odd"},
    {"RST that knows of a FIN has all before it",
     PACKETS_HANDSHAKE "3 U A 1 1 len=9\n4 D A 1 10 len=900\n5 D FA 901 10\n6 U RA 10 902", DOWN,
     "900 bytes, largest 900/900"},
    {"another RST acknowledges nothing",
     PACKETS_HANDSHAKE "3 U A 1 1 len=9\n4 D A 1 10 len=900\n6 U RA 10 901", DOWN,
     "900 bytes, 900 unacked, stuck 1+900 x1 4-4 ms #5-#5, largest 900/0"},
    {"RST of which no TTL is known",
     PACKETS_HANDSHAKE "3 U A 1 1 len=9\n3 D A 1 10 ttl=50\n5 D R 1 0 ttl=0", DOWN,
     "0 bytes, largest 0/0, RST #6"},
    {"bytes before the capture are no repeats", "0 U PA 500 1 len=9\n60 U PA 300 1 len=9", UP,
     "9 bytes, stuck 500+9 x1 0-0 ms #1-#1, largest 9/0"},
    {"an ACK of what nobody sent", PACKETS_HANDSHAKE "3 U A 1 1 len=9\n3 D A 1 1200000000", UP,
     "9 bytes, 9 unacked, stuck 1+9 x1 3-3 ms #4-#4, largest 9/0"},
    {"a FIN is no byte", PACKETS_HANDSHAKE "3 U FA 1 1 len=9\n4 D A 1 11\n203 U FA 1 1 len=9", UP,
     "9 bytes, largest 9/9, 1 again #6"},
};

static void facts_are_kept(void **state)
{
    unsigned failed = 0;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        packets = (struct packets)PACKETS_INIT;
        play(cases[i].script);
        if (strcmp(describe(cases[i].dir), cases[i].want) == 0)
            continue;
        print_message("# %s:\n#   is     \"%s\"\n#   should \"%s\"\n", cases[i].name, facts,
                      cases[i].want);
        failed++;
    }
    assert_int_equal(failed, 0);
}

/* The numbers wrap somewhere in the middle: all facts are the same. */
static void facts_survive_wrapping(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        for (uint32_t back = 0; back < 4000; back += 37) {
            packets = (struct packets)PACKETS_INIT;
            packets.isn[UP] = packets.isn[DOWN] = UINT32_MAX - back;
            play(cases[i].script);
            if (strcmp(describe(cases[i].dir), cases[i].want) != 0)
                fail_msg("%s, %u before the end: \"%s\"", cases[i].name, back, facts);
        }
    }
}

static void ends_are_acknowledged(void **state)
{
    packets = (struct packets)PACKETS_INIT;
    play(PACKETS_HANDSHAKE "3 U FA 1 1\n4 D FA 1 2\n");
    assert_true(heard.conn.streams[UP].fin_acked);
    assert_false(heard.conn.streams[DOWN].fin_acked);
    assert_int_equal(heard.conn.streams[UP].fin_number, 4);
    assert_int_equal(stream_unacked(&heard.conn.streams[UP]), 0);
    packets = (struct packets)PACKETS_INIT;
    play(PACKETS_HANDSHAKE "3 D A 1 2\n4 U FA 1 1\n"); /* shuffled */
    assert_true(heard.conn.streams[UP].fin_acked);
    assert_string_equal(heard.text, "est U.fin end:capture");
}

static void has_rare_facts_of_none(void **state)
{
    struct stream s = {0};

    assert_non_null(stream_get_rare(&s));
    assert_int_equal(stream_get_rare(&s)->retransmissions, 0);
    assert_int_equal(stream_unacked(&s), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(facts_are_kept),
        cmocka_unit_test(facts_survive_wrapping),
        cmocka_unit_test(ends_are_acknowledged),
        cmocka_unit_test(has_rare_facts_of_none),
    };

    return cmocka_run_group_tests_name("capture/stream", tests, NULL, NULL);
}
