/* The whole way, with texts for captures: what waits for what comes behind it, numbers, names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/util.h"
#include "capture/explain.h"

/* ---- what comes out */

struct told {
    char lines[8][128];
    unsigned len;
    char names[512];
};

/* "1 407 auth-required > 2": the number, the status, the verdict, what supersedes it. */
static void on_flow(void *owner, struct flow *f, struct series **plot)
{
    struct told *t = owner;
    const char *name;
    uint32_t at = 0;
    unsigned side;
    size_t n;

    assert_true(t->len < ARRAY_LEN(t->lines));
    n = (size_t)snprintf(t->lines[t->len], sizeof t->lines[0], "%u %u %s", (unsigned)f->id,
                         f->status, verdict_get_info((enum verdict)f->verdict)->name);
    if (f->superseded_by)
        snprintf(t->lines[t->len] + n, sizeof t->lines[0] - n, " > %u", (unsigned)f->superseded_by);
    t->len++;
    while ((name = flow_next_note(f, NOTE_NAME, &side, &at)))
        snprintf(t->names + strlen(t->names), sizeof t->names - strlen(t->names), "%s=%s ",
                 verdict_side_name((enum side)side), name);
}

static void explain_text(const char *text, struct told *t)
{
    int fd = memfd_create("text", MFD_CLOEXEC);
    char path[64];
    const char *paths[] = {path};
    struct explain_options o = {
        .capture = {.paths = paths, .paths_len = 1}, .flow = on_flow, .owner = t};
    struct err err = {""};
    struct explain *e;

    memset(t, 0, sizeof *t);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    e = explain_new(&o, &err);
    if (!e)
        fail_msg("%s", err.text);
    while (explain_run(e, 3) > 0)
        ;
    assert_int_equal(explain_get_counts(e)->flows, t->len);
    assert_true(explain_get_seen(e)->is_text);
    assert_true(explain_get_counts(e)->memory_peak > 0);
    assert_int_equal(explain_run(e, 3), 0);
    explain_free(e);
    close(fd);
}

/* ---- cases */

#define OPEN(time, port)                                                                           \
    "10:00:" time ".000 IP 10.0.0.5." port " > 10.0.0.1.3128: Flags [S], seq 0, win 64240, "       \
    "options [mss 1460], length 0\n"                                                               \
    "10:00:" time ".001 IP 10.0.0.1.3128 > 10.0.0.5." port                                         \
    ": Flags [S.], seq 0, ack 1, win 65160, options [mss 1460], length 0\n"                        \
    "10:00:" time ".002 IP 10.0.0.5." port " > 10.0.0.1.3128: Flags [.], ack 1, win 1, length 0\n"
#define UP(time, port)                                                                             \
    "10:00:" time ".010 IP 10.0.0.5." port " > 10.0.0.1.3128: Flags [P.], length 100\n"
#define DOWN(time, port)                                                                           \
    "10:00:" time ".020 IP 10.0.0.1.3128 > 10.0.0.5." port ": Flags [P.], length 90\n"
#define BYE(time, port)                                                                            \
    "10:00:" time ".030 IP 10.0.0.5." port " > 10.0.0.1.3128: Flags [F.], length 0\n"              \
    "10:00:" time ".031 IP 10.0.0.1.3128 > 10.0.0.5." port ": Flags [F.], length 0\n"
#define CONNECT(host) "CONNECT " host ":443 HTTP/1.1\nHost: " host ":443\n"
#define AGAIN(host) CONNECT(host) "Proxy-Authorization: Basic Zm1jOnNlY3JldA==\n\n"
#define LOGIN "HTTP/1.1 407 No\nProxy-Authenticate: Basic realm=\"x\"\nContent-Length: 0\n\n"
#define OPENED "HTTP/1.1 200 Connection established\n\n"

