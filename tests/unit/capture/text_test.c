#include "capture/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/util.h"

#include "textshow.h"

/* --- a text's packets as a text --- */

static char *show(struct span bytes)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);

    assert_non_null(out);
    textshow_all(bytes, out);
    assert_int_equal(fclose(out), 0);
    return text;
}

static void check(const char *name, struct span bytes, const char *want)
{
    char *got = show(bytes);

    if (strcmp(got, want) != 0)
        fail_msg("%s:\n%s, not\n%s", name, got, want);
    free(got);
}

struct text_case {
    const char *name, *text, *want;
};

static void check_all(const struct text_case *cases, size_t len)
{
    for (size_t i = 0; i < len; i++)
        check(cases[i].name, span_of(cases[i].text), cases[i].want);
}

#define CHECK(cases) check_all(cases, ARRAY_LEN(cases))

/* A handshake, and what it becomes. */
#define OPEN                                                                                       \
    "14:00:00.000000 IP c.40000 > p.3128: Flags [S], seq 0, win 64240, options [mss 1460], "       \
    "length "                                                                                      \
    "0\n"                                                                                          \
    "14:00:00.001000 IP p.3128 > c.40000: Flags [S.], seq 0, ack 1, win 65160, length 0\n"         \
    "14:00:00.002000 IP c.40000 > p.3128: Flags [.], ack 1, win 64240, length 0\n"
#define OPENED                                                                                     \
    "1 0.000000 c:40000>p:3128 S 0 mss 1460\n"                                                     \
    "2 0.001000 p:3128>c:40000 S. 0 ack 1\n"                                                       \
    "3 0.002000 c:40000>p:3128 . 1 ack 1\n"
#define CONNECT "CONNECT t.example:443 HTTP/1.1\\r\\nHost: t.example:443\\r\\n\\r\\n"

/* --- tickets --- */

static void tickets_become_coherent(void **state)
{
    static const struct {
        const char *file, *verdict, *why; /* what explain says of it in the end */
        const char *want;
    } tickets[] = {
        {"normal", "ok", "all phases, both FINs; redirects inside TLS cannot be seen",
         "1 0.000000 app7:41812>gw:3128 S 0 mss 1460\n"
         "2 0.000369 gw:3128>app7:41812 S. 0 ack 1 mss 1460\n"
         "3 0.000400 app7:41812>gw:3128 . 1 ack 1\n"
         "4 0.000400 app7:41812>gw:3128 P. 1+129 ack 1 \"CONNECT updates.example.net:443 "
         "HTTP/1.1\\r\\nHost: updates.example.net:443\\r\\nUser-Agent: curl/8.5.0\\r\\n"
         "Proxy-Connection: Keep-Alive\\r\\n\\r\\n\"\n"
         "9 0.000400 gw:3128>app7:41812 P. 1+39 ack 130 \"HTTP/1.1 200 Connection "
         "established\\r\\n\\r\\n\"\n"
         "11 0.092178 app7:41812>gw:3128 P. 130+517 ack 40\n"
         "12 0.137788 gw:3128>app7:41812 P. 40+2896 ack 647\n"
         "13 0.159981 app7:41812>gw:3128 P. 647+310 ack 2936\n"
         "14 0.210096 gw:3128>app7:41812 P. 2936+402 ack 957\n"
         "15 4.691878 app7:41812>gw:3128 F. 957 ack 3338\n"
         "16 4.692291 gw:3128>app7:41812 F. 3338 ack 958\n"
         "17 4.692308 app7:41812>gw:3128 . 958 ack 3339\n"},
        {"denied", "acl-denied", "403 to CONNECT",
         "1 0.000000 10.20.0.9:50112>10.20.0.1:80 S 0 mss 1460\n"
         "2 0.000076 10.20.0.1:80>10.20.0.9:50112 S. 0 ack 1 mss 1460\n"
         "3 0.000100 10.20.0.9:50112>10.20.0.1:80 . 1 ack 1\n"
         "4 0.000100 10.20.0.9:50112>10.20.0.1:80 P. 1+69 ack 1 \"CONNECT repo.example.org:443 "
         "HTTP/1.1\\r\\nHost: repo.example.org:443\\r\\n\\r\\n\"\n"
         "7 0.000100 10.20.0.1:80>10.20.0.9:50112 P. 1+91 ack 70 \"HTTP/1.1 403 Forbidden\\r\\n"
         "Content-Type: text/html\\r\\nContent-Length: 188\\r\\nConnection: close\\r\\n\\r\\n\"\n"
         "11 6.120099 10.20.0.9:50112>10.20.0.1:80 F. 70 ack 92\n"
         "12 6.120179 10.20.0.1:80>10.20.0.9:50112 P. 92+188 ack 71\n"
         "12 6.120179 10.20.0.1:80>10.20.0.9:50112 F. 280 ack 71\n"
         "13 6.120200 10.20.0.9:50112>10.20.0.1:80 . 71 ack 281\n"},
        {"stops", "stalled", "inferred, capture-incomplete: data unanswered where the text ends",
         "1 0.000000 host:54000>proxy:8080 S 0 mss 1460\n"
         "2 0.000050 proxy:8080>host:54000 S. 0 ack 1 mss 1460\n"
         "3 0.000080 host:54000>proxy:8080 . 1 ack 1\n"
         "4 0.000080 host:54000>proxy:8080 P. 1+86 ack 1 \"CONNECT dl.example.com:443 "
         "HTTP/1.1\\r\\nHost: dl.example.com:443\\r\\nUser-Agent: agent/1\\r\\n\\r\\n\"\n"
         "7 0.000080 proxy:8080>host:54000 P. 1+39 ack 87 \"HTTP/1.1 200 Connection "
         "established\\r\\n\\r\\n\"\n"
         "8 0.200900 host:54000>proxy:8080 P. 87+1517 ack 40\n"
         "9 0.259900 proxy:8080>host:54000 P. 40+1514 ack 1604\n"
         "10 3.499900 host:54000>proxy:8080 P. 1604+1440 ack 1554\n"},
        {"reset", "reset-by-proxy", "RST 0.1 ms after a large packet is no MTU evidence",
         "1 0.000000 host:54001>proxy:80 S 0 mss 1460\n"
         "2 0.000050 proxy:80>host:54001 S. 0 ack 1 mss 1460\n"
         "3 0.000080 host:54001>proxy:80 . 1 ack 1\n"
         "4 0.000080 host:54001>proxy:80 P. 1+65 ack 1 \"CONNECT dl.example.com:443 HTTP/1.1\\r\\n"
         "Host: dl.example.com:443\\r\\n\\r\\n\"\n"
         "6 0.000080 proxy:80>host:54001 P. 1+39 ack 66 \"HTTP/1.1 200 Connection "
         "established\\r\\n\\r\\n\"\n"
         "7 0.200000 host:54001>proxy:80 P. 66+517 ack 40\n"
         "8 0.201000 proxy:80>host:54001 P. 40+1514 ack 583\n"
         "9 2.356000 host:54001>proxy:80 P. 583+1440 ack 1554\n"
         "10 2.356123 proxy:80>host:54001 R 1554 win 0\n"},
        {"blackhole", "mtu-blackhole", "inferred: one 1460-byte segment never acknowledged",
         "1 0.000000 10.40.0.5:40220>10.10.0.1:3128 S 0 mss 1460\n"
         "2 0.020000 10.10.0.1:3128>10.40.0.5:40220 S. 0 ack 1 mss 1460\n"
         "3 0.020030 10.40.0.5:40220>10.10.0.1:3128 . 1 ack 1\n"
         "4 0.020100 10.40.0.5:40220>10.10.0.1:3128 P. 1+79 ack 1\n"
         "5 0.045000 10.10.0.1:3128>10.40.0.5:40220 P. 1+39 ack 80\n"
         "6 0.046000 10.40.0.5:40220>10.10.0.1:3128 . 80+1460 ack 40\n"
         "7 0.046010 10.40.0.5:40220>10.10.0.1:3128 P. 1540+362 ack 40\n"
         "8 0.067000 10.10.0.1:3128>10.40.0.5:40220 . 40 ack 80 {1540:1902}\n"
         "9 0.270000 10.40.0.5:40220>10.10.0.1:3128 . 80+1460 ack 40\n"
         "10 0.690000 10.40.0.5:40220>10.10.0.1:3128 . 80+1460 ack 40\n"
         "11 1.530000 10.40.0.5:40220>10.10.0.1:3128 . 80+1460 ack 40\n"
         "12 3.210000 10.40.0.5:40220>10.10.0.1:3128 . 80+1460 ack 40\n"},
        {"no-answer", "proxy-silent", "CONNECT retransmitted, never acknowledged, FIN",
         "1 0.000000 fw:51000>px:3128 S 0 mss 1460\n"
         "2 0.000300 px:3128>fw:51000 S. 0 ack 1 mss 1460\n"
         "3 0.000320 fw:51000>px:3128 . 1 ack 1\n"
         "4 0.000400 fw:51000>px:3128 P. 1+117 ack 1 \"CONNECT api.example.com:443 "
         "HTTP/1.1\\r\\n\"\n"
         "5 0.201000 fw:51000>px:3128 P. 1+117 ack 1 \"CONNECT api.example.com:443 "
         "HTTP/1.1\\r\\n\"\n"
         "6 0.610000 fw:51000>px:3128 P. 1+117 ack 1 \"CONNECT api.example.com:443 "
         "HTTP/1.1\\r\\n\"\n"
         "7 1.430000 fw:51000>px:3128 P. 1+117 ack 1 \"CONNECT api.example.com:443 "
         "HTTP/1.1\\r\\n\"\n"
         "8 30.000000 fw:51000>px:3128 F. 118 ack 1\n"},
    };
    static char bytes[4096];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(tickets); i++) {
        char path[512];
        FILE *f;

        snprintf(path, sizeof path, "%s/%s.txt", TICKETS, tickets[i].file);
        f = fopen(path, "rb");
        if (!f)
            fail_msg("cannot open %s", path);
        size_t len = fread(bytes, 1, sizeof bytes, f);
        fclose(f);
        check(tickets[i].file, (struct span){bytes, len}, tickets[i].want);
    }
}

