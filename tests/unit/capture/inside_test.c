/* Real sessions of OpenSSL, read back with their key log. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>

#include <cmocka.h>

#include "base/util.h"
#include "tls_session.h"

#define REQUEST "GET /a?b HTTP/1.1\r\nHost: t.test\r\n\r\n"
#define ANSWER "HTTP/1.1 302 Found\r\nLocation: https://u.test/c\r\nContent-Length: 3\r\n\r\nabc"
#define SMALL_MEMORY 160 /* bytes, of a connection that nothing is known of */

static struct session session;

/* ---- feeding */

static struct inside *begin(struct secrets **secrets)
{
    struct inside *i;

    *secrets = secrets_new();
    secrets_add(*secrets, (struct span){session.keylog, session.keylog_len});
    i = inside_new(*secrets);
    assert_non_null(i);
    return i;
}

static void end(struct inside *i, struct secrets *secrets)
{
    inside_free(i);
    secrets_free(secrets);
}

static void feed_piece(struct inside *i, size_t n, size_t at, size_t len)
{
    const struct session_piece *p = &session.pieces[n];
    struct stream_piece piece = {
        {p->bytes + at, len}, (uint32_t)len, 1000 * (n + 1), (uint32_t)n + 1, 0};

    /* bytes of just this size, so that a sanitizer sees one too far */
    piece.bytes.ptr = memcpy(malloc(len), p->bytes + at, len);
    inside_feed(i, p->dir, &piece);
    free((void *)(uintptr_t)piece.bytes.ptr);
}

/* All that was captured, cut into pieces of at most `size` bytes. */
static void feed_all(struct inside *i, size_t size)
{
    for (size_t n = 0; n < session.pieces_len; n++)
        for (size_t at = 0; at < session.pieces[n].len; at += size) {
            size_t left = session.pieces[n].len - at;

            feed_piece(i, n, at, left < size ? left : size);
        }
}

/* ---- what is read */

static void assert_text(const char *text, const char *want)
{
    if (!want && text)
        fail_msg("%s", text);
    if (want)
        assert_string_equal(text ? text : "(null)", want);
}

static void assert_answer(const struct inside_sight *s, unsigned n, unsigned status,
                          const char *location)
{
    assert_true(n < s->answers_len);
    assert_int_equal(s->answers[n].status, status);
    assert_text(s->answers[n].location, location);
}

/* The talk below, as far as everything of it was read. */
static void assert_talk(const struct inside_sight *s)
{
    if (s->failed)
        fail_msg("failed: %s", s->failed);
    assert_true(s->is_open);
    assert_int_equal(s->answers_len, 2);
    assert_answer(s, 0, 302, "https://u.test/c");
    assert_text(s->answers[0].method, "GET");
    assert_text(s->answers[0].path, "/a?b");
    assert_int_equal(s->answers[0].promised, 3);
    assert_int_equal(s->answers[0].received, 3);
    assert_false(s->answers[0].unfinished);
    assert_true(s->answers[0].number > 0 && s->answers[0].at_ns == 1000 * s->answers[0].number);
    assert_answer(s, 1, 404, NULL);
    assert_text(s->answers[1].method, "POST");
    assert_int_equal(s->answers[1].promised, 20000);
    assert_int_equal(s->answers[1].received, 20000);
    assert_true(s->close_notify[UP] && s->close_notify[DOWN]);
    assert_false(s->alert[UP] || s->alert[DOWN]);
    assert_text(s->alpn, "http/1.1");
}

/* Two requests, a body that goes over several records, keys that change on the way (TLS 1.3). */
static void talk(void)
{
    static char body[20000];
    bool tls13 = SSL_version(session.ends[UP]) == TLS1_3_VERSION;

    session_say_text(&session, UP, REQUEST);
    session_say_text(&session, DOWN, ANSWER);
    if (tls13) {
        SSL_key_update(session.ends[UP], SSL_KEY_UPDATE_REQUESTED);
        session_say_text(&session, UP, "POST /d HTTP/1.1\r\nHost: t.test\r\n");
        SSL_key_update(session.ends[DOWN], SSL_KEY_UPDATE_NOT_REQUESTED);
    } else {
        session_say_text(&session, UP, "POST /d HTTP/1.1\r\nHost: t.test\r\n");
    }
    session_say_text(&session, UP, "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n");
    session_say_text(&session, DOWN,
                     "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 404 Not Found\r\n"
                     "Content-Length: 20000\r\n\r\n");
    session_say(&session, DOWN, body, sizeof body);
    session_bye(&session, UP);
    session_bye(&session, DOWN);
}

