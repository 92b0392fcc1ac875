#include "wire/dumptext.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/util.h"

/* --- a line's facts as a text --- */

static char text[1024];
static size_t at;

__attribute__((format(printf, 1, 2))) static void say(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    at += (size_t)vsnprintf(text + at, sizeof text - at, fmt, ap);
    va_end(ap);
    assert_true(at < sizeof text);
}

static void say_end(const struct dumptext_end *e)
{
    char address[ENDPOINT_TEXT_MAX];

    if (e->at.addr.family)
        addr_write(&e->at.addr, address);
    say("%.*s", e->at.addr.family ? (int)strlen(address) : (int)e->name.len,
        e->at.addr.family ? address : e->name.ptr);
    if (e->at.port)
        say("/%u", e->at.port);
    else if (e->service.len)
        say("/%.*s", (int)e->service.len, e->service.ptr);
}

static void say_time(const struct dumptext *d)
{
    static const char *const forms[] = {"", "clock ", "delta ", "epoch "};

    say("%s", forms[d->time_form]);
    if (d->time_form)
        say("%s%llu.%09llu ", d->is_negative ? "-" : "",
            (unsigned long long)d->time_ns / 1000000000,
            (unsigned long long)d->time_ns % 1000000000);
}

static void say_tcp(const struct dumptext *d)
{
    static const char letters[] = "FSRP.U";

    say(" ");
    for (unsigned i = 0; i < 6; i++)
        if (d->flags & 1u << i)
            say("%c", letters[i]);
    if (!d->has_flags)
        say("?");
    if (d->has_seq)
        say(" seq %u", d->seq);
    if (d->has_end)
        say(":%u", d->end);
    if (d->has_ack)
        say(" ack %u", d->ack);
    if (d->has_win)
        say(" win %u", d->win);
    if (d->has_options)
        say(" opt %u", d->options_len);
    if (d->options_cut)
        say(" cut");
    if (d->mss)
        say(" mss %u", d->mss);
    if (d->has_scale)
        say(" scale %u", d->scale);
    if (d->sack_permitted)
        say(" sackok");
    if (d->has_times)
        say(" ts %u %u", d->time_value, d->time_echo);
    for (unsigned i = 0; i < d->sacks_len; i++)
        say(" {%u:%u}", d->sacks[i].begin, d->sacks[i].end);
    if (d->has_length)
        say(" len %u", d->length);
    if (d->is_http)
        say(" http<%.*s>", (int)d->http.len, d->http.ptr);
}

static const char *facts(const char *line)
{
    static const char *const kinds[] = {"other", "begun", "tcp", "icmp", "packet"};
    struct dumptext d;

    at = 0;
    dumptext_parse(span_of(line), &d);
    say("%s", kinds[d.kind]);
    if (d.kind == DUMPTEXT_OTHER)
        return text;
    say(" ");
    if (d.prefix_len)
        say("@%u ", d.prefix_len);
    say_time(&d);
    if (d.interface.len)
        say("%.*s ", (int)d.interface.len, d.interface.ptr);
    if (d.ttl || d.has_ip_id || d.ip_len)
        say("ttl %u id %u iplen %u ", d.ttl, d.ip_id, d.ip_len);
    if (d.kind == DUMPTEXT_TCP || d.kind == DUMPTEXT_ICMP) {
        say_end(&d.from);
        say(">");
        say_end(&d.to);
    }
    if (d.kind == DUMPTEXT_TCP)
        say_tcp(&d);
    if (d.kind == DUMPTEXT_ICMP) {
        say(" %s%u/%u mtu %u about ", d.is_v6 ? "v6 " : "", d.icmp_type, d.icmp_code, d.icmp_mtu);
        say_end(&d.about);
    }
    if (at > 0 && text[at - 1] == ' ')
        text[--at] = '\0';
    return text;
}

struct line_case {
    const char *line, *want;
};

static void check(const struct line_case *cases, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (strcmp(facts(cases[i].line), cases[i].want) != 0)
            fail_msg("\"%s\":\n  \"%s\", not\n  \"%s\"", cases[i].line, text, cases[i].want);
}

#define CHECK(cases) check(cases, ARRAY_LEN(cases))

/* --- cases --- */

