/* What a query finds is compared with what it should find by looking at each flow. */
#include "store/browse.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "flows.h"
#include "store/bits.h"

#define FLOWS (3 * BLOCK_FLOWS + 500) /* three blocks, and some behind them */

static const char *const clients[] = {"10.0.0.1", "10.0.0.2", "2001:db8::7", "10.0.0.1"};
static const char *const targets[] = {"a.example:443", "b.a.example:443", "A.example:80",
                                      "192.0.2.1:443", "[2001:db8::1]:443"};
static const char *const users[] = {NULL, "fmc", "Fmc"};
static const char *const rules[] = {"updates", NULL};
static const char *const words[] = {NULL, "segment of 1460 bytes unacknowledged",
                                    "FIN from the target first", "caf\xc3\xa9 closed"};
static const enum verdict verdicts[] = {VERDICT_OK, VERDICT_OK, VERDICT_OK, VERDICT_ACL_DENIED,
                                        VERDICT_STALLED};

/* Each flow has another mixture; those of 4000 numbers are all different. */
static struct made make(unsigned n)
{
    return (struct made){
        .id = 0x1000000000000000ull * (n % 16) + n + 1,
        .verdict = verdicts[n * 7 % 5],
        .client = clients[n * 3 % 4],
        .target = targets[n / 2 % 5],
        .user = users[n / 3 % 3],
        .rule = rules[n % 2],
        .evidence = words[n * 5 / 3 % 4],
        .ended_in = n % 3 ? PHASE_CLOSE : PHASE_TLS,
        .by = n % 2 ? SIDE_CLIENT : SIDE_TARGET,
        .ended_ns = WALL_NS + n * NS_PER_S,
    };
}

static int fill(void **state)
{
    struct history *h;

    if (make_folder(state))
        return -1;
    h = open_history(0, 0);
    for (unsigned n = 0; n < FLOWS; n++) {
        struct made m = make(n);

        add_flow(h, &m);
        if (n % 97 == 0)
            commit_flows(h, WALL_NS);
    }
    commit_flows(h, WALL_NS);
    history_close(h);
    return 0;
}

static bool is(const char *a, const char *b)
{
    return a && b && strcmp(a, b) == 0;
}

static bool is_client(const struct made *m)
{
    return is(m->client, "10.0.0.1");
}

static bool is_host(const struct made *m)
{
    return is(m->target, "a.example:443") || is(m->target, "A.example:80");
}

static bool is_authority(const struct made *m)
{
    return is(m->target, "a.example:443");
}

static bool is_domain(const struct made *m)
{
    return is_host(m) || is(m->target, "b.a.example:443");
}

static bool is_address(const struct made *m)
{
    return is(m->target, "[2001:db8::1]:443");
}

static bool is_user(const struct made *m)
{
    return is(m->user, "fmc");
}

static bool is_rule(const struct made *m)
{
    return is(m->rule, "updates");
}

static bool has_failed(const struct made *m)
{
    return m->verdict != VERDICT_OK;
}

static bool is_one_of_two(const struct made *m)
{
    return m->verdict == VERDICT_STALLED || m->verdict == VERDICT_ACL_DENIED;
}

static bool is_all_at_once(const struct made *m)
{
    return m->verdict == VERDICT_STALLED && is_client(m) && is_user(m) && is_domain(m) &&
           m->by == SIDE_TARGET && m->ended_in == PHASE_TLS;
}

static bool is_in_tls(const struct made *m)
{
    return m->ended_in == PHASE_TLS;
}

static bool is_in_time(const struct made *m)
{
    return m->ended_ns >= WALL_NS + 1000 * NS_PER_S && m->ended_ns < WALL_NS + 2500 * NS_PER_S;
}

static bool has_word(const struct made *m)
{
    return is(m->evidence, words[1]);
}

static bool has_fin(const struct made *m)
{
    return is(m->evidence, words[2]) && is(m->user, "Fmc");
}

static bool has_accent(const struct made *m)
{
    return is(m->evidence, words[3]);
}

static bool has_host_word(const struct made *m)
{
    return is(m->target, "b.a.example:443");
}

static bool is_client_and_word(const struct made *m)
{
    return is_client(m) && has_word(m);
}

static bool has_ipv4_client(const struct made *m)
{
    return strchr(m->client, '.') != NULL;
}

static bool always(const struct made *m)
{
    (void)m;
    return true;
}

static bool never(const struct made *m)
{
    (void)m;
    return false;
}

static const char *const two[] = {"stalled", "acl-denied"};

