#include "flow/anonymize.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/util.h"

static void assert_text(struct anonymize *a, const char *text, const char *want)
{
    char *got = anonymize_text(a, text);

    assert_string_equal(got, want);
    free(got);
}

static void texts_keep_what_viaduct_says(void **state)
{
    static const struct {
        const char *text, *want;
    } cases[] = {
        {"packet 12 at 3.210 s: RST from the proxy", "packet 12 at 3.210 s: RST from the proxy"},
        {"4 segments of 1460 bytes unacknowledged", "4 segments of 1460 bytes unacknowledged"},
        {"TLS alert 48 (unknown_ca) from the client", "TLS alert 48 (unknown_ca) from the client"},
        {"squid says: ERR_ACCESS_DENIED 0", "squid says: ERR_ACCESS_DENIED 0"},
        {"the answer was 403 Forbidden, Server: squid/5.7",
         "the answer was 403 Forbidden, Server: squid/5.7"},
        {"10.1.2.3:443 refused", "192.0.2.1:443 refused"},
        {"from 10.1.2.3.", "from 192.0.2.1."},
        {"10.1.2.3.41812 > 10.1.2.4.8080", "192.0.2.1.41812 > 192.0.2.2.8080"},
        {"[fd00::7]:443 and fd00::7 and FD00:0::7",
         "[2001:db8::1]:443 and 2001:db8::1 and 2001:db8::1"},
        {"at 05:00:00.123", "at 05:00:00.123"},
        {"from 00:1b:44:11:3a:b7", "from text-1"},
        {"CONNECT asked for secret.corp.test:443", "CONNECT asked for host-1.example:443"},
        {"for SECRET.corp.test. and", "for host-1.example. and"},
        {"https://joe:pass@secret.corp.test:8443/a/b?c=d#e",
         "https://user-1@host-1.example:8443/path-1"},
        {"302 http://secret.corp.test/", "302 http://host-1.example/"},
        {"302 /login?next=x", "302 /path-2"},
        {"application/json", "application/json"},
        {"Via: 1.1 cache7 (squid/5.7)", "Via: 1.1 text-2 (squid/5.7)"},
        {"the page says: incident 4711 of Müller", "the page says: text-3 text-4 of text-5"},
        {"ETag \"12345678-9a\", \"12345678\"", "ETag \"text-6\", \"text-7\""},
        {"tcpdump -i any -s 0 -w viaduct.pcap 'host 10.1.2.3 and tcp port 3128'",
         "tcpdump -i any -s 0 -w viaduct.pcap 'host 192.0.2.1 and tcp port 3128'"},
        {"viaduct check --mtu -x http://10.1.2.3:3128 https://secret.corp.test:443/",
         "viaduct check --mtu -x http://192.0.2.1:3128 https://host-1.example:443/"},
        {"HTTP/1.1 403 Forbidden (acl-denied: rule updates)",
         "HTTP/1.1 403 Forbidden (acl-denied: rule rule-1)"},
        {"a rule of the proxy", "a rule of the proxy"},
        {"", ""},
        {":// / : [ ]", ":/path-3 / : [ ]"},
    };
    struct anonymize *a = anonymize_new();

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_text(a, cases[i].text, cases[i].want);
    anonymize_free(a);
}

static void files_have_the_names_that_were_given(void **state)
{
    struct anonymize *a = anonymize_new();

    (void)state;
    anonymize_add(a, "dir/acme corp.pcap", "file-1");
    assert_text(a, "dir/acme corp.pcap: it ends here; packet 4 of dir/acme corp.pcap",
                "file-1: it ends here; packet 4 of file-1");
    anonymize_free(a);
}

