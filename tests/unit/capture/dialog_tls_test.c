/* What two ends say, piece by piece: TLS. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/err.h>

#include <cmocka.h>

#include "talk.h"
#include "tls_session.h"

static struct session session;

/* What was looked at in the last exchange. */
static struct {
    char sni[64], version[16], cipher[64], issuer[64], alpn[16];
    struct exchange x; /* pointers in it are gone */
    uint64_t at_ns[MARK_COUNT];
    unsigned statuses;
} last;

static void copy(char *out, size_t room, struct span text)
{
    snprintf(out, room, "%.*s", (int)text.len, text.ptr);
}

static void look_at_tls(const struct exchange *x)
{
    const struct inside *inside = exchange_get_rare(x)->inside;

    memset(&last, 0, sizeof last);
    last.x = *x;
    for (int m = 0; m < MARK_COUNT; m++)
        last.at_ns[m] = exchange_get_ns(x, (enum mark)m);
    if (inside && inside_get(inside)->answers_len > 0)
        last.statuses = inside_get(inside)->answers[0].status;
    copy(last.sni, sizeof last.sni, exchange_get_sni(x));
    copy(last.alpn, sizeof last.alpn, exchange_get_alpn(x));
    copy(last.version, sizeof last.version, span_of(tlsrec_version_name(x->tls_version)));
    copy(last.cipher, sizeof last.cipher, span_of(tlsrec_cipher_name(x->tls_cipher)));
    copy(last.issuer, sizeof last.issuer, span_of(x->issuer ? x->issuer : ""));
}

/* A request and its answer inside TLS, and a close by the client. */
static void record_session(int version, const char *groups)
{
    session_init(&session, version);
    SSL_CTX_set_alpn_protos(session.contexts[UP], (const unsigned char *)"\x08http/1.1", 9);
    session.alpn = "http/1.1";
    if (groups)
        SSL_CTX_set1_groups_list(session.contexts[DOWN], groups);
    session_open(&session);
    session_shake(&session);
    session_say_text(&session, UP, "GET / HTTP/1.1\r\nHost: t.test\r\n\r\n");
    session_say_text(&session, DOWN, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
    session_bye(&session, UP);
    session_bye(&session, DOWN);
}

/* All of it through a proxy, or without one, at most `size` bytes a packet of which at most `snap`
 * are in the capture. */
static void play(bool connect, uint16_t port, size_t size, size_t snap, struct secrets *secrets)
{
    struct heard h = {.look = look_at_tls};
    struct speaker s;

    begin(&s, &h, secrets, port);
    s.events.established(s.events.owner, &s.c);
    if (connect) {
        say(&s, UP, SPAN_LIT(CONNECT), 0);
        say(&s, DOWN, SPAN_LIT(OPENED), 0);
    }
    for (size_t i = 0; i < session.pieces_len; i++)
        for (size_t at = 0; at < session.pieces[i].len; at += size) {
            const struct session_piece *p = &session.pieces[i];
            size_t n = p->len - at < size ? p->len - at : size, there = n < snap ? n : snap;

            say(&s, p->dir, (struct span){p->bytes + at, there}, (uint32_t)(n - there));
        }
    leave(&s, UP);
    leave(&s, DOWN);
    finish(&s);
    assert_int_equal(h.len, 1);
}

static void assert_in_order(const enum mark *marks, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (!last.at_ns[marks[i]])
            fail_msg("mark %d is not there", marks[i]);
        if (i > 0 && last.at_ns[marks[i]] < last.at_ns[marks[i - 1]])
            fail_msg("mark %d is before %d", marks[i], marks[i - 1]);
        if (!last.x.packets[marks[i]] && marks[i] != MARK_SYN)
            fail_msg("mark %d has no packet", marks[i]);
    }
}

