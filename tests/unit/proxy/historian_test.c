/* The thread between the recorder and the history file: what it writes, and what it does when it
 * cannot. */
#include "proxy/historian.h"

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "store/browse.h"

static char folder[64], path[96], other[96], said[96];
static int stderr_saved = -1;

/* What the log says goes into a file. */
static int make_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/historian-test-XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof path, "%s/history.db", folder);
    snprintf(other, sizeof other, "%s/other.db", folder);
    snprintf(said, sizeof said, "%s/said", folder);
    fflush(stderr);
    stderr_saved = dup(STDERR_FILENO);
    int fd = open(said, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    dup2(fd, STDERR_FILENO);
    close(fd);
    return 0;
}

static int remove_folder(void **state)
{
    struct dirent *entry;
    char name[400];
    DIR *d;

    (void)state;
    dup2(stderr_saved, STDERR_FILENO);
    close(stderr_saved);
    d = opendir(folder);
    while (d && (entry = readdir(d))) {
        snprintf(name, sizeof name, "%s/%s", folder, entry->d_name);
        unlink(name);
    }
    if (d)
        closedir(d);
    return rmdir(folder);
}

static bool log_says(const char *words)
{
    static char text[1 << 16];
    FILE *f = fopen(said, "re");
    size_t len = f ? fread(text, 1, sizeof text - 1, f) : 0;

    if (f)
        fclose(f);
    text[len] = '\0';
    return strstr(text, words) != NULL;
}

static void wait_for_log(const char *words)
{
    uint64_t deadline_ns = clock_mono_ns() + 30 * NS_PER_S;

    while (!log_says(words)) {
        if (clock_mono_ns() > deadline_ns)
            fail_msg("the log does not say \"%s\"", words);
        usleep(1000);
    }
}

static struct historian *start(struct config *c, char *file)
{
    struct historian *h;
    struct err err;

    *c = (struct config){.history = file};
    h = historian_new(c, &err);
    assert_non_null(h);
    return h;
}

static struct flow *make_flow(uint64_t id)
{
    struct flow *f = calloc(1, sizeof *f);

    flow_begin(f, SOURCE_SERVE, id, 0, clock_wall_ns());
    flow_phase(f, PHASE_ANSWER, 0);
    flow_set_text(&f->target, "t.example:443");
    flow_end(f, VERDICT_OK, SIDE_CLIENT, CERTAINTY_SEEN, 1);
    return f;
}

static bool take(struct historian *h, uint64_t id)
{
    struct flow *f = make_flow(id);

    if (historian_take(h, f, SPAN_LIT("")))
        return true;
    historian_lose(h);
    flow_fini(f);
    free(f);
    return false;
}

static void take_many(struct historian *h, uint64_t from, unsigned n)
{
    for (uint64_t id = from; id < from + n; id++)
        take(h, id);
}

static bool count_row(void *arg, const struct browse_row *row)
{
    (void)row;
    ++*(unsigned *)arg;
    return true;
}

/* Flows in a file; 0 where it cannot be read (yet). */
static unsigned count(const char *file)
{
    struct browse_query q = {0};
    enum fault fault;
    struct err err;
    struct browse *b = browse_open(file, &fault, &err);
    unsigned n = 0;

    if (b)
        browse_find(b, &q, count_row, &n, &err);
    browse_close(b);
    return n;
}

/* How many were ever recorded. */
static int64_t last_of(const char *file)
{
    enum fault fault;
    struct err err;
    struct browse *b = browse_open(file, &fault, &err);
    int64_t last = b ? browse_get_last(b) : 0;

    browse_close(b);
    return last;
}

static void wait_for(const char *file, unsigned n)
{
    uint64_t deadline_ns = clock_mono_ns() + 60 * NS_PER_S;

    while (last_of(file) < n) {
        if (clock_mono_ns() > deadline_ns)
            fail_msg("%u flows instead of %u", (unsigned)last_of(file), n);
        usleep(1000);
    }
}

static sqlite3 *lock(const char *file, const char *how)
{
    sqlite3 *db;

    assert_int_equal(sqlite3_open(file, &db), SQLITE_OK);
    sqlite3_busy_timeout(db, 10000);
    assert_int_equal(sqlite3_exec(db, how, NULL, NULL, NULL), SQLITE_OK);
    return db;
}

