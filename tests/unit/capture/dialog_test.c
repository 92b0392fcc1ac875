/* What two ends say, piece by piece: HTTP. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "talk.h"

#define POST "POST http://a.test/ HTTP/1.1\r\nContent-Length: 10\r\n\r\n"
#define FOUR "HTTP/1.1 200 ok\r\nContent-Length: 4\r\n\r\n"
#define CHUNKED "HTTP/1.1 200 ok\r\nTransfer-Encoding: chunked\r\n\r\n"

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

/* ---- what is kept of it */

struct url_case {
    const char *head, *target, *url;
};

static const struct url_case *asked;

static void look_at_url(const struct exchange *x)
{
    char *url = strdup("of before");

    exchange_copy_url(x, &url);
    assert_string_equal(x->target, asked->target);
    if (asked->url)
        assert_string_equal(url, asked->url);
    else
        assert_null(url);
    free(url);
}

/* However its target is spelled in it, and whatever stands in rows before. */
static void a_url_is_kept_as_it_was_asked_for(void **state)
{
    static const struct url_case rows[] = {
        {"GET http://a.test/b?c HTTP/1.1\r\n\r\n", "a.test:80", "http://a.test/b?c"},
        {"GET http://a.test:80/ HTTP/1.1\r\n\r\n", "a.test:80", "http://a.test:80/"},
        {"GET http://a.test:8080/ HTTP/1.1\r\n\r\n", "a.test:8080", "http://a.test:8080/"},
        {"GET http://a.test HTTP/1.1\r\n\r\n", "a.test:80", "http://a.test"},
        {"GET http://a.test?c HTTP/1.1\r\n\r\n", "a.test:80", "http://a.test?c"},
        {"GET http://a.test:080/ HTTP/1.1\r\n\r\n", "a.test:080", "http://a.test:080/"},
        {"GET http://A.Test/b HTTP/1.1\r\n\r\n", "a.test:80", "http://A.Test/b"},
        {"GET HTTP://a.test/b HTTP/1.1\r\n\r\n", "a.test:80", "HTTP://a.test/b"},
        {"GET https://a.test/b HTTP/1.1\r\n\r\n", "a.test:443", "https://a.test/b"},
        {"GET http://[::1]/b HTTP/1.1\r\n\r\n", "[::1]:80", "http://[::1]/b"},
        {"GET http://[0::1]:80/b HTTP/1.1\r\n\r\n", "[::1]:80", "http://[0::1]:80/b"},
        {"GET http://me:it@a.test/b HTTP/1.1\r\n\r\n", "a.test:80", "http://a.test/b"},
        {"GET http://a.test:x/b HTTP/1.1\r\n\r\n", "a.test:x", "http://a.test:x/b"},
        {"GET /b HTTP/1.1\r\nHost: a.test\r\n\r\n", "a.test:80", "http://a.test/b"},
        {"GET /b HTTP/1.1\r\nHost: a.test:80\r\n\r\n", "a.test:80", "http://a.test:80/b"},
        {"OPTIONS * HTTP/1.1\r\nHost: a.test\r\n\r\n", "a.test:80", "http://a.test*"},
        {"CONNECT a.test:443 HTTP/1.1\r\n\r\n", "a.test:443", NULL},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct heard h = {.look = look_at_url};
        struct speaker s;

        asked = &rows[i];
        begin(&s, &h, NULL, 80);
        say(&s, UP, span_of(rows[i].head), 0);
        finish(&s);
        assert_int_equal(h.len, 1);
    }
}

static unsigned promised[4];

static void look_at_promises(const struct exchange *x)
{
    const struct exchange_rare *r = exchange_get_rare(x);

    promised[0] = (unsigned)r->request_promised;
    promised[1] = (unsigned)r->request_received;
    promised[2] = (unsigned)r->promised;
    promised[3] = (unsigned)r->received;
}

/* Of the request's body and of the answer's, in whichever order they begin and wherever they end.
 */
static void what_was_promised_and_came_is_told(void **state)
{
    static const struct {
        struct line lines[6];
        unsigned want[4];
    } rows[] = {
        {{{'>', POST "abc", 0}}, {10, 3, 0, 0}},
        {{{'>', POST "abc", 0}, {'<', FOUR "ab", 0}}, {10, 3, 4, 2}},
        {{{'>', POST "abc", 0}, {'<', FOUR "ab", 0}, {'>', "de", 0}, {'<', "cd", 0}},
         {10, 5, 4, 4}},
        {{{'>', POST "0123456789", 0}, {'<', FOUR "abcd", 0}}, {10, 10, 4, 4}},
        {{{'>', GET, 0}, {'<', FOUR "ab", 0}, {'F', "", 0}}, {0, 0, 4, 2}},
        {{{'>', GET, 0}, {'<', "HTTP/1.1 200 ok\r\n\r\nabc", 0}, {'F', "", 0}}, {0, 0, 0, 3}},
        {{{'>', GET, 0}, {'<', CHUNKED "3\r\nabc\r\nx", 0}, {'<', "yz", 0}}, {0, 0, 0, 5}},
        {{{'>', GET, 0}, {'<', CHUNKED "3\r\nabc\r\n", 0}, {'<', "x", 4}, {'<', "yz", 0}},
         {0, 0, 0, 5}},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct talk_case c = {.name = "bodies", .port = 3128};
        struct heard h = {.look = look_at_promises};

        memcpy(c.lines, rows[i].lines, sizeof rows[i].lines);
        run(&c, &h);
        assert_int_equal(h.len, 1);
        for (unsigned k = 0; k < 4; k++)
            if (promised[k] != rows[i].want[k])
                fail_msg("row %u: %u %u %u %u", (unsigned)i, promised[0], promised[1], promised[2],
                         promised[3]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_said),
        cmocka_unit_test(pieces_do_not_matter),
        cmocka_unit_test(a_url_is_kept_as_it_was_asked_for),
        cmocka_unit_test(what_was_promised_and_came_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