/* --- heads --- */

static void heads_belong_to_the_connection_above(void **state)
{
    static const struct text_case cases[] = {
        {"a head ends with the text", OPEN "CONNECT t.example:443 HTTP/1.1\nHost: t.example:443\n",
         OPENED "4 0.002000 c:40000>p:3128 P. 1+55 ack 1 \"" CONNECT "\"\n"},
        {"above the first packet",
         "CONNECT t.example:443 HTTP/1.1\nHost: t.example:443\n\n" OPEN
         "14:00:01 IP p.3128 > c.40000: Flags [P.], length 300\n",
         "4 0.000000 c:40000>p:3128 S 0 mss 1460\n"
         "5 0.001000 p:3128>c:40000 S. 0 ack 1\n"
         "6 0.002000 c:40000>p:3128 . 1 ack 1\n"
         "1 1.000000 c:40000>p:3128 P. 1+55 ack 1 \"" CONNECT "\"\n"
         "7 1.000000 p:3128>c:40000 P. 1+300 ack 56\n"},
        {"above packets that they do not fit",
         "CONNECT t.example:443 HTTP/1.1\n\nHTTP/1.1 403 Forbidden\n\n" OPEN
         "14:00:01 IP c.40000 > p.3128: Flags [P.], length 10\n",
         "5 0.000000 c:40000>p:3128 S 0 mss 1460\n"
         "6 0.001000 p:3128>c:40000 S. 0 ack 1\n"
         "7 0.002000 c:40000>p:3128 . 1 ack 1\n"
         "1 1.000000 c:40000>p:3128 P. 1+34 ack 1 \"CONNECT t.example:443 HTTP/1.1\\r\\n\\r\\n\"\n"
         "3 1.000000 p:3128>c:40000 P. 1+26 ack 35 \"HTTP/1.1 403 Forbidden\\r\\n\\r\\n\"\n"
         "8 1.000000 c:40000>p:3128 P. 35+10 ack 27\n"},
        {"above a handshake without more", "CONNECT t.example:443 HTTP/1.1\n\n" OPEN,
         "3 0.000000 c:40000>p:3128 S 0 mss 1460\n"
         "4 0.001000 p:3128>c:40000 S. 0 ack 1\n"
         "5 0.002000 c:40000>p:3128 . 1 ack 1\n"
         "1 0.002000 c:40000>p:3128 P. 1+34 ack 1 \"CONNECT t.example:443 "
         "HTTP/1.1\\r\\n\\r\\n\"\n"},
        {"behind all packets: what was said before the end",
         OPEN "14:00:01 IP c.40000 > p.3128: Flags [P.], seq 1:60, ack 1, win 5, length 59\n"
              "14:00:02 IP p.3128 > c.40000: Flags [.], ack 60, win 5, length 0\n"
              "14:00:03 IP p.3128 > c.40000: Flags [F.], seq 27, ack 60, win 5, length 0\n"
              "> CONNECT t.example:443 HTTP/1.1\n> Host: t.example:443\n>\n"
              "< HTTP/1.1 403 Forbidden\n<\n",
         OPENED "4 1.000000 c:40000>p:3128 P. 1+59 ack 1 \"CONNECT t.example:443 HTTP/1.1\\r\\n"
                "Host: t.example:443    \\r\\n\\r\\n\"\n"
                "5 2.000000 p:3128>c:40000 . 1 ack 60\n"
                "10 3.000000 p:3128>c:40000 P. 1+26 ack 60 \"HTTP/1.1 403 Forbidden\\r\\n\\r\\n\"\n"
                "6 3.000000 p:3128>c:40000 F. 27 ack 60\n"},
        {"what TLS hides was not captured",
         OPEN "CONNECT t.example:443 HTTP/1.1\n\nHTTP/1.1 200 OK\n\nGET /secret HTTP/1.1\n\n"
              "14:00:01 IP c.40000 > p.3128: Flags [P.], length 517\n",
         OPENED "4 0.002000 c:40000>p:3128 P. 1+34 ack 1 \"CONNECT t.example:443 "
                "HTTP/1.1\\r\\n\\r\\n\"\n"
                "6 0.002000 p:3128>c:40000 P. 1+19 ack 35 \"HTTP/1.1 200 OK\\r\\n\\r\\n\"\n"
                "10 1.000000 c:40000>p:3128 P. 35+517 ack 20\n"},
        {"a closed side says nothing more",
         OPEN
         "CONNECT t.example:443 HTTP/1.1\n\n"
         "14:00:01 IP c.40000 > p.3128: Flags [F.], length 0\nGET http://t.example/ HTTP/1.1\n\n",
         OPENED "4 0.002000 c:40000>p:3128 P. 1+34 ack 1 \"CONNECT t.example:443 "
                "HTTP/1.1\\r\\n\\r\\n\"\n"
                "6 1.000000 c:40000>p:3128 F. 35 ack 1\n"},
        {"of no connection", "CONNECT t.example:443 HTTP/1.1\n\nHTTP/1.1 403 Forbidden\n", ""},
        {"as curl -v prints it",
         OPEN "> CONNECT t.example:443 HTTP/1.1\n> Host: t.example:443\n> \n"
              "< HTTP/1.1 200 Connection established\n< \n* Proxy replied 200\n",
         OPENED "4 0.002000 c:40000>p:3128 P. 1+55 ack 1 \"" CONNECT "\"\n"
                "7 0.002000 p:3128>c:40000 P. 1+39 ack 56 \"HTTP/1.1 200 Connection "
                "established\\r\\n\\r\\n\"\n"},
        {"remarks of people are not HTTP's",
         OPEN "GET http://t.example/#x HTTP/1.0 # first try\nHost: t.example (ours)\n"
              "# Proxy-Authorization: Basic eDp5\n(X-A: b)\nso far so good\n"
              "User-Agent: a (b; c) d\n\nHTTP/1.1 502 Bad Gateway (or is it?)\n",
         OPENED "4 0.002000 c:40000>p:3128 P. 1+77 ack 1 \"GET http://t.example/#x HTTP/1.0\\r\\n"
                "Host: t.example\\r\\nUser-Agent: a (b; c) d\\r\\n\\r\\n\"\n"
                "11 0.002000 p:3128>c:40000 P. 1+28 ack 78 \"HTTP/1.1 502 Bad "
                "Gateway\\r\\n\\r\\n\"\n"},
        {"viaduct's own words are no remark",
         OPEN "CONNECT t.example:443 HTTP/1.1\n\n"
              "HTTP/1.1 403 Forbidden (acl-denied: rule social) # see\n",
         OPENED
         "4 0.002000 c:40000>p:3128 P. 1+34 ack 1 \"CONNECT t.example:443 "
         "HTTP/1.1\\r\\n\\r\\n\"\n"
         "6 0.002000 p:3128>c:40000 P. 1+52 ack 35 \"HTTP/1.1 403 Forbidden (acl-denied: rule "
         "social)\\r\\n\\r\\n\"\n"},
        {"a long field on two lines",
         OPEN "HTTP/1.1 407 Proxy Authentication Required\n"
              "Proxy-Authenticate: Digest realm=\"proxy.example\", qop=\"auth\",\n"
              "  nonce=\"abc\", algorithm=MD5\n",
         OPENED "4 0.002000 p:3128>c:40000 P. 1+136 ack 1 \"HTTP/1.1 407 Proxy Authentication "
                "Required\\r\\nProxy-Authenticate: Digest realm=\"proxy.example\", qop=\"auth\", "
                "nonce=\"abc\", algorithm=MD5\\r\\n\\r\\n\"\n"},
    };

    (void)state;
    CHECK(cases);
}