static const struct {
    struct browse_query q;
    bool (*want)(const struct made *m);
} cases[] = {
    {{0}, always},
    {{.failed = true}, has_failed},
    {{.verdicts = two, .verdicts_len = 2}, is_one_of_two},
    {{.verdicts = two, .verdicts_len = 0}, never},
    {{.client = "10.0.0.1"}, is_client},
    {{.client = "10.0.0.9"}, never},
    {{.target = "a.example"}, is_host},
    {{.target = "A.EXAMPLE."}, is_host},
    {{.target = "a.example:443"}, is_authority},
    {{.target = "a.example:44"}, never},
    {{.target = ".a.example"}, is_domain},
    {{.target = ".a.example."}, is_domain},
    {{.target = "example"}, never},
    {{.target = "2001:db8::1"}, is_address},
    {{.target = "[2001:db8::1]:443"}, is_address},
    {{.user = "fmc"}, is_user},
    {{.user = ""}, never},
    {{.rule = "updates"}, is_rule},
    {{.ended_in = "tls"}, is_in_tls},
    {{.verdicts = two,
      .verdicts_len = 1,
      .client = "10.0.0.1",
      .user = "fmc",
      .target = ".a.example",
      .ended_in = "tls",
      .ended_by = "target",
      .failed = true},
     is_all_at_once},
    {{.since_us = (WALL_NS + 1000 * NS_PER_S) / 1000,
      .until_us = (WALL_NS + 2500 * NS_PER_S) / 1000},
     is_in_time},
    {{.text = "1460"}, has_word},
    {{.text = "SEGMENT bytes"}, has_word},
    {{.text = "first fin fmc", .user = "Fmc"}, has_fin},
    {{.text = "caf\xc3\xa9"}, has_accent},
    {{.text = "unack*", .failed = false}, has_word},
    {{.text = "b* from* segm* 1460"}, never},
    {{.text = "b.a.example"}, has_host_word},
    {{.text = "b.a.ex*"}, has_host_word},
    {{.text = "segment fin"}, never},
    {{.text = "10.0.0.1"}, is_client},
    {{.text = "10.0.0.1 unack*"}, is_client_and_word},
    {{.text = "10.0"}, has_ipv4_client}, /* an address's beginning; and so written */
    {{.text = "10.0.*"}, has_ipv4_client},
    {{.text = "10.1"}, never},
    {{.text = "'; DROP TABLE flow; --"}, never},
    {{.text = "%"}, always}, /* nothing to look for */
};

static void queries_find_what_they_ask_for(void **state)
{
    static struct found_ids f;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        unsigned at = 0;

        find_ids(&f, &cases[i].q);
        for (unsigned n = FLOWS; n-- > 0;) {
            struct made m = make(n);

            if (!cases[i].want(&m))
                continue;
            if (at >= f.len || f.ids[at] != m.id)
                fail_msg("case %zu: flow %u is missing, after %u", i, n, at);
            at++;
        }
        if (at != f.len)
            fail_msg("case %zu: %u flows instead of %u", i, f.len, at);
    }
}

struct pages {
    unsigned rows, page;
    int64_t last;
    uint64_t ids[FLOWS];
};

static bool take_page(void *arg, const struct browse_row *row)
{
    struct pages *p = arg;

    p->ids[p->rows++] = row->id;
    p->last = row->seq;
    return p->rows % p->page != 0;
}

/* The next page begins before the last row of the one before. */
static void pages_follow_each_other(void **state)
{
    static struct found_ids whole;
    static struct pages p;
    struct browse_query q = {.failed = true, .client = "10.0.0.1"};
    struct browse *b = open_browse();
    struct err err;

    (void)state;
    find_ids(&whole, &q);
    for (p.page = 7; p.page < 1000; p.page += 131) {
        unsigned before;

        p.rows = 0;
        q.before = 0;
        do {
            before = p.rows;
            assert_true(browse_find(b, &q, take_page, &p, &err));
            q.before = p.last;
        } while (p.rows > before && p.rows % p.page == 0);
        assert_int_equal(p.rows, whole.len);
        assert_memory_equal(p.ids, whole.ids, whole.len * sizeof whole.ids[0]);
    }
    browse_close(b);
}

/* after and before together bound both ends. */
static void sequences_are_bounds(void **state)
{
    static struct found_ids f;
    static const int64_t bounds[][2] = {{0, 5},       {1020, 1030}, {1024, 1025}, {1023, 1025},
                                        {3000, 3300}, {3571, 3573}, {9, 9}};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bounds); i++) {
        const struct browse_query q[] = {
            {.after = bounds[i][0], .before = bounds[i][1]},
            {.after = bounds[i][0], .before = bounds[i][1], .text = "example* 192* 2001*"}};
        int64_t want = bounds[i][1] - bounds[i][0] - 1;

        find_ids(&f, &q[0]);
        if (want > FLOWS - bounds[i][0])
            want = FLOWS - bounds[i][0];
        assert_int_equal(f.len, want < 0 ? 0 : want);
        find_ids(&f, &q[1]);
        assert_int_equal(f.len, 0);
    }
}