static void times_have_many_forms(void **state)
{
#define REST "IP 192.0.2.1.40000 > 192.0.2.2.80: Flags [.], ack 1, win 5, length 0"
#define WANT "192.0.2.1/40000>192.0.2.2/80 . ack 1 win 5 len 0"
    static const struct line_case cases[] = {
        {"14:02:11.310022 " REST, "tcp clock 50531.310022000 " WANT},
        {"00:00:00.000000123 " REST, "tcp clock 0.000000123 " WANT},
        {"23:59:59 " REST, "tcp clock 86399.000000000 " WANT},
        {" 00:00:00.000024 " REST, "tcp @1 clock 0.000024000 " WANT},
        {"-00:00:00.000024 " REST, "tcp delta -0.000024000 " WANT},
        {"000024 " REST, "tcp delta 0.000024000 " WANT},
        {"1795667064.184202 " REST, "tcp epoch 1795667064.184202000 " WANT},
        {"2026-11-26 04:24:24.184202 " REST, "tcp epoch 1795667064.184202000 " WANT},
        {"2024-02-29T00:00:00.5 " REST, "tcp epoch 1709164800.500000000 " WANT},
        {REST, "tcp " WANT},
        {"    7  14:02:11.310022 " REST, "tcp @7 clock 50531.310022000 " WANT},
        {"25:02:11.310022 remark", "other"},
        {"2024-13-29 00:00:00.5 " REST, "tcp @11 clock 0.500000000 " WANT},
        {"14:02:11.31", "other"},
        {"14:02:11.31 nothing more came", "other"},
    };

    (void)state;
    CHECK(cases);
}

static void ends_are_addresses_or_names(void **state)
{
    static const struct {
        const char *text, *want;
    } cases[] = {
        {"192.0.2.1.80", "192.0.2.1/80"},
        {"192.0.2.1.http", "192.0.2.1/80"},
        {"app7.41812", "app7/41812"},
        {"app7.example.com.41812", "app7.example.com/41812"},
        {"app7.example.com.webcache", "app7.example.com/8080"},
        {"localhost.http-alt", "localhost/8080"},
        {"gw.ndl-aas", "gw/3128"},
        {"gw.squid", "gw/3128"},
        {"gw.nameless-port", "gw/nameless-port"},
        {"2001:db8::1.443", "2001:db8::1/443"},
        {"::1.36790", "::1/36790"},
        {"ip6-localhost.https", "ip6-localhost/443"},
        {"192.0.2.1", "192.0.2.1"},
        {"2001:db8::1", "2001:db8::1"},
        {"[2001:db8::1]:443", "2001:db8::1/443"},
        {"192.0.2.1:8080", "192.0.2.1/8080"},
        {"client", "client"},
        {"x.x.x.7.3128", "x.x.x.7/3128"},
        {"***.3128", "***/3128"},
    };
    char line[200], want[200];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        snprintf(line, sizeof line, "IP %s > px.3128: Flags [S], length 0", cases[i].text);
        snprintf(want, sizeof want, "tcp %s>px/3128 S len 0", cases[i].want);
        check(&(struct line_case){line, want}, 1);
    }
}