static void a_head_may_be_the_content_of_a_line(void **state)
{
    static const struct text_case cases[] = {
        {"of its very length",
         OPEN "14:00:01 IP c.40000 > p.3128: Flags [P.], seq 1:56, ack 1, length 55\n"
              "CONNECT t.example:443 HTTP/1.1\nHost: t.example:443\n\n",
         OPENED "4 1.000000 c:40000>p:3128 P. 1+55 ack 1 \"" CONNECT "\"\n"},
        {"fields were left out: it is whole all the same",
         OPEN "14:00:01 IP c.40000 > p.3128: Flags [P.], seq 1:60, ack 1, length 59\n"
              "CONNECT t.example:443 HTTP/1.1\nHost: t.example:443\n\n",
         OPENED "4 1.000000 c:40000>p:3128 P. 1+59 ack 1 \"CONNECT t.example:443 HTTP/1.1\\r\\n"
                "Host: t.example:443    \\r\\n\\r\\n\"\n"},
        {"longer than its line: cut",
         OPEN "14:00:01 IP c.40000 > p.3128: Flags [P.], seq 1:41, ack 1, length 40\n"
              "CONNECT t.example:443 HTTP/1.1\nHost: t.example:443\n\n",
         OPENED "4 1.000000 c:40000>p:3128 P. 1+40 ack 1 \"CONNECT t.example:443 HTTP/1.1\\r\\n"
                "Host: t.\"\n"},
        {"too long for its line: not its",
         OPEN "14:00:01 IP c.40000 > p.3128: Flags [P.], seq 1:11, ack 1, length 10\n"
              "CONNECT t.example:443 HTTP/1.1\n\n",
         OPENED "4 1.000000 c:40000>p:3128 P. 1+10 ack 1\n"
                "5 1.000000 c:40000>p:3128 P. 11+34 ack 1 \"CONNECT t.example:443 "
                "HTTP/1.1\\r\\n\\r\\n\"\n"},
        {"of the other side: not its",
         OPEN "14:00:01 IP c.40000 > p.3128: Flags [P.], seq 1:56, ack 1, length 55\n"
              "HTTP/1.1 403 Forbidden\n\n",
         OPENED
         "4 1.000000 c:40000>p:3128 P. 1+55 ack 1\n"
         "5 1.000000 p:3128>c:40000 P. 1+26 ack 56 \"HTTP/1.1 403 Forbidden\\r\\n\\r\\n\"\n"},
        {"with a body behind it",
         OPEN "14:00:01 IP p.3128 > c.40000: Flags [P.], seq 1:101, ack 1, length 100\n"
              "HTTP/1.1 403 Forbidden\nContent-Length: 53\n\n",
         OPENED "4 1.000000 p:3128>c:40000 P. 1+100 ack 1 \"HTTP/1.1 403 Forbidden\\r\\n"
                "Content-Length: 53\\r\\n\\r\\n\"\n"},
        {"only its first line, by tcpdump",
         OPEN
         "14:00:01 IP c.40000 > p.3128: Flags [P.], seq 1:56, ack 1, length 55: HTTP: CONNECT "
         "t.example:443 HTTP/1.1\n"
         "14:00:02 IP p.3128 > c.40000: Flags [P.], seq 1:40, ack 56, length 39: HTTP: HTTP/1.1 "
         "200 Connection established\n",
         OPENED "4 1.000000 c:40000>p:3128 P. 1+55 ack 1 \"CONNECT t.example:443 HTTP/1.1\\r\\n\"\n"
                "5 2.000000 p:3128>c:40000 P. 1+39 ack 56 \"HTTP/1.1 200 Connection "
                "established\\r\\n\\r\\n\"\n"},
        {"with -v",
         "14:00:01.0 IP (tos 0x0, ttl 64, id 7, offset 0, flags [DF], proto TCP (6), length 95)\n"
         "    c.40000 > p.http: Flags [P.], cksum 0x1 (correct), seq 1:56, ack 1, win 5, length "
         "55: "
         "HTTP, length: 55\n"
         "\tCONNECT t.example:443 HTTP/1.1\n\tHost: t.example:443\n\t\n",
         "1 0.000000 c:40000>p:80 P. 0+55 ack 1 \"" CONNECT "\"\n"},
    };

    (void)state;
    CHECK(cases);
}

