/* The file: how it is opened, what survives, and what is done about one that is of no use. */
#include "store/history.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "flows.h"
#include "store/bits.h"

static unsigned count_flows(void)
{
    static struct found_ids f;
    struct browse_query q = {0};

    find_ids(&f, &q);
    return f.len;
}

static void add_many(struct history *h, unsigned from, unsigned n)
{
    for (unsigned i = from; i < from + n; i++)
        add_flow(h, &(struct made){.id = i + 1, .verdict = i % 9 ? VERDICT_OK : VERDICT_STALLED});
}

static enum fault try_open(struct history **h, struct err *said)
{
    struct history_limits limits = {0};

    return history_open(path, &limits, WALL_NS, h, said);
}

static void a_new_file_is_made_for_its_owner(void **state)
{
    struct history *h = open_history(0, 0);
    struct stat st;

    (void)state;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777 & ~0640u, 0);
    assert_true(history_is_there(h));
    assert_int_equal(count_flows(), 0);
    history_close(h);
    assert_int_equal(count_flows(), 0);
}

/* What was committed is there after a crash, whatever the blocks were at; the rest is not. */
static void what_was_committed_is_there(void **state)
{
    static const unsigned steps[] = {1, 40, 64, 1000, BLOCK_FLOWS, BLOCK_FLOWS - 1, 2500, 1, 0};
    unsigned committed = 0, next = 0;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        static struct found_ids f;
        struct browse_query q = {.failed = true};
        struct history *h = open_history(0, 0);
        unsigned want = 0;

        add_many(h, next, steps[i]);
        commit_flows(h, WALL_NS + i * 10 * NS_PER_S);
        committed += steps[i];
        next += steps[i];
        add_many(h, 1000000, 30); /* not committed */
        history_close(h);
        assert_int_equal(count_flows(), committed);
        find_ids(&f, &q);
        for (unsigned n = committed; n-- > 0;)
            if (n % 9 == 0)
                assert_int_equal(f.ids[want++], n + 1);
        assert_int_equal(f.len, want);
    }
}

static void write_file(const char *bytes, size_t len)
{
    FILE *f = fopen(path, "we");

    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, len, f), len);
    fclose(f);
}

/* A file of use to nobody is renamed, with what SQLite keeps beside it, and a new one begun. */
static void a_broken_file_is_set_aside(void **state)
{
    char garbage[9000], name[400], text[512];
    struct history *h;
    struct err said;

    (void)state;
    memset(garbage, 'g', sizeof garbage);
    for (unsigned i = 0; i < 2; i++) { /* twice in one second */
        write_file(garbage, sizeof garbage);
        assert_int_equal(try_open(&h, &said), FAULT_NONE);
        snprintf(text, sizeof text,
                 "file is not a database; it was set aside as %s.broken-20261123-050000%s, and a "
                 "new one begun",
                 path, i ? "-1" : "");
        assert_string_equal(said.text, text);
        add_many(h, 0, 3);
        commit_flows(h, WALL_NS);
        history_close(h);
        assert_int_equal(count_flows(), 3);
        assert_int_equal(count_files("history.db.broken-", name), i + 1);
        unlink(path);
    }
    struct stat st;
    assert_int_equal(stat(name, &st), 0);
    assert_int_equal(st.st_size, sizeof garbage); /* and never deleted */
}

/* Pages in the middle of a file are overwritten: it is found out when they are read, and the file
 * can then be opened anew. */
