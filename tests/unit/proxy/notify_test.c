#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/util.h"
#include "proxy/notify.h"

static char folder[] = "/tmp/notify-test-XXXXXX";

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    return rmdir(folder);
}

static void set(const char *name, const char *value)
{
    if (value)
        setenv(name, value, 1);
    else
        unsetenv(name);
}

/* A manager that listens at `path` ("@…": abstract), for the next message. */
static int listen_at(const char *path)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    size_t len = strlen(path);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);

    memcpy(at.sun_path, path, len);
    if (path[0] == '@')
        at.sun_path[0] = '\0';
    assert_int_equal(
        bind(fd, (struct sockaddr *)&at, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)),
        0);
    set("NOTIFY_SOCKET", path);
    return fd;
}

static void assert_came(int fd, const char *text)
{
    char got[256];
    ssize_t n = recv(fd, got, sizeof got - 1, 0);

    assert_true(n >= 0);
    got[n] = '\0';
    assert_string_equal(got, text);
    assert_int_equal(recv(fd, got, sizeof got, 0), -1); /* one message a call */
}

static void a_message_arrives(void **state)
{
    char path[2][64];

    (void)state;
    snprintf(path[0], sizeof path[0], "%s/socket", folder);
    snprintf(path[1], sizeof path[1], "@notify-test-%d", (int)getpid());
    for (unsigned i = 0; i < 2; i++) {
        int fd = listen_at(path[i]);

        notify_send("READY=1");
        assert_came(fd, "READY=1");
        notify_send("STATUS=two\nlines");
        assert_came(fd, "STATUS=two\nlines");
        notify_reloading(1234567890);
        assert_came(fd, "RELOADING=1\nMONOTONIC_USEC=1234567");
        close(fd);
        notify_send("READY=1"); /* nobody is there any more: harmless */
    }
    unlink(path[0]);
}

static void without_a_manager_nothing_happens(void **state)
{
    char longer[200];

    (void)state;
    memset(longer, 'a', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    set("NOTIFY_SOCKET", NULL);
    notify_send("READY=1");
    set("NOTIFY_SOCKET", "");
    notify_send("READY=1");
    set("NOTIFY_SOCKET", longer);
    notify_send("READY=1");
    set("NOTIFY_SOCKET", NULL);
}

/* "$": this process */
static const char *pid_text(const char *text)
{
    static char own[16];

    if (!text || strcmp(text, "$") != 0)
        return text;
    snprintf(own, sizeof own, "%d", (int)getpid());
    return own;
}

static void sockets_for_us_are_counted(void **state)
{
    static const struct {
        const char *pid, *fds;
        unsigned n;
    } rows[] = {
        {"$", "1", 1},   {"$", "255", 255}, {"$", "0", 0},
        {"$", "256", 0}, {"$", "-1", 0},    {"$", "", 0},
        {"$", "1x", 0},  {"$", NULL, 0},    {NULL, "1", 0},
        {"1", "1", 0},   {"", "1", 0},      {"0", "1", 0},
        {"x", "1", 0},   {NULL, NULL, 0},   {"99999999999999999999", "1", 0},
    };

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        set("LISTEN_PID", pid_text(rows[i].pid));
        set("LISTEN_FDS", rows[i].fds);
        set("LISTEN_FDNAMES", "a:b");
        assert_int_equal(notify_count_listeners(), rows[i].n);
        assert_null(getenv("LISTEN_PID")); /* children shall not take them for theirs */
        assert_null(getenv("LISTEN_FDS"));
        assert_null(getenv("LISTEN_FDNAMES"));
        assert_int_equal(notify_count_listeners(), 0);
    }
}

static void the_watchdog_is_for_us(void **state)
{
    static const struct {
        const char *usec, *pid;
        uint64_t ns;
    } rows[] = {
        {"30000000", "$", 30 * NS_PER_S},
        {"30000000", NULL, 30 * NS_PER_S},
        {"1", "$", 1000},
        {"0", "$", 0},
        {"30000000", "1", 0},
        {"30000000", "x", 0},
        {"x", "$", 0},
        {"", "$", 0},
        {"18446744073709551615", "$", 0}, /* would not fit as nanoseconds */
        {NULL, "$", 0},
    };

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        set("WATCHDOG_USEC", rows[i].usec);
        set("WATCHDOG_PID", pid_text(rows[i].pid));
        assert_int_equal(notify_watchdog_ns(), rows[i].ns);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_arrives),
        cmocka_unit_test(without_a_manager_nothing_happens),
        cmocka_unit_test(sockets_for_us_are_counted),
        cmocka_unit_test(the_watchdog_is_for_us),
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
