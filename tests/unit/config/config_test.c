#include "config/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/util.h"
#include "policy/access.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
/* after the standard headers */
#include <cmocka.h>

/* All that a load says, one a line; warnings with a mark. */
static char *problems_of(const struct config_report *r)
{
    static char all[16384];
    size_t used = 0;

    all[0] = '\0';
    for (unsigned i = 0; i < r->len; i++)
        used += (size_t)snprintf(all + used, sizeof(all) - used, "%s%s%s", used ? "\n" : "",
                                 r->items[i].warning ? "warning: " : "", r->items[i].text);
    return all;
}

static struct config *load(const char *text, struct config_report *report)
{
    *report = (struct config_report){0};
    return config_load_text("/nowhere/f", span_of(text), NULL, report);
}

static void errors_have_a_place(void **state)
{
    static const struct {
        const char *text, *want;
    } cases[] = {
        /* names */
        {"wrokers 3;",
         "/nowhere/f:1:1: unknown setting \"wrokers\" in viaduct.conf (did you mean \"workers\"?)"},
        {"\n  xyzzy { a { b; } c; }", "/nowhere/f:2:3: unknown setting \"xyzzy\" in viaduct.conf"},
        {"limits { conections 3; }", "/nowhere/f:1:10: unknown setting \"conections\" in limits "
                                     "(did you mean \"connections\"?)"},
        {"limits { connections 3; resolver { } }",
         "/nowhere/f:1:25: \"resolver\" cannot stand in limits: is a } missing before it?"},
        {"connections 5;",
         "/nowhere/f:1:1: \"connections\" cannot stand here: it belongs in limits { }"},
        /* how many words, which end */
        {"workers;", "/nowhere/f:1:1: workers takes NUMBER | auto, found nothing"},
        {"workers 2 3;", "/nowhere/f:1:11: workers takes NUMBER | auto: \"3\" is too much"},
        {"workers 2 user x;", "/nowhere/f:1:11: workers takes NUMBER | auto: \"user\" is too much "
                              "(is a ; missing before it?)"},
        {"limits;", "/nowhere/f:1:1: limits needs a block { }"},
        {"limits x { }", "/nowhere/f:1:8: limits takes only a block { }, found \"x\""},
        {"via on { a; }", "/nowhere/f:1:1: via takes no block"},
        /* duplicates */
        {"mss 0;\nmss 0;", "/nowhere/f:2:1: mss stands on line 1 already"},
        {"log { }\nlog { level bad; }", "/nowhere/f:2:1: log stands on line 1 already"},
        {"listen 3128;\nlisten 127.0.0.1:3128;",
         "/nowhere/f:2:8: listen \"127.0.0.1:3128\": this address stands on line 1 already"},
        /* values */
        {"workers 0;", "/nowhere/f:1:9: workers \"0\": out of range, must be 1 to 1024"},
        {"workers many;", "/nowhere/f:1:9: workers \"many\": not a number"},
        {"workers 99999999999999999999;",
         "/nowhere/f:1:9: workers \"99999999999999999999\": out of range, must be 1 to 1024"},
        {"mss 40;", "/nowhere/f:1:5: mss \"40\": out of range, must be 88 to 32767, or 0"},
        {"limits { header-size 2m; }",
         "/nowhere/f:1:22: header-size \"2m\": out of range, must be 1k to 1m"},
        {"limits { max-upload 99999999999999999999g; }",
         "/nowhere/f:1:21: max-upload \"99999999999999999999g\": out of range, must be 1 to "
         "1048576g, or 0"},
        {"limits { header-timeout 0; }",
         "/nowhere/f:1:25: header-timeout \"0\": out of range, must be 1ms to 1d"},
        {"limits { lifetime 1w; }",
         "/nowhere/f:1:19: lifetime \"1w\": not a time (a number, then ms, s, m, h or d)"},
        {"resolver { timeout 99999999999999999999d; }",
         "/nowhere/f:1:20: timeout \"99999999999999999999d\": out of range, must be 1ms to 1m"},
        {"resolver { servers 192.0.2.1 dns.example; }",
         "/nowhere/f:1:30: servers \"dns.example\": must be an address, ADDRESS:PORT, or system "
         "alone"},
        {"mtu-healing maybe;", "/nowhere/f:1:13: mtu-healing \"maybe\": must be off or on"},
        {"forwarded apend;", "/nowhere/f:1:11: forwarded \"apend\": must be off, append or "
                             "x-forwarded-for (did you mean \"append\"?)"},
        {"log { access stdout jsn; }",
         "/nowhere/f:1:21: access \"jsn\": must be auto, json, text or "
         "squid (did you mean \"json\"?)"},
        {"user \"\";", "/nowhere/f:1:6: user \"\": is empty"},
        {"user \"a\\nb\";", "/nowhere/f:1:6: user \"a\\x0ab\": has a control character"},
        {"authentication { schemes digest digest; }",
         "/nowhere/f:1:33: schemes \"digest\": stands here twice"},
        /* listeners, console */
        {"console { listen 127.0.0.1:x; }", "/nowhere/f:1:18: listen \"127.0.0.1:x\": must be "
                                            "ADDRESS:PORT, [IPV6]:PORT, *:PORT or PORT, "
                                            "the port from 0 to 65535"},
        {"listen proxy:3128;", "/nowhere/f:1:8: listen \"proxy:3128\": must be ADDRESS:PORT, "
                               "[IPV6]:PORT, *:PORT or PORT, the port from 0 to 65535"},
        {"listen 3128 { tls-certificate a; }", "/nowhere/f:1:1: tls-certificate needs tls-key"},
        {"listen 3128 { tls-key a; }", "/nowhere/f:1:1: tls-key needs tls-certificate"},
        {"listen { tls-key a; }", "/nowhere/f:1:1: listen takes ADDRESS:PORT, found nothing"},
        {"console on;", "/nowhere/f:1:9: console \"on\": console takes a block, or off"},
        {"console;", "/nowhere/f:1:1: console needs a block { }, or off"},
        {"console off { }", "/nowhere/f:1:1: console off takes no block"},
        {"console { listen 0.0.0.0:3180; }", "/nowhere/f:1:1: a console elsewhere than on a "
                                             "loopback address needs tls-certificate and tls-key"},
        /* braces */
        {"limits {\n connections 5;\n",
         "/nowhere/f:3:1: a } is missing: the block limits of line 1 is still open"},
        {"limits { } }\nmss 1;",
         "/nowhere/f:1:12: a } without a block\n"
         "/nowhere/f:2:5: mss \"1\": out of range, must be 88 to 32767, or 0"},
        {"workers 2\nmss 0;", "/nowhere/f:1:9: a ; is missing after \"2\""},
        /* rules */
        {"access { allow { } }", "/nowhere/f:1:10: allow takes a name: allow NAME { }"},
        {"access { allow a; }", "/nowhere/f:1:10: allow needs a block of conditions { }"},
        {"access { allow a b { } }",
         "/nowhere/f:1:18: allow takes one name: the conditions stand in its block { }"},
        {"access { alow a { } }",
         "/nowhere/f:1:10: unknown setting \"alow\" in access (did you mean \"allow\"?)"},
        {"access { allow a { form any; } }",
         "/nowhere/f:1:20: unknown setting \"form\" in a rule (did you mean \"from\"?)"},
        {"access { allow a { port 443 { } } }", "/nowhere/f:1:20: a condition takes no block"},
        {"access { allow a { to any } }", "/nowhere/f:1:23: a ; is missing after \"any\""},
        {"access { allow a { to x.example\n port 443; } }",
         "/nowhere/f:1:23: a ; is missing after \"x.example\""},
        {"access {\n allow a { to list lst; } mss 0; }\nmss 1;",
         "/nowhere/f:2:20: unknown list \"lst\"\n"
         "/nowhere/f:2:27: \"mss\" cannot stand in access: is a } missing before it?\n"
         "/nowhere/f:3:5: mss \"1\": out of range, must be 88 to 32767, or 0"},
        {"access { list a b; }", "/nowhere/f:1:10: a list is written: list NAME file FILE;"},
        {"access { list a file gone; }",
         "/nowhere/f:1:15: cannot open /nowhere/gone: No such file or directory"},
        {"access { list a file /; }", "/nowhere/f:1:15: / is no regular file"},
        {"access { allow a {",
         "/nowhere/f:1:19: a } is missing: the block rule of line 1 is still open\n"
         "/nowhere/f:1:19: a } is missing: the block access of line 1 is still open"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct config_report report;

        assert_null(load(cases[i].text, &report));
        assert_string_equal(problems_of(&report), cases[i].want);
        config_report_fini(&report);
    }
}

/* Where policy/ has the words, only the place is told here. */
static void errors_of_terms_have_a_place(void **state)
{
    static const struct {
        const char *text;
        int line, column;
    } cases[] = {
        {"access { allow a { from any 1.2.3.400; } }", 1, 29},
        {"access { allow a {\n port 443 0; } }", 2, 11},
        {"access { deny a { rate 1m; } }", 1, 19},
        {"access { allow a { }\n allow a { } }", 2, 8},
        {"access { deny a off; }", 1, 15},
        {"access { allow a { port 1; port 2; } }", 1, 28},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct config_report report;

        assert_null(load(cases[i].text, &report));
        assert_int_equal(report.len, 1);
        assert_int_equal(report.items[0].line, cases[i].line);
        assert_int_equal(report.items[0].column, cases[i].column);
        config_report_fini(&report);
    }
}

static void warnings_do_not_fail(void **state)
{
    static const struct {
        const char *text, *want;
    } cases[] = {
        {"", ""},
        {"upstream gone.conf;",
         "warning: /nowhere/f:1: /nowhere/gone.conf is not there: targets are connected directly"},
        {"upstream /dev/null;",
         "warning: /dev/null: there is no iprep_proxy block in it: targets are connected directly"},
        {"access { allow a {\n user x; } }",
         "warning: /nowhere/f:2:2: without an authentication block nobody is ever logged in here"},
        {"access { allow a { } }\nauthentication { }",
         "warning: /nowhere/f:2: no rule asks for a user: credentials are never asked for"},
        {"authentication { }", ""},
        {"listen 0; listen 0;", ""}, /* two ports of the kernel's choice are two addresses */
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct config_report report;
        struct config *c = load(cases[i].text, &report);

        assert_string_equal(problems_of(&report), cases[i].want);
        assert_non_null(c);
        config_unref(c);
        config_report_fini(&report);
    }
}

static void defaults_are_the_documented_ones(void **state)
{
    struct config_report report = {0};
    struct config *c = config_load(NULL, NULL, &report);

    assert_string_equal(problems_of(&report), "");
    assert_non_null(c);
    assert_null(c->path);
    assert_int_equal(c->workers, 0);
    assert_string_equal(c->user, "viaduct");
    assert_false(c->user_given);
    assert_int_equal(c->listeners_len, 1);
    assert_int_equal(c->listeners[0].at.port, 3128);
    assert_memory_equal(c->listeners[0].at.addr.bytes, "\x7f\0\0\1", 4);
    assert_int_equal(c->limits.connections, 20000);
    assert_int_equal(c->limits.header_size, 32768);
    assert_int_equal(c->limits.flow.idle_ns, 3600 * NS_PER_S);
    assert_int_equal(c->limits.flow.lifetime_ns, 0);
    assert_int_equal(c->resolver_timeout_ns, 2 * NS_PER_S);
    assert_string_equal(c->hosts_file, "/etc/hosts");
    assert_string_equal(c->upstream_file, "/etc/viaduct/upstream.conf");
    assert_true(c->via && c->mtu_healing && !c->history_given);
    assert_int_equal(c->forwarded, FORWARDED_OFF);
    assert_int_equal(c->log_to, LOG_TO_STDOUT);
    assert_int_equal(c->log_format, LOG_FORMAT_AUTO);
    assert_int_equal(c->log_level, LOG_LEVEL_INFO);
    assert_int_equal(c->history_max, 1 << 30);
    assert_true(c->console.on && !c->console.present);
    assert_false(c->authentication.present || c->upstream.present || c->upstream.enabled);
    assert_int_equal(access_count_rules(c->access), 3);
    assert_string_equal(access_get_rule(c->access, 2)->name, "local");
    config_unref(c);
    config_report_fini(&report);
}

static void the_history_may_be_off(void **state)
{
    struct config_report report;
    struct config *c = load("log { history off; }", &report);

    assert_non_null(c);
    assert_null(c->history);
    config_unref(c);
    c = load("log { history ./off { max-size 5m; } }", &report);
    assert_string_equal(c->history, "/nowhere/./off");
    assert_int_equal(c->history_max, 5 << 20);
    config_unref(c);
}

static void values_arrive(void **state)
{
    struct config_report report;
    struct config *c =
        load("workers 3; user me; via off; forwarded x-forwarded-for; mss 1300;\n"
             "listen 3130; listen *:3131; listen [::1]:3132 {\n"
             " tls-certificate a.pem; tls-key /b.key; mss 900; }\n"
             "limits { header-timeout 50ms; max-download 2g; idle-timeout 0; }\n"
             "resolver { servers 192.0.2.1 [2001:db8::1]:54 2001:db8::2; cache 0; hosts h; }\n"
             "log { access \"a b.log\" squid; level debug; history h.db { keep 1d; } }\n"
             "authentication { schemes basic digest; algorithms sha-512-256; realm \"a b\"; }\n"
             "access { allow all { } } console off; mtu-healing off;",
             &report);

    assert_non_null(c);
    assert_int_equal(c->workers, 3);
    assert_string_equal(c->user, "me");
    assert_true(c->user_given && c->history_given && c->console.present);
    assert_false(c->via || c->mtu_healing || c->console.on);
    assert_int_equal(c->forwarded, FORWARDED_X);
    assert_int_equal(c->mss, 1300);
    assert_int_equal(c->listeners_len, 3);
    assert_memory_equal(c->listeners[0].at.addr.bytes, "\x7f\0\0\1", 4);
    assert_memory_equal(c->listeners[1].at.addr.bytes, "\0\0\0\0", 4);
    assert_int_equal(c->listeners[1].at.port, 3131);
    assert_int_equal(c->listeners[2].at.addr.family, AF_INET6);
    assert_string_equal(c->listeners[2].tls_certificate, "/nowhere/a.pem");
    assert_string_equal(c->listeners[2].tls_key, "/b.key");
    assert_int_equal(c->listeners[2].mss, 900);
    assert_int_equal(c->listeners[2].line, 2);
    assert_int_equal(c->limits.header_ns, 50 * NS_PER_MS);
    assert_int_equal(c->limits.flow.max_download, 2ull << 30);
    assert_int_equal(c->limits.flow.idle_ns, 0);
    assert_int_equal(c->servers_len, 3);
    assert_int_equal(c->servers[0].port, 53);
    assert_int_equal(c->servers[1].port, 54);
    assert_int_equal(c->servers[2].addr.family, AF_INET6);
    assert_string_equal(c->hosts_file, "/nowhere/h");
    assert_int_equal(c->log_to, LOG_TO_FILE);
    assert_string_equal(c->log_file, "/nowhere/a b.log");
    assert_int_equal(c->log_format, LOG_FORMAT_SQUID);
    assert_int_equal(c->log_level, LOG_LEVEL_DEBUG);
    assert_string_equal(c->history, "/nowhere/h.db");
    assert_int_equal(c->history_keep_ns, 86400 * NS_PER_S);
    assert_int_equal(c->authentication.schemes[0], 1);
    assert_int_equal(c->authentication.algorithms_len, 1);
    assert_int_equal(c->authentication.algorithms[0], 2);
    assert_string_equal(c->authentication.realm, "a b");
    config_unref(c);
    config_report_fini(&report);
}

static void log_places(void **state)
{
    static const struct {
        const char *text;
        enum config_log_to to;
        enum config_log_format format;
    } cases[] = {
        {"log { access off; }", LOG_TO_OFF, LOG_FORMAT_AUTO},
        {"log { access syslog; }", LOG_TO_SYSLOG, LOG_FORMAT_AUTO},
        {"log { access stdout text; }", LOG_TO_STDOUT, LOG_FORMAT_TEXT},
        {"log { access f json; }", LOG_TO_FILE, LOG_FORMAT_JSON},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct config_report report;
        struct config *c = load(cases[i].text, &report);

        assert_non_null(c);
        assert_int_equal(c->log_to, cases[i].to);
        assert_int_equal(c->log_format, cases[i].format);
        config_unref(c);
        config_report_fini(&report);
    }
}

static void the_state_folder_is_root_s_the_service_s_or_the_user_s(void **state)
{
    static const struct {
        const char *given, *xdg, *want;
    } cases[] = {
        {"/run/x:/y", "/ignored", "/run/x/nonce.key"},
        {"relative", "/home/u/state", "/home/u/state/viaduct/nonce.key"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct config_report report;
        struct config *c;

        setenv("STATE_DIRECTORY", cases[i].given, 1);
        setenv("XDG_STATE_HOME", cases[i].xdg, 1);
        c = load("", &report);
        assert_non_null(c);
        assert_string_equal(c->nonce_key, geteuid() == 0 && cases[i].given[0] != '/'
                                              ? "/var/lib/viaduct/nonce.key"
                                              : cases[i].want);
        config_unref(c);
        config_report_fini(&report);
    }
    unsetenv("STATE_DIRECTORY");
    unsetenv("XDG_STATE_HOME");
}

/* A folder of files for one test. */
static char folder[] = "/tmp/viaduct-config-XXXXXX";

static const char *write_file(const char *name, const char *text)
{
    static char path[256];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    FILE *f = fopen(path, "we");

    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    return path;
}

static void files_are_found_beside_the_file(void **state)
{
    struct config_report report = {0};

    write_file("list.txt", "blocked.example\n");
    write_file("upstream.conf", "\niprep_proxy { PROXY_HOST 192.0.2.1; PROXY_PORT 80; }");
    struct config *c =
        config_load(write_file("f.conf", "access { list l file list.txt; deny l { to list l; } }"),
                    NULL, &report);
    assert_string_equal(problems_of(&report), "");
    assert_non_null(c);
    assert_true(c->upstream.enabled);
    assert_non_null(c->parent);
    assert_string_equal(c->parent->host, "192.0.2.1");
    config_unref(c);
    write_file("upstream.conf", "iprep_proxy { ENABLED off; }");
    write_file("f.conf", "");
    c = config_load(write_file("f.conf", ""), NULL, &report);
    assert_non_null(c);
    assert_true(c->upstream.present && !c->upstream.enabled && !c->parent);
    config_unref(c);
    config_report_fini(&report);
}

static void a_reload_outlives_the_snapshot_before(void **state)
{
    struct config_report report = {0};
    struct access_decision decision;
    struct access_query q = {.method = SPAN_LIT("GET"),
                             .host = SPAN_LIT("blocked.example"),
                             .port = 80,
                             .client = {.bytes = {127, 0, 0, 1}, .family = AF_INET}};

    write_file("list.txt", "blocked.example\n");
    const char *path = write_file("f.conf", "upstream none; access { list l file list.txt;\n"
                                            "deny l { to list l; } allow a { to any; } }");
    struct config *first = config_load(path, NULL, &report);
    assert_non_null(first);
    struct config *second = config_load(path, first, &report);
    assert_non_null(second);
    assert_ptr_equal(config_ref(second), second);
    config_unref(second);
    config_unref(first);
    access_decide(second->access, &q, &decision);
    assert_int_equal(decision.outcome, ACCESS_DENY);
    assert_string_equal(decision.rule->name, "l");
    config_unref(second);
    config_report_fini(&report);
}

static void files_that_cannot_be_read(void **state)
{
    struct config_report report = {0};
    size_t len = (1 << 20) + 1;
    char *text = calloc(1, len + 1), want[512];

    assert_non_null(text);
    memset(text, '\n', len);
    assert_null(config_load("/nowhere/f", NULL, &report));
    assert_string_equal(problems_of(&report),
                        "/nowhere/f: cannot be read: No such file or directory");
    config_report_fini(&report);
    const char *path = write_file("big.conf", text);
    snprintf(want, sizeof(want), "%s: cannot be read: it has more than 1 MiB", path);
    assert_null(config_load(path, NULL, &report));
    assert_string_equal(problems_of(&report), want);
    config_report_fini(&report);
    text[len - 1] = '\0';
    struct config *c = config_load(write_file("big.conf", text), NULL, &report);
    assert_non_null(c);
    config_unref(c);
    config_report_fini(&report);
    free(text);
}

/* The account that cannot use a file is told so. */
static void files_are_checked_for_the_account(void **state)
{
    struct config_report report = {0};
    char want[1024];

    if (geteuid() != 0)
        skip();
    chmod(folder, 0755);
    write_file("closed.pem", "");
    chmod(write_file("closed.pem", ""), 0600);
    struct config *c = config_load(
        write_file("f.conf", "user nobody; upstream none;\n"
                             "listen 3128 { tls-certificate /etc/hosts; tls-key closed.pem; }\n"
                             "log { access closed.log; }"),
        NULL, &report);
    assert_non_null(c);
    config_report_fini(&report);
    config_check_files(c, &report);
    snprintf(want, sizeof(want),
             "warning: %s/f.conf:2: %s/closed.pem: the account nobody cannot read it: Permission "
             "denied\n"
             "warning: %s/f.conf:3: %s/closed.log: the account nobody cannot write it: Permission "
             "denied",
             folder, folder, folder, folder);
    assert_string_equal(problems_of(&report), want);
    config_unref(c);
    config_report_fini(&report);
}

static int make_folder(void **state)
{
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    static const char *const names[] = {"list.txt", "upstream.conf", "f.conf", "big.conf",
                                        "closed.pem"};
    char path[256];

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
        unlink(path);
    }
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors_have_a_place),
        cmocka_unit_test(errors_of_terms_have_a_place),
        cmocka_unit_test(warnings_do_not_fail),
        cmocka_unit_test(defaults_are_the_documented_ones),
        cmocka_unit_test(the_history_may_be_off),
        cmocka_unit_test(values_arrive),
        cmocka_unit_test(log_places),
        cmocka_unit_test(the_state_folder_is_root_s_the_service_s_or_the_user_s),
        cmocka_unit_test(files_are_found_beside_the_file),
        cmocka_unit_test(a_reload_outlives_the_snapshot_before),
        cmocka_unit_test(files_that_cannot_be_read),
        cmocka_unit_test(files_are_checked_for_the_account),
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
