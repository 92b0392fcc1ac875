/* The thread for slow hashes between two workers without threads: what they send comes back to the
 * one that sent it, with its outcome, and without the password. */
#include "proxy/passwords.h"

#include <crypt.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/util.h"
#include "proxy/worker.h"

static struct worker workers[2];

static struct accounts *make_accounts(void)
{
    static struct crypt_data data;
    char name[] = "old";
    struct account a = {.name = name};
    struct accounts *s = accounts_new();

    a.hash = crypt_r("right", "$5$rounds=1000$salt", &data);
    assert_non_null(a.hash);
    assert_true(accounts_add(s, &a) && accounts_seal(s));
    return s;
}

static void open_workers(void)
{
    for (unsigned i = 0; i < ARRAY_LEN(workers); i++) {
        memset(&workers[i], 0, sizeof workers[i]);
        workers[i].number = i;
        workers[i].mail_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
        assert_true(workers[i].mail_fd >= 0 &&
                    ring_init(&workers[i].mail_checked, PASSWORDS_OPEN_MAX));
    }
}

static void close_workers(void)
{
    for (unsigned i = 0; i < ARRAY_LEN(workers); i++) {
        struct password_job *j;

        while ((j = ring_pop(&workers[i].mail_checked)))
            password_job_free(j);
        ring_fini(&workers[i].mail_checked);
        close(workers[i].mail_fd);
    }
}

static bool send_one(struct passwords *p, struct accounts *s, unsigned w, const char *user,
                     const char *password)
{
    struct accounts_result r;
    struct password_job *j;

    accounts_check_basic(s, span_of(user), span_of(password), &r);
    assert_non_null(r.hash);
    j = password_job_new(s, &r, span_of(user), span_of(password));
    assert_non_null(j);
    if (passwords_send(p, w, j))
        return true;
    password_job_free(j);
    return false;
}

static void expect_back(unsigned w, const char *user, enum accounts_outcome outcome)
{
    struct pollfd fd = {workers[w].mail_fd, POLLIN, 0};
    struct password_job *j;
    eventfd_t n;

    while (!(j = ring_pop(&workers[w].mail_checked))) {
        assert_int_equal(poll(&fd, 1, 20000), 1);
        eventfd_read(fd.fd, &n);
    }
    assert_int_equal(j->result.outcome, outcome);
    assert_int_equal(j->user_len, strlen(user));
    assert_memory_equal(j->text, user, j->user_len);
    for (size_t i = 0; i < j->password_len; i++)
        assert_int_equal(j->text[j->user_len + i], 0);
    password_job_free(j);
}

static void each_worker_gets_its_own_back(void **state)
{
    struct accounts *s = make_accounts();
    struct err err;
    struct passwords *p;

    (void)state;
    open_workers();
    p = passwords_new(workers, ARRAY_LEN(workers), &err);
    assert_non_null(p);
    assert_true(send_one(p, s, 0, "old", "right"));
    assert_true(send_one(p, s, 1, "old", "wrong"));
    assert_true(send_one(p, s, 1, "who", "right"));
    expect_back(0, "old", ACCOUNTS_OK);
    expect_back(1, "old", ACCOUNTS_WRONG_PASSWORD);
    expect_back(1, "who", ACCOUNTS_UNKNOWN_USER); /* a decoy opens nothing */
    passwords_free(p);
    close_workers();
    accounts_unref(s);
}

static void it_ends_with_jobs_in_its_queue(void **state)
{
    struct accounts *s = make_accounts();
    struct err err;
    struct passwords *p;
    unsigned sent = 0;

    (void)state;
    open_workers();
    p = passwords_new(workers, ARRAY_LEN(workers), &err);
    assert_non_null(p);
    while (sent < PASSWORDS_OPEN_MAX && send_one(p, s, 0, "old", "right"))
        sent++;
    accounts_unref(s); /* the jobs have references of their own */
    passwords_free(p);
    close_workers();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_worker_gets_its_own_back),
        cmocka_unit_test(it_ends_with_jobs_in_its_queue),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
