/* console/audit: a log that anybody may have written to.  What is read of it is an array of JSON.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "base/log.h"
#include "console/audit.h"
#include "fuzz.h"

static char path[64];

static void remove_file(void)
{
    unlink(path);
}

static void make_file(void)
{
    int fd;

    log_set_level(LOG_LEVEL_WARNING);
    snprintf(path, sizeof path, "%s/fuzz-audit-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    fd = mkstemp(path);
    if (fd < 0)
        abort();
    close(fd);
    atexit(remove_file);
}

static size_t count_entries(struct audit *a, unsigned most)
{
    struct buf out;
    json_t *root;
    size_t n;

    buf_init(&out, 1u << 20);
    assert(audit_read(a, most, &out));
    root = json_loadb(buf_span(&out).ptr, out.len, 0, NULL);
    assert(json_is_array(root));
    n = json_array_size(root);
    json_decref(root);
    buf_fini(&out);
    return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    struct audit *a;
    FILE *f;

    if (!*path)
        make_file();
    f = fopen(path, "w");
    if (!f || fwrite(data, 1, size, f) != size || fputc('\n', f) == EOF || fclose(f) != 0)
        abort();
    memcpy(text, data, size);
    text[size] = '\0';
    a = audit_new(path);
    count_entries(a, 1000);
    audit_say(a, text, text); /* whoever and whatever it is */
    assert(count_entries(a, 1) <= 1);
    audit_free(a);
    free(text);
    return 0;
}
