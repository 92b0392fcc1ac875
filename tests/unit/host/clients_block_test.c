#include "host/client_block.h"

#include <stdio.h>
#include <string.h>

#include "base/util.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* after the standard headers */
#include <cmocka.h>

static char *const exceptions[] = {(char[]){".internal.example"}, (char[]){"10.0.0.0/8"}};
static const struct client_proxy proxy = {"proxy.example", 3128,       false, "me",
                                          "p@ss:/%\"'#",   exceptions, 2};

/* Puts the proxy into `text`; the caller finishes *out. */
static void put(enum client_format format, struct span text, struct buf *out)
{
    struct client_origin origin = {.created = true, .folders = 2, .mode = 0640};
    struct err err = {.text = ""};
    struct buf lines;

    buf_init(&lines, 65536);
    buf_init(out, 65536);
    assert_true(client_text_write(format, &proxy, &lines, &err));
    if (!client_block_put(format, text, buf_span(&lines), &origin, out, &err))
        fail_msg("%s", err.text);
    buf_fini(&lines);
}

/* Of every format: the starting texts, each with one line of somebody else in it where it says %s.
 */
static const char *const starts[] = {
    "",
    "\n",
    "#\n",
    "a=b\n",
    "a=b",
    "# c",
    "a=b\r\nc=d\r\n",
    "a=b\r\nc=d",
    "%s\n",
    "%s",
    "a=b\n%s\nc=d\n",
    "%s\r\n%s\r\n",
    "# \xc3\xbc\xe6\x97\xa5\xe6\x9c\xac\n%s",
    "\n\n%s\n\n\n",
    "\xef\xbb\xbf%s\n",
    "\xef\xbb\xbf# c\n",
};

static const struct {
    enum client_format format;
    const char *foreign;
} languages[] = {
    {CLIENT_ENVIRONMENT, "HTTP_PROXY=http://x:1"},
    {CLIENT_SHELL, "a=1; export https_proxy=x"},
    {CLIENT_UNIT, "[Service]\nEnvironment=a=b \"http_proxy=x\" \\\n  c=d"},
    {CLIENT_MANAGER, "DefaultEnvironment=no_proxy=x"},
    {CLIENT_APT, "Acquire::HTTP::proxy \"http://x\";"},
    {CLIENT_APT, "Acquire { http { Proxy \"http://x\"; }; };"},
    {CLIENT_CURL, "--proxy x:1"},
    {CLIENT_CURL, "-xhttp://x"},
    {CLIENT_CURL, "NoProxy: x"},
    {CLIENT_WGET, "HTTP-Proxy=x"},
    {CLIENT_GIT, "[http]\n\tProxy = x"},
    {CLIENT_GIT, "[http \"https://x/\"]\n\tproxy=\\\n x"},
    {CLIENT_NPM, "https-proxy = x"},
    {CLIENT_PIP, "[global]\nproxy = x"},
    {CLIENT_PIP, "[global]\n  a = b\n  proxy:\n    x"},
    {CLIENT_PIP, "[global]"},
    {CLIENT_PIP, "[global]\n  index-url = x\n\n# c\n[install]\nd=e"},
};

static void every_text_comes_back_to_the_byte(void **state)
{
    (void)state;
    for (size_t l = 0; l < ARRAY_LEN(languages); l++)
        for (size_t i = 0; i < ARRAY_LEN(starts); i++) {
            struct client_origin origin = {0};
            char text[1024];
            struct buf after, twice, back;
            struct err err = {.text = ""};

            /* the format is the test's own: at most two %s */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
            snprintf(text, sizeof(text), starts[i], languages[l].foreign, languages[l].foreign);
#pragma GCC diagnostic pop
            put(languages[l].format, span_of(text), &after);
            assert_int_equal(client_scan_foreign(languages[l].format, buf_span(&after), NULL), 0);
            assert_true(client_block_find(buf_span(&after), &origin));
            assert_true(origin.created && origin.folders == 2 && origin.mode == 0640);
            buf_init(&back, 65536);
            assert_true(client_block_take(buf_span(&after), false, &back, &err));
            assert_true(span_equal(buf_span(&back), span_of(text)));
            put(languages[l].format, buf_span(&back), &twice);
            assert_true(span_equal(buf_span(&after), buf_span(&twice)));
            buf_fini(&after);
            buf_fini(&twice);
            buf_fini(&back);
        }
}

