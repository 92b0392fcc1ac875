/* The recorder with its thread, and the sinks below it. */
#include "proxy/recorder.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/util.h"
#include "proxy/sink.h"

static char folder[] = "/tmp/recorder-test-XXXXXX", path[64], other[64];

static int make_folder(void **state)
{
    (void)state;
    setenv("LC_ALL", "C", 1);
    unsetenv("LANGUAGE");
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof path, "%s/access.log", folder);
    snprintf(other, sizeof other, "%s/rotated.log", folder);
    return 0;
}

static int remove_files(void **state)
{
    (void)state;
    unlink(path);
    unlink(other);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    return rmdir(folder);
}

static struct config to_file(enum config_log_format format)
{
    return (struct config){.log_to = LOG_TO_FILE, .log_file = path, .log_format = format};
}

static struct recorder *start(const struct config *c, unsigned workers)
{
    struct err err;
    struct recorder *r = recorder_new(c, workers, &err);

    assert_non_null(r);
    return r;
}

static void take(struct recorder *r, unsigned worker, uint64_t id)
{
    struct flow f = {0};

    flow_begin(&f, SOURCE_SERVE, id, 0, 0);
    flow_phase(&f, PHASE_ANSWER, 0);
    flow_set_text(&f.target, "t.example:443");
    flow_end(&f, VERDICT_OK, SIDE_CLIENT, CERTAINTY_SEEN, 1);
    recorder_take(r, worker, &f);
    assert_null(f.target); /* it is no longer ours */
}

/* What a file holds, terminated, to be freed. */
static char *read_file(const char *name, size_t *len)
{
    struct stat st;
    FILE *f = fopen(name, "re");
    char *text;

    assert_non_null(f);
    assert_int_equal(fstat(fileno(f), &st), 0);
    text = malloc((size_t)st.st_size + 1);
    *len = fread(text, 1, (size_t)st.st_size, f);
    text[*len] = '\0';
    fclose(f);
    return text;
}

static uint64_t count_lines(const char *name)
{
    size_t len;
    char *text = read_file(name, &len);
    uint64_t n = 0;

    for (size_t i = 0; i < len; i++)
        n += text[i] == '\n';
    free(text);
    return n;
}

static void wait_for_lines(const char *name, uint64_t n)
{
    uint64_t deadline_ns = clock_mono_ns() + 20 * NS_PER_S;

    while (access(name, F_OK) != 0 || count_lines(name) < n) {
        assert_true(clock_mono_ns() < deadline_ns);
        usleep(200);
    }
}

static void the_end_writes_what_is_queued(void **state)
{
    static const struct {
        enum config_log_format format;
        const char *begins;
    } cases[] = {
        {LOG_FORMAT_AUTO, "{\"id\":\"0000000000000001\""},
        {LOG_FORMAT_JSON, "{\"id\":\"0000000000000001\""},
        {LOG_FORMAT_TEXT, "19"},
        {LOG_FORMAT_SQUID, "0.000      0 - TCP_MISS/000"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct config c = to_file(cases[i].format);
        struct recorder *r = start(&c, 2);
        struct stat st;
        size_t len;
        char *text;

        assert_true(recorder_is_on(r));
        for (uint64_t id = 1; id <= 500; id++)
            take(r, id & 1, id);
        assert_int_equal(recorder_dropped(r), 0);
        recorder_free(r);
        assert_int_equal(count_lines(path), 500);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 07777 & ~0640u, 0);
        unlink(path);
        if (cases[i].format == LOG_FORMAT_TEXT)
            continue; /* its time is local */
        c.log_file = other;
        r = start(&c, 1);
        take(r, 0, 1);
        recorder_free(r);
        text = read_file(other, &len);
        assert_memory_equal(text, cases[i].begins, strlen(cases[i].begins));
        free(text);
        unlink(other);
    }
}