static void the_end_writes_what_was_taken(void **state)
{
    struct config c;
    struct historian *h = start(&c, path);

    (void)state;
    assert_true(historian_is_on(h));
    take_many(h, 1, 8000);
    assert_int_equal(historian_get_lost(h), 0);
    historian_free(h);
    assert_int_equal(count(path), 8000);
}

/* Each flow comes when the thread sleeps, or is about to, and is there without another one. */
static void flows_are_committed_soon(void **state)
{
    struct config c;
    struct historian *h = start(&c, path);

    (void)state;
    for (unsigned n = 1; n <= 5; n++) {
        take(h, n);
        wait_for(path, n);
    }
    historian_free(h);
}

/* Who asks has all that was taken before, and at once. */
static void a_flush_commits_what_was_taken(void **state)
{
    struct config c;
    struct historian *h = start(&c, path);

    (void)state;
    for (unsigned n = 1; n <= 50; n++) {
        take(h, n);
        assert_true(historian_flush(h, clock_mono_ns() + 60 * NS_PER_S));
        assert_int_equal(count(path), n);
    }
    c.history = NULL;
    assert_true(historian_set(h, &c, &(struct err){""}));
    assert_false(historian_flush(h, clock_mono_ns() + 60 * NS_PER_S)); /* it is off */
    historian_free(h);
}

static void off_has_no_file(void **state)
{
    struct config c;
    struct historian *h = start(&c, NULL);
    struct err err;

    (void)state;
    assert_false(historian_is_on(h));
    c.history = path; /* a reload turns it on, elsewhere, and off again */
    assert_true(historian_set(h, &c, &err));
    assert_true(historian_is_on(h));
    take_many(h, 1, 5);
    wait_for(path, 5);
    c.history = other;
    assert_true(historian_set(h, &c, &err));
    while (count(other) == 0) /* also while flows come faster than they are written */
        take(h, 6);
    assert_true(count(path) >= 5); /* and those that were taken before it had moved on */
    c.history = NULL;
    assert_true(historian_set(h, &c, &err));
    assert_false(historian_is_on(h));
    historian_free(h);
    assert_int_equal(access(path, F_OK), 0);
}

static void another_limit_holds_at_once(void **state)
{
    struct config c;
    struct historian *h = start(&c, path);
    struct stat st;
    struct err err;

    (void)state;
    take_many(h, 1, 6000);
    wait_for(path, 6000);
    take_many(h, 1, 6000);
    wait_for(path, 12000);
    c.history_max = 1 << 20;
    assert_true(historian_set(h, &c, &err));
    take(h, 20000);
    historian_free(h);
    h = start(&c, path);
    historian_free(h);
    assert_true(count(path) < 12000);
    assert_int_equal(stat(path, &st), 0);
}

/* A place that cannot be written is told once, and costs the flows. */
static void an_unwritable_place_is_told(void **state)
{
    char nowhere[] = "/nonexistent/history.db";
    struct config c;
    struct historian *h = start(&c, nowhere);

    (void)state;
    wait_for_log("history: /nonexistent/history.db: No such file or directory; the proxy goes on "
                 "without it");
    take_many(h, 1, 100);
    while (historian_get_lost(h) < 100)
        usleep(1000);
    historian_free(h);
}

static void a_second_proxy_keeps_none(void **state)
{
    struct config c, d;
    struct historian *h = start(&c, path), *second;

    (void)state;
    take(h, 1);
    wait_for(path, 1);
    second = start(&d, path);
    wait_for_log("another viaduct is writing it; the proxy goes on without it");
    take(second, 2);
    historian_free(second);
    historian_free(h);
    assert_int_equal(count(path), 1);
}

/* Flows wait in the queue for a file that another program has locked. */
static void a_locked_file_keeps_flows_waiting(void **state)
{
    struct config c;
    struct historian *h = start(&c, path);
    sqlite3 *db;

    (void)state;
    take(h, 1);
    wait_for(path, 1);
    db = lock(path, "BEGIN IMMEDIATE");
    take_many(h, 2, 1000);
    wait_for_log("database is locked; the proxy goes on without it");
    assert_int_equal(historian_get_lost(h), 0);
    sqlite3_close(db);
    wait_for(path, 1001);
    wait_for_log("is written again; flows lost: 0");
    historian_free(h);
    assert_int_equal(count(path), 1001);
}