static void somebody_elses_setting_is_found(void **state)
{
    static const struct {
        enum client_format format;
        const char *text;
        unsigned line;
    } cases[] = {
        {CLIENT_ENVIRONMENT, "a=b\n# http_proxy=x\nhttp_proxy=x\n", 3},
        {CLIENT_ENVIRONMENT, "my_http_proxy=x\nhttp_proxy_host=x\nhttp_proxy x\n", 0},
        {CLIENT_APT,
         "Acquire::http::Proxy-Auto-Detect \"x\";\nAcquire::http::Proxy::h \"DIRECT\";\n", 0},
        {CLIENT_APT, "// Proxy \"x\";\nAcquire::ftp::Proxy \"x\";", 2},
        {CLIENT_CURL, "proxy-header = x\nurl = http://proxy/\n", 0},
        {CLIENT_CURL, "\n  socks5 = x", 2},
        {CLIENT_WGET, "use_proxy=off\n", 1},
        {CLIENT_GIT, "[core]\n\tproxy = x\n[httpx]\nproxy=x\n; [http]\n", 0},
        {CLIENT_GIT, "[HTTP] proxy = x\n", 1},
        {CLIENT_NPM, "[x]\nproxy=x\n", 0},
        {CLIENT_NPM, "; proxy=x\nproxy=x\n", 2},
        {CLIENT_PIP, "[a]\nb = c\n  proxy = no\n", 0},
        {CLIENT_PIP, "[install]\nproxy = x\n", 2},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_int_equal(client_scan_foreign(cases[i].format, span_of(cases[i].text), NULL),
                         cases[i].line);
}

static void edits_around_the_block_are_kept(void **state)
{
    struct buf after, edited, back;
    struct err err;

    (void)state;
    put(CLIENT_WGET, SPAN_LIT("a = b"), &after);
    buf_init(&edited, 65536);
    buf_init(&back, 65536);
    assert_true(buf_printf(&edited, "new = 1\n%.*send = 1", (int)after.len, buf_span(&after).ptr));
    assert_true(client_block_take(buf_span(&edited), false, &back, &err));
    assert_true(span_equal(buf_span(&back), SPAN_LIT("new = 1\na = b\nend = 1")));
    buf_fini(&after);
    buf_fini(&edited);
    buf_fini(&back);
}

/* With `from` replaced by `to` in the text with our lines. */
static void take_changed(const char *from, const char *to, bool force, const char *want)
{
    struct buf after, edited, back;
    struct err err = {.text = ""};
    bool ok;

    put(CLIENT_WGET, SPAN_LIT("a = b\n"), &after);
    assert_true(buf_append(&after, "", 1));
    buf_init(&edited, 65536);
    buf_init(&back, 65536);
    const char *at = strstr(buf_span(&after).ptr, from);
    assert_non_null(at);
    assert_true(buf_printf(&edited, "%.*s%s%s", (int)(at - buf_span(&after).ptr),
                           buf_span(&after).ptr, to, at + strlen(from)));
    ok = client_block_take(buf_span(&edited), force, &back, &err);
    assert_int_equal(ok, want == NULL);
    if (want)
        assert_non_null(strstr(err.text, want));
    else
        assert_true(span_equal(buf_span(&back), SPAN_LIT("a = b\n")));
    buf_fini(&after);
    buf_fini(&edited);
    buf_fini(&back);
}

static void edits_inside_the_block_are_not_lost(void **state)
{
    (void)state;
    take_changed("use_proxy = on\n", "use_proxy = on\nmine = 1\n", false,
                 "2: somebody changed the lines between viaduct's marks");
    take_changed("use_proxy = on\n", "use_proxy = on\nmine = 1\n", true, NULL);
    take_changed(CLIENT_MARK_END "\n", "", false,
                 "2: the marks around viaduct's lines are damaged");
    take_changed(CLIENT_MARK_END "\n", "", true, "damaged");
    take_changed("created=1", "created=9", false, "damaged");
}

static void a_setting_on_its_sections_line_is_refused(void **state)
{
    struct client_origin origin = {0};
    struct err err;
    struct buf out;

    (void)state;
    buf_init(&out, 65536);
    assert_false(client_block_put(CLIENT_GIT, SPAN_LIT("\n[http] proxy = x\n"), SPAN_LIT("a\n"),
                                  &origin, &out, &err));
    assert_string_equal(err.text,
                        "2: sets a proxy on the line of its section: put it on a line of its own");
    buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_text_comes_back_to_the_byte),
        cmocka_unit_test(somebody_elses_setting_is_found),
        cmocka_unit_test(edits_around_the_block_are_kept),
        cmocka_unit_test(edits_inside_the_block_are_not_lost),
        cmocka_unit_test(a_setting_on_its_sections_line_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