static void damage_inside_is_found(void **state)
{
    struct history *h = open_history(0, 0);
    char garbage[4096], name[400];
    enum fault fault = FAULT_NONE;
    struct stat st;
    struct err err;

    (void)state;
    add_many(h, 0, 3000);
    commit_flows(h, WALL_NS);
    history_close(h);
    assert_int_equal(stat(path, &st), 0);
    memset(garbage, 0xa5, sizeof garbage);
    FILE *f = fopen(path, "r+e");
    for (long at = 4096 * 3; at < st.st_size; at += 4096) {
        fseek(f, at, SEEK_SET);
        fwrite(garbage, 1, sizeof garbage, f);
    }
    fclose(f);
    fault = try_open(&h, &err);
    if (fault == FAULT_NONE && !err.text[0]) {
        for (unsigned i = 0; i < 2000 && fault == FAULT_NONE; i++) {
            struct flow flow = make_flow(&(struct made){.id = i});

            fault = history_begin(h, &err);
            if (fault == FAULT_NONE)
                fault = history_add(h, &flow, SPAN_LIT("{}"), &err);
            flow_fini(&flow);
        }
        if (fault == FAULT_NONE)
            fault = history_commit(h, WALL_NS, &err);
        assert_int_equal(fault, FAULT_BROKEN);
        history_close(h);
        assert_int_equal(try_open(&h, &err), FAULT_NONE);
    }
    assert_non_null(strstr(err.text, "set aside"));
    assert_int_equal(count_files("history.db.broken-", name), 1);
    add_many(h, 0, 5);
    commit_flows(h, WALL_NS);
    history_close(h);
    assert_int_equal(count_flows(), 5);
}

static bool pass_row(void *arg, const struct browse_row *row)
{
    ++*(unsigned *)arg;
    return row->json.len < 1 << 20;
}

static bool pass_sum(void *arg, const struct tally_row *row)
{
    ++*(unsigned *)arg;
    return row->name.len < 1 << 20;
}

/* Asks everything; what comes of it does not matter. */
static void ask_everything(void)
{
    const struct browse_query queries[] = {{0}, {.failed = true}, {.text = "t* example"}};
    struct browse_sums sums = {TALLY_VERDICT, 0, INT64_MAX, false, false, 0};
    enum fault fault;
    unsigned rows = 0;
    char why[64];
    struct err err;
    struct browse *b = browse_open(path, &fault, &err);

    if (!b)
        return;
    for (size_t i = 0; i < ARRAY_LEN(queries); i++)
        browse_find(b, &queries[i], pass_row, &rows, &err);
    browse_follow(b, &queries[1], pass_row, &rows, &err);
    browse_get(b, SPAN_LIT("0"), pass_row, &rows, &err);
    browse_sum(b, &sums, pass_sum, &rows, &err);
    browse_count_lost(b, 0, why, sizeof why);
    browse_close(b);
}

static void write_more(void)
{
    struct history *h;
    struct err err;

    if (try_open(&h, &err) != FAULT_NONE)
        return;
    for (unsigned i = 0; i < 100; i++) {
        struct flow f = make_flow(&(struct made){.id = i});
        enum fault fault = history_begin(h, &err);

        if (fault == FAULT_NONE)
            fault = history_add(h, &f, SPAN_LIT("{}"), &err);
        flow_fini(&f);
        if (fault != FAULT_NONE)
            break;
    }
    if (history_uncommitted(h) == 100)
        history_commit(h, WALL_NS, &err);
    history_close(h);
}

/* Some bytes of a good file are others: nothing crashes, whatever is asked or written. */
static void any_damage_is_survived(void **state)
{
    struct history *h = open_history(0, 1 << 20);
    uint64_t random = 0x9e3779b97f4a7c15;
    size_t len;

    add_many(h, 0, 2500);
    commit_flows(h, WALL_NS);
    history_close(h);
    FILE *f = fopen(path, "re");
    char *good = malloc(1 << 20), *bad = malloc(1 << 20);
    len = fread(good, 1, 1 << 20, f);
    fclose(f);
    for (unsigned round = 0; round < 150; round++) {
        memcpy(bad, good, len);
        for (unsigned n = 0; n < 1 + round % 40; n++) {
            random = random * 6364136223846793005ull + 1442695040888963407ull;
            bad[(random >> 20) % len] = (char)(random >> 56);
        }
        remove_folder(state);
        assert_int_equal(mkdir(folder, 0700), 0);
        write_file(bad, len);
        ask_everything();
        write_more();
    }
    free(good);
    free(bad);
}