static void open_with_alpn(void)
{
    static const unsigned char offers[] = "\x02h2\x08http/1.1";

    session_open(&session);
    session.alpn = "http/1.1";
    SSL_set_alpn_protos(session.ends[UP], offers, sizeof offers - 1);
}

/* ---- suites */

struct suite {
    int version;
    const char *name;
    const char *failed; /* NULL: it is read */
};

#define NOT_READ "its cipher suite is not one that is read here"

static const struct suite suites[] = {
    {TLS1_3_VERSION, "TLS_AES_128_GCM_SHA256", NULL},
    {TLS1_3_VERSION, "TLS_AES_256_GCM_SHA384", NULL},
    {TLS1_3_VERSION, "TLS_CHACHA20_POLY1305_SHA256", NULL},
    {TLS1_3_VERSION, "TLS_AES_128_CCM_SHA256", NULL},
    {TLS1_3_VERSION, "TLS_AES_128_CCM_8_SHA256", NULL},
    {TLS1_2_VERSION, "ECDHE-RSA-AES128-GCM-SHA256", NULL},
    {TLS1_2_VERSION, "ECDHE-RSA-AES256-GCM-SHA384", NULL},
    {TLS1_2_VERSION, "ECDHE-ECDSA-AES128-GCM-SHA256", NULL},
    {TLS1_2_VERSION, "ECDHE-ECDSA-AES256-GCM-SHA384", NULL},
    {TLS1_2_VERSION, "ECDHE-RSA-CHACHA20-POLY1305", NULL},
    {TLS1_2_VERSION, "ECDHE-ECDSA-CHACHA20-POLY1305", NULL},
    {TLS1_2_VERSION, "DHE-RSA-AES128-GCM-SHA256", NULL},
    {TLS1_2_VERSION, "DHE-RSA-CHACHA20-POLY1305", NULL},
    {TLS1_2_VERSION, "AES128-GCM-SHA256", NULL},
    {TLS1_2_VERSION, "AES256-GCM-SHA384", NULL},
    {TLS1_2_VERSION, "AES128-CCM", NULL},
    {TLS1_2_VERSION, "AES256-CCM8", NULL},
    {TLS1_2_VERSION, "ECDHE-ECDSA-AES128-CCM8", NULL},
    {TLS1_2_VERSION, "ECDHE-ECDSA-AES256-CCM", NULL},
    {TLS1_2_VERSION, "ECDHE-RSA-AES128-SHA256", NOT_READ},
    {TLS1_2_VERSION, "AES128-SHA", NOT_READ},
    {TLS1_1_VERSION, "AES128-SHA", "it is older than TLS 1.2"},
};

static void use_suite(const struct suite *s)
{
    session_init(&session, s->version);
    for (int i = 0; i < 2; i++)
        assert_int_equal(s->version == TLS1_3_VERSION
                             ? SSL_CTX_set_ciphersuites(session.contexts[i], s->name)
                             : SSL_CTX_set_cipher_list(session.contexts[i], s->name),
                         1);
    open_with_alpn();
    session_shake(&session);
    assert_true(SSL_is_init_finished(session.ends[DOWN]));
}

static void every_suite_is_read(void **state)
{
    for (size_t n = 0; n < ARRAY_LEN(suites); n++) {
        struct secrets *secrets;
        struct inside *i;

        use_suite(&suites[n]);
        talk();
        i = begin(&secrets);
        feed_all(i, 1460);
        if (suites[n].failed) {
            assert_text(inside_get(i)->failed, suites[n].failed);
            assert_false(inside_get(i)->is_open);
            assert_true(inside_get_memory(i) <= SMALL_MEMORY);
        } else {
            assert_talk(inside_get(i));
            assert_text(inside_get(i)->issuer, "CN=t.test");
        }
        end(i, secrets);
        session_fini(&session);
    }
}

