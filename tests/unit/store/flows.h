/* tests/unit/store/flows.h - a folder with a history in it, and flows to put there. */
#pragma once

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/num.h"
#include "base/util.h"
#include "store/browse.h"
#include "store/history.h"

#define WALL_NS (1795410000 * NS_PER_S) /* 2026-11-23T05:00:00Z */

static char folder[64], path[96];

static int make_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/history-test-XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof path, "%s/history.db", folder);
    return 0;
}

static int remove_folder(void **state)
{
    struct dirent *entry;
    DIR *d = opendir(folder);
    char name[400];

    (void)state;
    while (d && (entry = readdir(d))) {
        snprintf(name, sizeof name, "%s/%s", folder, entry->d_name);
        unlink(name);
    }
    if (d)
        closedir(d);
    return rmdir(folder);
}

/* How many files there are whose names begin so, without what SQLite keeps beside them; *found is
 * the last of them. */
static inline unsigned count_files(const char *begins, char found[400])
{
    struct dirent *entry;
    DIR *d = opendir(folder);
    unsigned n = 0;

    while (d && (entry = readdir(d))) {
        if (strncmp(entry->d_name, begins, strlen(begins)) != 0 || strstr(entry->d_name, "-wal") ||
            strstr(entry->d_name, "-shm"))
            continue;
        n++;
        snprintf(found, 400, "%s/%s", folder, entry->d_name);
    }
    if (d)
        closedir(d);
    return n;
}

/* What a test's flow is made of; the rest follows from its id. */
struct made {
    uint64_t id;
    enum verdict verdict;
    const char *client, *target, *user, *rule, *url, *evidence;
    enum phase ended_in;
    enum side by;
    uint64_t ended_ns; /* wall clock */
    uint64_t superseded_by;
};

static inline struct flow make_flow(const struct made *m)
{
    struct flow f = {0};

    flow_begin(&f, SOURCE_SERVE, m->id, 0, (m->ended_ns ? m->ended_ns : WALL_NS) - NS_PER_MS);
    if (m->client)
        addr_parse(span_of(m->client), &f.client.addr);
    f.client.port = 4711;
    flow_set_text(&f.target, m->target ? m->target : "t.example:443");
    flow_set_text(&f.user, m->user);
    flow_set_text(&f.rule, m->rule);
    flow_set_text(&f.url, m->url);
    flow_set_text(&f.method, "CONNECT");
    if (m->evidence)
        flow_evidence(&f, "%s", m->evidence);
    flow_phase(&f, m->ended_in, 0);
    f.bytes_up = 1;
    f.bytes_down = 10;
    flow_end(&f, m->verdict, m->by, CERTAINTY_SEEN, NS_PER_MS);
    f.superseded_by = m->superseded_by;
    return f;
}

static inline void make_json(const struct flow *f, char json[64])
{
    snprintf(json, 64, "{\"id\":\"%016llx\"}\n", (unsigned long long)f->id);
}

static inline struct history *open_history(uint64_t keep_ns, uint64_t max_bytes)
{
    struct history_limits limits = {keep_ns, max_bytes};
    struct history *h;
    struct err said;

    assert_int_equal(history_open(path, &limits, WALL_NS, &h, &said), FAULT_NONE);
    assert_string_equal(said.text, "");
    return h;
}

/* In the transaction that is open, or in a new one. */
static inline void add_flow(struct history *h, const struct made *m)
{
    struct flow f = make_flow(m);
    struct err err;
    char json[64];

    make_json(&f, json);
    assert_int_equal(history_begin(h, &err), FAULT_NONE);
    assert_int_equal(history_add(h, &f, span_of(json), &err), FAULT_NONE);
    flow_fini(&f);
}

static inline void commit_flows(struct history *h, uint64_t wall_ns)
{
    struct err err;

    assert_int_equal(history_commit(h, wall_ns, &err), FAULT_NONE);
}

#define FOUND_MAX 40000

struct found_ids {
    unsigned len, most;
    uint64_t ids[FOUND_MAX];
};

static inline bool keep_id(void *arg, const struct browse_row *row)
{
    struct found_ids *f = arg;
    char json[64];

    assert_true(f->len < FOUND_MAX);
    snprintf(json, sizeof json, "{\"id\":\"%016llx\"}\n", (unsigned long long)row->id);
    assert_int_equal(row->json.len, strlen(json)); /* each has its own record */
    assert_memory_equal(row->json.ptr, json, row->json.len);
    f->ids[f->len++] = row->id;
    return f->len != f->most;
}

static inline struct browse *open_browse(void)
{
    enum fault fault;
    struct err err;
    struct browse *b = browse_open(path, &fault, &err);

    assert_non_null(b);
    return b;
}

static inline void find_ids(struct found_ids *f, const struct browse_query *q)
{
    struct browse *b = open_browse();
    struct err err;

    f->len = f->most = 0;
    assert_true(browse_find(b, q, keep_id, f, &err));
    browse_close(b);
}