/* Each flow comes when the recorder sleeps, or is about to. */
static void no_wake_up_is_lost(void **state)
{
    struct config c = to_file(LOG_FORMAT_SQUID);
    struct recorder *r = start(&c, 1);

    (void)state;
    for (uint64_t n = 1; n <= 100; n++) {
        take(r, 0, n);
        wait_for_lines(path, n);
    }
    recorder_free(r);
}

static void off_takes_and_forgets(void **state)
{
    struct config c = {.log_to = LOG_TO_OFF};
    struct recorder *r = start(&c, 1);
    struct err err;

    (void)state;
    assert_false(recorder_is_on(r));
    take(r, 0, 1);
    recorder_reopen(r);
    assert_int_equal(recorder_dropped(r), 0);
    c = to_file(LOG_FORMAT_JSON); /* a reload turns it on, and off again */
    assert_true(recorder_set(r, &c, &err));
    assert_true(recorder_is_on(r));
    take(r, 0, 2);
    wait_for_lines(path, 1);
    c.log_to = LOG_TO_OFF;
    assert_true(recorder_set(r, &c, &err));
    take(r, 0, 3);
    recorder_free(r);
    assert_int_equal(count_lines(path), 1);
}

static void a_rotated_file_is_opened_anew(void **state)
{
    struct config c = to_file(LOG_FORMAT_JSON);
    struct recorder *r = start(&c, 1);

    (void)state;
    take(r, 0, 1);
    wait_for_lines(path, 1);
    assert_int_equal(rename(path, other), 0);
    recorder_reopen(r);
    take(r, 0, 2);
    recorder_free(r);
    assert_int_equal(count_lines(other), 1);
    assert_int_equal(count_lines(path), 1);
}

static void a_bad_target_changes_nothing(void **state)
{
    struct config c = to_file(LOG_FORMAT_JSON);
    struct recorder *r = start(&c, 1);
    char nowhere[] = "/nonexistent/access.log";
    struct err err;

    (void)state;
    c.log_file = nowhere;
    assert_false(recorder_set(r, &c, &err));
    assert_string_equal(err.text, "cannot open /nonexistent/access.log: No such file or directory");
    assert_null(recorder_new(&c, 1, &err));
    take(r, 0, 1);
    recorder_free(r);
    assert_int_equal(count_lines(path), 1);
}

static void a_full_disk_loses_flows_and_counts_them(void **state)
{
    char full[] = "/dev/full";
    struct config c = to_file(LOG_FORMAT_JSON);
    struct recorder *r;
    struct err err;

    (void)state;
    c.log_file = full;
    r = start(&c, 1);
    for (uint64_t id = 1; id <= 300; id++)
        take(r, 0, id);
    while (recorder_dropped(r) < 300)
        usleep(200);
    assert_int_equal(recorder_dropped(r), 300);
    c = to_file(LOG_FORMAT_JSON); /* it goes on as soon as there is room */
    assert_true(recorder_set(r, &c, &err));
    take(r, 0, 301);
    recorder_free(r);
    assert_int_equal(count_lines(path), 1);
}

static void *read_all(void *arg)
{
    char bytes[65536];
    _Atomic uint64_t *lines = arg;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n;

    while ((n = read(fd, bytes, sizeof bytes)) > 0)
        for (ssize_t i = 0; i < n; i++)
            *lines += bytes[i] == '\n';
    close(fd);
    return NULL;
}

/* Nobody reads the pipe: the worker goes on, and every flow is either written later or counted. */
static void a_full_queue_counts(void **state)
{
    enum { FLOWS = 20000 };
    struct config c = to_file(LOG_FORMAT_JSON);
    struct recorder *r;
    _Atomic uint64_t lines = 0;
    pthread_t reader;
    int fd;

    (void)state;
    assert_int_equal(mkfifo(path, 0600), 0);
    fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC); /* that the other end can be opened */
    r = start(&c, 1);
    for (uint64_t id = 1; id <= FLOWS; id++)
        take(r, 0, id);
    assert_true(recorder_dropped(r) > 5000);
    assert_int_equal(pthread_create(&reader, NULL, read_all, &lines), 0);
    while (recorder_dropped(r) + lines < FLOWS)
        usleep(200);
    assert_true(lines > 5000);
    recorder_free(r);
    close(fd);
    pthread_join(reader, NULL);
}

