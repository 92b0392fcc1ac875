#include "host/clients.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* after the standard headers */
#include <cmocka.h>

static char folder[] = "/tmp/viaduct-clients-XXXXXX";
static struct client_options options = {.root = folder, .user = true, .home = "/h", .state = "/s"};

static int pressed_at; /* the n-th time that something is put on the disk, 1 the first */

/* Stands in for the system's: a key is pressed while the disk is waited for. */
int fsync(int fd)
{
    (void)fd;
    if (--pressed_at == 0)
        raise(SIGINT);
    return 0;
}

static const struct client_program *find_docker(void)
{
    for (unsigned i = 0; i < client_programs_len; i++)
        if (client_programs[i].format == CLIENT_DOCKER)
            return &client_programs[i];
    return NULL;
}

/* Does it in a process of its own, which ends by the key that is pressed. */
static void do_interrupted(bool apply, int at)
{
    static const struct client_proxy proxy = {.host = "192.0.2.1", .port = 3128};
    enum client_change change;
    struct err err;
    int status;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        signal(SIGINT, SIG_DFL);
        pressed_at = at;
        if (apply)
            client_apply(find_docker(), &proxy, &options, &change, &err);
        else
            client_remove(find_docker(), &options, &change, &err);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGINT);
}

static unsigned count_files(void)
{
    char command[128];
    unsigned n = 0;

    snprintf(command, sizeof command, "find %s -type f | wc -l", folder);
    FILE *f = popen(command, "re");
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%u", &n), 1);
    pclose(f);
    return n;
}

/* config.json and its record are written and synchronised, and so are their folders. */
static void a_key_leaves_no_half_of_a_change(void **state)
{
    struct client_finding found;
    struct err err;

    (void)state;
    for (int at = 1; at <= 4; at++) {
        do_interrupted(true, at);
        assert_int_equal(count_files(), 2);
        assert_int_equal(client_look(find_docker(), &options, &found, 1, &err), 1);
        assert_true(found.ours);
        do_interrupted(false, 1);
        assert_int_equal(count_files(), 0);
    }
}

static int make_folder(void **state)
{
    char home[64];

    (void)state;
    if (!mkdtemp(folder))
        return -1;
    snprintf(home, sizeof home, "%s/h", folder);
    return mkdir(home, 0755);
}

static int remove_folder(void **state)
{
    char home[64];

    (void)state;
    snprintf(home, sizeof home, "%s/h", folder);
    return rmdir(home) || rmdir(folder) ? -1 : 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_leaves_no_half_of_a_change),
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