static void a_body_that_no_line_shows_was_there(void **state)
{
    static const struct text_case cases[] = {
        {"its sender closes",
         OPEN "GET http://t.example/ HTTP/1.1\n\nHTTP/1.1 200 OK\nContent-Length: 1500\n\n"
              "14:00:01 IP p.3128 > c.40000: Flags [F.], length 0\n",
         OPENED "4 0.002000 c:40000>p:3128 P. 1+34 ack 1 \"GET http://t.example/ "
                "HTTP/1.1\\r\\n\\r\\n\"\n"
                "6 0.002000 p:3128>c:40000 P. 1+41 ack 35 \"HTTP/1.1 200 OK\\r\\nContent-Length: "
                "1500\\r\\n\\r\\n\"\n"
                "9 1.000000 p:3128>c:40000 P. 42+1000 ack 35\n"
                "9 1.000000 p:3128>c:40000 P. 1042+500 ack 35\n"
                "9 1.000000 p:3128>c:40000 F. 1542 ack 35\n"},
        {"a number says that it was not",
         OPEN "HTTP/1.1 200 OK\nContent-Length: 1500\n\n"
              "14:00:01 IP p.3128 > c.40000: Flags [F.], seq 342, ack 1, length 0\n",
         OPENED "4 0.002000 p:3128>c:40000 P. 1+41 ack 1 \"HTTP/1.1 200 OK\\r\\nContent-Length: "
                "1500\\r\\n\\r\\n\"\n"
                "7 1.000000 p:3128>c:40000 F. 42 ack 1\n"},
        {"a reset does not say so",
         OPEN "HTTP/1.1 200 OK\nContent-Length: 1500\n\n"
              "14:00:01 IP p.3128 > c.40000: Flags [R], length 0\n",
         OPENED "4 0.002000 p:3128>c:40000 P. 1+41 ack 1 \"HTTP/1.1 200 OK\\r\\nContent-Length: "
                "1500\\r\\n\\r\\n\"\n"
                "7 1.000000 p:3128>c:40000 R 42\n"},
        {"lines show it",
         OPEN "HTTP/1.1 200 OK\nContent-Length: 1500\n\n"
              "14:00:01 IP p.3128 > c.40000: Flags [P.], length 700\n"
              "14:00:02 IP p.3128 > c.40000: Flags [F.], length 0\n",
         OPENED "4 0.002000 p:3128>c:40000 P. 1+41 ack 1 \"HTTP/1.1 200 OK\\r\\nContent-Length: "
                "1500\\r\\n\\r\\n\"\n"
                "7 1.000000 p:3128>c:40000 P. 42+700 ack 1\n"
                "8 2.000000 p:3128>c:40000 F. 742 ack 1\n"},
        {"the answer to HEAD has none",
         OPEN "HEAD http://t.example/ HTTP/1.1\n\nHTTP/1.1 200 OK\nContent-Length: 1500\n\n"
              "14:00:01 IP p.3128 > c.40000: Flags [F.], length 0\n",
         OPENED "4 0.002000 c:40000>p:3128 P. 1+35 ack 1 \"HEAD http://t.example/ "
                "HTTP/1.1\\r\\n\\r\\n\"\n"
                "6 0.002000 p:3128>c:40000 P. 1+41 ack 36 \"HTTP/1.1 200 OK\\r\\nContent-Length: "
                "1500\\r\\n\\r\\n\"\n"
                "9 1.000000 p:3128>c:40000 F. 42 ack 36\n"},
    };

    (void)state;
    CHECK(cases);
}

/* --- what a text went through --- */

static void ways_into_a_ticket_change_nothing(void **state)
{
    static const struct text_case cases[] = {
        {"quoted, with a byte order mark and CRLF",
         "\xef\xbb\xbf> 14:00:00.0 IP c.1 > p.80: Flags [S], length 0\r\n> GET http://t.example/ "
         "HTTP/1.1\r\n>\r\n",
         "1 0.000000 c:1>p:80 S 0\n"
         "2 0.000000 c:1>p:80 P. 1+34 ack 1 \"GET http://t.example/ HTTP/1.1\\r\\n\\r\\n\"\n"},
        {"wrapped",
         "14:00:00.000000 IP c.40000 > p.3128: Flags [S], seq 0, win 64240,\n"
         "options [mss 1460], length 0\n"
         "14:00:00.001000 IP p.3128 > c.40000:\n"
         "  Flags [S.], seq 0, ack 1, win 65160, options [mss\n1460], length 0\n"
         "14:00:00.002000 IP c.40000 > p.3128: Flags [P.], seq 1:119, ack 1, length 118: HTTP: "
         "CONNECT t.example:443\nHTTP/1.1\n",
         "1 0.000000 c:40000>p:3128 S 0 mss 1460\n"
         "3 0.001000 p:3128>c:40000 S. 0 ack 1 mss 1460\n"
         "6 0.002000 c:40000>p:3128 P. 1+118 ack 1 \"CONNECT t.example:443 HTTP/1.1\\r\\n\"\n"},
        {"a line that ends early is not wrapped",
         "14:00:00.0 IP c.1 > p.80: Flags [S]\nlength 5 is what I expect\n",
         "1 0.000000 c:1>p:80 S 0\n"},
        {"a web page",
         "14:00:00.0 IP c.1 &gt; p.80: Flags [S], length 0<br>\n"
         "14:00:00.5&nbsp;IP p.80 &gt; c.1: Flags [S.], length 0<br/>\n",
         "1 0.000000 c:1>p:80 S 0\n2 0.500000 p:80>c:1 S. 0 ack 1\n"},
        {"no-break spaces",
         "14:00:00.0\xc2\xa0IP\xc2\xa0"
         "c.1 > p.80: Flags [S], length 0\n",
         "1 0.000000 c:1>p:80 S 0\n"},
        {"a log's prefix",
         "Nov 23 10:00:01 gw tcpdump[12]: 14:00:00.0 IP c.1 > p.80: Flags [S], length 0\n"
         "Nov 23 10:00:01 gw tcpdump[12]: 14:00:00.5 IP p.80 > c.1: Flags [S.], length 0\n",
         "1 0.000000 c:1>p:80 S 0\n2 0.500000 p:80>c:1 S. 0 ack 1\n"},
        {"what tcpdump says itself",
         "tcpdump: listening on eth0, link-type EN10MB (Ethernet), snapshot length 262144 bytes\n"
         "14:00:00.0 IP c.1 > p.80: Flags [S], length 0\n^C\n1 packet captured\n",
         "2 0.000000 c:1>p:80 S 0\n"},
    };

    (void)state;
    CHECK(cases);
}

