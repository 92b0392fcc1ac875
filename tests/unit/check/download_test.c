/* check/download: what is asked for, what an answer means for the file, and what the file has then.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/util.h"
#include "check/download.h"

static char folder[] = "/tmp/viaduct-download-XXXXXX";
static char path[64];

static int make_folder(void **state)
{
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof path, "%s/out", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(folder);
}

static void put(const char *text)
{
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void expect(const char *text)
{
    char got[64] = "";
    FILE *f = fopen(path, "r");

    assert_non_null(f);
    got[fread(got, 1, sizeof got - 1, f)] = '\0';
    fclose(f);
    assert_string_equal(got, text);
}

/* Hands it a head of that status line and those fields. */
static enum download_answer answer(struct download *d, const char *rest, char *what)
{
    char head[512];
    struct http1_head h;

    snprintf(head, sizeof head, "HTTP/1.1 %s\r\n\r\n", rest);
    http1_head_reset(&h);
    assert_int_equal(http1_parse_response(span_of(head), &h), PARSE_OK);
    return download_take_head(d, &h, what);
}

/* One try: the head, bytes, and whether they were all. */
static void try(struct download *d, const char *rest, const char *bytes, bool all)
{
    char what[DOWNLOAD_WHAT_MAX];

    assert_int_equal(answer(d, rest, what), DOWNLOAD_SAVES);
    assert_true(download_write(d, span_of(bytes)));
    if (all)
        download_end(d);
}

static void open_it(struct download *d, bool resume)
{
    struct err err;

    assert_true(download_open(d, path, resume, &err));
}

static void close_it(struct download *d)
{
    struct err err;

    assert_true(download_close(d, &err));
}

#define OK10 "200 OK\r\nContent-Length: 10\r\nETag: \"a\""

