/* What two ends say, piece by piece: connections are made up here, without packets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/util.h"
#include "capture/dialog.h"
#include "tls_session.h"

static struct session session;

/* ---- who listens */

struct heard {
    char lines[16][256];
    unsigned len;
    unsigned learnt;
    void (*look)(const struct exchange *x); /* NULL: only lines */
};

static const char *const asked_names[] = {
    [ASKED_NOTHING] = "nothing", [ASKED_CONNECT] = "connect", [ASKED_ABSOLUTE] = "absolute",
    [ASKED_ORIGIN] = "origin",   [ASKED_TLS] = "tls",         [ASKED_UNSEEN] = "unseen",
    [ASKED_OTHER] = "other"};

__attribute__((format(printf, 2, 3))) static void add(char out[256], const char *fmt, ...)
{
    size_t n = strlen(out);
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(out + n, 256 - n, fmt, ap);
    va_end(ap);
}

/* "connect a.test:443 200 first last": what is as most have it is left out. */
static void on_over(void *owner, struct exchange *x, enum conn_end how, uint64_t now_ns)
{
    struct heard *h = owner;
    char *out = h->lines[h->len++];

    assert_true(h->len <= ARRAY_LEN(h->lines));
    add(out, "%s", asked_names[x->asked]);
    if (x->target)
        add(out, " %s", x->target);
    if (x->status)
        add(out, " %u", x->status);
    if (exchange_get_rare(x)->judged)
        add(out, " %s", verdict_get_info(exchange_get_rare(x)->judged->verdict)->name);
    if (exchange_get_rare(x)->user)
        add(out, " user=%s", exchange_get_rare(x)->user);
    add(out, "%s%s%s", x->is_first ? " first" : "", x->is_last ? " last" : "",
        x->complete ? " complete" : "");
    add(out, "%s%s%s", x->proxied ? "" : " direct", x->early_unseen ? " early-unseen" : "",
        x->content_unseen ? " content-unseen" : "");
    add(out, "%s%s%s", x->is_tls ? " is-tls" : "", x->body_unfinished ? " body-unfinished" : "",
        x->request_unfinished ? " request-unfinished" : "");
    if (x->sides[UP].bytes || x->sides[DOWN].bytes)
        add(out, " %u/%u", (unsigned)x->sides[UP].bytes, (unsigned)x->sides[DOWN].bytes);
    if (h->look)
        h->look(x);
}

static void on_learnt(void *owner, struct exchange *x, uint64_t now_ns)
{
    ((struct heard *)owner)->learnt++;
}

/* ---- who speaks */

struct speaker {
    struct dialogs *d;
    struct conn_events events;
    struct conn c;
    uint64_t at_ns;
    uint32_t number;
};

static void begin(struct speaker *s, struct heard *h, struct secrets *secrets, uint16_t port)
{
    struct dialogs_options o = {
        .secrets = secrets, .over = on_over, .learnt = on_learnt, .owner = h};

    *s = (struct speaker){.at_ns = NS_PER_S, .number = 3};
    s->d = dialogs_new(&o);
    s->events = dialogs_get_events(s->d);
    s->c.begin_ns = s->c.last_ns = NS_PER_S;
    s->c.begin_number = 1;
    s->c.last_number = 3;
    s->c.established = true;
    endpoint_parse(SPAN_LIT("10.0.0.5:40000"), &s->c.ends[UP]);
    endpoint_parse(SPAN_LIT("10.0.0.1:1"), &s->c.ends[DOWN]);
    s->c.ends[DOWN].port = port;
    s->c.streams[UP].syn = s->c.streams[DOWN].syn = true;
    s->c.streams[UP].begun = s->c.streams[DOWN].begun = true;
}

