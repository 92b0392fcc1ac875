/* console/metrics.c - /metrics in Prometheus' text format, by its conventions: base units, counters
 * end in _total, few labels, all of them out of closed vocabularies. */
#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/util.h"
#include "console/handlers.h"

#define BYTES_MAX (1u << 20)

static void head(struct buf *out, const char *name, const char *type, const char *help)
{
    buf_printf(out, "# HELP viaduct_%s %s\n# TYPE viaduct_%s %s\n", name, help, name, type);
}

static void one(struct buf *out, const char *name, const char *type, const char *help,
                uint64_t value)
{
    head(out, name, type, help);
    buf_printf(out, "viaduct_%s %" PRIu64 "\n", name, value);
}

static void flows(struct buf *out, const struct totals *t)
{
    head(out, "flows_total", "counter", "Flows that ended, by verdict.");
    for (unsigned v = 0; v < VERDICT_COUNT; v++)
        if ((verdict_get_info((enum verdict)v)->sources & SOURCE_BIT_SERVE) || t->flows[v] > 0)
            buf_printf(out, "viaduct_flows_total{verdict=\"%s\"} %" PRIu64 "\n",
                       verdict_get_info((enum verdict)v)->name, t->flows[v]);
    one(out, "flows_superseded_total", "counter",
        "Of them, 407s that were answered with credentials.", t->superseded);
    head(out, "warnings_total", "counter", "Flows with a warning, by its name.");
    for (unsigned w = 0; w < WARNING_COUNT; w++)
        buf_printf(out, "viaduct_warnings_total{warning=\"%s\"} %" PRIu64 "\n",
                   flow_warning_name((enum warning)w), t->warnings[w]);
    head(out, "bytes_total", "counter", "Payload of ended flows, by direction.");
    buf_printf(out, "viaduct_bytes_total{direction=\"up\"} %" PRIu64 "\n", t->bytes_up);
    buf_printf(out, "viaduct_bytes_total{direction=\"down\"} %" PRIu64 "\n", t->bytes_down);
}

static void histogram(struct buf *out, const char *name, const char *label, const char *value,
                      const struct totals_durations *d)
{
    const uint32_t *bounds = totals_get_bounds();
    uint64_t below = 0;

    for (unsigned i = 0; i < TOTALS_BUCKETS - 1; i++) {
        below += d->buckets[i];
        buf_printf(out, "viaduct_%s_bucket{%s=\"%s\",le=\"%g\"} %" PRIu64 "\n", name, label, value,
                   bounds[i] / 1e6, below);
    }
    buf_printf(out, "viaduct_%s_bucket{%s=\"%s\",le=\"+Inf\"} %" PRIu64 "\n", name, label, value,
               d->count);
    buf_printf(out, "viaduct_%s_sum{%s=\"%s\"} %.6f\n", name, label, value,
               (double)d->sum_us / 1e6);
    buf_printf(out, "viaduct_%s_count{%s=\"%s\"} %" PRIu64 "\n", name, label, value, d->count);
}

static void durations(struct buf *out, const struct totals *t)
{
    head(out, "phase_duration_seconds", "histogram", "How long phases of ended flows took.");
    for (unsigned p = 0; p < PHASE_COUNT; p++)
        if (t->phases[p].count)
            histogram(out, "phase_duration_seconds", "phase", phase_name((enum phase)p),
                      &t->phases[p]);
    head(out, "step_duration_seconds", "histogram", "How long the proxy's steps in answer took.");
    for (unsigned s = 0; s < STEP_KIND_COUNT; s++)
        if (t->steps[s].count)
            histogram(out, "step_duration_seconds", "step", phase_step_name((enum step_kind)s),
                      &t->steps[s]);
}

static void present(struct buf *out, const struct console_state *s, const struct live_page *live)
{
    one(out, "start_time_seconds", "gauge", "When the proxy started, since 1970.",
        s->start_ns / 1000000000u);
    one(out, "workers", "gauge", "Threads that serve.", s->workers);
    one(out, "connections", "gauge", "Client connections that are open.", s->connections);
    one(out, "connections_limit", "gauge", "Client connections that may be open.",
        s->connections_max);
    one(out, "flows_open", "gauge", "Flows under way.", live->open);
    one(out, "tunnels_open", "gauge", "Of them, tunnels.", live->tunnels);
    one(out, "draining", "gauge", "1 while the proxy is stopping.", s->draining);
    one(out, "log_dropped_flows_total", "counter",
        "Flows that never came to the log: its queue was full.", s->flows_dropped);
    one(out, "history_lost_flows_total", "counter",
        "Flows that are not in the history although it is on.", s->history_lost);
    head(out, "build_info", "gauge", "The version that runs.");
    buf_printf(out, "viaduct_build_info{version=\"%s\"} 1\n", VIADUCT_VERSION);
}

/* --- the process, by the names that every exporter has for it ----------------------------------
 */

static unsigned count_descriptors(void)
{
    DIR *folder = opendir("/proc/self/fd");
    unsigned n = 0;

    if (!folder)
        return 0;
    for (const struct dirent *d; (d = readdir(folder));)
        n += d->d_name[0] != '.';
    closedir(folder);
    return n - 1; /* the folder's own */
}

static uint64_t resident_bytes(void)
{
    FILE *f = fopen("/proc/self/statm", "re");
    unsigned long long pages = 0;

    if (f && fscanf(f, "%*u %llu", &pages) != 1)
        pages = 0;
    if (f)
        fclose(f);
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void process(struct buf *out)
{
    struct rlimit limit = {0};
    struct rusage spent = {0};

    getrlimit(RLIMIT_NOFILE, &limit);
    getrusage(RUSAGE_SELF, &spent);
    buf_printf(out,
               "# HELP process_open_fds Open descriptors.\n# TYPE process_open_fds gauge\n"
               "process_open_fds %u\n"
               "# HELP process_max_fds Descriptors that may be open.\n"
               "# TYPE process_max_fds gauge\nprocess_max_fds %" PRIu64 "\n",
               count_descriptors(), (uint64_t)limit.rlim_cur);
    buf_printf(out,
               "# HELP process_resident_memory_bytes Memory in RAM.\n"
               "# TYPE process_resident_memory_bytes gauge\n"
               "process_resident_memory_bytes %" PRIu64 "\n"
               "# HELP process_cpu_seconds_total User and system time.\n"
               "# TYPE process_cpu_seconds_total counter\nprocess_cpu_seconds_total %.2f\n",
               resident_bytes(),
               (double)(spent.ru_utime.tv_sec + spent.ru_stime.tv_sec) +
                   (double)(spent.ru_utime.tv_usec + spent.ru_stime.tv_usec) / 1e6);
}

void metrics_get(struct request *r, struct reply *reply)
{
    const struct console_door *door = &console_get_options(r->console)->door;
    struct live_query all = {0}; /* no rows: the totals */
    struct console_state state;
    struct live_page live;
    struct totals totals;

    if (!door->totals(door->owner, &totals)) {
        reply_out_of_memory(reply);
        return;
    }
    door->state(door->owner, &state);
    door->ask(door->owner, &all, &live);
    reply->type = "text/plain; version=0.0.4; charset=utf-8";
    buf_init(&reply->body, BYTES_MAX);
    flows(&reply->body, &totals);
    durations(&reply->body, &totals);
    present(&reply->body, &state, &live);
    process(&reply->body);
    totals_free(&totals);
}