static void segments_tell_their_fields(void **state)
{
    static const struct line_case cases[] = {
        {"IP a.1 > b.2: Flags [S.], seq 2312704872, ack 2851329646, win 65483, options [mss "
         "65495,sackOK,TS val 2319327792 ecr 1438038480,nop,wscale 10], length 0",
         "tcp a/1>b/2 S. seq 2312704872 ack 2851329646 win 65483 opt 20 mss 65495 scale 10 sackok "
         "ts "
         "2319327792 1438038480 len 0"},
        {"IP a.1 > b.2: Flags [P.], seq 1:131, ack 1, win 64, options [nop,nop,TS val 1 ecr 2], "
         "length 130: HTTP: GET http://127.0.0.1:8000/x HTTP/1.1",
         "tcp a/1>b/2 P. seq 1:131 ack 1 win 64 opt 12 ts 1 2 len 130 http<GET "
         "http://127.0.0.1:8000/x HTTP/1.1>"},
        {"IP a.1 > b.2: Flags [P.], seq 1:131, ack 1, win 64, length 130: HTTP, length: 130",
         "tcp a/1>b/2 P. seq 1:131 ack 1 win 64 len 130 http<>"},
        {"IP a.1 > b.2: Flags [P.], seq 1:131, ack 1, win 64, length 130: HTTP",
         "tcp a/1>b/2 P. seq 1:131 ack 1 win 64 len 130 http<>"},
        {"IP a.1 > b.2: Flags [.], ack 80, win 509, options [nop,nop,sack 1 {1540:1902}], length 0",
         "tcp a/1>b/2 . ack 80 win 509 opt 12 {1540:1902} len 0"},
        {"IP a.1 > b.2: Flags [.], ack 80, options [nop,nop,TS val 1 ecr 2,nop,nop,sack 3 "
         "{1:2}{3:4}{5:6}], length 0",
         "tcp a/1>b/2 . ack 80 opt 40 ts 1 2 {1:2} {3:4} {5:6} len 0"},
        {"IP a.1 > b.2: Flags [R], seq X, win 0, length 0 # MTU?", "tcp a/1>b/2 R win 0 len 0"},
        {"IP a.1 > b.2: Flags [R.], seq 0, ack 3, win 0, length 0",
         "tcp a/1>b/2 R. seq 0 ack 3 win 0 len 0"},
        {"IP a.1 > b.2: Flags [none], win 0, length 0", "tcp a/1>b/2  win 0 len 0"},
        {"IP a.1 > b.2: Flags [SEW], seq 5, win 1, length 0", "tcp a/1>b/2 S seq 5 win 1 len 0"},
        {"IP a.1 > b.2: Flags [P.], length 517 (Client Hello)", "tcp a/1>b/2 P. len 517"},
        {"IP a.1 > b.2: Flags [P.] (seq 7 again?), ack 9, length 5", "tcp a/1>b/2 P. ack 9 len 5"},
        {"IP a.1 > b.2: Flags [P.], ack 9 # length 5", "tcp a/1>b/2 P. ack 9"},
        {"IP a.1 > b.2: Flags [P.]\xef\xbc\x88 seq 7 \xef\xbc\x89, ack 9\xef\xbc\x88 win "
         "8\xef\xbc\x89, "
         "length 5\xef\xbc\x88x\xef\xbc\x89",
         "tcp a/1>b/2 P. ack 9 len 5"},
        {"IP a.1 > b.2: Flags [P], seq 12ab, ack 99999999999, win 70000, length 5",
         "tcp a/1>b/2 P len 5"},
        {"IP a.1 > b.2: Flags [S], seq 1, win 5, options [mss 1460,sackOK,unknown-99 0x1234,nop], "
         "length 0",
         "tcp a/1>b/2 S seq 1 win 5 opt 255 mss 1460 sackok len 0"},
        {"IP a.1 > b.2: Flags [S], seq 1, win 5, options [mss 1460,[|tcp]",
         "tcp a/1>b/2 S seq 1 win 5 opt 255 cut mss 1460"},
        {"IP a.1 > b.2: tcp 130", "tcp a/1>b/2 ? len 130"},
        {"IP a.1 > b.2: Flags [X], length 0", "other"},
        {"14:02:11.31 IP a.1 > b.2: Flags [X], length 0", "packet clock 50531.310000000"},
    };

    (void)state;
    CHECK(cases);
}

static void an_old_tcpdump_is_read(void **state)
{
    static const struct line_case cases[] = {
        {"14:02:11.310022 IP a.1 > b.2: S 123:123(0) win 5840 <mss 1460,sackOK,timestamp 7 0,nop,"
         "wscale 2>",
         "tcp clock 50531.310022000 a/1>b/2 S seq 123:123 win 5840 opt 20 mss 1460 scale 2 sackok "
         "ts "
         "7 0 len 0"},
        {"14:02:11.310022 IP a.1 > b.2: P 1:118(117) ack 1 win 5840 (DF)",
         "tcp clock 50531.310022000 a/1>b/2 P. seq 1:118 ack 1 win 5840 len 117"},
        {"14:02:11.310022 a.1 > b.2: . ack 118 win 5840",
         "tcp clock 50531.310022000 a/1>b/2 . ack 118 win 5840"},
        {"IP a.1 > b.2: R 1:1(0) win 0", "tcp a/1>b/2 R seq 1:1 win 0 len 0"},
        {"IP (tos 0x0, ttl 64, id 7, offset 0, flags [DF], proto 6, length: 60) a.1 > b.2: S, "
         "cksum 0x1234 (correct), 5:5(0) win 1",
         "tcp ttl 64 id 7 iplen 0 a/1>b/2 S seq 5:5 win 1 len 0"},
    };

    (void)state;
    CHECK(cases);
}