/* ---- how the bytes come */

static void pieces_do_not_matter(void **state)
{
    for (size_t n = 0; n < 8; n += 7) { /* one of TLS 1.3, one of TLS 1.2 */
        use_suite(&suites[n]);
        talk();
        for (size_t size = 1; size < 700; size += size < 64 ? 1 : 37) {
            struct secrets *secrets;
            struct inside *i = begin(&secrets);

            feed_all(i, size);
            assert_talk(inside_get(i));
            end(i, secrets);
        }
        session_fini(&session);
    }
}

/* Handshake messages in records of 512 bytes at most, as some peers ask for (RFC 6066 4). */
static void small_records(void **state)
{
    for (size_t n = 0; n < 8; n += 7) {
        struct secrets *secrets;
        struct inside *i;

        session_init(&session, suites[n].version);
        SSL_CTX_set_tlsext_max_fragment_length(session.contexts[UP],
                                               TLSEXT_max_fragment_length_512);
        open_with_alpn();
        session_shake(&session);
        talk();
        i = begin(&secrets);
        feed_all(i, 1000);
        assert_talk(inside_get(i));
        end(i, secrets);
        session_fini(&session);
    }
}

/* One direction a little late, as in a capture whose packets were shuffled. */
static void directions_out_of_step(void **state)
{
    for (size_t n = 0; n < 8; n += 7)
        for (enum dir late = UP; late <= DOWN; late++) {
            struct secrets *secrets;
            struct inside *i;

            use_suite(&suites[n]);
            talk();
            i = begin(&secrets);
            for (size_t k = 0; k < 4; k++) /* the handshake: hello, flight, Finished */
                if (session.pieces[k].dir != late)
                    feed_piece(i, k, 0, session.pieces[k].len);
            for (size_t k = 0; k < 4; k++)
                if (session.pieces[k].dir == late)
                    feed_piece(i, k, 0, session.pieces[k].len);
            for (size_t k = 4; k < session.pieces_len; k++)
                feed_piece(i, k, 0, session.pieces[k].len);
            assert_talk(inside_get(i));
            end(i, secrets);
            session_fini(&session);
        }
}

/* A hole ends it, with what was read before; wherever it is, nothing breaks. */
static void holes_end_it(void **state)
{
    use_suite(&suites[0]);
    talk();
    for (size_t hole = 0; hole < session.pieces_len; hole++) {
        struct secrets *secrets;
        struct inside *i = begin(&secrets);
        unsigned before = 0;

        for (size_t k = 0; k < session.pieces_len; k++) {
            struct stream_piece missing = {{"", 0}, (uint32_t)session.pieces[k].len, 5, 5, 0};

            if (k == hole) {
                before = inside_get(i)->answers_len;
                inside_feed(i, session.pieces[k].dir, &missing);
            } else {
                feed_piece(i, k, 0, session.pieces[k].len);
            }
        }
        assert_text(inside_get(i)->failed, "bytes of it are not in the capture");
        assert_int_equal(inside_get(i)->answers_len, before);
        end(i, secrets);
    }
    session_fini(&session);
}

static void damage_ends_it(void **state)
{
    struct secrets *secrets;
    struct inside *i;
    size_t at = 0;

    use_suite(&suites[1]);
    talk();
    while (session.pieces[at].dir != DOWN || session.pieces[at].len < 15000)
        at++;
    session.pieces[at].bytes[100] ^= 1;
    i = begin(&secrets);
    feed_all(i, 1460);
    assert_text(inside_get(i)->failed, "a record does not open: damaged, or other keys");
    assert_int_equal(inside_get(i)->answers_len, 2);
    assert_true(inside_get(i)->answers[1].unfinished);
    end(i, secrets);
    session_fini(&session);
}