/* `missing` bytes of it are not in the capture.  Exactly sized, for the sanitizer's sake. */
static void say(struct speaker *s, enum dir dir, struct span text, uint32_t missing)
{
    char *bytes = malloc(text.len + 1);
    struct stream_piece p = {
        .len = (uint32_t)text.len + missing, .at_ns = s->at_ns, .number = ++s->number};

    memcpy(bytes, text.ptr, text.len);
    bytes = realloc(bytes, text.len ? text.len : 1);
    p.bytes = (struct span){bytes, text.len};
    s->c.streams[dir].bytes += p.len;
    s->c.last_ns = s->at_ns;
    s->c.last_number = s->number;
    s->events.bytes(s->events.owner, &s->c, dir, &p);
    free(bytes);
    s->at_ns += NS_PER_MS;
}

static void leave(struct speaker *s, enum dir dir)
{
    s->c.streams[dir].fin = true;
    s->c.streams[dir].fin_ns = s->at_ns;
    s->events.fin(s->events.owner, &s->c, dir, s->at_ns, ++s->number);
}

static void finish(struct speaker *s)
{
    s->events.ended(s->events.owner, &s->c, CONN_END_CLOSED, s->at_ns);
    assert_null(s->c.dialog);
    dialogs_free(s->d);
}

/* ---- cases */

struct line {
    char what; /* '>' UP says, '<' DOWN says, 'f' UP leaves, 'F' DOWN leaves, 'w' waits ms */
    const char *text;
    unsigned n; /* missing behind it, or ms */
};

struct talk_case {
    const char *name;
    uint16_t port;
    bool mid_stream;
    struct line lines[14];
    const char *want[4];
};

#define CONNECT "CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\n\r\n"
#define CONNECT_AS                                                                                 \
    "CONNECT a.test:443 HTTP/1.1\r\nProxy-Authorization: Basic Zm1jOnNlY3JldA==\r\n\r\n"
#define GET "GET http://a.test/x HTTP/1.1\r\nHost: a.test\r\n\r\n"
#define OPENED "HTTP/1.1 200 Connection established\r\n\r\n"
#define LOGIN                                                                                      \
    "HTTP/1.1 407 No\r\nProxy-Authenticate: Basic realm=\"x\"\r\nContent-Length: 2\r\n\r\nno"
#define FINE "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"