static void who_follows_gets_what_is_new(void **state)
{
    static struct found_ids f;
    struct browse *b = open_browse();
    struct browse_query q = {.failed = true};
    struct history *h;
    int64_t version;
    struct err err;

    (void)state;
    q.after = browse_get_last(b);
    assert_int_equal(q.after, FLOWS);
    version = browse_get_version(b);
    assert_int_equal(browse_get_version(b), version);
    f.len = f.most = 0;
    assert_true(browse_follow(b, &q, keep_id, &f, &err));
    assert_int_equal(f.len, 0);
    h = open_history(0, 0);
    for (unsigned n = FLOWS; n < FLOWS + BLOCK_FLOWS; n++) {
        struct made m = make(n);

        add_flow(h, &m);
    }
    commit_flows(h, WALL_NS);
    assert_int_not_equal(browse_get_version(b), version);
    assert_true(browse_follow(b, &q, keep_id, &f, &err));
    unsigned at = 0;
    for (unsigned n = FLOWS; n < FLOWS + BLOCK_FLOWS; n++) {
        struct made m = make(n);

        if (has_failed(&m))
            assert_int_equal(f.ids[at++], m.id);
    }
    assert_int_equal(at, f.len);
    history_close(h);
    browse_close(b);
}

static void flows_are_found_by_their_ids(void **state)
{
    static const struct {
        const char *digits;
        unsigned want;
        bool bad;
    } ids[] = {
        {"1000000000000002", 1, false},
        {"000000000000000", 1, false},  /* number 1 */
        {"e000000000000def", 1, false}, /* behind the last block */
        {"E000000000000DEF", 1, false},
        {"2", FLOWS / 16 + 1, false},
        {"1000000000000003", 0, false},
        {"ffffffffffffffff", 0, false},
        {"", 0, true},
        {"xyz", 0, true},
        {"00000000000000001", 0, true},
    };
    static struct found_ids f;
    struct browse *b = open_browse();
    struct err err;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
        f.len = f.most = 0;
        assert_int_equal(browse_get(b, span_of(ids[i].digits), keep_id, &f, &err), !ids[i].bad);
        if (f.len != ids[i].want)
            fail_msg("%s: %u flows instead of %u", ids[i].digits, f.len, ids[i].want);
    }
    browse_close(b);
}

static void too_many_words_are_refused(void **state)
{
    char text[400] = "";
    struct browse_query q = {.text = text};
    struct browse *b = open_browse();
    struct err err;

    (void)state;
    for (unsigned i = 0; i < 100; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "w%u ", i);
    assert_false(browse_find(b, &q, keep_id, NULL, &err));
    assert_string_equal(err.text, "too many words at once");
    text[10] = '\0';
    static struct found_ids f;
    assert_true(browse_find(b, &q, keep_id, &f, &err));
    browse_close(b);
}

/* More words than one chunk holds, each of one flow only. */
static int fill_with_words(void **state)
{
    struct history *h;

    if (make_folder(state))
        return -1;
    h = open_history(0, 0);
    for (unsigned n = 0; n < 2 * BLOCK_FLOWS + 10; n++) {
        char text[64];

        snprintf(text, sizeof text, "x%04u y%u q%c%u", n, n * 7919 % 4096, 'a' + n % 26, n);
        add_flow(h, &(struct made){.id = n + 1, .evidence = text});
    }
    commit_flows(h, WALL_NS);
    history_close(h);
    return 0;
}

static void words_are_found_wherever_they_stand(void **state)
{
    static struct found_ids f;
    struct browse_query q = {0};
    char text[32];

    (void)state;
    for (unsigned n = 0; n < 2 * BLOCK_FLOWS + 10; n += 13) {
        q.text = text;
        snprintf(text, sizeof text, "x%04u", n);
        find_ids(&f, &q);
        assert_int_equal(f.len, 1);
        assert_int_equal(f.ids[0], n + 1);
        snprintf(text, sizeof text, "x%03u", n % 1000); /* no word, but how ten begin */
        find_ids(&f, &q);
        assert_int_equal(f.len, 0);
        snprintf(text, sizeof text, "x%03u*", n / 10 % 200);
        find_ids(&f, &q);
        assert_int_equal(f.len, 10);
        assert_int_equal(f.ids[9], n / 10 % 200 * 10 + 1);
    }
    q.text = "x* y*";
    find_ids(&f, &q);
    assert_int_equal(f.len, 2 * BLOCK_FLOWS + 10);
    q.text = "xx* y*";
    find_ids(&f, &q);
    assert_int_equal(f.len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(queries_find_what_they_ask_for, fill, remove_folder),
        cmocka_unit_test_setup_teardown(pages_follow_each_other, fill, remove_folder),
        cmocka_unit_test_setup_teardown(sequences_are_bounds, fill, remove_folder),
        cmocka_unit_test_setup_teardown(who_follows_gets_what_is_new, fill, remove_folder),
        cmocka_unit_test_setup_teardown(flows_are_found_by_their_ids, fill, remove_folder),
        cmocka_unit_test_setup_teardown(too_many_words_are_refused, fill, remove_folder),
        cmocka_unit_test_setup_teardown(words_are_found_wherever_they_stand, fill_with_words,
                                        remove_folder),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
