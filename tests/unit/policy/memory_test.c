/* Building rules while the n-th allocation fails: an error or a whole access, nothing lost, no
 * crash. */
#include "policy/access_build.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <unistd.h>

#include "rules.h"

static int countdown; /* allocations until one fails; below 0: none does */

static bool is_due(void)
{
    return countdown >= 0 && countdown-- == 0;
}

/* The linker brings the calls of these functions here (--wrap). */
void *__real_calloc(size_t n, size_t size);
void *__real_malloc(size_t size);
void *__real_realloc(void *p, size_t size);
void *__real_reallocarray(void *p, size_t n, size_t size);
char *__real_strdup(const char *s);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_realloc(void *p, size_t size);
void *__wrap_reallocarray(void *p, size_t n, size_t size);
char *__wrap_strdup(const char *s);

void *__wrap_calloc(size_t n, size_t size)
{
    return is_due() ? NULL : __real_calloc(n, size);
}

void *__wrap_malloc(size_t size)
{
    return is_due() ? NULL : __real_malloc(size);
}

void *__wrap_realloc(void *p, size_t size)
{
    return is_due() ? NULL : __real_realloc(p, size);
}

void *__wrap_reallocarray(void *p, size_t n, size_t size)
{
    return is_due() ? NULL : __real_reallocarray(p, n, size);
}

char *__wrap_strdup(const char *s)
{
    return is_due() ? NULL : __real_strdup(s);
}

static char list_path[] = "/tmp/viaduct-list-XXXXXX";

static const char rules[] =
    "deny ports off\n"
    "deny x { from not 10.0.0.0/8 list l; to a.example *.b.example 192.0.2.0/24 list l list l; "
    "port 80 1-9 }\n"
    "allow y { user bob eve; method GET PUT; hours Mon-Fri 06:00-22:00; max-download 1k }\n"
    "allow z { authenticated }";

static void every_allocation_may_fail(void **state)
{
    int n = 0;

    (void)state;
    for (bool done = false; !done; n++) {
        struct err err = {""};

        countdown = n;
        struct access *a = rules_build(rules, list_path, &err);
        done = countdown >= 0; /* nothing failed this time */
        countdown = -1;
        if (done && !a)
            fail_msg("%s", err.text);
        if (!a)
            assert_true(err.text[0] != '\0');
        else
            assert_int_equal(access_count_rules(a), 4);
        access_free(a);
    }
    assert_true(n > 40);
}

static int make_list(void **state)
{
    static const char text[] = "c.example\n198.51.100.0/24\n";
    int fd = mkstemp(list_path);

    (void)state;
    return fd < 0 || write(fd, text, sizeof text - 1) < 0 ? -1 : close(fd);
}

static int remove_list(void **state)
{
    (void)state;
    return unlink(list_path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_allocation_may_fail)};

    countdown = -1;
    return cmocka_run_group_tests(tests, make_list, remove_list);
}
