/* How exchanges end by what is known of TLS, and of the proxy's own leg. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "scene.h"

/* ---- TLS */

static void tls(void **state)
{
    struct scene s;

    (void)state;
    tunnel(&s);
    s.x.is_tls13 = false;
    s.x.sides[UP].records = (struct tlsrec){
        .records = 2, .last_type = 21, .last_len = 2, .alert = {2, 48}, .alert_have = 2};
    fins(&s, UP, 80);
    expect("a certificate alert", &s,
           (struct want){VERDICT_TLS_UNTRUSTED, PHASE_TLS, SIDE_TARGET, SEEN,
                         "TLS alert 48 (unknown_ca) from the client"});
    tunnel(&s);
    s.x.hello_whole[DOWN] = false;
    s.x.sides[DOWN].bytes = 7;
    s.x.sides[DOWN].records = (struct tlsrec){
        .records = 1, .last_type = 21, .last_len = 2, .alert = {2, 40}, .alert_have = 2};
    fins(&s, DOWN, 80);
    expect("another alert", &s,
           (struct want){VERDICT_TLS_FAILED, PHASE_TLS, SIDE_TARGET, SEEN, "TLS alert 40"});
    tunnel(&s);
    s.x.issuer = "CN=Zscaler Intermediate Root CA";
    fins(&s, UP, 80);
    expect("an inspector's issuer", &s,
           (struct want){VERDICT_TLS_INTERCEPTED, PHASE_TLS, SIDE_PROXY, SEEN, "Zscaler"});
    answer(&s, ASKED_CONNECT, 200);
    s.x.is_tls = s.x.hello_whole[UP] = true;
    s.x.names = (char *)(uintptr_t) "other.example\0";
    s.x.sides[UP].bytes = 517;
    mark(&s, MARK_HELLO, 46, 6);
    mark(&s, MARK_HELLO_END, 46, 6);
    rst(&s, DOWN, 47);
    expect("another name", &s,
           (struct want){VERDICT_SNI_MISMATCH, PHASE_TLS, SIDE_PROXY, INFERRED,
                         "CONNECT asked for t.example:443, the ClientHello for other.example"});
}

static void one_issuer_behind_many(void **state)
{
    struct endings *e = endings_new(&(struct endings_options){0});
    struct scene s;
    struct flow f = {0};
    static const struct {
        const char *target, *issuer;
        enum verdict want;
    } cases[] = {
        {"a.one.example:443", "CN=Office CA", VERDICT_OK},
        {"b.one.example:443", "CN=Office CA", VERDICT_OK},
        {"one.example:443", "CN=R3, O=Let's Encrypt", VERDICT_OK},
        {"two.example:443", "CN=R3, O=Let's Encrypt", VERDICT_OK},
        {"two.example:443", "CN=Office CA", VERDICT_TLS_INTERCEPTED},
        {"192.0.2.7:443", "CN=Office CA", VERDICT_OK},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        tunnel(&s);
        s.x.target = (char *)(uintptr_t)cases[i].target;
        s.x.issuer = cases[i].issuer;
        fins(&s, UP, 80);
        endings_make(e, &s.x, s.how, s.now_ns, &f);
        if (f.verdict != cases[i].want)
            fail_msg("%s: %s", cases[i].target, verdict_get_info(f.verdict)->name);
        flow_fini(&f);
    }
    endings_free(e);
}

/* ---- the proxy's own leg */

static void both_legs(struct scene *s, struct scene *own)
{
    inner(s);
    tunnel(own);
    own->x.proxied = false;
    endpoint(&own->c.ends[UP], "10.1.1.1:50000");
    endpoint(&own->c.ends[DOWN], "192.0.2.80:443");
    own->c.streams[UP].last_data_ns = MS(81);
    own->c.streams[DOWN].last_data_ns = MS(69);
    s->x.upstream = &own->x;
}

static void two_legs(void **state)
{
    struct scene s, own;

    (void)state;
    both_legs(&s, &own);
    own.rare[DOWN].rst_ns = MS(100);
    rst(&s, DOWN, 101);
    expect("the target's reset", &s,
           (struct want){VERDICT_RESET_BY_TARGET, PHASE_EXCHANGE, SIDE_TARGET, SEEN, NULL});
    both_legs(&s, &own);
    rst(&s, DOWN, 101);
    expect("the proxy's own", &s,
           (struct want){VERDICT_RESET_BY_PROXY, PHASE_EXCHANGE, SIDE_PROXY, SEEN, NULL});
    both_legs(&s, &own);
    s.now_ns = MS(30000);
    expect("the target sends nothing", &s,
           (struct want){VERDICT_STALLED, PHASE_EXCHANGE, SIDE_TARGET, INFERRED,
                         "the proxy passed all on"});
    begin(&own);
    own.x.proxied = false;
    endpoint(&own.c.ends[DOWN], "192.0.2.80:443");
    rst(&own, DOWN, 30);
    answer(&s, ASKED_CONNECT, 502);
    s.judged =
        (struct outside_verdict){VERDICT_UPSTREAM_FAILED, SIDE_TARGET, INFERRED, NULL, "502"};
    s.facts.judged = &s.judged;
    s.x.upstream = &own.x;
    expect("the dial was refused", &s,
           (struct want){VERDICT_UPSTREAM_REFUSED, PHASE_ANSWER, SIDE_TARGET, SEEN,
                         "the proxy's own SYN to 192.0.2.80:443, and RST in answer"});
    s.judged = (struct outside_verdict){VERDICT_OVERLOADED, SIDE_PROXY, SEEN, NULL, "full"};
    expect("words tell more", &s,
           (struct want){VERDICT_OVERLOADED, PHASE_ANSWER, SIDE_PROXY, SEEN, NULL});
    both_legs(&s, &own);
    own.c.streams[UP].largest_acked = 500;
    stick(&own, UP, 1460, 5, 81);
    s.now_ns = MS(30000);
    expect("a black hole beyond", &s,
           (struct want){VERDICT_MTU_BLACKHOLE, PHASE_EXCHANGE, SIDE_NETWORK, INFERRED,
                         "between the proxy and the target"});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tls),
        cmocka_unit_test(one_issuer_behind_many),
        cmocka_unit_test(two_legs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
