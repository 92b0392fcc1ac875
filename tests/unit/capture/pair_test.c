/* Which legs are one: exchanges are made up here, and learnt of and ended in the order of a script.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/util.h"
#include "capture/pair.h"

#define CLIENT "10.0.0.5:40000"
#define PROXY "10.0.0.1:3128"
#define PROXY_OUT "10.0.0.1:50000"
#define TARGET "192.0.2.1:443"
#define PARENT "10.0.0.9:3128"

/* A leg, and what happens to it when, in milliseconds. */
struct leg {
    const char *from, *to;
    enum asked asked;
    uint64_t hash;      /* 0: none */
    const char *target; /* NULL */
    bool proxied, is_tls;
    unsigned status;
    unsigned begin_ms, learnt_ms, answer_ms, over_ms; /* learnt 0: never */
};

struct pair_case {
    const char *name;
    struct leg legs[4];
    const char *want; /* legs that are told, in their order: "0+1 2" is 0 with 1 as its far leg */
};

static const struct pair_case cases[] = {
    {"one ClientHello in both, far leg over first",
     {{CLIENT, PROXY, ASKED_CONNECT, 7, "a.test:443", true, true, 200, 0, 10, 8, 100},
      {PROXY_OUT, TARGET, ASKED_TLS, 7, NULL, false, true, 0, 5, 12, 0, 90}},
     "0+1"},
    {"near leg over first: it waits",
     {{CLIENT, PROXY, ASKED_CONNECT, 7, "a.test:443", true, true, 200, 0, 10, 8, 100},
      {PROXY_OUT, TARGET, ASKED_TLS, 7, NULL, false, true, 0, 5, 12, 0, 120}},
     "0+1"},
    {"the far one never ends: it waits no longer than it must",
     {{CLIENT, PROXY, ASKED_CONNECT, 7, "a.test:443", true, true, 200, 0, 10, 8, 100},
      {PROXY_OUT, TARGET, ASKED_TLS, 7, NULL, false, true, 0, 5, 12, 0, 90000}},
     "0"},
    {"the proxy's outer address is another",
     {{CLIENT, PROXY, ASKED_CONNECT, 7, "a.test:443", true, true, 200, 0, 10, 8, 100},
      {"198.51.100.1:50000", TARGET, ASKED_TLS, 7, NULL, false, true, 0, 5, 12, 0, 90}},
     "0+1"},
    {"captured in the wrong order",
     {{PROXY_OUT, TARGET, ASKED_TLS, 7, NULL, false, true, 0, 5, 10, 0, 90},
      {CLIENT, PROXY, ASKED_CONNECT, 7, "a.test:443", true, true, 200, 0, 12, 8, 100}},
     "1+0"},
    {"the far leg was over before anybody could know of the near one",
     {{CLIENT, PROXY, ASKED_CONNECT, 7, "a.test:443", true, true, 200, 0, 95, 8, 120},
      {PROXY_OUT, TARGET, ASKED_TLS, 7, NULL, false, true, 0, 5, 90, 0, 92}},
     "0+1"},
    {"another ClientHello",
     {{CLIENT, PROXY, ASKED_CONNECT, 7, "a.test:443", true, true, 200, 0, 10, 8, 100},
      {PROXY_OUT, TARGET, ASKED_TLS, 8, NULL, false, true, 0, 5, 12, 0, 90}},
     "0 1"},
    {"the same leg, captured at two points of a NAT: no proxy between them",
     {{CLIENT, PROXY, ASKED_CONNECT, 7, "a.test:443", true, true, 200, 0, 10, 8, 100},
      {"10.1.0.1:40000", PROXY, ASKED_CONNECT, 7, "a.test:443", true, true, 200, 0, 12, 8, 90}},
     "1 0"},
    {"the client's own direct try is no far leg",
     {{CLIENT, PROXY, ASKED_ABSOLUTE, 9, "a.test:80", true, false, 0, 0, 10, 0, 100},
      {"10.0.0.5:40001", "192.0.2.1:80", ASKED_ORIGIN, 9, "a.test:80", false, false, 0, 5, 12, 0,
       90}},
     "1 0"},
    {"one request within a second",
     {{CLIENT, PROXY, ASKED_ABSOLUTE, 9, "a.test:80", true, false, 0, 0, 10, 0, 1000},
      {PROXY_OUT, "192.0.2.1:80", ASKED_ORIGIN, 9, "a.test:80", false, false, 0, 5, 900, 0, 990}},
     "0+1"},
    {"the far one is told of behind the answer that it led to",
     {{CLIENT, PROXY, ASKED_ABSOLUTE, 9, "a.test:80", true, false, 200, 0, 10, 14, 1000},
      {PROXY_OUT, "192.0.2.1:80", ASKED_ORIGIN, 9, "a.test:80", false, false, 0, 5, 14, 0, 990}},
     "0+1"},
    {"answered already, of what the proxy had stored",
     {{CLIENT, PROXY, ASKED_ABSOLUTE, 9, "a.test:80", true, false, 200, 0, 10, 14, 1000},
      {PROXY_OUT, "192.0.2.1:80", ASKED_ORIGIN, 9, "a.test:80", false, false, 0, 5, 100, 0, 850}},
     "1 0"},
    {"the same a little later",
     {{CLIENT, PROXY, ASKED_ABSOLUTE, 9, "a.test:80", true, false, 0, 0, 10, 0, 2000},
      {PROXY_OUT, "192.0.2.1:80", ASKED_ORIGIN, 9, "a.test:80", false, false, 0, 5, 1100, 0, 1900}},
     "1 0"},
    {"two alike: each has its own",
     {{CLIENT, PROXY, ASKED_ABSOLUTE, 9, "a.test:80", true, false, 0, 0, 10, 0, 100},
      {"10.0.0.6:40000", PROXY, ASKED_ABSOLUTE, 9, "a.test:80", true, false, 0, 0, 11, 0, 100},
      {PROXY_OUT, "192.0.2.1:80", ASKED_ORIGIN, 9, "a.test:80", false, false, 0, 5, 12, 0, 90},
      {"10.0.0.1:50001", "192.0.2.1:80", ASKED_ORIGIN, 9, "a.test:80", false, false, 0, 5, 13, 0,
       95}},
     "0+2 1+3"},
    {"on to a parent",
     {{CLIENT, PROXY, ASKED_CONNECT, 5, "a.test:443", true, false, 0, 0, 10, 0, 100},
      {PROXY_OUT, PARENT, ASKED_CONNECT, 5, "a.test:443", true, false, 0, 5, 12, 0, 90}},
     "0+1p"},
    {"nothing was said: the one connection to that port",
     {{CLIENT, PROXY, ASKED_CONNECT, 5, "a.test:443", true, false, 502, 0, 10, 50, 60},
      {PROXY_OUT, TARGET, ASKED_NOTHING, 0, NULL, false, false, 0, 20, 0, 0, 40}},
     "0+1"},
    {"it is given up long after",
     {{CLIENT, PROXY, ASKED_CONNECT, 5, "a.test:443", true, false, 504, 0, 10, 60000, 60010},
      {PROXY_OUT, "192.0.2.7:443", ASKED_NOTHING, 0, NULL, false, false, 0, 20, 0, 0, 130000},
      {"10.0.0.1:50009", "192.0.2.8:1", ASKED_NOTHING, 0, NULL, false, false, 0, 1, 0, 0, 2}},
     "2 0+1"},
    {"two that fit: none is joined",
     {{CLIENT, PROXY, ASKED_CONNECT, 5, "a.test:443", true, false, 502, 0, 10, 50, 60},
      {PROXY_OUT, TARGET, ASKED_NOTHING, 0, NULL, false, false, 0, 20, 0, 0, 40},
      {"10.0.0.1:50001", "192.0.2.2:443", ASKED_NOTHING, 0, NULL, false, false, 0, 25, 0, 0, 45}},
     "0 1 2"},
    {"one that two could have opened",
     {{CLIENT, PROXY, ASKED_CONNECT, 5, "a.test:443", true, false, 502, 0, 10, 50, 60},
      {"10.0.0.6:40000", PROXY, ASKED_CONNECT, 6, "b.test:443", true, false, 502, 0, 10, 50, 61},
      {PROXY_OUT, TARGET, ASKED_NOTHING, 0, NULL, false, false, 0, 20, 0, 0, 40}},
     "0 1 2"},
    {"another port, another time",
     {{CLIENT, PROXY, ASKED_CONNECT, 5, "a.test:443", true, false, 502, 0, 10, 50, 60},
      {PROXY_OUT, "192.0.2.1:444", ASKED_NOTHING, 0, NULL, false, false, 0, 20, 0, 0, 40},
      {"10.0.0.1:50001", TARGET, ASKED_NOTHING, 0, NULL, false, false, 0, 55, 0, 0, 59}},
     "1 2 0"},
    {"an address was asked for",
     {{CLIENT, PROXY, ASKED_CONNECT, 5, "192.0.2.1:443", true, false, 502, 0, 10, 50, 60},
      {PROXY_OUT, "192.0.2.2:443", ASKED_NOTHING, 0, NULL, false, false, 0, 20, 0, 0, 40},
      {"10.0.0.1:50001", TARGET, ASKED_NOTHING, 0, NULL, false, false, 0, 21, 0, 0, 41}},
     "1 0+2"},
};

