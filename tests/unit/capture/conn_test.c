/* Connections: what a listener hears of packets in any order, with holes, twice, or not at all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "play.h"

static const struct play_case {
    const char *name, *script, *want;
    bool is_text;
} cases[] = {
    {"a whole one",
     PACKETS_HANDSHAKE "3 U PA 1 1 'hello'\n4 D PA 1 6 'world'\n5 U FA 6 6\n6 D FA 6 7\n7 U A 7 7",
     "est U:hello D:world U.fin D.fin end:closed"},
    {"a handshake alone", PACKETS_HANDSHAKE, "est end:capture"},
    {"nobody answers", "0 U S 0 0\n1000 U S 0 0\n3000 U S 0 0", "end:capture"},
    {"nobody answers, for long", "0 U S 0 0\n1000 U S 0 0\n200000 U - 9 0 port=1 'xy'",
     "end:closed mid U:xy end:capture"},
    {"refused", "0 U S 0 0\n1 D RA 0 1", "end:closed"},
    {"refused, asked again", "0 U S 0 0\n1 D RA 0 1\n500 U S 0 0\n501 D RA 0 1", "end:closed"},
    {"a foreign RST is no answer", "0 U S 0 0\n1 D RA 0 5000000\n2 D SA 0 1\n3 U A 1 1",
     "est end:capture"},
    {"the SYN is not here", "1 D SA 0 1\n2 U A 1 1\n3 U A 1 1 'abc'", "est U:abc end:capture"},
    {"the SYN-ACK is not here", "0 U S 0 0\n2 U A 1 1\n3 D A 1 1 'abc'", "est D:abc end:capture"},
    {"bytes again, and overlapping",
     PACKETS_HANDSHAKE "3 U A 1 1 'abcd'\n300 U A 1 1 'XXXXef'\n301 U A 3 1 'YYYYgh'",
     "est U:abcd U:ef U:gh end:capture"},
    {"out of order", PACKETS_HANDSHAKE "3 U A 4 1 'def'\n4 U A 7 1 'ghi'\n5 U A 1 1 'abc'",
     "est U:abc U:def U:ghi end:capture"},
    {"those that came first stay",
     PACKETS_HANDSHAKE "3 U A 4 1 'def'\n4 U A 9 1 'i'\n5 U A 1 1 'abcXXXghXjk'",
     "est U:abc U:def U:gh U:i U:jk end:capture"},
    {"a part of what waits comes again",
     PACKETS_HANDSHAKE "3 U A 4 1 'def'\n4 U A 3 1 'cXXXg'\n5 U A 1 1 'ab'",
     "est U:ab U:c U:def U:g end:capture"},
    {"a hole, acknowledged",
     PACKETS_HANDSHAKE "3 U A 1 1 'abc'\n4 U A 6 1 'fg'\n5 D A 1 8\n50 D PA 1 8 'ok'",
     "est U:abc U:<2> U:fg D:ok end:capture"},
    {"what comes late is no hole",
     PACKETS_HANDSHAKE "3 D A 1 4\n3.1 D PA 1 4 'yes'\n4 U A 1 1 'abc'",
     "est U:abc D:yes end:capture"},
    {"late in both directions",
     PACKETS_HANDSHAKE "3 D PA 1 4 'two'\n4 U PA 4 4 'three'\n5 U PA 1 1 'one'",
     "est U:one D:two U:three end:capture"},
    {"a hole that nobody got", PACKETS_HANDSHAKE "3 U A 6 1 'fg'\n4 D A 1 1 sack=6-8",
     "est end:capture"},
    {"a hole at the end of one direction alone", "0 U S 0 0\n1 U A 1 1\n3 U A 6 1 'fg'\n4 U FA 8 1",
     "est U:<5> U:fg U.fin end:closed"},
    {"one direction: the other is proved by ACKs",
     "0 U S 0 0\n1 U A 1 1\n2 U PA 1 1 'ask'\n3 U A 4 1449\n4 U A 4 3001\n5 U FA 4 3001\n",
     "est U:ask D:<1448> D:<1552> U.fin end:closed"},
    {"one direction: one byte more may be a FIN",
     "0 U S 0 0\n1 U A 1 1\n2 U PA 1 1 'ask'\n3 U A 4 11\n4 U A 4 12\n5 U FA 4 12",
     "est U:ask D:<10> U.fin end:closed"},
    {"one direction, from the other side", "0 D SA 0 1\n1 D A 1 1\n2 D PA 1 80 'ok'\n3 D FA 3 80",
     "est U:<79> D:ok D.fin end:closed"},
    {"cut by the snaplen",
     PACKETS_HANDSHAKE
     "3 U A 1 1 'abcdef' cut=4\n4 U A 7 1 'gh'\n5 U A 10 1 'jkl' cut=1\n6 U A 9 1 'i'",
     "est U:abcd<2> U:gh U:i U:j<2> end:capture"},
    {"a giant", PACKETS_HANDSHAKE "3 D A 1 1 len=40000\n4 U A 1 40001",
     "est D:[40000] end:capture"},
    {"met in the middle", "0 D PA 500 700 'from D'\n1 U A 700 506\n30 U PA 700 506 'to D'",
     "mid D:from D U:to D end:capture"},
    {"met in the middle, out of order",
     "0 U PA 703 500 'two'\n1 U PA 700 500 'one'\n2 D PA 500 706 'three'\n50 D A 505 706",
     "mid U:one U:two D:three end:capture"},
    {"met between bytes that came before and their ACK",
     "0 D A 500 700\n1 U PA 800 500 'late'\n2 D A 500 804\n40 D PA 500 804 'ok'",
     "mid U:late D:ok end:capture"},
    {"met in the middle, each knows what the other said",
     "0 U PA 700 500 'one'\n0.1 U PA 703 503 'three'\n0.2 D PA 500 703 'two'\n50 D A 503 708",
     "mid U:one D:two U:three end:capture"},
    {"met in the middle, both at once",
     "0 D PA 500 700 'one'\n0.1 U PA 700 500 'two'\n50 D A 503 703", "mid D:one U:two end:capture"},
    {"met between bytes that came before and an answer to them",
     "0 D PA 500 700 'x'\n1 U PA 800 501 'late'\n50 D A 501 804", "mid D:x U:late end:capture"},
    {"a shuffled handshake",
     "0 U PA 1 1 'ask'\n0.1 D PA 1 4 'answer'\n0.2 D SA 0 1\n0.3 U S 0 0\n0.4 U A 1 1\n50 U A 4 7",
     "est U:ask D:answer end:capture"},
    {"a shuffled handshake, the ends guessed wrong",
     "0 U PA 1 1 'ask' port=80\n0.1 D PA 1 4 'answer' port=80\n0.2 U S 0 0 port=80\n"
     "0.3 D SA 0 1 port=80\n50 U A 4 7 port=80",
     "est U:ask D:answer end:capture"},
    {"FIN before the last bytes",
     PACKETS_HANDSHAKE "3 U FA 4 1\n4 U PA 1 1 'abc'\n5 D FA 1 5\n6 U A 5 2",
     "est U:abc U.fin D.fin end:closed"},
    {"FIN with data", PACKETS_HANDSHAKE "3 U FPA 1 1 'abc'\n4 D FPA 1 5 'no'\n5 U A 5 4",
     "est U:abc U.fin D:no D.fin end:closed"},
    {"nothing is behind a FIN that waits", PACKETS_HANDSHAKE "3 U FA 4 1\n4 U A 1 1 'abcdef'",
     "est U:abc U.fin end:capture"},
    {"nothing is behind a FIN", PACKETS_HANDSHAKE "3 U FA 1 1\n4 U A 1 1 'abc'",
     "est U.fin end:capture"},
    {"RST", PACKETS_HANDSHAKE "3 U PA 1 1 'abc'\n4 D R 1 0", "est U:abc D.rst end:closed"},
    {"RST twice", PACKETS_HANDSHAKE "3 U PA 1 1 'abc'\n4 D R 1 0\n5 D RA 1 4",
     "est U:abc D.rst end:closed"},
    {"RST before the last bytes", PACKETS_HANDSHAKE "3 D RA 4 1\n4 D PA 1 1 'abc'",
     "est D:abc D.rst end:closed"},
    {"RST behind bytes that never come", PACKETS_HANDSHAKE "3 D RA 4 1\n40 U A 1 1",
     "est D.rst end:closed"},
    {"RST with a number that is far off", PACKETS_HANDSHAKE "3 D R 900000000 0\n4 D A 1 1 'abc'",
     "est D:abc end:capture"},
    {"over, and quiet",
     PACKETS_HANDSHAKE "3 U FA 1 1\n4 D FA 1 2\n5 U A 2 2\n1900 U PA 9 9 port=9 'x'\n"
                       "1990 U A 10 9 port=9\n9000 U PA 10 9 port=9 'y'",
     "est U.fin D.fin mid U:x end:closed U:y end:capture"},
    {"sent again after the end",
     PACKETS_HANDSHAKE "3 U PA 1 1 'abc'\n4 D R 1 0\n9000 U PA 1 1 'abc'\n70000 U PA 1 1 'abc'",
     "est U:abc D.rst end:closed"},
    {"after the end, with other numbers",
     PACKETS_HANDSHAKE "3 U PA 1 1 'abc'\n4 D R 1 0\n9000 U PA 9000000 1 'new'",
     "est U:abc D.rst end:closed mid U:new end:capture"},
    {"an ACK of an older connection", "0 U S 0 0\n1 D A 9000000 3000000\n2 U R 3000000 0",
     "end:closed"},
    {"data of an older connection", "0 U S 0 0\n1 U A 3000000 1 'abc'", "end:capture"},
    {"the same addresses again",
     PACKETS_HANDSHAKE "3 U FA 1 1\n4 D FA 1 2\n5 U A 2 2\n"
                       "100 U S 70000 0\n101 D SA 90000 70001\n102 U A 70001 90001 'new'",
     "est U.fin D.fin end:reused est U:new end:capture"},
    {"the same addresses again, without an end",
     PACKETS_HANDSHAKE "3 U PA 1 1 'abc'\n"
                       "100 U S 70000 0\n101 D SA 90000 70001\n102 U A 70001 90001 'new'",
     "est U:abc end:reused est U:new end:capture"},
    {"the same addresses again, the SYN-ACK is not here",
     PACKETS_HANDSHAKE "3 U PA 1 1 'abc'\n100 U S 70000 0\n102 U A 70001 90001 'new'",
     "est U:abc end:reused est U:new end:capture"},
    {"the same addresses again, only the answers are here",
     "0 D SA 0 1\n1 D A 1 1 'abc'\n90000 D SA 700000 800000\n90001 D A 700001 800000 'new'",
     "est D:abc end:reused est D:new end:capture"},
    {"a SYN-ACK of nobody knows what", PACKETS_HANDSHAKE "3 U PA 1 1 'abc'\n4 D SA 700000 800000",
     "est U:abc end:capture"},
    {"a SYN that is not taken, the old one goes on",
     PACKETS_HANDSHAKE "3 U PA 1 1 'abc'\n100 U S 70000 0\n101 D A 1 4\n102 U PA 4 1 'def'",
     "est U:abc U:def end:capture end:capture"},
    {"SYN and SYN-ACK sent again, late",
     PACKETS_HANDSHAKE "3 U PA 1 1 'abc'\n1000 D SA 0 1\n1001 U A 4 1\n1002 U S 0 0",
     "est U:abc end:capture"},
    {"data in the SYN", "0 U S 0 0 'ask'\n1 D SA 0 4\n2 U A 4 1\n3 D PA 1 4 'ok'",
     "est U:ask D:ok end:capture"},
    {"data in the SYN that is sent again", "0 U S 0 0 'ask'\n1 D SA 0 1\n2 U PA 1 1 'ask'",
     "est U:ask end:capture"},
    {"data in a SYN that nobody answers", "0 U S 0 0 'ask'\n1000 U S 0 0 'ask'", "end:capture"},
    {"a text with numbers that leave gaps",
     PACKETS_HANDSHAKE "3 U PA 1 1 'abc'\n4 D PA 1 9 'ok'\n4 D RA 99 4",
     "est U:abc U:<5> D:ok D.rst end:closed", .is_text = true},
    {"ACKs of nothing make no connection",
     "0 U A 5 5\n1 D A 5 5\n2 U FA 5 5\n3 D R 5 5\n"
     "4 U A 4 5 len=1",
     ""},
    {"ends in order of their last packets",
     "0 U S 0 0 port=1\n1 D SA 0 1 port=1\n2 U A 1 1 port=1\n3 U S 0 0 port=2\n4 D RA 0 1 port=2\n"
     "5 U PA 1 1 port=1 'last'",
     "est U:last end:closed end:capture"},
};

static void is_heard(void **state)
{
    unsigned failed = 0;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        packets = (struct packets)PACKETS_INIT;
        packets.is_text = cases[i].is_text;
        play(&(struct conn_options){0}, cases[i].script);
        if (strcmp(heard.text, cases[i].want) == 0)
            continue;
        print_message("# %s: heard \"%s\", not \"%s\"\n", cases[i].name, heard.text, cases[i].want);
        failed++;
    }
    assert_int_equal(failed, 0);
}

/* The numbers wrap in the middle of each direction: the same is heard. */
static void wraps(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        for (uint32_t back = 0; back < 12; back += 3) {
            packets = (struct packets)PACKETS_INIT;
            packets.is_text = cases[i].is_text;
            packets.isn[UP] = packets.isn[DOWN] = UINT32_MAX - back;
            play(&(struct conn_options){0}, cases[i].script);
            assert_string_equal(heard.text, cases[i].want);
        }
    }
}