static void a_stop_does_not_wait_for_a_reader_for_ever(void **state)
{
    struct config c = to_file(LOG_FORMAT_JSON);
    struct recorder *r;
    int fd;

    (void)state;
    assert_int_equal(mkfifo(path, 0600), 0);
    fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    r = start(&c, 1);
    for (uint64_t id = 1; id <= 1000; id++)
        take(r, 0, id);
    recorder_free(r);
    close(fd);
}

static void a_reload_leaves_a_reader_that_does_not_read(void **state)
{
    struct config c = to_file(LOG_FORMAT_JSON);
    struct recorder *r;
    struct err err;
    int fd, held = 0;

    (void)state;
    assert_int_equal(mkfifo(path, 0600), 0);
    fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    r = start(&c, 1);
    for (uint64_t id = 1; id <= 1000; id++)
        take(r, 0, id);
    while (held < 60000) /* until the pipe is full */
        assert_int_equal(ioctl(fd, FIONREAD, &held), 0);
    c.log_file = other;
    assert_true(recorder_set(r, &c, &err));
    wait_for_lines(other, 1);
    recorder_free(r);
    close(fd);
}

static void a_closed_pipe_is_no_signal(void **state)
{
    struct config c = to_file(LOG_FORMAT_JSON);
    struct recorder *r;
    int fd;

    (void)state;
    assert_int_equal(mkfifo(path, 0600), 0);
    fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    r = start(&c, 1);
    close(fd);
    take(r, 0, 1);
    while (recorder_dropped(r) < 1)
        usleep(200);
    recorder_free(r);
}

struct producer {
    struct recorder *recorder;
    unsigned worker;
};

static void *produce(void *arg)
{
    struct producer *p = arg;

    for (uint64_t id = 0; id < 5000; id++)
        take(p->recorder, p->worker, id);
    return NULL;
}