#define LEGS ARRAY_LEN(cases[0].legs)

static char told[256];

static unsigned index_of(const struct exchange *x)
{
    return x->sides[UP].since_other; /* lent for this */
}

static void on_over(void *owner, struct exchange *x, enum conn_end how, uint64_t now_ns)
{
    size_t n = strlen(told);

    n += (size_t)snprintf(told + n, sizeof told - n, "%s%u", n ? " " : "", index_of(x));
    if (x->upstream)
        snprintf(told + n, sizeof told - n, "+%u%s", index_of(x->upstream),
                 x->upstream->to_parent ? "p" : "");
    assert_int_equal(x->conn->ends[DOWN].port != 0, 1);
}

static void make(struct exchange *x, struct conn *c, const struct leg *l, unsigned index)
{
    assert_true(endpoint_parse(span_of(l->from), &c->ends[UP]));
    assert_true(endpoint_parse(span_of(l->to), &c->ends[DOWN]));
    c->begin_ns = x->begin_ns = l->begin_ms * NS_PER_MS;
    x->conn = c;
    x->asked = (uint8_t)l->asked;
    x->hello_hash = l->hash;
    x->proxied = l->proxied;
    x->is_tls = l->is_tls;
    x->is_first = true;
    x->sides[UP].since_other = index;
    flow_set_text(&x->target, l->target);
    if (l->learnt_ms)
        exchange_mark(x, l->asked == ASKED_TLS ? MARK_HELLO_END : MARK_REQUEST_END,
                      l->learnt_ms * NS_PER_MS, 1);
}

