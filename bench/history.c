/* bench/history.c - what the history costs a flow, and how long a million of them are searched.
 *
 *   history FILE FLOWS [MAX-SIZE]    fills FILE, then asks it what the console asks
 *
 * Flows are of 5,000 targets and 500 clients, some much busier than others; 5 % of them fail. Costs
 * are CPU time of the thread that writes; wall and CPU time of each query, the median of nine. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/num.h"
#include "base/util.h"
#include "render/render.h"
#include "store/browse.h"
#include "store/history.h"

#define BATCH 1000
#define BEGIN_NS 1790000000000000000ull
#define TRIES 9

static uint64_t random_state = 0x9e3779b97f4a7c15;

static unsigned pick(unsigned n)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (unsigned)(random_state % n);
}

/* Some are picked far more often than others. */
static unsigned pick_unevenly(unsigned n)
{
    double u = (pick(1000000) + 1) / 1e6;

    return (unsigned)(n * u * u * u * u) % n;
}

static double cpu_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static void name_target(struct flow *f, unsigned target)
{
    char text[256];

    snprintf(text, sizeof text, "host%u.site%u.example:443", target, target % 77);
    flow_set_text(&f->target, text);
    if (pick(5) > 0) {
        flow_set_text(&f->method, "CONNECT");
        return;
    }
    flow_set_text(&f->method, "GET");
    snprintf(text, sizeof text, "http://host%u.site%u.example/path%u/item%u", target, target % 77,
             pick(200), pick(5000));
    flow_set_text(&f->url, text);
}

static void fail(struct flow *f, uint64_t at_ns)
{
    static const enum verdict verdicts[] = {VERDICT_ACL_DENIED,       VERDICT_UPSTREAM_REFUSED,
                                            VERDICT_UPSTREAM_TIMEOUT, VERDICT_UPSTREAM_UNRESOLVED,
                                            VERDICT_TARGET_ERROR,     VERDICT_RESET_BY_TARGET,
                                            VERDICT_STALLED,          VERDICT_MTU_BLACKHOLE};
    enum verdict v = verdicts[pick_unevenly(ARRAY_LEN(verdicts))];

    flow_set_text(&f->reason, "what the target did was noticed");
    flow_evidence(f, "%u bytes were owed", pick(100000));
    flow_end(f, v, SIDE_TARGET, CERTAINTY_SEEN, at_ns);
}

/* A flow as `serve` records them. */
static void make_flow(struct flow *f, uint64_t n, uint64_t wall_ns)
{
    unsigned client = pick_unevenly(500), target = pick_unevenly(5000);
    uint64_t id = 0x5bd1e995 * n, dial_ns = pick(80) * NS_PER_MS + pick(1000000);
    uint64_t end_ns = dial_ns + pick(500) * NS_PER_MS + pick(1000000);
    char text[64];

    *f = (struct flow){0};
    flow_begin(f, SOURCE_SERVE, id * 0x9e3779b97f4a7c15ull, 0, wall_ns - end_ns);
    snprintf(text, sizeof text, "10.40.%u.%u:%u", client / 200, client % 200 + 1,
             1024 + pick(60000));
    endpoint_parse(span_of(text), &f->client);
    endpoint_parse(SPAN_LIT("10.10.10.1:3128"), &f->proxy);
    snprintf(text, sizeof text, "192.0.%u.%u:443", target / 250, target % 250);
    endpoint_parse(span_of(text), &f->address);
    name_target(f, target);
    snprintf(text, sizeof text, "user%u", client % 50);
    flow_set_text(&f->user, text);
    snprintf(text, sizeof text, "rule%u", target % 20);
    flow_set_text(&f->rule, text);
    flow_skip(f, PHASE_RESOLVE, OUTCOME_UNKNOWN);
    flow_skip(f, PHASE_PROXY_TLS, OUTCOME_SKIPPED);
    flow_phase(f, PHASE_CONNECT, 0);
    flow_phase(f, PHASE_REQUEST, 0);
    flow_phase(f, PHASE_ANSWER, 0);
    flow_step(f, STEP_KIND_AUTHORIZE, 0);
    flow_step(f, STEP_KIND_DIAL, dial_ns);
    flow_evidence(f, "%s: connected in %.1f ms", text, (double)dial_ns / 1e6);
    flow_phase(f, PHASE_TRANSFER, dial_ns);
    f->status = 200;
    f->bytes_up = pick(5000);
    f->bytes_down = pick(1000000);
    f->client_leg = (struct flow_leg){true, pick(3000), 0, 1460, 1500, 0};
    f->upstream_leg = (struct flow_leg){true, pick(90000), pick(3), 1448, 1500, 0};
    if (pick(100) < 5) {
        fail(f, end_ns);
        return;
    }
    flow_phase(f, PHASE_CLOSE, end_ns);
    flow_evidence(f, "FIN from the target first, nothing was owed");
    flow_end(f, VERDICT_OK, SIDE_TARGET, CERTAINTY_SEEN, end_ns);
}