static const struct talk_case cases[] = {
    {"a tunnel of anything",
     3128,
     false,
     {{'>', CONNECT, 0},
      {'<', OPENED, 0},
      {'<', "SSH-2.0-x\r\n", 0},
      {'>', "SSH-2.0-y\r\n", 0},
      {'f', "", 0},
      {'F', "", 0}},
     {"connect a.test:443 200 first last 11/11"}},
    {"the head and the first bytes behind it come in any pieces",
     3128,
     false,
     {{'>', "CONN", 0},
      {'>', "ECT a.test:443 HTTP/1.1\r\n\r", 0},
      {'>', "\nab", 0},
      {'<', "HT", 0},
      {'<', "TP/1.0 200 ok\r\n", 0},
      {'<', "\r\nxyz", 0}},
     {"connect a.test:443 200 first last 2/3"}},
    {"a request on any port is told by what it says",
     81,
     false,
     {{'>', GET, 0}, {'<', FINE, 0}, {'f', "", 0}},
     {"absolute a.test:80 200 first last complete 0/5"}},
    {"kept-alive requests are exchanges of their own",
     3128,
     false,
     {{'>', GET, 0},
      {'<', FINE, 0},
      {'>', GET, 0},
      {'<', FINE, 0},
      {'>', "GET http://b.test/ HTTP/1.1\r\n\r\n", 0}},
     {"absolute a.test:80 200 first complete 0/5", "absolute a.test:80 200 complete 0/5",
      "absolute b.test:80 last"}},
    {"pipelined ones, too",
     3128,
     false,
     {{'>', GET GET, 0}, {'<', FINE FINE, 0}, {'f', "", 0}},
     {"absolute a.test:80 200 first complete 0/5", "absolute a.test:80 200 last complete 0/5"}},
    {"an idle connection's end belongs to no exchange",
     3128,
     false,
     {{'>', GET, 0}, {'<', FINE, 0}, {'w', "", 5000}, {'f', "", 0}, {'F', "", 0}},
     {"absolute a.test:80 200 first complete 0/5"}},
    {"407, then again with a name",
     3128,
     false,
     {{'>', CONNECT, 0}, {'<', LOGIN, 0}, {'>', CONNECT_AS, 0}, {'<', OPENED, 0}, {'>', "x", 0}},
     {"connect a.test:443 407 auth-required first complete",
      "connect a.test:443 200 user=fmc last 1/0"}},
    {"go on, and the answer behind it",
     3128,
     false,
     {{'>', "POST http://a.test/ HTTP/1.1\r\nContent-Length: 3\r\n\r\n", 0},
      {'<', "HTTP/1.1 100 Continue\r\n\r\n", 0},
      {'>', "abc", 0},
      {'<', FINE, 0}},
     {"absolute a.test:80 200 first last complete 3/5"}},
    {"chunks",
     3128,
     false,
     {{'>', GET, 0},
      {'<', "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", 0},
      {'<', "0\r\n\r\n", 0},
      {'>', GET, 0},
      {'<', "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab", 0}},
     {"absolute a.test:80 200 first complete 0/3",
      "absolute a.test:80 200 last body-unfinished 0/2"}},
    {"a body until the end of the connection",
     3128,
     false,
     {{'>', GET, 0},
      {'<', "HTTP/1.0 200 OK\r\n\r\nabc", 0},
      {'<', "def", 0},
      {'F', "", 0},
      {'f', "", 0}},
     {"absolute a.test:80 200 first last complete 0/6"}},
    {"HEAD and 304 have no body",
     3128,
     false,
     {{'>', "HEAD http://a.test/ HTTP/1.1\r\n\r\n", 0},
      {'<', "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n", 0},
      {'>', GET, 0},
      {'<', "HTTP/1.1 304 No\r\nContent-Length: 99\r\n\r\n", 0}},
     {"absolute a.test:80 200 first complete", "absolute a.test:80 304 last complete"}},
    {"a body that stops",
     3128,
     false,
     {{'>', GET, 0}, {'<', "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello", 0}, {'F', "", 0}},
     {"absolute a.test:80 200 first last body-unfinished 0/5"}},
    {"an upgrade is a tunnel",
     80,
     false,
     {{'>', "GET /ws HTTP/1.1\r\nHost: a.test\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
       0},
      {'<', "HTTP/1.1 101 Go\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n12", 0},
      {'>', "345", 0}},
     {"origin a.test:80 101 first last direct 3/2"}},
    {"a refusal is judged with its page",
     3128,
     false,
     {{'>', CONNECT, 0},
      {'<', "HTTP/1.1 403 Forbidden\r\nContent-Length: 4\r\n\r\nno", 0},
      {'<', "pe", 0}},
     {"connect a.test:443 403 acl-denied first last complete"}},
    {"a web server's page in place of a tunnel",
     80,
     false,
     {{'>', CONNECT, 0}, {'<', "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<html>", 0}},
     {"connect a.test:443 200 not-a-proxy first last"}},
    {"200 that calls itself HTML without a page",
     3128,
     false,
     {{'>', CONNECT, 0},
      {'<', "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n", 0},
      {'>', "hi", 0},
      {'<', "ho", 0}},
     {"connect a.test:443 200 first last 2/2"}},
    {"no HTTP for an answer",
     3128,
     false,
     {{'>', CONNECT, 0}, {'<', "SSH-2.0-OpenSSH_9.2\r\n", 0}},
     {"connect a.test:443 not-a-proxy first last"}},
    {"who greets before a request is no proxy either",
     3128,
     false,
     {{'<', "220 mail.test ESMTP\r\n", 0}, {'>', CONNECT, 0}},
     {"connect a.test:443 not-a-proxy first last"}},
    {"another protocol",
     22,
     false,
     {{'<', "SSH-2.0-x\r\n", 0}, {'>', "SSH-2.0-y\r\n", 0}},
     {"other first last direct 11/11"}},
    {"408 to a connection that was kept for later is nobody's",
     3128,
     false,
     {{'<', "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n", 0}, {'F', "", 0}},
     {NULL}},
    {"sloppy heads",
     3128,
     false,
     {{'>', "CONNECT  a.test:443 HTTP/1.1\nHost : a.test\n bad\n\n", 0},
      {'<', "HTTP/1.1  200\nx\n\n", 0},
      {'>', "hi", 0}},
     {"connect a.test:443 200 first last 2/0"}},
    {"a name in the URL is not told",
     3128,
     false,
     {{'>', "GET http://me:secret@a.test/ HTTP/1.1\r\n\r\n", 0}, {'<', FINE, 0}},
     {"absolute a.test:80 200 first last complete 0/5"}},
    {"heads that are cut: what is there is read",
     3128,
     false,
     {{'>', "CONNECT a.test:443 HTTP/1.1\r\nHo", 40},
      {'<', "HTTP/1.1 200 Conn", 30},
      {'>', "", 20},
      {'<', "", 20}},
     {"connect a.test:443 200 first last content-unseen 20/20"}},
    {"a refusal that is cut",
     3128,
     false,
     {{'>', "CONNECT a.test:443 HTTP/1.1\r\nHo", 40},
      {'<', "HTTP/1.1 403 Forb", 300},
      {'<', "", 200},
      {'>', "CONNECT b.test:443 HTTP/1.1\r\nHo", 40},
      {'<', "HTTP/1.1 200 OK", 30}},
     {"connect a.test:443 403 acl-denied first", "connect b.test:443 200 last"}},
    {"only the method is there",
     3128,
     false,
     {{'>', "CONNECT a.te", 60}, {'<', "HTTP/1.1 200 ", 30}},
     {"connect 200 first last content-unseen"}},
    {"bytes of a body that are not there",
     3128,
     false,
     {{'>', GET, 0},
      {'<', "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n", 60},
      {'<', "", 40},
      {'>', GET, 0}},
     {"absolute a.test:80 200 first complete 0/100", "absolute a.test:80 last"}},
    {"a hole where the answer to CONNECT was",
     3128,
     false,
     {{'>', CONNECT, 0}, {'<', "", 39}, {'>', "\x16\x03\x01\x01\x05", 5}},
     {"connect a.test:443 first last content-unseen is-tls 10/0"}},
    {"only the client's side",
     3128,
     false,
     {{'>', CONNECT, 0}, {'>', "\x16\x03\x01\x01\x02\x01\x01", 0}, {'f', "", 0}},
     {"connect a.test:443 first last is-tls 7/0"}},
    {"nothing at all is there, sizes tell of a tunnel",
     3128,
     false,
     {{'>', "", 79}, {'<', "", 39}, {'>', "", 517}, {'<', "", 1400}},
     {"unseen first last content-unseen 596/1439"}},
    {"only what comes back is there, twice",
     3128,
     false,
     {{'>', "", 79},
      {'<', LOGIN, 0},
      {'>', "", 120},
      {'<', OPENED, 0},
      {'>', "", 200},
      {'<', "\x16\x03\x03\x01\x02xy", 0}},
     {"unseen 407 auth-required first complete content-unseen",
      "unseen 200 last content-unseen is-tls 200/7"}},
    {"a tunnel that began before the capture",
     3128,
     true,
     {{'>', "\x17\x03\x03\x01\x02xy", 0}, {'<', "\x17\x03\x03\x01\x02xy", 0}},
     {"unseen first last early-unseen is-tls 7/7"}},
    {"an answer whose request is not there",
     3128,
     true,
     {{'<', OPENED, 0}, {'>', "hi", 0}},
     {"unseen 200 first last early-unseen 2/0"}},
    {"a head that never ends",
     3128,
     false,
     {{'>', "CONNECT a.test:443 HTTP/1.1\r\nHost: a", 0}, {'f', "", 0}},
     {"connect a.test:443 first last request-unfinished"}},
    {"refused in the middle of its head",
     3128,
     false,
     {{'>', "GET http://a.test/ HTTP/1.1\r\nX: ", 0},
      {'<', "HTTP/1.1 431 Too much\r\nContent-Length: 0\r\n\r\n", 0},
      {'F', "", 0}},
     {"absolute a.test:80 431 target-error first last request-unfinished"}},
};