static void run(const struct pair_case *t)
{
    struct dialogs_options o = {.proxies_len = 2, .over = on_over};
    struct exchange x[LEGS] = {0};
    struct conn c[LEGS] = {0};
    struct pairs *p;

    endpoint_parse(SPAN_LIT(PROXY), &o.proxies[0]);
    endpoint_parse(SPAN_LIT(PARENT), &o.proxies[1]);
    struct dialogs *d = dialogs_new(&o);
    p = pairs_new(&(struct pairs_options){.dialogs = d, .over = on_over});
    told[0] = '\0';
    for (unsigned i = 0; i < LEGS && t->legs[i].from; i++)
        make(&x[i], &c[i], &t->legs[i], i);
    for (unsigned ms = 1; ms <= 300000; ms++) {
        pairs_tick(p, ms * NS_PER_MS);
        for (unsigned i = 0; i < LEGS && t->legs[i].from; i++) {
            const struct leg *l = &t->legs[i];

            if (l->learnt_ms == ms)
                pairs_learn(p, &x[i], ms * NS_PER_MS);
            if (l->answer_ms == ms) {
                x[i].status = (uint16_t)l->status;
                exchange_mark(&x[i], MARK_ANSWER, ms * NS_PER_MS, 1);
            }
            if (l->over_ms == ms) {
                pairs_end(p, &x[i], CONN_END_CLOSED, ms * NS_PER_MS);
                exchange_fini(&x[i]);
            }
        }
    }
    pairs_finish(p);
    pairs_free(p);
    dialogs_free(d);
}

static void legs_are_joined(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        run(&cases[i]);
        if (strcmp(told, cases[i].want) != 0)
            fail_msg("%s: \"%s\", not \"%s\"", cases[i].name, told, cases[i].want);
    }
}