static void change(const char *sql)
{
    sqlite3 *db;

    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

static void a_later_versions_file_is_set_aside(void **state)
{
    struct history *h = open_history(0, 0);
    char name[400];
    struct err said;

    (void)state;
    add_many(h, 0, 3);
    commit_flows(h, WALL_NS);
    history_close(h);
    change("PRAGMA user_version = 99");
    assert_int_equal(try_open(&h, &said), FAULT_NONE);
    assert_non_null(strstr(said.text, "a later version made it (99; this one knows 1)"));
    assert_int_equal(count_files("history.db.newer-", name), 1);
    history_close(h);
    assert_int_equal(count_flows(), 0);
    snprintf(path, sizeof path, "%.90s", name);
    change("PRAGMA user_version = 1"); /* it is as it was */
    assert_int_equal(count_flows(), 3);
}

/* Nobody's database is renamed but our own. */
static void another_programs_database_is_left_alone(void **state)
{
    struct history *h;
    struct err said;
    char name[400];

    (void)state;
    change("CREATE TABLE theirs (x)");
    assert_int_equal(try_open(&h, &said), FAULT_FOREIGN);
    assert_null(h);
    assert_string_equal(said.text, "it is the database of another program");
    assert_int_equal(count_files("history.db.", name), 0);
}

static void tables_that_are_missing_are_damage(void **state)
{
    static const char *const damages[] = {"DROP TABLE posting",
                                          "DROP TABLE flow",
                                          "DELETE FROM pack",
                                          "DELETE FROM mark",
                                          "DELETE FROM flow WHERE seq = 2",
                                          "UPDATE pack SET bytes = x'00'"};
    char name[400];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(damages); i++) {
        struct history *h = open_history(0, 0);
        struct err said;

        add_many(h, 0, 5);
        commit_flows(h, WALL_NS);
        history_close(h);
        change(damages[i]);
        assert_int_equal(try_open(&h, &said), FAULT_NONE);
        assert_non_null(strstr(said.text, "set aside"));
        assert_int_equal(count_files("history.db.broken-", name), i + 1);
        history_close(h);
    }
}

static void there_is_one_writer(void **state)
{
    struct history *h = open_history(0, 0), *second;
    struct err said;

    (void)state;
    assert_int_equal(try_open(&second, &said), FAULT_TAKEN);
    assert_null(second);
    assert_string_equal(said.text, "another viaduct is writing it");
    history_close(h);
    assert_int_equal(try_open(&second, &said), FAULT_NONE);
    history_close(second);
}