static const struct {
    const char *name, *text;
    const char *want[4];
} cases[] = {
    {"a 407 and its answer on the same connection",
     OPEN("01", "4000") UP("01", "4000") CONNECT("a.test") "\n" DOWN("01", "4000")
         LOGIN UP("02", "4000") AGAIN("a.test") DOWN("02", "4000") OPENED BYE("03", "4000"),
     {"1 407 auth-required > 2", "2 200 ok"}},
    {"on another one",
     OPEN("01", "4000") UP("01", "4000") CONNECT("a.test") "\n" DOWN("01", "4000")
         LOGIN BYE("01", "4000") OPEN("02", "4001") UP("02", "4001") AGAIN("a.test")
             DOWN("02", "4001") OPENED BYE("03", "4001"),
     {"1 407 auth-required > 2", "2 200 ok"}},
    {"for another target it is none",
     OPEN("01", "4000") UP("01", "4000") CONNECT("a.test") "\n" DOWN("01", "4000")
         LOGIN BYE("01", "4000") OPEN("02", "4001") UP("02", "4001") AGAIN("b.test")
             DOWN("02", "4001") OPENED BYE("03", "4001"),
     {"2 200 ok", "1 407 auth-required"}},
    {"nor without credentials",
     OPEN("01", "4000") UP("01", "4000") CONNECT("a.test") "\n" DOWN("01", "4000")
         LOGIN BYE("01", "4000") OPEN("02", "4001") UP("02", "4001")
             CONNECT("a.test") "\n" DOWN("02", "4001") LOGIN BYE("03", "4001"),
     {"1 407 auth-required", "2 407 auth-required"}},
    {"nor too late",
     OPEN("01", "4000") UP("01", "4000") CONNECT("a.test") "\n" DOWN("01", "4000")
         LOGIN BYE("01", "4000") OPEN("20", "4001") UP("20", "4001") AGAIN("a.test")
             DOWN("20", "4001") OPENED BYE("21", "4001"),
     {"1 407 auth-required", "2 200 ok"}},
    {"a wrong password: the second one stands",
     OPEN("01", "4000") UP("01", "4000") CONNECT("a.test") "\n" DOWN("01", "4000")
         LOGIN UP("02", "4000") AGAIN("a.test") DOWN("02", "4000") LOGIN BYE("03", "4000"),
     {"1 407 auth-required > 2", "2 407 auth-failed"}},
};

static void what_waits_for_what(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct told t;
        unsigned n = 0;

        explain_text(cases[i].text, &t);
        while (n < ARRAY_LEN(cases[i].want) && cases[i].want[n])
            n++;
        for (unsigned k = 0; k < n || k < t.len; k++)
            if (k >= n || k >= t.len || strcmp(t.lines[k], cases[i].want[k]) != 0)
                fail_msg("%s: \"%s\", not \"%s\"", cases[i].name, k < t.len ? t.lines[k] : "(none)",
                         k < n ? cases[i].want[k] : "(none)");
    }
}

static void names_of_a_text(void **state)
{
    struct told t;

    (void)state;
    explain_text("10:00:00.0 IP app7.4000 > gw.3128: Flags [S], seq 0, win 1, length 0\n"
                 "10:00:00.1 IP gw.3128 > app7.4000: Flags [R.], seq 0, ack 1, win 0, length 0\n",
                 &t);
    assert_string_equal(t.lines[0], "1 0 proxy-refused");
    assert_non_null(strstr(t.names, "client=app7:4000"));
    assert_non_null(strstr(t.names, "proxy=gw:3128"));
}

static void what_cannot_be_read(void **state)
{
    const char *paths[] = {"/nowhere/at/all.pcap"};
    struct told t = {.len = 0};
    struct explain_options o = {
        .capture = {.paths = paths, .paths_len = 1}, .flow = on_flow, .owner = &t};
    struct err err = {""};

    (void)state;
    assert_null(explain_new(&o, &err));
    assert_non_null(strstr(err.text, paths[0]));
    o.keylog = "/nowhere/keys";
    assert_null(explain_new(&o, &err));
    assert_non_null(strstr(err.text, "/nowhere/keys"));
}

/* What goes on is told as it stands, once. */
static void stopped_early(void **state)
{
    static const char text[] = OPEN("01", "4000") UP("01", "4000") CONNECT("a.test") "\n";
    int fd = memfd_create("text", MFD_CLOEXEC);
    char path[64];
    const char *paths[] = {path};
    struct told t = {.len = 0};
    struct explain_options o = {
        .capture = {.paths = paths, .paths_len = 1}, .flow = on_flow, .owner = &t};
    struct err err = {""};
    struct explain *e;

    (void)state;
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    e = explain_new(&o, &err);
    assert_non_null(e);
    assert_int_equal(explain_run(e, 4), 1);
    explain_stop(e);
    explain_stop(e);
    assert_int_equal(t.len, 1);
    assert_int_equal(explain_run(e, 4), 0);
    explain_free(e);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_waits_for_what),
        cmocka_unit_test(names_of_a_text),
        cmocka_unit_test(what_cannot_be_read),
        cmocka_unit_test(stopped_early),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