static void remarks_are_never_evidence(void **state)
{
    static const struct text_case cases[] = {
        {"in parentheses", OPEN "(14:00:01 IP p.3128 > c.40000: Flags [R], length 0)\n", OPENED},
        {"over several lines",
         OPEN "[from the other side:\n14:00:01 IP p.3128 > c.40000: Flags [R], length 0\n"
              "HTTP/1.1 403 Forbidden\n]\n",
         OPENED},
        {"a bracket that never closes is one line",
         OPEN "(and then\n14:00:01 IP p.3128 > c.40000: Flags [R], length 0\n",
         OPENED "5 1.000000 p:3128>c:40000 R 1\n"},
        {"behind a sign", OPEN "# 14:00:01 IP p.3128 > c.40000: Flags [R], length 0\n", OPENED},
        {"behind a line",
         OPEN
         "14:00:01 IP c.40000 > p.3128: Flags [P.], length 517 (Client Hello, seq 7, Flags [R])\n",
         OPENED "4 1.000000 c:40000>p:3128 P. 1+517 ack 1\n"},
        {"within a line",
         OPEN "14:00:01 IP c.40000 > p.3128: Flags [P.] (seq 9 I think), ack 1, length 517\n",
         OPENED "4 1.000000 c:40000>p:3128 P. 1+517 ack 1\n"},
        {"in Japanese, in heads",
         OPEN "GET http://t.example/ HTTP/1.1\xe2\x80\xbb 1\nHost: t.example\xef\xbc\x88 a "
              "\xef\xbc\x89\n"
              "\xe3\x80\x90X-A: b\xe3\x80\x91\n\nHTTP/1.1 403 Forbidden\xef\xbc\x88?\xef\xbc\x89\n",
         OPENED
         "4 0.002000 c:40000>p:3128 P. 1+51 ack 1 \"GET http://t.example/ HTTP/1.1\\r\\n"
         "Host: t.example\\r\\n\\r\\n\"\n"
         "8 0.002000 p:3128>c:40000 P. 1+26 ack 52 \"HTTP/1.1 403 Forbidden\\r\\n\\r\\n\"\n"},
        {"in Japanese", OPEN "\xe5\xbf\x9c\xe7\xad\x94\xe3\x81\xaa\xe3\x81\x97 14:00:01 RST\n",
         OPENED},
        {"in a sentence", OPEN "we never saw 14:00:01 IP p.3128 > c.40000: Flags [R], length 0\n",
         OPENED},
    };

    (void)state;
    CHECK(cases);
}

/* --- times --- */

static void times_lie_on_one_line(void **state)
{
#define SYN "IP c.1 > p.80: Flags [S], length 0\n"
#define SYNACK "IP p.80 > c.1: Flags [S.], length 0\n"
#define ACK "IP c.1 > p.80: Flags [.], ack 1, length 0\n"
#define AS(a, b, c)                                                                                \
    "1 0.000000 c:1>p:80 S 0\n2 " a " p:80>c:1 S. 0 ack 1\n3 " b " c:1>p:80 . 1 ack 1\n4 " c       \
    " c:1>p:80 . 1 ack 1\n"
    static const struct text_case cases[] = {
        {"midnight", "23:59:59.5 " SYN "23:59:59.9 " SYNACK "00:00:00.5 " ACK "00:00:01.5 " ACK,
         AS("0.400000", "1.000000", "2.000000")},
        {"a day and a night",
         "23:00:00.0 " SYN "09:00:00.0 " SYNACK "23:00:00.0 " ACK "01:00:00.0 " ACK,
         AS("36000.000000", "86400.000000", "93600.000000")},
        {"-ttt",
         " 00:00:00.000000 " SYN " 00:00:00.000024 " SYNACK " 00:00:00.000033 " ACK
         " 00:00:00.000011 " ACK,
         AS("0.000024", "0.000057", "0.000068")},
        {"-ttttt",
         " 00:00:00.000000 " SYN " 00:00:00.000024 " SYNACK " 00:00:00.000057 " ACK
         " 00:00:00.000068 " ACK,
         AS("0.000024", "0.000057", "0.000068")},
        {"-ttttt, packets out of order",
         " 00:00:00.000000 " SYN " 00:00:00.000171 " SYNACK " 00:00:00.000094 " ACK
         " 00:00:00.500000 " ACK,
         AS("0.000171", "0.000171", "0.500000")},
        {"-ttt, a wait that grows",
         " 00:00:00.000000 " SYN " 00:00:00.020000 " SYNACK " 00:00:00.000010 " ACK
         " 00:00:00.200000 " ACK,
         AS("0.020000", "0.020010", "0.220010")},
        {"-t", SYN SYNACK ACK ACK, AS("0.000000", "0.000000", "0.000000")},
        {"a clock that steps back",
         "14:00:10.0 " SYN "14:00:10.5 " SYNACK "14:00:02.0 " ACK "14:00:03.0 " ACK,
         AS("0.500000", "0.500000", "1.500000")},
        {"packets out of order",
         "14:00:10.0 " SYN "14:00:10.5 " SYNACK "14:00:10.4 " ACK "14:00:10.6 " ACK,
         AS("0.500000", "0.500000", "0.600000")},
        {"seconds since 1970",
         "1795667064.1 " SYN "1795667064.2 " SYNACK "1795667064.3 " ACK "1795667065.1 " ACK,
         AS("0.100000", "0.200000", "1.000000")},
    };

    (void)state;
    CHECK(cases);
}

static void both_clocks_are_set(void **state)
{
    static const struct {
        const char *text;
        uint64_t wall_ns[2];
    } cases[] = {
        {"14:00:00.5 " SYN "14:00:01.0 " ACK, {50400500000000, 50401000000000}},
        {"23:59:59.0 " SYN "00:00:00.0 " ACK, {86399000000000, 86400000000000}},
        {"2026-11-26 04:24:24.0 " SYN "1795667065.0 " ACK,
         {1795667064000000000, 1795667065000000000}},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct textshow_lines lines = {span_of(cases[i].text)};
        struct text_capture *t = text_new(textshow_line, &lines);
        struct packet p;

        for (unsigned k = 0; k < 2; k++) {
            assert_int_equal(text_next(t, &p), 1);
            assert_int_equal(p.wall_ns, cases[i].wall_ns[k]);
            assert_true(p.at_ns > 0 && p.is_text);
        }
        assert_int_equal(text_next(t, &p), 0);
        text_free(t);
    }
}