/* A user called "proxy": in our sentences the word is ours, where names stand it is the name. */
static void names_that_are_words(void **state)
{
    struct anonymize *a = anonymize_new();
    struct flow f = {0};

    (void)state;
    flow_begin(&f, SOURCE_EXPLAIN, 1, 0, 0);
    flow_set_text(&f.target, "host:443");
    flow_set_text(&f.user, "proxy");
    flow_evidence(&f, "RST from the proxy, user proxy; tcpdump 'host host', host.54000");
    flow_note(&f, NOTE_NAME, SIDE_CLIENT, "host:https");
    anonymize_flow(a, &f);
    assert_string_equal(f.target, "host-1.example:443");
    assert_string_equal(f.user, "user-1");
    assert_string_equal(flow_find_note(&f, NOTE_EVIDENCE, 0),
                        "RST from the proxy, user user-1; tcpdump 'host host-1.example', "
                        "host-1.example.54000");
    assert_string_equal(flow_find_note(&f, NOTE_NAME, SIDE_CLIENT), "host-1.example:https");
    flow_fini(&f);
    anonymize_free(a);
}

/* ---- nothing survives */

/* No part of these is a word of viaduct's. */
static const char *const canaries[] = {"zqcanary",     "xyuser", "xypass",  "10.77.66.55",
                                       "fdaa:1:2::77", "zqhost", "qqtoken", "98765432",
                                       "abad1dea",     "xyrealm"};

static void fill(struct flow *f)
{
    static const char *const evidence[] = {
        "10.77.66.55:443: Connection refused",
        "from fdaa:1:2::77 and [fdaa:1:2::77]:80, fdaa:1:2::77.",
        "zqhost.zqcanary.test asked; ZQHOST.ZQCANARY.TEST:443; zqhost-zqcanary",
        "https://xyuser:xypass@zqhost.zqcanary.test:8443/qqtoken/98765432?abad1dea=qqtoken#xyrealm",
        "Authorization: Basic eHl1c2VyOnh5cGFzcw==; realm \"xyrealm\", xyuser@zqcanary.test",
        "the page says: Dear xyuser, your ticket 98765432 of zqcanary; qqtoken/98765432",
        "ETag: W/\"98765432-abad1dea\"",
        "302 /qqtoken/98765432",
        "Via: 1.1 zqhost:3128 (zqcanary/1.2)",
        "\xff\xfezqcanary\xc3\xbcxyuser",
        "CN=zqhost,O=zqcanary",
        "10.77.66.55.3128 > zqhost.8080",
    };

    *f = (struct flow){0};
    flow_begin(f, SOURCE_EXPLAIN, 7, 0, 0);
    endpoint_parse(SPAN_LIT("10.77.66.55:40220"), &f->client);
    endpoint_parse(SPAN_LIT("[fdaa:1:2::77]:3128"), &f->proxy);
    f->address = f->client;
    flow_set_text(&f->target, "zqhost.zqcanary.test:443");
    flow_set_text(&f->parent, "zqhost:3128");
    flow_set_text(&f->method, "ZQCANARY");
    flow_set_text(&f->url, evidence[3]);
    flow_set_text(&f->user, "xyuser\\zqcanary");
    flow_set_text(&f->rule, "zqcanary rule");
    flow_set_text(&f->reason, "rule zqcanary");
    f->tls = calloc(1, sizeof *f->tls);
    flow_set_text(&f->tls->sni, "zqhost.zqcanary.test");
    flow_set_text(&f->tls->version, "zqcanary");
    flow_set_text(&f->tls->cipher, "AES zqcanary");
    flow_set_text(&f->tls->issuer, "CN=zqcanary CA");
    flow_set_text(&f->tls->alpn, "zqcanary/1");
    for (unsigned kind = NOTE_EVIDENCE; kind <= NOTE_NAME; kind++)
        for (size_t i = 0; i < ARRAY_LEN(evidence); i++)
            flow_note(f, kind, kind == NOTE_NAME ? SIDE_CLIENT : 0, "%s", evidence[i]);
    flow_warn(f, WARNING_REDIRECT, "packet 4: %s", evidence[3]);
    flow_end(f, VERDICT_STALLED, SIDE_TARGET, CERTAINTY_INFERRED, 1);
}

static void assert_no_canary(const char *text)
{
    for (size_t i = 0; text && i < ARRAY_LEN(canaries); i++)
        if (strcasestr(text, canaries[i]))
            fail_msg("\"%s\" survives in: %s", canaries[i], text);
}