/* What never ends is let go of, and does not hold up others. */
static void many_are_bounded(void **state)
{
    static const struct leg connect = {
        CLIENT, PROXY, ASKED_CONNECT, 1, "a.test:1", true, false, 502, 0, 1, 2, 3};
    struct dialogs_options o = {.proxies_len = 1, .over = on_over};
    struct pairs *p;
    uint64_t before;

    (void)state;
    endpoint_parse(SPAN_LIT(PROXY), &o.proxies[0]);
    struct dialogs *d = dialogs_new(&o);
    p = pairs_new(&(struct pairs_options){.dialogs = d, .over = on_over});
    before = pairs_get_memory(p);
    for (unsigned i = 0; i < 20000; i++) {
        struct exchange x = {0};
        struct conn c = {0};

        told[0] = '\0';
        make(&x, &c, &connect, i);
        if (i % 2)
            endpoint_parse(SPAN_LIT(PROXY_OUT), &c.ends[UP]);
        x.hello_hash = i % 2 ? 0 : i + 1;
        x.proxied = i % 2 == 0;
        pairs_learn(p, &x, NS_PER_MS);
        x.status = 502;
        pairs_end(p, &x, CONN_END_CLOSED, 2 * NS_PER_MS);
        exchange_fini(&x);
        assert_true(pairs_get_memory(p) - before < (2u << 20));
    }
    pairs_finish(p);
    assert_int_equal(pairs_get_memory(p), before);
    pairs_free(p);
    dialogs_free(d);
}

static struct conn_attempts attempts;

static struct conn_attempts get_attempts(void *owner, const struct addr *opener)
{
    (void)owner;
    (void)opener;
    return attempts;
}

/* How long after its end a CONNECT that got a 502 is told, in ms. */
static unsigned wait_for_failure(struct conn_attempts tried, bool and_another_waits)
{
    static const struct leg legs[] = {
        {PROXY_OUT, TARGET, ASKED_TLS, 9, NULL, false, true, 0, 0, 1, 0, 0},
        {CLIENT, PROXY, ASKED_CONNECT, 1, "a.test:1", true, false, 502, 0, 1, 2, 3},
        {"10.0.0.6:40000", PROXY, ASKED_CONNECT, 1, "a.test:1", true, false, 502, 0, 1, 2, 3}};
    struct dialogs_options o = {.proxies_len = 1, .over = on_over};
    struct exchange x[3] = {0};
    struct conn c[3] = {0};
    unsigned ms = 0;

    endpoint_parse(SPAN_LIT(PROXY), &o.proxies[0]);
    struct dialogs *d = dialogs_new(&o);
    struct pairs *p =
        pairs_new(&(struct pairs_options){.dialogs = d, .over = on_over, .attempts = get_attempts});
    for (unsigned i = 0; i < 3; i++)
        make(&x[i], &c[i], &legs[i], i);
    pairs_learn(p, &x[0], NS_PER_MS); /* the capture sees the proxy's own legs */
    x[1].status = x[2].status = 502;
    attempts = (struct conn_attempts){true, true};
    if (and_another_waits)
        pairs_end(p, &x[2], CONN_END_CLOSED, 2 * NS_PER_MS);
    attempts = tried;
    told[0] = '\0';
    pairs_end(p, &x[1], CONN_END_CLOSED, 3 * NS_PER_MS);
    for (; !told[0] && ms < 1000000; ms++)
        pairs_tick(p, (3 + ms) * NS_PER_MS);
    pairs_finish(p);
    pairs_free(p);
    dialogs_free(d);
    for (unsigned i = 0; i < 3; i++)
        exchange_fini(&x[i]);
    return ms;
}

static void a_failure_waits_only_for_what_may_come(void **state)
{
    (void)state;
    assert_in_range(wait_for_failure((struct conn_attempts){true, false}, false), 100000, 200000);
    assert_in_range(wait_for_failure((struct conn_attempts){false, true}, false), 5000, 20000);
    assert_in_range(wait_for_failure((struct conn_attempts){false, false}, false), 0, 1000);
    /* one that waits longer does not hold it up */
    assert_in_range(wait_for_failure((struct conn_attempts){false, false}, true), 0, 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(legs_are_joined),
        cmocka_unit_test(many_are_bounded),
        cmocka_unit_test(a_failure_waits_only_for_what_may_come),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
