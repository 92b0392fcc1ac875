/* console/admins: a file of administrators from anywhere.  Refused with a reason, or who is in it
 * is still there when something is added and the file was written anew. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "console/admins.h"
#include "fuzz.h"

static char folder[64], path[96];

static void remove_folder(void)
{
    char lock[112];

    snprintf(lock, sizeof lock, "%s.lock", path);
    unlink(lock);
    unlink(path);
    rmdir(folder);
}

static void make_folder(void)
{
    snprintf(folder, sizeof folder, "%s/fuzz-admins-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    if (!mkdtemp(folder))
        abort();
    snprintf(path, sizeof path, "%s/admins.conf", folder);
    atexit(remove_folder);
}

static void write_file(const uint8_t *data, size_t size)
{
    FILE *f = fopen(path, "w");

    if (!f || fchmod(fileno(f), 0600) != 0 || fwrite(data, 1, size, f) != size || fclose(f) != 0)
        abort();
}

static void add_token(struct admins *a, int count)
{
    struct admins *again = admins_new(path);
    char token[ADMINS_TOKEN_HEX + 1];
    struct err err;

    if (admins_make_token(a, SPAN_LIT("fuzz"), token, &err)) {
        assert(admins_has_token(again, span_of(token)));
        assert(admins_count(again, &err) == count && admins_count(a, &err) == count);
        for (unsigned i = 0; i < (unsigned)count; i++)
            assert(strcmp(admins_get_name(a, i), admins_get_name(again, i)) == 0);
    } else {
        assert(*err.text);
    }
    admins_free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct admins *a;
    struct err err;
    int count;

    if (!*folder)
        make_folder();
    write_file(data, size);
    a = admins_new(path);
    count = admins_count(a, &err);
    if (count < 0)
        assert(*err.text);
    for (unsigned i = 0; count > 0 && i < (unsigned)count; i++)
        assert(admins_has(a, span_of(admins_get_name(a, i))) &&
               admins_is_fit(span_of(admins_get_name(a, i)), SPAN_LIT("0123456789"), &err));
    if (count >= 0)
        add_token(a, count);
    admins_free(a);
    return 0;
}