/* Each packet a moment later once more, with another TTL: only counted. */
static void copies_are_not_heard(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char line[512];

        if (cases[i].is_text)
            continue;
        struct conn_events events = heard_events(&heard);
        struct conn_table *t = conn_table_new(&(struct conn_options){0}, &events);
        uint64_t played = 0;

        packets = (struct packets)PACKETS_INIT;
        memset(&heard, 0, sizeof heard);
        for (const char *at = cases[i].script; *at;
             at += strcspn(at, "\n") + (at[strcspn(at, "\n")] != 0)) {
            struct packet p;

            snprintf(line, sizeof line, "%.*s", (int)strcspn(at, "\n"), at);
            assert_true(packets_make(&packets, line, &p));
            conn_table_add(t, &p);
            p.at_ns += 30 * NS_PER_US;
            p.ttl--;
            p.number = ++packets.number;
            conn_table_add(t, &p);
            played++;
        }
        conn_table_finish(t, packets.begin_ns + 3600 * NS_PER_S);
        if (strcmp(heard.text, cases[i].want) != 0)
            fail_msg("%s: \"%s\"", cases[i].name, heard.text);
        assert_int_equal(conn_table_get_counts(t)->duplicates, played);
        conn_table_free(t);
    }
}

static void keeps_what_the_handshake_says(void **state)
{
    packets = (struct packets)PACKETS_INIT;
    play(&(struct conn_options){0}, "0 U S 0 0 mss=1460 ws=7 ttl=64\n1000 U S 0 0 mss=1460 ws=7\n"
                                    "1020 D SA 0 1 mss=1380 ws=2 ttl=57\n1050 U A 1 1\n");
    const struct conn *c = &heard.conn;

    assert_int_equal(c->syns, 2);
    assert_int_equal(c->rtt_ns, 50 * NS_PER_MS);
    assert_int_equal(c->begin_number, 1);
    assert_int_equal(c->begin_ns, packets.begin_ns);
    assert_int_equal(c->last_number, 4);
    assert_int_equal(c->streams[UP].mss, 1460);
    assert_int_equal(c->streams[DOWN].mss, 1380);
    assert_int_equal(c->streams[UP].scale, 7);
    assert_int_equal(c->streams[DOWN].scale, 2);
    assert_int_equal(c->streams[DOWN].ttl, 57);
    assert_int_equal(c->ends[UP].port, 40000);
    assert_true(c->established && !c->mid_stream && !c->one_sided);

    packets = (struct packets)PACKETS_INIT;
    play(&(struct conn_options){0},
         "0 D SA 0 1 mss=1380 ws=3\n0.1 U S 0 0 mss=1400 ws=99\n2 U A 1 1");
    assert_int_equal(c->streams[UP].mss, 1400); /* the wrong way round */
    assert_int_equal(c->streams[DOWN].mss, 1380);
    assert_int_equal(c->streams[UP].scale, 14);
    assert_int_equal(c->streams[DOWN].scale, 3);

    packets = (struct packets)PACKETS_INIT;
    play(&(struct conn_options){0}, "0 U PA 1 1 'a'\n0.1 D SA 0 1 ws=3\n0.2 U S 0 0\n50 U A 2 1");
    assert_int_equal(c->streams[DOWN].scale, 0);

    packets = (struct packets)PACKETS_INIT;
    play(&(struct conn_options){0},
         "0 U PA 1 1 'a'\n0.1 D SA 0 1 ws=3\n0.2 U S 0 0 ws=99\n50 U A 2 1");
    assert_int_equal(c->streams[UP].scale, 14);

    packets = (struct packets)PACKETS_INIT;
    play(&(struct conn_options){0}, "0 U S 0 0 ws=7\n1 D SA 0 1\n2 U A 1 1");
    assert_int_equal(heard.conn.streams[UP].scale, 0); /* only one side offers it */

    packets = (struct packets)PACKETS_INIT;
    play(&(struct conn_options){0}, "0 U PA 1 1 'abc'\n100 U PA 4 1 'abc'");
    assert_int_equal(heard.conn.streams[UP].scale, 255);
    assert_true(heard.conn.mid_stream && heard.conn.one_sided);
}

