#include "host/client_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* after the standard headers */
#include <cmocka.h>

static char folder[] = "/tmp/viaduct-clients-XXXXXX";

static void put(const char *name, const char *text)
{
    char path[128];

    snprintf(path, sizeof(path), "%s%s", folder, name);
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void a_file_that_somebody_changed_meanwhile_is_left_alone(void **state)
{
    struct client_file f = {0};
    struct err err;

    (void)state;
    put("/a", "old");
    assert_true(client_file_read(&f, folder, "/a", &err));
    put("/a", "theirs");
    assert_false(client_file_write(&f, SPAN_LIT("ours"), 0644, &err));
    assert_non_null(strstr(err.text, "somebody changed it just now"));
    assert_false(client_file_delete(&f, 0, &err));
    client_file_fini(&f);
    assert_true(client_file_read(&f, folder, "/a", &err));
    assert_true(span_equal(buf_span(&f.text), SPAN_LIT("theirs")));
    assert_true(client_file_delete(&f, 0, &err));
    client_file_fini(&f);
}

static void missing_folders_are_made_and_taken_away(void **state)
{
    struct client_file f = {0};
    struct err err;

    (void)state;
    assert_true(client_file_read(&f, folder, "/x/y/z", &err));
    assert_false(f.exists);
    assert_int_equal(f.folders, 2);
    assert_true(client_file_write(&f, SPAN_LIT("ours"), 0600, &err));
    client_file_fini(&f);
    assert_true(client_file_read(&f, folder, "/x/y/z", &err));
    assert_int_equal(f.st.st_mode & 07777, 0600);
    assert_true(client_file_delete(&f, 2, &err));
    assert_false(client_file_exists(folder, "/x"));
    client_file_fini(&f);
}

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_that_somebody_changed_meanwhile_is_left_alone),
        cmocka_unit_test(missing_folders_are_made_and_taken_away),
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