static void what_is_not_tls(void **state)
{
    static const char *const texts[] = {"GET / HTTP/1.1\r\n\r\n", "\x16\x04\x01\x00\x01\x01",
                                        "\x17\x03\x03\x00\x01\x01", "\x16\x03\x01\xff\xff\x01"};

    for (size_t k = 0; k < ARRAY_LEN(texts); k++)
        for (int dir = 0; dir < 2; dir++) {
            struct secrets *secrets = secrets_new();
            struct inside *i = inside_new(secrets);
            uint32_t len = k == 0 ? 18 : 6;

            inside_feed(i, dir, &(struct stream_piece){{texts[k], len}, len, 1, 1, 0});
            assert_non_null(inside_get(i)->failed);
            assert_false(inside_get(i)->is_open);
            end(i, secrets);
        }
    inside_free(NULL);
}

/* ---- what the key log has */

/* The lines of the key log that have this label, or (`without`) all the others. */
static void add_lines(struct secrets *s, const char *label, bool without)
{
    struct span rest = {session.keylog, session.keylog_len};

    while (rest.len > 0) {
        struct span line = span_cut(&rest, '\n');

        if (span_begins_nocase(line, span_of(label)) != without) {
            secrets_add(s, line);
            secrets_add(s, SPAN_LIT("\n"));
        }
    }
}

static void nothing_is_known(void **state)
{
    for (size_t n = 0; n < 8; n += 7) {
        struct secrets *secrets = secrets_new();
        struct inside *i = inside_new(secrets);

        use_suite(&suites[n]);
        talk();
        feed_all(i, 1460);
        assert_false(inside_get(i)->is_open);
        assert_text(inside_get(i)->failed, "the key log does not know this connection");
        assert_int_equal(inside_get(i)->answers_len, 0);
        assert_true(inside_get_memory(i) <= SMALL_MEMORY);
        end(i, secrets);
        session_fini(&session);
    }
}

static void secrets_of_another_connection(void **state)
{
    for (size_t n = 0; n < 8; n += 7) {
        struct secrets *secrets;
        struct inside *i;
        char *at;

        use_suite(&suites[n]);
        talk();
        for (at = session.keylog; *at; at++)
            if (*at == '\n' && at > session.keylog)
                at[-1] = at[-1] == '0' ? '1' : '0';
        i = begin(&secrets);
        feed_all(i, 1460);
        assert_false(inside_get(i)->is_open);
        assert_text(inside_get(i)->failed, "the key log's secrets do not fit");
        end(i, secrets);
        session_fini(&session);
    }
}

/* Secrets that come as late as they may: before the client's Finished. */
static void secrets_that_come_late(void **state)
{
    for (size_t n = 0; n < 8; n += 7) {
        struct secrets *secrets = secrets_new();
        struct inside *i = inside_new(secrets);

        use_suite(&suites[n]);
        talk();
        for (size_t k = 0; k < session.pieces_len; k++) {
            if (k == 2)
                secrets_add(secrets, (struct span){session.keylog, session.keylog_len});
            feed_piece(i, k, 0, session.pieces[k].len);
        }
        if (n == 0) { /* ALPN is in what went by unopened */
            assert_null(inside_get(i)->failed);
            assert_int_equal(inside_get(i)->answers_len, 2);
            assert_true(inside_get(i)->close_notify[UP] && inside_get(i)->close_notify[DOWN]);
        } else {
            assert_talk(inside_get(i));
        }
        end(i, secrets);
        session_fini(&session);
    }
}

static void some_secrets(void **state)
{
    struct {
        const char *label;
        bool without;
        const char *failed;
        unsigned answers;
    } cases[] = {
        {"CLIENT_TRAFFIC", true, "the key log has the handshake's secrets only", 0},
        {"SERVER_TRAFFIC", true, "the key log has the handshake's secrets only", 0},
        {"CLIENT_HANDSHAKE", true, NULL, 2},
        {"SERVER_HANDSHAKE", true, NULL, 2},
        {"SERVER_", true, NULL, 0}, /* the client's alone */
        {"SERVER_", false, "the key log does not know this connection", 0},
    };

    use_suite(&suites[0]);
    talk();
    for (size_t k = 0; k < ARRAY_LEN(cases); k++) {
        struct secrets *secrets = secrets_new();
        struct inside *i = inside_new(secrets);

        add_lines(secrets, cases[k].label, cases[k].without);
        feed_all(i, 1460);
        if (k != 4) /* nothing of one direction ever opens: it is passed over up to a limit */
            assert_text(inside_get(i)->failed, cases[k].failed);
        assert_int_equal(inside_get(i)->answers_len, cases[k].answers);
        end(i, secrets);
    }
    session_fini(&session);
}

