#include "config/lexer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* after the standard headers */
#include <cmocka.h>

static bool is_name(int scope, struct span word)
{
    return span_equal(word, SPAN_LIT("port"));
}

/* The statements as "[a|b;" "[a|b{" "}", in one line. */
static void write_statements(struct lexer *lx, char *out, size_t cap)
{
    struct statement s;
    FILE *f = fmemopen(out, cap, "w");

    assert_non_null(f);
    for (;;) {
        enum statement_end end = lexer_next(lx, is_name, 0, &s);

        if (end == STATEMENT_EOF)
            break;
        if (end == STATEMENT_CLOSE) {
            fputc('}', f);
            continue;
        }
        fputc('[', f);
        for (unsigned i = 0; i < s.len; i++)
            fprintf(f, "%s%.*s", i ? "|" : "", (int)s.words[i].text.len, s.words[i].text.ptr);
        fputc(end == STATEMENT_BLOCK ? '{' : ';', f);
    }
    fclose(f);
}

static void statements_and_problems(void **state)
{
    static const struct {
        const char *text, *want, *problem;
    } cases[] = {
        {"", "", NULL},
        {"a;", "[a;", NULL},
        {"a b c;", "[a|b|c;", NULL},
        {"a{b;c d;}", "[a{[b;[c|d;}", NULL},
        {"# only a comment", "", NULL},
        {"a b # c;\n d;", "[a|b|d;", NULL},
        {"a\r\n b;\r\n", "[a|b;", NULL},
        {"\xef\xbb\xbf"
         "a;",
         "[a;", NULL},
        {"a \"b c;{}#\";", "[a|b c;{}#;", NULL},
        {"a \"q\\\" b\\\\ n\\n\";", "[a|q\" b\\ n\n;", NULL},
        {"a \"\";", "[a|;", NULL},
        {"a \"b\"\"c\"d;", "[a|b|c|d;", NULL},
        {"a f\xc3\xbcr;", "[a|f\xc3\xbcr;", NULL},
        {"a b", "[a|b;", "f:1:3: a ; is missing after \"b\""},
        {"x { a b }", "[x{[a|b;}", "f:1:7: a ; is missing after \"b\""},
        {"to a.example\n port 443;", "[to|a.example;[port|443;",
         "f:1:4: a ; is missing after \"a.example\""},
        {"to a.example\n \"port\" 443;", "[to|a.example|port|443;", NULL},
        {"to a.example port 443;", "[to|a.example|port|443;", NULL},
        {";a;", "[a;", "f:1:1: a ; without a setting before it"},
        {"{a;}", "[{[a;}", "f:1:1: a { without a name before it"},
        {"a \"b\nc;", "[a|b|c;", "f:1:3: the quote is not closed on its line"},
        {"a \"b", "[a|b;", "f:1:3: the quote is not closed on its line"},
        {"a \"b\\qc\";", "[a|bqc;", "f:1:5: unknown escape: \\\" \\\\ and \\n are known"},
        {"a \"b\\", "[a|b;", "f:1:5: unknown escape: \\\" \\\\ and \\n are known"},
        {"a\n \x01;", "[a|\x01;", "f:2:2: the control character \\x01"},
        {"a \x7f;", "[a|\x7f;", "f:1:3: the control character \\x7f"},
        {"\xc3\xbc \xff;", "[\xc3\xbc|\xff;", "f:1:3: the byte \\xff is not UTF-8"},
        {"a \xc0\xaf;", "[a|\xc0\xaf;", "f:1:3: the byte \\xc0 is not UTF-8"},
        {"a \xed\xa0\x80;", "[a|\xed\xa0\x80;", "f:1:3: the byte \\xed is not UTF-8"},
        {"a \xf4\x90\x80\x80;", "[a|\xf4\x90\x80\x80;", "f:1:3: the byte \\xf4 is not UTF-8"},
        {"a \xe2\x82", "[a|\xe2\x82;", "f:1:3: the byte \\xe2 is not UTF-8"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct config_report report = {0};
        struct lexer lx;
        char got[256] = "";

        lexer_init(&lx, "f", span_of(cases[i].text), &report);
        write_statements(&lx, got, sizeof(got));
        lexer_fini(&lx);
        assert_string_equal(got, cases[i].want);
        assert_int_equal(report.errors > 0, cases[i].problem != NULL);
        if (cases[i].problem)
            assert_string_equal(report.items[0].text, cases[i].problem);
        config_report_fini(&report);
    }
}

static void nul_bytes_are_told(void **state)
{
    struct config_report report = {0};
    struct lexer lx;
    char got[64] = "";

    lexer_init(&lx, "f", (struct span){"a \0b;", 5}, &report);
    write_statements(&lx, got, sizeof(got));
    lexer_fini(&lx);
    assert_int_equal(report.errors, 1);
    assert_string_equal(report.items[0].text, "f:1:3: the control character \\x00");
    config_report_fini(&report);
}

static void skip_block_ends_behind_its_brace(void **state)
{
    static const struct {
        const char *text, *want;
        unsigned errors;
    } cases[] = {
        {"a b; c { d; } } e;", "[e;", 0},
        {"{{{;}}} } e;", "[e;", 4},
        {"a; c {", "", 1},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct config_report report = {0};
        struct lexer lx;
        char got[64] = "";

        lexer_init(&lx, "f", span_of(cases[i].text), &report);
        lexer_skip_block(&lx);
        write_statements(&lx, got, sizeof(got));
        lexer_fini(&lx);
        assert_string_equal(got, cases[i].want);
        assert_int_equal(report.errors, cases[i].errors);
        config_report_fini(&report);
    }
}

/* A mebibyte of braces: neither the stack nor the report may grow with it. */
static void garbage_is_bounded(void **state)
{
    size_t len = 1 << 20;
    char *text = malloc(len);
    struct config_report report = {0};
    struct lexer lx;

    assert_non_null(text);
    memset(text, '{', len);
    lexer_init(&lx, "f", (struct span){text, len}, &report);
    lexer_skip_block(&lx);
    lexer_fini(&lx);
    assert_int_equal(report.len, REPORT_ITEMS_MAX);
    assert_int_equal(report.errors, len + 1);
    config_report_fini(&report);
    free(text);
}

static void words_are_shown_safely(void **state)
{
    static const struct {
        const char *word, *want;
    } cases[] = {
        {"a", "\"a\""},
        {"", "\"\""},
        {"a\n\x1b[2J", "\"a\\x0a\\x1b[2J\""},
        {"\xe3\x81\x82", "\"\xe3\x81\x82\""},
        {"a\xc2\x9b"
         "2J\xc2\xa0",
         "\"a\\xc2\\x9b2J\xc2\xa0\""}, /* U+009B is ESC [ */
    };
    char shown[REPORT_WORD_MAX], many[3 * 200 + 1] = "";

    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_string_equal(report_word(span_of(cases[i].word), shown), cases[i].want);
    for (size_t i = 0; i < 200; i++)
        memcpy(many + 3 * i, "\xe3\x81\x82", 4);
    report_word(span_of(many), shown);
    assert_true(strlen(shown) < REPORT_WORD_MAX);
    assert_string_equal(shown + strlen(shown) - 7, "\xe3\x81\x82…\""); /* cut between characters */
    memset(many, 0x80, sizeof(many) - 1);
    report_word((struct span){many, sizeof(many) - 1}, shown);
    assert_true(strlen(shown) < REPORT_WORD_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(statements_and_problems),          cmocka_unit_test(nul_bytes_are_told),
        cmocka_unit_test(skip_block_ends_behind_its_brace), cmocka_unit_test(garbage_is_bounded),
        cmocka_unit_test(words_are_shown_safely),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