static void verbose_lines_are_two(void **state)
{
    static const struct line_case cases[] = {
        {"04:24:24.5 IP (tos 0x0, ttl 64, id 64041, offset 0, flags [DF], proto TCP (6), length "
         "60)",
         "begun clock 15864.500000000 ttl 64 id 64041 iplen 60"},
        {"04:24:24.5 IP (tos 0x0, ttl 64, id 64041, offset 0, flags [DF], proto TCP (6), length "
         "60) "
         "127.0.0.1.55724 > 127.0.0.1.8080: Flags [S], cksum 0xfe30 (incorrect -> 0xc6d9), seq 9, "
         "win 5, options [mss 65495,sackOK,TS val 1 ecr 0,nop,wscale 10], length 0",
         "tcp clock 15864.500000000 ttl 64 id 64041 iplen 60 127.0.0.1/55724>127.0.0.1/8080 S seq "
         "9 "
         "win 5 opt 20 mss 65495 scale 10 sackok ts 1 0 len 0"},
        {"04:24:24.5 IP6 (flowlabel 0x71a5e, hlim 63, next-header TCP (6) payload length: 40) "
         "::1.36790 > ::1.8080: Flags [S], cksum 0x0030 (incorrect -> 0x5e3d), seq 7, length 0",
         "tcp clock 15864.500000000 ttl 63 id 0 iplen 80 ::1/36790>::1/8080 S seq 7 len 0"},
        {"    127.0.0.1.55724 > 127.0.0.1.8080: Flags [S], seq 9, length 0",
         "tcp @4 127.0.0.1/55724>127.0.0.1/8080 S seq 9 len 0"},
        {"04:24:24.5 IP (tos 0x0, ttl 64, id 64041,", "begun clock 15864.500000000"},
        {"04:24:24.5 IP 192.0.2.1.5 >", "begun clock 15864.500000000"},
        {"04:24:24.5 IP 192.0.2.1.5 > 192.0.2.2.80:", "begun clock 15864.500000000"},
        {"IP addresses were changed", "other"},
    };

    (void)state;
    CHECK(cases);
}

static void link_headers_are_stepped_over(void **state)
{
#define LINK "00:16:3e:00:00:01 > 00:16:3e:00:00:02, ethertype "
#define SEGMENT "192.0.2.1.5 > 192.0.2.2.80: Flags [R], length 0"
#define END "192.0.2.1/5>192.0.2.2/80 R len 0"
    static const struct line_case cases[] = {
        {"04:24:24.5 " LINK "IPv4 (0x0800), length 54: " SEGMENT, "tcp clock 15864.500000000 " END},
        {"04:24:24.5 " LINK "IPv4, length 54: " SEGMENT, "tcp clock 15864.500000000 " END},
        {"04:24:24.5 00:16:3e:00:00:01 (oui Unknown) > 00:16:3e:00:00:02 (oui Unknown), ethertype "
         "IPv4 (0x0800), length 54: (tos 0x0, ttl 9, id 3, offset 0, flags [none], proto TCP (6), "
         "length 40) " SEGMENT,
         "tcp clock 15864.500000000 ttl 9 id 3 iplen 40 " END},
        {"04:24:24.5 " LINK
         "802.1Q (0x8100), length 58: vlan 10, p 0, ethertype IPv4 (0x0800), " SEGMENT,
         "tcp clock 15864.500000000 " END},
        {"04:24:24.5 " LINK "ARP (0x0806), length 42: Request who-has 192.0.2.1 tell 192.0.2.2",
         "packet clock 15864.500000000"},
        {"04:24:24.5 eth0  Out IP " SEGMENT, "tcp clock 15864.500000000 eth0 " END},
        {"04:24:24.5 lo    In  ifindex 1 00:00:00:00:00:00 ethertype IPv4 (0x0800), length "
         "80: " SEGMENT,
         "tcp clock 15864.500000000 lo " END},
        {"04:24:24.5  In 00:00:00:00:00:00 ethertype IPv4 (0x0800), length 80: " SEGMENT,
         "tcp clock 15864.500000000 " END},
        {"eth0  In  IP " SEGMENT, "tcp eth0 " END},
        {"04:24:24.5 br-lan B   ARP, Request who-has 192.0.2.1", "other"},
        {"04:24:24.5 ARP, Request who-has 192.0.2.1", "packet clock 15864.500000000"},
        {"04:24:24.5 IP truncated-ip - 20 bytes missing! " SEGMENT,
         "tcp clock 15864.500000000 " END},
        {"04:24:24.5 IP 192.0.2.1.5 > 192.0.2.2.53: 1234+ A? t.example. (27)",
         "packet clock 15864.500000000"},
    };

    (void)state;
    CHECK(cases);
}