/* --- numbers --- */

static void numbers_that_are_there_are_kept(void **state)
{
#define A "14:00:01 IP c.1 > p.80: Flags "
#define B "14:00:01 IP p.80 > c.1: Flags "
    static const struct text_case cases[] = {
        {"relative, from real first ones",
         A "[S], seq 2851329645, length 0\n" B "[S.], seq 4294967290, ack 2851329646, length 0\n" A
           "[P.], seq 1:131, ack 1, length 130\n" B "[P.], seq 1:101, ack 131, length 100\n",
         "1 0.000000 c:1>p:80 S 0\n2 0.000000 p:80>c:1 S. 0 ack 1\n"
         "3 0.000000 c:1>p:80 P. 1+130 ack 1\n4 0.000000 p:80>c:1 P. 1+100 ack 131\n"},
        {"-S, over the end of the numbers",
         A "[S], seq 2851329645, length 0\n" B "[S.], seq 4294967290, ack 2851329646, length 0\n" A
           "[P.], seq 2851329646:2851329776, ack 4294967291, length 130\n" B
           "[P.], seq 4294967291:95, ack 2851329776, length 100\n",
         "1 0.000000 c:1>p:80 S 0\n2 0.000000 p:80>c:1 S. 0 ack 1\n"
         "3 0.000000 c:1>p:80 P. 1+130 ack 1\n4 0.000000 p:80>c:1 P. 1+100 ack 131\n"},
        {"from the middle",
         A "[P.], seq 2851329646:2851329776, ack 700, length 130\n" B "[.], ack 130, length 0\n" B
           "[P.], seq 1:18, ack 130, length 17\n" A "[P.], seq 130:200, ack 18, length 70\n",
         "1 0.000000 c:1>p:80 P. 0+130 ack 1\n2 0.000000 p:80>c:1 . 1 ack 130\n"
         "3 0.000000 p:80>c:1 P. 1+17 ack 130\n4 0.000000 c:1>p:80 P. 130+70 ack 18\n"},
        {"a hole, a packet out of order, one again",
         A "[S], seq 0, length 0\n" A "[P.], seq 101:201, ack 1, length 100\n" A
           "[P.], seq 1:101, ack 1, length 100\n" A "[P.], seq 1:101, ack 1, length 100\n" A
           "[P.], seq 501:601, ack 1, length 100\n" B "[.], ack 601, length 0\n",
         "1 0.000000 c:1>p:80 S 0\n2 0.000000 c:1>p:80 P. 101+100 ack 1\n"
         "3 0.000000 c:1>p:80 P. 1+100 ack 1\n4 0.000000 c:1>p:80 P. 1+100 ack 1\n"
         "5 0.000000 c:1>p:80 P. 501+100 ack 1\n6 0.000000 p:80>c:1 . 1 ack 601\n"},
        {"a refusal",
         A "[S], seq 3029314887, length 0\n" B "[R.], seq 0, ack 3029314888, win 0, length 0\n",
         "1 0.000000 c:1>p:80 S 0\n2 0.000000 p:80>c:1 R. 0 ack 1 win 0\n"},
        {"by an old tcpdump",
         "14:00:01 IP c.1 > p.80: S 100:100(0) win 5840 <mss 1460>\n"
         "14:00:01 IP p.80 > c.1: S 500:500(0) ack 101 win 5840 <mss 1460>\n"
         "14:00:01 IP c.1 > p.80: P 1:118(117) ack 1 win 5840\n"
         "14:00:01 IP p.80 > c.1: . ack 118 win 5840\n",
         "1 0.000000 c:1>p:80 S 0 mss 1460\n2 0.000000 p:80>c:1 S. 0 ack 1 mss 1460\n"
         "3 0.000000 c:1>p:80 P. 1+117 ack 1\n4 0.000000 p:80>c:1 . 1 ack 118\n"},
        {"the same ends again",
         A "[S], seq 0, length 0\n" A "[S], seq 0, length 0\n" B "[S.], seq 0, ack 1, length 0\n" A
           "[F.], seq 1, ack 1, length 0\n" A "[S], seq 0, length 0\n" B
           "[S.], seq 0, ack 1, length 0\n",
         "1 0.000000 c:1>p:80 S 0\n2 0.000000 c:1>p:80 S 0\n3 0.000000 p:80>c:1 S. 0 ack 1\n"
         "4 0.000000 c:1>p:80 F. 1 ack 1\n5 0.000000 c:1>p:80 S 0\n6 0.000000 p:80>c:1 S. 0 ack "
         "1\n"},
    };

    (void)state;
    CHECK(cases);
}

static void numbers_that_are_not_there_follow(void **state)
{
    static const struct text_case cases[] = {
        {"an answer acknowledges, an ACK without number does not",
         OPEN "14:00:01 IP c.40000 > p.3128: Flags [P.], length 100\n"
              "14:00:01 IP p.3128 > c.40000: Flags [.], length 0\n"
              "14:00:02 IP p.3128 > c.40000: Flags [P.], length 50\n",
         OPENED "4 1.000000 c:40000>p:3128 P. 1+100 ack 1\n"
                "5 1.000000 p:3128>c:40000 . 1 ack 1\n"
                "6 2.000000 p:3128>c:40000 P. 1+50 ack 101\n"},
        {"a number that grows acknowledges",
         OPEN "CONNECT t.example:443 HTTP/1.1\n\n"
              "14:00:01 IP p.3128 > c.40000: Flags [.], ack 80, length 0\n",
         OPENED "4 0.002000 c:40000>p:3128 P. 1+34 ack 1 \"CONNECT t.example:443 "
                "HTTP/1.1\\r\\n\\r\\n\"\n"
                "6 1.000000 p:3128>c:40000 . 1 ack 35\n"},
        {"one that does not, does not: also of a FIN",
         OPEN "CONNECT t.example:443 HTTP/1.1\n\n"
              "14:00:01 IP p.3128 > c.40000: Flags [.], ack 1, length 0\n"
              "14:00:02 IP p.3128 > c.40000: Flags [F.], seq 1, ack 1, length 0\n",
         OPENED "4 0.002000 c:40000>p:3128 P. 1+34 ack 1 \"CONNECT t.example:443 "
                "HTTP/1.1\\r\\n\\r\\n\"\n"
                "6 1.000000 p:3128>c:40000 . 1 ack 1\n"
                "7 2.000000 p:3128>c:40000 F. 1 ack 1\n"},
        {"ranges mean what they say behind a head, too",
         OPEN "CONNECT t.example:443 HTTP/1.1\n\nHTTP/1.1 200 OK\n\n"
              "14:00:01 IP c.40000 > p.3128: Flags [.], seq 80:1540, ack 40, length 1460\n"
              "14:00:01 IP c.40000 > p.3128: Flags [P.], seq 1540:1902, ack 40, length 362\n"
              "14:00:01 IP p.3128 > c.40000: Flags [.], ack 80, options [nop,nop,sack 1 "
              "{1540:1902}], length 0\n"
              "14:00:02 IP c.40000 > p.3128: Flags [.], seq 80:1540, ack 40, length 1460\n",
         OPENED "4 0.002000 c:40000>p:3128 P. 1+34 ack 1 \"CONNECT t.example:443 "
                "HTTP/1.1\\r\\n\\r\\n\"\n"
                "6 0.002000 p:3128>c:40000 P. 1+19 ack 35 \"HTTP/1.1 200 OK\\r\\n\\r\\n\"\n"
                "8 1.000000 c:40000>p:3128 . 35+1460 ack 20\n"
                "9 1.000000 c:40000>p:3128 P. 1495+362 ack 20\n"
                "10 1.000000 p:3128>c:40000 . 20 ack 35 {1495:1857}\n"
                "11 2.000000 c:40000>p:3128 . 35+1460 ack 20\n"},
        {"a length that is not the range's",
         OPEN "14:00:01 IP c.40000 > p.3128: Flags [P.], seq 1:80, ack 1, length 500\n"
              "14:00:01 IP c.40000 > p.3128: Flags [P.], seq 7000:7100, ack 1, length 100\n",
         OPENED "4 1.000000 c:40000>p:3128 P. 1+500 ack 1\n"
                "5 1.000000 c:40000>p:3128 P. 501+100 ack 1\n"},
        {"no length that a segment can have",
         OPEN "14:00:01 IP c.40000 > p.3128: Flags [P.], ack 1, length 4000000000\n",
         OPENED "4 1.000000 c:40000>p:3128 P. 1 ack 1\n"},
    };

    (void)state;
    CHECK(cases);
}