static void explains_half_open_ones(void **state)
{
    const struct conn *c = &heard.conn;

    packets = (struct packets)PACKETS_INIT;
    play(&(struct conn_options){0}, "0 U S 0 0 mss=1460\n1000 U S 0 0\n1010 U - 0 0 icmp=3.1\n"
                                    "3000 U S 0 0\n3010 U - 0 0 icmp=3.13\n");
    assert_int_equal(c->syns, 3);
    assert_int_equal(c->last_ns - c->begin_ns, 3000 * NS_PER_MS);
    assert_false(c->streams[DOWN].begun);
    assert_false(c->established || c->one_sided);
    assert_non_null(c->icmp);
    assert_int_equal(c->icmp->count, 2);
    assert_int_equal(c->icmp->code, 13);
    assert_int_equal(c->icmp->number, 5);
    assert_false(c->icmp->about_down);

    packets = (struct packets)PACKETS_INIT;
    play(&(struct conn_options){0}, "0 U S 0 0\n1 D RA 0 1 ttl=61\n500 U S 0 0\n501 D RA 0 1");
    assert_int_equal(c->syns, 2);
    assert_true(c->streams[DOWN].rst && !c->streams[DOWN].syn);
    assert_int_equal(c->streams[DOWN].rare->rst_number, 2);
    assert_int_equal(c->streams[DOWN].rare->rst_ns - c->begin_ns, NS_PER_MS);
    assert_int_equal(c->streams[DOWN].rare->rst_ttl, 61);
}