static void people_write_in_front(void **state)
{
    static const struct line_case cases[] = {
        {"> 04:24:24.5 IP " SEGMENT, "tcp @2 clock 15864.500000000 " END},
        {"> > 04:24:24.5 IP " SEGMENT, "tcp @4 clock 15864.500000000 " END},
        {"| 04:24:24.5 IP " SEGMENT, "tcp @2 clock 15864.500000000 " END},
        {"Nov 23 10:00:01 gw tcpdump[123]: 04:24:24.5 IP " SEGMENT,
         "tcp @33 clock 15864.500000000 " END},
        {"[root@gw ~]# 04:24:24.5 IP " SEGMENT, "other"},
        {"[12:00:01] 04:24:24.5 IP " SEGMENT, "tcp @11 clock 15864.500000000 " END},
        {"client: 04:24:24.5 IP " SEGMENT, "tcp @8 clock 15864.500000000 " END},
        {"see this one 04:24:24.5 IP " SEGMENT, "other"},
        {"# 04:24:24.5 IP " SEGMENT, "other"},
        {"(04:24:24.5 IP " SEGMENT ")", "other"},
        {"// 04:24:24.5 IP " SEGMENT, "other"},
        {"\xef\xbc\x88"
         "04:24:24.5 IP " SEGMENT "\xef\xbc\x89",
         "other"},
        {"\xe2\x80\xbb 04:24:24.5 IP " SEGMENT, "other"},
        {"\xe3\x80\x90gw\xe3\x80\x91 04:24:24.5 IP " SEGMENT, "tcp @9 clock 15864.500000000 " END},
        {"[04:24:24.5 IP " SEGMENT, "other"},
        {"and then (04:24:24.5 IP " SEGMENT ")", "other"},
        {"04:24:24.5 IP 192.0.2.1.5 > 192.0.2.2.80: # Flags [R], length 0",
         "packet clock 15864.500000000"},
        {"", "other"},
        {">", "other"},
        {"CONNECT t.example:443 HTTP/1.1", "other"},
        {"\xe5\xbf\x9c\xe7\xad\x94\xe3\x81\xaa\xe3\x81\x97", "other"},
    };

    (void)state;
    CHECK(cases);
}