static void check(enum fault fault, const struct err *err)
{
    if (fault == FAULT_NONE)
        return;
    fprintf(stderr, "history: %s\n", err->text);
    exit(3);
}

static void fill(const char *path, unsigned flows, uint64_t max_bytes)
{
    struct history_limits limits = {.max_bytes = max_bytes};
    double render_us = 0, add_us = 0, slowest_us = 0;
    struct history *h;
    struct err err;
    struct buf json;

    check(history_open(path, &limits, BEGIN_NS, &h, &err), &err);
    buf_init(&json, HISTORY_RECORD_MAX);
    for (unsigned n = 0; n < flows;) {
        static struct flow all[BATCH];
        uint64_t wall_ns = 0;
        double at;

        for (unsigned i = 0; i < BATCH; i++) {
            wall_ns = BEGIN_NS + (uint64_t)(n + i) * 2 * NS_PER_MS;
            make_flow(&all[i], n + i + 1, wall_ns);
        }
        at = cpu_us();
        for (unsigned i = 0; i < BATCH; i++) {
            render_json(&json, &all[i]);
            buf_consume(&json, json.len);
        }
        render_us += cpu_us() - at;
        at = cpu_us();
        check(history_begin(h, &err), &err);
        for (unsigned i = 0; i < BATCH; i++) {
            render_json(&json, &all[i]);
            check(history_add(h, &all[i], buf_span(&json), &err), &err);
            buf_consume(&json, json.len);
        }
        check(history_commit(h, wall_ns, &err), &err);
        at = cpu_us() - at;
        add_us += at;
        slowest_us = at > slowest_us ? at : slowest_us;
        for (unsigned i = 0; i < BATCH; i++)
            flow_fini(&all[i]);
        n += BATCH;
    }
    history_close(h);
    buf_fini(&json);
    struct stat st;
    stat(path, &st);
    printf("| a flow | %.1f us, of which %.1f render its JSON | %lld bytes of the file |\n",
           add_us / flows, render_us / flows, (long long)st.st_size / flows);
    printf("| slowest commit of %d flows | %.1f ms | %.0f MiB in all |\n", BATCH, slowest_us / 1e3,
           (double)st.st_size / 1048576);
}

struct counter {
    unsigned rows, limit;
};

static bool count_row(void *arg, const struct browse_row *row)
{
    struct counter *c = arg;

    (void)row;
    return ++c->rows < c->limit;
}