static void tls_in_a_tunnel(void **state)
{
    static const struct {
        int version;
        const char *groups, *name, *issuer;
    } rows[] = {
        {TLS1_3_VERSION, NULL, "TLSv1.3", ""},
        {TLS1_3_VERSION, "P-384", "TLSv1.3", ""}, /* the client is asked to try again */
        {TLS1_2_VERSION, NULL, "TLSv1.2", "CN=t.test"},
    };
    static const enum mark order[] = {
        MARK_SYN,        MARK_ESTABLISHED,  MARK_REQUEST,   MARK_REQUEST_END,  MARK_ANSWER,
        MARK_ANSWER_END, MARK_HELLO,        MARK_HELLO_END, MARK_SERVER_HELLO, MARK_TLS_END,
        MARK_INNER,      MARK_INNER_ANSWER, MARK_LAST,      MARK_CLOSE,        MARK_CLOSED};
    static const size_t sizes[] = {1, 7, 600, 1460, 100000};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        record_session(rows[i].version, rows[i].groups);
        for (size_t k = 0; k < ARRAY_LEN(sizes); k++) {
            play(true, 3128, sizes[k], 100000, NULL);
            assert_string_equal(last.sni, "t.test");
            assert_string_equal(last.alpn, last.x.is_tls13 ? "" : "http/1.1");
            assert_string_equal(last.version, rows[i].name);
            assert_string_equal(last.issuer, rows[i].issuer);
            assert_true(*last.cipher);
            assert_true(last.x.is_tls && last.x.hello_whole[UP] && last.x.hello_whole[DOWN]);
            assert_int_equal(last.x.is_tls13, rows[i].version == TLS1_3_VERSION);
            assert_false(last.x.content_unseen);
            assert_true(last.x.hello_hash && last.x.hello_len > 100);
            assert_in_order(order, ARRAY_LEN(order));
            for (unsigned dir = UP; dir <= DOWN; dir++)
                assert_true(tlsrec_is_boundary(&last.x.sides[dir].records));
            if (last.x.is_tls13)
                assert_int_equal(last.x.sides[UP].records.last_len, 19);
            else
                assert_int_equal(last.x.sides[UP].records.last_type, 21);
        }
        session_fini(&session);
    }
}

/* Two tickets before, around or behind a request answer nothing, in one packet or in two. */
static void tickets_are_no_answer(void **state)
{
    static const char asked[] = "GET / HTTP/1.1\r\nHost: t.test\r\n\r\n";

    (void)state;
    for (unsigned before = 0; before <= 2; before++)
        for (unsigned together = 0; together < 2; together++) {
            struct session_piece tickets, *p;

            record_session(TLS1_3_VERSION, NULL);
            session_close(&session);
            session_open(&session);
            session_shake(&session);
            /* hello, flight, Finished, tickets of one length each */
            assert_int_equal(session.pieces_len, 4);
            tickets = session.pieces[--session.pieces_len];
            assert_int_equal(tickets.len % 2, 0);
            session_say(&session, UP, asked, sizeof asked - 1);
            p = &session.pieces[session.pieces_len - 1];
            struct session_piece request = *p;
            session.pieces_len--;
            for (unsigned n = 0; n <= 2; n++) {
                size_t half = tickets.len / 2;

                if (n == before)
                    session.pieces[session.pieces_len++] = request;
                if (n == 2 || (together && n == 1 && before != 1))
                    continue;
                p = &session.pieces[session.pieces_len++];
                *p = tickets;
                p->len = together && before != 1 ? tickets.len : half;
                p->bytes = memcpy(malloc(p->len), tickets.bytes + n * half, p->len);
            }
            play(true, 3128, 1460, 100000, NULL);
            assert_true(last.at_ns[MARK_INNER] > 0);
            if (last.at_ns[MARK_INNER_ANSWER])
                fail_msg("an answer, %u before, together %u", before, together);
            assert_true(last.x.sides[UP].since_other > sizeof asked);
            free(tickets.bytes);
            session_fini(&session);
        }
}

