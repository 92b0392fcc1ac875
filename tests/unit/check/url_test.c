/* check/url: what is asked for, and where redirects lead. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/util.h"
#include "check/url.h"

static void urls_are_taken_apart(void **state)
{
    static const struct {
        const char *text, *target, *host, *path; /* target NULL: bad */
        bool tls;
    } cases[] = {
        {"http://t.example/a?b", "t.example:80", "t.example", "/a?b", false},
        {"https://T.Example", "t.example:443", "t.example", "/", true},
        {"t.example:8080/x", "t.example:8080", "t.example:8080", "/x", false},
        {"https://[2001:db8::1]:8443/#part", "[2001:db8::1]:8443", "[2001:db8::1]:8443", "/", true},
        {"https://[2001:db8::1]/", "[2001:db8::1]:443", "[2001:db8::1]", "/", true},
        {"HTTPS://t.example:443/", "t.example:443", "t.example", "/", true},
        {"ftp://t.example/", NULL, NULL, NULL, false},
        {"http://user:secret@t.example/", NULL, NULL, NULL, false},
        {"http://t.example/a b", NULL, NULL, NULL, false},
        {"http://127.1/", NULL, NULL, NULL, false},
        {"", NULL, NULL, NULL, false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char target[AUTHORITY_TEXT_MAX], host[AUTHORITY_TEXT_MAX];
        struct url u = {0};
        struct err err;

        if (!cases[i].target) {
            assert_false(url_parse(&u, span_of(cases[i].text), &err));
            assert_null(strstr(err.text, "secret"));
            assert_null(u.text);
            continue;
        }
        assert_true(url_parse(&u, span_of(cases[i].text), &err));
        url_write_target(&u, target);
        url_write_host(&u, host);
        assert_string_equal(target, cases[i].target);
        assert_string_equal(host, cases[i].host);
        assert_true(span_equal(u.at.path, span_of(cases[i].path)));
        assert_int_equal(u.tls, cases[i].tls);
        url_fini(&u);
    }
}

static void redirects_lead_on(void **state)
{
    static const struct {
        const char *base, *location, *text; /* text NULL: bad */
    } cases[] = {
        {"http://a.example/x/y", "https://b.example/z", "https://b.example/z"},
        {"https://a.example/x/y", "/z?q", "https://a.example:443/z?q"},
        {"http://a.example/x/y?q=/", "z", "http://a.example:80/x/z"},
        {"http://a.example", "z", "http://a.example:80/z"},
        {"https://a.example/", "//b.example/z", "https://b.example/z"},
        {"https://a.example/", "/z#part", "https://a.example:443/z"},
        {"http://a.example/x/y?q", "?r", "http://a.example:80/x/y?r"},
        {"http://a.example/x/y?q=/", "", "http://a.example:80/x/y?q=/"},
        {"http://a.example/x/y?q", "#part", "http://a.example:80/x/y?q"},
        {"http://a.example?q", "z", "http://a.example:80/z"},
        {"http://a.example?q", "?r", "http://a.example:80/?r"},
        {"http://a.example/x/", "y:z/1:2", NULL},
        {"http://a.example/x/", "./y:z", "http://a.example:80/x/y:z"},
        {"http://a.example/b/c/d;p?q", "../g?y/../x", "http://a.example:80/b/g?y/../x"},
        {"http://a.example/b/c/d;p?q", "..", "http://a.example:80/b/"},
        {"http://a.example/b/c/d;p?q", ".", "http://a.example:80/b/c/"},
        {"http://a.example/b/c/d;p?q", "../../../g", "http://a.example:80/g"},
        {"http://a.example/b/c/d;p?q", "/./g/../h", "http://a.example:80/h"},
        {"http://a.example/b/c/d;p?q", "g./..h/...", "http://a.example:80/b/c/g./..h/..."},
        {"http://a.example/b/c/d;p?q", "g//../h", "http://a.example:80/b/c/g/h"},
        {"http://a.example/b/c/d;p?q", "//b.example/../g", "http://b.example/g"},
        {"http://a.example/b/../d?q", "?r", "http://a.example:80/b/../d?r"},
        {"http://a.example/x/", "1:2", "http://a.example:80/x/1:2"},
        {"https://a.example/", "javascript://x", NULL},
        {"https://a.example/", "javascript:alert(1)", NULL},
        {"https://a.example/", "mailto:a@b.example", NULL},
        {"https://a.example/", "/a\r\nb", NULL},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct url base = {0}, u = {0};
        struct err err;
        bool ok;

        assert_true(url_parse(&base, span_of(cases[i].base), &err));
        ok = url_join(&u, &base, span_of(cases[i].location), &err);
        assert_int_equal(ok, cases[i].text != NULL);
        if (ok)
            assert_string_equal(u.text, cases[i].text);
        url_fini(&u);
        url_fini(&base);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(urls_are_taken_apart),
        cmocka_unit_test(redirects_lead_on),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