/* Another program holds the file: nothing is lost, and it is written once that one lets go. */
static void a_lock_is_waited_for(void **state)
{
    struct history *h = open_history(0, 0), *second;
    sqlite3 *db;
    struct err err;

    (void)state;
    add_many(h, 0, 1);
    commit_flows(h, WALL_NS);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(history_begin(h, &err), FAULT_BUSY);
    assert_string_equal(err.text, "database is locked");
    assert_int_equal(sqlite3_exec(db, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
    add_many(h, 1, 1);
    commit_flows(h, WALL_NS);
    history_close(h);
    assert_int_equal(sqlite3_exec(db, "BEGIN EXCLUSIVE", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(try_open(&second, &err), FAULT_BUSY);
    sqlite3_close(db);
    assert_int_equal(count_flows(), 2);
}

/* A reader that never ends keeps the write-ahead log from being used again: it has a limit. */
static void a_reader_that_never_ends_does_not_fill_the_disk(void **state)
{
    struct history *h = open_history(0, 4 << 20);
    enum fault fault = FAULT_NONE;
    char wal[128];
    struct stat st;
    unsigned n = 0;
    sqlite3 *db;
    struct err err;

    (void)state;
    add_many(h, n++, 1);
    commit_flows(h, WALL_NS);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "BEGIN; SELECT count(*) FROM flow", NULL, NULL, NULL),
                     SQLITE_OK);
    while (fault == FAULT_NONE && n < 100000) {
        fault = history_begin(h, &err);
        if (fault != FAULT_NONE)
            break;
        for (unsigned i = 0; i < 100; i++)
            add_many(h, n++, 1);
        fault = history_commit(h, WALL_NS, &err);
    }
    assert_int_equal(fault, FAULT_BUSY);
    assert_string_equal(err.text, "another program has been reading it for too long");
    snprintf(wal, sizeof wal, "%s-wal", path);
    assert_int_equal(stat(wal, &st), 0);
    assert_true(st.st_size < 3 << 20);
    sqlite3_close(db);
    add_many(h, n++, 1);
    commit_flows(h, WALL_NS);
    assert_int_equal(count_flows(), n);
    history_close(h);
}

static void what_cannot_be_opened_is_told(void **state)
{
    struct history_limits limits = {0};
    struct history *h;
    struct err said;

    (void)state;
    assert_int_equal(history_open("/nonexistent/history.db", &limits, WALL_NS, &h, &said),
                     FAULT_DENIED);
    assert_string_equal(said.text, "No such file or directory");
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(try_open(&h, &said), FAULT_DENIED);
    assert_string_equal(said.text, "it is no regular file");
    rmdir(path);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(try_open(&h, &said), FAULT_DENIED);
    assert_string_equal(said.text, "it is no regular file");
}

static void readers_say_what_is_wrong(void **state)
{
    enum fault fault;
    struct err err;

    (void)state;
    assert_null(browse_open(path, &fault, &err));
    assert_int_equal(fault, FAULT_MISSING);
    write_file("", 0);
    assert_null(browse_open(path, &fault, &err));
    assert_int_equal(fault, FAULT_MISSING);
    write_file("garbage, and more of it, and even more", 38);
    assert_null(browse_open(path, &fault, &err));
    assert_int_equal(fault, FAULT_BROKEN);
    unlink(path);
    change("CREATE TABLE theirs (x)");
    assert_null(browse_open(path, &fault, &err));
    assert_int_equal(fault, FAULT_FOREIGN);
}

static void a_file_that_went_is_noticed(void **state)
{
    struct history *h = open_history(0, 0);
    char other[128];

    (void)state;
    snprintf(other, sizeof other, "%s.moved", path);
    assert_int_equal(rename(path, other), 0);
    assert_false(history_is_there(h));
    write_file("", 0);
    assert_false(history_is_there(h));
    history_close(h);
}

static void lost_flows_are_noted(void **state)
{
    struct history *h = open_history(0, 0);
    struct browse *b;
    char why[64];
    struct err err;

    (void)state;
    assert_int_equal(history_begin(h, &err), FAULT_NONE);
    assert_int_equal(history_note_gap(h, 7, "the disk was full", WALL_NS, &err), FAULT_NONE);
    assert_int_equal(history_note_gap(h, 90, "they came too fast", WALL_NS, &err), FAULT_NONE);
    commit_flows(h, WALL_NS);
    b = open_browse();
    assert_int_equal(browse_count_lost(b, WALL_NS / 1000, why, sizeof why), 97);
    assert_string_equal(why, "they came too fast");
    assert_int_equal(browse_count_lost(b, WALL_NS / 1000 + 1, why, sizeof why), 0);
    browse_close(b);
    history_close(h);
}

/* Texts are as hostile as they can be; the widest numbers come back as they went. */
static void hostile_flows_are_kept(void **state)
{
    static const char evil[] = "a'\"\\;--\x1b[31m\r\n%_*\xff\xc2\x9b\xe2\x80\xae<b>";
    static struct found_ids f;
    struct history *h = open_history(0, 0);
    const struct browse_query queries[] = {{.user = evil}, {.rule = evil}, {.target = evil}};

    (void)state;
    add_flow(h, &(struct made){.id = UINT64_MAX,
                               .target = evil,
                               .user = evil,
                               .rule = evil,
                               .url = evil,
                               .evidence = evil});
    commit_flows(h, WALL_NS);
    for (size_t i = 0; i < ARRAY_LEN(queries); i++) {
        find_ids(&f, &queries[i]);
        assert_int_equal(f.len, 1);
        assert_int_equal(f.ids[0], UINT64_MAX);
    }
    history_close(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_new_file_is_made_for_its_owner, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(what_was_committed_is_there, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(a_broken_file_is_set_aside, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(damage_inside_is_found, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(any_damage_is_survived, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(a_later_versions_file_is_set_aside, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(another_programs_database_is_left_alone, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(tables_that_are_missing_are_damage, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(there_is_one_writer, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(a_lock_is_waited_for, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(a_reader_that_never_ends_does_not_fill_the_disk,
                                        make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(what_cannot_be_opened_is_told, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(readers_say_what_is_wrong, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(a_file_that_went_is_noticed, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(lost_flows_are_noted, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(hostile_flows_are_kept, make_folder, remove_folder),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