static void tls_without_a_proxy(void **state)
{
    (void)state;
    record_session(TLS1_3_VERSION, NULL);
    play(false, 443, 1460, 100000, NULL);
    assert_int_equal(last.x.asked, ASKED_TLS);
    assert_false(last.x.proxied);
    assert_string_equal(last.sni, "t.test");
    assert_true(last.at_ns[MARK_HELLO] && !last.at_ns[MARK_REQUEST]);
    session_fini(&session);
}

/* Headers only, or a little more: both legs still get the same number. */
static void a_hello_that_is_cut_has_its_number(void **state)
{
    uint64_t whole;

    (void)state;
    record_session(TLS1_3_VERSION, NULL);
    play(true, 3128, 1460, 100000, NULL);
    whole = last.x.hello_hash;
    for (int connect = 0; connect < 2; connect++) {
        play(connect, connect ? 3128 : 443, 1460, 40, NULL);
        assert_true(last.x.hello_hash == whole);
    }
    assert_true(last.x.is_tls && last.x.content_unseen && last.at_ns[MARK_HELLO_END]);
    assert_true(last.at_ns[MARK_SERVER_HELLO]);
    session_fini(&session);
}

/* Quiet before the last piece of the client, which is its close_notify; or without its hello. */
static void play_quiet(uint64_t quiet_ns, bool without_hello)
{
    struct heard h = {.look = look_at_tls};
    struct speaker s;
    size_t last_up = 0;

    begin(&s, &h, NULL, 3128);
    s.events.established(s.events.owner, &s.c);
    say(&s, UP, SPAN_LIT(CONNECT), 0);
    say(&s, DOWN, SPAN_LIT(OPENED), 0);
    for (size_t i = 0; i < session.pieces_len; i++)
        last_up = session.pieces[i].dir == UP ? i : last_up;
    for (size_t i = 0; i < session.pieces_len; i++) {
        const struct session_piece *p = &session.pieces[i];
        size_t there = without_hello && i == 0 ? 0 : p->len;

        s.at_ns += i == last_up ? quiet_ns : 0;
        say(&s, p->dir, (struct span){p->bytes, there}, (uint32_t)(p->len - there));
    }
    leave(&s, UP);
    leave(&s, DOWN);
    finish(&s);
    assert_int_equal(h.len, 1);
}

static void who_says_good_bye_asks_nothing(void **state)
{
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(versions); i++) {
        record_session(versions[i], NULL);
        play_quiet(60 * NS_PER_S, false);
        assert_true(last.at_ns[MARK_LAST] + 60 * NS_PER_S <= last.at_ns[MARK_CLOSE]);
        assert_true(last.x.silence.length_ns >= 60 * NS_PER_S);
        assert_int_equal(last.x.silence.after, 0);
        assert_int_equal(last.x.sides[UP].since_other, 0);
        session_fini(&session);
    }
}

static void records_are_read_on_behind_a_hole(void **state)
{
    (void)state;
    record_session(TLS1_2_VERSION, NULL);
    play_quiet(0, true);
    assert_true(last.x.is_tls && last.x.content_unseen && !last.x.hello_whole[UP]);
    assert_int_equal(last.x.sides[UP].records.last_type, 21);
    assert_true(last.at_ns[MARK_HELLO] && last.at_ns[MARK_INNER]);
    session_fini(&session);
}

static void keys_open_it(void **state)
{
    struct secrets *secrets = secrets_new();

    (void)state;
    record_session(TLS1_3_VERSION, NULL);
    secrets_add(secrets, (struct span){session.keylog, session.keylog_len});
    play(true, 3128, 1460, 100000, secrets);
    assert_int_equal(last.statuses, 200);
    secrets_free(secrets);
    session_fini(&session);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tls_in_a_tunnel),
        cmocka_unit_test(tickets_are_no_answer),
        cmocka_unit_test(tls_without_a_proxy),
        cmocka_unit_test(a_hello_that_is_cut_has_its_number),
        cmocka_unit_test(who_says_good_bye_asks_nothing),
        cmocka_unit_test(records_are_read_on_behind_a_hole),
        cmocka_unit_test(keys_open_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