/* Workers hand over while others rotate and reload: nothing is lost, nothing torn. */
static void many_threads_agree(void **state)
{
    enum { WORKERS = 4 };
    struct config c = to_file(LOG_FORMAT_SQUID);
    struct recorder *r = start(&c, WORKERS);
    struct producer producers[WORKERS];
    pthread_t threads[WORKERS];
    struct err err;

    (void)state;
    for (unsigned i = 0; i < WORKERS; i++) {
        producers[i] = (struct producer){r, i};
        assert_int_equal(pthread_create(&threads[i], NULL, produce, &producers[i]), 0);
    }
    for (unsigned i = 0; i < 20; i++) {
        recorder_reopen(r);
        assert_true(recorder_set(r, &c, &err));
        usleep(500);
    }
    for (unsigned i = 0; i < WORKERS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(recorder_dropped(r), 0);
    recorder_free(r);
    assert_int_equal(count_lines(path), WORKERS * 5000);
}

static bool do_not_wait(void *arg)
{
    ++*(unsigned *)arg;
    return false;
}

/* A disk that gets full within a line: the next record begins on a line of its own. */
static void a_torn_line_spoils_no_other(void **state)
{
    struct config c = to_file(LOG_FORMAT_JSON);
    struct rlimit before, small;
    unsigned asked = 0;
    struct err err;
    struct sink *s;
    size_t len;
    char *text;
    int error;

    (void)state;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = (struct rlimit){7, before.rlim_max};
    s = sink_new(&c, &err);
    assert_non_null(s);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    assert_int_equal(sink_write(s, SPAN_LIT("one\ntwo two\n"), do_not_wait, &asked, &error), 7);
    assert_int_equal(error, EFBIG);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(sink_write(s, SPAN_LIT("three\n"), do_not_wait, &asked, &error), 6);
    assert_int_equal(error, 0);
    assert_int_equal(asked, 0);
    sink_free(s);
    text = read_file(path, &len);
    assert_string_equal(text, "one\ntwo\nthree\n");
    free(text);
}

/* Standard output is shared with others and stays blocking: what poll lets through must not block.
 */
static void a_full_pipe_asks_before_it_waits(void **state)
{
    static char lines[1 << 21];
    struct config c = {.log_to = LOG_TO_STDOUT, .log_format = LOG_FORMAT_JSON};
    int pipes[2], saved = dup(STDOUT_FILENO), error = 0;
    unsigned asked = 0;
    size_t done = 0;
    struct err err;
    struct sink *s;

    (void)state;
    memset(lines, '\n', sizeof lines);
    assert_int_equal(pipe(pipes), 0);
    fflush(stdout);
    dup2(pipes[1], STDOUT_FILENO);
    s = sink_new(&c, &err);
    if (s)
        done = sink_write(s, (struct span){lines, sizeof lines}, do_not_wait, &asked, &error);
    sink_free(s); /* standard output stays open */
    dup2(saved, STDOUT_FILENO);
    close(saved);
    close(pipes[0]);
    close(pipes[1]);
    assert_int_equal(error, EAGAIN);
    assert_int_equal(asked, 1);
    assert_true(done >= 4096 && done < sizeof lines);
}

/* syslog(3), taken over from the C library; the checked form is what an optimised build calls. */
static char logged[256];
void openlog(const char *ident, int option, int facility);
void syslog(int priority, const char *format, ...) __attribute__((format(printf, 2, 3)));
void __syslog_chk(int priority, int flag, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

__attribute__((format(printf, 2, 0))) static void add_logged(int priority, const char *format,
                                                             va_list ap)
{
    size_t len = strlen(logged);

    snprintf(logged + len, sizeof logged - len, "[%d]", priority);
    len = strlen(logged);
    vsnprintf(logged + len, sizeof logged - len, format, ap);
}

void openlog(const char *ident, int option, int facility)
{
    snprintf(logged, sizeof logged, "%s %d:", ident, facility);
}

void syslog(int priority, const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    add_logged(priority, format, ap);
    va_end(ap);
}

void __syslog_chk(int priority, int flag, const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    add_logged(priority, format, ap);
    va_end(ap);
}

static void syslog_gets_a_message_a_line(void **state)
{
    struct config c = {.log_to = LOG_TO_SYSLOG, .log_format = LOG_FORMAT_JSON};
    struct err err;
    struct sink *s = sink_new(&c, &err);
    int error;

    (void)state;
    assert_non_null(s);
    assert_int_equal(sink_write(s, SPAN_LIT("a 100%s\nb\n"), NULL, NULL, &error), 10);
    sink_free(s);
    assert_string_equal(logged, "viaduct 24:[6]a 100%s[6]b"); /* LOG_DAEMON, LOG_INFO */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(the_end_writes_what_is_queued, remove_files),
        cmocka_unit_test_teardown(no_wake_up_is_lost, remove_files),
        cmocka_unit_test_teardown(off_takes_and_forgets, remove_files),
        cmocka_unit_test_teardown(a_rotated_file_is_opened_anew, remove_files),
        cmocka_unit_test_teardown(a_bad_target_changes_nothing, remove_files),
        cmocka_unit_test_teardown(a_full_disk_loses_flows_and_counts_them, remove_files),
        cmocka_unit_test_teardown(a_full_queue_counts, remove_files),
        cmocka_unit_test_teardown(a_stop_does_not_wait_for_a_reader_for_ever, remove_files),
        cmocka_unit_test_teardown(a_reload_leaves_a_reader_that_does_not_read, remove_files),
        cmocka_unit_test_teardown(a_closed_pipe_is_no_signal, remove_files),
        cmocka_unit_test_teardown(many_threads_agree, remove_files),
        cmocka_unit_test_teardown(a_torn_line_spoils_no_other, remove_files),
        cmocka_unit_test(a_full_pipe_asks_before_it_waits),
        cmocka_unit_test(syslog_gets_a_message_a_line),
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