static void nothing_survives(void **state)
{
    struct anonymize *a = anonymize_new();
    char text[ENDPOINT_TEXT_MAX];
    struct flow f;
    uint32_t at = 0;

    (void)state;
    fill(&f);
    anonymize_flow(a, &f);
    const char *const fields[] = {f.target,      f.parent,      f.method,       f.url,
                                  f.user,        f.rule,        f.reason,       f.tls->sni,
                                  f.tls->issuer, f.tls->cipher, f.tls->version, f.tls->alpn};
    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        assert_true(*fields[i] != '\0');
        assert_no_canary(fields[i]);
    }
    for (unsigned kind = NOTE_EVIDENCE; kind <= NOTE_NAME; kind++) {
        const char *note;
        unsigned n = 0;

        at = 0;
        while ((note = flow_next_note(&f, kind, NULL, &at))) {
            assert_no_canary(note);
            n++;
        }
        assert_true(n >= 12);
    }
    endpoint_write(&f.client, text);
    assert_string_equal(text, "192.0.2.1:40220");
    endpoint_write(&f.proxy, text);
    assert_string_equal(text, "[2001:db8::1]:3128");
    assert_string_equal(f.target, "host-1.example:443");
    assert_string_equal(f.tls->sni, "host-1.example");
    assert_int_equal(f.id, 7);
    assert_int_equal(f.warnings, 1u << WARNING_REDIRECT);
    flow_fini(&f);
    anonymize_free(a);
}

/* Every cut of every text: what is left of a name is not let through because it is not whole. */
static void nothing_survives_a_cut(void **state)
{
    static const char whole[] =
        "https://xyuser:xypass@zqhost.zqcanary.test/qqtoken/98765432?abad1dea "
        "realm \"xyrealm\" zqhost.zqcanary.test:443 ETag \"abad1dea98765432\"";
    struct anonymize *a = anonymize_new();
    char part[sizeof whole];

    (void)state;
    for (size_t from = 0; from < sizeof whole; from++)
        for (size_t len = 0; from + len < sizeof whole; len++) {
            char *got;

            snprintf(part, sizeof part, "%.*s", (int)len, whole + from);
            got = anonymize_text(a, part);
            for (size_t i = 0; i < ARRAY_LEN(canaries); i++) {
                if (i == 7) /* a figure that lost its quotes is a figure */
                    continue;
                if (strcasestr(got, canaries[i]))
                    fail_msg("\"%s\" survives in: %s of %s", canaries[i], got, part);
            }
            free(got);
        }
    anonymize_free(a);
}

static void the_same_is_the_same_and_others_are_not(void **state)
{
    struct anonymize *a = anonymize_new();
    char text[64], want[64];

    (void)state;
    for (unsigned round = 0; round < 2; round++)
        for (unsigned i = 1; i <= 3000; i++) {
            snprintf(text, sizeof text, "10.9.%u.%u", i / 250, i % 250);
            if (i <= 254)
                snprintf(want, sizeof want, "192.0.2.%u", i);
            else if (i <= 508)
                snprintf(want, sizeof want, "198.51.100.%u", i - 254);
            else if (i <= 762)
                snprintf(want, sizeof want, "203.0.113.%u", i - 508);
            else
                snprintf(want, sizeof want, "198.18.%u.%u", (i - 762) >> 8, (i - 762) & 255);
            assert_text(a, text, want);
            snprintf(text, sizeof text, "h%u.corp.test", i);
            snprintf(want, sizeof want, "host-%u.example", i);
            assert_text(a, text, want);
        }
    anonymize_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_keep_what_viaduct_says),
        cmocka_unit_test(files_have_the_names_that_were_given),
        cmocka_unit_test(names_that_are_words),
        cmocka_unit_test(nothing_survives),
        cmocka_unit_test(nothing_survives_a_cut),
        cmocka_unit_test(the_same_is_the_same_and_others_are_not),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
