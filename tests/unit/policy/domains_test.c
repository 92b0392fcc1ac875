#include "policy/domains.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <malloc.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/util.h"

static void add(struct domains *d, const char *name)
{
    const char *why;

    assert_true(domains_add(d, span_of(name), &why));
}

static void finds_names_and_parents(void **state)
{
    static const struct {
        const char *host;
        bool want;
    } cases[] = {
        {"self.example", true},
        {"www.self.example", false},
        {"xself.example", false},
        {"below.example", false},
        {"a.below.example", true},
        {"a.b.c.below.example", true},
        {"xbelow.example", false},
        {"both.example", true},
        {"a.both.example", true},
        {"a.b.both.example", true},
        {"xboth.example", false},
        {"example", false},
        {"merged.example", true},
        {"a.merged.example", true},
        {"localhost", true},
        {"my.localhost", false},
        {"lower.example", true},
        {"dot.example", true},
        {"a.tld", true},
        {"tld", false},
        {"", false},
        {".", false},
        {"1e100.net", true},
        {"192.0.2.1", false},
        {"a..below.example", true}, /* no host, but harmless */
    };
    struct domains d = {0};

    (void)state;
    assert_false(domains_has(&d, SPAN_LIT("self.example")));
    add(&d, "self.example");
    add(&d, "*.below.example");
    add(&d, ".both.example");
    add(&d, "merged.example");
    add(&d, "*.merged.example");
    add(&d, "merged.example");
    add(&d, "localhost");
    add(&d, "LoWeR.Example");
    add(&d, "dot.example.");
    add(&d, "*.tld");
    add(&d, "1e100.net");
    assert_true(domains_seal(&d));
    assert_int_equal(d.added, 11);
    assert_int_equal(d.count, 9);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        if (domains_has(&d, span_of(cases[i].host)) != cases[i].want)
            fail_msg("%s", cases[i].host);
    domains_fini(&d);
    assert_false(domains_has(&d, SPAN_LIT("self.example")));
}

#define LABEL63 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static void refuses_what_is_no_name(void **state)
{
    static const char *const bad[] = {
        "",
        ".",
        "..",
        "*",
        "*.",
        "a..b",
        ".a..b",
        "*.*.example",
        "a.*.example",
        "a b",
        "a/b",
        "a,b",
        "ex\xc3\xa4mple.com",
        "1.2.3",
        "192.0.2.1",
        "a.123",
        "*example.com",
        "a:80",
        "..a",
        "a\x01b",
        LABEL63 "a.example",
        LABEL63 "." LABEL63 "." LABEL63 "." LABEL63,
        "a.b..",
    };
    static const char *const good[] = {LABEL63 ".example",
                                       "_dmarc.example.com",
                                       "xn--bcher-kva.example",
                                       "a-b.c",
                                       "3com.com",
                                       "a.1b"};
    struct domains d = {0};
    const char *why;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        why = NULL;
        if (domains_add(&d, span_of(bad[i]), &why))
            fail_msg("%s was taken", bad[i]);
        assert_non_null(why);
    }
    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        add(&d, good[i]);
    assert_true(domains_seal(&d));
    assert_int_equal(d.count, ARRAY_LEN(good));
    domains_fini(&d);
}

/* A name as blocklists have them, about 20 bytes long. */
static size_t make_name(unsigned i, char out[64])
{
    static const char *const tlds[] = {"com",   "net",     "org", "info",
                                       "co.uk", "example", "xyz", "de"};
    uint64_t x = (i + 1) * 0x9e3779b97f4a7c15ull;

    return (size_t)snprintf(out, 64, "%s%x.%llx.%s", i % 3 ? "" : "www", i,
                            (unsigned long long)(x >> (40 - i % 4 * 4)), tlds[x % ARRAY_LEN(tlds)]);
}

static size_t heap_bytes(void)
{
    struct mallinfo2 m = mallinfo2();

    return m.uordblks + m.hblkhd;
}

static void load(struct domains *d, unsigned names)
{
    char name[64];
    const char *why;

    for (unsigned i = 0; i < names; i++) {
        size_t len = make_name(i, name);

        if (!domains_add(d, (struct span){name, len}, &why))
            fail_msg("%s: %s", name, why);
    }
    assert_true(domains_seal(d));
}

/* How long it takes is printed, never asserted. */
static void measure(unsigned names, size_t most_bytes)
{
    static const char *const misses[] = {"www.some.host.example.com",
                                         "cdn-17.media.images.example.co.uk", "x.com"};
    struct domains d = {0};
    size_t before = heap_bytes(), hits = 0;
    char name[64];
    uint64_t start = clock_mono_ns();

    load(&d, names);
    uint64_t loaded = clock_mono_ns();
    size_t held = domains_count_bytes(&d), heap = heap_bytes() - before;

    assert_int_equal(d.count, names);
    for (unsigned i = 0; i < names; i++)
        if (!domains_has(&d, (struct span){name, make_name(i * 7919u % names, name)}))
            fail_msg("%s is not found", name);
    uint64_t start_miss = clock_mono_ns();
    for (unsigned i = 0; i < 1000000; i++)
        hits += domains_has(&d, span_of(misses[i % ARRAY_LEN(misses)]));
    uint64_t end = clock_mono_ns();
    assert_int_equal(hits, 0);
    print_message("# %u names: %.3f s to load, %.1f bytes a name (heap %.1f), %.0f ns a hit with "
                  "making it, %.0f a miss\n",
                  names, (double)(loaded - start) / 1e9, (double)held / names, (double)heap / names,
                  (double)(start_miss - loaded) / names, (double)(end - start_miss) / 1e6);
    assert_true(held < most_bytes);
    domains_fini(&d);
}

static void a_million_names_are_small(void **state)
{
    (void)state;
    measure(1000000, 100000000 / 2);
}

static void a_hundred_thousand_names_are_small(void **state)
{
    (void)state;
    measure(100000, 10000000 / 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_names_and_parents),
        cmocka_unit_test(refuses_what_is_no_name),
        cmocka_unit_test(a_hundred_thousand_names_are_small),
        cmocka_unit_test(a_million_names_are_small),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