/* --- ICMP --- */

static void icmp_errors_find_their_packet(void **state)
{
#define BIG "14:00:01 IP c.40000 > p.3128: Flags [.], seq 1:1461, ack 1, length 1460\n"
#define BIG_OUT "4 1.000000 c:40000>p:3128 . 1+1460 ack 1\n"
    static const struct text_case cases[] = {
        {"by the addresses",
         OPEN BIG "14:00:02 IP gw > c: ICMP p unreachable - need to frag (mtu 1400), length 556\n",
         OPENED BIG_OUT "5 2.000000 gw:0>c:0 icmp 3/4 mtu 1400 about c:40000>p:3128 1+1500\n"},
        {"by what they quote",
         OPEN BIG
         "14:00:02.0 IP (tos 0xc0, ttl 64, id 3, offset 0, flags [none], proto ICMP (1), length "
         "88)\n    gw > c: ICMP p unreachable - need to frag (mtu 1400), length 68\n"
         "\tIP (tos 0x0, ttl 63, id 1, offset 0, flags [DF], proto TCP (6), length 1500)\n"
         "    c.40000 > p.3128: Flags [.], seq 1:1461, ack 1, win 5, length 1460\n" BIG,
         OPENED BIG_OUT "5 2.000000 gw:0>c:0 icmp 3/4 mtu 1400 about c:40000>p:3128 1+1500\n"
                        "9 2.000000 c:40000>p:3128 . 1+1460 ack 1\n"},
        {"of a SYN",
         "14:00:00 IP c.1 > p.80: Flags [S], seq 7, length 0\n"
         "14:00:01 IP gw > c: ICMP host p unreachable, length 68\n",
         "1 0.000000 c:1>p:80 S 0\n2 1.000000 gw:0>c:0 icmp 3/1 mtu 0 about c:1>p:80 0+40\n"},
        {"of nothing that is here", "14:00:01 IP gw > c: ICMP host p unreachable, length 68\n",
         "1 0.000000 other\n"},
        /* -A prints the head that is quoted; behind a header that ends in 0a it begins a line */
        {"with its characters",
         OPEN BIG "14:00:02 IP gw > c: ICMP p unreachable - need to frag (mtu 1400), length 556\n"
                  "E..@....@.......................E.....@.@................................\n"
                  "POST http://t.example/ HTTP/1.1\nHost: t.example\n\nxx\n" BIG,
         OPENED BIG_OUT "5 2.000000 gw:0>c:0 icmp 3/4 mtu 1400 about c:40000>p:3128 1+1500\n"
                        "11 2.000000 c:40000>p:3128 . 1+1460 ack 1\n"},
        {"with its characters, of IPv6",
         "14:00:00 IP6 c.1 > p.80: Flags [S], seq 7, length 0\n"
         "14:00:01 IP6 gw > c: ICMP6, packet too big, mtu 1400, length 128\n"
         "`.....:@................................................................\n"
         "GET / HTTP/1.1\nHost: p\n\n"
         "14:00:02 IP6 c.1 > p.80: Flags [S], seq 7, length 0\n",
         "1 0.000000 c:1>p:80 S 0\n2 1.000000 gw:0>c:0 icmp 2/0 mtu 1400 about c:1>p:80 0+60\n"
         "7 2.000000 c:1>p:80 S 0\n"},
    };

    (void)state;
    CHECK(cases);
}

/* --- bytes --- */