/* ---- handshakes of other kinds */

/* The other side wants another group: HelloRetryRequest. */
static void a_hello_that_is_asked_for_again(void **state)
{
    struct secrets *secrets;
    struct inside *i;

    session_init(&session, TLS1_3_VERSION);
    SSL_CTX_set1_groups_list(session.contexts[UP], "X25519:P-384");
    SSL_CTX_set1_groups_list(session.contexts[DOWN], "P-384");
    open_with_alpn();
    session_shake(&session);
    talk();
    for (size_t size = 1; size < 2000; size += 399) {
        i = begin(&secrets);
        feed_all(i, size);
        assert_talk(inside_get(i));
        end(i, secrets);
    }
    session_fini(&session);
}

/* A first connection's ticket. */
static SSL_SESSION *take_ticket(int version, uint32_t early)
{
    SSL_SESSION *ticket;

    session_init(&session, version);
    SSL_CTX_set_max_early_data(session.contexts[DOWN], early);
    SSL_CTX_set_recv_max_early_data(session.contexts[DOWN], early);
    session_open(&session);
    session_shake(&session);
    session_say_text(&session, UP, "x");
    session_say_text(&session, DOWN, "x");
    ticket = SSL_get1_session(session.ends[UP]);
    assert_non_null(ticket);
    session_bye(&session, UP);
    session_bye(&session, DOWN);
    session_close(&session);
    return ticket;
}

static void a_session_that_is_resumed(void **state)
{
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};

    for (size_t n = 0; n < ARRAY_LEN(versions); n++)
        for (size_t late = 0; late < 2; late++) {
            SSL_SESSION *ticket = take_ticket(versions[n], 0);
            struct secrets *secrets = secrets_new();
            struct inside *i = inside_new(secrets);

            open_with_alpn();
            SSL_set_session(session.ends[UP], ticket);
            SSL_SESSION_free(ticket);
            session_shake(&session);
            assert_true(SSL_session_reused(session.ends[UP]));
            talk();
            for (size_t k = 0; k < session.pieces_len; k++) {
                if (k == 2 * late)
                    secrets_add(secrets, (struct span){session.keylog, session.keylog_len});
                feed_piece(i, k, 0, session.pieces[k].len);
            }
            if (versions[n] == TLS1_2_VERSION || !late)
                assert_talk(inside_get(i));
            assert_int_equal(inside_get(i)->answers_len, 2);
            end(i, secrets);
            session_fini(&session);
        }
}

/* Requests of the first flight (0-RTT) are passed over, whether they are accepted or not. */
static void early_data(void **state)
{
    for (int accepted = 0; accepted < 2; accepted++) {
        SSL_SESSION *ticket = take_ticket(TLS1_3_VERSION, 16384);
        char early[5000] = "", taken[8000];
        struct secrets *secrets;
        struct inside *i;
        size_t n;

        session_open(&session); /* with the same ALPN as before: none */
        SSL_set_session(session.ends[UP], ticket);
        SSL_SESSION_free(ticket);
        for (int k = 0; k < 3; k++)
            assert_int_equal(SSL_write_early_data(session.ends[UP], early, sizeof early, &n), 1);
        session_carry(&session, UP);
        if (accepted) {
            while (SSL_read_early_data(session.ends[DOWN], taken, sizeof taken, &n) ==
                   SSL_READ_EARLY_DATA_SUCCESS)
                ;
            assert_int_equal(SSL_get_early_data_status(session.ends[DOWN]),
                             SSL_EARLY_DATA_ACCEPTED);
        }
        session_shake(&session);
        assert_true(SSL_is_init_finished(session.ends[DOWN]));
        talk();
        i = begin(&secrets);
        feed_all(i, 1460);
        assert_null(inside_get(i)->failed);
        assert_int_equal(inside_get(i)->answers_len, 2);
        assert_answer(inside_get(i), 0, 302, "https://u.test/c");
        end(i, secrets);
        session_fini(&session);
    }
}