/* Who asks is told that not all of it is there, and is not kept waiting for it. */
static void a_flush_of_a_locked_file_comes_to_no_good_end(void **state)
{
    struct config c;
    struct historian *h = start(&c, path);
    sqlite3 *db;

    (void)state;
    take(h, 1);
    assert_true(historian_flush(h, clock_mono_ns() + 60 * NS_PER_S));
    db = lock(path, "BEGIN IMMEDIATE");
    take(h, 2);
    assert_false(historian_flush(h, clock_mono_ns() + 60 * NS_PER_S));
    assert_false(historian_flush(h, clock_mono_ns() + 60 * NS_PER_S));
    sqlite3_close(db);
    wait_for(path, 2);
    assert_true(historian_flush(h, clock_mono_ns() + 60 * NS_PER_S));
    historian_free(h);
}

/* The queue has its limit; what it could not take is counted, told, and noted in the file. */
static void a_full_queue_counts(void **state)
{
    struct config c;
    struct historian *h = start(&c, path);
    uint64_t lost;
    char why[64];
    sqlite3 *db;

    (void)state;
    take(h, 1);
    wait_for(path, 1);
    db = lock(path, "BEGIN IMMEDIATE");
    take_many(h, 2, 20000);
    lost = historian_get_lost(h);
    assert_true(lost > 5000);
    sqlite3_close(db);
    historian_free(h);
    assert_int_equal(count(path) + lost, 20001);
    enum fault fault;
    struct err err;
    struct browse *b = browse_open(path, &fault, &err);
    assert_int_equal(browse_count_lost(b, 0, why, sizeof why), lost);
    browse_close(b);
}

/* No byte more may be written for a while: the flows of that time are lost, the file is whole, and
 * goes on afterwards. */
static void a_full_disk_stops_the_history_only(void **state)
{
    struct config c;
    struct historian *h = start(&c, path);
    struct rlimit before, small;
    uint64_t lost;

    (void)state;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    take_many(h, 1, 100);
    wait_for(path, 100);
    small = (struct rlimit){64 * 1024, before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    while (!log_says("the proxy goes on without it")) {
        take_many(h, 1000, 10);
        usleep(1000);
    }
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_true(historian_get_lost(h) > 0);
    historian_free(h);
    lost = count(path);
    assert_true(lost >= 100);
    h = start(&c, path);
    take(h, 5);
    historian_free(h);
    assert_int_equal(count(path), lost + 1);
}

static void a_file_that_was_removed_is_begun_anew(void **state)
{
    struct config c;
    struct historian *h = start(&c, path);

    (void)state;
    take(h, 1);
    wait_for(path, 1);
    unlink(path);
    while (!log_says("was moved or removed: a new one is begun")) {
        take(h, 2);
        usleep(1000);
    }
    take(h, 3);
    historian_free(h);
    assert_true(count(path) >= 1);
}

static void a_broken_file_is_replaced(void **state)
{
    FILE *f = fopen(path, "we");
    struct config c;
    struct historian *h;

    (void)state;
    for (unsigned i = 0; i < 1000; i++)
        fputs("garbage ", f);
    fclose(f);
    h = start(&c, path);
    take(h, 1);
    historian_free(h);
    assert_int_equal(count(path), 1);
    assert_true(log_says("it was set aside as"));
}

/* A flow whose record is too long is left out and counted; its neighbours are not. */
static void a_record_too_long_is_left_out(void **state)
{
    struct config c;
    struct historian *h = start(&c, path);
    struct flow *f = make_flow(2);
    char *url = malloc(400000);

    (void)state;
    memset(url, 'u', 399999);
    url[399999] = '\0';
    flow_set_text(&f->url, url);
    take(h, 1);
    assert_true(historian_take(h, f, SPAN_LIT("")));
    take(h, 3);
    wait_for(path, 2);
    assert_int_equal(historian_get_lost(h), 1);
    historian_free(h);
    assert_int_equal(count(path), 2);
    free(url);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_end_writes_what_was_taken, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(flows_are_committed_soon, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(a_flush_commits_what_was_taken, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(off_has_no_file, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(another_limit_holds_at_once, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(an_unwritable_place_is_told, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(a_second_proxy_keeps_none, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(a_flush_of_a_locked_file_comes_to_no_good_end, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(a_locked_file_keeps_flows_waiting, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(a_full_queue_counts, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(a_full_disk_stops_the_history_only, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(a_file_that_was_removed_is_begun_anew, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(a_broken_file_is_replaced, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(a_record_too_long_is_left_out, make_folder, remove_folder),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