static void the_better_of_two_tries_is_kept(void **state)
{
    static const struct {
        const char *first, *second; /* heads */
        const char *bytes[2];
        bool all; /* the second one came to its end */
        const char *want;
    } cases[] = {
        {OK10, OK10, {"01234", "012"}, false, "01234"},
        {OK10, OK10, {"012", "01234"}, false, "01234"},
        {OK10, OK10, {"012", "0123456789"}, true, "0123456789"},
        {"200 OK\r\nContent-Length: 10",
         "200 OK\r\nContent-Length: 10",
         {"01234", "0"},
         false,
         "01234"},
        /* of chunks, the second one is shorter and ends well */
        {"200 OK\r\nTransfer-Encoding: chunked",
         "200 OK\r\nTransfer-Encoding: chunked",
         {"01234", "abc"},
         true,
         "abc"},
        /* another version: nothing of the first one may stay */
        {OK10, "200 OK\r\nContent-Length: 10\r\nETag: \"b\"", {"01234", "abc"}, false, "abc"},
        {OK10, "200 OK\r\nContent-Length: 9\r\nETag: \"a\"", {"01234", "abc"}, false, "abc"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct download d;

        put("what was there before, and is longer");
        open_it(&d, false);
        expect("what was there before, and is longer"); /* until bytes come */
        try(&d, cases[i].first, cases[i].bytes[0], false);
        try(&d, cases[i].second, cases[i].bytes[1], cases[i].all);
        assert_int_equal(d.whole, cases[i].all);
        assert_int_equal(d.kept, strlen(cases[i].want));
        close_it(&d);
        expect(cases[i].want);
    }
}

static void a_file_goes_on_behind_what_it_has(void **state)
{
    char fields[DOWNLOAD_FIELDS_MAX], what[DOWNLOAD_WHAT_MAX];
    struct download d;
    bool remembers;

    (void)state;
    unlink(path);
    open_it(&d, true); /* nothing there: nothing to go on with */
    assert_int_equal(download_write_fields(&d, fields), 0);
    try(&d, OK10, "01234", false);
    close_it(&d);
    open_it(&d, true);
    remembers = *d.validator;
    assert_true(download_write_fields(&d, fields) > 0);
    assert_string_equal(fields, remembers ? "Range: bytes=5-\r\nIf-Range: \"a\"\r\n"
                                          : "Range: bytes=5-\r\n");
    try(&d, "206 OK\r\nContent-Range: bytes 5-9/10\r\nContent-Length: 5", "56", false);
    try(&d, "206 OK\r\nContent-Range: bytes 5-9/10\r\nContent-Length: 5", "56789", true);
    close_it(&d);
    expect("0123456789");
    open_it(&d, true);
    assert_int_equal(answer(&d, "416 No\r\nContent-Range: bytes */10", what), DOWNLOAD_COMPLETE);
    close_it(&d);
    open_it(&d, false); /* without being asked to, it does not go on */
    assert_int_equal(download_write_fields(&d, fields), 0);
    close_it(&d);
    expect("0123456789");
}

static void what_must_not_be_written_is_not(void **state)
{
    static const struct {
        const char *head;
        enum download_answer want;
    } cases[] = {
        {"206 OK\r\nContent-Range: bytes 4-9/10", DOWNLOAD_WRONG},
        {"206 OK\r\nContent-Range: bytes 5-8/10", DOWNLOAD_WRONG},
        {"206 OK\r\nContent-Range: bytes */10", DOWNLOAD_WRONG},
        {"206 OK\r\nContent-Range: bytes 5-9/10\r\nContent-Length: 6", DOWNLOAD_WRONG},
        {"206 OK", DOWNLOAD_WRONG},
        {"206 OK\r\nContent-Range: bytes 5-9/10\r\nContent-Length: 5", DOWNLOAD_SAVES},
        {"206 OK\r\nContent-Range: bytes 5-9/*", DOWNLOAD_SAVES},
        {"416 No\r\nContent-Range: bytes */4", DOWNLOAD_ELSEWHERE},
        {"416 No", DOWNLOAD_ELSEWHERE},
        {"404 No", DOWNLOAD_ELSEWHERE},
        {"302 There", DOWNLOAD_ELSEWHERE},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char what[DOWNLOAD_WHAT_MAX];
        struct download d;

        put("01234");
        open_it(&d, true);
        if (answer(&d, cases[i].head, what) != cases[i].want)
            fail_msg("%s: %s", cases[i].head, what);
        assert_true(cases[i].want != DOWNLOAD_WRONG || *what);
        close_it(&d);
        expect("01234");
    }
}

static void a_file_that_was_made_for_nothing_goes(void **state)
{
    char what[DOWNLOAD_WHAT_MAX];
    struct download d;
    struct stat st;

    (void)state;
    unlink(path);
    open_it(&d, false);
    assert_int_equal(answer(&d, "404 No", what), DOWNLOAD_ELSEWHERE);
    close_it(&d);
    assert_int_not_equal(stat(path, &st), 0);
    open_it(&d, false);
    try(&d, "200 OK\r\nContent-Length: 0", "", true); /* an empty body is a file, too */
    close_it(&d);
    expect("");
}

static void faults_of_this_machine_are_kept(void **state)
{
    char what[DOWNLOAD_WHAT_MAX];
    struct download d;
    struct err err;

    (void)state;
    assert_false(download_open(&d, folder, false, &err));
    assert_non_null(strstr(err.text, folder));
    assert_true(download_open(&d, "/dev/full", false, &err));
    assert_int_equal(answer(&d, OK10, what), DOWNLOAD_SAVES);
    assert_false(download_write(&d, span_of("01234")));
    assert_false(download_close(&d, &err));
    assert_string_equal(err.text, "/dev/full: No space left on device after 0 bytes");
    assert_true(download_close(&d, &err)); /* once is enough */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_better_of_two_tries_is_kept),
        cmocka_unit_test(a_file_goes_on_behind_what_it_has),
        cmocka_unit_test(what_must_not_be_written_is_not),
        cmocka_unit_test(a_file_that_was_made_for_nothing_goes),
        cmocka_unit_test(faults_of_this_machine_are_kept),
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