static void icmp_errors_are_sentences(void **state)
{
    static const struct line_case cases[] = {
        {"IP 192.0.2.9 > 192.0.2.1: ICMP host unreachable, length 68",
         "icmp 192.0.2.9>192.0.2.1 3/1 mtu 0 about"},
        {"IP 192.0.2.9 > 192.0.2.1: ICMP host 192.0.2.2 unreachable, length 68",
         "icmp 192.0.2.9>192.0.2.1 3/1 mtu 0 about 192.0.2.2"},
        {"IP gw > app7: ICMP net t.example unreachable, length 36",
         "icmp gw>app7 3/0 mtu 0 about t.example"},
        {"IP 192.0.2.9 > 192.0.2.1: ICMP 192.0.2.2 unreachable - need to frag (mtu 1400), length "
         "556",
         "icmp 192.0.2.9>192.0.2.1 3/4 mtu 1400 about 192.0.2.2"},
        {"IP 192.0.2.9 > 192.0.2.1: ICMP unreachable - need to frag (mtu 1400), length 556",
         "icmp 192.0.2.9>192.0.2.1 3/4 mtu 1400 about"},
        {"IP 192.0.2.9 > 192.0.2.1: ICMP 192.0.2.2 tcp port http unreachable, length 68",
         "icmp 192.0.2.9>192.0.2.1 3/3 mtu 0 about 192.0.2.2/80"},
        {"IP 192.0.2.9 > 192.0.2.1: ICMP host 192.0.2.2 unreachable - admin prohibited filter, "
         "length 68",
         "icmp 192.0.2.9>192.0.2.1 3/13 mtu 0 about 192.0.2.2"},
        {"IP 192.0.2.9 > 192.0.2.1: ICMP host 192.0.2.2 unreachable (need to frag?), length 68",
         "icmp 192.0.2.9>192.0.2.1 3/1 mtu 0 about 192.0.2.2"},
        {"IP 192.0.2.9 > 192.0.2.1: ICMP time exceeded in-transit, length 68",
         "icmp 192.0.2.9>192.0.2.1 11/0 mtu 0 about"},
        {"IP6 2001:db8::9 > 2001:db8::1: ICMP6, packet too big, mtu 1400, length 1240",
         "icmp 2001:db8::9>2001:db8::1 v6 2/0 mtu 1400 about"},
        {"04:24:24.5 IP6 (hlim 64, next-header ICMPv6 (58) payload length: 88) 2001:db8::9 > "
         "2001:db8::1: [icmp6 sum ok] ICMP6, destination unreachable, unreachable address "
         "2001:db8::2",
         "icmp clock 15864.500000000 ttl 64 id 0 iplen 128 2001:db8::9>2001:db8::1 v6 1/3 mtu 0 "
         "about "
         "2001:db8::2"},
        {"IP6 2001:db8::9 > 2001:db8::1: ICMP6, destination unreachable, unreachable route "
         "2001:db8::2, length 88",
         "icmp 2001:db8::9>2001:db8::1 v6 1/0 mtu 0 about 2001:db8::2"},
        {"04:24:24.5 IP 192.0.2.9 > 192.0.2.1: ICMP echo request, id 1, seq 1, length 64",
         "packet clock 15864.500000000"},
        {"04:24:24.5 IP 192.0.2.9 > 192.0.2.1: ICMP 192.0.2.2 udp port domain unreachable, length "
         "68",
         "packet clock 15864.500000000"},
    };

    (void)state;
    CHECK(cases);
}

static void bytes_are_read(void **state)
{
    static const struct {
        const char *line;
        unsigned len;
        uint32_t offset;
        uint8_t first, last;
    } cases[] = {
        {"\t0x0010:  7f00 0001 d9ac 1f90 a9f3 d66e 89d9 1369  .........n...i..", 16, 16, 0x7f,
         0x69},
        {"\t0x0040:  2230                                     \"0", 2, 64, 0x22, 0x30},
        {"\t0x0040:  22                                       \"", 1, 64, 0x22, 0x22},
        {"\t0x0040:  2230 4142 6", 4, 64, 0x22, 0x42},
        {"        0x0000:  4500", 2, 0, 0x45, 0x00},
        {"> \t0x0000:  4500 003c", 4, 0, 0x45, 0x3c},
        {"\t0x00b0:  6563 7469 6f6e ection", 6, 0xb0, 0x65, 0x6e},
        {"\t0x0000:", 0, 0, 0, 0},
        {"0x00:  4500", 0, 0, 0, 0},
        {"# 0x0000:  4500", 0, 0, 0, 0},
        {"cksum 0xfe30 (correct)", 0, 0, 0, 0},
        {"", 0, 0, 0, 0},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        uint8_t bytes[16] = {0};
        uint32_t offset = 0;
        unsigned len = dumptext_parse_hex(span_of(cases[i].line), &offset, bytes);

        if (len != cases[i].len || offset != cases[i].offset)
            fail_msg("\"%s\": %u at %u", cases[i].line, len, offset);
        if (len > 0 && (bytes[0] != cases[i].first || bytes[len - 1] != cases[i].last))
            fail_msg("\"%s\": %02x..%02x", cases[i].line, bytes[0], bytes[len - 1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(times_have_many_forms),
        cmocka_unit_test(ends_are_addresses_or_names),
        cmocka_unit_test(segments_tell_their_fields),
        cmocka_unit_test(an_old_tcpdump_is_read),
        cmocka_unit_test(verbose_lines_are_two),
        cmocka_unit_test(link_headers_are_stepped_over),
        cmocka_unit_test(people_write_in_front),
        cmocka_unit_test(icmp_errors_are_sentences),
        cmocka_unit_test(bytes_are_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