static void joins_icmp(void **state)
{
    const struct conn_counts *counts;

    packets = (struct packets)PACKETS_INIT;
    counts = play(&(struct conn_options){0},
                  PACKETS_HANDSHAKE "3 D A 1 1 len=1460\n4 D - 0 0 icmp=3.4 mtu=1400\n"
                                    "5 D - 0 0 icmp=11.0\n6 U - 0 0 port=77 icmp=3.4");
    assert_non_null(heard.conn.icmp);
    assert_int_equal(heard.conn.icmp->count, 2);
    assert_int_equal(heard.conn.icmp->code, 4); /* "too big" stays */
    assert_int_equal(heard.conn.icmp->mtu, 1400);
    assert_int_equal(heard.conn.icmp->number, 5);
    assert_int_equal(heard.conn.icmp->from.bytes[1], 9);
    assert_true(heard.conn.icmp->about_down);
    assert_int_equal(counts->icmp_unmatched, 1);
}

static bool is_8080(void *owner, const struct endpoint *e)
{
    return e->port == 40000;
}

static void guesses_who_opened(void **state)
{
    static const struct {
        unsigned from, to;
        bool known;
        enum dir want;
    } guesses[] = {
        {50000, 3128, false, UP}, {3128, 50000, false, DOWN}, {3128, 99, false, DOWN},
        {99, 50000, false, DOWN}, {40000, 3128, true, DOWN},  {443, 80, false, UP},
    };

    for (size_t i = 0; i < ARRAY_LEN(guesses); i++) {
        struct conn_events events = heard_events(&heard);
        struct conn_table *t;
        struct packet p;

        memset(&heard, 0, sizeof heard);
        packets = (struct packets)PACKETS_INIT;
        if (guesses[i].known)
            events.is_proxy = is_8080;
        t = conn_table_new(&(struct conn_options){0}, &events);
        assert_true(packets_make(&packets, "0 U PA 1 1 'abc'", &p));
        p.from.port = (uint16_t)guesses[i].from;
        p.to.port = (uint16_t)guesses[i].to;
        conn_table_add(t, &p);
        conn_table_finish(t, p.at_ns);
        assert_int_equal(heard.bytes[guesses[i].want], 3);
        conn_table_free(t);
    }
}

static void finds(void **state)
{
    struct endpoint up = packets_end(UP, 0), down = packets_end(DOWN, 0), no = packets_end(UP, 7);
    struct conn_events events = heard_events(&heard);
    struct conn_table *t = conn_table_new(&(struct conn_options){0}, &events);

    packets = (struct packets)PACKETS_INIT;
    memset(&heard, 0, sizeof heard);
    packets_play(&packets, "0 U S 0 0\n1 D SA 0 1", t);
    assert_null(conn_table_find(t, &up, &down));
    packets_play(&packets, "2 U A 1 1", t);
    assert_non_null(conn_table_find(t, &up, &down));
    assert_ptr_equal(conn_table_find(t, &up, &down), conn_table_find(t, &down, &up));
    assert_null(conn_table_find(t, &no, &down));
    conn_table_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_heard),
        cmocka_unit_test(wraps),
        cmocka_unit_test(copies_are_not_heard),
        cmocka_unit_test(keeps_what_the_handshake_says),
        cmocka_unit_test(explains_half_open_ones),
        cmocka_unit_test(joins_icmp),
        cmocka_unit_test(guesses_who_opened),
        cmocka_unit_test(finds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
