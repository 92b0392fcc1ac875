#include "console/versions.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAME_MAX_LEN 128
#define PATH_LEN 4096
#define DIGITS 20 /* of the time in a name, so that names are in its order */

/* "00001764130000000000-root.conf" */
static bool is_version(const char *name)
{
    size_t len = strlen(name);

    if (len < DIGITS + 7 || len >= NAME_MAX_LEN || name[DIGITS] != '-' ||
        strcmp(name + len - 5, ".conf") != 0)
        return false;
    for (size_t i = 0; i < len; i++)
        if (i < DIGITS ? !isdigit((unsigned char)name[i])
                       : !isalnum((unsigned char)name[i]) && !strchr("-._@+", name[i]))
            return false;
    return true;
}

static int pick(const struct dirent *e)
{
    return is_version(e->d_name);
}

static int latest_first(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*b)->d_name, (*a)->d_name);
}

static int list(const char *folder, struct dirent ***all)
{
    int n = scandir(folder, all, pick, latest_first);

    return n > 0 ? n : 0;
}

static void free_list(struct dirent **all, int n)
{
    for (int i = 0; i < n; i++)
        free(all[i]);
    if (n > 0)
        free(all);
}

static void drop_old(const char *folder)
{
    struct dirent **all = NULL;
    char path[4096];
    int n = list(folder, &all);

    for (int i = VERSIONS_MAX; i < n; i++)
        if ((size_t)snprintf(path, sizeof path, "%s/%s", folder, all[i]->d_name) < sizeof path)
            unlink(path);
    free_list(all, n);
}

static void write_path(const char *folder, struct span who, uint64_t wall_ns, char out[PATH_LEN])
{
    char name[65] = "";

    for (size_t i = 0; i < who.len && i < sizeof name - 1; i++)
        name[i] =
            isalnum((unsigned char)who.ptr[i]) || strchr("._@+", who.ptr[i]) ? who.ptr[i] : '-';
    snprintf(out, PATH_LEN, "%s/%0*" PRIu64 "-%s.conf", folder, DIGITS, wall_ns / 1000,
             *name ? name : "-");
}

bool versions_keep(const char *folder, struct span text, struct span who, uint64_t wall_ns,
                   struct err *err)
{
    char path[PATH_LEN];
    int fd;
    bool ok;

    mkdir(folder, 0700);
    write_path(folder, who, wall_ns, path);
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    ok = fd >= 0 && write(fd, text.ptr, text.len) == (ssize_t)text.len && fsync(fd) == 0;
    if (!ok)
        err_set(err, "cannot keep the file as it was in %s: %s", folder, strerror(errno));
    if (fd >= 0)
        close(fd);
    if (!ok && fd >= 0)
        unlink(path);
    drop_old(folder);
    return ok;
}

void versions_forget(const char *folder, struct span who, uint64_t wall_ns)
{
    char path[PATH_LEN];

    write_path(folder, who, wall_ns, path);
    unlink(path);
}

void versions_write(const char *folder, struct jsonw *w)
{
    struct dirent **all = NULL;
    int n = list(folder, &all);

    for (int i = 0; i < n && i < VERSIONS_MAX; i++) {
        struct span name = span_of(all[i]->d_name);

        jsonw_open(w, '{');
        jsonw_key(w, "id");
        jsonw_span(w, (struct span){name.ptr, name.len - 5});
        jsonw_member_u64(w, "time_us", strtoull(name.ptr, NULL, 10));
        jsonw_key(w, "who");
        jsonw_span(w, (struct span){name.ptr + DIGITS + 1, name.len - DIGITS - 6});
        jsonw_close(w, '}');
    }
    free_list(all, n);
}

bool versions_read(const char *folder, const char *id, struct buf *out)
{
    char name[NAME_MAX_LEN + 8], path[4096], bytes[65536];
    ssize_t n;
    bool ok;
    int fd;

    snprintf(name, sizeof name, "%.*s.conf", NAME_MAX_LEN, id);
    if (!is_version(name))
        return false;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    ok = fd >= 0;
    while (ok && (n = read(fd, bytes, sizeof bytes)) > 0)
        ok = buf_append(out, bytes, (size_t)n);
    if (fd >= 0)
        close(fd);
    return ok;
}
