#include "config/config.h"

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

/* What config_show prints of a text; the caller frees it. */
static char *show(const char *name, const char *text)
{
    struct config_report report = {0};
    char *shown = NULL;
    size_t len = 0;
    struct config *c = config_load_text(name, span_of(text), NULL, &report);
    FILE *out = open_memstream(&shown, &len);

    assert_non_null(c);
    assert_non_null(out);
    config_show(c, out);
    fclose(out);
    config_unref(c);
    config_report_fini(&report);
    return shown;
}

static void strip_comments(char *text)
{
    char *to = text;

    for (char *from = text; *from;) {
        if (strncmp(from, "  # ", 4) == 0)
            from += strcspn(from, "\n");
        else
            *to++ = *from++;
    }
    *to = '\0';
}

static const char *const files[] = {
    "",
    "workers 2; user \"a b\"; listen 3128; listen [::1]:3129 { mss 1200; }\n"
    "listen 3130 { tls-certificate a.pem; tls-key \"b \\\"c\\\".pem\"; }",
    "access { deny private off; allow report r { method GET; to not .example.com 192.0.2.0/24; }\n"
    "deny ports { port not 443 8443; } allow updates { from any; hours Mon-Fri 06:00-22:00; rate "
    "20m; } }",
    "authentication { realm \"a;b\"; algorithms md5; } console off; mtu-healing off; via off;",
    "limits { lifetime 5m; max-upload 3k; } log { access \"#x\" text; history h { keep 1d; } }\n"
    "resolver { servers 192.0.2.1 [2001:db8::1]:54; }",
    "console { listen 0.0.0.0:3180; tls-certificate c; tls-key k; hosts a b; } log { history off; "
    "}",
};

static void what_is_shown_loads_to_the_same(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        char *first = show("/nowhere/f", files[i]);
        char *second =
            show("/elsewhere/g", first); /* paths are whole: the folder does not matter */

        strip_comments(first);
        strip_comments(second);
        assert_string_equal(first, second);
        free(first);
        free(second);
    }
}

static void each_value_has_its_origin(void **state)
{
    static const char *const lines[] = {
        "workers auto;  # default\n",
        "listen 127.0.0.1:3131;  # /nowhere/f:2\n",
        "    deny private off;  # /nowhere/f:4\n",
        "    deny ports { method CONNECT; port not 443; }  # built in\n",
        "    allow a { to any; }  # /nowhere/f:5\n",
        "limits {  # /nowhere/f:7\n",
        "    connections 7;  # /nowhere/f:7\n",
        "    header-size 32k;  # default\n",
    };
    char *shown =
        show("/nowhere/f", "\nlisten 3131;\naccess {\n deny private off;\n allow a {\n to any;\n"
                           "} } limits { connections 7; }");

    for (size_t i = 0; i < ARRAY_LEN(lines); i++)
        assert_non_null(strstr(shown, lines[i]));
    assert_null(strstr(shown, "authentication"));
    free(shown);
}

/* Every line of the manual that begins with a dot is meant to. */
static void the_manual_names_every_setting(void **state)
{
    static const char *const names[] = {
        ".It Ic workers Ar \"NUMBER | auto\"\n",
        ".It Ic authentication { ... }\n",
        ".It Ic keep Ar \"TIME\"\n",
        ".It Ic hours ",
        "From 1ms to 365d, or 0.\n",
        ".Ql \"digest basic\" .\n",
        ".It Ic upstream Ar ", /* the file; what is in it stands in a manual of its own */
        ".It Ic iprep_proxy { ... }\n",
        ".It Ic PROXY_HOST Ar \"HOST\"\n",
    };
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);

    assert_non_null(out);
    config_print_manual(out);
    config_print_upstream_manual(out);
    fclose(out);
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        assert_non_null(strstr(text, names[i]));
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_shown_loads_to_the_same),
        cmocka_unit_test(each_value_has_its_origin),
        cmocka_unit_test(the_manual_names_every_setting),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
