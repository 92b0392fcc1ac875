#include "flow/page.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/util.h"

static void keeps_what_people_see(void **state)
{
    static const struct {
        struct span body;
        const char *want;
    } cases[] = {
        {SPAN_INIT("policy 17 says no\r\n"), "policy 17 says no"},
        {SPAN_INIT(" \r\n\t a \n b\f"), "a b"},
        {SPAN_INIT("<html><head><title>403</title><style>p{}</style></head><body>\n<h1>Blocked</h1>"
                   "<p>Category: <b>Gambling</b>.<br>Call 1234.</body></html>"),
         "Blocked Category: Gambling . Call 1234."},
        {SPAN_INIT("<HEAD><TITLE>Only a title</TITLE></HEAD><BODY></BODY>"), "Only a title"},
        {SPAN_INIT("<header>seen</header>"), "seen"},
        {SPAN_INIT("a<!-- <b>not</b> this -->b<script type=x>if (a < b) c();</script >c"), "a b c"},
        {SPAN_INIT("1 < 2 &amp;&nbsp;&lt;b&gt; &quot;x&#39; &other;"), "1 < 2 & <b> \"x' &other;"},
        {SPAN_INIT("cut <b"), "cut"},
        {SPAN_INIT("cut <script>never ends"), "cut"},
        {SPAN_INIT("ends in <"), "ends in <"},
        {SPAN_INIT("\x1b[2J"), "\x1b[2J"},
        {SPAN_INIT("\x1f\x8b\x08\x00\x01"), ""},
        {SPAN_INIT("<html></html>"), ""},
        {SPAN_INIT(""), ""},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char got[PAGE_LINE_MAX];
        size_t len = page_write(cases[i].body, got);

        assert_string_equal(got, cases[i].want);
        assert_int_equal(len, strlen(got));
    }
}

static void cuts_between_characters(void **state)
{
    char body[PAGE_LINE_MAX + 8], got[PAGE_LINE_MAX];

    (void)state;
    for (size_t before = 0; before < 3; before++) { /* three bytes each, from another place */
        memset(body, 'x', sizeof body);
        for (size_t at = before; at + 3 <= sizeof body; at += 3)
            memcpy(body + at, "\xe3\x81\x82", 3);
        size_t len = page_write((struct span){body, sizeof body}, got);

        assert_in_range(len, PAGE_LINE_MAX - 4, PAGE_LINE_MAX - 1);
        assert_int_equal((len - before) % 3, 0);
    }
    memset(body, 'x', sizeof body);
    assert_int_equal(page_write((struct span){body, PAGE_LINE_MAX - 1}, got), PAGE_LINE_MAX - 1);
    assert_int_equal(page_write((struct span){body, sizeof body}, got), PAGE_LINE_MAX - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_what_people_see),
        cmocka_unit_test(cuts_between_characters),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
