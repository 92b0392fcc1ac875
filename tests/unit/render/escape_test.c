#include "render/escape.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/util.h"

typedef void (*escape_fn)(struct pen *, struct span);

static void check(escape_fn escape, struct span in, const char *want)
{
    char memory[256];
    struct pen p;

    pen_init_fixed(&p, memory, sizeof memory - 1);
    escape(&p, in);
    assert_false(p.full);
    *p.at = '\0';
    assert_string_equal(memory, want);
}

static void each_place_has_its_escapes(void **state)
{
    static const struct {
        escape_fn escape;
        struct span in;
        const char *want;
    } cases[] = {
        {escape_json, SPAN_INIT("plain text"), "plain text"},
        {escape_json, SPAN_INIT("\"\\/\b\f\n\r\t\0\x1f"), "\\\"\\\\/\\b\\f\\n\\r\\t\\u0000\\u001f"},
        {escape_json, SPAN_INIT("\x7f"), "\\u007f"},
        {escape_text, SPAN_INIT("a\x1b[2Jb\n"), "a\\x1b[2Jb\\x0a"},
        {escape_text, SPAN_INIT("\"<&'\\"), "\"<&'\\"},
        {escape_html, SPAN_INIT("<a href=\"x\">&'"), "&lt;a href=&quot;x&quot;&gt;&amp;&#39;"},
        {escape_html, SPAN_INIT("a\r\nb"),
         "a\xef\xbf\xbd\xef\xbf\xbd"
         "b"},
        {escape_ascii, SPAN_INIT("rule \"x\"\r\n\xe6\x97\xa5"), "rule \"x\"?????"},
        {escape_sf_string, SPAN_INIT("a\"b\\c\r\n\x80"), "\"a\\\"b\\\\c???\""},
        {escape_sf_string, SPAN_INIT(""), "\"\""},
        {escape_word, SPAN_INIT("a b\n\x7f\xe9"), "a%20b%0a%7f%e9"},
        {escape_word, SPAN_INIT(""), "-"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        check(cases[i].escape, cases[i].in, cases[i].want);
}

/* The same hostile sequences in JSON and on a terminal. */
static void no_utf8_trick_passes(void **state)
{
    static const struct {
        struct span in;
        const char *json, *text;
    } cases[] = {
        {SPAN_INIT("日本"), "日本", "日本"},
        {SPAN_INIT("\xf0\x9f\x98\x80"), "\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80"},
        {SPAN_INIT("\xff"), "\xef\xbf\xbd", "\\xff"},
        {SPAN_INIT("\x80"), "\xef\xbf\xbd", "\\x80"},
        {SPAN_INIT("\xe6\x97"), "\xef\xbf\xbd\xef\xbf\xbd", "\\xe6\\x97"}, /* cut off */
        {SPAN_INIT("\xe6"
                   "a"),
         "\xef\xbf\xbd"
         "a",
         "\\xe6"
         "a"},                                                             /* not continued */
        {SPAN_INIT("\xc0\x8a"), "\xef\xbf\xbd\xef\xbf\xbd", "\\xc0\\x8a"}, /* overlong line feed */
        {SPAN_INIT("\xe0\x80\x9b"), "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd", "\\xe0\\x80\\x9b"},
        {SPAN_INIT("\xed\xa0\x80"), "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd",
         "\\xed\\xa0\\x80"}, /* surrogate */
        {SPAN_INIT("\xf4\x90\x80\x80"), "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd",
         "\\xf4\\x90\\x80\\x80"}, /* above U+10FFFF */
        {SPAN_INIT("\xc2\x9b"
                   "31m"),
         "\\u009b31m",
         "\\xc2\\x9b"
         "31m"}, /* CSI in one character */
        {SPAN_INIT("\xe2\x80\xae"
                   "x"),
         "\\u202ex",
         "\\xe2\\x80\\xae"
         "x"},                                                     /* right to left */
        {SPAN_INIT("\xe2\x80\xa8"), "\\u2028", "\\xe2\\x80\\xa8"}, /* line separator */
    };

    (void)state;
    check(escape_text, (struct span){"\xe6\x97\xa5", 2}, "\\xe6\\x97"); /* the rest is not ours */
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        check(escape_json, cases[i].in, cases[i].json);
        check(escape_text, cases[i].in, cases[i].text);
    }
}

/* JSON is looked at eight bytes at a time: the same comes out as byte by byte. */
static void a_byte_is_escaped_wherever_it_stands(void **state)
{
    (void)state;
    for (unsigned c = 0; c < 256; c++) {
        for (unsigned at = 0; at < 24; at++) {
            char text[24], one[16], want[64];
            char byte = (char)c;
            struct pen p;

            pen_init_fixed(&p, one, sizeof one - 1);
            escape_json(&p, (struct span){&byte, 1});
            *p.at = '\0';
            memset(text, '~', sizeof text);
            text[at] = byte;
            snprintf(want, sizeof want, "%.*s%s%.*s", (int)at, "~~~~~~~~~~~~~~~~~~~~~~~~", one,
                     (int)(23 - at), "~~~~~~~~~~~~~~~~~~~~~~~~");
            check(escape_json, (struct span){text, sizeof text}, want);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_place_has_its_escapes),
        cmocka_unit_test(no_utf8_trick_passes),
        cmocka_unit_test(a_byte_is_escaped_wherever_it_stands),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