/* The client does not like what it is shown, and says so. */
static void an_alert(void **state)
{
    for (size_t n = 0; n < 8; n += 7) {
        struct secrets *secrets;
        struct inside *i;

        session_init(&session, suites[n].version);
        session_open(&session);
        SSL_set_verify(session.ends[UP], SSL_VERIFY_PEER, NULL);
        session_shake(&session);
        i = begin(&secrets);
        feed_all(i, 1460);
        assert_text(inside_get(i)->failed, NULL);
        assert_true(inside_get(i)->alert[UP]);
        assert_int_equal(inside_get(i)->alert_code[UP], 48); /* unknown_ca */
        assert_false(inside_get(i)->alert[DOWN] || inside_get(i)->close_notify[UP]);
        assert_text(inside_get(i)->issuer, "CN=t.test");
        end(i, secrets);
        session_fini(&session);
    }
}

/* ---- HTTP/1 */

static void http1(void **state)
{
    static const struct {
        const char *asked, *answered;
        unsigned answers, status; /* of the last one */
        bool unfinished;
        uint64_t promised, received;
    } cases[] = {
        {"HEAD / HTTP/1.1\r\nHost: t\r\n\r\nGET /x HTTP/1.1\r\nHost: t\r\n\r\n",
         "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nHTTP/1.1 201 Created\r\n"
         "Content-Length: 0\r\n\r\n",
         2, 201, false, 0, 0},
        {REQUEST, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", 1, 200, true, 9, 3},
        {REQUEST, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", 1, 200, true,
         0, 3},
        {REQUEST, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", 1,
         200, false, 0, 3},
        {REQUEST, "HTTP/1.1 200 OK\r\n\r\nuntil the end", 1, 200, false, 0, 13},
        {REQUEST, "HTTP/1.1 200 OK\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n", 1, 200, false, 0,
         0},
        {REQUEST, "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n", 1, 204, false,
         0, 0},
        {REQUEST, "HTTP/1.1 101 Switching Protocols\r\n\r\nHTTP/1.1 500 no\r\n\r\n", 1, 101, false,
         0, 0},
        {REQUEST, "220 mail.test ESMTP\r\n", 0, 0, false, 0, 0},
        {"EHLO t.test\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 1, 200, false, 0, 0},
        {REQUEST, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcHTTP/1.1 2", 1, 200, false, 3, 3},
        {REQUEST, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", 1, 200, true, 0, 0},
    };

    for (size_t n = 0; n < ARRAY_LEN(cases); n++)
        for (int byte_by_byte = 0; byte_by_byte < 2; byte_by_byte++) {
            struct secrets *secrets;
            struct inside *i;

            session_init(&session, TLS1_3_VERSION);
            session_open(&session);
            session_shake(&session);
            session_say_text(&session, UP, cases[n].asked);
            for (const char *at = cases[n].answered; byte_by_byte && *at; at++)
                session_say(&session, DOWN, at, 1);
            if (!byte_by_byte)
                session_say_text(&session, DOWN, cases[n].answered);
            i = begin(&secrets);
            feed_all(i, 1460);
            assert_null(inside_get(i)->failed);
            assert_null(inside_get(i)->alpn);
            assert_int_equal(inside_get(i)->answers_len, cases[n].answers);
            if (cases[n].answers > 0) {
                const struct inside_answer *last = &inside_get(i)->answers[cases[n].answers - 1];

                assert_answer(inside_get(i), cases[n].answers - 1, cases[n].status, NULL);
                assert_int_equal(last->unfinished, cases[n].unfinished);
                assert_int_equal(last->promised, cases[n].promised);
                assert_int_equal(last->received, cases[n].received);
            }
            end(i, secrets);
            session_fini(&session);
        }
}

/* ---- HTTP/2 (its frames have a test of their own) */

#define SETTINGS "\0\0\0\4\0\0\0\0\0"
#define PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
#define HEADERS_UP "\0\0\3\1\5\0\0\0\1\x82\x84\x87" /* GET, /, https */
#define HEADERS_DOWN                                                                               \
    "\0\0\xa\1\5\0\0\0\1\x08\x03"                                                                  \
    "302\x0f\x1f\x02/c"

/* With and without ALPN, and whoever speaks first. */
static void http2(void **state)
{
    for (int n = 0; n < 4; n++) {
        static const unsigned char offer[] = "\x02h2";
        struct secrets *secrets;
        struct inside *i;

        session_init(&session, TLS1_3_VERSION);
        session_open(&session);
        session.alpn = n & 1 ? "h2" : NULL;
        SSL_set_alpn_protos(session.ends[UP], offer, n & 1 ? 3 : 0);
        session_shake(&session);
        if (n & 2)
            session_say(&session, DOWN, SETTINGS, sizeof SETTINGS - 1);
        session_say(&session, UP, PREFACE, sizeof PREFACE - 1);
        session_say(&session, UP, SETTINGS HEADERS_UP, sizeof SETTINGS HEADERS_UP - 1);
        if (!(n & 2))
            session_say(&session, DOWN, SETTINGS, sizeof SETTINGS - 1);
        session_say(&session, DOWN, HEADERS_DOWN, sizeof HEADERS_DOWN - 1);
        i = begin(&secrets);
        feed_all(i, 1460);
        assert_text(inside_get(i)->failed, NULL);
        assert_text(inside_get(i)->alpn, n & 1 ? "h2" : NULL);
        assert_int_equal(inside_get(i)->answers_len, 1);
        assert_answer(inside_get(i), 0, 302, "/c");
        assert_text(inside_get(i)->answers[0].path, "/");
        assert_true(inside_get_memory(i) > 4000);
        end(i, secrets);
        session_fini(&session);
    }
}

/* Of very many answers the first ones and the newest are kept. */
static void many_answers(void **state)
{
    struct secrets *secrets;
    struct inside *i;

    session_init(&session, TLS1_3_VERSION);
    session_open(&session);
    session_shake(&session);
    for (int n = 0; n < 200; n++) {
        char text[128];

        snprintf(text, sizeof text, "GET /%d HTTP/1.1\r\nHost: t\r\n\r\n", n);
        session_say_text(&session, UP, text);
        snprintf(text, sizeof text,
                 "HTTP/1.1 302 Found\r\nLocation: /%d\r\nContent-Length: 1\r\n\r\nx", n + 1);
        session_say_text(&session, DOWN, text);
    }
    i = begin(&secrets);
    feed_all(i, 1460);
    assert_int_equal(inside_get(i)->answers_len, 64);
    assert_answer(inside_get(i), 62, 302, "/63");
    assert_answer(inside_get(i), 63, 302, "/200");
    assert_text(inside_get(i)->answers[63].path, "/199");
    assert_false(inside_get(i)->answers[63].unfinished);
    end(i, secrets);
    session_fini(&session);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_suite_is_read),
        cmocka_unit_test(pieces_do_not_matter),
        cmocka_unit_test(small_records),
        cmocka_unit_test(directions_out_of_step),
        cmocka_unit_test(holes_end_it),
        cmocka_unit_test(damage_ends_it),
        cmocka_unit_test(what_is_not_tls),
        cmocka_unit_test(nothing_is_known),
        cmocka_unit_test(secrets_of_another_connection),
        cmocka_unit_test(secrets_that_come_late),
        cmocka_unit_test(some_secrets),
        cmocka_unit_test(a_hello_that_is_asked_for_again),
        cmocka_unit_test(a_session_that_is_resumed),
        cmocka_unit_test(early_data),
        cmocka_unit_test(an_alert),
        cmocka_unit_test(http1),
        cmocka_unit_test(http2),
        cmocka_unit_test(many_answers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