static bool count_sum(void *arg, const struct tally_row *row)
{
    struct counter *c = arg;

    (void)row;
    c->rows++;
    return true;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

struct question {
    const char *name;
    struct browse_query q;
    const char *id;
    struct browse_sums sums;
    bool sum;
};

static unsigned ask(const char *path, const struct question *q, double *ms, double *cpu_ms)
{
    struct counter c = {0, 100};
    enum fault fault;
    struct err err;
    struct browse *b = browse_open(path, &fault, &err);
    uint64_t at = clock_mono_ns();
    double cpu = cpu_us();
    bool ok;

    check(fault, &err);
    if (q->sum)
        ok = browse_sum(b, &q->sums, count_sum, &c, &err);
    else if (q->id)
        ok = browse_get(b, span_of(q->id), count_row, &c, &err);
    else
        ok = browse_find(b, &q->q, count_row, &c, &err);
    *ms = (double)(clock_mono_ns() - at) / 1e6;
    *cpu_ms = (cpu_us() - cpu) / 1e3;
    check(ok ? FAULT_NONE : FAULT_BROKEN, &err);
    browse_close(b);
    return c.rows;
}

static void ask_all(const char *path, unsigned flows)
{
    static const char *const two[] = {"mtu-blackhole", "stalled"};
    uint64_t end_us = (BEGIN_NS + (uint64_t)flows * 2 * NS_PER_MS) / 1000;
    int64_t minute = (int64_t)(end_us / 60000000) + 1;
    const struct question questions[] = {
        {"the newest", {0}},
        {"the newest failures", {.failed = true}},
        {"two rare verdicts", {.verdicts = two, .verdicts_len = 2}},
        {"a busy client", {.client = "10.40.0.1"}},
        {"a quiet client", {.client = "10.40.2.99"}},
        {"a quiet target", {.target = "host4321.site9.example"}},
        {"a domain", {.target = ".site9.example"}},
        {"a client and a verdict", {.client = "10.40.0.7", .verdicts = two, .verdicts_len = 1}},
        {"user, rule and phase that never meet",
         {.user = "user1", .rule = "rule1", .ended_in = "resolve"}},
        {"failures of a busy user with a busy rule that no client has",
         {.user = "user1", .rule = "rule1", .client = "192.0.2.1", .failed = true}},
        {"a word that all have", {.text = "example"}},
        {"two words that seldom meet", {.text = "item4999 path7"}},
        {"words that never meet", {.text = "fin owed noticed"}},
        {"the beginning of words", {.text = "item49*"}},
        {"a beginning that nearly all have, and a word that none has", {.text = "h* nosuchword"}},
        {"an hour, long ago", {.until_us = BEGIN_NS / 1000 + 60000000, .client = "10.40.0.1"}},
        {"by id", {0}, .id = "00000000deadbeef"},
        {"by the beginning of an id", {0}, .id = "dead"},
        {"failures by verdict, the last hour, by minute", .sum = true,
         .sums = {TALLY_VERDICT, minute - 60, minute, true, true, 0}},
        {"failures by verdict, the last day", .sum = true,
         .sums = {TALLY_VERDICT, minute - 1440, minute, false, true, 0}},
        {"top targets of the last day", .sum = true,
         .sums = {TALLY_TARGET, minute - 1440, minute, false, false, 10}},
        {"top clients of the last day", .sum = true,
         .sums = {TALLY_CLIENT, minute - 1440, minute, false, false, 10}},
    };

    printf("\n| query | rows | ms | of CPU |\n| --- | --- | --- | --- |\n");
    for (size_t i = 0; i < ARRAY_LEN(questions); i++) {
        double ms[TRIES], cpu_ms[TRIES];
        unsigned rows = 0;

        for (int n = 0; n < TRIES; n++)
            rows = ask(path, &questions[i], &ms[n], &cpu_ms[n]);
        qsort(ms, TRIES, sizeof ms[0], compare);
        qsort(cpu_ms, TRIES, sizeof cpu_ms[0], compare);
        printf("| %s | %u | %.1f | %.1f |\n", questions[i].name, rows, ms[TRIES / 2],
               cpu_ms[TRIES / 2]);
    }
}

int main(int argc, char **argv)
{
    uint64_t flows, max_bytes = 0;

    if (argc < 3 || !num_parse_u64(span_of(argv[2]), 1000000000, &flows) ||
        (argc > 3 && !num_parse_size(span_of(argv[3]), UINT64_MAX / 2, &max_bytes))) {
        fprintf(stderr, "usage: history FILE FLOWS [MAX-SIZE]\n");
        return 2;
    }
    if (access(argv[1], F_OK) != 0)
        fill(argv[1], (unsigned)flows / BATCH * BATCH, max_bytes);
    ask_all(argv[1], (unsigned)flows);
    return 0;
}
