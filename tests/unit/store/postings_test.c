#include "store/postings.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define TERMS 3000

static sqlite3 *db;
static sqlite3_stmt *insert;

static int open_table(void **state)
{
    (void)state;
    return sqlite3_open(":memory:", &db) != SQLITE_OK ||
           sqlite3_exec(db,
                        "CREATE TABLE posting (block INTEGER, first BLOB, terms BLOB,"
                        " PRIMARY KEY (block, first)) WITHOUT ROWID",
                        NULL, NULL, NULL) != SQLITE_OK ||
           sqlite3_prepare_v2(db, "INSERT INTO posting VALUES (?, ?, ?)", -1, &insert, NULL) !=
               SQLITE_OK;
}

static int close_table(void **state)
{
    (void)state;
    sqlite3_finalize(insert);
    return sqlite3_close(db);
}

/* Term n in front of its length, as terms.h has it; long ones, and two that begin alike. */
static struct span write_term(unsigned n, char out[TERM_MAX + 1])
{
    int len = snprintf(out + 1, TERM_MAX, "w%0*u", n % 7 ? 4 : 50, n);

    out[0] = (char)len;
    return (struct span){out, (size_t)len + 1};
}

/* Every flow has the terms whose numbers leave the same rest as its own. */
static void gather(struct postings *p)
{
    char text[TERM_MAX + 1];

    for (unsigned flow = 0; flow < BLOCK_FLOWS; flow++)
        for (unsigned n = flow % 500; n < TERMS; n += 500)
            assert_true(postings_add(p, write_term(n, text), flow));
}

static void terms_come_back_sorted_with_their_flows(void **state)
{
    struct postings p = {0};
    sqlite3_stmt *read;
    unsigned terms = 0, chunks = 0;
    char before[TERM_MAX + 1] = "";

    (void)state;
    gather(&p);
    assert_int_equal(postings_write(&p, insert, 7), SQLITE_DONE);
    assert_int_equal(p.len, 0);
    sqlite3_prepare_v2(db, "SELECT first, terms FROM posting WHERE block = 7 ORDER BY first", -1,
                       &read, NULL);
    for (; sqlite3_step(read) == SQLITE_ROW; chunks++) {
        struct span first = database_column(read, 0), chunk = database_column(read, 1), term, flows;
        size_t at = 0;

        assert_true(chunk.len <= POSTINGS_CHUNK);
        for (unsigned n = 0; postings_next(chunk, &at, &term, &flows); n++) {
            struct bits bits = {0};
            char text[TERM_MAX + 1];

            assert_true(n > 0 || span_equal(term, first));
            snprintf(text, sizeof text, "%.*s", (int)term.len, term.ptr);
            assert_true(strcmp(before, text) < 0);
            memcpy(before, text, sizeof before);
            bits_or_bytes(&bits, flows.ptr, flows.len);
            unsigned rest = (unsigned)strtoul(text + 1, NULL, 10) % 500;
            for (unsigned flow = 0; flow < BLOCK_FLOWS; flow++)
                assert_int_equal(bits_has(&bits, flow), flow % 500 == rest);
            terms++;
        }
        assert_int_equal(at, chunk.len);
    }
    sqlite3_finalize(read);
    assert_int_equal(terms, TERMS);
    assert_true(chunks > 10);
    postings_fini(&p);
}

static void terms_without_flows_are_left_out(void **state)
{
    struct postings_writer w = {.insert = insert, .block = 1};
    struct bits none = {0}, one = {0};

    (void)state;
    bits_set(&one, 5);
    assert_int_equal(postings_put(&w, SPAN_LIT("wa"), &none), SQLITE_DONE);
    assert_int_equal(postings_end(&w), SQLITE_DONE);
    assert_int_equal(database_ask(db, "SELECT count(*) FROM posting", -1), 0);
    assert_int_equal(postings_put(&w, SPAN_LIT("wa"), &none), SQLITE_DONE);
    assert_int_equal(postings_put(&w, SPAN_LIT("wb"), &one), SQLITE_DONE);
    assert_int_equal(postings_end(&w), SQLITE_DONE);
    assert_int_equal(database_ask(db, "SELECT count(*) FROM posting WHERE first = x'7762'", -1), 1);
}

static void a_damaged_chunk_ends(void **state)
{
    static const struct {
        struct span chunk;
        unsigned want;
    } cases[] = {
        {SPAN_INIT(""), 0},
        {SPAN_INIT("\0\0"), 0},
        {SPAN_INIT("\2wa\2\1\0"), 1},
        {SPAN_INIT("\2wa\2\1\0\2w"), 1},
        {SPAN_INIT("\2wa\2\1\0\2wb"), 1},
        {SPAN_INIT("\2wa\2\1\0\2wb\3\1\0"), 1},
        {SPAN_INIT("\377wa"), 0},
        {SPAN_INIT("\2wa\0\2wb\0"), 2},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct span term, flows;
        size_t at = 0;
        unsigned n = 0;

        while (postings_next(cases[i].chunk, &at, &term, &flows))
            n++;
        assert_int_equal(n, cases[i].want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(terms_come_back_sorted_with_their_flows, open_table,
                                        close_table),
        cmocka_unit_test_setup_teardown(terms_without_flows_are_left_out, open_table, close_table),
        cmocka_unit_test(a_damaged_chunk_ends),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