static void bytes_below_a_line_are_its_own(void **state)
{
#define HEX_LINE                                                                                   \
    "04:24:24.0 IP 127.0.0.1.48460 > 127.0.0.1.8000: Flags [P.], seq 1:59, ack 1, win 64, "        \
    "options "                                                                                     \
    "[nop,nop,TS val 214996287 ecr 2553284114], length 58\n"
#define HEX_WANT                                                                                   \
    "1 0.000000 127.0.0.1:48460>127.0.0.1:8000 P. 0+58 ack 1 \"GET /x HTTP/1.1\\r\\nHost: "        \
    "127.0.0.1:8000\\r\\nConnection: close\\r\\n\"\n"
    static const struct text_case cases[] = {
        /* -A, with 0d0a in the TCP header, of which 0a is printed: "ONNECT" would be a method, too
         */
        {"-A without a CR of the header",
         OPEN "14:00:01 IP c.40000 > p.3128: Flags [P.], seq 1:35, ack 1, win 64240, options "
              "[nop,nop,TS val 1 ecr 2], length 34\n"
              "E..V...................................\n"
              "...........CONNECT t.example:443 HTTP/1.1\n\n",
         OPENED "4 1.000000 c:40000>p:3128 P. 1+34 ack 1 \"CONNECT t.example:443 "
                "HTTP/1.1\\r\\n\\r\\n\"\n"},
        {"-X",
         HEX_LINE "\t0x0000:  4500 006e 9a0a 4000 4006 a27d 7f00 0001  E..n..@.@..}....\n"
                  "\t0x0010:  7f00 0001 bd4c 1f40 4996 84d7 b2ad ff90  .....L.@I.......\n"
                  "\t0x0020:  8018 0040 fe62 0000 0101 080a 0cd0 953f  ...@.b.........?\n"
                  "\t0x0030:  9830 0612 4745 5420 2f78 2048 5454 502f  .0..GET./x.HTTP/\n"
                  "\t0x0040:  312e 310d 0a48 6f73 743a 2031 3237 2e30  1.1..Host:.127.0\n"
                  "\t0x0050:  2e30 2e31 3a38 3030 300d 0a43 6f6e 6e65  .0.1:8000..Conne\n"
                  "\t0x0060:  6374 696f 6e3a 2063 6c6f 7365 0d0a       ction:.close..\n",
         HEX_WANT},
        {"-xx of -q",
         "04:24:24.0 IP 127.0.0.1.48460 > 127.0.0.1.8000: tcp 2\n"
         "\t0x0000:  0000 0000 0000 0000 0000 0000 0800 4500\n"
         "\t0x0010:  002a 9a0a 4000 4006 a27d 7f00 0001 7f00\n"
         "\t0x0020:  0001 bd4c 1f40 4996 84d7 b2ad ff90 5018\n"
         "\t0x0030:  0040 fe62 0000 1603\n",
         "1 0.000000 127.0.0.1:48460>127.0.0.1:8000 P. 0+2 ack 1 \"\\x16\\x03\"\n"},
        {"hex of another packet", HEX_LINE "\t0x0000:  4500 002a 9a0a 4000 4006 a27d 7f00 0001\n",
         "1 0.000000 127.0.0.1:48460>127.0.0.1:8000 P. 0+58 ack 1\n"},
        {"-A",
         HEX_LINE "E..n.\n@.@..}.........L.@I..........@.b.....\n...?.0..GET /x HTTP/1.1\n"
                  "Host: 127.0.0.1:8000\nConnection: close\n\n# a remark\n",
         "1 0.000000 127.0.0.1:48460>127.0.0.1:8000 P. 0+58 ack 1 \"GET /x HTTP/1.1\\r\\nHost: "
         "127.0.0.1:8000\\r\\nConnection: close\\r\\n\"\n"},
        {"-A: a checksum that ends in CR, before an address that begins with LF",
         "04:24:24.0 IP 10.0.1.2.8080 > 10.0.2.2.40219: Flags [P.], seq 1:18, ack 1, win 64, "
         "length 17\n"
         "E..9..@.?..\n...\n...............P.......HTTP/1.1 200 OK\n",
         "1 0.000000 10.0.1.2:8080>10.0.2.2:40219 P. 0+17 ack 1 \"HTTP/1.1 200 OK\\r\\n\"\n"},
        {"and in TCP's header",
         "04:24:24.0 IP 10.0.1.2.8080 > 10.0.2.2.40219: Flags [P.], seq 1:18, ack 1, win 64, "
         "length 17\n"
         "E..9..@.?...\n...\n.......\n......P.......HTTP/1.1 200 OK\n",
         "1 0.000000 10.0.1.2:8080>10.0.2.2:40219 P. 0+17 ack 1 \"HTTP/1.1 200 OK\\r\\n\"\n"},
        {"-A of TLS is none",
         "04:24:24.0 IP 127.0.0.1.48460 > 127.0.0.1.443: Flags [P.], seq 1:11, ack 1, win 64, "
         "length "
         "10\n"
         "E..2.d@.@..}.........L..I..........@.b....HTTP/1.1\n"
         "04:24:24.0 IP 127.0.0.1.48460 > 127.0.0.1.443: Flags [P.], seq 11:21, ack 1, win 64, "
         "length 10\n"
         "E..2.d@.@..}.........L..I..........@.b..........x.\n",
         "1 0.000000 127.0.0.1:48460>127.0.0.1:443 P. 0+10 ack 1\n"
         "3 0.000000 127.0.0.1:48460>127.0.0.1:443 P. 10+10 ack 1\n"},
    };

    (void)state;
    CHECK(cases);
}

/* --- the rest --- */

static void names_are_told(void **state)
{
    struct textshow_lines lines = {SPAN_LIT("IP app7.x.example.1 > GW.80: Flags [S], length 0\n"
                                            "IP gw.80 > app7.x.example.1: Flags [S.], length 0\n"
                                            "IP gw.80 > 192.0.2.1.1: Flags [S.], length 0\n")};
    struct text_capture *t = text_new(textshow_line, &lines);
    struct packet p;
    char text[ENDPOINT_TEXT_MAX];
    unsigned others;

    (void)state;
    assert_int_equal(text_next(t, &p), 1);
    assert_string_equal(text_find_name(t, &p.from.addr), "app7.x.example");
    assert_string_equal(text_find_name(t, &p.to.addr), "GW");
    endpoint_write(&p.to, text);
    assert_string_equal(text, "name-2:80");
    assert_int_equal(text_next(t, &p), 1);
    assert_string_equal(text_find_name(t, &p.from.addr), "GW");
    assert_int_equal(text_next(t, &p), 1);
    assert_null(text_find_name(t, &p.to.addr));
    assert_int_equal(text_next(t, &p), 0);
    assert_int_equal(text_get_lines(t, &others), 3);
    assert_int_equal(others, 0);
    text_free(t);
}

static void lines_are_counted(void **state)
{
    struct textshow_lines lines = {SPAN_LIT(
        "hello\n\n14:00:00 " SYN "CONNECT t.example:443 HTTP/1.1\nHost: t\n# no\nnothing\n")};
    struct text_capture *t = text_new(textshow_line, &lines);
    struct packet p;
    unsigned others;

    (void)state;
    while (text_next(t, &p) == 1)
        ;
    assert_int_equal(text_get_lines(t, &others), 3);
    assert_int_equal(others, 3);
    text_free(t);
}

/* A text of many connections, and one without any end: bounded, and whole. */
static bool endless_line(void *owner, struct span *line)
{
    static char text[200];
    unsigned *n = owner;

    if (++*n > 60000)
        return false;
    snprintf(text, sizeof text, "14:00:00 IP h%u.%u > p.80: Flags [S], length 0", *n % 5000,
             *n % 60000 + 1);
    *line = span_of(text);
    return true;
}

static void many_connections_are_forgotten_in_time(void **state)
{
    unsigned n = 0, packets = 0;
    struct text_capture *t = text_new(endless_line, &n);
    struct packet p;

    (void)state;
    while (text_next(t, &p) == 1)
        packets++;
    assert_int_equal(packets, 60000);
    text_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tickets_become_coherent),
        cmocka_unit_test(heads_belong_to_the_connection_above),
        cmocka_unit_test(a_head_may_be_the_content_of_a_line),
        cmocka_unit_test(a_body_that_no_line_shows_was_there),
        cmocka_unit_test(ways_into_a_ticket_change_nothing),
        cmocka_unit_test(remarks_are_never_evidence),
        cmocka_unit_test(times_lie_on_one_line),
        cmocka_unit_test(both_clocks_are_set),
        cmocka_unit_test(numbers_that_are_there_are_kept),
        cmocka_unit_test(numbers_that_are_not_there_follow),
        cmocka_unit_test(icmp_errors_find_their_packet),
        cmocka_unit_test(bytes_below_a_line_are_its_own),
        cmocka_unit_test(names_are_told),
        cmocka_unit_test(lines_are_counted),
        cmocka_unit_test(many_connections_are_forgotten_in_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