static void run(const struct talk_case *t, struct heard *h)
{
    struct speaker s;

    begin(&s, h, NULL, t->port);
    s.c.mid_stream = t->mid_stream;
    s.events.established(s.events.owner, &s.c);
    for (const struct line *l = t->lines; l->what; l++) {
        if (l->what == '>' || l->what == '<')
            say(&s, l->what == '>' ? UP : DOWN, span_of(l->text), l->n);
        else if (l->what == 'f' || l->what == 'F')
            leave(&s, l->what == 'f' ? UP : DOWN);
        else
            dialogs_tick(s.d, s.at_ns += l->n * NS_PER_MS);
    }
    finish(&s);
}

static void what_is_said(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct heard h = {.len = 0};
        unsigned n = 0;

        run(&cases[i], &h);
        while (n < ARRAY_LEN(cases[i].want) && cases[i].want[n])
            n++;
        for (unsigned k = 0; k < n || k < h.len; k++)
            if (k >= n || k >= h.len || strcmp(h.lines[k], cases[i].want[k]) != 0)
                fail_msg("%s: \"%s\", not \"%s\"", cases[i].name, k < h.len ? h.lines[k] : "(none)",
                         k < n ? cases[i].want[k] : "(none)");
    }
}

/* Byte by byte it is the same. */
static void pieces_do_not_matter(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct heard whole = {.len = 0}, pieces = {.len = 0};
        struct speaker s;
        bool cut = false;

        for (const struct line *l = cases[i].lines; l->what; l++)
            cut |= (l->what == '>' || l->what == '<') && l->n > 0;
        if (cut) /* where a packet ends is evidence then */
            continue;
        run(&cases[i], &whole);
        begin(&s, &pieces, NULL, cases[i].port);
        s.c.mid_stream = cases[i].mid_stream;
        s.events.established(s.events.owner, &s.c);
        for (const struct line *l = cases[i].lines; l->what; l++) {
            if (l->what == '>' || l->what == '<')
                for (const char *at = l->text; *at; at++)
                    say(&s, l->what == '>' ? UP : DOWN, (struct span){at, 1}, 0);
            else if (l->what == 'f' || l->what == 'F')
                leave(&s, l->what == 'f' ? UP : DOWN);
            else
                dialogs_tick(s.d, s.at_ns += l->n * NS_PER_MS);
        }
        finish(&s);
        assert_int_equal(pieces.len, whole.len);
        for (unsigned k = 0; k < whole.len; k++)
            if (strcmp(pieces.lines[k], whole.lines[k]) != 0)
                fail_msg("%s: \"%s\" in pieces, \"%s\" else", cases[i].name, pieces.lines[k],
                         whole.lines[k]);
    }
}

/* ---- TLS */

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
        cmocka_unit_test(what_is_said),
        cmocka_unit_test(pieces_do_not_matter),
        cmocka_unit_test(tls_in_a_tunnel),
        cmocka_unit_test(tls_without_a_proxy),
        cmocka_unit_test(a_hello_that_is_cut_has_its_number),
        cmocka_unit_test(who_says_good_bye_asks_nothing),
        cmocka_unit_test(records_are_read_on_behind_a_hole),
        cmocka_unit_test(keys_open_it),
        cmocka_unit_test(tickets_are_no_answer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
